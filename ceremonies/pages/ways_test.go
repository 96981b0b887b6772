package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

type fields = map[string]any

// settings is a grant that leads to the account page.
func (v *visit) settings(user events.UserID) ceremonies.Grant {
	v.Helper()
	v.Clock.Move(time.Second)
	grant := v.Track(user, events.StateAllow, "")
	grant.Scopes = ceremonies.ScopeRead + " " + ceremonies.ScopeAccount
	return grant
}

// prove answers a question with a passkey.
func (v *visit) prove(path string, d *ceremonytest.Device, question fields) (*http.Response, fields) {
	v.Helper()
	_, begun := v.post(path+"/begin", question)
	challenge, o := options[ceremonies.RequestOptions](v.T, begun)
	out := answer(challenge, d.Answer(v.T, o))
	for name, value := range question {
		out[name] = value
	}
	return v.post(path+"/finish", out)
}

// newPasskey registers a device where the page may enrol.
func (v *visit) newPasskey(path string, d *ceremonytest.Device) (*http.Response, fields) {
	v.Helper()
	_, begun := v.post(path+"/enrol/begin", fields{"method": "PASSKEY"})
	challenge, o := options[ceremonies.CreationOptions](v.T, begun)
	return v.post(path+"/enrol/finish", answer(challenge, d.Register(v.T, o)))
}

func TestFirstPasskeyComesWithRecoveryCodes(t *testing.T) {
	v := newVisit(t)
	path := v.open(v.TrackNew("anna"))
	_, reply := v.newPasskey(path, ceremonytest.NewDevice(ceremonytest.Synced))
	codes, _ := reply["codes"].([]any)
	if len(codes) != ceremonies.RecoveryCodes || reply["show"] != "done" || reply["title"] != "done.ready" {
		t.Fatalf("reply %v", reply)
	}
	if html := body(t, v.get(path)); strings.Contains(html, codes[0].(string)) {
		t.Error("the page tells a recovery code a second time")
	}
}

func TestEnrolFirst(t *testing.T) {
	v := newVisit(t)
	grant := v.enrolFirst("anna")
	path := v.open(grant)
	html := body(t, v.get(path))
	if section, title := shown(t, html); section != "ask" || title != "First, make sure it's you" || !strings.Contains(html, "a…@example.com") {
		t.Fatalf("it shows %s: %s", section, title)
	}
	if response, reply := v.post(path+"/enrol/begin", fields{}); response.StatusCode == http.StatusOK {
		t.Fatalf("enrolment began without a code: %v", reply)
	}
	if response, reply := v.post(path+"/code/send", fields{"for": "app"}); response.StatusCode != http.StatusBadRequest {
		t.Errorf("a code for something else was sent: %v", reply)
	}
	_, sent := v.post(path+"/code/send", fields{"for": "passkey"})
	if sent["to"] != "a…@example.com" || sent["wait"] == nil {
		t.Fatalf("sent %v", sent)
	}
	if mail := v.Mail.All(ceremonies.MailCode)[0]; mail.Shown != "Add a new passkey to your account" || mail.Purpose != ceremonies.ForAdding {
		t.Errorf("mail %+v", mail)
	}
	if _, reply := v.post(path+"/code/finish", fields{"for": "passkey", "method": "EMAIL_OTP", "challenge": sent["challenge"], "code": v.Mail.Code()}); reply["go"] != "." {
		t.Fatalf("after the code: %v", reply)
	}
	if section, _ := shown(t, body(t, v.get(path))); section != "enrol" {
		t.Fatalf("after the code it shows %s", section)
	}
	d := ceremonytest.NewDevice(ceremonytest.Synced)
	if _, reply := v.newPasskey(path, d); reply["go"] != "." || len(reply["codes"].([]any)) == 0 {
		t.Fatalf("after the passkey: %v", reply)
	}
	if section, title := shown(t, body(t, v.get(path))); section != "ask" || title != "Confirm it's you" {
		t.Fatalf("then it shows %s: %s", section, title)
	}
	if _, reply := v.prove(path, d, fields{"method": "PASSKEY"}); reply["show"] != "done" {
		t.Fatalf("proof %v", reply)
	}
	if state := v.State(grant.Action); state != events.StateChallengeSucceeded {
		t.Errorf("the action is %s", state)
	}
}

