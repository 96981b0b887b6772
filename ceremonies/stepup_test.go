package ceremonies_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

func TestStepUpProvesTheAction(t *testing.T) {
	for name, kind := range map[string]ceremonytest.Kind{"synced passkey": ceremonytest.Synced, "device-bound passkey": ceremonytest.DeviceBound} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			d := w.Enrolled("anna", kind)
			grant := w.Track("anna", events.StateChallengeRequired, "")
			w.Clock.Move(time.Second)
			stepUp := w.Begin(grant)
			proof, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options),
				ceremonies.Client{UserAgent: "Firefox", DeviceID: "device-1"})
			if err != nil {
				t.Fatal(err)
			}
			if proof.State != events.StateChallengeSucceeded || w.State(grant.Action) != events.StateChallengeSucceeded {
				t.Errorf("the action is %s and stored as %s", proof.State, w.State(grant.Action))
			}
			if proof.Authenticator.Synced != bool(kind) || !proof.Authenticator.LastVerifiedAt.Equal(w.Clock.Now()) {
				t.Errorf("authenticator after the proof: %+v", proof.Authenticator)
			}
			renewed, err := w.RP.Authorize(t.Context(), proof.Token, ceremonies.UseAccess)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(proof.Grant, renewed); diff != "" {
				t.Errorf("the token does not say what the proof's grant says (-grant +token):\n%s", diff)
			}
			if renewed.Allows(ceremonies.ScopeAdd) {
				t.Error("a payment's proof allows enrolment")
			}
			step := w.Last(grant.Action)
			if step.Step != events.KindCeremonySucceeded || step.State != events.StateChallengeSucceeded || step.Authenticator != proof.Authenticator.ID {
				t.Errorf("recorded %+v", step)
			}
		})
	}
}

func TestStepUpOptions(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	options := w.Begin(w.Track("anna", events.StateChallengeRequired, "")).Options
	want := ceremonies.RequestOptions{
		Challenge: options.Challenge, Timeout: 120_000, RelyingPartyID: ceremonytest.ID, UserVerification: "required",
		AllowCredentials: []ceremonies.CredentialDescriptor{{ID: d.Credential.ID, Type: "public-key", Transports: []string{}}},
		Hints:            []string{}, Extensions: map[string]any{},
	}
	if diff := cmp.Diff(want, options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if len(options.Challenge) != 32 {
		t.Errorf("the challenge has %d bytes", len(options.Challenge))
	}
}

func TestStepUpIsRefused(t *testing.T) {
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }
	tests := map[string]struct {
		kind   ceremonytest.Kind
		before func(w *ceremonytest.World, d *ceremonytest.Device, grant ceremonies.Grant) // between begin and finish
		answer func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte
		code   string
		reason string
	}{
		"wrong origin: another port": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Party.Origin = ceremonytest.Origin + ":8443"
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonOriginMismatch,
		},
		"wrong origin: another scheme": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Party.Origin = "http://shop.example"
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonOriginMismatch,
		},
		"another relying party": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Party.ID = "evil.example"
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonRelyingParty,
		},
		"the user was not verified": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Authenticator.Options.UserNotVerified = true
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonUserNotVerified,
		},
		"the user was not present": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Authenticator.Options.UserNotPresent = true
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonUserNotPresent,
		},
		"bogus signature": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				return edit(t, d.Answer(t, s.Options), "signature", flip)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonBadSignature,
		},
		"client data changed after signing": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				return edit(t, d.Answer(t, s.Options), "clientDataJSON", func(b []byte) []byte { return append(b, ' ') })
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonBadSignature,
		},
		"a registration instead of a proof": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				return edit(t, d.Answer(t, s.Options), "clientDataJSON", func(b []byte) []byte {
					return bytes.Replace(b, []byte("webauthn.get"), []byte("webauthn.create"), 1)
				})
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonWrongType,
		},
		"in a frame of another site": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				return edit(t, d.Answer(t, s.Options), "clientDataJSON", func(b []byte) []byte {
					return bytes.Replace(b, []byte("{"), []byte(`{"crossOrigin":true,`), 1)
				})
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonCrossOrigin,
		},
		"another action's challenge": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				s.Options.Challenge = w.Begin(w.Track("anna", events.StateChallengeRequired, "")).Options.Challenge
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonChallengeMismatch,
		},
		"somebody else's passkey": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				return w.Enrolled("bert", ceremonytest.Synced).Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonForeignCredential,
		},
		"the person's own passkey, removed here": {
			before: func(w *ceremonytest.World, d *ceremonytest.Device, grant ceremonies.Grant) {
				w.Remove("anna")
			},
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Authenticator.Options.UserHandle = w.Account("anna").Handle
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeUnknownCredential, reason: ceremonies.ReasonUnknownCredential,
		},
		"another person's user handle": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Authenticator.Options.UserHandle = bytes.Repeat([]byte("x"), 32)
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonUserHandle,
		},
		"sign count of a device-bound passkey goes back": {
			before: func(w *ceremonytest.World, d *ceremonytest.Device, grant ceremonies.Grant) {
				d.Credential.Counter = 9
				w.Prove("anna", d, "")
			},
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Credential.Counter = 4
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonSignCountRegress,
		},
		"sign count of a device-bound passkey drops to zero": {
			before: func(w *ceremonytest.World, d *ceremonytest.Device, grant ceremonies.Grant) {
				d.Credential.Counter = 9
				w.Prove("anna", d, "")
			},
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Credential.Counter = 0
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonSignCountRegress,
		},
		"a synced passkey says it is bound to its device": {
			kind: ceremonytest.Synced,
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Authenticator.Options.BackupEligible, d.Authenticator.Options.BackupState = false, false
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonBackupFlags,
		},
		"backed up but not eligible for it": {
			answer: func(t *testing.T, w *ceremonytest.World, d *ceremonytest.Device, s ceremonies.StepUp) []byte {
				d.Authenticator.Options.BackupState = true
				return d.Answer(t, s.Options)
			},
			code: ceremonies.CodeInvalidCredential, reason: ceremonies.ReasonBackupFlags,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			d := w.Enrolled("anna", test.kind)
			grant := w.Track("anna", events.StateChallengeRequired, "")
			stepUp := w.Begin(grant)
			if test.before != nil {
				test.before(w, d, grant)
			}
			good := d.Answer(t, stepUp.Options)
			_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, test.answer(t, w, d, stepUp), ceremonies.Client{})
			refused := wantRefused(t, err, test.code, test.reason)
			if refused.State != "" || w.State(grant.Action) != events.StateChallengeRequired {
				t.Errorf("the action became %s", w.State(grant.Action))
			}
			step := w.Last(grant.Action)
			if step.Step != events.KindCeremonyFailed || step.Reason != test.reason || step.Tries != 1 {
				t.Errorf("recorded %s for %q with %d tries", step.Step, step.Reason, step.Tries)
			}
			_, err = w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, good, ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
		})
	}
}

