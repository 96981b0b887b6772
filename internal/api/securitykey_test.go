package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
)

func TestASecurityKeyIsAddedAndProvesAnAction(t *testing.T) {
	w := startMethods(t)
	first := w.track("ann", "first", 1).str("token")
	w.newEvents()
	const path = "/user-authenticators/security-key"
	begun := w.client("POST", path+"/registration-options", first, object{}).ok()
	if begun.str("challenge") == "" || begun.get("options") != nil || begun.get("challengeId") != nil || begun.get("error") != nil ||
		begun.str("authenticatorSelection.authenticatorAttachment") != "cross-platform" || begun.str("authenticatorSelection.residentKey") != "discouraged" {
		t.Fatalf("options: %s", begun.text)
	}
	key := newDevice()
	added := w.client("POST", path, first, key.create(t, begun.json)).ok()
	if added.get("isVerified") != true || added.str("userAuthenticator.verificationMethod") != "SECURITY_KEY" || added.str("userAuthenticator.webauthnCredential.name") != "Security key" {
		t.Errorf("added: %s", added.text)
	}
	w.wantEvents(events.KindCeremonyBegun, events.KindCeremonySucceeded, events.KindAuthenticatorAdded)

	w.pass(time.Second)
	second := w.track("ann", "second", 500)
	if second.str("defaultVerificationMethod") != "SECURITY_KEY" {
		t.Errorf("tracked: %s", second.text)
	}
	w.client("POST", "/user-authenticators/passkey/authentication-options", second.str("token"), object{}).refused(400, "invalid_request") // it is no passkey
	options := w.client("POST", path+"/authentication-options", second.str("token"), object{}).ok()
	if options.str("rpId") != "localhost" || options.str("allowCredentials.0.id") != b64(key.credential.ID) || options.str("userVerification") != "preferred" {
		t.Errorf("options: %s", options.text)
	}
	signed := key.sign(t, options.json)
	foreign := w.track("bob", "k", 1).str("token")
	w.client("POST", "/verify/security-key", foreign, signed).refused(400, "invalid_request") // a challenge of somebody else
	proof := w.client("POST", "/verify/security-key", second.str("token"), signed).ok()
	if v := w.call("POST", "/v1/validate", object{"token": proof.str("accessToken")}).ok(); v.get("isValid") != true || v.str("verificationMethod") != "SECURITY_KEY" {
		t.Errorf("validated: %s", v.text)
	}
	w.client("POST", "/verify/security-key", second.str("token"), signed).refused(400, "invalid_request") // once
}

func TestAnAnswerWithoutAChallengeIsRefused(t *testing.T) {
	w := startMethods(t)
	token := w.track("ann", "first", 1).str("token")
	w.newEvents()
	begun := w.client("POST", "/user-authenticators/security-key/registration-options", token, nil).ok()
	w.newEvents()
	var answer object
	if err := json.Unmarshal(newDevice().create(t, begun.json), &answer); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]any{
		"no client data": "", "no base64": "!!", "no JSON": b64([]byte("x")), "no challenge": b64([]byte("{}")), "a number": 7,
		"another challenge": b64([]byte(`{"type":"webauthn.create","challenge":"AAAA","origin":"http://localhost:8080"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			answer["response"].(map[string]any)["clientDataJSON"] = data
			for _, path := range []string{"/user-authenticators/security-key", "/verify/security-key"} {
				a := w.client("POST", path, token, answer)
				a.t = t
				a.refused(400, "invalid_request")
			}
		})
	}
	for _, body := range []string{"", "{}", "[]", `"x"`, "null", `{"response":null}`} {
		a := w.client("POST", "/verify/security-key", token, body).refused(400, "invalid_request")
		if strings.Contains(a.text, "protocol") {
			t.Errorf("the library's words: %s", a.text)
		}
	}
	w.wantEvents()
}
