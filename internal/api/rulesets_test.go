package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
)

// manage is a call with the management secret; a text is YAML.
func (w *world) manage(method, path string, body any) answer {
	w.t.Helper()
	r := request{method: method, path: "/v1/management" + path, auth: basic(managerWord), body: body, header: http.Header{}}
	if _, isText := body.(string); isText {
		r.header.Set("Content-Type", "application/yaml")
	}
	return w.do(r)
}

const testedRules = testRules + `
tests:
  - {name: large payments are proven, action: payment, facts: {custom.amount: 500}, want: CHALLENGE, rule: large}
  - {name: small ones pass, action: payment, facts: {custom.amount: 5}, want: ALLOW, rule: default}
`

func TestRulesArePublishedWithTheManagementAPI(t *testing.T) {
	w := start(t)
	exported := w.manage("GET", "/rule-sets/current", nil).ok()
	if exported.header.Get("X-Sallyport-Rule-Set") != "1" || exported.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("header %v", exported.header)
	}
	changed := strings.Replace(exported.text, "custom.amount == 13", "custom.amount == 14", 1)
	if a := w.manage("POST", "/rule-sets?note=thirteen+is+fine&base=1", changed).ok(); a.get("number") != 2.0 {
		t.Errorf("published %s", a.text)
	}
	w.wantEvents(events.KindRuleSetPublished)
	if again := w.manage("GET", "/rule-sets/current", nil).ok(); again.text != changed {
		t.Errorf("exported again:\n%s\nwant:\n%s", again.text, changed)
	}
	if state := w.track("ann", "k", 13).str("state"); state != "ALLOW" {
		t.Errorf("the new set does not decide: %s", state)
	}
	w.newEvents()
	w.manage("POST", "/rule-sets?base=x", changed).refused(400, "invalid_request")
	w.manage("POST", "/rule-sets", strings.Repeat("#", api.MaxRulesBody+1)).refused(413, "payload_too_large")
	broken := strings.Replace(changed, "custom.amount == 14", "custom.amuont == 14", 1)
	for name, text := range map[string]string{"a condition": broken, "YAML": "actions: [", "a key": "nothing: 1\n", "no text": "", "no UTF-8": "# \xff"} {
		if a := w.manage("POST", "/rule-sets", text).refused(400, "invalid_request"); a.str("details.0.message") == "" && name != "no UTF-8" {
			t.Errorf("%s: %s", name, a.text)
		}
		if a := w.manage("POST", "/rule-sets/check", text); name != "no UTF-8" && a.ok().str("problems.0.message") == "" {
			t.Errorf("%s: %s", name, a.text)
		}
	}
	w.wantEvents()
	asJSON := mustJSON(t, w.do(request{
		method: "GET", path: "/v1/management/rule-sets/current", auth: basic(managerWord), header: http.Header{"Accept": {"application/json"}},
	}).ok().get("definition"))
	w.newEvents()
	same := w.do(request{method: "POST", path: "/v1/management/rule-sets?note=again", auth: basic(managerWord), body: asJSON}).ok()
	if same.get("number") != 2.0 || same.get("unchanged") != true || same.str("note") != "thirteen is fine" {
		t.Errorf("published the same again: %s", same.text)
	}
	if same := w.manage("POST", "/rule-sets?base=2", changed+"\n# a comment\n").ok(); same.get("unchanged") != true {
		t.Errorf("published the same again: %s", same.text)
	}
	w.manage("POST", "/rule-sets?base=1", changed).refused(409, "conflict")
	w.wantEvents()
	a := w.do(request{
		method: "POST", path: "/v1/management/rule-sets", auth: basic(managerWord), body: strings.Replace(asJSON, "custom.amount == 14", "custom.amount == 15", 1),
	}).ok() // whatever is in force
	if a.get("number") != 3.0 || a.get("unchanged") != nil || a.str("author") != events.ByManagement || a.str("publishedAt") == "" {
		t.Errorf("published %s", a.text)
	}
}

