package pages_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// visit is a browser of one person.
type visit struct {
	*ceremonytest.World
	handler http.Handler
	cookies map[string]*http.Cookie // by path
}

func newVisit(t *testing.T, changes ...func(*ceremonies.Config)) *visit {
	t.Helper()
	w := ceremonytest.New(t, changes...)
	handler, err := pages.New(pages.Config{RelyingParty: w.RP, Store: w.Store, Brand: "Example Shop", Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	return &visit{World: w, handler: handler, cookies: map[string]*http.Cookie{}}
}

// reopen serves the pages anew with another configuration.
func (v *visit) reopen(changes ...func(*pages.Config)) {
	v.Helper()
	config := pages.Config{RelyingParty: v.RP, Store: v.Store, Brand: "Example Shop", Secure: true}
	for _, change := range changes {
		change(&config)
	}
	var err error
	if v.handler, err = pages.New(config); err != nil {
		v.Fatal(err)
	}
}

// link is the challenge link of an action.
func (v *visit) link(grant ceremonies.Grant) string {
	v.Helper()
	grant.ID, grant.Use = "", ceremonies.UseLink
	token, err := v.Tokens.Sign(grant)
	if err != nil {
		v.Fatal(err)
	}
	return "/challenge?c=" + token
}

// do sends a request with the cookies that a browser would send.
func (v *visit) do(r *http.Request) *http.Response {
	v.Helper()
	for path, cookie := range v.cookies {
		if r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") {
			r.AddCookie(cookie)
		}
	}
	recorder := httptest.NewRecorder()
	v.handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	for _, cookie := range response.Cookies() {
		v.cookies[cookie.Path] = cookie
	}
	return response
}

func (v *visit) get(target string) *http.Response {
	v.Helper()
	return v.do(httptest.NewRequest(http.MethodGet, target, nil))
}

// open follows a link to its page and returns the page's path.
func (v *visit) open(grant ceremonies.Grant) string {
	v.Helper()
	response := v.get(v.link(grant))
	if response.StatusCode != http.StatusSeeOther {
		v.Fatalf("the link answered %d: %s", response.StatusCode, body(v.T, response))
	}
	return response.Header.Get("Location")
}

// post is what the page's script sends.
func (v *visit) post(path string, question any) (*http.Response, map[string]any) {
	v.Helper()
	raw, err := json.Marshal(question)
	if err != nil {
		v.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(raw))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", ceremonytest.Origin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	response := v.do(r)
	var reply map[string]any
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		v.Fatal(err)
	}
	return response, reply
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// shown is which section of a page is not hidden, and its heading.
func shown(t *testing.T, page string) (section, title string) {
	t.Helper()
	open := regexp.MustCompile(`(?s)<section id="(\w+)">.*?<h1[^>]*>(.*?)</h1>`).FindStringSubmatch(page)
	if open == nil {
		t.Fatalf("no section is shown: %s", page)
	}
	return open[1], strings.ReplaceAll(open[2], "&#39;", "'")
}

func TestLinkOpensOnce(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	grant := v.Track("anna", events.StateChallengeRequired, "")
	link := v.link(grant)
	response := v.get(link + "&mode=popup")
	location := response.Header.Get("Location")
	if response.StatusCode != http.StatusSeeOther || !regexp.MustCompile(`^/challenge/[\w-]{16}\?mode=popup$`).MatchString(location) {
		t.Fatalf("the link answered %d to %q", response.StatusCode, location)
	}
	path := strings.TrimSuffix(location, "?mode=popup")
	if len(response.Cookies()) != 1 {
		t.Fatalf("cookies %v", response.Cookies())
	}
	cookie := response.Cookies()[0]
	want := &http.Cookie{
		Name: "__Secure-sallyport", Value: cookie.Value, Path: path, MaxAge: 3600, HttpOnly: true, Secure: true,
		SameSite: http.SameSiteLaxMode, Raw: cookie.Raw,
	}
	if diff := cmp.Diff(want, cookie); diff != "" {
		t.Errorf("cookie (-want +got):\n%s", diff)
	}
	page := v.get(location)
	html := body(t, page)
	if section, title := shown(t, html); page.StatusCode != http.StatusOK || section != "ask" || title != "Confirm it's you" {
		t.Errorf("the page answered %d with %s: %s", page.StatusCode, section, title)
	}
	if strings.Contains(html, cookie.Value) || strings.Contains(html, link[len("/challenge?c="):]) {
		t.Error("the page tells a token")
	}

	t.Run("and then leads the same browser back to the page", func(t *testing.T) {
		again := v.get(v.get(link).Header.Get("Location"))
		if section, _ := shown(t, body(t, again)); section != "ask" {
			t.Errorf("it shows %s", section)
		}
	})
	t.Run("and nobody else anywhere", func(t *testing.T) {
		other := &visit{World: v.World, handler: v.handler, cookies: map[string]*http.Cookie{}}
		refused := other.get(other.get(link).Header.Get("Location"))
		if section, title := shown(t, body(t, refused)); refused.StatusCode != http.StatusGone || section != "note" || title != "This link was opened before" {
			t.Errorf("it answered %d with %s: %s", refused.StatusCode, section, title)
		}
	})
}

func TestLinkIsNotUsedUpByLookingAhead(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	link := v.link(v.Track("anna", events.StateChallengeRequired, ""))
	ahead := httptest.NewRequest(http.MethodGet, link, nil)
	ahead.Header.Set("Sec-Purpose", "prefetch;prerender")
	for _, r := range []*http.Request{ahead, httptest.NewRequest(http.MethodHead, link, nil)} {
		if response := v.do(r); response.StatusCode != http.StatusNoContent || len(response.Cookies()) != 0 {
			t.Errorf("%s answered %d with cookies %v", r.Method, response.StatusCode, response.Cookies())
		}
	}
	response := v.get(v.get(link).Header.Get("Location"))
	if section, _ := shown(t, body(t, response)); section != "ask" {
		t.Errorf("afterwards the link shows %s", section)
	}
}

func TestLinkIsRefused(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	grant := v.Track("anna", events.StateChallengeRequired, "")
	access, err := v.Tokens.Sign(grant)
	if err != nil {
		t.Fatal(err)
	}
	expired := grant
	expired.Expires = v.Clock.Now()
	old := grant
	old.Generation--
	tests := map[string]struct {
		link   string
		status int
		title  string
		back   bool
	}{
		"without a token":             {"/challenge", http.StatusNotFound, "This request is closed", false},
		"with garbage":                {"/challenge?c=x.y.z", http.StatusNotFound, "This request is closed", false},
		"with an access token":        {"/challenge?c=" + access, http.StatusNotFound, "This request is closed", false},
		"of tokens taken back":        {v.link(old), http.StatusNotFound, "This request is closed", false},
		"too late":                    {v.link(expired), http.StatusGone, "This request has run out", true},
		"of a page that is not there": {"/challenge/AAAAAAAAAAAAAAAA", http.StatusGone, "This link was opened before", false},
		"of no page at all":           {"/challenge/a/b/c", http.StatusNotFound, "This request is closed", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := v.get(test.link)
			html := body(t, response)
			section, title := shown(t, html)
			if response.StatusCode != test.status || section != "note" || title != test.title {
				t.Errorf("answered %d with %s: %s", response.StatusCode, section, title)
			}
			if back := strings.Contains(html, "Go back to shop.example"); back != test.back {
				t.Errorf("the way back is there: %v", back)
			}
			if len(response.Cookies()) != 0 {
				t.Error("it set a cookie")
			}
		})
	}
}

