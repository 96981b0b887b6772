package api_test

import (
	"encoding/base32"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/events"
)

const appSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func TestAnAppIsTakenOverFromAnotherSystem(t *testing.T) {
	w := startMethods(t)
	added := w.call("POST", "/v1/users/ann/authenticators", object{
		"verificationMethod": "AUTHENTICATOR_APP", "otpUri": "otpauth://totp/Acme:ann?secret=" + appSecret + "&issuer=Acme",
	}).ok()
	if added.str("authenticator.verificationMethod") != "AUTHENTICATOR_APP" || strings.Contains(added.text, appSecret) {
		t.Errorf("added: %s", added.text)
	}
	w.wantEvents(events.KindAuthenticatorAdded)
	w.pass(time.Minute)
	tracked := w.track("ann", "k", 500)
	code, err := totp.GenerateCode(appSecret, w.clock())
	if err != nil {
		t.Fatal(err)
	}
	if a := w.client("POST", "/verify/totp", tracked.str("token"), object{"verificationCode": code}).ok(); a.get("isVerified") != true {
		t.Errorf("proven: %s", a.text)
	}
	if strings.Contains(w.logged(), appSecret) {
		t.Error("the log tells the secret")
	}
}

func TestAnAppThatMakesOtherCodesIsRefused(t *testing.T) {
	w := startMethods(t)
	short := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("short"))
	for name, uri := range map[string]string{
		"none": "", "no address": "x", "another scheme": "https://totp/a?secret=" + appSecret, "a counter": "otpauth://hotp/a?secret=" + appSecret,
		"eight digits": "otpauth://totp/a?digits=8&secret=" + appSecret, "another period": "otpauth://totp/a?period=60&secret=" + appSecret,
		"SHA-256": "otpauth://totp/a?algorithm=SHA256&secret=" + appSecret, "no secret": "otpauth://totp/a", "a short secret": "otpauth://totp/a?secret=" + short,
		"no base32": "otpauth://totp/a?secret=11111111111111111111", "a huge secret": "otpauth://totp/a?secret=" + strings.Repeat(appSecret, 20),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.call("POST", "/v1/users/ann/authenticators", object{"verificationMethod": "AUTHENTICATOR_APP", "otpUri": uri})
			a.t = t
			if a.refused(400, "invalid_request"); !strings.Contains(a.text, "otpUri") || strings.Contains(a.text, appSecret) {
				t.Errorf("%s", a.text)
			}
		})
	}
	w.call("POST", "/v1/users/ann/authenticators", object{"verificationMethod": "RECOVERY_CODE"}).refused(400, "invalid_request")
	w.wantEvents()
}

func TestAnAddressIsTakenOverAndReplacesTheOneBefore(t *testing.T) {
	w := startMethods(t)
	enrol := func(address string) answer {
		return w.call("POST", "/v1/users/ann/authenticators", object{"verificationMethod": "EMAIL_OTP", "email": address})
	}
	first := enrol("ann@acme.example").ok()
	if first.str("authenticator.email") != "ann@acme.example" {
		t.Errorf("added: %s", first.text)
	}
	if u := w.call("GET", "/v1/users/ann", nil).ok(); u.str("email") != "ann@acme.example" || u.get("emailVerified") != true || u.str("defaultVerificationMethod") != "EMAIL_OTP" {
		t.Errorf("user: %s", u.text)
	}
	w.wantEvents(events.KindAuthenticatorAdded, events.KindUserUpdated)
	if again := enrol("ann@acme.example").ok(); again.str("authenticator.userAuthenticatorId") != first.str("authenticator.userAuthenticatorId") {
		t.Errorf("sent again: %s", again.text)
	}
	w.wantEvents()
	enrol("ann@new.example").ok()
	w.wantEvents(events.KindAuthenticatorAdded, events.KindAuthenticatorRemoved)
	if list := w.call("GET", "/v1/users/ann/authenticators", nil).ok().list(); len(list) != 1 || list[0]["email"] != "ann@new.example" {
		t.Errorf("authenticators %v", list)
	}
	for _, address := range []string{"", "x", "Ann <a@b.example>", "a@b.example\nBcc: c@d.example"} {
		enrol(address).refused(400, "invalid_request")
	}
	w.wantEvents()
}

// imported is an item of an import.
func imported(user string, d *device) object {
	return object{"userId": user, "verificationMethod": "PASSKEY", "credentialId": b64(d.credential.ID), "credentialPublicKey": b64(d.credential.Key.AttestationData())}
}

