package ceremonies_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// Step 16 of section 7.1 and step 17 of section 7.2.
func TestUserVerificationIsWhatWasAskedFor(t *testing.T) {
	world := ceremonytest.New(t)
	for _, asked := range []string{"required", "preferred", "discouraged"} {
		for _, verified := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s and verified %t", asked, verified), func(t *testing.T) {
				w := world.In(t)
				w.RP = w.RelyingParty(func(c *ceremonies.Config) { c.UserVerification = asked })
				user := events.UserID(fmt.Sprintf("%s-%t", asked, verified))
				wanted := asked != "required" || verified
				s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
				if !verified {
					s.Flags &^= ceremonytest.UserVerified
				}
				grant := w.TrackNew(user)
				enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
				if err != nil {
					t.Fatal(err)
				}
				_, err = w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, s.Create(enrolment.Options).Write(), ceremonies.Client{})
				if !wanted {
					wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonUserNotVerified)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				grant = w.Track(user, events.StateChallengeRequired, "")
				stepUp := w.Begin(grant)
				if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, s.Get(stepUp.Options).Write(), ceremonies.Client{}); err != nil {
					t.Fatal(err)
				}
				story := w.Story(grant.Action)
				receipt, err := ceremonies.ReceiptOf(story[len(story)-1].Draft)
				if err != nil {
					t.Fatal(err)
				}
				if proven, err := ceremonies.VerifyReceipt(receipt); err != nil || proven.UserVerified != verified {
					t.Errorf("the receipt says verified %t, %v", proven.UserVerified, err)
				}
			})
		}
	}
}

// Steps 18 and 19 of section 7.2, all of them: what the passkey was, what it says
// that it is, and under which policy.
func TestBackupFlagsMayBecomeSyncedAndNothingElse(t *testing.T) {
	const be, bs = ceremonytest.BackupEligible, ceremonytest.BackupState
	accept, refuse := ceremonies.AcceptNewlySynced, ceremonies.RefuseNewlySynced
	tests := []struct {
		policy      ceremonies.BackupPolicy
		before, now byte
		refused     bool
	}{
		{policy: accept, before: 0, now: 0},
		{policy: accept, before: 0, now: be},
		{policy: accept, before: 0, now: be | bs},
		{policy: accept, before: 0, now: bs, refused: true},
		{policy: accept, before: be, now: 0, refused: true},
		{policy: accept, before: be, now: be},
		{policy: accept, before: be, now: be | bs},
		{policy: accept, before: be, now: bs, refused: true},
		{policy: accept, before: be | bs, now: 0, refused: true},
		{policy: accept, before: be | bs, now: be},
		{policy: accept, before: be | bs, now: be | bs},
		{policy: accept, before: be | bs, now: bs, refused: true},
		{policy: refuse, before: 0, now: 0},
		{policy: refuse, before: 0, now: be, refused: true},
		{policy: refuse, before: 0, now: be | bs, refused: true},
		{policy: refuse, before: 0, now: bs, refused: true},
		{policy: refuse, before: be, now: 0, refused: true},
		{policy: refuse, before: be, now: be},
		{policy: refuse, before: be, now: be | bs},
		{policy: refuse, before: be, now: bs, refused: true},
		{policy: refuse, before: be | bs, now: 0, refused: true},
		{policy: refuse, before: be | bs, now: be},
		{policy: refuse, before: be | bs, now: be | bs},
		{policy: refuse, before: be | bs, now: bs, refused: true},
	}
	world := ceremonytest.New(t)
	for i, test := range tests {
		t.Run(fmt.Sprintf("policy %d, from %#02x to %#02x", test.policy, test.before, test.now), func(t *testing.T) {
			w := world.In(t)
			w.RP = w.RelyingParty(func(c *ceremonies.Config) { c.Backup = test.policy })
			user := events.UserID(fmt.Sprintf("user-%d", i))
			s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
			plain := s.Flags
			s.Flags = plain | test.before
			w.EnrolSoftware(user, s)
			grant := w.Track(user, events.StateChallengeRequired, "")
			stepUp := w.Begin(grant)
			s.Flags = plain | test.now
			_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, s.Get(stepUp.Options).Write(), ceremonies.Client{})
			flags := test.now
			if test.refused {
				wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonBackupFlags)
				flags = test.before
			} else if err != nil {
				t.Fatal(err)
			}
			a := w.Account(user).Authenticators[0]
			if a.Synced != (flags&be != 0) || a.BackedUp != (flags&bs != 0) {
				t.Errorf("the passkey is kept as synced %t, backed up %t", a.Synced, a.BackedUp)
			}
		})
	}
}