// enrolFirst tracks an action that waits for its person to enrol.
func (v *visit) enrolFirst(user events.UserID) ceremonies.Grant {
	v.Helper()
	id := events.ActionID{User: user, Code: "payment", Key: "first"}
	event, err := events.NewDraft(&events.ActionTracked{
		ActionID: id, State: events.StateChallengeRequired, Outcome: "CHALLENGE", Reason: string(engine.ByEnrolmentPolicy),
	}, nil, v.Clock.Now())
	if err != nil {
		v.Fatal(err)
	}
	if _, err := v.Store.Record(v.Context(), engine.Recording{
		Action: engine.Action{ActionID: id, Email: string(user) + "@example.com", RedirectURL: ceremonytest.RedirectURL},
		Decision: engine.Decision{
			ActionID: id, Outcome: "CHALLENGE", State: events.StateChallengeRequired, Reason: engine.ByEnrolmentPolicy,
			Prompt: ceremonytest.Prompt, PromptID: "payment@7",
		},
		Event: event,
	}); err != nil {
		v.Fatal(err)
	}
	return v.Grant(id, ceremonies.ScopeRead)
}

func TestCodesInPlainWords(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.7")
	v := newVisit(t)
	v.reopen(func(c *pages.Config) { c.Address = func(*http.Request) netip.Addr { return address } })
	d := v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.settings("anna"))
	if _, reply := v.prove(path, d, fields{"for": "app"}); reply["go"] != "change/app" {
		t.Fatalf("proof for an app: %v", reply)
	}
	_, app := v.post(path+"/app/begin", fields{})
	secret, _ := app["secret"].(string)
	code := func() string {
		c, err := totp.GenerateCode(secret, v.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	wrong := "000000"
	if code() == wrong {
		wrong = "000001"
	}
	if _, reply := v.post(path+"/app/finish", fields{"challenge": app["challenge"], "code": wrong}); reply["say"] != "say.code" {
		t.Errorf("a wrong code: %v", reply)
	}
	if _, reply := v.post(path+"/app/finish", fields{"challenge": app["challenge"], "code": code()}); reply["go"] != "." || reply["said"] != "said.added" {
		t.Fatalf("a right code: %v", reply)
	}
	v.Clock.Move(time.Minute)
	path = v.open(v.Track("anna", events.StateChallengeRequired, ""))
	try := func(code string) (int, fields) {
		response, reply := v.post(path+"/code/finish", fields{"method": "AUTHENTICATOR_APP", "code": code})
		return response.StatusCode, reply
	}
	if _, reply := try("12"); reply["say"] != "say.codeshape" {
		t.Errorf("half a code: %v", reply)
	}
	if wrong == code() {
		wrong = "000002"
	}
	locked := fields(nil)
	for range 12 {
		status, reply := try(wrong)
		if reply["say"] == "say.locked" {
			locked = reply
			break
		}
		if reply["note"] == "tries" {
			if status != http.StatusTooManyRequests {
				t.Errorf("tries used up: %d", status)
			}
			v.Clock.Move(time.Second)
			path = v.open(v.Track("anna", events.StateChallengeRequired, ""))
		}
	}
	until, _ := locked["until"].(string)
	if at, err := time.Parse(time.RFC3339, until); err != nil || !at.After(v.Clock.Now()) {
		t.Fatalf("locked: %v", locked)
	}
	if _, reply := v.prove(path, d, fields{"method": "PASSKEY"}); reply["show"] != "done" {
		t.Errorf("the passkey: %v", reply)
	}
	v.Clock.Move(ceremonies.DefaultLimits.Lock)
	path = v.open(v.Track("anna", events.StateChallengeRequired, ""))
	right := code()
	if _, reply := try(right); reply["show"] != "done" {
		t.Errorf("after the lock: %v", reply)
	}
	path = v.open(v.Track("anna", events.StateChallengeRequired, ""))
	if _, reply := try(right); reply["say"] != "say.codeused" {
		t.Errorf("the same code again: %v", reply)
	}
	if _, reply := v.post(path+"/code/send", fields{}); reply["note"] != "unable" {
		t.Errorf("a code to nowhere: %v", reply)
	}
}

func TestEmailOfTheAccount(t *testing.T) {
	v := newVisit(t)
	d := v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.settings("anna"))
	if _, reply := v.post(path+"/email/begin", fields{"email": "anna at home"}); reply["say"] != "say.email" {
		t.Errorf("no address: %v", reply)
	}
	_, reply := v.post(path+"/email/begin", fields{"email": " anna@example.org "})
	if reply["show"] != "ask" || reply["text"] != "Have codes sent to anna@example.org from now on" {
		t.Fatalf("without a proof: %v", reply)
	}
	if n := len(v.Mail.All(ceremonies.MailCode)); n != 0 {
		t.Fatalf("%d codes were sent without a proof", n)
	}
	v.prove(path, d, fields{"for": "email", "subject": "anna@example.org"})
	if _, reply := v.post(path+"/email/begin", fields{"email": "mallory@example.org"}); reply["challenge"] != nil {
		t.Errorf("the proof for one address served another: %v", reply)
	}
	_, sent := v.post(path+"/email/begin", fields{"email": "anna@example.org"})
	v.Mail.Fail = http.ErrServerClosed
	if _, reply := v.post(path+"/email/begin", fields{"email": "anna@example.org"}); reply["say"] != "say.unsent" {
		t.Errorf("a mail that does not go out: %v", reply)
	}
	v.Mail.Fail = nil
	if _, reply := v.post(path+"/email/finish", fields{"challenge": sent["challenge"], "code": v.Mail.Code()}); reply["said"] != "said.added" {
		t.Errorf("the code: %v", reply)
	}
	v.Clock.Move(ceremonies.DefaultLimits.SendWindow)
	path = v.open(v.Track("anna", events.StateChallengeRequired, ""))
	for range ceremonies.DefaultLimits.Sent {
		if _, reply := v.post(path+"/code/send", fields{}); reply["to"] != "a…@example.org" {
			t.Fatalf("send: %v", reply)
		}
	}
	if response, reply := v.post(path+"/code/send", fields{}); reply["say"] != "say.sends" || reply["until"] == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one more code: %v", reply)
	}
}

