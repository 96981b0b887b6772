package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/internal/api"
)

func TestProofOfAnEarlierLifeCountsNoMore(t *testing.T) {
	w := start(t)
	d := w.enrol("ann")
	w.prove(d, w.track("ann", "one", 500).str("token")).ok()
	if valid := w.call("POST", "/v1/validate", object{"token": w.track("ann", "one", 500).str("token")}).ok(); valid.get("isValid") != true {
		t.Fatalf("before: %s", valid.text)
	}
	w.pass(time.Second)
	w.call("DELETE", "/v1/users/ann", nil).ok()
	if state := w.track("ann", "one", 500).str("state"); state != "CHALLENGE_FAILED" {
		t.Errorf("while nobody has the id the action is %s", state)
	}
	w.track("ann", "newlife", 1)
	again := w.track("ann", "one", 500)
	if state := again.str("state"); state != "CHALLENGE_FAILED" {
		t.Errorf("for the person who has the id now the action is %s", state)
	}
	if valid := w.call("POST", "/v1/validate", object{"token": again.str("token")}).ok(); valid.get("isValid") != false || valid.get("state") != nil {
		t.Errorf("validated: %s", valid.text)
	}
}

func TestHostedPageSharesTheCeremonyLimit(t *testing.T) {
	limit := api.NewCeremonyLimit(api.DefaultLimits, time.Now)
	w := start(t, func(c *api.Config) { c.Ceremonies = limit })
	page, err := pages.New(pages.Config{RelyingParty: w.party, Store: w.store, Brand: "Acme", Limit: limit.Begin})
	if err != nil {
		t.Fatal(err)
	}
	w.enrol("ann")
	action := w.track("ann", "flood", 500)
	opened := httptest.NewRecorder()
	page.ServeHTTP(opened, httptest.NewRequest("GET", strings.TrimPrefix(action.str("url"), publicURL), nil))
	begin := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", opened.Header().Get("Location")+path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", publicURL)
		r.AddCookie(opened.Result().Cookies()[0])
		answered := httptest.NewRecorder()
		page.ServeHTTP(answered, r)
		return answered
	}
	begun := 0
	for range 2 * api.DefaultLimits.Ceremonies {
		if begin("/begin").Code == http.StatusOK {
			begun++
		}
	}
	if begun == 0 || begun > api.DefaultLimits.Ceremonies+1 {
		t.Errorf("the page began %d ceremonies", begun)
	}
	for _, path := range []string{"/begin", "/enrol/begin"} {
		if refused := begin(path); refused.Code != http.StatusTooManyRequests || !strings.Contains(refused.Body.String(), `"say":"say.often"`) {
			t.Errorf("%s: %d %s", path, refused.Code, refused.Body)
		}
	}
	if refused := w.client("POST", "/user-authenticators/passkey/authentication-options", action.str("token"), object{}); refused.status != http.StatusTooManyRequests {
		t.Errorf("the client API goes on: %d %s", refused.status, refused.text)
	}
}

func TestHostedPageKeepsWholeCharactersOfAUserAgent(t *testing.T) {
	w := start(t)
	page, err := pages.New(pages.Config{RelyingParty: w.party, Store: w.store, Brand: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	opened := httptest.NewRecorder()
	page.ServeHTTP(opened, httptest.NewRequest("GET", strings.TrimPrefix(w.track("bob", "one", 1).str("url"), publicURL), nil))
	post := func(path, body string) answer {
		r := httptest.NewRequest("POST", opened.Header().Get("Location")+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", publicURL)
		r.Header.Set("User-Agent", strings.Repeat("a", 1023)+"é")
		r.AddCookie(opened.Result().Cookies()[0])
		answered := httptest.NewRecorder()
		page.ServeHTTP(answered, r)
		a := answer{t: t, status: answered.Code, text: answered.Body.String()}
		if err := json.Unmarshal(answered.Body.Bytes(), &a.json); err != nil {
			t.Fatal(err)
		}
		return a
	}
	begun := post("/enrol/begin", "{}").ok()
	post("/enrol/finish", `{"challenge":"`+begun.str("challenge")+`","response":`+string(newDevice().create(t, begun.get("options")))+`}`).ok()
}

// gone is a caller that no answer reaches.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestAnswersAreNotSharedBetweenCalls(t *testing.T) {
	var config api.Config
	start(t, func(c *api.Config) { config = *c })
	server, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func() {
		r := httptest.NewRequest("POST", "/v1/client/challenge", strings.NewReader("{}"))
		r.Header.Set("Authorization", basic(tenant))
		server.Handler().ServeHTTP(gone{httptest.NewRecorder()}, r)
	}
	done := make(chan struct{})
	go func() { defer close(done); refuse() }() // for the race detector
	refuse()
	<-done
}

func TestNamesHoldNoControlCharacters(t *testing.T) {
	w := start(t)
	w.track("ann", "one", 1)
	for _, value := range []string{"a\nb", "a\u202eb", "\u2066a", "a\u200fb"} {
		for _, name := range []string{"displayName", "username", "email"} {
			if refused := w.call("PATCH", "/v1/users/ann", object{name: value}); refused.status != http.StatusBadRequest {
				t.Errorf("%s %q: %d %s", name, value, refused.status, refused.text)
			}
		}
	}
	w.call("PATCH", "/v1/users/ann", object{"displayName": "Änn O'Neil \u05d0\u05d1"}).ok()
}

func TestNumberThatIsTooLargeNamesItsField(t *testing.T) {
	w := start(t)
	refused := w.do(request{method: "POST", path: "/v1/users/ann/actions/payment", auth: basic(secret), body: `{"custom":{"fine":1,"amount":1e999}}`})
	if refused.status != http.StatusBadRequest || !strings.Contains(refused.text, `"custom.amount"`) || strings.Contains(refused.text, "such a number") {
		t.Errorf("%d %s", refused.status, refused.text)
	}
}