// Steps 5 and 6 of section 7.2 where nobody has said who they are.
func TestSignInStepsAreRefused(t *testing.T) {
	world := ceremonytest.New(t)
	s, other := ceremonytest.NewSoftware(t, ceremonytest.ES256), ceremonytest.NewSoftware(t, ceremonytest.ES256)
	world.EnrolSoftware("anna", s)
	world.EnrolSoftware("bert", other)
	tests := map[string]struct {
		change        func(*ceremonytest.Assertion)
		reason        string
		challengeLeft bool
	}{
		"step 6: no user handle": {
			change: func(a *ceremonytest.Assertion) { a.UserHandle = nil }, reason: ceremonies.ReasonVerificationFailed,
		},
		"step 6: an empty user handle": {
			change: func(a *ceremonytest.Assertion) { a.UserHandle = []byte{} }, reason: ceremonies.ReasonVerificationFailed,
		},
		"step 6: the user handle of another person": {
			change: func(a *ceremonytest.Assertion) { a.UserHandle = other.UserHandle }, reason: ceremonies.ReasonUserHandle,
		},
		"step 6: the passkey of another person": {
			change: func(a *ceremonytest.Assertion) { a.ID = other.CredentialID }, reason: ceremonies.ReasonUserHandle,
		},
		"step 6: the passkey and the user handle of another person": {
			change: func(a *ceremonytest.Assertion) { a.ID, a.UserHandle = other.CredentialID, other.UserHandle }, reason: ceremonies.ReasonBadSignature,
		},
		"step 6: a passkey that nobody has": {
			change: func(a *ceremonytest.Assertion) { a.ID = bytes.Repeat([]byte{1}, 16) }, reason: ceremonies.ReasonUnknownCredential,
		},
		"step 11: another challenge": {
			change: func(a *ceremonytest.Assertion) { a.Client.Data["challenge"] = "AAAA" }, reason: ceremonies.ReasonChallengeMismatch,
		},
		"step 12: another origin": {
			change: func(a *ceremonytest.Assertion) { origin("https://evil.example")(&a.Client) }, reason: ceremonies.ReasonOriginMismatch,
		},
		"step 13: a frame": {
			change: func(a *ceremonytest.Assertion) { a.Client.Data["crossOrigin"] = true }, reason: ceremonies.ReasonCrossOrigin,
		},
		"step 15: another relying party": {change: rpHash("evil.example"), reason: ceremonies.ReasonRelyingParty},
		"step 16: nobody was present":    {change: clearFlag(ceremonytest.UserPresent), reason: ceremonies.ReasonUserNotPresent},
		"step 17: nobody was verified":   {change: clearFlag(ceremonytest.UserVerified), reason: ceremonies.ReasonUserNotVerified},
		"step 18: backed up and not eligible for it": {
			change: setFlag(ceremonytest.BackupState), reason: ceremonies.ReasonBackupFlags,
		},
		"step 21: another key": {
			change: func(a *ceremonytest.Assertion) { a.Key = other.Key }, reason: ceremonies.ReasonBadSignature,
		},
		"step 3: no signature": {
			change: responseMember("signature", 5), reason: ceremonies.ReasonMalformed, challengeLeft: true,
		},
	}
	for name, test := range tests {
		t.Run("7.2 "+name, func(t *testing.T) {
			w := world.In(t)
			begun, err := w.RP.BeginSignIn(t.Context(), "sign-in", name)
			if err != nil {
				t.Fatal(err)
			}
			assertion := s.Get(begun.Options)
			good := assertion.Write()
			test.change(assertion)
			tracked := 0
			track := func(ctx context.Context, id events.ActionID) error { tracked++; return w.SignIn(ctx, id) }
			_, err = w.RP.FinishSignIn(t.Context(), begun.Challenge, assertion.Write(), ceremonies.Client{}, track)
			wantRefused(t, err, codeOf(test.reason), test.reason)
			if tracked > 0 {
				t.Error("an action was tracked")
			}
			_, err = w.RP.FinishSignIn(t.Context(), begun.Challenge, good, ceremonies.Client{}, track)
			if test.challengeLeft {
				if err != nil {
					t.Errorf("the right answer afterwards: %v", err)
				}
				return
			}
			wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
		})
	}
}

// A challenge serves the ceremony that it was begun for.
func TestProofOfAnotherCeremonyIsRefused(t *testing.T) {
	world := ceremonytest.New(t)
	tests := map[string]struct {
		finish func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error
		reason string
		tries  int
	}{
		"an answer after its time": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				begun := w.Begin(grant)
				w.Clock.Move(ceremonies.DefaultChallengeTTL)
				_, err := w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, s.Get(begun.Options).Write(), ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeExpired,
		},
		"an old answer to a new challenge": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				old, begun := w.Begin(grant), w.Begin(grant)
				_, err := w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, s.Get(old.Options).Write(), ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeMismatch, tries: 1,
		},
		"the challenge of another action": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				begun := w.Begin(w.Track(grant.Action.User, events.StateChallengeRequired, ""))
				_, err := w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, s.Get(begun.Options).Write(), ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeUnknown,
		},
		"the challenge of a change": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				begun, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: ceremonies.ForRecoveryCodes})
				if err != nil {
					t.Fatal(err)
				}
				_, err = w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, s.Get(begun.Options).Write(), ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonWrongPurpose,
		},
		"the challenge of a sign-in": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				begun, err := w.RP.BeginSignIn(t.Context(), "sign-in", "1")
				if err != nil {
					t.Fatal(err)
				}
				_, err = w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, s.Get(begun.Options).Write(), ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeUnknown,
		},
		"the challenge of an action, as a sign-in": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				begun := w.Begin(grant)
				_, err := w.RP.FinishSignIn(t.Context(), begun.Challenge, s.Get(begun.Options).Write(), ceremonies.Client{}, w.SignIn)
				return err
			}, reason: ceremonies.ReasonChallengeUnknown,
		},
		"a proof where a registration is asked for": {
			finish: func(t *testing.T, w *ceremonytest.World, s *ceremonytest.Software, grant ceremonies.Grant) error {
				begun := w.Begin(grant)
				_, err := w.RP.FinishEnrolment(t.Context(), grant, begun.Challenge, s.Get(begun.Options).Write(), ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonMalformed,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := world.In(t)
			user := events.UserID(name)
			s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
			w.EnrolSoftware(user, s)
			grant := w.Track(user, events.StateChallengeRequired, "")
			wantRefused(t, test.finish(t, w, s, grant), codeOf(test.reason), test.reason)
			wantAction(t, w, grant, events.StateChallengeRequired, test.tries)
		})
	}
}