func TestAccountPageChangesOnlyWithAProofForExactlyThat(t *testing.T) {
	v := newVisit(t)
	d := v.Enrolled("anna", ceremonytest.Synced)
	id := string(v.Account("anna").Authenticators[0].ID)
	path := v.open(v.settings("anna"))
	html := body(t, v.get(path))
	if section, _ := shown(t, html); section != "account" || !strings.Contains(html, "Synced") || !strings.Contains(html, "change/remove?id="+id) {
		t.Fatalf("it shows %s", section)
	}
	purposes := []fields{{"for": ""}, {"for": "passkey"}, {"for": "security-key"}, {"for": "app"}, {"for": "codes"}, {"for": "email", "subject": "a@example.org"}, {"for": "remove", "subject": id}}
	for _, begun := range purposes[1:] {
		for _, finished := range purposes {
			same := begun["for"] == finished["for"]
			adds := map[any]bool{"passkey": true, "security-key": true, "app": true} // one purpose; the subject is the challenge's own
			if same || adds[begun["for"]] && adds[finished["for"]] {
				continue
			}
			_, b := v.post(path+"/begin", begun)
			challenge, o := options[ceremonies.RequestOptions](t, b)
			out := answer(challenge, d.Answer(t, o))
			for name, value := range finished {
				out[name] = value
			}
			if response, reply := v.post(path+"/finish", out); response.StatusCode == http.StatusOK {
				t.Errorf("a proof for %v served %v: %v", begun, finished, reply)
			}
		}
	}
	if _, reply := v.prove(path, d, fields{"for": "app"}); reply["go"] != "change/app" {
		t.Fatalf("reply %v", reply)
	}
	if response, reply := v.post(path+"/enrol/begin", fields{"method": "PASSKEY"}); response.StatusCode == http.StatusOK {
		t.Errorf("a proof for an app began a passkey: %v", reply)
	}
	for _, bad := range []fields{{"for": "everything"}, {"for": "remove", "subject": "nobody's"}} {
		if response, reply := v.post(path+"/begin", bad); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%v began: %v", bad, reply)
		}
	}
	if _, reply := v.post(path+"/rename", fields{"id": id, "name": "  My\u202e phone "}); reply["said"] != "said.renamed" || v.Account("anna").Authenticators[0].Name != "My phone" {
		t.Errorf("rename: %v, %q", reply, v.Account("anna").Authenticators[0].Name)
	}
	if _, reply := v.post(path+"/rename", fields{"id": id, "name": " "}); reply["say"] != "say.other" {
		t.Errorf("no name: %v", reply)
	}
	if _, reply := v.post(path+"/prefer", fields{"id": id}); reply["said"] != "said.preferred" {
		t.Errorf("prefer: %v", reply)
	}
	if _, reply := v.prove(path, d, fields{"for": "codes"}); len(reply["codes"].([]any)) != ceremonies.RecoveryCodes {
		t.Errorf("new codes: %v", reply)
	}
	page := body(t, v.get(path+"/change/remove?id="+id))
	for _, words := range []string{"Remove “My phone” from your account", "You will still have: Recovery codes.", "It may still show in your password manager."} {
		if !strings.Contains(page, words) {
			t.Errorf("before removing, the page does not say %q", words)
		}
	}
	if !strings.Contains(page, `data-cancel href="`+path+`"`) {
		t.Error("cancelling does not lead to the account page")
	}
	if _, reply := v.prove(path, d, fields{"for": "remove", "subject": id}); reply["said"] != "said.removed" {
		t.Errorf("remove: %v", reply)
	}
	if n := len(v.Account("anna").Authenticators); n != 1 {
		t.Errorf("%d are left", n)
	}
}

