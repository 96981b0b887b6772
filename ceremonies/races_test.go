package ceremonies_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// callers want each thing that can be had once.
const callers = 50

// 1,000 passkey challenges get 50 answers each at once, all of them right. Each
// proves its action exactly once, and all others are refused.
func TestOneOfManyAnswersProves(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	const challenges = 1000
	type begun struct {
		grant  ceremonies.Grant
		id     events.ChallengeID
		answer []byte
	}
	all := make([]begun, challenges)
	for i := range all {
		grant := w.Track("anna", events.StateChallengeRequired, "")
		stepUp := w.Begin(grant)
		all[i] = begun{grant, stepUp.Challenge, d.Answer(t, stepUp.Options)}
	}
	errs := crowd(challenges*callers, func(i int) error {
		c := all[i/callers]
		_, err := w.RP.FinishStepUp(t.Context(), c.grant, c.id, c.answer, ceremonies.Client{})
		return err
	})
	won := make([]int, challenges)
	for i, err := range errs {
		if err == nil {
			won[i/callers]++
		}
	}
	for i, n := range won {
		if n != 1 {
			t.Errorf("challenge %d was answered %d times", i, n)
		}
	}
	got := tally(t, errs)
	if got[""] != challenges || got[ceremonies.ReasonChallengeTaken] != challenges*(callers-1) {
		t.Errorf("answers ended as %v", got)
	}
	written := log(w)
	if n := len(steps(t, written, events.KindCeremonySucceeded)); n != challenges+1 { // one of them enrolled
		t.Errorf("%d succeeded events", n)
	}
	if failed := reasons(t, written); len(failed) != 0 {
		t.Errorf("failed events %v", failed)
	}
}

// A person's ten recovery codes are used 50 times each at once, each for an action of
// its own kind: each code proves once.
func TestARecoveryCodeIsUsedOnce(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	codes := recovery(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	grants := make([]ceremonies.Grant, len(codes)*callers)
	for i := range grants {
		grants[i] = w.Track("anna", events.StateChallengeRequired, "")
	}
	before := len(log(w))
	errs := crowd(len(grants), func(i int) error {
		_, err := w.RP.FinishCode(t.Context(), grants[i], ask(events.MethodRecoveryCode), "", codes[i/callers], ceremonies.Client{})
		return err
	})
	won := make([]int, len(codes))
	for i, err := range errs {
		if err == nil {
			won[i/callers]++
		}
	}
	for i, n := range won {
		if n != 1 {
			t.Errorf("code %d proved %d times", i, n)
		}
	}
	got := tally(t, errs)
	used := got[ceremonies.ReasonWrongCode] + got[ceremonies.ReasonCodeUsed] + got[ceremonies.ReasonNoAuthenticator]
	if used != len(grants)-len(codes) {
		t.Errorf("answers ended as %v", got)
	}
	if n := len(steps(t, log(w)[before:], events.KindCeremonySucceeded)); n != len(codes) {
		t.Errorf("%d succeeded events", n)
	}
	if account := w.Account("anna"); account.Codes != 0 {
		t.Errorf("%d codes are left", account.Codes)
	}
}

// unlimited raises the limits out of the way.
func unlimited(c *ceremonies.Config) {
	c.Limits = ceremonies.DefaultLimits
	c.Limits.Wrong, c.Limits.WrongPerAddress, c.Limits.Sent, c.Limits.SentPerAddress = 1<<30, 1<<30, 1<<30, 1<<30
}

// One code of an app is shown for 50 actions at once: its time step proves one.
func TestATimeStepIsUsedOnce(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	code := app(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	for range 4 {
		w.Clock.Move(time.Minute)
		grants := make([]ceremonies.Grant, callers)
		for i := range grants {
			grants[i] = w.Track("anna", events.StateChallengeRequired, "")
		}
		before, shown := len(log(w)), code()
		got := tally(t, crowd(callers, func(i int) error {
			_, err := w.RP.FinishCode(t.Context(), grants[i], ask(events.MethodAuthenticatorApp), "", shown, ceremonies.Client{})
			return err
		}))
		if got[""] != 1 || got[ceremonies.ReasonCodeUsed] != callers-1 {
			t.Errorf("answers ended as %v", got)
		}
		if n := len(steps(t, log(w)[before:], events.KindCeremonySucceeded)); n != 1 {
			t.Errorf("%d succeeded events", n)
		}
		proven := 0
		for _, grant := range grants {
			if w.State(grant.Action) == events.StateChallengeSucceeded {
				proven++
			}
		}
		if proven != 1 {
			t.Errorf("%d actions are proven", proven)
		}
	}
}

// Codes by mail are answered 50 times at once, rightly, wrongly, and mixed.
func TestOneOfManyAnswersToAMailedCodeProves(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
	t.Run("all right", func(t *testing.T) {
		for range 10 {
			grant := w.Track("anna", events.StateChallengeRequired, "")
			id, code := send(w, grant, ask(events.MethodEmailOTP))
			before := len(log(w))
			got := tally(t, crowd(callers, func(int) error {
				_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), id, code, ceremonies.Client{})
				return err
			}))
			if got[""] != 1 || got[ceremonies.ReasonChallengeTaken]+got[ceremonies.ReasonActionNotOpen] != callers-1 {
				t.Errorf("answers ended as %v", got)
			}
			if n := len(steps(t, log(w)[before:], events.KindCeremonySucceeded)); n != 1 {
				t.Errorf("%d succeeded events", n)
			}
		}
	})
	t.Run("all wrong", func(t *testing.T) {
		for range 10 {
			grant := w.Track("anna", events.StateChallengeRequired, "")
			id, code := send(w, grant, ask(events.MethodEmailOTP))
			before := len(log(w))
			got := tally(t, crowd(callers, func(int) error {
				_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), id, another(code), ceremonies.Client{})
				return err
			}))
			checked := reasons(t, log(w)[before:])[ceremonies.ReasonWrongCode]
			if got[ceremonies.ReasonWrongCode] != checked || checked > 3 || checked == 0 || got[ceremonies.ReasonChallengeTaken] != callers-checked {
				t.Errorf("%d answers were checked: %v", checked, got)
			}
		}
	})
	t.Run("right and wrong", func(t *testing.T) {
		for range 20 {
			grant := w.Track("anna", events.StateChallengeRequired, "")
			id, code := send(w, grant, ask(events.MethodEmailOTP))
			before := len(log(w))
			got := tally(t, crowd(callers, func(i int) error {
				answer := code
				if i%2 == 0 {
					answer = another(code)
				}
				_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), id, answer, ceremonies.Client{})
				return err
			}))
			if n := reasons(t, log(w)[before:])[ceremonies.ReasonWrongCode] + got[""]; n > 3 || got[""] > 1 {
				t.Errorf("%d answers were checked: %v", n, got)
			}
		}
	})
}

