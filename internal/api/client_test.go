package api_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
)

func TestAPasskeyIsEnrolledAndProvesAnAction(t *testing.T) {
	w := start(t)
	first := w.track("ann", "first", 1)
	options := w.client("POST", "/user-authenticators/passkey/registration-options", first.str("token"),
		`{"username":"ann@acme.example","displayName":"Ann","authenticatorAttachment":null}`).ok()
	for _, path := range []string{
		"challengeId", "options.challenge", "options.rp.id", "options.rp.name", "options.user.id", "options.timeout", "options.attestation",
		"options.pubKeyCredParams", "options.excludeCredentials", "options.authenticatorSelection.userVerification",
		"options.authenticatorSelection.requireResidentKey", "options.authenticatorSelection.residentKey",
	} {
		if options.get(path) == nil {
			t.Errorf("mobile SDKs need %s: %s", path, options.text)
		}
	}
	phone := newDevice()
	added := w.client("POST", "/user-authenticators/passkey", first.str("token"), object{
		"registrationCredential": phone.create(t, options.get("options")), "challengeId": options.str("challengeId"), "conditionalCreate": false,
	}).ok()
	credential := base64.RawURLEncoding.EncodeToString(phone.credential.ID)
	if added.get("isVerified") != true || added.str("userId") != "ann" || added.str("credentialId") != credential ||
		added.str("userAuthenticator.userAuthenticatorId") != added.str("userAuthenticatorId") || added.str("accessToken") == "" {
		t.Errorf("added: %s", added.text)
	}
	w.wantEvents(events.KindActionTracked, events.KindCeremonyBegun, events.KindCeremonySucceeded, events.KindAuthenticatorAdded)

	again := w.track("ann", "second", 500)
	if again.str("state") != "CHALLENGE_REQUIRED" || again.get("isEnrolled") != true || again.str("defaultVerificationMethod") != "PASSKEY" {
		t.Fatalf("an enrolled person: %s", again.text)
	}
	request := w.client("POST", "/user-authenticators/passkey/authentication-options", again.str("token"), "{}").ok()
	if request.str("options.rpId") != "localhost" || request.str("options.allowCredentials.0.id") != credential || request.get("error") != nil {
		t.Errorf("options: %s", request.text)
	}
	answer := object{"authenticationCredential": phone.sign(t, request.get("options")), "challengeId": request.str("challengeId"), "deviceId": "d"}
	proof := w.client("POST", "/verify/passkey", again.str("token"), answer).ok()
	if proof.get("isVerified") != true || proof.str("userAuthenticatorId") != added.str("userAuthenticatorId") || proof.str("accessToken") == again.str("token") {
		t.Errorf("proof: %s", proof.text)
	}
	w.wantEvents(events.KindActionTracked, events.KindCeremonyBegun, events.KindCeremonySucceeded)
	w.client("POST", "/verify/passkey", again.str("token"), answer).refused(400, "invalid_request") // once only
	w.wantEvents()

	list := w.client("GET", "/user-authenticators", proof.str("accessToken"), nil).ok().list()
	if len(list) != 1 || list[0]["verificationMethod"] != "PASSKEY" || list[0]["isDefault"] != true {
		t.Errorf("authenticators: %v", list)
	}
	for key, value := range list[0] {
		if value == nil {
			t.Errorf("%s is null", key)
		}
	}
	backend := w.call("GET", "/v1/users/ann/authenticators", nil).ok().list()
	if diff := cmp.Diff(list, backend); diff != "" {
		t.Errorf("backend and client see different authenticators:\n%s", diff)
	}
	if a := w.call("GET", "/v1/users/ann/actions/payment/second", nil).ok(); a.str("verificationMethod") != "PASSKEY" {
		t.Errorf("action: %s", a.text)
	}
	for _, private := range []string{"ann", credential, proof.str("accessToken")} {
		if strings.Contains(w.logged(), private) {
			t.Errorf("the log tells %q", private)
		}
	}
}

