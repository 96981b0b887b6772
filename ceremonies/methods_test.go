package ceremonies_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// ask is a question for the action by a method.
func ask(method events.Method) ceremonies.Ask { return ceremonies.Ask{Method: method, Shown: true} }

// permit proves with a passkey that a change is wanted, and returns the grant that
// allows it.
func permit(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, d *ceremonytest.Device, purpose ceremonies.Purpose, subject string) ceremonies.Grant {
	t.Helper()
	stepUp, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: purpose, Subject: subject, Shown: true, Text: "Change it"})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := w.RP.FinishProof(t.Context(), grant, purpose, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return proof.Grant
}

// app adds an authenticator app for a person with a passkey and returns its codes.
func app(t *testing.T, w *ceremonytest.World, user events.UserID, d *ceremonytest.Device) func() string {
	t.Helper()
	grant := permit(t, w, w.Track(user, events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodAuthenticatorApp))
	begun, err := w.RP.BeginApp(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	code := func() string {
		code, err := totp.GenerateCode(begun.Secret, w.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if _, err := w.RP.FinishApp(t.Context(), grant, begun.Challenge, code(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Minute)
	return code
}

// mailed has codes sent to a person with a passkey.
func mailed(t *testing.T, w *ceremonytest.World, user events.UserID, d *ceremonytest.Device) {
	t.Helper()
	to := string(user) + "@example.org"
	grant := permit(t, w, w.Track(user, events.StateAllow, ""), d, ceremonies.ForEmail, to)
	sent, err := w.RP.BeginEmail(t.Context(), grant, to, false, ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RP.FinishEmail(t.Context(), grant, sent.Challenge, w.Mail.Code(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Minute)
}

// recovery makes recovery codes for a person with a passkey.
func recovery(t *testing.T, w *ceremonytest.World, user events.UserID, d *ceremonytest.Device) []string {
	t.Helper()
	grant := w.Track(user, events.StateAllow, "")
	stepUp, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: ceremonies.ForRecoveryCodes})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := w.RP.FinishProof(t.Context(), grant, ceremonies.ForRecoveryCodes, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Minute)
	return proof.RecoveryCodes
}

func TestAnAppProvesOncePerTimeStep(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	code := app(t, w, "anna", d)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	shown := code()
	proof, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodAuthenticatorApp), "", shown[:3]+" "+shown[3:], ceremonies.Client{})
	if err != nil || proof.State != events.StateChallengeSucceeded || proof.Authenticator.Method != events.MethodAuthenticatorApp {
		t.Fatalf("proof %+v, %v", proof, err)
	}
	if step := w.Last(grant.Action); step.Method != events.MethodAuthenticatorApp || step.State != events.StateChallengeSucceeded || step.Tries != 0 {
		t.Errorf("recorded %+v", step)
	}
	again := w.Track("anna", events.StateChallengeRequired, "")
	_, err = w.RP.FinishCode(t.Context(), again, ask(events.MethodAuthenticatorApp), "", shown, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonCodeUsed)
	w.Clock.Move(30 * time.Second)
	if _, err := w.RP.FinishCode(t.Context(), again, ask(events.MethodAuthenticatorApp), "", code(), ceremonies.Client{}); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

func TestACodeByMailSurvivesTypingErrors(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	sent, err := w.RP.SendCode(t.Context(), grant, ask(events.MethodEmailOTP), ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if sent.To != "a…@example.org" {
		t.Errorf("sent to %q", sent.To)
	}
	code := w.Mail.Code()
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	_, err = w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), sent.Challenge, wrong, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
	if step := w.Last(grant.Action); step.Step != events.KindCeremonyFailed || step.Tries != 1 {
		t.Errorf("recorded %+v", step)
	}
	proof, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), "", code, ceremonies.Client{})
	if err != nil || proof.State != events.StateChallengeSucceeded {
		t.Fatalf("proof %+v, %v", proof, err)
	}
	_, err = w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), sent.Challenge, code, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
}

func TestARecoveryCodeGetsAPersonBackInOnce(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	codes := recovery(t, w, "anna", d)
	if len(codes) != ceremonies.RecoveryCodes {
		t.Fatalf("codes %q", codes)
	}
	grant := w.Track("anna", events.StateAllow, "")
	adding := ceremonies.Ask{Method: events.MethodRecoveryCode, Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)}
	proof, err := w.RP.FinishCode(t.Context(), grant, adding, "", codes[3], ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	another := ceremonytest.NewDevice(ceremonytest.Synced)
	begun, err := w.RP.BeginEnrolment(t.Context(), proof.Grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RP.FinishEnrolment(t.Context(), proof.Grant, begun.Challenge, another.Register(t, begun.Options), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	if account := w.Account("anna"); account.Codes != ceremonies.RecoveryCodes-1 || len(account.Authenticators) != 3 {
		t.Errorf("account %+v", account)
	}
	// The permit was for one passkey.
	begun, err = w.RP.BeginEnrolment(t.Context(), proof.Grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	third := ceremonytest.NewDevice(ceremonytest.Synced)
	_, err = w.RP.FinishEnrolment(t.Context(), proof.Grant, begun.Challenge, third.Register(t, begun.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonPermitUsed)
	// And the code is spent.
	_, err = w.RP.FinishCode(t.Context(), grant, adding, "", codes[3], ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
	if _, err := w.RP.FinishCode(t.Context(), grant, adding, "", " "+codes[4][:4]+codes[4][5:], ceremonies.Client{}); err != nil {
		t.Errorf("another one: %v", err)
	}
}

func TestAProofForOnePurposeServesNoOther(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	app(t, w, "anna", d)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	removed := string(w.Account("anna").Authenticators[0].ID)
	purposes := map[ceremonies.Purpose]string{
		ceremonies.ForAction: "", ceremonies.ForAdding: string(events.MethodPasskey), ceremonies.ForRemoving: removed,
		ceremonies.ForRecoveryCodes: "", ceremonies.ForEmail: "anna@example.org",
	}
	for begun, subject := range purposes {
		for finished := range purposes {
			if begun == finished {
				continue
			}
			stepUp, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: begun, Subject: subject})
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.RP.FinishProof(t.Context(), grant, finished, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonWrongPurpose)
			if state := w.State(grant.Action); state == events.StateChallengeSucceeded {
				t.Fatalf("a proof for %s completed the action", begun)
			}
		}
		grant = w.Track("anna", events.StateChallengeRequired, "") // wrong purposes of the action use up tries
	}
	if account := w.Account("anna"); len(account.Authenticators) != 2 || account.Codes != 0 {
		t.Errorf("account %+v", account)
	}
}

func TestAPermitAllowsOnlyWhatWasProven(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodPasskey))
	_, err := w.RP.BeginApp(t.Context(), grant)
	wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonScopeMissing)
	_, err = w.RP.BeginEmail(t.Context(), grant, "anna@example.org", false, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonScopeMissing)
	email := permit(t, w, grant, d, ceremonies.ForEmail, "anna@example.org")
	_, err = w.RP.BeginEmail(t.Context(), email, "mallory@example.org", false, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonScopeMissing)
	w.Clock.Move(ceremonies.PermitTTL)
	_, err = w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
	wantRefused(t, err, ceremonies.CodeInvalidToken, ceremonies.ReasonScopeMissing)
}

