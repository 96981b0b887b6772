package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// authenticator gives a user one that has no credential.
func authenticator(tb testing.TB, s *store.Store, user string, method events.Method) ceremonies.Authenticator {
	tb.Helper()
	a := withoutCredential(user, method)
	if err := s.AddAuthenticator(tb.Context(), a, events.ByApplication); err != nil {
		tb.Fatal(err)
	}
	return a
}

func withoutCredential(user string, method events.Method) ceremonies.Authenticator {
	a := ceremonies.Authenticator{
		ID: events.AuthenticatorID(string(method) + "-" + user), User: events.UserID(user), Method: method, Name: string(method), CreatedAt: base,
	}
	switch method {
	case events.MethodEmailOTP:
		a.Email = user + "@example.com"
	case events.MethodAuthenticatorApp:
		a.Secret = []byte("sealed")
	}
	return a
}

// hashes are n keyed hashes of recovery codes.
func hashes(user string, n int) [][]byte {
	var all [][]byte
	for i := range n {
		all = append(all, fmt.Appendf(nil, "hash-%s-%d", user, i))
	}
	return all
}

// withCodes gives a user a passkey and recovery codes, by a proof for those.
func withCodes(tb testing.TB, s *store.Store, user string, n int) ceremonies.Authenticator {
	tb.Helper()
	id, proof := action(user, 900+n), enrol(tb, s, user, 1)
	track(tb, s, id, events.StateAllow)
	c := challenge(id, 1)
	c.Purpose = ceremonies.ForRecoveryCodes
	o := outcome(tb, taken(tb, s, c), events.KindCeremonySucceeded)
	o.Proof, o.Codes, o.CodesAuthenticator = &proof, hashes(user, n), withoutCredential(user, events.MethodRecoveryCode)
	if _, err := s.Finish(tb.Context(), o); err != nil {
		tb.Fatal(err)
	}
	return proof
}

func account(tb testing.TB, s *store.Store, user events.UserID) ceremonies.Account {
	tb.Helper()
	a, err := s.Account(tb.Context(), user)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// methodsOf are the methods of a person, the preferred one first, as decisions read them.
func methodsOf(tb testing.TB, s *store.Store, user events.UserID) []events.Method {
	tb.Helper()
	p, err := s.Profile(tb.Context(), user, "", "")
	if err != nil {
		tb.Fatal(err)
	}
	return p.Methods
}

func TestARemovalTakesWhatItNames(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		proof := withCodes(t, s, "jane", 3)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		removal := func(n int, remove events.AuthenticatorID) ceremonies.Outcome {
			c := challenge(id, n)
			c.Purpose, c.Subject = ceremonies.ForRemoving, string(remove)
			o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
			o.Proof, o.Remove = &proof, remove
			return o
		}
		if result, err := s.Finish(t.Context(), removal(2, "RECOVERY_CODE-jane")); err != nil || result.State != events.StateChallengeRequired {
			t.Fatalf("finish: %+v, %v", result, err)
		}
		if a := account(t, s, "jane"); len(a.Authenticators) != 1 || a.Codes != 0 {
			t.Errorf("the codes stayed: %+v", a)
		}
		if diff := cmp.Diff([]events.Method{events.MethodPasskey}, methodsOf(t, s, "jane")); diff != "" {
			t.Error(diff)
		}
		// A passkey may remove itself.
		if _, err := s.Finish(t.Context(), removal(3, proof.ID)); err != nil {
			t.Fatal(err)
		}
		if a := account(t, s, "jane"); len(a.Authenticators) != 0 || len(methodsOf(t, s, "jane")) != 0 {
			t.Errorf("account %+v", a)
		}
	})
}