func TestWhoeverEditedAnOlderSetIsToldWhatHappened(t *testing.T) {
	w := start(t)
	w.manage("POST", "/rule-sets", strings.Replace(testRules, "custom.amount > 100,", "custom.amount > 150,", 1)).ok()
	a := w.manage("POST", "/rule-sets?base=1", testRules).refused(409, "conflict")
	for _, part := range []string{"set 2 by management", "set 1"} {
		if !strings.Contains(a.str("errorDescription"), part) {
			t.Errorf("%q does not say %q", a.str("errorDescription"), part)
		}
	}
	if a.str("details.0.rule") != "large" || !strings.Contains(a.str("details.0.message"), "custom.amount > 150") {
		t.Errorf("details %v", a.get("details"))
	}
}

func TestASetWhoseTestsFailIsNotPublished(t *testing.T) {
	w := start(t)
	wrong := strings.Replace(testedRules, "custom.amount > 100,", "custom.amount > 600,", 1)
	a := w.manage("POST", "/rule-sets", wrong).refused(400, "tests_failed")
	if a.str("details.0.field") != "tests" || !strings.Contains(a.str("details.0.message"), `"large payments are proven"`) {
		t.Errorf("details %v", a.get("details"))
	}
	tested := w.manage("POST", "/rule-sets/test", wrong).ok()
	if tested.get("passed") != false || tested.get("tests.0.passed") != false || tested.str("tests.0.message") == "" || tested.get("tests.1.passed") != true {
		t.Errorf("tests %s", tested.text)
	}
	w.wantEvents()
	if tested := w.manage("POST", "/rule-sets/test", testedRules).ok(); tested.get("passed") != true || tested.str("tests.0.rule") != "large" {
		t.Errorf("tests %s", tested.text)
	}
	if tested := w.manage("POST", "/rule-sets/test", "actions: [").ok(); tested.get("passed") != false || tested.str("problems.0.message") == "" {
		t.Errorf("no YAML: %s", tested.text)
	}
	w.manage("POST", "/rule-sets", testedRules).ok()
	w.wantEvents(events.KindRuleSetPublished)
}

func TestChecksFindWhatIsNotMeant(t *testing.T) {
	w := start(t)
	text := strings.Replace(testRules, "- {id: odd,", "- {id: again, name: Again, when: custom.amount > 20000, outcome: REVIEW}\n      - {id: odd,", 1) +
		"lists:\n  - {name: suspects, type: cidr}\n"
	a := w.manage("POST", "/rule-sets/check", text).ok()
	kinds := map[string]bool{}
	findings, _ := a.get("findings").([]any)
	for _, f := range findings {
		kinds[f.(map[string]any)["kind"].(string)] = true
	}
	if fmt.Sprint(a.get("problems")) != "[]" || !kinds["shadowed"] || !kinds["unused-list"] || !kinds[string(ruleset.MissingList)] {
		t.Errorf("check %s", a.text)
	}
	w.manage("POST", "/lists", object{"name": "suspects", "type": "string"}).ok()
	if a := w.manage("POST", "/rule-sets/check", text).ok(); a.str("problems.0.field") != "lists[0].type" {
		t.Errorf("check %s", a.text)
	}
	w.newEvents()
	w.manage("POST", "/rule-sets", text).refused(400, "invalid_request")
	w.wantEvents()
}

