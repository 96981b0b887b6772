package api_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
)

// anyone is a call of a client SDK that names the tenant.
func (w *world) anyone(path string, body any) answer {
	w.t.Helper()
	return w.do(request{method: "POST", path: "/v1/client" + path, auth: basic(tenant), body: body})
}

// signAny answers options that name no passkey, as a device does that has one.
func (d *device) signAny(t *testing.T, options any) json.RawMessage {
	t.Helper()
	named := object{}
	for key, value := range options.(map[string]any) {
		named[key] = value
	}
	named["allowCredentials"] = []object{{"id": b64(d.credential.ID), "type": "public-key"}} // which the software authenticator needs
	return d.sign(t, named)
}

func TestSignInWithAPasskey(t *testing.T) {
	w := startMethods(t)
	d := w.enrol("ann")
	w.newEvents()
	const options = "/user-authenticators/passkey/authentication-options"
	for name, row := range map[string]struct {
		challenge any // what names the action
		web, code string
	}{
		"of an action":        {challenge: object{"action": "enter"}, code: "enter"},
		"with autofill":       {code: "sign-in"},
		"with cookies":        {challenge: object{"action": "enter", "idempotencyKey": "mine"}, web: "/web", code: "enter"},
		"with another's name": {code: "sign-in"},
	} {
		t.Run(name, func(t *testing.T) {
			body := object{"username": "bob"}
			if row.challenge != nil {
				body["challengeId"] = w.anyone("/challenge"+row.web, row.challenge).ok().str("challengeId")
			}
			begun := w.anyone(options+row.web, body).ok()
			w.wantEvents() // nobody has come yet
			signed := object{"authenticationCredential": d.signAny(t, begun.get("options")), "challengeId": begun.str("challengeId"), "deviceId": "laptop"}
			a := w.anyone("/verify/passkey", signed).ok()
			if a.get("isVerified") != true || a.str("userId") != "ann" || a.str("userAuthenticatorId") == "" || a.get("error") != nil {
				t.Errorf("signed in: %s", a.text)
			}
			w.wantEvents(events.KindActionTracked, events.KindCeremonySucceeded)
			v := w.call("POST", "/v1/validate", object{"token": a.str("accessToken")}).ok()
			if v.get("isValid") != true || v.str("userId") != "ann" || v.str("action") != row.code || v.str("verificationMethod") != "PASSKEY" {
				t.Errorf("validated: %s", v.text)
			}
			if v.str("idempotencyKey") == "mine" {
				t.Error("a client chose the identity of an action")
			}
			again := w.anyone("/verify/passkey", signed)
			again.refused(400, "invalid_request") // once only
			w.wantEvents()
		})
	}
	if list := w.call("GET", "/v1/users/ann/devices", nil).ok().list(); len(list) != 1 || list[0]["deviceId"] != "laptop" {
		t.Errorf("devices %v", list)
	}
}

func TestASignInCannotProveWhatABackendHasTracked(t *testing.T) {
	w := startMethods(t)
	d := w.enrol("ann")
	tracked := w.track("ann", "order-1", 500).str("token")
	const options = "/user-authenticators/passkey/authentication-options"
	for name, id := range map[string]string{
		"an id that names a key": "action." + base64.RawURLEncoding.EncodeToString([]byte(`{"action":"payment","idempotencyKey":"order-1"}`)),
		"an id of a challenge":   w.client("POST", options, tracked, object{}).ok().str("challengeId"),
		"garbage":                "garbage",
	} {
		t.Run(name, func(t *testing.T) {
			a := w.anyone(options, object{"challengeId": id})
			a.t = t
			a.refused(400, "invalid_request")
		})
	}
	id := w.anyone("/challenge", object{"action": "payment", "idempotencyKey": "order-1"}).ok().str("challengeId")
	begun := w.anyone(options, object{"challengeId": id}).ok()
	w.anyone("/verify/passkey", object{"authenticationCredential": d.signAny(t, begun.get("options")), "challengeId": begun.str("challengeId")}).ok()
	if v := w.call("POST", "/v1/validate", object{"token": tracked}).ok(); v.get("isValid") != false || v.str("state") != "CHALLENGE_REQUIRED" {
		t.Errorf("validated: %s", v.text)
	}
	// Nor does a challenge of one kind serve the other.
	stepUp := w.client("POST", options, tracked, object{}).ok()
	w.anyone("/verify/passkey", object{"authenticationCredential": d.signAny(t, stepUp.get("options")), "challengeId": stepUp.str("challengeId")}).refused(400, "invalid_request")
	begun = w.anyone(options, object{}).ok()
	w.client("POST", "/verify/passkey", tracked, object{"authenticationCredential": d.signAny(t, begun.get("options")), "challengeId": begun.str("challengeId")}).refused(400, "invalid_request")
	for _, action := range []string{"", "not a code!", strings.Repeat("x", 65)} {
		w.anyone("/challenge", object{"action": action}).refused(400, "invalid_request")
	}
	if a := w.client("POST", "/challenge", tracked, object{"action": "enter"}).ok(); a.str("challengeId") != "action."+base64.RawURLEncoding.EncodeToString([]byte("payment")) {
		t.Errorf("with a token: %s", a.text)
	}
}

