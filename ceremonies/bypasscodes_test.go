package ceremonies_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// Challenges consumed late: the challenge is used up only after its answer was
// verified, so that whoever interrupts in between answers it again.
func TestATakenChallengeIsNeverAnsweredAgain(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	answer := d.Answer(t, stepUp.Options)
	// The process ends between taking and finishing.
	if _, err := w.Store.Take(t.Context(), stepUp.Challenge, grant.Action, w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
	}
	refused()
	w.Clock.Move(2 * time.Minute)
	if n, err := w.RP.Sweep(t.Context()); err != nil || n != 1 {
		t.Fatalf("swept %d, %v", n, err)
	}
	if step := w.Last(grant.Action); step.Step != events.KindCeremonyAbandoned || step.Reason != ceremonies.ReasonInterrupted {
		t.Errorf("recorded %+v", step)
	}
	refused()
	if state := w.State(grant.Action); state != events.StateChallengeRequired {
		t.Errorf("the action is %s", state)
	}
}

// Replays: a whole finished answer is sent again, for its own challenge and for
// another one of the same action and of another.
func TestAFinishedAnswerIsNotReplayed(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	other := w.Track("anna", events.StateChallengeRequired, "")
	second, stepUp := w.Begin(grant), w.Begin(grant)
	answer := d.Answer(t, stepUp.Options)
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
	_, err = w.RP.FinishStepUp(t.Context(), grant, second.Challenge, answer, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonChallengeMismatch)
	third := w.Begin(other)
	_, err = w.RP.FinishStepUp(t.Context(), other, third.Challenge, answer, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonChallengeMismatch)
	if state := w.State(other.Action); state != events.StateChallengeRequired {
		t.Errorf("the other action is %s", state)
	}
}

// Confused owners: somebody else's credential, code, address, default or recovery code
// serves the attacker's challenge, or the other way round.
func TestNothingOfAnotherPersonServes(t *testing.T) {
	w := ceremonytest.New(t)
	anna, mallory := w.Enrolled("anna", ceremonytest.Synced), w.Enrolled("mallory", ceremonytest.Synced)
	mailed(t, w, "anna", anna)
	mailed(t, w, "mallory", mallory)
	annas, mallorys := recovery(t, w, "anna", anna), recovery(t, w, "mallory", mallory)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	hers := w.Track("mallory", events.StateChallengeRequired, "")

	t.Run("passkey", func(t *testing.T) {
		stepUp := w.Begin(grant)
		options := stepUp.Options
		options.AllowCredentials = []ceremonies.CredentialDescriptor{{ID: mallory.Credential.ID, Type: "public-key"}}
		_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, mallory.Answer(t, options), ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonForeignCredential)
	})
	t.Run("challenge of another action", func(t *testing.T) {
		other := w.Track("anna", events.StateChallengeRequired, "")
		stepUp := w.Begin(other)
		answer := anna.Answer(t, stepUp.Options)
		_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeUnknown)
		if _, err := w.RP.FinishStepUp(t.Context(), other, stepUp.Challenge, answer, ceremonies.Client{}); err != nil {
			t.Errorf("its own action: %v", err)
		}
	})
	t.Run("challenge of a code", func(t *testing.T) {
		id, code := send(w, hers, ask(events.MethodEmailOTP))
		_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), id, code, ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeUnknown)
		own, _ := send(w, grant, ask(events.MethodEmailOTP))
		if w.Mail.Code() != code { // one in a million
			_, err = w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), own, code, ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
		}
	})
	t.Run("recovery code", func(t *testing.T) {
		_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodRecoveryCode), "", mallorys[0], ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
	})
	t.Run("default", func(t *testing.T) {
		err := w.RP.Prefer(t.Context(), grant, of(w, "mallory", events.MethodPasskey).ID)
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNoAuthenticator)
		err = w.RP.Rename(t.Context(), grant, of(w, "mallory", events.MethodPasskey).ID, "Mine")
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNoAuthenticator)
		if preferred := w.Account("anna").Preferred(); preferred.User != "anna" {
			t.Errorf("%s's authenticator is preferred", preferred.User)
		}
	})
	t.Run("authenticator to remove", func(t *testing.T) {
		theirs := of(w, "mallory", events.MethodPasskey)
		stepUp, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: ceremonies.ForRemoving, Subject: string(theirs.ID)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.RP.FinishProof(t.Context(), grant, ceremonies.ForRemoving, stepUp.Challenge, anna.Answer(t, stepUp.Options), ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNoAuthenticator)
		if of(w, "mallory", events.MethodPasskey).ID != theirs.ID {
			t.Error("it was removed")
		}
		if step := w.Last(grant.Action); step.Step != events.KindCeremonyFailed || step.Reason != ceremonies.ReasonNoAuthenticator {
			t.Errorf("recorded %+v", step)
		}
	})
	if a, m := w.Account("anna").Codes, w.Account("mallory").Codes; a != len(annas) || m != len(mallorys) {
		t.Errorf("%d and %d recovery codes are left", a, m)
	}
}