func TestHeadersOnEveryAnswer(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	begun, _ := v.post(path+"/begin", nil)
	html := body(t, v.get(path))
	script := regexp.MustCompile(`/challenge/assets/page-\w+\.js`).FindString(html)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
			"base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; frame-ancestors 'none'",
		"Permissions-Policy":     "publickey-credentials-get=(self), publickey-credentials-create=(self)",
		"Referrer-Policy":        "no-referrer",
		"X-Content-Type-Options": "nosniff",
		"X-Robots-Tag":           "noindex, nofollow",
		"Cache-Control":          "no-store",
	}
	for name, response := range map[string]*http.Response{
		"page": v.get(path), "endpoint": begun, "note": v.get("/challenge"), "way back": v.get(path + "/back"), "script": v.get(script),
	} {
		t.Run(name, func(t *testing.T) {
			for header, value := range want {
				if header == "Cache-Control" && name == "script" {
					value = "public, max-age=31536000, immutable"
				}
				if got := response.Header.Get(header); got != value {
					t.Errorf("%s: %q, want %q", header, got, value)
				}
			}
		})
	}
	t.Run("frames of listed origins", func(t *testing.T) {
		handler, err := pages.New(pages.Config{
			RelyingParty: v.RP, Store: v.Store, Brand: "Example Shop", FrameAncestors: []string{"https://a.example", "https://b.example"},
		})
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/challenge", nil))
		if got := recorder.Header().Get("Content-Security-Policy"); !strings.HasSuffix(got, "frame-ancestors https://a.example https://b.example") {
			t.Errorf("policy %q", got)
		}
	})
}

