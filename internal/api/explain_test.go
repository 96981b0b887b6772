package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/operators"
)

func TestADecisionIsExplainedBySetAndFacts(t *testing.T) {
	w := start(t)
	w.track("ann%2Fb", "k", 500)
	// The rules have changed since; the decision names its own.
	w.manage("POST", "/rule-sets", strings.Replace(testRules, "custom.amount > 100,", "custom.amount > 1000,", 1)).ok()
	a := w.manage("GET", "/decisions/ann%2Fb/payment/k/explain", nil).ok()
	if a.get("decision.set") != 1.0 || a.str("default") != "ALLOW" || a.get("erased") != false || a.get("count") != 4.0 {
		t.Errorf("explained %s", a.text)
	}
	verdicts := map[string]string{}
	list, _ := a.get("rules").([]any)
	for _, r := range list {
		rule := r.(map[string]any)
		verdicts[rule["id"].(string)] = fmt.Sprintf("%v%v", rule["verdict"], rule["decides"])
	}
	want := map[string]string{"huge": "<nil><nil>", "shadow": "matched<nil>", "odd": "<nil><nil>", "large": "matchedtrue"}
	if fmt.Sprint(verdicts) != fmt.Sprint(want) {
		t.Errorf("verdicts %v, want %v", verdicts, want)
	}
	if a.str("rules.0.condition.text") != "custom.amount > 10000" || a.get("rules.0.condition.failed") != true ||
		a.str("rules.0.condition.values.0.name") != "custom.amount" || a.get("rules.0.condition.values.0.value") != 500.0 {
		t.Errorf("condition %v", a.get("rules.0.condition"))
	}
	w.manage("GET", "/decisions/ann/payment/none/explain", nil).refused(404, "not_found")

	w.call("DELETE", "/v1/users/ann%2Fb", nil).ok()
	if a := w.manage("GET", "/decisions/ann%2Fb/payment/k/explain", nil).ok(); a.get("erased") != true || fmt.Sprint(a.get("rules")) != "[]" {
		t.Errorf("erased: %s", a.text)
	}
}

func TestOfManyRulesTheFirstAndThoseThatMatchedAreExplained(t *testing.T) {
	w := start(t)
	var b strings.Builder
	b.WriteString("fields: [{name: amount, type: number}]\nactions:\n  - code: payment\n    rules:\n")
	for i := range 600 {
		fmt.Fprintf(&b, "      - {id: r-%d, name: R, when: custom.amount == %d, outcome: REVIEW}\n", i, i)
	}
	b.WriteString("otherwise: {code: otherwise, rules: []}\n")
	w.manage("POST", "/rule-sets", b.String()).ok()
	w.track("ann", "k", 555)
	reviewer := w.operator(operators.Reviewer)
	a := reviewer.do("GET", "/decision/explain?user=ann&action=payment&key=k", nil).ok()
	list, _ := a.get("rules").([]any)
	if len(list) != 501 || a.get("count") != 600.0 || a.str("rules.500.id") != "r-555" || a.get("rules.500.decides") != true {
		t.Errorf("%d of %v rules; the last is %v", len(list), a.get("count"), a.get("rules.500"))
	}
	one := reviewer.do("GET", "/decision/explain?user=ann&action=payment&key=k&rule=r-590", nil).ok()
	if list, _ := one.get("rules").([]any); len(list) != 1 || one.str("rules.0.id") != "r-590" || one.get("rules.0.condition.failed") != true {
		t.Errorf("one rule: %s", one.text)
	}
	reviewer.do("GET", "/decision/explain?user=ann&action=payment&key=k"+strings.Repeat("&rule=x", 601), nil).refused(400, "invalid_request")
	reviewer.do("GET", "/decision/explain?user=ann&action=payment", nil).refused(400, "invalid_request")
}