func TestChangesNeedTheAccountPage(t *testing.T) {
	v := newVisit(t)
	d := v.Enrolled("anna", ceremonytest.Synced)
	id := string(v.Account("anna").Authenticators[0].ID)
	v.Clock.Move(time.Second)
	open := v.Track("anna", events.StateChallengeRequired, "")
	open.Scopes += " " + ceremonies.ScopeAccount
	for name, grant := range map[string]ceremonies.Grant{
		"without the scope":         v.Track("anna", events.StateAllow, ""),
		"before the action's proof": open,
	} {
		t.Run(name, func(t *testing.T) {
			path := v.open(grant)
			for _, q := range []fields{{"for": "passkey"}, {"for": "remove", "subject": id}, {"for": "codes"}, {"for": "email", "subject": "m@example.org"}} {
				if response, reply := v.post(path+"/begin", q); response.StatusCode != http.StatusBadRequest || reply["note"] != "nothing" {
					t.Errorf("%v: %d %v", q, response.StatusCode, reply)
				}
			}
			for _, endpoint := range []string{"/rename", "/prefer"} {
				if _, reply := v.post(path+endpoint, fields{"id": id, "name": "x"}); reply["note"] != "nothing" {
					t.Errorf("%s: %v", endpoint, reply)
				}
			}
			if at := v.get(path + "/change/codes").Header.Get("Location"); at != path {
				t.Errorf("the page of a change leads to %q", at)
			}
		})
	}
	path := v.open(v.Track("anna", events.StateAllow, ""))
	_ = path
	after := v.Track("anna", events.StateChallengeRequired, "")
	after.Scopes += " " + ceremonies.ScopeAccount
	path = v.open(after)
	if _, reply := v.prove(path, d, fields{}); reply["go"] != "." {
		t.Fatalf("after the proof: %v", reply)
	}
	if section, _ := shown(t, body(t, v.get(path))); section != "account" {
		t.Errorf("after the proof it shows %s", section)
	}
}