// Confused purposes of codes: one that was mailed for a removal serves an action, and
// the other way round.
func TestACodeServesItsPurposeOnly(t *testing.T) {
	w := ceremonytest.New(t, unlimited)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
	subject := string(of(w, "anna", events.MethodPasskey).ID)
	questions := []ceremonies.Ask{
		{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAction},
		{Method: events.MethodEmailOTP, Purpose: ceremonies.ForRemoving, Subject: subject},
		{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)},
		{Method: events.MethodEmailOTP, Purpose: ceremonies.ForEmail, Subject: "mallory@example.org"},
		{Method: events.MethodEmailOTP, Purpose: ceremonies.ForRecoveryCodes},
	}
	for _, asked := range questions {
		for _, used := range questions {
			if asked.Purpose == used.Purpose {
				continue
			}
			for _, byID := range []bool{true, false} {
				grant := w.Track("anna", events.StateChallengeRequired, "")
				id, code := send(w, grant, asked)
				if !byID {
					id = ""
				}
				_, err := w.RP.FinishCode(t.Context(), grant, used, id, code, ceremonies.Client{})
				wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonWrongPurpose)
				if state := w.State(grant.Action); state != events.StateChallengeRequired {
					t.Errorf("a code for %s used for %s: the action is %s", asked.Purpose, used.Purpose, state)
				}
			}
		}
	}
	// What is changed is what the code was for, whatever its answer says.
	grant := w.Track("anna", events.StateAllow, "")
	id, code := send(w, grant, questions[3])
	lying := questions[3]
	lying.Subject = "attacker@example.org"
	proof, err := w.RP.FinishCode(t.Context(), grant, lying, id, code, ceremonies.Client{})
	if err != nil || proof.Grant.Permit.Subject != "mallory@example.org" {
		t.Errorf("the permit is for %q, %v", proof.Grant.Permit.Subject, err)
	}
	if account := w.Account("anna"); len(account.Authenticators) != 2 || account.Codes != 0 {
		t.Errorf("account %+v", account)
	}
}

// Confused methods: the challenge of a code, which holds nothing to sign, is answered by
// an assertion, which could be kept and sent for ever.
func TestAChallengeOfACodeTakesNoAssertion(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
	kept := d.Answer(t, w.Begin(w.Track("anna", events.StateChallengeRequired, "")).Options)

	grant := w.Track("anna", events.StateChallengeRequired, "")
	id, _ := send(w, grant, ask(events.MethodEmailOTP))
	_, err := w.RP.FinishStepUp(t.Context(), grant, id, kept, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonWrongKind)

	c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{Action: events.ActionID{Code: "sign-in", Key: "s-1"}, Email: "anna@example.org"}, ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.RP.FinishSignIn(t.Context(), c.ID, kept, ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonWrongKind)

	// And a code for the challenge of a passkey.
	stepUp := w.Begin(grant)
	_, err = w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), stepUp.Challenge, "123456", ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonMethodDisabled)
	begun, err := w.RP.BeginSignIn(t.Context(), "sign-in", "s-2")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.RP.CheckCode(t.Context(), begun.Challenge, "123456", ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
}

// Sign-ins that pass for step-ups: a page without a token begins a sign-in under the
// name of an action that waits, and its answer completes that. Or a step-up's answer
// signs somebody in.
func TestASignInIsNoStepUp(t *testing.T) {
	t.Run("nor is a step-up a sign-in", func(t *testing.T) {
		w := ceremonytest.New(t)
		d := w.Enrolled("anna", ceremonytest.Synced)
		grant := w.Track("anna", events.StateChallengeRequired, "")
		stepUp := w.Begin(grant)
		_, err := w.RP.FinishSignIn(t.Context(), stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{}, w.SignIn)
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeUnknown)
		begun, err := w.RP.BeginSignIn(t.Context(), grant.Action.Code, grant.Action.Key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, anybody(t, d, begun), ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeUnknown)
	})
	for _, when := range []string{"before it began", "while it went on"} {
		t.Run("of an action that was tracked "+when, func(t *testing.T) {
			w := ceremonytest.New(t)
			d := w.Enrolled("anna", ceremonytest.Synced)
			id := events.ActionID{User: "anna", Code: "payment", Key: "order-7"}
			track := func() { w.Track("anna", events.StateChallengeRequired, "", named(id)) }
			if when == "before it began" {
				track()
			}
			begun, err := w.RP.BeginSignIn(t.Context(), id.Code, id.Key)
			if err != nil {
				t.Fatal(err)
			}
			if when != "before it began" {
				track()
			}
			_, err = w.RP.FinishSignIn(t.Context(), begun.Challenge, anybody(t, d, begun), ceremonies.Client{}, w.SignIn)
			wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
			if state := w.State(id); state != events.StateChallengeRequired {
				t.Errorf("the action is %s", state)
			}
			if step := w.Last(id); step.Step != events.KindCeremonyFailed {
				t.Errorf("recorded %+v", step)
			}
		})
	}
}

