package pages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/events"
)

// endpoints are what the page's script calls, below the page's address.
var endpoints = []string{
	"begin", "finish", "code/send", "code/finish", "enrol/begin", "enrol/finish", "app/begin", "app/finish",
	"email/begin", "email/finish", "rename", "prefer", "later", "report", "result", "deny",
}

// fuzzed is the pages and a world with a person who stands before them.
type fuzzed struct {
	*ceremonytest.World
	handler http.Handler
}

// openFuzz opens a world whose limits are in no input's way. The faults that the pages
// log go to the writer.
func openFuzz(f *testing.F, faults io.Writer) *fuzzed {
	f.Helper()
	w := ceremonytest.Open(f, func(c *ceremonies.Config) {
		c.Limits, c.Tries = ceremonies.DefaultLimits, 1<<30
		c.Limits.Wrong, c.Limits.WrongPerAddress, c.Limits.Sent, c.Limits.SentPerAddress = 1<<30, 1<<30, 1<<30, 1<<30
	})
	handler, err := pages.New(pages.Config{
		RelyingParty: w.RP, Store: w.Store, Brand: "Example Shop", Secure: true, Log: slog.New(slog.NewTextHandler(faults, nil)),
	})
	if err != nil {
		f.Fatal(err)
	}
	return &fuzzed{World: w, handler: handler}
}

// page is an action's page, with the cookie's token.
func (v *fuzzed) page(t *testing.T, grant ceremonies.Grant) (path, token string) {
	t.Helper()
	grant.ID, grant.Use = "", ceremonies.UseLink
	link, err := v.Tokens.Sign(grant)
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	v.handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/challenge?c="+link, nil))
	response := recorder.Result()
	if len(response.Cookies()) != 1 {
		t.Fatalf("the link answered %d: %s", recorder.Code, recorder.Body)
	}
	return response.Header.Get("Location"), response.Cookies()[0].Value
}

// FuzzQuestion holds that no body of the page's script is a fault, or panics, on the page
// of an open action, of one who may enrol, or on the account page; that every answer is
// JSON, and that a refusal says something to the person.
func FuzzQuestion(f *testing.F) {
	for i := range endpoints {
		for page := range uint8(3) {
			for _, body := range []string{
				"{}", "", "null", "[]", "{", "\xff", `{"code":"123456"}`, `{"code":"ABCD-EFGH-JKMN-PQRS","method":"RECOVERY_CODE"}`,
				`{"code":"123456","method":"EMAIL_OTP","challenge":"AAAA"}`, `{"method":"\u0000","challenge":"\u0000","code":"\u0661\u0662","id":"\u0000","name":"\u0000"}`,
				`{"for":"passkey","method":"PASSKEY"}`, `{"for":"email","subject":"anna@example.org"}`, `{"for":"remove","subject":"\u0000"}`, `{"for":"codes"}`, `{"for":"?"}`,
				`{"challenge":"AAAA","response":{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA"}}}`,
				`{"challenge":"AAAA","response":null}`, `{"response":7}`, `{"email":"anna@example.org"}`, `{"email":"a\r\nb@c"}`, `{"id":"x","name":"` + strings.Repeat("ä", 200) + `"}`,
				`{"error":"NotAllowedError","challenge":"x"}`, `{"error":"<script>"}`, `{"name":"\ud800","id":"\ud800","challenge":"\ud800","error":"\ud800"}`,
			} {
				f.Add(uint8(i), page, []byte(body))
			}
		}
	}
	var faults bytes.Buffer
	world := openFuzz(f, &faults)
	f.Fuzz(func(t *testing.T, endpoint, page uint8, body []byte) {
		faults.Reset()
		v := &fuzzed{World: world.In(t), handler: world.handler}
		if !v.Account("anna").Known {
			v.Enrolled("anna", ceremonytest.Synced)
		}
		var grant ceremonies.Grant
		switch page % 3 {
		case 0:
			grant = v.Track("anna", events.StateChallengeRequired, "")
		case 1:
			grant = v.TrackNew(events.UserID(fmt.Sprintf("new-%d", page)))
		case 2:
			grant = v.Track("anna", events.StateAllow, ceremonies.ScopeAccount)
			grant.Scopes = ceremonies.ScopeAccount
		}
		path, token := v.page(t, grant)
		r := httptest.NewRequest("POST", path+"/"+endpoints[int(endpoint)%len(endpoints)], bytes.NewReader(body))
		r.AddCookie(&http.Cookie{Name: "__Secure-sallyport", Value: token})
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", ceremonytest.Origin)
		recorder := httptest.NewRecorder()
		v.handler.ServeHTTP(recorder, r)
		if recorder.Code >= http.StatusInternalServerError || faults.Len() > 0 {
			t.Fatalf("status %d: %s\n%s", recorder.Code, recorder.Body, &faults)
		}
		var reply map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &reply); err != nil || recorder.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("status %d, %v: %s", recorder.Code, err, recorder.Body)
		}
		if recorder.Code != http.StatusOK && reply["say"] == nil && reply["show"] == nil {
			t.Fatalf("status %d says nothing: %s", recorder.Code, recorder.Body)
		}
	})
}

