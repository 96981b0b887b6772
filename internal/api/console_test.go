package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/operators"
)

// browser is a console in a browser.
type browser struct {
	w      *world
	cookie *http.Cookie
	csrf   string
	device *device
}

func (b *browser) do(method, path string, body any) answer {
	b.w.t.Helper()
	header := http.Header{}
	if b.cookie != nil {
		header.Set("Cookie", b.cookie.Name+"="+b.cookie.Value)
	}
	if b.csrf != "" && method != "GET" {
		header.Set("X-Sallyport-CSRF", b.csrf)
	}
	a := b.w.do(request{method: method, path: "/console/api" + path, body: body, header: header})
	checkDeclared(b.w.t, method, path, a)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		b.cookie, b.csrf = c, a.str("csrf")
	}
	return a
}

// operator registers a new operator with a role and returns their browser.
func (w *world) operator(role operators.Role) *browser {
	w.t.Helper()
	link := w.do(request{method: "POST", path: "/v1/management/operators/invites", auth: basic(managerWord), body: object{"role": role}}).ok().str("url")
	page, invite, found := strings.Cut(link, "#invite=")
	if !found || page != publicURL+"/console/register" {
		w.t.Fatalf("link %s", link)
	}
	b := &browser{w: w, device: newDevice()}
	options := b.do("POST", "/register/begin", object{"invite": invite, "name": "Olivia"}).ok()
	b.do("POST", "/register/finish", object{"ceremony": options.str("ceremony"), "credential": b.device.create(w.t, options.get("options"))}).ok()
	return b
}

func TestOperatorsRegisterSignInAndOut(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Analyst)
	w.wantEvents(events.KindOperatorInvited, events.KindOperatorRegistered, events.KindOperatorSignedIn)
	c := b.cookie
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/console" || c.Secure || time.Until(c.Expires) < 11*time.Hour {
		t.Errorf("cookie %+v", c)
	}
	who := b.do("GET", "/session", nil).ok()
	if who.str("operator.name") != "Olivia" || who.str("operator.role") != "analyst" || who.str("csrf") != b.csrf {
		t.Errorf("session %s", who.text)
	}
	if got := who.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}

	forged := &browser{w: w, cookie: b.cookie}
	forged.do("POST", "/signout", object{}).refused(403, "forbidden")
	b.do("GET", "/session", nil).ok()
	old := *b
	b.do("POST", "/signout", object{}).ok()
	if b.cookie.MaxAge >= 0 {
		t.Errorf("the cookie stays: %+v", b.cookie)
	}
	old.do("GET", "/session", nil).refused(401, "unauthorized")

	again := &browser{w: w, device: b.device}
	options := again.do("POST", "/signin/begin", object{}).ok()
	credential := again.device.sign(t, options.get("options"))
	again.do("POST", "/signin/finish", object{"ceremony": options.str("ceremony"), "credential": credential}).ok()
	w.wantEvents(events.KindOperatorSignedIn)
	again.do("GET", "/session", nil).ok()
	replay := &browser{w: w}
	replay.do("POST", "/signin/finish", object{"ceremony": options.str("ceremony"), "credential": credential}).refused(400, "invalid_request")
	w.pass(12*time.Hour + time.Second)
	again.do("GET", "/session", nil).refused(401, "unauthorized")
	if strings.Contains(w.logged(), "Olivia") || strings.Contains(w.logged(), c.Value) {
		t.Error("the log names an operator or a session")
	}
}