func TestARefusedPasskeyHasACode(t *testing.T) {
	w := start(t)
	phone := w.enrol("ann")
	stranger := w.enrol("bob")
	for name, row := range map[string]struct {
		sign   func(options any) any
		change func(o object)
		status int
		code   string
	}{
		"somebody else's passkey": {status: 400, code: "invalid_credential", sign: func(o any) any { return stranger.sign(t, o) }},
		"a wrong origin": {status: 400, code: "invalid_credential", sign: func(o any) any {
			elsewhere := *phone
			elsewhere.origin = "https://evil.example"
			return elsewhere.sign(t, o)
		}},
		"no user verification": {status: 400, code: "invalid_credential", sign: func(o any) any {
			careless := *phone
			careless.authenticator.Options.UserNotVerified = true
			return careless.sign(t, o)
		}},
		"a passkey that was never registered": {status: 400, code: "unknown_credential", sign: func(o any) any {
			lost := newDevice()
			lost.authenticator.Options.UserHandle = phone.authenticator.Options.UserHandle
			return lost.sign(t, o)
		}},
		"no credential":        {status: 400, code: "invalid_request", sign: func(any) any { return nil }},
		"a credential of text": {status: 400, code: "invalid_request", sign: func(any) any { return "x" }},
		"an empty credential":  {status: 400, code: "invalid_request", sign: func(any) any { return object{} }},
		"another challenge": {
			status: 400, code: "invalid_request", sign: func(o any) any { return phone.sign(t, o) },
			change: func(o object) { o["challengeId"] = "other" },
		},
		"no challenge": {
			status: 400, code: "invalid_request", sign: func(o any) any { return phone.sign(t, o) },
			change: func(o object) { delete(o, "challengeId") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			token := w.track("ann", name, 500).str("token")
			options := w.client("POST", "/user-authenticators/passkey/authentication-options", token, "").ok()
			body := object{"authenticationCredential": row.sign(options.get("options")), "challengeId": options.str("challengeId")}
			if row.change != nil {
				row.change(body)
			}
			a := w.client("POST", "/verify/passkey", token, body)
			a.t = t
			a.refused(row.status, row.code)
			if strings.Contains(a.text, "evil.example") || strings.Contains(a.text, "protocol") {
				t.Errorf("the library's words: %s", a.text)
			}
			if v := w.call("POST", "/v1/validate", object{"token": token}).ok(); v.get("isValid") != false {
				t.Errorf("validated: %s", v.text)
			}
		})
	}
}

func TestEnrollingNeverReplacesProving(t *testing.T) {
	w := start(t)
	const options = "/user-authenticators/passkey/registration-options"
	w.client("POST", options, w.track("eve", "blocked", 20000).str("token"), "{}").refused(401, "invalid_token")

	open := w.track("ann", "before", 1).str("token")
	phone := w.enrol("ann")
	w.client("POST", options, open, "{}").refused(400, "invalid_request") // it was for a person without a passkey
	w.client("POST", options, w.track("ann", "plain", 1).str("token"), "{}").refused(401, "invalid_token")

	asked := w.call("POST", "/v1/users/ann/actions/add-passkey", object{"idempotencyKey": "a", "scope": "add:authenticators"}).ok()
	if asked.str("state") != "CHALLENGE_REQUIRED" {
		t.Fatalf("adding to an enrolled person: %s", asked.text)
	}
	w.client("POST", options, asked.str("token"), "{}").refused(401, "invalid_token")
	proven := w.prove(phone, asked.str("token")).ok()
	w.client("POST", options, proven.str("accessToken"), "{}").ok()
}

func TestTokens(t *testing.T) {
	w := start(t)
	w.enrol("ann")
	token := w.track("ann", "k", 500).str("token")
	link := strings.TrimPrefix(w.track("ann", "k", 500).str("url"), publicURL+"/challenge?c=")
	for name, row := range map[string]struct{ auth, code string }{
		"none":             {code: "unauthorized"},
		"garbage":          {auth: "Bearer garbage", code: "invalid_token"},
		"empty":            {auth: "Bearer ", code: "unauthorized"},
		"a link":           {auth: "Bearer " + link, code: "invalid_token"},
		"a server secret":  {auth: basic(secret), code: "unauthorized"},
		"the tenant alone": {auth: basic(url.QueryEscape(tenant)), code: "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(request{method: "GET", path: "/v1/client/user-authenticators", auth: row.auth})
			a.t = t
			a.refused(401, row.code)
		})
	}
	w.client("GET", "/user-authenticators", token, nil).ok()
	w.do(request{method: "GET", path: "/v1/client/user-authenticators", auth: "bearer " + token}).ok()
	w.pass(10*time.Minute + time.Second)
	w.client("GET", "/user-authenticators", token, nil).refused(401, "expired_token")
	w.client("POST", "/user-authenticators/passkey/authentication-options", token, "{}").refused(401, "expired_token")
}

func TestTenantAuthorizationAsEachSDKWritesIt(t *testing.T) {
	w := start(t)
	phone := w.enrol("ann")
	credential := base64.RawURLEncoding.EncodeToString(phone.credential.ID)
	w.newEvents()
	const path = "/v1/client/user-authenticators/passkey"
	for name, auth := range map[string]string{
		"browser, no colon, percent-encoded": "Basic " + base64.StdEncoding.EncodeToString([]byte(url.PathEscape(tenant))),
		"iOS, base64url without padding":     "Basic " + base64.RawURLEncoding.EncodeToString([]byte(tenant+":")),
		"Android, padded":                    "Basic " + base64.StdEncoding.EncodeToString([]byte(tenant+":")),
		"curl -u":                            "basic " + base64.StdEncoding.EncodeToString([]byte(tenant+":")),
	} {
		t.Run(name, func(t *testing.T) {
			for _, query := range []string{"?credentialIds=AAAA," + credential, "?credentialId=" + credential} {
				a := w.do(request{method: "GET", path: path + query, auth: auth})
				a.t = t
				if a.ok().str("credentialId") != credential || a.str("verifiedAt") == "" {
					t.Errorf("answer %s", a.text)
				}
			}
		})
	}
	anonymous := basic(tenant)
	w.do(request{method: "GET", path: path + "?credentialIds=AAAA", auth: anonymous}).refused(404, "unknown_credential")
	w.do(request{method: "GET", path: path, auth: anonymous}).refused(400, "invalid_request")
	w.do(request{method: "GET", path: path + "?credentialIds=" + strings.Repeat("AAAA,", 30), auth: anonymous}).refused(400, "invalid_request")
	w.do(request{method: "GET", path: path + "?credentialIds=AAAA", auth: basic("other")}).refused(401, "unauthorized")
	token := w.track("ann", "k", 1).str("token")
	for _, auth := range []string{anonymous, "Bearer " + token} {
		for path, method := range map[string]string{"/challenge/sms": "SMS", "/verify/whatsapp": "WHATSAPP", "/challenge/qr-code": "QR_CODE", "/verify/email-magic-link/finalize": "EMAIL_MAGIC_LINK"} {
			a := w.do(request{method: "POST", path: "/v1/client" + path, auth: auth, body: object{}}).refused(400, "invalid_request")
			if !strings.Contains(a.text, method+" is not an enabled verification method") {
				t.Errorf("another method: %s", a.text)
			}
		}
	}
	w.wantEvents(events.KindActionTracked)
}

