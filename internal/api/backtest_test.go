package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/operators"
)

func TestADefinitionIsTriedOnWhatWasDecided(t *testing.T) {
	w := start(t)
	for i, amount := range []float64{5, 50, 500, 20000} {
		w.track("ann", fmt.Sprint(i), amount)
	}
	w.call("POST", "/v1/users/ann/actions/login", object{"idempotencyKey": "l"}).ok()
	strict := strings.Replace(testRules, "custom.amount > 100,", "custom.amount > 10,", 1)
	w.newEvents()
	w.pass(time.Second)
	a := w.manage("POST", "/rule-sets/backtest?action=payment", strict).ok()
	if a.get("decisions") != 4.0 || a.get("replayed") != 4.0 || a.get("same") != 3.0 || a.get("different") != 1.0 || a.get("cut") != false {
		t.Errorf("report %s", a.text)
	}
	if a.str("first.0.key") != "1" || a.str("first.0.before.outcome") != "ALLOW" || a.str("first.0.now.outcome") != "CHALLENGE" || a.str("first.0.now.rule") != "large" {
		t.Errorf("difference %v", a.get("first"))
	}
	large := 0.0
	list, _ := a.get("rules").([]any)
	for _, r := range list {
		if rule := r.(map[string]any); rule["id"] == "large" {
			large = rule["now"].(float64) - rule["before"].(float64)
		}
	}
	if large != 1 {
		t.Errorf("rules %v", a.get("rules"))
	}
	if a := w.manage("POST", "/rule-sets/backtest?limit=2", strict).ok(); a.get("decisions") != 2.0 || a.get("cut") != true {
		t.Errorf("report %s", a.text)
	}
	draft := w.manage("POST", "/drafts?title=Stricter", strict).ok().str("id")
	if a := w.manage("POST", "/rule-sets/backtest?draft="+draft, nil).ok(); a.get("different") != 1.0 || a.get("decisions") != 5.0 {
		t.Errorf("report %s", a.text)
	}
	if a := w.manage("POST", "/decisions/replay", nil).ok(); a.get("different") != 0.0 || a.get("same") != 5.0 {
		t.Errorf("report %s", a.text)
	}
	early := url.Values{"from": {w.clock().Add(-2 * time.Hour).Format(time.RFC3339)}, "to": {w.clock().Add(-time.Hour).Format(time.RFC3339)}}
	if a := w.manage("POST", "/decisions/replay?"+early.Encode(), nil).ok(); a.get("decisions") != 0.0 {
		t.Errorf("report %s", a.text)
	}
	for path, body := range map[string]any{
		"/rule-sets/backtest?from=yesterday": strict, "/rule-sets/backtest?limit=0": strict, "/rule-sets/backtest?limit=1000001": strict,
		"/rule-sets/backtest": strings.Replace(strict, "amount > 10,", "amuont > 10,", 1), "/decisions/replay?to=2020-01-01&from=2021-01-01": nil,
	} {
		w.manage("POST", path, body).refused(400, "invalid_request")
	}
	w.manage("POST", "/rule-sets/backtest?draft=none", nil).refused(404, "not_found")

	reviewer := w.operator(operators.Reviewer)
	definition := w.do(request{
		method: "GET", path: "/v1/management/drafts/" + draft, auth: basic(managerWord), header: http.Header{},
	}).ok().get("definition")
	for _, body := range []object{{"definition": definition}, {"draft": draft, "action": "payment", "limit": 100}} {
		if a := reviewer.do("POST", "/rules/backtest", body).ok(); a.get("different") != 1.0 {
			t.Errorf("report %s", a.text)
		}
	}
	reviewer.do("POST", "/rules/backtest", object{}).refused(400, "invalid_request")
	if a := reviewer.do("POST", "/decisions/replay", object{}).ok(); a.get("same") != 5.0 {
		t.Errorf("report %s", a.text)
	}
	w.call("DELETE", "/v1/users/ann", nil).ok()
	if a := w.manage("POST", "/decisions/replay", nil).ok(); a.get("erased") != 5.0 || a.get("replayed") != 0.0 {
		t.Errorf("report %s", a.text)
	}
}