func TestAnInviteWorksOnceAndForOneDay(t *testing.T) {
	w := start(t)
	invite := func() string {
		_, secret, _ := strings.Cut(w.do(request{
			method: "POST", path: "/v1/management/operators/invites", auth: basic(managerWord),
			body: object{"role": "reviewer"},
		}).ok().str("url"), "#invite=")
		return secret
	}
	used := invite()
	begin := func(secret string) answer {
		return (&browser{w: w}).do("POST", "/register/begin", object{"invite": secret, "name": "Ole"})
	}
	first, second := begin(used).ok(), begin(used).ok()
	finish := func(a answer) answer {
		d := newDevice()
		return (&browser{w: w}).do("POST", "/register/finish", object{"ceremony": a.str("ceremony"), "credential": d.create(t, a.get("options"))})
	}
	finish(first).ok()
	finish(second).refused(400, "invalid_request")
	begin(used).refused(400, "invalid_request")
	begin("made up").refused(400, "invalid_request")
	(&browser{w: w}).do("POST", "/register/begin", object{"invite": invite(), "name": "  "}).refused(400, "invalid_request")
	late := invite()
	slow := begin(late).ok()
	w.pass(5*time.Minute + time.Second)
	finish(slow).refused(400, "invalid_request")
	w.pass(24 * time.Hour)
	begin(late).refused(400, "invalid_request")
	w.do(request{method: "POST", path: "/v1/management/operators/invites", auth: basic(managerWord), body: object{"role": "king"}}).refused(400, "invalid_request")
}

func TestAPersonsPasskeyOpensNoConsole(t *testing.T) {
	w := start(t)
	phone := w.enrol("ann")
	b := &browser{w: w, device: phone}
	options := b.do("POST", "/signin/begin", object{}).ok()
	w.newEvents()
	b.do("POST", "/signin/finish", object{"ceremony": options.str("ceremony"), "credential": phone.sign(t, options.get("options"))}).refused(400, "invalid_credential")
	careless := w.operator(operators.Reviewer)
	options = careless.do("POST", "/signin/begin", object{}).ok()
	careless.device.authenticator.Options.UserNotVerified = true
	careless.do("POST", "/signin/finish", object{"ceremony": options.str("ceremony"), "credential": careless.device.sign(t, options.get("options"))}).refused(400, "invalid_credential")
	if token := w.track("ann", "k", 1).str("token"); token != "" {
		intruder := &browser{w: w, cookie: &http.Cookie{Name: api.SessionCookie, Value: token}}
		intruder.do("GET", "/decisions", nil).refused(401, "unauthorized")
	}
}

func TestRolesAreEnforced(t *testing.T) {
	w := start(t)
	reviewer := w.operator(operators.Reviewer)
	w.newEvents()
	set := reviewer.do("GET", "/rules", nil).ok()
	definition := set.get("definition")
	reviewer.do("POST", "/rules/check", definition).ok()
	if names := reviewer.do("GET", "/operators", nil).ok().get("operators"); len(names.([]any)) != 1 {
		t.Errorf("a reviewer is told the names %v; want their own", names)
	}
	reviewer.do("POST", "/rules/publish", object{"base": 1, "note": "mine", "definition": definition}).refused(403, "forbidden")
	w.wantEvents()
	nobody := &browser{w: w}
	for _, path := range []string{"/session", "/operators", "/status", "/decisions", "/decision?user=a&action=b&key=c", "/rules", "/rules/versions", "/vocabulary"} {
		nobody.do("GET", path, nil).refused(401, "unauthorized")
	}
	w.do(request{method: "GET", path: "/console/api/nothing"}).refused(404, "not_found")
	w.do(request{method: "POST", path: "/console/api/nothing"}).refused(404, "not_found")
}

func TestOtherSitesCannotDriveTheConsole(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Analyst)
	for name, header := range map[string]http.Header{
		"a cross-site fetch":   {"Sec-Fetch-Site": {"cross-site"}},
		"a sibling's page":     {"Sec-Fetch-Site": {"same-site"}},
		"an old browser":       {"Origin": {"https://evil.example"}},
		"an origin in hiding":  {"Origin": {"null"}},
		"a form of plain text": {"Content-Type": {"text/plain"}, "Sec-Fetch-Site": {"cross-site"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/signin/begin", "/signin/finish", "/register/begin", "/register/finish", "/signout"} {
				header.Set("Cookie", b.cookie.Name+"="+b.cookie.Value)
				header.Set("X-Sallyport-CSRF", b.csrf)
				a := w.do(request{method: "POST", path: "/console/api" + path, body: "{}", header: header})
				a.t = t
				a.refused(403, "forbidden")
			}
		})
	}
	for _, header := range []http.Header{{}, {"Sec-Fetch-Site": {"same-origin"}}, {"Origin": {publicURL}}} {
		w.do(request{method: "POST", path: "/console/api/signin/begin", header: header}).ok() // the console sends no body here
	}
}