// named tracks under a name.
func named(id events.ActionID) func(*engine.Recording) {
	return func(r *engine.Recording) { r.Action.ActionID, r.Decision.ActionID = id, id }
}

// Claims without a check: a challenge that nobody answered is claimed, or one that was
// begun for somebody else.
func TestAClaimNeedsItsVerificationAndItsPerson(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	request := func(key string) ceremonies.Challenge {
		c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{
			Action: events.ActionID{User: "anna", Code: "sign-in", Key: key}, Email: "anna@example.org",
		}, ceremonies.Client{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := request("s-1")
	_, err := w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNotVerified)
	code := w.Mail.Code()
	_, err = w.RP.CheckCode(t.Context(), c.ID, another(code), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
	_, err = w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNotVerified)
	if _, err := w.RP.CheckCode(t.Context(), c.ID, code, ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	_, err = w.RP.Claim(t.Context(), c.ID, "mallory", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonForeignCredential)
	if account := w.Account("mallory"); account.Known {
		t.Error("somebody was made of the claim")
	}
	_, err = w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn) // used up by the wrong claim
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)

	late := request("s-2")
	if _, err := w.RP.CheckCode(t.Context(), late.ID, w.Mail.Code(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(ceremonies.DefaultCodeTTL)
	_, err = w.RP.Claim(t.Context(), late.ID, "anna", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeExpired)
}

// First enrolments that vouch for too much: where the action waits for its person to
// enrol, only what was added under it counts, after the code to the address on file.
func TestEnrollingFirstVouchesForItsOwnActionOnly(t *testing.T) {
	w := ceremonytest.New(t)
	waiting := w.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd, enrolFirst)
	adding := ceremonies.Ask{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)}

	t.Run("an access token alone adds nothing", func(t *testing.T) {
		_, err := enrolsWith(w, with(waiting, ceremonytest.ReadAndAdd))
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
		_, err = w.RP.BeginEmail(t.Context(), with(waiting, ceremonytest.ReadAndAdd), "mallory@example.org", false, ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
	})
	t.Run("the code goes to the address on file", func(t *testing.T) {
		sent, err := w.RP.SendCode(t.Context(), waiting, adding, ceremonies.Client{})
		if err != nil {
			t.Fatal(err)
		}
		mails := w.Mail.All(ceremonies.MailCode)
		if to := mails[len(mails)-1].To; to != "anna@example.com" {
			t.Errorf("the code went to %s", to)
		}
		for _, question := range []ceremonies.Ask{
			{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAdding, Subject: string(events.MethodAuthenticatorApp)},
			{Method: events.MethodEmailOTP, Purpose: ceremonies.ForEmail, Subject: "mallory@example.org"},
			{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAction},
		} {
			if _, err := w.RP.SendCode(t.Context(), waiting, question, ceremonies.Client{}); err == nil {
				t.Errorf("a code was sent for %s %s", question.Purpose, question.Subject)
			}
		}
		// The backend corrects the address: whoever reads the old mailbox is not the person.
		corrected := "anna@correct.example"
		if _, err := w.Store.UpdateUser(t.Context(), "anna", engine.UserChanges{Email: &corrected}, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		_, err = w.RP.FinishCode(t.Context(), waiting, adding, sent.Challenge, w.Mail.Code(), ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
	})
	t.Run("a passkey of another action vouches for nothing, and vouches for no other", func(t *testing.T) {
		if _, err := enrolsWith(w, with(w.Track("anna", events.StateAllow, ""), ceremonytest.ReadAndAdd)); err != nil {
			t.Fatal(err)
		}
		waiting = w.Grant(waiting.Action, ceremonies.ScopeRead)
		_, err := w.RP.BeginStepUp(t.Context(), waiting, ask(""))
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNotEnrolledThen)
		// Nor may it let a second one in under the action, which would vouch for that.
		_, err = w.RP.BeginStepUp(t.Context(), waiting, ceremonies.Ask{Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNoAuthenticator)
	})
	t.Run("one that the code let in does", func(t *testing.T) {
		grant := w.Track("bert", events.StateChallengeRequired, "", enrolFirst)
		id, code := send(w, grant, adding)
		proof, err := w.RP.FinishCode(t.Context(), grant, adding, id, code, ceremonies.Client{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := enrolsWith(w, proof.Grant)
		if err != nil {
			t.Fatal(err)
		}
		stepUp := w.Begin(grant)
		done, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
		if err != nil || done.State != events.StateChallengeSucceeded {
			t.Errorf("proof %+v, %v", done, err)
		}
	})
}
