package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
)

// startFuzz starts a server whose limits are in no input's way.
func startFuzz(f *testing.F) *world {
	f.Helper()
	return startWith(f, ruleset.Config{}, func(c *api.Config) {
		c.Limits = api.Limits{
			PerAddress: rate.Inf, AddressBurst: 1, PerTenant: rate.Inf, TenantBurst: 1,
			Ceremonies: 1 << 30, OperatorSignIns: 1 << 30, Remembered: 100,
		}
		c.Log = nil
		limits := ceremonies.DefaultLimits
		limits.Wrong, limits.WrongPerAddress, limits.Sent, limits.SentPerAddress = 1<<30, 1<<30, 1<<30, 1<<30
		var err error
		c.Party, err = ceremonies.New(ceremonies.Config{
			ID: "localhost", Name: "Acme", Origins: []string{publicURL, shopOrigin}, Key: []byte(strings.Repeat("k", 32)), Tenant: tenant,
			Mailer: &ceremonytest.Mailbox{}, Now: c.Now, Tries: 1 << 30, Limits: limits,
		}, c.Store.(*store.Store), c.Tokens)
		if err != nil {
			f.Fatal(err)
		}
	})
}

// wantWire checks what holds of every answer: it is JSON and no fault, and an error has
// the three keys that SDKs read.
func wantWire(t *testing.T, r *httptest.ResponseRecorder) {
	t.Helper()
	body := r.Body.Bytes()
	if r.Code >= http.StatusInternalServerError {
		t.Fatalf("status %d: %s", r.Code, body)
	}
	if got := r.Header().Get("Content-Type"); got != "application/json" || !json.Valid(body) {
		t.Fatalf("status %d, %q: %s", r.Code, got, body)
	}
	if r.Code < http.StatusBadRequest {
		return
	}
	var e struct {
		Error            string `json:"error"`
		ErrorCode        string `json:"errorCode"`
		ErrorDescription string `json:"errorDescription"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Error == "" || e.Error != e.ErrorCode || len(e.ErrorDescription) < 10 {
		t.Fatalf("status %d, %v: %s", r.Code, err, body)
	}
}

// clientPosts are the client calls with a body.
var clientPosts = []string{
	"/user-authenticators/security-key", "/verify/security-key",
	"/user-authenticators/passkey", "/verify/passkey",
	"/user-authenticators/passkey/registration-options", "/user-authenticators/passkey/authentication-options",
	"/user-authenticators/security-key/registration-options", "/user-authenticators/security-key/authentication-options",
	"/challenge", "/challenge/web", "/init",
	"/user-authenticators/totp", "/verify/totp",
	"/user-authenticators/email-otp", "/challenge/email-otp", "/verify/email-otp",
	"/verify/recovery-code", "/verify/sms",
}

// FuzzClientBody holds that no body of a client call, with a token or without one, is a
// fault or panics, and that each refusal has the three keys of the wire protocol.
func FuzzClientBody(f *testing.F) {
	w := startFuzz(f)
	w.enrol("ann")
	auths := []string{
		"Bearer " + w.track("ann", "open", 500).str("token"),
		"Bearer " + w.track("new", "first", 1).str("token"), // who may enrol
		basic(tenant),
	}
	value := w.client("POST", "/user-authenticators/passkey/authentication-options", strings.TrimPrefix(auths[0], "Bearer "), "{}").ok()
	bare := func(clientData string) string {
		return `{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"` + b64([]byte(clientData)) + `","authenticatorData":"AA","signature":"AA","attestationObject":"AA"}}`
	}
	known := bare(`{"type":"webauthn.get","challenge":"` + value.str("options.challenge") + `","origin":"` + publicURL + `"}`)
	bodies := []string{
		"", "{}", "null", "[]", `"x"`, "1e999", "{", "\xff", "{}{}", strings.Repeat("[", 20_000),
		known, bare(`{"challenge":"AAAA"}`), bare(`{"challenge":""}`), bare("{"), bare("null"), bare("\x00"), `{"response":null}`, `{"response":{"clientDataJSON":7}}`,
		`{"response":{"clientDataJSON":"?"}}`, `{"authenticationCredential":` + known + `,"challengeId":"` + value.str("challengeId") + `","deviceId":"d"}`,
		`{"registrationCredential":` + known + `,"challengeId":"x","conditionalCreate":true}`, `{"authenticationCredential":{},"challengeId":"\u0000"}`,
		`{"authenticationCredential":{},"challengeId":"x","deviceId":"\u0007"}`, `{"username":"\u0000","authenticatorAttachment":"?"}`,
		`{"challengeId":"action.` + b64([]byte("payment")) + `"}`, `{"challengeId":"action."}`, `{"challengeId":"action.?"}`, `{"challengeId":"other"}`,
		`{"action":"payment"}`, `{"action":"a b"}`, `{"action":"` + strings.Repeat("a", 65) + `"}`,
		`{"email":"ann@acme.example"}`, `{"email":"ann@acme.example\r\nBcc: all"}`, `{"email":"\ud800@x"}`,
		`{"verificationCode":"123456"}`, `{"verificationCode":"ABCD-EFGH-JKMN-PQRS"}`, `{"verificationCode":123456}`, `{"verificationCode":"\u0661"}`,
	}
	for i := range clientPosts {
		for j, body := range bodies {
			f.Add(uint8(i), uint8(j), "application/json", []byte(body))
		}
		for j := range auths {
			f.Add(uint8(i), uint8(j), "text/plain", []byte("{}"))
			f.Add(uint8(i), uint8(j), "application/json; charset=\x00", []byte(known))
			f.Add(uint8(i), uint8(j), "application/json", []byte(bodies[len(bodies)-1-j]))
		}
	}
	f.Fuzz(func(t *testing.T, path, auth uint8, media string, body []byte) {
		r := httptest.NewRequest("POST", "/v1/client"+clientPosts[int(path)%len(clientPosts)], bytes.NewReader(body))
		r.Header.Set("Authorization", auths[int(auth)%len(auths)])
		r.Header.Set("Content-Type", media)
		recorder := httptest.NewRecorder()
		w.serve.ServeHTTP(recorder, r)
		wantWire(t, recorder)
	})
}

// FuzzAuthorization holds that an Authorization header admits to the server API only
// with a secret in it, and to the client API only with the tenant or a token, and that
// all else is refused with the three keys.
func FuzzAuthorization(f *testing.F) {
	w := startFuzz(f)
	token := w.track("ann", "open", 1).str("token")
	for _, user := range []string{secret, oldSecret, tenant, "acme+corp", "acme%20corp", "%zz", "", "sp_", managerWord, "\x00\xff"} {
		f.Add("Basic " + b64([]byte(user)))
		f.Add(basic(user))
		f.Add("basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret)))
		f.Add("Bearer " + user)
	}
	for _, header := range []string{
		"", "Basic", "Basic ", "Bearer", "Bearer ", "Bearer " + token, "bEARER  " + token + " ", "Bearer " + token[:len(token)-2], "Basic ====", "Basic a-b/c",
		"Basic " + strings.Repeat("A", 5000), "Bearer ..", "Bearer e30.e30.", "Basic\t" + b64([]byte(secret)),
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		call := func(path string) bool {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Authorization", header)
			recorder := httptest.NewRecorder()
			w.serve.ServeHTTP(recorder, r)
			wantWire(t, recorder)
			return recorder.Code != http.StatusUnauthorized
		}
		scheme, rest, _ := strings.Cut(header, " ")
		rest = strings.TrimSpace(rest)
		user := func(accepted ...string) bool {
			for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				plain, err := alphabet.DecodeString(strings.TrimRight(rest, "="))
				name, _, _ := strings.Cut(string(plain), ":")
				unescaped, _ := url.QueryUnescape(name)
				if err == nil && strings.EqualFold(scheme, "Basic") && (slices.Contains(accepted, name) || slices.Contains(accepted, unescaped)) {
					return true
				}
			}
			return false
		}
		if call("/v1/users/ann") && !user(secret, oldSecret) {
			t.Errorf("%q opened the server API", header)
		}
		if call("/v1/client/user-authenticators/passkey?credentialIds=AAAA") && !user(tenant) {
			t.Errorf("%q was taken for the tenant", header)
		}
		if call("/v1/client/user-authenticators") && (!strings.EqualFold(scheme, "Bearer") || rest != token) {
			t.Errorf("%q was taken for a token", header)
		}
	})
}

// FuzzClientAddress holds that nobody chooses the address that they are known by: with
// no trusted proxy it is the peer's, and before what a trusted proxy wrote may stand
// anything.
func FuzzClientAddress(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	const seen = "203.0.113.9"
	for _, peer := range []string{"10.0.0.1:80", "[fd00::1]:80", "198.51.100.7:1", "[::ffff:10.0.0.1]:1", "[fe80::1%eth0]:1", "@", "", "10.0.0.1"} {
		for _, header := range []string{"", "198.51.100.7", "198.51.100.7, 10.0.0.2", "x", ",,", "::ffff:10.0.0.2, fe80::1%a", "10.0.0.2,10.0.0.3", "1.2.3.4:80", " \t", strings.Repeat("10.0.0.1,", 3000)} {
			f.Add(peer, header)
		}
	}
	f.Fuzz(func(t *testing.T, peer, header string) {
		at := func(trusted []netip.Prefix, headers ...string) netip.Addr {
			return api.ClientAddress(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": headers}}, trusted)
		}
		direct := at(nil, header)
		parsed, err := netip.ParseAddrPort(peer)
		if direct.IsValid() != (err == nil) || err == nil && direct != parsed.Addr().Unmap().WithZone("") {
			t.Fatalf("%q without proxies is %v", peer, direct)
		}
		inside := func(a netip.Addr) bool {
			return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
		}
		got := at(trusted, header)
		if got.IsValid() != direct.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("%q, %q is %v", peer, header, got)
		}
		if !inside(direct) {
			if got != direct {
				t.Fatalf("%q chose %v", peer, got)
			}
			return
		}
		if got != direct && !slices.ContainsFunc(strings.Split(header, ","), func(hop string) bool {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			return err == nil && a.Unmap().WithZone("") == got
		}) {
			t.Fatalf("%q, %q is %v, which nobody wrote", peer, header, got)
		}
		for _, headers := range [][]string{{header + "," + seen}, {header, seen}, {header, seen + ", 10.1.1.1"}} {
			if got := at(trusted, headers...); got != netip.MustParseAddr(seen) {
				t.Fatalf("%q, %q is %v, want %s", peer, headers, got, seen)
			}
		}
	})
}