func TestRemovingIsPartOfItsProof(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	app(t, w, "anna", d)
	account := w.Account("anna")
	i := slices.IndexFunc(account.Authenticators, func(a ceremonies.Authenticator) bool { return a.Method == events.MethodAuthenticatorApp })
	permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForRemoving, string(account.Authenticators[i].ID))
	if account := w.Account("anna"); len(account.Authenticators) != 1 || account.Authenticators[0].Method != events.MethodPasskey {
		t.Errorf("account %+v", account)
	}
}

func TestTooManyWrongCodesLock(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	code := app(t, w, "anna", d)
	wrong := func() string {
		if code() == "123456" {
			return "123457"
		}
		return "123456"
	}
	answers := 0
	var locked *ceremonies.RefusedError
	for locked == nil {
		grant := w.Track("anna", events.StateChallengeRequired, "")
		for range ceremonies.DefaultTries {
			_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodAuthenticatorApp), "", wrong(), ceremonies.Client{})
			var refused *ceremonies.RefusedError
			if !errors.As(err, &refused) {
				t.Fatalf("wrong code: %v", err)
			}
			if refused.Reason == ceremonies.ReasonLocked {
				locked = refused
				break
			}
			answers++
		}
	}
	if answers != ceremonies.DefaultLimits.Wrong || !locked.Until.Equal(w.Clock.Now().Add(ceremonies.DefaultLimits.Lock)) {
		t.Errorf("locked after %d answers until %v", answers, locked.Until)
	}
	grant := w.Track("anna", events.StateChallengeRequired, "")
	_, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodAuthenticatorApp), "", code(), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeTooManyRequests, ceremonies.ReasonLocked)
	stepUp := w.Begin(grant) // passkeys go on
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{}); err != nil {
		t.Error(err)
	}
	w.Clock.Move(ceremonies.DefaultLimits.Lock)
	grant = w.Track("anna", events.StateChallengeRequired, "")
	if _, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodAuthenticatorApp), "", code(), ceremonies.Client{}); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestSignInFindsThePerson(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	begun, err := w.RP.BeginSignIn(t.Context(), "sign-in", "s-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(begun.Options.AllowCredentials) != 0 {
		t.Errorf("options %+v", begun.Options)
	}
	options := begun.Options
	options.AllowCredentials = []ceremonies.CredentialDescriptor{{ID: d.Credential.ID, Type: "public-key"}} // which the software authenticator needs
	proof, err := w.RP.FinishSignIn(t.Context(), begun.Challenge, d.Answer(t, options), ceremonies.Client{}, w.SignIn)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Account.User != "anna" || proof.State != events.StateChallengeSucceeded || proof.Action.Code != "sign-in" {
		t.Errorf("proof %+v", proof)
	}
	_, err = w.RP.FinishSignIn(t.Context(), begun.Challenge, d.Answer(t, options), ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
}

func TestACodeIsClaimedOnce(t *testing.T) {
	w := ceremonytest.New(t)
	c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{
		Action: events.ActionID{Code: "sign-in", Key: "s-1"}, Email: "new@example.org",
	}, ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNotVerified)
	if email, err := w.RP.CheckCode(t.Context(), c.ID, w.Mail.Code(), ceremonies.Client{}); err != nil || email != "new@example.org" {
		t.Fatalf("check: %q, %v", email, err)
	}
	proof, err := w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
	if err != nil || proof.State != events.StateChallengeSucceeded {
		t.Fatalf("claim: %+v, %v", proof, err)
	}
	_, err = w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
}

func TestABrowsersErrorIsNoWrongAnswer(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	for range 2 * ceremonies.DefaultTries {
		stepUp := w.Begin(grant)
		if err := w.RP.Report(t.Context(), grant, stepUp.Challenge, "NotAllowedError", ceremonies.Client{}); err != nil {
			t.Fatal(err)
		}
		step := w.Last(grant.Action)
		if step.Step != events.KindCeremonyFailed || step.Browser != "NotAllowedError" || step.Tries != 0 {
			t.Fatalf("recorded %+v", step)
		}
		_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
	}
	if state := w.State(grant.Action); state != events.StateChallengeRequired {
		t.Errorf("the action is %s", state)
	}
}
