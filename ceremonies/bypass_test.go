package ceremonies_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// The tests of this file and of bypasscodes_test.go are named for bypasses that were
// published of products of this kind. Each comment begins with the class.

// enrolFirst is an action that waits for its person to enrol.
func enrolFirst(r *engine.Recording) { r.Decision.Reason = engine.ByEnrolmentPolicy }

// enrolsWith tries to add a passkey with a grant and reports how it ended.
func enrolsWith(w *ceremonytest.World, grant ceremonies.Grant) (*ceremonytest.Device, error) {
	w.Helper()
	begun, err := w.RP.BeginEnrolment(w.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		return nil, err
	}
	d := ceremonytest.NewDevice(ceremonytest.Synced)
	_, err = w.RP.FinishEnrolment(w.Context(), grant, begun.Challenge, d.Register(w.T, begun.Options), ceremonies.Client{})
	return d, err
}

// Enrolling instead of proving: whoever holds an access token of an open action adds
// a passkey of their own and proves with that.
func TestEnrollingDoesNotReplaceProving(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	open := w.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd)
	tests := []struct {
		name         string
		grant        ceremonies.Grant
		code, reason string
	}{
		{name: "with the token of the track answer", grant: open, code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonScopeMissing},
		{
			name: "with the scope", grant: with(open, ceremonytest.ReadAndAdd),
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		{
			name: "by somebody without any authenticator", grant: with(w.Track("bert", events.StateChallengeRequired, ceremonies.ScopeAdd), ceremonytest.ReadAndAdd),
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		{
			name: "where they are to enrol first", grant: with(w.Track("carl", events.StateChallengeRequired, ceremonies.ScopeAdd, enrolFirst), ceremonytest.ReadAndAdd),
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		{
			name: "with a permit for another method", grant: permit(t, w, open, d, ceremonies.ForAdding, string(events.MethodSecurityKey)),
			code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonScopeMissing,
		},
		{
			name: "with a permit for another change", grant: permit(t, w, open, d, ceremonies.ForEmail, string(events.MethodPasskey)+"@example.org"),
			code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonScopeMissing,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := enrolsWith(w, tt.grant)
			wantRefused(t, err, tt.code, tt.reason)
			user := tt.grant.Action.User
			if account := w.Account(user); len(account.Authenticators) > 1 || user != "anna" && len(account.Authenticators) > 0 {
				t.Errorf("account %+v", account)
			}
			if state := w.State(tt.grant.Action); state != events.StateChallengeRequired {
				t.Errorf("the action is %s", state)
			}
		})
	}
}

// meanwhile is a store that has somebody enrol between the last look and the writing.
type meanwhile struct {
	ceremonies.Store
	enrol func()
}

func (m meanwhile) Finish(ctx context.Context, o ceremonies.Outcome) (ceremonies.Result, error) {
	if o.New != nil {
		m.enrol()
	}
	return m.Store.Finish(ctx, o)
}

// Enrolling instead of proving, through a race: the person enrols while the attacker's
// own first passkey is being verified.
func TestAFirstPasskeyIsFirstInTheTransaction(t *testing.T) {
	w := ceremonytest.New(t)
	grant := w.TrackNew("anna")
	begun, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := w.Tokens
	rp, err := ceremonies.New(ceremonies.Config{
		ID: ceremonytest.ID, Name: "Example Shop", Origins: []string{ceremonytest.Origin}, Tenant: ceremonytest.Tenant, Key: ceremonytest.Key, Now: w.Clock.Now,
	}, meanwhile{w.Store, func() { w.Enrolled("anna", ceremonytest.Synced) }}, tokens)
	if err != nil {
		t.Fatal(err)
	}
	attacker := ceremonytest.NewDevice(ceremonytest.Synced)
	_, err = rp.FinishEnrolment(t.Context(), grant, begun.Challenge, attacker.Register(t, begun.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonEnrolledMeanwhile)
	if n := len(w.Account("anna").Authenticators); n != 1 {
		t.Errorf("the person has %d passkeys", n)
	}
}

// Freshness by another way: a check that somebody proved something lately, by whatever
// method and for whatever action, instead of this.
func TestAnotherProofDoesNotFreshenAnEnrolment(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
	tracked := with(w.Track("anna", events.StateAllow, ceremonies.ScopeAdd), ceremonytest.ReadAndAdd)
	t.Run("of another action", func(t *testing.T) {
		w.Prove("anna", d, ceremonies.ScopeAdd)
		_, err := enrolsWith(w, tracked)
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
	})
	t.Run("of another action by a code", func(t *testing.T) {
		grant := w.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd)
		id, code := send(w, grant, ask(events.MethodEmailOTP))
		if _, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), id, code, ceremonies.Client{}); err != nil {
			t.Fatal(err)
		}
		_, err := enrolsWith(w, tracked)
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
	})
	t.Run("of this action for a removal", func(t *testing.T) {
		grant := w.Track("anna", events.StateAllow, ceremonies.ScopeAdd)
		gone := of(w, "anna", events.MethodEmailOTP)
		after := permit(t, w, grant, d, ceremonies.ForRemoving, string(gone.ID))
		_, err := enrolsWith(w, with(after, ceremonytest.ReadAndAdd))
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
	})
	t.Run("by a sign-in", func(t *testing.T) {
		proof := signIn(t, w, d, "s-1")
		if proof.Grant.Allows(ceremonies.ScopeAdd) {
			t.Errorf("a sign-in allows %q", proof.Grant.Scopes)
		}
		_, err := enrolsWith(w, with(proof.Grant, ceremonytest.ReadAndAdd))
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
	})
}