func TestEveryEndpointAnswersOnlyItsOwnPageAndPerson(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	v.Enrolled("bea", ceremonytest.Synced)
	path := v.open(v.settings("anna"))
	other := v.open(v.settings("bea"))
	for _, endpoint := range []string{
		"begin", "finish", "code/send", "code/finish", "enrol/begin", "enrol/finish", "app/begin", "app/finish", "email/begin", "email/finish",
		"rename", "prefer", "later", "report", "deny", "result",
	} {
		request := func(change func(*http.Request)) int {
			r := httptest.NewRequest(http.MethodPost, path+"/"+endpoint, strings.NewReader("{}"))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Origin", ceremonytest.Origin)
			r.AddCookie(v.cookies[path])
			change(r)
			recorder := httptest.NewRecorder()
			v.handler.ServeHTTP(recorder, r)
			return recorder.Code
		}
		for name, test := range map[string]struct {
			change func(*http.Request)
			status int
		}{
			"another origin":       {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
			"another content type": {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, http.StatusForbidden},
			"another site":         {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
			"no cookie":            {func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusUnauthorized},
			"somebody else's cookie": {func(r *http.Request) {
				r.Header.Del("Cookie")
				r.AddCookie(v.cookies[other])
			}, http.StatusUnauthorized},
			"too long": {func(r *http.Request) {
				*r = *r.WithContext(r.Context())
				r.Body = http.NoBody
				r.Body = readCloser{strings.NewReader(`{"name":"` + strings.Repeat("x", ceremonies.MaxAnswer) + `"}`)}
			}, http.StatusBadRequest},
		} {
			if got := request(test.change); got != test.status {
				t.Errorf("%s, %s: %d", endpoint, name, got)
			}
		}
		if response := v.get(path + "/" + endpoint); response.StatusCode != http.StatusMethodNotAllowed && response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s answered %d", endpoint, response.StatusCode)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestBrowsersErrorsReachTheTrail(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	grant := v.Track("anna", events.StateChallengeRequired, "")
	path := v.open(grant)
	_, begun := v.post(path+"/begin", fields{})
	if response, reply := v.post(path+"/report", fields{"challenge": begun["challenge"], "error": "NotAllowedError"}); response.StatusCode != http.StatusOK {
		t.Fatalf("report: %v", reply)
	}
	if step := v.Last(grant.Action); step.Browser != "NotAllowedError" || step.Tries != 0 {
		t.Errorf("recorded %+v", step)
	}
}

func TestNotNowHolds(t *testing.T) {
	v := newVisit(t)
	d := v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.settings("anna"))
	_, reply := v.prove(path, d, fields{"for": "codes"})
	codes := reply["codes"].([]any)
	byCode := func(i int) fields {
		v.Clock.Move(time.Minute)
		path = v.open(v.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd))
		_, reply := v.post(path+"/code/finish", fields{"method": "RECOVERY_CODE", "code": codes[i]})
		return reply
	}
	if reply := byCode(0); reply["go"] != "." {
		t.Fatalf("the first time: %v", reply)
	}
	if section, _ := shown(t, body(t, v.get(path))); section != "enrol" {
		t.Fatalf("it shows %s", section)
	}
	v.Clock.Move(time.Minute)
	if _, reply := v.post(path+"/later", fields{}); reply["go"] != "back" {
		t.Errorf("not now: %v", reply)
	}
	if section, _ := shown(t, body(t, v.get(path))); section != "done" {
		t.Errorf("afterwards it shows %s", section)
	}
	if reply := byCode(1); reply["show"] != "done" {
		t.Errorf("soon after: %v", reply)
	}
	v.Clock.Move(pages.DefaultPromptEvery)
	if reply := byCode(2); reply["go"] != "." {
		t.Errorf("a week later: %v", reply)
	}
}

func TestLanguages(t *testing.T) {
	tests := map[string]struct{ locale, accept, lang, title string }{
		"the action's":                   {"de-CH", "ar", "de", "Bestätigen Sie, dass Sie es sind"},
		"the browser's":                  {"fr", "fr, ar;q=0.8, en;q=0.7", "ar", "أكّد هويتك"},
		"the browser's best":             {"", "en;q=0.5,de;q=0.9", "de", "Bestätigen Sie, dass Sie es sind"},
		"English":                        {"fr", "fr", "en", "Confirm it's you"},
		"an underscore and a bad weight": {"", "ar;q=x, DE_at", "de", "Bestätigen Sie, dass Sie es sind"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t)
			v.Enrolled("anna", ceremonytest.Synced)
			path := v.open(v.Track("anna", events.StateChallengeRequired, "", func(r *engine.Recording) { r.Action.Locale = test.locale }))
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept-Language", test.accept)
			html := body(t, v.do(r))
			dir := map[string]string{"ar": "rtl"}[test.lang]
			if dir == "" {
				dir = "ltr"
			}
			if _, title := shown(t, html); title != test.title || !strings.Contains(html, `<html lang="`+test.lang+`" dir="`+dir+`">`) {
				t.Errorf("title %s, %s", title, html[:80])
			}
		})
	}
}