func TestStepUpAcceptsAndRecords(t *testing.T) {
	tests := map[string]struct {
		kind   ceremonytest.Kind
		policy ceremonies.SignCountPolicy
		change func(d *ceremonytest.Device)
		note   string
	}{
		"a synced passkey's counter that goes back": {
			kind: ceremonytest.Synced, change: func(d *ceremonytest.Device) { d.Credential.Counter = 2 }, note: "sign_count_regress: 2 after 9",
		},
		"a regress where the policy says so": {
			policy: ceremonies.AcceptSignCountRegress, change: func(d *ceremonytest.Device) { d.Credential.Counter = 2 }, note: "sign_count_regress: 2 after 9",
		},
		"a counter that rises": {
			change: func(d *ceremonytest.Device) { d.Credential.Counter = 10 },
		},
		"a device-bound passkey that begins to sync": {
			change: func(d *ceremonytest.Device) {
				d.Credential.Counter = 10
				d.Authenticator.Options.BackupEligible, d.Authenticator.Options.BackupState = true, true
			},
			note: "the passkey became synced",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t, func(c *ceremonies.Config) { c.SignCount = test.policy })
			d := w.Enrolled("anna", test.kind)
			d.Credential.Counter = 9
			w.Prove("anna", d, "")
			test.change(d)
			grant := w.Prove("anna", d, "")
			if got := w.Last(grant.Action).Detail; got != test.note {
				t.Errorf("recorded the note %q, want %q", got, test.note)
			}
			account, err := w.Store.Account(t.Context(), "anna")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := account.Authenticators[0].Synced, d.Authenticator.Options.BackupEligible; got != want {
				t.Errorf("stored as synced %v, the passkey says %v", got, want)
			}
		})
	}
}

func TestChallengeIsAnsweredOnce(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	answer := d.Answer(t, stepUp.Options)
	var wins, losses int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{})
			mu.Lock()
			defer mu.Unlock()
			var refused *ceremonies.RefusedError
			switch {
			case err == nil:
				wins++
			case errors.As(err, &refused) && refused.Reason == ceremonies.ReasonChallengeTaken:
				losses++
			default:
				t.Errorf("unexpected error: %v", err)
			}
		})
	}
	group.Wait()
	if wins != 1 || losses != 15 {
		t.Errorf("%d answers won and %d were told it was taken", wins, losses)
	}
}