// signIn signs a device's owner in.
func signIn(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, key string) ceremonies.Proof {
	t.Helper()
	begun, err := w.RP.BeginSignIn(t.Context(), "sign-in", key)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := w.RP.FinishSignIn(t.Context(), begun.Challenge, anybody(t, d, begun), ceremonies.Client{}, w.SignIn)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// anybody answers a question that names no passkey, which the software authenticator
// needs.
func anybody(t *testing.T, d *ceremonytest.Device, begun ceremonies.StepUp) []byte {
	t.Helper()
	options := begun.Options
	options.AllowCredentials = []ceremonies.CredentialDescriptor{{ID: d.Credential.ID, Type: "public-key"}}
	return d.Answer(t, options)
}

// Permits that travel: what one proof allows is used for another person or action, or
// later, or after everything was taken back.
func TestAPermitDoesNotTravel(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	w.Enrolled("bert", ceremonytest.Synced)
	granted := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodPasskey))
	token, err := w.Tokens.Sign(granted)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("to another action or person, for the token is signed as one", func(t *testing.T) {
		for _, tampered := range []string{changeBody(token), token[:len(token)-2] + "xx"} {
			_, err := w.RP.Authorize(t.Context(), tampered, ceremonies.UseAccess)
			wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenInvalid)
		}
	})
	t.Run("into a token of another key or tenant", func(t *testing.T) {
		for _, config := range []ceremonies.TokenConfig{
			{Tenant: ceremonytest.Tenant, Keys: []ceremonies.Key{{ID: "k1", Secret: make([]byte, 32)}}},
			{Tenant: ceremonytest.Tenant, Keys: []ceremonies.Key{{ID: "k2", Secret: []byte("ssssssssssssssssssssssssssssssss")}}},
			{Tenant: "other", Keys: []ceremonies.Key{{ID: "k1", Secret: []byte("ssssssssssssssssssssssssssssssss")}}},
		} {
			config.Now = w.Clock.Now
			tokens, err := ceremonies.NewTokens(config)
			if err != nil {
				t.Fatal(err)
			}
			foreign, err := tokens.Sign(granted)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.RP.Authorize(t.Context(), foreign, ceremonies.UseAccess)
			wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenInvalid)
		}
	})
	t.Run("into the token of the next proof", func(t *testing.T) {
		next := permit(t, w, granted, d, ceremonies.ForEmail, "anna@example.org")
		_, err := enrolsWith(w, next)
		wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonScopeMissing)
	})
	t.Run("beyond its time, though the token lives on", func(t *testing.T) {
		late := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodPasskey))
		begun, err := w.RP.BeginEnrolment(t.Context(), late, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.Clock.Move(time.Minute)
		if _, err := w.RP.BeginEnrolment(t.Context(), late, ceremonies.EnrolOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Clock.Move(ceremonies.PermitTTL - time.Minute)
		_, err = w.RP.BeginEnrolment(t.Context(), late, ceremonies.EnrolOptions{})
		wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonScopeMissing)
		answer := ceremonytest.NewDevice(ceremonytest.Synced).Register(t, begun.Options)
		_, err = w.RP.FinishEnrolment(t.Context(), late, begun.Challenge, answer, ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeExpired)
	})
	t.Run("beyond a denial", func(t *testing.T) {
		again := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodPasskey))
		begun, err := w.RP.BeginEnrolment(t.Context(), again, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.RP.Deny(t.Context(), w.Track("anna", events.StateChallengeRequired, "")); err != nil {
			t.Fatal(err)
		}
		_, err = enrolsWith(w, again)
		wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenGeneration)
		answer := ceremonytest.NewDevice(ceremonytest.Synced).Register(t, begun.Options)
		_, err = w.RP.FinishEnrolment(t.Context(), again, begun.Challenge, answer, ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenGeneration)
	})
	if n := len(w.Account("anna").Authenticators); n != 1 {
		t.Errorf("the person has %d authenticators", n)
	}
}