// A refusal leaves the closed challenge and a failure event, and nothing else.
func TestARefusedOutcomeChangesNothing(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		tests := []struct {
			name    string
			user    string
			prepare func(t *testing.T, id events.ActionID, c ceremonies.Challenge) ceremonies.Outcome
			want    error
			reason  string
		}{
			{
				name: "a removal of what is gone keeps the recovery code", user: "r1", want: ceremonies.ErrRemoved, reason: ceremonies.ReasonNoAuthenticator,
				prepare: func(t *testing.T, _ events.ActionID, c ceremonies.Challenge) ceremonies.Outcome {
					withCodes(t, s, "r1", 3)
					codes := withoutCredential("r1", events.MethodRecoveryCode)
					c.Purpose, c.Subject = ceremonies.ForRemoving, "gone"
					o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
					o.Proof, o.Code, o.Remove = &codes, hashes("r1", 3)[0], "gone"
					return o
				},
			},
			{
				name: "a passkey that exists keeps the permit", user: "r2", want: ceremonies.ErrCredentialExists, reason: ceremonies.ReasonCredentialExists,
				prepare: func(t *testing.T, _ events.ActionID, c ceremonies.Challenge) ceremonies.Outcome {
					added := passkey("r2", 2)
					added.CredentialID = enrol(t, s, "r2", 1).CredentialID
					c.Purpose, c.Kind = ceremonies.ForEnrolment, ceremonies.Registration
					o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
					o.New, o.Permit, o.PermitExpires = &added, "permit", base.Add(time.Hour)
					return o
				},
			},
			{
				name: "a permit that was used adds nothing", user: "r3", want: ceremonies.ErrSpent, reason: ceremonies.ReasonPermitUsed,
				prepare: func(t *testing.T, _ events.ActionID, c ceremonies.Challenge) ceremonies.Outcome {
					authenticator(t, s, "r3", events.MethodEmailOTP)
					added := withoutCredential("r3", events.MethodEmailOTP)
					added.ID, added.Email = "another", "other@example.com"
					c.Purpose, c.Kind = ceremonies.ForEnrolment, ceremonies.Registration
					o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
					o.New, o.Permit, o.PermitExpires = &added, "used", base.Add(time.Hour)
					if _, err := s.Redeem(t.Context(), "permit:used", base.Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
					return o
				},
			},
			{
				name: "a recovery code that is not there", user: "r4", want: ceremonies.ErrSpent, reason: ceremonies.ReasonCodeUsed,
				prepare: func(t *testing.T, _ events.ActionID, c ceremonies.Challenge) ceremonies.Outcome {
					withCodes(t, s, "r4", 3)
					codes := withoutCredential("r4", events.MethodRecoveryCode)
					o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
					o.Proof, o.Code = &codes, hashes("r2", 3)[0]
					return o
				},
			},
			{
				name: "a time step that is not newer", user: "r5", want: ceremonies.ErrSpent, reason: ceremonies.ReasonCodeUsed,
				prepare: func(t *testing.T, _ events.ActionID, c ceremonies.Challenge) ceremonies.Outcome {
					app := withoutCredential("r5", events.MethodAuthenticatorApp)
					app.LastStep = 7
					if err := s.AddAuthenticator(t.Context(), app, events.ByApplication); err != nil {
						t.Fatal(err)
					}
					o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
					o.Proof, o.Step = &app, 7
					return o
				},
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				id := action(tt.user, 1)
				track(t, s, id, events.StateChallengeRequired)
				o := tt.prepare(t, id, challenge(id, 1))
				has, before := account(t, s, id.User), len(wholeLog(t, s))
				if _, err := s.Finish(t.Context(), o); !errors.Is(err, tt.want) {
					t.Fatalf("finish: %v; want %v", err, tt.want)
				}
				if diff := cmp.Diff(has, account(t, s, id.User)); diff != "" {
					t.Errorf("account (-before +after):\n%s", diff)
				}
				if o.Permit == "permit" {
					if first, err := s.Redeem(t.Context(), "permit:permit", base.Add(time.Hour)); err != nil || !first {
						t.Errorf("the permit was used up: %v", err)
					}
				}
				log := wholeLog(t, s)[before:]
				if len(log) != 1 || log[0].Kind != events.KindCeremonyFailed {
					t.Fatalf("events %v", kinds(t, s, before))
				}
				record, err := log[0].Decode()
				if err != nil || record.(*events.Ceremony).Reason != tt.reason {
					t.Errorf("event %+v, %v", record, err)
				}
				if n := triesOf(t, s, id); n != 0 {
					t.Errorf("%d tries", n)
				}
			})
		}
	})
}

