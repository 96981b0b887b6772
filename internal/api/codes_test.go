package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// act tracks an action with attributes.
func (w *world) act(user, code string, attributes object) answer {
	w.t.Helper()
	return w.call("POST", "/v1/users/"+user+"/actions/"+code, attributes).ok()
}

// adding proves an action that was tracked to add an authenticator, and returns the
// token that may.
func (w *world) adding(user, key string, d *device) string {
	w.t.Helper()
	tracked := w.act(user, "add-passkey", object{"idempotencyKey": key, "scope": "add:authenticators"})
	return w.prove(d, tracked.str("token")).ok().str("accessToken")
}

// app adds an authenticator app with a token and returns its codes.
func (w *world) app(token string) (code func() string, added answer) {
	w.t.Helper()
	begun := w.client("POST", "/user-authenticators/totp", token, nil).ok()
	code = func() string {
		code, err := totp.GenerateCode(begun.str("secret"), w.clock())
		if err != nil {
			w.t.Fatal(err)
		}
		return code
	}
	added = w.client("POST", "/verify/totp", token, object{"verificationCode": code()}).ok()
	w.pass(time.Minute)
	return code, added
}

// email has codes sent to an address and returns the answer to the right one.
func (w *world) email(token, address string) answer {
	w.t.Helper()
	w.client("POST", "/user-authenticators/email-otp", token, object{"email": address}).ok()
	w.client("POST", "/challenge/email-otp", token, nil).ok()
	a := w.client("POST", "/verify/email-otp", token, object{"verificationCode": w.mail.Code()}).ok()
	if a.get("isVerified") != true {
		w.t.Fatalf("the code that was sent: %s", a.text)
	}
	return a
}

// other is a code that is not this one.
func other(code string) string {
	if code == "123456" {
		return "123457"
	}
	return "123456"
}

// wrong checks that an answer says that a code was wrong, and is no error.
func (a answer) wrong(reason string) answer {
	a.t.Helper()
	if a.ok().get("isVerified") != false || a.str("failureReason") != reason || a.get("error") != nil || a.get("accessToken") != nil {
		a.t.Errorf("got %s, want %s", a.text, reason)
	}
	return a
}

func TestAnAuthenticatorAppIsAddedAndProvesAnAction(t *testing.T) {
	w := startMethods(t)
	first := w.track("ann", "first", 1).str("token")
	w.newEvents()
	begun := w.client("POST", "/user-authenticators/totp", first, nil).ok()
	secret := begun.str("secret")
	if !strings.HasPrefix(begun.str("uri"), "otpauth://totp/") || begun.str("userId") != "ann" || begun.str("userAuthenticatorId") == "" || len(secret) != 32 {
		t.Fatalf("begun: %s", begun.text)
	}
	now, err := totp.GenerateCode(secret, w.clock())
	if err != nil {
		t.Fatal(err)
	}
	w.client("POST", "/verify/totp", first, object{"verificationCode": other(now)}).wrong("CODE_INVALID_OR_EXPIRED")
	added := w.client("POST", "/verify/totp", first, object{"verificationCode": now}).ok()
	if added.get("isVerified") != true || added.str("userAuthenticatorId") != begun.str("userAuthenticatorId") ||
		added.str("userAuthenticator.verificationMethod") != "AUTHENTICATOR_APP" || added.get("userAuthenticator.webauthnCredential") != nil || added.str("accessToken") == first {
		t.Errorf("added: %s", added.text)
	}
	w.wantEvents(events.KindCeremonyBegun, events.KindCeremonyFailed, events.KindCeremonySucceeded, events.KindAuthenticatorAdded)

	w.pass(time.Minute)
	again := w.track("ann", "second", 500)
	if again.str("state") != "CHALLENGE_REQUIRED" || again.str("defaultVerificationMethod") != "AUTHENTICATOR_APP" {
		t.Fatalf("tracked: %s", again.text)
	}
	code, _ := totp.GenerateCode(secret, w.clock())
	for _, malformed := range []string{"12345", "abc", "1234567"} {
		w.client("POST", "/verify/totp", again.str("token"), object{"verificationCode": malformed}).wrong("CODE_INVALID_OR_EXPIRED")
	}
	proof := w.client("POST", "/verify/totp", again.str("token"), object{"verificationCode": code}).ok()
	valid := w.call("POST", "/v1/validate", object{"token": proof.str("accessToken")}).ok()
	if valid.get("isValid") != true || valid.str("verificationMethod") != "AUTHENTICATOR_APP" || valid.str("idempotencyKey") != "second" || len(valid.str("digest")) != 43 {
		t.Errorf("validated: %s", valid.text)
	}
	w.wantEvents(events.KindActionTracked, events.KindCeremonyBegun, events.KindCeremonySucceeded)
	third := w.track("ann", "third", 500).str("token")
	w.client("POST", "/verify/totp", third, object{"verificationCode": code}).wrong("CODE_INVALID_OR_EXPIRED") // it has proven something
	for _, list := range []answer{w.client("GET", "/user-authenticators", third, nil).ok(), w.call("GET", "/v1/users/ann/authenticators", nil).ok()} {
		if strings.Contains(list.text, secret) || strings.Contains(list.text, "ecret") {
			t.Errorf("a secret is told: %s", list.text)
		}
	}
	for _, private := range []string{secret, now, code} {
		if strings.Contains(w.logged(), private) {
			t.Errorf("the log tells %q", private)
		}
	}
}