// Expired registrations that are accepted: the code or challenge of an enrolment is
// answered after its time, or after its person has gone.
func TestAnExpiredRegistrationAddsNothing(t *testing.T) {
	tests := []struct {
		name         string
		meanwhile    func(w *ceremonytest.World)
		code, reason string
	}{
		{
			name: "after its challenge", meanwhile: func(w *ceremonytest.World) { w.Clock.Move(ceremonies.DefaultChallengeTTL) },
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonChallengeExpired,
		},
		{
			name: "after the sweep",
			meanwhile: func(w *ceremonytest.World) {
				w.Clock.Move(ceremonies.DefaultChallengeTTL)
				if n, err := w.RP.Sweep(w.Context()); err != nil || n != 1 {
					w.Fatalf("swept %d, %v", n, err)
				}
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonChallengeExpired,
		},
		{
			name: "after its person has gone",
			meanwhile: func(w *ceremonytest.World) {
				if err := w.Store.DeleteUser(w.Context(), "anna", events.ByApplication); err != nil {
					w.Fatal(err)
				}
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonChallengeUnknown,
		},
		{
			name: "after its person came back as somebody new",
			meanwhile: func(w *ceremonytest.World) {
				if err := w.Store.DeleteUser(w.Context(), "anna", events.ByApplication); err != nil {
					w.Fatal(err)
				}
				w.Clock.Move(time.Second)
				w.Track("anna", events.StateAllow, "")
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonChallengeUnknown,
		},
		{
			name: "after its action was blocked by somebody",
			meanwhile: func(w *ceremonytest.World) {
				for _, to := range []events.ActionState{events.StateReviewRequired, events.StateReviewFailed} {
					if _, err := w.Store.MoveAction(w.Context(), events.ActionID{User: "anna", Code: "payment", Key: "order-1"}, to, events.ByApplication); err != nil {
						w.Fatal(err)
					}
				}
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonBlocked,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ceremonytest.New(t)
			grant := w.TrackNew("anna")
			begun, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			tt.meanwhile(w)
			answer := ceremonytest.NewDevice(ceremonytest.Synced).Register(t, begun.Options)
			_, err = w.RP.FinishEnrolment(t.Context(), grant, begun.Challenge, answer, ceremonies.Client{})
			wantRefused(t, err, tt.code, tt.reason)
			if n := len(w.Account("anna").Authenticators); n != 0 {
				t.Errorf("the person has %d passkeys", n)
			}
		})
	}
}

// Tokens of one use that serve another: a redirect's, a link's or a page's as an access
// token. A page's permit must not serve an app, nor the other way round.
func TestTokensOfOtherUsesAreNoAccessTokens(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	uses := []ceremonies.Use{ceremonies.UseAccess, ceremonies.UseResult, ceremonies.UseLink, ceremonies.UsePage}
	for _, is := range uses {
		of := grant
		of.Use = is
		token, err := w.Tokens.Sign(of)
		if err != nil {
			t.Fatal(err)
		}
		for _, as := range uses {
			_, err := w.RP.Authorize(t.Context(), token, as)
			if is == as {
				if err != nil {
					t.Errorf("%s: %v", is, err)
				}
				continue
			}
			wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenInvalid)
			if as == ceremonies.UseLink {
				_, _, err = w.RP.Open(t.Context(), token)
				wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenInvalid)
			}
		}
	}
}

// Origins reduced to their host: another scheme or port, a subdomain, a suffix or a
// user name before the host must not pass for the origin.
func TestAnOriginIsMoreThanItsHost(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	for _, origin := range []string{
		"http://shop.example", "https://shop.example:8443", "https://shop.example.", "https://www.shop.example", "https://shop.example.evil.example",
		"https://evil.example/shop.example", "https://shop.example/", "https://shop.example/pay?x", "https://anna@shop.example", "HTTPS://SHOP.EXAMPLE",
		"https://shop.example:443", "https://shop.example@evil.example", "https://evilshop.example", "shop.example", "null", "",
		"android:apk-key-hash:c2hvcC5leGFtcGxl", "https://shop.example/\\@evil.example", "https://evil.example#https://shop.example",
	} {
		t.Run(origin, func(t *testing.T) {
			newcomer := w.TrackNew("bert")
			begun, err := w.RP.BeginEnrolment(t.Context(), newcomer, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			registering := ceremonytest.NewDevice(ceremonytest.Synced)
			registering.Party.Origin = origin
			_, err = w.RP.FinishEnrolment(t.Context(), newcomer, begun.Challenge, registering.Register(t, begun.Options), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonOriginMismatch)
			stepUp := w.Begin(grant)
			d.Party.Origin = origin
			_, err = w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonOriginMismatch)
			if w.State(grant.Action) == events.StateChallengeFailed {
				grant = w.Track("anna", events.StateChallengeRequired, "")
			}
		})
	}
}