// An answer that was counted and came too late is a wrong one, also when it is the
// last.
func TestACountedAnswerThatIsRefusedMayBeTheLastTry(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		app := withoutCredential("jane", events.MethodAuthenticatorApp)
		app.LastStep = 7
		if err := s.AddAuthenticator(t.Context(), app, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		for n := 1; n <= 3; n++ {
			c, err := s.Attempt(t.Context(), atOnce(t, challenge(id, n)))
			if err != nil {
				t.Fatal(err)
			}
			o := outcome(t, c, events.KindCeremonySucceeded)
			o.Proof, o.Step, o.Counted = &app, 7, true
			want := ceremonies.Result{State: events.StateChallengeRequired, Tries: n}
			if n == 3 {
				want.State = events.StateChallengeFailed
			}
			result, err := s.Finish(t.Context(), o)
			if !errors.Is(err, ceremonies.ErrSpent) || result != want {
				t.Errorf("finish %d: %+v, %v; want %+v", n, result, err, want)
			}
			log := wholeLog(t, s)
			if last := log[len(log)-1]; (last.State == events.StateChallengeFailed) != (n == 3) {
				t.Errorf("the event of try %d moves to %q", n, last.State)
			}
		}
	})
}

// A right answer that was counted takes its try back, and begins its meters anew.
func TestACountedRightAnswerIsNoTry(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		app := authenticator(t, s, "jane", events.MethodAuthenticatorApp)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		own, shared := meter("wrong:user:jane", 10), meter("wrong:address:x", 100)
		shared.Shared = true
		attempt := func(n int) ceremonies.Challenge {
			a := atOnce(t, challenge(id, n))
			a.Meters = []ceremonies.Meter{own, shared}
			c, err := s.Attempt(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		wrong := outcome(t, attempt(1), events.KindCeremonyFailed)
		wrong.Counted = true
		if result, err := s.Finish(t.Context(), wrong); err != nil || result.Tries != 1 {
			t.Fatalf("a wrong one: %+v, %v", result, err)
		}
		o := outcome(t, attempt(2), events.KindCeremonySucceeded)
		o.Proof, o.Step, o.Counted, o.Meters = &app, 8, true, []ceremonies.Meter{own, shared}
		result, err := s.Finish(t.Context(), o)
		if err != nil || result != (ceremonies.Result{State: events.StateChallengeSucceeded, Tries: 1}) {
			t.Errorf("finish: %+v, %v", result, err)
		}
		if n, _ := used(t, s, own.Name); n != 0 {
			t.Errorf("the person's meter has counted %d", n)
		}
		// Behind an address may be others, whose wrong answers are not forgiven.
		if n, _ := used(t, s, shared.Name); n != 1 {
			t.Errorf("the address's meter has counted %d; want the wrong answer", n)
		}
		if a := account(t, s, "jane"); a.Authenticators[0].LastStep != 8 {
			t.Errorf("authenticator %+v", a.Authenticators[0])
		}
		if a, err := s.TrackedAction(t.Context(), id); err != nil || a.Method != events.MethodPasskey && a.Method != events.MethodAuthenticatorApp {
			t.Errorf("action %+v, %v", a, err)
		}
	})
}

// A code that was sent may be mistyped, as often as its ceremony survives.
func TestAnAnsweredCodeIsReopened(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		c := begun(t, s, byCode(id, 1))
		for n := 1; n <= 3; n++ {
			got, err := s.Attempt(t.Context(), answer(c))
			if err != nil {
				t.Fatalf("answer %d: %v", n, err)
			}
			o := outcome(t, got, events.KindCeremonyFailed)
			o.Counted, o.Reopen, o.Tries = true, true, 5
			if result, err := s.Finish(t.Context(), o); err != nil || result.Tries != n {
				t.Fatalf("answer %d: %+v, %v", n, result, err)
			}
			if _, err := s.Finish(t.Context(), o); !errors.Is(err, ceremonies.ErrTaken) {
				t.Errorf("answer %d was finished twice: %v", n, err)
			}
		}
		if _, err := s.Attempt(t.Context(), answer(c)); !errors.Is(err, ceremonies.ErrTaken) {
			t.Errorf("a fourth answer: %v; want ErrTaken", err)
		}
		if _, err := s.Pending(t.Context(), id, c.Kind, c.Method, base); !errors.Is(err, ceremonies.ErrNoChallenge) {
			t.Errorf("it is still pending: %v", err)
		}
		if n, err := s.Sweep(t.Context(), base.Add(time.Hour), never(t)); err != nil || n != 0 {
			t.Errorf("%d ceremonies ended twice, %v", n, err)
		}
	})
}

// never is for a sweep that must end nothing of a person.
func never(t *testing.T) func(ceremonies.Challenge, string) (events.Draft, error) {
	return func(c ceremonies.Challenge, reason string) (events.Draft, error) {
		t.Errorf("the ceremony %s ended for %s", c.ID, reason)
		return step(t, events.KindCeremonyAbandoned, c, "", 0), nil
	}
}