func TestACodeByMailIsAddedAndProvesAnAction(t *testing.T) {
	w := startMethods(t)
	first := w.track("ann", "first", 1).str("token")
	w.newEvents()
	begun := w.client("POST", "/user-authenticators/email-otp", first, object{"email": "ann@acme.example"}).ok()
	if begun.str("userId") != "ann" || begun.str("userAuthenticatorId") == "" || w.mail.Code() != "" {
		t.Fatalf("begun: %s, code %q", begun.text, w.mail.Code())
	}
	sent := w.client("POST", "/challenge/email-otp", first, nil).ok()
	code := w.mail.Code()
	if sent.str("challengeId") == "" || strings.Contains(sent.text, "ann@") || strings.Contains(sent.text, code) {
		t.Errorf("sent: %s", sent.text)
	}
	added := w.client("POST", "/verify/email-otp", first, object{"verificationCode": code[:3] + " " + code[3:]}).ok()
	if added.str("userAuthenticator.email") != "ann@acme.example" || added.str("userAuthenticator.verificationMethod") != "EMAIL_OTP" || added.get("userAuthenticator.isDefault") != true {
		t.Errorf("added: %s", added.text)
	}
	w.newEvents()

	second := w.track("ann", "second", 500).str("token")
	w.client("POST", "/verify/email-otp", second, object{"verificationCode": code}).wrong("CODE_INVALID_OR_EXPIRED") // ask for one first
	w.wantEvents(events.KindActionTracked)
	w.client("POST", "/challenge/email-otp", second, nil).ok()
	code = w.mail.Code()
	w.client("POST", "/verify/email-otp", second, object{"verificationCode": other(code)}).wrong("CODE_INVALID_OR_EXPIRED")
	proof := w.client("POST", "/verify/email-otp", second, object{"verificationCode": code}).ok()
	if valid := w.call("POST", "/v1/validate", object{"token": proof.str("accessToken")}).ok(); valid.get("isValid") != true || valid.str("verificationMethod") != "EMAIL_OTP" {
		t.Errorf("validated: %s", valid.text)
	}
	w.wantEvents(events.KindCeremonyBegun, events.KindCeremonyFailed, events.KindCeremonySucceeded)
	third := w.track("ann", "third", 500).str("token")
	w.client("POST", "/challenge/email-otp", third, nil).ok()
	late := w.mail.Code()
	w.pass(ceremonies.DefaultCodeTTL - time.Second)
	third = w.track("ann", "third", 500).str("token")
	w.pass(time.Second)
	w.client("POST", "/verify/email-otp", third, object{"verificationCode": late}).wrong("CODE_INVALID_OR_EXPIRED")
	for _, private := range []string{code, "ann@acme.example"} {
		if strings.Contains(w.logged(), private) {
			t.Errorf("the log tells %q", private)
		}
	}
}

