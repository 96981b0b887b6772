package ceremonies_test

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// callers want each of items things that can be had once.
const (
	items   = 1000
	callers = 50
)

// person is one of many people.
func person(i int) events.UserID { return events.UserID(fmt.Sprintf("person-%d", i)) }

// tracked are n new actions that wait for a proof, each of the user of its number.
func tracked(w *ceremonytest.World, n int, user func(i int) events.UserID) []ceremonies.Grant {
	w.Helper()
	grants := make([]ceremonies.Grant, n)
	crowd(n, func(i int) error {
		grants[i] = w.Track(user(i), events.StateChallengeRequired, "")
		return nil
	})
	if w.Failed() {
		w.FailNow()
	}
	return grants
}

// repeated are the grants as the calls of a crowd have them: each for all its callers.
func repeated(grants []ceremonies.Grant) []ceremonies.Grant {
	all := make([]ceremonies.Grant, 0, len(grants)*callers)
	for _, grant := range grants {
		all = append(all, slices.Repeat([]ceremonies.Grant{grant}, callers)...)
	}
	return all
}

// wantOne checks that one of each item's callers was successful.
func wantOne(t *testing.T, errs []error) {
	t.Helper()
	won := make([]int, len(errs)/callers)
	for i, err := range errs {
		if err == nil {
			won[i/callers]++
		}
	}
	for i, n := range won {
		if n != 1 {
			t.Errorf("item %d was had %d times", i, n)
		}
	}
}

// wantOneEach checks that too, and that the succeeded events are those of the actions
// of who was: one of each, and no others.
func wantOneEach(t *testing.T, errs []error, grants []ceremonies.Grant, written []events.Event) {
	t.Helper()
	wantOne(t, errs)
	open := map[events.ActionID]int{}
	for i, err := range errs {
		if err == nil {
			open[grants[i].Action]++
		}
	}
	succeeded := steps(t, written, events.KindCeremonySucceeded)
	if want := len(errs) / callers; len(succeeded) != want {
		t.Errorf("%d succeeded events, want %d", len(succeeded), want)
	}
	for _, step := range succeeded {
		if open[step.ActionID]--; open[step.ActionID] < 0 || step.State != events.StateChallengeSucceeded {
			t.Errorf("an event says that %v is %s", step.ActionID, step.State)
		}
	}
}

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

// The recovery codes of 100 people, ten each, are used 50 times each at once, each time
// for one of the person's 15 actions: each code proves once. The other nine codes leave
// at least six of them open.
func TestARecoveryCodeIsUsedOnce(t *testing.T) {
	w := ceremonytest.New(t, unlimited, func(c *ceremonies.Config) { c.Tries = 1 << 20 })
	const people, each, open = items / 10, 10, 15
	var codes []string
	for p := range people {
		user := person(p)
		made := recovery(t, w, user, w.Enrolled(user, ceremonytest.Synced))
		if len(made) != each {
			t.Fatalf("%d codes were made", len(made))
		}
		codes = append(codes, made...)
	}
	actions := tracked(w, people*open, func(i int) events.UserID { return person(i / open) })
	grants := make([]ceremonies.Grant, items*callers)
	for i := range grants {
		grants[i] = actions[i/callers/each*open+i%callers%open]
	}
	before := end(w)
	errs := crowd(len(grants), func(i int) error {
		_, err := w.RP.FinishCode(t.Context(), grants[i], ask(events.MethodRecoveryCode), "", codes[i/callers], ceremonies.Client{})
		return err
	})
	wantOneEach(t, errs, grants, logAfter(w, before))
	got := tally(t, errs)
	used := got[ceremonies.ReasonWrongCode] + got[ceremonies.ReasonCodeUsed] + got[ceremonies.ReasonNoAuthenticator]
	if used+got[ceremonies.ReasonActionNotOpen] != len(grants)-items {
		t.Errorf("answers ended as %v", got)
	}
	for p := range people {
		if left := w.Account(person(p)).Codes; left != 0 {
			t.Errorf("%d codes of %s are left", left, person(p))
		}
	}
}

// unlimited raises the limits out of the way.
func unlimited(c *ceremonies.Config) {
	c.Limits = ceremonies.DefaultLimits
	c.Limits.Wrong, c.Limits.WrongPerAddress, c.Limits.Sent, c.Limits.SentPerAddress = 1<<30, 1<<30, 1<<30, 1<<30
	c.Limits.SentPerDay = 1 << 30
}