func TestHostileTextIsOnlyText(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	html := body(t, v.get(v.open(v.Track("anna", events.StateChallengeRequired, "", func(r *engine.Recording) {
		r.Decision.Prompt = "Pay 1 to </p><script>alert(1)</script>\u202e evil\n\nApproved\u2066 \" onclick=\"x"
		r.Action.Email = `"><img src=x onerror=alert(1)>@example.com`
	}))))
	for _, hostile := range []string{"<script>alert", "<img", "\u202e", "\u2066", "\n\nApproved", `" onclick=`} {
		if strings.Contains(html, hostile) {
			t.Errorf("the page holds %q", hostile)
		}
	}
	if !strings.Contains(html, "Pay 1 to &lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt; evil  Approved") {
		t.Errorf("the page does not hold the text: %s", html)
	}
}

func TestPageShowsWhereTheActionStands(t *testing.T) {
	add := ceremonies.ScopeAdd
	tests := map[string]struct {
		grant   func(v *visit) ceremonies.Grant
		section string
		title   string
	}{
		"waits for a proof": {func(v *visit) ceremonies.Grant {
			v.Enrolled("anna", ceremonytest.Synced)
			return v.Track("anna", events.StateChallengeRequired, "")
		}, "ask", "Confirm it's you"},
		"waits for a proof that nobody can give": {func(v *visit) ceremonies.Grant {
			return v.Track("anna", events.StateChallengeRequired, "")
		}, "note", "We can't confirm it here"},
		"proven": {func(v *visit) ceremonies.Grant {
			return v.Prove("anna", v.Enrolled("anna", ceremonytest.Synced), "")
		}, "done", "All done"},
		"proven, for enrolment": {func(v *visit) ceremonies.Grant {
			grant := v.Prove("anna", v.Enrolled("anna", ceremonytest.Synced), add)
			grant.Scopes = ceremonytest.ReadAndAdd
			return grant
		}, "enrol", "Create a passkey"},
		"allowed, for a new person": {func(v *visit) ceremonies.Grant { return v.TrackNew("anna") }, "enrol", "Create a passkey"},
		"allowed, without the scope": {func(v *visit) ceremonies.Grant {
			return v.Track("anna", events.StateAllow, "")
		}, "note", "Nothing to do"},
		"blocked":        {func(v *visit) ceremonies.Grant { return v.Track("anna", events.StateBlock, "") }, "note", "This can't go ahead"},
		"under review":   {func(v *visit) ceremonies.Grant { return v.Track("anna", events.StateReviewRequired, "") }, "note", "This is being checked"},
		"review failed":  {func(v *visit) ceremonies.Grant { return v.Track("anna", events.StateReviewFailed, "") }, "note", "This can't go ahead"},
		"failed already": {func(v *visit) ceremonies.Grant { return v.Track("anna", events.StateChallengeFailed, "") }, "note", "This request is closed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t)
			section, title := shown(t, body(t, v.get(v.open(test.grant(v)))))
			if section != test.section || title != test.title {
				t.Errorf("it shows %s: %s", section, title)
			}
		})
	}
}

func TestPageKnowsWhenItIsLate(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	v.Clock.Move(ceremonies.TokenTTL)
	page := v.get(path)
	if section, title := shown(t, body(t, page)); page.StatusCode != http.StatusGone || title != "This request has run out" {
		t.Errorf("it answered %d with %s: %s", page.StatusCode, section, title)
	}
	if got := v.get(path + "/back").Header.Get("Location"); got != ceremonytest.RedirectURL {
		t.Errorf("the way back leads to %s", got)
	}
	response, reply := v.post(path+"/begin", nil)
	if response.StatusCode != http.StatusUnauthorized || reply["note"] != "expired" {
		t.Errorf("the script hears %d, %v", response.StatusCode, reply)
	}
}

func TestCookieOpensItsOwnPageOnly(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	one := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	two := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	if one == two {
		t.Fatal("two actions have one page")
	}
	v.cookies[two].Value = v.cookies[one].Value
	if section, title := shown(t, body(t, v.get(two))); section != "note" {
		t.Errorf("a cookie of another page shows %s: %s", section, title)
	}
	response, reply := v.post(two+"/begin", nil)
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a cookie of another page begins a ceremony: %v", reply)
	}
}