func TestAnonymousCallsAreFew(t *testing.T) {
	w := start(t, func(c *api.Config) {
		c.Limits = api.Limits{PerAddress: 0.001, AddressBurst: 3, PerTenant: 100, TenantBurst: 5, Remembered: 2, OperatorSignIns: 2, Ceremonies: 3}
		c.TrustedProxies = []netipPrefix{mustPrefix("127.0.0.0/8"), mustPrefix("10.0.0.0/8")}
	})
	ask := func(forwarded string) answer {
		return w.do(request{
			method: "GET", path: "/v1/client/user-authenticators/passkey?credentialIds=AAAA", auth: basic(tenant),
			header: http.Header{"X-Forwarded-For": {forwarded}},
		})
	}
	for range 3 {
		ask("6.6.6.6, 192.0.2.1").refused(404, "unknown_credential") // the left one is the caller's own invention
	}
	if a := ask("7.7.7.7, 192.0.2.1, 10.1.1.1").refused(429, "too_many_requests"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	ask("2001:db8::1").refused(404, "unknown_credential")
	ask("2001:db8::2").refused(404, "unknown_credential") // the same /64 is the same customer
	ask("192.0.2.77").refused(429, "too_many_requests")   // the tenant's share is used up
	ask("192.0.2.1, x, 10.1.1.1").refused(429, "too_many_requests")
	token := w.track("ann", "k", 1).str("token") // backends are not concerned
	for range 3 {
		w.client("POST", "/user-authenticators/passkey/registration-options", token, nil).ok()
	}
	w.client("POST", "/user-authenticators/passkey/registration-options", token, nil).refused(429, "too_many_requests")
	for range 2 {
		w.do(request{method: "POST", path: "/console/api/signin/begin", body: object{}}).ok()
	}
	w.do(request{method: "POST", path: "/console/api/signin/begin", body: object{}}).refused(429, "too_many_requests")
}

func TestCORS(t *testing.T) {
	w := start(t)
	for name, row := range map[string]struct {
		origin, path string
		allowed      bool
	}{
		"a listed origin":                {origin: shopOrigin, path: "/v1/client/user-authenticators", allowed: true},
		"our own origin":                 {origin: publicURL, path: "/v1/client/user-authenticators", allowed: true},
		"an unknown client endpoint":     {origin: shopOrigin, path: "/v1/client/nothing", allowed: true},
		"another origin":                 {origin: "https://evil.example", path: "/v1/client/user-authenticators"},
		"an origin that ends alike":      {origin: "https://evil-shop.example", path: "/v1/client/user-authenticators"},
		"another port":                   {origin: shopOrigin + ":8443", path: "/v1/client/user-authenticators"},
		"the null origin":                {origin: "null", path: "/v1/client/user-authenticators"},
		"a listed origin and server API": {origin: shopOrigin, path: "/v1/users/ann"},
		"a listed origin and console":    {origin: shopOrigin, path: "/console/api/session"},
	} {
		t.Run(name, func(t *testing.T) {
			plain := w.do(request{method: "GET", path: row.path, header: http.Header{"Origin": {row.origin}}})
			preflight := w.do(request{method: "OPTIONS", path: row.path, header: http.Header{
				"Origin": {row.origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type"},
			}})
			want := ""
			if row.allowed {
				want = row.origin
			}
			for _, a := range []answer{plain, preflight} {
				if got := a.header.Get("Access-Control-Allow-Origin"); got != want {
					t.Errorf("allowed origin %q, want %q", got, want)
				}
				if client := strings.HasPrefix(row.path, "/v1/client"); client != strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
					t.Errorf("Vary: %v", a.header.Values("Vary"))
				}
				if (a.header.Get("Access-Control-Allow-Credentials") == "true") != row.allowed {
					t.Error("credentials")
				}
			}
			if row.allowed && (preflight.status != 204 || !strings.Contains(preflight.header.Get("Access-Control-Allow-Headers"), "Authorization")) {
				t.Errorf("preflight %d %v", preflight.status, preflight.header)
			}
		})
	}
}
