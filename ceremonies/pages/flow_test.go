package pages_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// answer is what the script sends to finish.
func answer(challenge string, response []byte) map[string]any {
	return map[string]any{"challenge": challenge, "response": json.RawMessage(response)}
}

// options reads the options of a reply.
func options[T any](t *testing.T, reply map[string]any) (challenge string, out T) {
	t.Helper()
	raw, err := json.Marshal(reply["options"])
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	challenge, _ = reply["challenge"].(string)
	if challenge == "" {
		t.Fatalf("nothing was begun: %v", reply)
	}
	return challenge, out
}

func TestStepUpLeadsBackToTheApplication(t *testing.T) {
	v := newVisit(t)
	d := v.Enrolled("anna", ceremonytest.Synced)
	grant := v.Track("anna", events.StateChallengeRequired, "")
	path := v.open(grant)
	_, begun := v.post(path+"/begin", nil)
	challenge, o := options[ceremonies.RequestOptions](t, begun)
	response, reply := v.post(path+"/finish", answer(challenge, d.Answer(t, o)))
	if diff := cmp.Diff(map[string]any{"show": "done", "title": "done.title"}, reply); diff != "" || response.StatusCode != http.StatusOK {
		t.Errorf("finish answered %d (-want +got):\n%s", response.StatusCode, diff)
	}
	if got := v.State(grant.Action); got != events.StateChallengeSucceeded {
		t.Errorf("the action is %s", got)
	}
	if step := v.Last(grant.Action); !step.Shown {
		t.Error("the ceremony does not say that our page showed the text")
	}
	back := v.get(path + "/back")
	u, err := url.Parse(back.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	token := u.Query().Get("token")
	u.RawQuery = strings.TrimSuffix(u.RawQuery, "&token="+token)
	if back.StatusCode != http.StatusSeeOther || u.String() != ceremonytest.RedirectURL {
		t.Errorf("the way back leads to %s", back.Header.Get("Location"))
	}
	result, err := v.RP.Authorize(t.Context(), token, ceremonies.UseResult)
	if err != nil || result.Action != grant.Action || result.Scopes != "" {
		t.Errorf("the token says %+v, %v", result, err)
	}
	if _, err := v.RP.Authorize(t.Context(), token, ceremonies.UseAccess, ceremonies.UsePage, ceremonies.UseLink); err == nil {
		t.Error("the token of the redirect does more than ask for the result")
	}
}

func TestRedirectKeepsTheApplicationsQuery(t *testing.T) {
	tests := map[string]struct{ redirect, want string }{
		"no query":            {"https://shop.example/done", "https://shop.example/done?token=T"},
		"a query as it is":    {"https://shop.example/?q=%C3%A4+b&&flag&x=1", "https://shop.example/?q=%C3%A4+b&flag&x=1&token=T"},
		"an old token":        {"https://shop.example/?token=old&a=1", "https://shop.example/?a=1&token=T"},
		"a fragment":          {"https://shop.example/a#b?c", "https://shop.example/a?token=T#b?c"},
		"no address":          {"", ""},
		"a script":            {"javascript:alert(1)", ""},
		"an address of ours?": {"/challenge", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t)
			path := v.open(v.Track("anna", events.StateAllow, "", func(r *engine.Recording) { r.Action.RedirectURL = test.redirect }))
			got := v.get(path + "/back").Header.Get("Location")
			if got = regexp.MustCompile(`token=[\w.-]{100,}`).ReplaceAllString(got, "token=T"); got != test.want {
				t.Errorf("it leads to %q, want %q", got, test.want)
			}
			if has := strings.Contains(body(t, v.get(path)), `/back"`); has != (test.want != "") {
				t.Errorf("the page offers a way back: %v", has)
			}
		})
	}
}

func TestProofGoesOnToEnrolment(t *testing.T) {
	v := newVisit(t)
	d := v.Enrolled("anna", ceremonytest.Synced)
	v.Clock.Move(time.Second) // so that the passkeys have an order
	path := v.open(v.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd))
	if response, reply := v.post(path+"/enrol/begin", nil); response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("enrolment began without a proof: %v", reply)
	}
	_, begun := v.post(path+"/begin", nil)
	challenge, o := options[ceremonies.RequestOptions](t, begun)
	if _, reply := v.post(path+"/finish", answer(challenge, d.Answer(t, o))); reply["go"] != "." {
		t.Fatalf("after the proof: %v", reply)
	}
	_, begun = v.post(path+"/enrol/begin", nil)
	challenge, c := options[ceremonies.CreationOptions](t, begun)
	second := ceremonytest.NewDevice(ceremonytest.DeviceBound)
	if _, reply := v.post(path+"/enrol/finish", answer(challenge, second.Register(t, c))); reply["show"] != "done" {
		t.Fatalf("after enrolment: %v", reply)
	}
	if n := len(v.Account("anna").Authenticators); n != 2 {
		t.Errorf("the person has %d passkeys", n)
	}
	if device := v.Account("anna").Authenticators[1].DeviceID; device != "device-1" {
		t.Errorf("the passkey was made on %q", device)
	}
}