func TestRulesArePublishedWithTheConsole(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Analyst)
	w.newEvents()
	set := b.do("GET", "/rules", nil).ok()
	if set.get("number") != 1.0 || set.str("definition.actions.0.rules.0.id") != "huge" {
		t.Fatalf("rules %s", set.text)
	}
	changed := strings.Replace(mustJSON(t, set.get("definition")), `"custom.amount == 13"`, `"custom.amount == 14"`, 1)
	publish := func(base int, definition string) answer {
		return b.do("POST", "/rules/publish", fmt.Sprintf(`{"base":%d,"note":"thirteen is fine","definition":%s}`, base, definition))
	}
	if a := publish(1, changed).ok(); a.get("number") != 2.0 || a.str("note") != "thirteen is fine" || !strings.HasPrefix(a.str("author"), "operator:") {
		t.Errorf("published %s", a.text)
	}
	w.wantEvents(events.KindRuleSetPublished)
	if state := w.track("ann", "k", 13).str("state"); state != "ALLOW" {
		t.Errorf("the new set does not decide: %s", state)
	}
	w.newEvents()
	publish(1, changed).refused(409, "conflict")
	broken := strings.Replace(changed, `custom.amount == 14`, `custom.amuont == 14`, 1)
	if a := publish(2, broken).refused(400, "invalid_request"); a.str("details.0.rule") != "odd" || a.get("details.0.line") != 1.0 {
		t.Errorf("broken: %s", a.text)
	}
	publish(2, `{"unheard":1}`).refused(400, "invalid_request")
	b.do("POST", "/rules/publish", `{"base":2,"note":" ","definition":{}}`).refused(400, "invalid_request")
	b.do("POST", "/rules/publish", `{"note":"x","definition":{}}`).refused(400, "invalid_request")
	b.do("POST", "/rules/publish", `{"base":2,`).refused(400, "invalid_request")
	w.wantEvents()

	problems := b.do("POST", "/rules/check", broken).ok()
	if problems.str("problems.0.rule") != "odd" || problems.str("problems.0.field") == "" {
		t.Errorf("problems %s", problems.text)
	}
	if fine := b.do("POST", "/rules/check", changed).ok(); fmt.Sprint(fine.get("problems")) != "[]" {
		t.Errorf("problems %s", fine.text)
	}
	versions := b.do("GET", "/rules/versions", nil).ok()
	if versions.get("versions.0.number") != 2.0 || versions.get("versions.1.number") != 1.0 {
		t.Errorf("versions %s", versions.text)
	}
	if v := b.do("GET", "/vocabulary", nil).ok(); v.str("facts.0.name") == "" {
		t.Errorf("vocabulary %s", v.text)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDecisionsAreFoundAndExplained(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Reviewer)
	phone := w.enrol("ann")
	token := w.track("ann", "k", 500).str("token")
	w.prove(phone, token).ok()
	w.track("bob", "k", 20000)

	for query, want := range map[string]int{
		"": 3, "?user=ann": 2, "?action=payment": 3, "?outcome=BLOCK": 1, "?user=nobody": 0, "?limit=1": 1,
		"?from=" + url.QueryEscape(w.clock().Add(time.Hour).Format(time.RFC3339)): 0,
		"?to=" + url.QueryEscape(w.clock().Add(time.Hour).Format(time.RFC3339)):   3,
	} {
		page := b.do("GET", "/decisions"+query, nil).ok()
		list, _ := page.get("decisions").([]any)
		if list == nil || len(list) != want || page.str("source") != "log" {
			t.Errorf("%q: %d decisions from %s", query, len(list), page.str("source"))
		}
	}
	first := b.do("GET", "/decisions?limit=2", nil).ok()
	if first.str("decisions.0.user") != "bob" || first.str("next") == "" {
		t.Fatalf("page %s", first.text)
	}
	second := b.do("GET", "/decisions?limit=2&cursor="+first.str("next"), nil).ok()
	if second.get("decisions.0") == nil || second.get("decisions.1") != nil || second.get("next") != nil {
		t.Errorf("page %s", second.text)
	}
	for _, bad := range []string{"cursor=x", "outcome=MAYBE", "from=yesterday", "limit=201", "limit=x"} {
		b.do("GET", "/decisions?"+bad, nil).refused(400, "invalid_request")
	}

	detail := b.do("GET", "/decision?user=ann&action=payment&key=k", nil).ok()
	if detail.str("decision.state") != "CHALLENGE_SUCCEEDED" || detail.str("decision.rule") != "large" || detail.str("decision.matches.0.mode") != "shadow" {
		t.Errorf("decision %s", detail.text)
	}
	amount := false
	facts, _ := detail.get("facts").([]any)
	for _, f := range facts {
		fact := f.(map[string]any)
		if fact["name"] == "custom.amount" {
			amount = fact["known"] == true && fact["value"] == 500.0
		}
	}
	if !amount {
		t.Errorf("the amount is missing: %s", detail.text)
	}
	steps, _ := detail.get("steps").([]any)
	var told []string
	for _, s := range steps {
		told = append(told, s.(map[string]any)["summary"].(string))
	}
	want := "Challenged by the rule “Large payment”. The user was asked for a passkey. The user proved it with a passkey."
	if got := strings.Join(told, " "); got != want {
		t.Errorf("story:\n%s\nwant:\n%s", got, want)
	}
	b.do("GET", "/decision?user=ann&action=payment&key=none", nil).refused(404, "not_found")
	b.do("GET", "/decision?user=ann&action=payment", nil).refused(400, "invalid_request")

	w.call("DELETE", "/v1/users/ann", nil).ok()
	erased := b.do("GET", "/decision?user=ann&action=payment&key=k", nil).ok()
	if erased.get("decision.ip") != nil || fmt.Sprint(erased.get("facts")) != "[]" {
		t.Errorf("erased: %s", erased.text)
	}
}

