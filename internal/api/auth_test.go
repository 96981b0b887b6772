package api_test

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/api"
)

type netipPrefix = netip.Prefix

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// unauthorizedText is asserted by the test suites of four SDKs (CONTRACT 1.2).
const unauthorizedText = "The request is unauthorized. Check that your API key and region base URL are correctly configured."

func TestServerAuthorization(t *testing.T) {
	w := start(t)
	encode := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, row := range map[string]struct {
		auth string
		ok   bool
	}{
		"the secret":                  {auth: encode(secret + ":"), ok: true},
		"the one before":              {auth: encode(oldSecret + ":"), ok: true},
		"no colon":                    {auth: encode(secret), ok: true},
		"base64url without padding":   {auth: "Basic " + base64.RawURLEncoding.EncodeToString([]byte(secret+":")), ok: true},
		"a password beside it":        {auth: encode(secret + ":ignored"), ok: true},
		"another case of the scheme":  {auth: strings.Replace(encode(secret+":"), "Basic", "basic", 1), ok: true},
		"nothing":                     {},
		"an empty user":               {auth: encode(":")},
		"the secret as password":      {auth: encode(":" + secret)},
		"a wrong secret":              {auth: encode("sp_wrong:")},
		"a prefix of the secret":      {auth: encode(secret[:len(secret)-1] + ":")},
		"more than the secret":        {auth: encode(secret + "x:")},
		"the management secret":       {auth: encode(managerWord + ":")},
		"the secret as bearer":        {auth: "Bearer " + secret},
		"no base64":                   {auth: "Basic ?"},
		"a scheme alone":              {auth: "Basic"},
		"a header beyond all measure": {auth: "Basic " + strings.Repeat("A", 8<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(request{method: "GET", path: "/v1/users/ann", auth: row.auth})
			a.t = t
			if row.ok {
				a.ok()
				return
			}
			if a.refused(401, "unauthorized").str("errorDescription") != unauthorizedText {
				t.Errorf("the text differs: %s", a.text)
			}
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic") {
				t.Errorf("WWW-Authenticate: %q", got)
			}
		})
	}
	if strings.Contains(w.logged(), "sp_") {
		t.Error("the log tells a secret")
	}
}

// A browser that reads a Basic challenge asks the person for a password.
func TestBrowsersAreNotAskedForAPassword(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/console/api/session", "/v1/client/user-authenticators", "/v1/client/user-authenticators/passkey"} {
		if got := w.do(request{method: "GET", path: path}).refused(401, "unauthorized").header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
			t.Errorf("%s: WWW-Authenticate: %q", path, got)
		}
	}
}

func TestManagementAuthorization(t *testing.T) {
	w := start(t)
	for _, r := range []request{
		{method: "GET", path: "/v1/management/rule-sets/current"},
		{method: "POST", path: "/v1/management/rule-sets"},
		{method: "POST", path: "/v1/management/rule-sets/check"},
		{method: "POST", path: "/v1/management/operators/invites"},
	} {
		for _, auth := range []string{"", basic(secret), basic("wrong")} {
			r.auth = auth
			w.do(r).refused(401, "unauthorized")
		}
	}
	w.do(request{method: "GET", path: "/v1/management/rule-sets/current", auth: basic(managerWord)}).ok()
	w.wantEvents()
}

func TestRequestIDs(t *testing.T) {
	w := start(t)
	for name, row := range map[string]struct {
		sent string
		kept bool
	}{
		"a sane one":   {sent: "abc-123_x.Y", kept: true},
		"none":         {},
		"a long one":   {sent: strings.Repeat("a", 65)},
		"a line break": {sent: "a b"},
		"JSON":         {sent: `a"b`},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do(request{method: "GET", path: "/healthz", header: http.Header{"X-Request-Id": {row.sent}}})
			got := a.header.Get("X-Request-Id")
			if got == "" || (got == row.sent) != row.kept {
				t.Errorf("sent %q, got %q", row.sent, got)
			}
			if !strings.Contains(w.logged(), `"request":"`+got+`"`) {
				t.Error("the log lacks it")
			}
		})
	}
}

func TestConfigurationIsRefusedAsAWhole(t *testing.T) {
	_, err := api.New(api.Config{PublicURL: "localhost:8080", Origins: []string{"https://a.example/"}, Secrets: []string{""}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{"Engine", "Party", "Tokens", "Rules", "Operators", "Store", "Tenant", "ManagementHash", "localhost:8080", "https://a.example/", "a server secret is empty"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named: %v", part, err)
		}
	}
}