// The apps of 1,000 people show one code each, which is used 50 times at once for five
// actions: the time step proves one of them.
func TestATimeStepIsUsedOnce(t *testing.T) {
	w := ceremonytest.New(t, unlimited, func(c *ceremonies.Config) { c.Tries = 1 << 20 })
	const open = 5
	codes := make([]string, items)
	for i := range codes {
		secret := base32.StdEncoding.EncodeToString(fmt.Appendf(nil, "the secret of %05d.", i))
		a, err := w.RP.ImportApp(person(i), events.AuthenticatorID("app of "+person(i)), "otpauth://totp/Shop:x?issuer=Shop&secret="+secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Store.AddAuthenticator(t.Context(), a, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		if codes[i], err = totp.GenerateCode(secret, w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	actions := tracked(w, items*open, func(i int) events.UserID { return person(i / open) })
	grants := make([]ceremonies.Grant, items*callers)
	for i := range grants {
		grants[i] = actions[i/callers*open+i%open]
	}
	before := end(w)
	errs := crowd(len(grants), func(i int) error {
		_, err := w.RP.FinishCode(t.Context(), grants[i], ask(events.MethodAuthenticatorApp), "", codes[i/callers], ceremonies.Client{})
		return err
	})
	wantOneEach(t, errs, grants, logAfter(w, before))
	got := tally(t, errs)
	used, late := got[ceremonies.ReasonCodeUsed], got[ceremonies.ReasonActionNotOpen]
	if used+late != items*(callers-1) || late > items*(callers/open-1) {
		t.Errorf("answers ended as %v", got)
	}
}

// 1,000 codes by mail get 50 answers each at once, all of them right: each proves its
// action once.
func TestAMailedCodeIsUsedOnce(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	mailed(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	grants, ids, codes := make([]ceremonies.Grant, items), make([]events.ChallengeID, items), make([]string, items)
	for i := range grants {
		grants[i] = w.Track("anna", events.StateChallengeRequired, "")
		ids[i], codes[i] = send(w, grants[i], ask(events.MethodEmailOTP))
	}
	before := end(w)
	errs := crowd(items*callers, func(i int) error {
		_, err := w.RP.FinishCode(t.Context(), grants[i/callers], ask(events.MethodEmailOTP), ids[i/callers], codes[i/callers], ceremonies.Client{})
		return err
	})
	written := logAfter(w, before)
	wantOneEach(t, errs, repeated(grants), written)
	got := tally(t, errs)
	if got[ceremonies.ReasonChallengeTaken]+got[ceremonies.ReasonActionNotOpen] != items*(callers-1) {
		t.Errorf("answers ended as %v", got)
	}
	if failed := reasons(t, written); len(failed) != 0 {
		t.Errorf("failed events %v", failed)
	}
}

// Codes by mail are answered 50 times at once, wrongly and mixed.
func TestOneOfManyAnswersToAMailedCodeProves(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
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

// 1,000 codes for nobody yet are checked 50 times each at once, and what was found right
// is claimed 50 times at once: each is right once, and signs in once.
func TestACodeIsClaimedByOne(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	ids, codes, claims := make([]events.ChallengeID, items), make([]string, items), make([]ceremonies.Grant, items)
	for i := range ids {
		key := fmt.Sprintf("s-%d", i)
		c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{
			Action: events.ActionID{Code: "sign-in", Key: key}, Email: "new@example.org",
		}, ceremonies.Client{})
		if err != nil {
			t.Fatal(err)
		}
		ids[i], codes[i] = c.ID, w.Mail.Code()
		claims[i].Action = events.ActionID{User: "anna", Code: "sign-in", Key: key}
	}
	before := end(w)
	checks := crowd(items*callers, func(i int) error {
		_, err := w.RP.CheckCode(t.Context(), ids[i/callers], codes[i/callers], ceremonies.Client{})
		return err
	})
	wantOne(t, checks)
	if got := tally(t, checks); got[ceremonies.ReasonChallengeTaken] != items*(callers-1) {
		t.Errorf("checks ended as %v", got)
	}
	if n := len(steps(t, logAfter(w, before), events.KindCeremonySucceeded)); n != 0 {
		t.Errorf("%d events say that a check signed somebody in", n)
	}
	before = end(w)
	errs := crowd(items*callers, func(i int) error {
		_, err := w.RP.Claim(t.Context(), ids[i/callers], "anna", ceremonies.Client{}, w.SignIn)
		return err
	})
	wantOneEach(t, errs, repeated(claims), logAfter(w, before))
	if got := tally(t, errs); got[ceremonies.ReasonChallengeTaken] != items*(callers-1) {
		t.Errorf("claims ended as %v", got)
	}
}

// 1,000 one-time links are opened 50 times each at once: each opens once, and nothing is
// proven by that.
func TestALinkIsOpenedByOne(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	grant.ID, grant.Use = "", ceremonies.UseLink
	links := make([]string, items)
	for i := range links {
		var err error
		if links[i], err = w.Tokens.Sign(grant); err != nil {
			t.Fatal(err)
		}
	}
	before := end(w)
	errs := crowd(items*callers, func(i int) error {
		_, page, err := w.RP.Open(t.Context(), links[i/callers])
		if (err == nil) != (page != "") {
			return errors.New("a page came with a refusal, or none with success")
		}
		return err
	})
	wantOne(t, errs)
	if got := tally(t, errs); got[ceremonies.ReasonLinkUsed] != items*(callers-1) {
		t.Errorf("the links were opened as %v", got)
	}
	if written := logAfter(w, before); len(written) != 0 {
		t.Errorf("opening links left %d events", len(written))
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