func TestBranding(t *testing.T) {
	v := newVisit(t)
	logo := &pages.Logo{Type: "image/svg+xml", Data: []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)}
	v.reopen(func(c *pages.Config) {
		c.Logo, c.Accent, c.Texts = logo, "#c2410c", map[string]map[string]string{"en": {"note.gone.title": "Nothing here"}}
	})
	html := body(t, v.get("/challenge"))
	if _, title := shown(t, html); title != "Nothing here" || strings.Contains(html, "alert(1)") {
		t.Errorf("page %s", html)
	}
	at := regexp.MustCompile(`<img class="logo" src="(/challenge/assets/logo-\w+\.svg)" alt="">`).FindStringSubmatch(html)
	if at == nil {
		t.Fatal("the page has no logo")
	}
	image := v.get(at[1])
	if image.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(image.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("logo %v", image.Header)
	}
	if css := body(t, v.get(regexp.MustCompile(`/challenge/assets/page-\w+\.css`).FindString(html))); !strings.Contains(css, "--accent:#c2410c;--on-accent:#ffffff") {
		t.Errorf("style sheet %s", css[len(css)-400:])
	}
	for name, test := range map[string]struct {
		change func(*pages.Config)
		want   string
	}{
		"no colour":       {func(c *pages.Config) { c.Accent = "red" }, `"red" is no colour`},
		"a large logo":    {func(c *pages.Config) { c.Logo = &pages.Logo{Type: "image/png", Data: make([]byte, pages.MaxLogo+1)} }, "at most 10240 are shown"},
		"another image":   {func(c *pages.Config) { c.Logo = &pages.Logo{Type: "image/gif", Data: []byte("GIF")} }, "neither image/svg+xml nor image/png"},
		"an unknown text": {func(c *pages.Config) { c.Texts = map[string]map[string]string{"en": {"done.titel": "x"}} }, `did you mean "done.title"?`},
		"time backwards":  {func(c *pages.Config) { c.PromptEvery = -1 }, "is negative"},
	} {
		config := pages.Config{RelyingParty: v.RP, Store: v.Store, Brand: "Example Shop"}
		test.change(&config)
		if _, err := pages.New(config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFramesAndWindows(t *testing.T) {
	v := newVisit(t)
	v.reopen(func(c *pages.Config) {
		c.FrameAncestors = []string{"https://app.example", "https://*.app.example"}
		c.LaunchOrigins = []string{"https://other.example"}
	})
	v.Enrolled("anna", ceremonytest.Synced)
	link := v.link(v.Track("anna", events.StateChallengeRequired, ""))
	opened := v.get(link + "&mode=popup")
	cookie := opened.Cookies()[0]
	if cookie.SameSite != http.SameSiteNoneMode || !cookie.Secure || !cookie.Partitioned {
		t.Errorf("cookie in a frame: %s", cookie.Raw)
	}
	html := body(t, v.get(opened.Header.Get("Location")))
	if !strings.Contains(html, `"launch":["https://other.example","https://app.example"]`) {
		t.Errorf("origins that are told: %s", html)
	}
	path, _, _ := strings.Cut(opened.Header.Get("Location"), "?")
	_, reply := v.post(path+"/result?mode=popup", fields{})
	token, _ := reply["token"].(string)
	if _, err := v.RP.Authorize(t.Context(), token, ceremonies.UseResult); err != nil {
		t.Errorf("the token that a launching page gets: %v", err)
	}
	if _, err := v.RP.Authorize(t.Context(), token, ceremonies.UseAccess, ceremonies.UsePage); err == nil {
		t.Error("the token that a launching page gets does more than ask for the result")
	}
	if plain := body(t, v.get(path)); strings.Contains(plain, `"launch"`) {
		t.Error("a page that nobody launched tells origins")
	}
	if cookie := v.get(v.link(v.Track("anna", events.StateChallengeRequired, "")) + "&mode=window").Cookies()[0]; cookie.SameSite != http.SameSiteLaxMode || cookie.Partitioned {
		t.Errorf("cookie in a window: %s", cookie.Raw)
	}
}

// TestPagesStaySmall takes the largest states: an account with every way, twice, in
// the language with the longest texts.
func TestPagesStaySmall(t *testing.T) {
	const limit = 50 << 10
	for _, locale := range []string{"en", "de", "ar"} {
		v := newVisit(t)
		v.Enrolled("anna", ceremonytest.Synced)
		local := func(r *engine.Recording) { r.Action.Locale = locale }
		path := v.open(v.settings("anna"))
		d := v.Enrolled("bea", ceremonytest.Synced)
		_ = d
		settings := v.Track("anna", events.StateAllow, "", local)
		settings.Scopes = ceremonies.ScopeRead + " " + ceremonies.ScopeAccount
		v.Clock.Move(time.Second)
		for name, at := range map[string]string{
			"account": v.open(settings), "enrol": v.open(v.TrackNew("cy")),
			"ask": v.open(v.Track("anna", events.StateChallengeRequired, "", local)), "change": path + "/change/codes", "email": path + "/change/email",
		} {
			html := body(t, v.get(at))
			total := len(html)
			for _, asset := range regexp.MustCompile(`/challenge/assets/[\w.-]+\.(?:js|css)`).FindAllString(html, -1) {
				total += len(body(t, v.get(asset)))
			}
			if total < 10_000 || total > limit {
				t.Errorf("%s in %s: page, style sheet and scripts are %d bytes", name, locale, total)
			}
			t.Logf("%s in %s: %d bytes", name, locale, total)
			if regexp.MustCompile(`(?i)<script(?:>| type="module">)|<style| style="| on\w+="`).MatchString(html) {
				t.Errorf("%s holds inline code: %s", name, html)
			}
		}
	}
}