func TestAPasskeyIsTakenOverWithItsMake(t *testing.T) {
	w := startMethods(t)
	item := imported("", newDevice())
	item["aaguid"], item["transports"], item["isDefault"] = "FBFC3007-154E-4ECC-8C0B-6E020557D7BD", []string{"internal", "hybrid", "carrier-pigeon"}, true
	w.call("POST", "/v1/users/ann/authenticators", object{"verificationMethod": "EMAIL_OTP", "email": "ann@acme.example"}).ok()
	a := w.call("POST", "/v1/users/ann/authenticators", item).ok()
	mapping, _ := a.get("authenticator.webauthnCredential.aaguidMapping").(map[string]any)
	if mapping["name"] == "" || !strings.HasPrefix(fmt.Sprint(mapping["svgIconLight"]), "data:image/") || !strings.HasPrefix(fmt.Sprint(mapping["svgIconDark"]), "data:image/") {
		t.Errorf("added: %s", a.text)
	}
	if a.get("authenticator.isDefault") != true || a.str("authenticator.webauthnCredential.name") != mapping["name"] {
		t.Errorf("added: %s", a.text)
	}
	tracked := w.track("ann", "k", 500)
	if tracked.str("defaultVerificationMethod") != "PASSKEY" {
		t.Errorf("tracked: %s", tracked.text)
	}
	options := w.client("POST", "/user-authenticators/passkey/authentication-options", tracked.str("token"), object{}).ok()
	if got := fmt.Sprint(options.get("options.allowCredentials.0.transports")); got != "[internal hybrid]" {
		t.Errorf("transports %s", got)
	}
	item = imported("", newDevice())
	item["aaguid"] = "not-a-uuid"
	w.call("POST", "/v1/users/ann/authenticators", item).refused(400, "invalid_request")
}

func TestManyPasskeysAreImportedAndEachFailureIsNamed(t *testing.T) {
	w := startMethods(t)
	taken := w.enrol("ann")
	w.newEvents()
	var list []object
	for i := range 200 {
		list = append(list, imported(fmt.Sprintf("user %d", i%150), newDevice()))
	}
	twice := newDevice()
	key, wrong := imported("eve", newDevice()), imported("eve", newDevice())
	key["credentialPublicKey"], wrong["verificationMethod"] = "AAAA", "SMS"
	list = append(list, imported("bob", taken), imported("", newDevice()), key, wrong, imported("fay", twice), imported("gus", twice))
	a := w.call("POST", "/v1/users/authenticators", object{"authenticators": list}).ok()
	if a.get("total") != 206.0 || a.get("succeeded") != 201.0 || a.get("failed") != 5.0 {
		t.Fatalf("imported: %.2000s", a.text)
	}
	for i, want := range []string{"conflict", "invalid_request", "invalid_request", "invalid_request", "conflict"} {
		if path := fmt.Sprintf("failures.%d.", i); a.str(path+"errorCode") != want || len(a.str(path+"errorDescription")) < 10 || a.str(path+"credentialId") == "" {
			t.Errorf("failure %d: %v", i, a.get(fmt.Sprintf("failures.%d", i)))
		}
	}
	if got := len(w.newEvents()); got != 201 {
		t.Errorf("%d events", got)
	}
	again := w.call("POST", "/v1/users/authenticators", object{"authenticators": list[:200]}).ok()
	if again.get("succeeded") != 200.0 || again.get("failed") != 0.0 {
		t.Errorf("sent again: %.2000s", again.text)
	}
	w.wantEvents()
	if list := w.call("GET", "/v1/users/user%2010/authenticators", nil).ok().list(); len(list) != 2 {
		t.Errorf("authenticators %v", list)
	}
}

func TestAnImportIsBounded(t *testing.T) {
	w := startMethods(t)
	item := imported("ann", newDevice())
	many := make([]object, 1001)
	for i := range many {
		many[i] = item
	}
	if a := w.call("POST", "/v1/users/authenticators", object{"authenticators": many}).refused(400, "invalid_request"); !strings.Contains(a.text, "1000") {
		t.Errorf("%s", a.text)
	}
	w.call("POST", "/v1/users/authenticators", object{"authenticators": []object{}}).refused(400, "invalid_request")
	w.call("POST", "/v1/users/authenticators", object{"x": strings.Repeat("x", 5<<20)}).refused(413, "payload_too_large")
	w.do(request{method: "POST", path: "/v1/users/authenticators", auth: basic(managerWord), body: object{}}).refused(401, "unauthorized")
	w.wantEvents()
}