func TestRefusalsInPlainWords(t *testing.T) {
	v := newVisit(t, func(c *ceremonies.Config) { c.Tries = 2 })
	d := v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	ask := func() map[string]any {
		_, begun := v.post(path+"/begin", nil)
		challenge, o := options[ceremonies.RequestOptions](t, begun)
		_, reply := v.post(path+"/finish", answer(challenge, d.Answer(t, o)))
		return reply
	}
	d.Authenticator.Options.UserNotVerified = true
	if diff := cmp.Diff(map[string]any{"say": "say.rejected"}, ask()); diff != "" {
		t.Errorf("a wrong answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"show": "note", "note": "tries"}, ask()); diff != "" {
		t.Errorf("the last try (-want +got):\n%s", diff)
	}
	if response, reply := v.post(path+"/begin", nil); response.StatusCode != http.StatusTooManyRequests || reply["note"] != "tries" {
		t.Errorf("another try: %d, %v", response.StatusCode, reply)
	}
	if section, title := shown(t, body(t, v.get(path))); section != "note" || title != "Let's stop here" {
		t.Errorf("the page shows %s: %s", section, title)
	}

	t.Run("a passkey that was removed is to be forgotten", func(t *testing.T) {
		d.Authenticator.Options.UserNotVerified = false
		path := v.open(v.Track("anna", events.StateChallengeRequired, ""))
		_, begun := v.post(path+"/begin", nil)
		challenge, o := options[ceremonies.RequestOptions](t, begun)
		v.Remove("anna")
		_, reply := v.post(path+"/finish", answer(challenge, d.Answer(t, o)))
		if diff := cmp.Diff(map[string]any{"say": "say.unknown", "forget": ceremonytest.ID}, reply); diff != "" {
			t.Errorf("reply (-want +got):\n%s", diff)
		}
	})
}

func TestDenying(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	grant := v.Track("anna", events.StateChallengeRequired, "")
	path := v.open(grant)
	if _, reply := v.post(path+"/deny", nil); reply["note"] != "denied" {
		t.Fatalf("denying answered %v", reply)
	}
	if got := v.State(grant.Action); got != events.StateChallengeFailed {
		t.Errorf("the action is %s", got)
	}
	if _, title := shown(t, body(t, v.get(path))); title != "Thank you for telling us" {
		t.Errorf("loading the page again shows %s", title)
	}
	if response, reply := v.post(path+"/begin", nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("after denying a ceremony begins: %v", reply)
	}
	u, err := url.Parse(v.get(path + "/back").Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.RP.Authorize(t.Context(), u.Query().Get("token"), ceremonies.UseResult); err != nil {
		t.Errorf("the application cannot ask how it ended: %v", err)
	}
}

func TestEndpointsAnswerOnlyTheirPage(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	tests := map[string]struct {
		change func(r *http.Request)
		status int
	}{
		"our own page":             {func(*http.Request) {}, http.StatusOK},
		"a browser that says less": {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") }, http.StatusOK},
		"no origin":                {func(r *http.Request) { r.Header.Del("Origin") }, http.StatusForbidden},
		"another origin":           {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"an opaque origin":         {func(r *http.Request) { r.Header.Set("Origin", "null") }, http.StatusForbidden},
		"another port":             {func(r *http.Request) { r.Header.Set("Origin", ceremonytest.Origin+":8443") }, http.StatusForbidden},
		"a page of the same site":  {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, http.StatusForbidden},
		"a form":                   {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, http.StatusForbidden},
		"a body that is no JSON":   {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{")) }, http.StatusBadRequest},
		"a body without end": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"x":"`), strings.NewReader(strings.Repeat("x", ceremonies.MaxAnswer)), strings.NewReader(`"}`)))
		}, http.StatusBadRequest},
		"no cookie": {func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusUnauthorized},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, path+"/begin", strings.NewReader("{}"))
			r.AddCookie(v.cookies[path])
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			r.Header.Set("Origin", ceremonytest.Origin)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			test.change(r)
			recorder := httptest.NewRecorder()
			v.handler.ServeHTTP(recorder, r)
			if recorder.Code != test.status {
				t.Errorf("answered %d: %s", recorder.Code, recorder.Body)
			}
		})
	}
}

func TestPageTokenEndsInTime(t *testing.T) {
	v := newVisit(t)
	v.Enrolled("anna", ceremonytest.Synced)
	path := v.open(v.Track("anna", events.StateChallengeRequired, ""))
	v.Clock.Move(ceremonies.TokenTTL - time.Second)
	if response, reply := v.post(path+"/begin", nil); response.StatusCode != http.StatusOK {
		t.Errorf("in the last second: %v", reply)
	}
}
