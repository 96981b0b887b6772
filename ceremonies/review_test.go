package ceremonies_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// A code that went to any address must not complete an action that waits for its
// person's passkey.
func TestAClaimCompletesNoActionThatWaitsAlready(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd)
	requested := events.ActionID{Code: grant.Action.Code, Key: grant.Action.Key}
	c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{Action: requested, Email: "mallory@example.org"}, ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RP.CheckCode(t.Context(), c.ID, w.Mail.Code(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	_, err = w.RP.Claim(t.Context(), c.ID, "anna", ceremonies.Client{}, w.SignIn)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
	if state := w.State(grant.Action); state != events.StateChallengeRequired {
		t.Errorf("the action is %s", state)
	}
}

// signInAs is a sign-in by a device whose action the rules decide as the changes say.
func signInAs(t *testing.T, rp *ceremonies.RelyingParty, w *ceremonytest.World, d *ceremonytest.Device, changes ...func(*engine.Recording)) error {
	t.Helper()
	begun, err := rp.BeginSignIn(t.Context(), "sign-in", "s-1")
	if err != nil {
		t.Fatal(err)
	}
	options := begun.Options
	options.AllowCredentials = []ceremonies.CredentialDescriptor{{ID: d.Credential.ID, Type: "public-key"}} // which the software authenticator needs
	_, err = rp.FinishSignIn(t.Context(), begun.Challenge, d.Answer(t, options), ceremonies.Client{}, w.SignInWith(changes...))
	return err
}

func TestASignInKeepsToWhatItsRuleAsks(t *testing.T) {
	w := ceremonytest.New(t, func(c *ceremonies.Config) { c.UserVerification = "preferred" })
	d := w.Enrolled("anna", ceremonytest.Synced)
	d.Authenticator.Options.UserNotVerified = true
	err := signInAs(t, w.RP, w, d, func(r *engine.Recording) { r.Decision.UserVerification = "required" })
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonUserNotVerified)
}

func TestASignInIsByAMethodThatItsRuleAccepts(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	err := signInAs(t, w.RP, w, d, accepting(events.MethodAuthenticatorApp))
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonMethodRefused)
}

// Whoever holds a session can get codes wrong, and must not lock the way back in.
func TestWrongCodesDoNotLockRecoveryCodes(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	code := app(t, w, "anna", d)
	codes := recovery(t, w, "anna", d)
	thief := from("192.0.2.7")
	for locked(guess(w, "anna", another(code()), thief)).IsZero() {
	}
	grant := w.Track("anna", events.StateAllow, "")
	adding := ceremonies.Ask{Method: events.MethodRecoveryCode, Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)}
	for range 20 { // nor do wrong recovery codes, as fast as these
		_, err := w.RP.FinishCode(t.Context(), grant, adding, "", "0000-0000-0000-0000", thief)
		wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonWrongCode)
	}
	if _, err := w.RP.FinishCode(t.Context(), grant, adding, "", codes[0], thief); err != nil {
		t.Errorf("the way back in: %v", err)
	}
}

// Many accounts together must not flood a stranger's mailbox.
func TestOneAddressOfMailGetsFewCodesWhoeverAsks(t *testing.T) {
	w := ceremonytest.New(t)
	sent := 0
	for n := range 30 {
		grant := w.TrackNew(events.UserID("user-" + string(rune('a'+n))))
		if _, err := w.RP.BeginEmail(t.Context(), grant, "victim@example.org", false, ceremonies.Client{}); err == nil {
			sent++
		} else {
			wantRefused(t, err, ceremonies.CodeTooManyRequests, ceremonies.ReasonLocked)
		}
	}
	if sent != ceremonies.DefaultLimits.Sent {
		t.Errorf("%d mails were sent", sent)
	}
	for hour := 0; hour < 23*6; hour++ { // and few in a day
		w.Clock.Move(10 * time.Minute)
		for range ceremonies.DefaultLimits.Sent {
			grant := w.TrackNew("other")
			if _, err := w.RP.BeginEmail(t.Context(), grant, "victim@example.org", false, ceremonies.Client{}); err == nil {
				sent++
			}
			w.Clock.Move(time.Second)
		}
	}
	if sent > 2*ceremonies.DefaultLimits.SentPerDay {
		t.Errorf("%d mails were sent in a day", sent)
	}
}

// The proof of an action that was tracked for adding an authenticator adds one.
func TestAProvenActionAddsOneAuthenticator(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := with(w.Prove("anna", d, ceremonies.ScopeAdd), ceremonytest.ReadAndAdd)
	add := func() error {
		begun, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
		if err != nil {
			return err
		}
		_, err = w.RP.FinishEnrolment(t.Context(), grant, begun.Challenge, ceremonytest.NewDevice(ceremonytest.Synced).Register(t, begun.Options), ceremonies.Client{})
		return err
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, add(), ceremonies.CodeInvalidRequest, ceremonies.ReasonPermitUsed)
}

func TestAReplacedAddressLeavesAnEvent(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	mailed(t, w, "anna", d)
	grant := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForEmail, "new@example.org")
	sent, err := w.RP.BeginEmail(t.Context(), grant, "new@example.org", false, ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RP.FinishEmail(t.Context(), grant, sent.Challenge, w.Mail.Code(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, e := range w.Story(grant.Action) {
		if e.Kind == events.KindAuthenticatorRemoved {
			removed++
		}
	}
	if removed != 1 {
		t.Errorf("%d authenticators were removed in the trail", removed)
	}
}