// Wrong and right codes of an app at once: no more than the tries are checked.
func TestRightAndWrongAnswersShareTheTries(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	code := app(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	for round := range 20 {
		w.Clock.Move(time.Minute)
		grant := w.Track("anna", events.StateChallengeRequired, "")
		before, right := len(log(w)), code()
		got := tally(t, crowd(callers, func(i int) error {
			answer := another(right)
			if i%8 == round%8 {
				answer = right
			}
			_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodAuthenticatorApp), "", answer, ceremonies.Client{})
			return err
		}))
		written := log(w)[before:]
		checked := len(steps(t, written, events.KindCeremonyBegun))
		if checked > ceremonies.DefaultTries || got[""] > 1 {
			t.Fatalf("%d answers were checked: %v", checked, got)
		}
		state := w.State(grant.Action)
		if (state == events.StateChallengeSucceeded) != (got[""] == 1) || got[""] == 0 && state != events.StateChallengeFailed {
			t.Errorf("the action is %s after %v", state, got)
		}
	}
}

// A code that was found right is claimed 50 times at once.
func TestACodeIsClaimedByOne(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	for n := range 10 {
		c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{
			Action: events.ActionID{Code: "sign-in", Key: fmt.Sprintf("s-%d", n)}, Email: "new@example.org",
		}, ceremonies.Client{})
		if err != nil {
			t.Fatal(err)
		}
		code := w.Mail.Code()
		got := tally(t, crowd(callers, func(int) error {
			_, err := w.RP.CheckCode(t.Context(), c.ID, code, ceremonies.Client{})
			return err
		}))
		if got[""] != 1 {
			t.Errorf("checks ended as %v", got)
		}
		before := len(log(w))
		got = tally(t, crowd(callers, func(int) error {
			_, err := w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
			return err
		}))
		if got[""] != 1 || got[ceremonies.ReasonChallengeTaken] != callers-1 {
			t.Errorf("claims ended as %v", got)
		}
		if n := len(steps(t, log(w)[before:], events.KindCeremonySucceeded)); n != 1 {
			t.Errorf("%d succeeded events", n)
		}
	}
}