func TestOlderSetsAreReadComparedAndBroughtBack(t *testing.T) {
	w := start(t)
	strict := strings.Replace(testRules, "custom.amount > 100,", "custom.amount > 10,", 1)
	w.manage("POST", "/rule-sets?note=stricter", strict).ok()
	list := w.manage("GET", "/rule-sets", nil).ok()
	if list.get("current") != 2.0 || list.str("ruleSets.0.note") != "stricter" || list.get("ruleSets.1.number") != 1.0 {
		t.Errorf("sets %s", list.text)
	}
	old := w.manage("GET", "/rule-sets/1", nil).ok()
	if old.header.Get("X-Sallyport-Rule-Set") != "1" || !strings.Contains(old.text, "custom.amount > 100\n") {
		t.Errorf("set 1: %v\n%s", old.header, old.text)
	}
	for query, count := range map[string]float64{"/rule-sets/2/diff": 1, "/rule-sets/2/diff?from=2": 0, "/rule-sets/1/diff?from=2": 1} {
		if a := w.manage("GET", query, nil).ok(); a.get("count") != count {
			t.Errorf("%s: %s", query, a.text)
		}
	}
	for _, path := range []string{"/rule-sets/3", "/rule-sets/3/diff", "/rule-sets/2/diff?from=9"} {
		w.manage("GET", path, nil).refused(404, "not_found")
	}
	for _, path := range []string{"/rule-sets/x", "/rule-sets/0", "/rule-sets/2/diff?from=x"} {
		w.manage("GET", path, nil).refused(400, "invalid_request")
	}
	w.newEvents()
	w.manage("POST", "/rule-sets/9/rollback", object{}).refused(404, "not_found")
	w.manage("POST", "/rule-sets/2/rollback", object{}).refused(409, "conflict")
	w.manage("POST", "/rule-sets/1/rollback", object{"base": 1}).refused(409, "conflict")
	w.wantEvents()
	a := w.manage("POST", "/rule-sets/1/rollback", object{"note": "too strict", "base": 2}).ok()
	if a.get("number") != 3.0 || a.str("note") != "Back to rule set 1: too strict" {
		t.Errorf("rolled back: %s", a.text)
	}
	w.wantEvents(events.KindRuleSetPublished)
	if a := w.manage("POST", "/rule-sets/1/rollback", object{"base": 3}).ok(); a.get("number") != 3.0 || a.get("unchanged") != true {
		t.Errorf("rolled back to what is in force: %s", a.text)
	}
	w.manage("POST", "/rule-sets/1/rollback", object{"base": 2}).refused(409, "conflict")
	w.wantEvents()
	if state := w.track("ann", "k", 50).str("state"); state != "ALLOW" {
		t.Errorf("the old rules do not decide: %s", state)
	}
}