func TestTooManyWrongCodesSayWhenToTryAgain(t *testing.T) {
	w := startMethods(t)
	code, _ := w.app(w.track("ann", "first", 1).str("token"))
	answers := 0
	for answers < ceremonies.DefaultLimits.Wrong {
		tracked := w.act("ann", "payment", object{"custom": object{"amount": 500}})
		for i := range ceremonies.DefaultTries {
			want := "CODE_INVALID_OR_EXPIRED"
			if i == ceremonies.DefaultTries-1 { // the last try fails the action
				want = "MAX_ATTEMPTS_EXCEEDED"
			}
			w.client("POST", "/verify/totp", tracked.str("token"), object{"verificationCode": other(code())}).wrong(want)
			answers++
		}
		if a := w.client("POST", "/verify/totp", tracked.str("token"), object{"verificationCode": code()}).wrong("MAX_ATTEMPTS_EXCEEDED"); a.header.Get("Retry-After") != "" {
			t.Error("a failed action does not open again")
		}
		if v := w.call("POST", "/v1/validate", object{"token": tracked.str("token")}).ok(); v.get("isValid") != false || v.str("state") != "CHALLENGE_FAILED" {
			t.Errorf("validated: %s", v.text)
		}
	}
	tracked := w.act("ann", "payment", object{"custom": object{"amount": 500}})
	locked := w.client("POST", "/verify/totp", tracked.str("token"), object{"verificationCode": code()}).wrong("MAX_ATTEMPTS_EXCEEDED")
	if locked.header.Get("Retry-After") != "900" {
		t.Errorf("Retry-After %q", locked.header.Get("Retry-After"))
	}
}