// A one-time link is opened 50 times at once.
func TestALinkIsOpenedByOne(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	for range 10 {
		grant := w.Track("anna", events.StateChallengeRequired, "")
		grant.ID, grant.Use = "", ceremonies.UseLink
		link, err := w.Tokens.Sign(grant)
		if err != nil {
			t.Fatal(err)
		}
		got := tally(t, crowd(callers, func(int) error {
			_, page, err := w.RP.Open(t.Context(), link)
			if (err == nil) != (page != "") {
				return errors.New("a page came with a refusal, or none with success")
			}
			return err
		}))
		if got[""] != 1 || got[ceremonies.ReasonLinkUsed] != callers-1 {
			t.Errorf("the link was opened as %v", got)
		}
	}
}

// One permit, 50 enrolments at once: one authenticator.
func TestAPermitIsUsedOnce(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodPasskey))
	ids, answers := make([]events.ChallengeID, callers), make([][]byte, callers)
	for i := range callers {
		begun, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ids[i], answers[i] = begun.Challenge, ceremonytest.NewDevice(ceremonytest.Synced).Register(t, begun.Options)
	}
	before := len(log(w))
	got := tally(t, crowd(callers, func(i int) error {
		_, err := w.RP.FinishEnrolment(t.Context(), grant, ids[i], answers[i], ceremonies.Client{})
		return err
	}))
	if got[""] != 1 || got[ceremonies.ReasonPermitUsed] != callers-1 {
		t.Errorf("enrolments ended as %v", got)
	}
	if n := len(w.Account("anna").Authenticators); n != 2 {
		t.Errorf("the person has %d authenticators", n)
	}
	written := log(w)[before:]
	if n := len(steps(t, written, events.KindCeremonySucceeded)); n != 1 || reasons(t, written)[ceremonies.ReasonPermitUsed] != callers-1 {
		t.Errorf("%d succeeded events, failed ones %v", n, reasons(t, written))
	}
}

// An authenticator is removed 50 times at once, each time with a proof of its own.
func TestAnAuthenticatorIsRemovedOnce(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	app(t, w, "anna", d)
	removed := of(w, "anna", events.MethodAuthenticatorApp)
	grant := w.Track("anna", events.StateAllow, "")
	ids, answers := make([]events.ChallengeID, callers), make([][]byte, callers)
	for i := range callers {
		stepUp, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: ceremonies.ForRemoving, Subject: string(removed.ID)})
		if err != nil {
			t.Fatal(err)
		}
		ids[i], answers[i] = stepUp.Challenge, d.Answer(t, stepUp.Options)
	}
	before := len(log(w))
	errs := crowd(callers, func(i int) error {
		_, err := w.RP.FinishProof(t.Context(), grant, ceremonies.ForRemoving, ids[i], answers[i], ceremonies.Client{})
		return err
	})
	for _, err := range errs {
		// To hear that a passkey is unknown makes browsers forget it, and the one that
		// answered is not.
		var refused *ceremonies.RefusedError
		if errors.As(err, &refused) && refused.Code == ceremonies.CodeUnknownCredential {
			t.Fatalf("the passkey that answered was called unknown: %v", err)
		}
	}
	if got := tally(t, errs); got[""] != 1 || got[ceremonies.ReasonNoAuthenticator] != callers-1 {
		t.Errorf("removals ended as %v", got)
	}
	written, n := log(w)[before:], 0
	for _, e := range written {
		if e.Kind == events.KindAuthenticatorRemoved {
			n++
		}
	}
	if n != 1 || reasons(t, written)[ceremonies.ReasonNoAuthenticator] != callers-1 {
		t.Errorf("%d removed events, failed ones %v", n, reasons(t, written))
	}
	left := w.Account("anna").Authenticators
	if len(left) != 1 || !bytes.Equal(left[0].CredentialID, d.Credential.ID) {
		t.Errorf("left are %+v", left)
	}
}