// pageAddress is where a link may lead, and no other place.
var pageAddress = regexp.MustCompile(`^/challenge/[\w-]{16}(\?mode=(popup|window))?$`)

// FuzzVisit holds that no link, mode or cookie is a fault or panics; that the answer is a
// page, or leads to one of ours; and that the page opens to nobody but who has its cookie.
func FuzzVisit(f *testing.F) {
	var faults bytes.Buffer
	world := openFuzz(f, &faults)
	action := events.ActionID{User: "anna", Code: "payment", Key: "order-0"}
	link, err := world.Tokens.Sign(ceremonies.Grant{Use: ceremonies.UseLink, Action: action})
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range []string{"", link, link + "x", link[:len(link)-1], "a.b.c", "e30.e30.", "\x00", "%zz", strings.Repeat("a", 9000), link + "&c=x"} {
		for _, mode := range []string{"", "popup", "window", "popup&mode=x", "\"><script>", "\r\nSet-Cookie: a=b", "\xff"} {
			f.Add(c, mode, "__Secure-sallyport="+c, "en")
		}
		f.Add(c, "", c, "ar,de;q=0.5")
		f.Add(c, "", "__Secure-sallyport=\""+c+"\"; __Secure-sallyport=", "x-\xff;q=nan")
	}
	f.Fuzz(func(t *testing.T, c, mode, cookie, language string) {
		faults.Reset()
		v := &fuzzed{World: world.In(t), handler: world.handler}
		if !v.Account("anna").Known {
			v.Enrolled("anna", ceremonytest.Synced)
		}
		path, token := v.page(t, v.Track("anna", events.StateChallengeRequired, ""))
		query := url.Values{"c": {c}, "mode": {mode}}.Encode()
		for _, target := range []string{"/challenge?" + query, "/challenge?c=" + c + "&mode=" + mode, path + "?" + query, path + "/back?" + query, path + "/change/email?" + query} {
			r := httptest.NewRequest("GET", "/challenge", nil)
			at, raw, _ := strings.Cut(target, "?")
			r.URL.Path, r.URL.RawQuery = at, raw
			r.Header.Set("Cookie", cookie)
			r.Header.Set("Accept-Language", language)
			recorder := httptest.NewRecorder()
			v.handler.ServeHTTP(recorder, r)
			header := recorder.Header()
			if recorder.Code >= http.StatusInternalServerError || faults.Len() > 0 {
				t.Fatalf("%s answered %d: %s", target, recorder.Code, &faults)
			}
			mine := slices.ContainsFunc(r.CookiesNamed("__Secure-sallyport"), func(k *http.Cookie) bool { return k.Value == token })
			switch recorder.Code {
			case http.StatusSeeOther:
				if !pageAddress.MatchString(header.Get("Location")) && !mine {
					t.Fatalf("%s leads to %q", target, header.Get("Location"))
				}
			case http.StatusOK:
				if !mine {
					t.Fatalf("%s opened without its cookie: %q", target, cookie)
				}
			}
			if recorder.Code != http.StatusSeeOther && (header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(recorder.Body.String(), "<html")) {
				t.Fatalf("%s answered %d with %q: %s", target, recorder.Code, header.Get("Content-Type"), recorder.Body)
			}
			if strings.Contains(recorder.Body.String(), `"><script>`) {
				t.Fatalf("%s is written into the page", target)
			}
		}
	})
}
