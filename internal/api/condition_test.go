package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

func headOfList(name string) lists.Head { return lists.Head{Name: name, Type: rules.ListOfRanges} }

func TestTheBuilderGetsATreeAndGivesItBack(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Reviewer)
	const when = `custom.amount > 100 && (ip.countryCode in ["DE", "FR"] || size(user.email) > 3)`
	parsed := b.do("POST", "/condition/parse", object{"when": when}).ok()
	want := object{"combinator": "and", "rules": []any{
		object{"field": "custom.amount", "operator": ">", "value": 100.0},
		object{"combinator": "or", "rules": []any{
			object{"field": "ip.countryCode", "operator": "in", "value": []any{"DE", "FR"}},
			object{"field": "@cel", "operator": "expression", "value": "size(user.email) > 3"},
		}},
	}}
	if diff := cmp.Diff(any(want), parsed.get("tree")); diff != "" {
		t.Error(diff)
	}
	if got := b.do("POST", "/condition/format", object{"tree": parsed.get("tree")}).ok().str("when"); got != when {
		t.Errorf("got %q", got)
	}
}

func TestTheBuilderIsToldWhatIsWrong(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Reviewer)
	problem := b.do("POST", "/condition/parse", object{"when": "custom.amount > 1 &&\ncustom.nothing"}).ok()
	if problem.get("problems.0.line") != 2.0 || problem.get("problems.0.column") != 1.0 || problem.get("tree") != nil {
		t.Error(problem.text)
	}
	problem = b.do("POST", "/condition/format", json.RawMessage(`{"tree":{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":"1"}]}}`)).ok()
	if problem.str("problems.0.field") != "rules[0].value" || problem.get("when") != nil {
		t.Error(problem.text)
	}
	for _, tree := range []string{`null`, `[]`, `{"muted":true}`, strings.Repeat(`{"combinator":"and","rules":[`, 300) + strings.Repeat(`]}`, 300)} {
		if a := b.do("POST", "/condition/format", json.RawMessage(`{"tree":`+tree+`}`)).ok(); a.str("problems.0.message") == "" {
			t.Errorf("%.40s: %s", tree, a.text)
		}
	}
	b.do("POST", "/condition/format", object{}).ok()
	b.do("POST", "/condition/parse", object{"when": "true", "number": 77}).refused(http.StatusNotFound, "not_found")
	b.do("POST", "/condition/parse", object{"when": "true", "definition": object{"what": 1}}).refused(http.StatusBadRequest, "invalid_request")
}

func TestTheBuilderReadsTheNamesOfWhatIsEdited(t *testing.T) {
	w := start(t)
	b := w.operator(operators.Analyst)
	edited := object{"actions": []any{}, "otherwise": object{"code": "", "rules": []any{}}, "fields": []any{object{"name": "payee", "type": "string"}}}
	tree := object{"combinator": "and", "rules": []any{object{"field": "custom.payee", "operator": "=", "value": `\" || true //`}}}
	if got := b.do("POST", "/condition/format", object{"tree": tree, "definition": edited}).ok().str("when"); got != `custom.payee == "\\\" || true //"` {
		t.Errorf("got %q", got)
	}
	if got := b.do("POST", "/condition/format", object{"tree": tree}).ok(); got.str("problems.0.field") != "rules[0].field" {
		t.Error(got.text)
	}
	// Set 1 declares amount, set 2 does not.
	if _, err := w.rules.Publish(t.Context(), ruleset.Latest, rules.Definition{Otherwise: rules.ActionRules{Rules: []rules.Rule{}}}, "ann", "bare"); err != nil {
		t.Fatal(err)
	}
	if got := b.do("POST", "/condition/parse", object{"when": "custom.amount > 1", "number": 1}).ok(); got.get("tree") == nil {
		t.Error(got.text)
	}
	if got := b.do("POST", "/condition/parse", object{"when": "custom.amount > 1"}).ok(); got.get("tree") != nil {
		t.Error(got.text)
	}
}