func TestSendingIsLimited(t *testing.T) {
	w := startMethods(t)
	w.email(w.track("ann", "first", 1).str("token"), "ann@acme.example")
	token := w.track("ann", "second", 500).str("token")
	for range ceremonies.DefaultLimits.Sent - 1 {
		w.client("POST", "/challenge/email-otp", token, nil).ok()
	}
	if a := w.client("POST", "/challenge/email-otp", token, nil).refused(429, "too_many_requests"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAMailThatCannotBeSentIsNotTheCallersMistake(t *testing.T) {
	w := startMethods(t)
	w.email(w.track("ann", "first", 1).str("token"), "ann@acme.example")
	token := w.track("ann", "second", 500).str("token")
	w.mail.Fail = errors.New("the relay said no")
	if a := w.client("POST", "/challenge/email-otp", token, nil).refused(503, "unavailable"); a.header.Get("Retry-After") == "" || strings.Contains(a.text, "relay") {
		t.Errorf("%s", a.text)
	}
}

func TestWhoMustEnrolFirstGetsACodeThere(t *testing.T) {
	w := startMethods(t)
	tracked := w.act("ann", "first-payment", object{"idempotencyKey": "k", "email": "ann@acme.example", "custom": object{"amount": 500}})
	if tracked.str("state") != "CHALLENGE_REQUIRED" || tracked.get("isEnrolled") != false {
		t.Fatalf("tracked: %s", tracked.text)
	}
	token := tracked.str("token")
	if a := w.client("POST", "/init", token, object{}).ok(); a.str("challengeOptions.defaultVerificationMethod") != "EMAIL_OTP" || a.str("challengeOptions.user.email") != "ann@acme.example" {
		t.Errorf("init: %s", a.text)
	}
	const options = "/user-authenticators/passkey/registration-options"
	w.client("POST", options, token, object{}).refused(401, "invalid_token")
	w.client("POST", "/challenge/email-otp", token, nil).ok()
	if to := w.mail.All(ceremonies.MailCode)[0].To; to != "ann@acme.example" {
		t.Errorf("sent to %q", to)
	}
	allowed := w.client("POST", "/verify/email-otp", token, object{"verificationCode": w.mail.Code()}).ok()
	if v := w.call("POST", "/v1/validate", object{"token": allowed.str("accessToken")}).ok(); v.get("isValid") != false || v.str("state") != "CHALLENGE_REQUIRED" {
		t.Errorf("a code alone: %s", v.text)
	}
	begun := w.client("POST", options, allowed.str("accessToken"), object{}).ok()
	d := newDevice()
	added := w.client("POST", "/user-authenticators/passkey", allowed.str("accessToken"), object{
		"registrationCredential": d.create(t, begun.get("options")), "challengeId": begun.str("challengeId"),
	}).ok()
	proof := w.prove(d, added.str("accessToken")).ok()
	if v := w.call("POST", "/v1/validate", object{"token": proof.str("accessToken")}).ok(); v.get("isValid") != true || v.str("verificationMethod") != "PASSKEY" {
		t.Errorf("proven: %s", v.text)
	}
}

func TestARecoveryCodeProvesAnActionOnce(t *testing.T) {
	w := startMethods(t)
	d := w.enrol("ann")
	action := events.ActionID{User: "ann", Code: "payment", Key: "codes"}
	tracked := w.track("ann", "codes", 1)
	grant, err := w.party.Authorize(t.Context(), tracked.str("token"), ceremonies.UseAccess)
	if err != nil || grant.Action != action {
		t.Fatalf("grant %+v, %v", grant, err)
	}
	stepUp, err := w.party.BeginStepUp(t.Context(), grant, ceremonies.Ask{Purpose: ceremonies.ForRecoveryCodes})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := w.party.FinishProof(t.Context(), grant, ceremonies.ForRecoveryCodes, stepUp.Challenge, d.sign(t, stepUp.Options), ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	w.newEvents()
	token := w.track("ann", "one", 500).str("token")
	code := strings.ToLower(proof.RecoveryCodes[0])
	w.client("POST", "/verify/recovery-code", token, object{"verificationCode": "AAAA-AAAA-AAAA-AAAA"}).wrong("CODE_INVALID_OR_EXPIRED")
	if a := w.client("POST", "/verify/recovery-code", token, object{"verificationCode": code}).ok(); a.get("isVerified") != true {
		t.Errorf("proven: %s", a.text)
	}
	w.wantEvents(events.KindActionTracked, events.KindCeremonyBegun, events.KindCeremonyFailed, events.KindCeremonyBegun, events.KindCeremonySucceeded)
	token = w.track("ann", "two", 500).str("token")
	w.client("POST", "/verify/recovery-code", token, object{"verificationCode": code}).wrong("CODE_INVALID_OR_EXPIRED")
	w.client("POST", "/verify/recovery-code", token, object{}).refused(400, "invalid_request")
}

func TestARuleChoosesItsMethods(t *testing.T) {
	w := startMethods(t)
	code, _ := w.app(w.track("ann", "first", 1).str("token"))
	d := w.enrolAnother("ann", code)
	tracked := w.act("ann", "transfer", object{"custom": object{"amount": 500}})
	if got, _ := tracked.get("allowedVerificationMethods").([]any); len(got) != 1 || got[0] != "PASSKEY" || tracked.str("defaultVerificationMethod") != "PASSKEY" {
		t.Errorf("tracked: %s", tracked.text)
	}
	if a := w.client("POST", "/init", tracked.str("token"), object{}).ok(); a.str("challengeOptions.verificationMethods.0") != "PASSKEY" || a.get("challengeOptions.verificationMethods.1") != nil {
		t.Errorf("init: %s", a.text)
	}
	w.client("POST", "/verify/totp", tracked.str("token"), object{"verificationCode": code()}).refused(400, "invalid_request")
	w.prove(d, tracked.str("token")).ok()
}

// enrolAnother adds a passkey after a proof by an app.
func (w *world) enrolAnother(user string, code func() string) *device {
	w.t.Helper()
	tracked := w.act(user, "add-passkey", object{"scope": "add:authenticators"})
	token := w.client("POST", "/verify/totp", tracked.str("token"), object{"verificationCode": code()}).ok().str("accessToken")
	begun := w.client("POST", "/user-authenticators/passkey/registration-options", token, object{}).ok()
	d := newDevice()
	w.client("POST", "/user-authenticators/passkey", token, object{
		"registrationCredential": d.create(w.t, begun.get("options")), "challengeId": begun.str("challengeId"), "conditionalCreate": true,
	}).ok()
	w.pass(time.Minute)
	return d
}

func TestABackendSendsChecksAndClaimsACode(t *testing.T) {
	w := startMethods(t)
	sent := w.call("POST", "/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "email": "new@acme.example"}).ok()
	id := sent.str("challengeId")
	if expires, _ := sent.get("expiresAt").(float64); id == "" || sent.str("idempotencyKey") == "" || time.Unix(int64(expires), 0).Sub(w.clock()) > ceremonies.DefaultCodeTTL {
		t.Fatalf("sent: %s", sent.text)
	}
	for _, path := range []string{"/v1/challenges?challengeId=" + id, "/v1/v1/challenges?challengeId=" + id} {
		if a := w.call("GET", path, nil).ok(); a.str("email") != "new@acme.example" || a.str("action") != "enter" || a.str("verificationMethod") != "EMAIL_OTP" {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	if a := w.call("GET", "/v1/challenges?challengeId=none", nil).ok(); a.text != "{}\n" {
		t.Errorf("none: %s", a.text)
	}
	code := w.mail.Code()
	w.call("POST", "/v1/claim", object{"challengeId": id, "userId": "new"}).refused(400, "invalid_request") // not verified yet
	w.call("POST", "/v1/verify", object{"challengeId": id, "verificationCode": other(code)}).wrong("CODE_INVALID_OR_EXPIRED")
	w.wantEvents()
	checked := w.call("POST", "/v1/verify", object{"challengeId": id, "verificationCode": code}).ok()
	if checked.get("isVerified") != true || checked.str("email") != "new@acme.example" || checked.str("verificationMethod") != "EMAIL_OTP" {
		t.Errorf("checked: %s", checked.text)
	}
	w.call("POST", "/v1/claim", object{"challengeId": id, "userId": "new", "skipVerificationCheck": true}).refused(400, "invalid_request")
	claimed := w.call("POST", "/v1/claim", object{"challengeId": id, "userId": "new"}).ok()
	if claimed.str("verificationMethod") != "EMAIL_OTP" || claimed.str("state") != "CHALLENGE_SUCCEEDED" {
		t.Errorf("claimed: %s", claimed.text)
	}
	w.wantEvents(events.KindActionTracked, events.KindCeremonySucceeded)
	valid := w.call("POST", "/v1/validate", object{"token": claimed.str("token")}).ok()
	if valid.get("isValid") != true || valid.str("userId") != "new" || valid.str("action") != "enter" || valid.str("idempotencyKey") != sent.str("idempotencyKey") {
		t.Errorf("validated: %s", valid.text)
	}
	if u := w.call("GET", "/v1/users/new", nil).ok(); u.str("email") != "new@acme.example" || u.get("emailVerified") != true {
		t.Errorf("user: %s", u.text)
	}
	w.call("POST", "/v1/claim", object{"challengeId": id, "userId": "new"}).refused(400, "invalid_request") // once
	for _, private := range []string{code, "new@acme.example"} {
		if strings.Contains(w.logged(), private) {
			t.Errorf("the log tells %q", private)
		}
	}
}

func TestRulesDecideAboutAClaim(t *testing.T) {
	w := startMethods(t)
	w.call("PATCH", "/v1/users/gone", object{"email": "gone@acme.example"}).ok()
	sent := w.call("POST", "/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "userId": "gone"}).ok()
	w.call("POST", "/v1/verify", object{"challengeId": sent.str("challengeId"), "verificationCode": w.mail.Code()}).ok()
	w.call("POST", "/v1/claim", object{"challengeId": sent.str("challengeId"), "userId": "other"}).refused(400, "invalid_request")
	sent = w.call("POST", "/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "userId": "gone"}).ok()
	w.call("POST", "/v1/verify", object{"challengeId": sent.str("challengeId"), "verificationCode": w.mail.Code()}).ok()
	claimed := w.call("POST", "/v1/claim", object{"challengeId": sent.str("challengeId"), "userId": "gone"}).ok()
	if v := w.call("POST", "/v1/validate", object{"token": claimed.str("token")}).ok(); claimed.str("state") != "BLOCK" || v.get("isValid") != false || v.str("state") != "BLOCK" {
		t.Errorf("claimed %s, validated %s", claimed.text, v.text)
	}
}

func TestABackendsCodesAreLimitedByAddressNotByBackend(t *testing.T) {
	w := startMethods(t)
	limits := ceremonies.DefaultLimits
	for i := range limits.SentPerAddress/limits.Sent + 1 {
		for range limits.Sent {
			w.call("POST", "/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "email": fmt.Sprintf("x%d@acme.example", i)}).ok()
		}
	}
	a := w.call("POST", "/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "email": "x0@acme.example"}).refused(429, "too_many_requests")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestBadCodeRequestsAreRefused(t *testing.T) {
	w := startMethods(t)
	for name, row := range map[string]struct {
		path string
		body object
		says string
	}{
		"SMS":                  {"/v1/challenge", object{"verificationMethod": "SMS", "action": "enter", "phoneNumber": "+41790000000"}, "SMS is not an enabled verification method"},
		"no method":            {"/v1/challenge", object{"action": "enter", "email": "a@acme.example"}, "verificationMethod"},
		"no action":            {"/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "email": "a@acme.example"}, "action"},
		"no address":           {"/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter"}, "email"},
		"no address of a user": {"/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "userId": "ann"}, "email"},
		"no such address":      {"/v1/challenge", object{"verificationMethod": "EMAIL_OTP", "action": "enter", "email": "Ann <a@acme.example>"}, "email"},
		"another challenge":    {"/v1/challenge", object{"challengeId": "x"}, "challenge"},
		"verify nothing":       {"/v1/verify", object{}, "challengeId"},
		"verify no code":       {"/v1/verify", object{"challengeId": "x"}, "verificationCode"},
		"claim for nobody":     {"/v1/claim", object{"challengeId": "x"}, "userId"},
		"claim what is not":    {"/v1/claim", object{"challengeId": "x", "userId": "ann"}, "challenge"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call("POST", row.path, row.body)
			a.t = t
			if a.refused(http.StatusBadRequest, "invalid_request"); !strings.Contains(a.text, row.says) {
				t.Errorf("%s", a.text)
			}
		})
	}
	w.wantEvents()
	w.call("GET", "/v1/challenges", nil).refused(400, "invalid_request")
}

func TestTheNewestCodeOfAUserIsFound(t *testing.T) {
	w := startMethods(t)
	w.email(w.track("ann", "first", 1).str("token"), "ann@acme.example")
	if a := w.call("GET", "/v1/challenges?userId=ann&action=payment", nil).ok(); a.text != "{}\n" {
		t.Errorf("none: %s", a.text)
	}
	sent := w.client("POST", "/challenge/email-otp", w.track("ann", "second", 500).str("token"), nil).ok()
	if a := w.call("GET", "/v1/challenges?userId=ann&action=payment", nil).ok(); a.str("challengeId") != sent.str("challengeId") || a.str("email") != "ann@acme.example" {
		t.Errorf("found: %s", a.text)
	}
	for _, query := range []string{"?userId=ann&action=enter", "?userId=ann&verificationMethod=SMS", "?userId=bob", "?challengeId=" + sent.str("challengeId") + "&userId=bob"} {
		if a := w.call("GET", "/v1/challenges"+query, nil).ok(); a.text != "{}\n" {
			t.Errorf("%s: %s", query, a.text)
		}
	}
}