func TestTwoCeremoniesProveAnActionOnce(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	one, two := w.Begin(grant), w.Begin(grant)
	if _, err := w.RP.FinishStepUp(t.Context(), grant, one.Challenge, d.Answer(t, one.Options), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	_, err := w.RP.FinishStepUp(t.Context(), grant, two.Challenge, d.Answer(t, two.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
}

func TestChallengeExpiresByOurClock(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	w.Clock.Move(stepUp.Expires.Sub(w.Clock.Now()))
	_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeExpired)

	n, err := w.RP.Sweep(t.Context())
	if err != nil || n != 1 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if step := w.Last(grant.Action); step.Step != events.KindCeremonyAbandoned || step.Reason != ceremonies.ReasonTimeout {
		t.Errorf("recorded %s for %q", step.Step, step.Reason)
	}
	if got := w.State(grant.Action); got != events.StateChallengeRequired {
		t.Errorf("the action became %s", got)
	}
}

func TestChallengeBelongsToItsAction(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	other := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	_, err := w.RP.FinishStepUp(t.Context(), other, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeUnknown)
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{}); err != nil {
		t.Errorf("the rightful answer came too late: %v", err)
	}
}

func TestLastTryFailsTheAction(t *testing.T) {
	w := ceremonytest.New(t, func(c *ceremonies.Config) { c.Tries = 3 })
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	d.Authenticator.Options.UserNotVerified = true
	var refused *ceremonies.RefusedError
	for range 3 {
		stepUp := w.Begin(grant)
		_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
		refused = wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonUserNotVerified)
	}
	if refused.State != events.StateChallengeFailed || w.State(grant.Action) != events.StateChallengeFailed {
		t.Errorf("after the last try the refusal says %q and the action is %s", refused.State, w.State(grant.Action))
	}
	if step := w.Last(grant.Action); step.State != events.StateChallengeFailed || step.Tries != 3 {
		t.Errorf("recorded state %q and %d tries", step.State, step.Tries)
	}
	_, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Shown: true})
	wantRefused(t, err, ceremonies.CodeTooManyRequests, ceremonies.ReasonTriesUsedUp)
}

func TestBeginStepUpIsRefused(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	tests := map[string]struct {
		grant  ceremonies.Grant
		code   string
		reason string
	}{
		"an action that needs no proof": {
			grant: w.Track("anna", events.StateAllow, ""), code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonActionNotOpen,
		},
		"an action that was decided before the person had a passkey": {
			grant: func() ceremonies.Grant {
				grant := w.Track("cleo", events.StateChallengeRequired, "")
				w.Enrolled("cleo", ceremonytest.Synced)
				return w.Grant(grant.Action, ceremonies.ScopeRead)
			}(), code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonNotEnrolledThen,
		},
		"an action that nobody tracked": {
			grant: w.Grant(events.ActionID{User: "anna", Code: "payment", Key: "none"}, ""), code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonActionUnknown,
		},
		"a person who is gone": {
			grant: w.Grant(events.ActionID{User: "zoe", Code: "payment", Key: "1"}, ""), code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonUserUnknown,
		},
		"tokens that were taken back": {
			grant: func() ceremonies.Grant {
				grant := w.Track("anna", events.StateChallengeRequired, "")
				grant.Generation--
				return grant
			}(), code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonTokenGeneration,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := w.RP.BeginStepUp(t.Context(), test.grant, ceremonies.Ask{Shown: true})
			wantRefused(t, err, test.code, test.reason)
		})
	}
}

func TestMalformedAnswerCostsNothing(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	for name, answer := range map[string][]byte{
		"empty": nil, "no JSON": []byte("no"), "another object": []byte(`{"id":"x"}`), "too long": make([]byte, ceremonies.MaxAnswer+1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonMalformed)
		})
	}
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{}); err != nil {
		t.Errorf("the right answer afterwards: %v", err)
	}
}

func TestDenyFailsTheActionAndEndsTheTokens(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	token, err := w.Tokens.Sign(grant)
	if err != nil {
		t.Fatal(err)
	}
	stepUp := w.Begin(grant)
	if err := w.RP.Deny(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	if got := w.State(grant.Action); got != events.StateChallengeFailed {
		t.Errorf("the action is %s", got)
	}
	if step := w.Last(grant.Action); step.Step != events.KindCeremonyDenied {
		t.Errorf("recorded %s", step.Step)
	}
	_, err = w.RP.Authorize(t.Context(), token, ceremonies.UseAccess)
	wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenGeneration)
	_, err = w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonTokenGeneration)
	result, err := w.RP.ResultToken(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RP.Authorize(t.Context(), result, ceremonies.UseResult); err != nil {
		t.Errorf("the application cannot ask how it ended: %v", err)
	}
	wantRefused(t, w.RP.Deny(t.Context(), w.Grant(grant.Action, "")), ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
}