// The life of a rule set, from a draft to its end.
func TestADraftBecomesARuleSet(t *testing.T) {
	w := startWith(t, ruleset.Config{Approval: true})
	author, second, reviewer := w.operator(operators.Analyst), w.operator(operators.Administrator), w.operator(operators.Reviewer)
	w.newEvents()
	w.manage("POST", "/rule-sets", testedRules).refused(409, "approval_required")
	definition := w.do(request{
		method: "GET", path: "/v1/management/rule-sets/current", auth: basic(managerWord), header: http.Header{"Accept": {"application/json"}},
	}).ok().get("definition")
	author.do("POST", "/rules/publish", object{"base": 1, "note": "x", "definition": definition}).refused(409, "approval_required")

	// A draft whose test fails, and which holds a rule that never decides.
	wrong := strings.Replace(testedRules, "custom.amount > 100,", "custom.amount > 600,", 1)
	wrong = strings.Replace(wrong, "- {id: odd,", "- {id: again, name: Again, when: custom.amount > 20000, outcome: REVIEW}\n      - {id: odd,", 1)
	draft := w.manage("POST", "/drafts?title="+url.QueryEscape("Only large ones"), wrong).ok()
	id := draft.str("id")
	if draft.get("revision") != 1.0 || draft.get("base") != 1.0 || draft.get("approved") != false || draft.str("author") != events.ByManagement {
		t.Fatalf("draft %s", draft.text)
	}
	w.wantEvents(events.KindDraftSaved)
	if a := author.do("POST", "/drafts/check", object{"id": id}).ok(); a.str("findings.0.kind") != "shadowed" || a.str("findings.0.rule") != "again" {
		t.Errorf("check %s", a.text)
	}
	if a := author.do("POST", "/drafts/test", object{"id": id}).ok(); a.get("passed") != false {
		t.Errorf("test %s", a.text)
	}
	if a := w.manage("POST", "/drafts/"+id+"/check", nil).ok(); a.str("findings.0.kind") != "shadowed" {
		t.Errorf("check %s", a.text)
	}
	if a := w.manage("POST", "/drafts/"+id+"/test", nil).ok(); a.get("passed") != false {
		t.Errorf("test %s", a.text)
	}

	// The author repairs it. Revisions do not overwrite each other.
	fixed := strings.Replace(testedRules, "custom.amount > 10000,", "custom.amount > 9000,", 1)
	w.manage("PUT", "/drafts/"+id+"?revision=7", fixed).refused(409, "conflict")
	w.manage("PUT", "/drafts/"+id, fixed).refused(400, "invalid_request")
	w.manage("PUT", "/drafts/none?revision=1", fixed).refused(404, "not_found")
	if a := w.manage("PUT", "/drafts/"+id+"?revision=1", fixed).ok(); a.get("revision") != 2.0 || a.str("title") != "Only large ones" {
		t.Errorf("saved %s", a.text)
	}
	whole := author.do("GET", "/drafts", nil).ok()
	if whole.get("approvalRequired") != true || whole.get("current") != 1.0 || whole.str("drafts.0.id") != id {
		t.Errorf("drafts %s", whole.text)
	}
	saved := w.manage("GET", "/drafts/"+id, nil).ok()
	if a := author.do("POST", "/drafts/save", object{"id": id, "revision": 2, "title": "Lower", "definition": saved.get("definition")}).ok(); a.get("revision") != 3.0 || a.get("authors.1") == nil {
		t.Errorf("saved %s", a.text)
	}
	w.wantEvents(events.KindDraftSaved, events.KindDraftSaved)

	// Nobody approves what they wrote, nor a revision that they have not seen.
	publish := object{"id": id, "revision": 3, "note": "Lower"}
	author.do("POST", "/drafts/publish", publish).refused(409, "approval_required")
	author.do("POST", "/drafts/approve", object{"id": id, "revision": 3}).refused(403, "forbidden")
	reviewer.do("POST", "/drafts/approve", object{"id": id, "revision": 3}).refused(403, "forbidden")
	second.do("POST", "/drafts/approve", object{"id": id, "revision": 2}).refused(409, "conflict")
	second.do("POST", "/drafts/approve", object{"id": "none", "revision": 2}).refused(404, "not_found")
	second.do("POST", "/drafts/approve", object{"id": id}).refused(400, "invalid_request")
	author.do("POST", "/drafts/publish", object{"id": id}).refused(400, "invalid_request")
	w.do(request{method: "POST", path: "/v1/management/drafts/" + id + "/approve", auth: basic(managerWord)}).refused(404, "not_found")
	w.wantEvents()
	if a := second.do("POST", "/drafts/approve", object{"id": id, "revision": 3}).ok(); a.get("approved") != true || a.str("approvals.0.by") == "" {
		t.Errorf("approved %s", a.text)
	}
	w.wantEvents(events.KindDraftApproved)
	author.do("POST", "/drafts/publish", object{"id": id, "revision": 2}).refused(409, "conflict")
	if a := author.do("POST", "/drafts/publish", publish).ok(); a.get("number") != 2.0 || a.str("note") != "Lower" {
		t.Errorf("published %s", a.text)
	}
	w.wantEvents(events.KindRuleSetPublished)
	author.do("POST", "/drafts/publish", publish).refused(404, "not_found")

	// It decides, the decision can be explained, and it can be taken back alone.
	if state := w.track("ann", "k", 9500).str("state"); state != "BLOCK" {
		t.Errorf("the new set does not decide: %s", state)
	}
	explained := reviewer.do("GET", "/decision/explain?user=ann&action=payment&key=k", nil).ok()
	if explained.str("rules.0.id") != "huge" || explained.get("rules.0.decides") != true || explained.get("rules.0.condition.values.0.value") != 9500.0 {
		t.Errorf("explained %s", explained.text)
	}
	w.newEvents()
	reviewer.do("POST", "/rules/rollback", object{"number": 1}).refused(403, "forbidden")
	if a := author.do("POST", "/rules/rollback", object{"number": 1, "note": "complaints"}).ok(); a.str("note") != "Back to rule set 1: complaints" {
		t.Errorf("rolled back %s", a.text)
	}
	w.wantEvents(events.KindRuleSetPublished)
	if a := author.do("GET", "/rules/diff?from=1&to=3", nil).ok(); a.get("count") != 0.0 {
		t.Errorf("diff %s", a.text)
	}
	if a := author.do("GET", "/rules/version?number=1", nil).ok(); a.get("number") != 1.0 {
		t.Errorf("version %s", a.text)
	}
}