func TestAnUnknownNameGetsTheSameAnswer(t *testing.T) {
	w := startMethods(t)
	w.enrol("ann")
	w.call("PATCH", "/v1/users/ann", object{"username": "ann"}).ok()
	shape := func(username string) object {
		a := w.anyone("/user-authenticators/passkey/authentication-options", object{"username": username}).ok()
		options := a.get("options").(map[string]any)
		options["challenge"] = len(options["challenge"].(string))
		return object{"id": len(a.str("challengeId")), "options": options, "length": len(a.text)}
	}
	if diff := cmp.Diff(shape("ann"), shape("nobody")); diff != "" {
		t.Errorf("a name makes a difference:\n%s", diff)
	}
}

func TestRulesDecideAboutASignIn(t *testing.T) {
	w := startMethods(t)
	d := w.enrol("ann")
	w.call("PATCH", "/v1/users/ann", object{"email": "gone@acme.example"}).ok()
	w.newEvents()
	id := w.anyone("/challenge", object{"action": "enter"}).ok().str("challengeId")
	begun := w.anyone("/user-authenticators/passkey/authentication-options", object{"challengeId": id}).ok()
	a := w.anyone("/verify/passkey", object{"authenticationCredential": d.signAny(t, begun.get("options")), "challengeId": begun.str("challengeId")}).ok()
	if a.get("isVerified") != false {
		t.Errorf("signed in: %s", a.text)
	}
	if v := w.call("POST", "/v1/validate", object{"token": a.str("accessToken")}).ok(); v.get("isValid") != false || v.str("state") != "BLOCK" {
		t.Errorf("validated: %s", v.text)
	}
	w.wantEvents(events.KindActionTracked, events.KindCeremonyFailed)
}

func TestAPasskeyOfNobodySignsNobodyIn(t *testing.T) {
	w := startMethods(t)
	d := newDevice()
	begun := w.anyone("/user-authenticators/passkey/authentication-options", object{}).ok()
	a := w.anyone("/verify/passkey", object{"authenticationCredential": d.signAny(t, begun.get("options")), "challengeId": begun.str("challengeId")})
	a.refused(400, "unknown_credential") // the browser SDK forgets it then
	w.wantEvents()
	begun = w.anyone("/user-authenticators/passkey/authentication-options", object{}).ok()
	for _, device := range []string{"a\nb", strings.Repeat("x", 300)} {
		w.anyone("/verify/passkey", object{"authenticationCredential": d.signAny(t, begun.get("options")), "challengeId": begun.str("challengeId"), "deviceId": device}).refused(400, "invalid_request")
	}
}

func TestSignInsAreFew(t *testing.T) {
	w := startMethods(t, func(c *api.Config) {
		c.Limits = api.Limits{PerAddress: 0.001, AddressBurst: 3, PerTenant: 100, TenantBurst: 100, Remembered: 2, OperatorSignIns: 2, Ceremonies: 100}
	})
	for range 3 {
		w.anyone("/user-authenticators/passkey/authentication-options", object{}).ok()
	}
	w.anyone("/user-authenticators/passkey/authentication-options/web", object{}).refused(429, "too_many_requests")
	w.anyone("/challenge", object{"action": "enter"}).refused(429, "too_many_requests")
}