// archive is one that cannot be reached, or one that has seen nothing yet.
type archive struct{ fails bool }

func (a archive) Reader(context.Context) (events.Reader, api.Source) { return a, api.FromArchive }

func (a archive) Decisions(context.Context, events.Filter) (events.Page[events.Decision], error) {
	if a.fails {
		return events.Page[events.Decision]{}, http.ErrServerClosed
	}
	return events.Page[events.Decision]{}, nil
}

func (a archive) Story(context.Context, events.ActionID) ([]events.Event, error) {
	if a.fails {
		return nil, http.ErrServerClosed
	}
	return nil, nil
}

func TestTheLogAnswersWhileTheArchiveCannot(t *testing.T) {
	for name, row := range map[string]struct {
		fails  bool
		source string
	}{
		"it cannot be reached":      {fails: true, source: "log"},
		"it has not seen it so far": {source: "archive"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *api.Config) { c.Readers = archive{fails: row.fails} })
			b := w.operator(operators.Reviewer)
			w.track("ann", "k", 1)
			if page := b.do("GET", "/decisions", nil).ok(); page.str("source") != row.source {
				t.Errorf("source %s", page.str("source"))
			}
			if detail := b.do("GET", "/decision?user=ann&action=payment&key=k", nil).ok(); detail.str("source") != "log" {
				t.Errorf("detail from %s", detail.str("source"))
			}
		})
	}
}