func TestDraftsWithoutApproval(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Analyst)
	reviewer := w.operator(operators.Reviewer)
	definition := b.do("GET", "/rules", nil).ok().get("definition")
	w.newEvents()
	for name, body := range map[string]object{
		"no title":      {"definition": definition},
		"no definition": {"title": "x"},
		"a long title":  {"title": strings.Repeat("x", 201), "definition": definition},
		"no such base":  {"title": "x", "base": 9, "definition": definition},
	} {
		if a := b.do("POST", "/drafts/save", body).refused(400, "invalid_request"); a.str("details.0.field") == "" {
			t.Errorf("%s: %s", name, a.text)
		}
	}
	reviewer.do("POST", "/drafts/save", object{"title": "x", "definition": definition}).refused(403, "forbidden")
	w.manage("POST", "/drafts", testRules).refused(400, "invalid_request")
	w.manage("POST", "/drafts?title=x&base=x", testRules).refused(400, "invalid_request")
	w.wantEvents()

	first := b.do("POST", "/drafts/save", object{"title": "First", "definition": definition}).ok()
	second := w.manage("POST", "/drafts?title=Second", testedRules).ok()
	got := reviewer.do("GET", "/draft?id="+first.str("id"), nil).ok()
	if mustJSON(t, got.get("definition")) != mustJSON(t, definition) {
		t.Errorf("definition %s", got.text)
	}
	text := w.do(request{
		method: "GET", path: "/v1/management/drafts/" + second.str("id"), auth: basic(managerWord), header: http.Header{"Accept": {"application/yaml"}},
	}).ok()
	if !strings.Contains(text.text, "small ones pass") || text.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%v\n%s", text.header, text.text)
	}
	w.newEvents()
	if a := w.manage("POST", "/drafts/"+second.str("id")+"/publish", object{"revision": 1}).ok(); a.str("note") != "Second" {
		t.Errorf("published %s", a.text)
	}
	w.wantEvents(events.KindRuleSetPublished)

	// The other draft began as a set that is not in force any more.
	b.do("POST", "/drafts/publish", object{"id": first.str("id"), "revision": 1}).refused(409, "conflict")
	b.do("POST", "/drafts/save", object{"id": first.str("id"), "revision": 1, "base": 2, "definition": definition}).ok()
	b.do("POST", "/drafts/publish", object{"id": first.str("id"), "revision": 2}).ok()

	third := b.do("POST", "/drafts/save", object{"title": "Third", "definition": definition}).ok().str("id")
	w.newEvents()
	b.do("POST", "/drafts/delete", object{"id": third}).ok()
	w.wantEvents(events.KindDraftDeleted)
	b.do("POST", "/drafts/delete", object{"id": third}).refused(404, "not_found")
	w.manage("DELETE", "/drafts/"+third, nil).refused(404, "not_found")
	reviewer.do("GET", "/draft?id="+third, nil).refused(404, "not_found")
	if a := b.do("GET", "/drafts", nil).ok(); fmt.Sprint(a.get("drafts")) != "[]" {
		t.Errorf("drafts %s", a.text)
	}
}
