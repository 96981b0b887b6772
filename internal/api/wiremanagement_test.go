package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// terraform is a call of Terraform or of a management SDK.
func (w *world) terraform(method, path string, body any) answer {
	w.t.Helper()
	return w.do(request{method: method, path: "/v1/management" + path, auth: basic(managerWord), body: body})
}

// definition is the one in force.
func (w *world) definition() rules.Definition {
	w.t.Helper()
	return w.rules.Current().Version().Definition
}

// has compares some members of an answer.
func (a answer) has(want object) answer {
	a.t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		a.t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		a.t.Fatal(err)
	}
	for name, value := range plain {
		got, sent := a.json[name]
		if value == nil && sent {
			a.t.Errorf("%s is there: %s", name, a.text)
		} else if diff := cmp.Diff(value, got); diff != "" {
			a.t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	return a
}

const anonymous = `{"and":[{"==":[{"var":"ip.isAnonymous"},false]}]}`

func TestTheWireProtocolsManagementAPINeedsItsSecret(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/action-configurations", "/action-configurations/payment/rules", "/value-lists", "/custom-data-points"} {
		w.do(request{method: "GET", path: "/v1/management" + path, auth: basic(secret)}).refused(http.StatusUnauthorized, "unauthorized")
		w.do(request{method: "GET", path: "/v1/management" + path}).refused(http.StatusUnauthorized, "unauthorized")
		w.do(request{method: "POST", path: "/v1/management" + path, auth: basic(secret), body: object{}}).refused(http.StatusUnauthorized, "unauthorized")
	}
	w.wantEvents()
}

func TestAnActionConfigurationIsPartOfTheRuleSet(t *testing.T) {
	w := start(t)
	created := w.terraform("POST", "/action-configurations", `{"actionCode":"sign-in","defaultUserActionResult":"CHALLENGE",
		"messagingTemplates":{"en": {"defaultTemplate":"hello <world>"}},"verificationMethods":["EMAIL_OTP", "EMAIL_MAGIC_LINK"],
		"promptToEnrollVerificationMethods":["PASSKEY"],"defaultVerificationMethod":"EMAIL_MAGIC_LINK","verificationWebhookUrl":"https://shop.example/hook","unknown":1}`).ok()
	want := object{
		"actionCode": "sign-in", "defaultUserActionResult": "CHALLENGE", "tenantId": tenant,
		"messagingTemplates": object{"en": object{"defaultTemplate": "hello <world>"}}, "verificationMethods": []string{"EMAIL_OTP", "EMAIL_MAGIC_LINK"},
		"promptToEnrollVerificationMethods": []string{"PASSKEY"}, "defaultVerificationMethod": "EMAIL_MAGIC_LINK",
		"verificationWebhookUrl": "https://shop.example/hook", "unknown": nil,
	}
	created.has(want)
	if !strings.Contains(created.text, `{"en": {"defaultTemplate":"hello <world>"}}`) {
		t.Errorf("the templates have other bytes: %s", created.text)
	}
	w.wantEvents(events.KindRuleSetPublished)
	w.terraform("GET", "/action-configurations/sign-in", nil).ok().has(want).has(object{"lastActionCreatedAt": nil})
	w.terraform("POST", "/action-configurations", object{"actionCode": "sign-in"}).refused(http.StatusConflict, "conflict")

	w.call("POST", "/v1/users/ann/actions/sign-in", object{}).ok()
	if got := w.terraform("GET", "/action-configurations/sign-in", nil).ok().str("lastActionCreatedAt"); got == "" {
		t.Error("the last action has no time")
	}

	changed := w.terraform("PATCH", "/action-configurations/sign-in", `{"defaultUserActionResult":"BLOCK","verificationMethods":null}`).ok()
	changed.has(object{"defaultUserActionResult": "BLOCK", "verificationMethods": nil, "defaultVerificationMethod": "EMAIL_MAGIC_LINK"})
	if state := w.call("POST", "/v1/users/ann/actions/sign-in", object{}).ok().str("state"); state != "BLOCK" {
		t.Errorf("an action is decided %s", state)
	}
	w.terraform("PATCH", "/action-configurations/sign-in", `{"defaultUserActionResult":null}`).ok().has(object{"defaultUserActionResult": "ALLOW"})

	var codes []string
	for _, item := range w.terraform("GET", "/action-configurations", nil).list() {
		codes = append(codes, item["actionCode"].(string))
	}
	if diff := cmp.Diff([]string{"payment", "add-passkey", "sign-in"}, codes); diff != "" {
		t.Error(diff)
	}
	w.terraform("DELETE", "/action-configurations/sign-in", nil).ok().has(object{"success": true})
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		w.terraform(method, "/action-configurations/sign-in", object{}).refused(http.StatusNotFound, "not_found")
	}
	w.terraform("PATCH", "/action-configurations/payment", object{"actionCode": "other"}).refused(http.StatusBadRequest, "invalid_request")
	w.terraform("POST", "/action-configurations", object{"actionCode": "no code"}).refused(http.StatusBadRequest, "invalid_request")
	w.terraform("POST", "/action-configurations", object{"actionCode": "x", "actionType": "FLOW"}).refused(http.StatusBadRequest, "invalid_request")
	w.terraform("PATCH", "/action-configurations/payment", object{"actionType": "CLASSIC"}).ok().has(object{"actionType": "CLASSIC"})
	for says, body := range map[string]object{
		"actionCode: is missing.": {},
		"actionCode: ":            {"actionCode": "no code"},
		`defaultUserActionResult: must be ALLOW, CHALLENGE, REVIEW or BLOCK, not "PERHAPS".`: {"actionCode": "x", "defaultUserActionResult": "PERHAPS"},
	} {
		a := w.terraform("POST", "/action-configurations", body).refused(http.StatusBadRequest, "invalid_request")
		if text := a.str("errorDescription"); !strings.HasPrefix(text, says) || strings.Contains(a.text, "actions[") {
			t.Errorf("%v: %s", body, a.text)
		}
	}
}

func TestARuleThatChangesNothingPublishesNothing(t *testing.T) {
	w := start(t)
	id := w.terraform("POST", "/action-configurations/payment/rules", object{"name": "R", "type": "BLOCK", "priority": 50, "isActive": true}).ok().str("ruleId")
	w.newEvents()
	before := w.rules.Current().Number()
	w.terraform("PATCH", "/action-configurations/payment/rules/"+id, object{"name": "R", "type": "BLOCK", "priority": 50, "isActive": true}).ok()
	w.terraform("PATCH", "/action-configurations/payment/rules/"+id, nil).ok()
	if after := w.rules.Current().Number(); after != before {
		t.Errorf("set %d became %d", before, after)
	}
	w.wantEvents()
}

func TestARuleComesBackAsItWasSent(t *testing.T) {
	for _, path := range []string{"/action-configurations/sign-in/rules", "/action_configurations/sign-in/rules"} {
		t.Run(path, func(t *testing.T) {
			w := start(t)
			// As jsonencode writes it, and with white space and an escape of its own.
			conditions := `{ "and" : [ {"==":[{"var":"ip.isAnonymous"}, false ]}, {">":[{"var":"custom.amount"},1.50]}, {"!=":[{"var":"custom.amount"},1e2]} ] }`
			sent := `{"name":"made-with-terraform","description":"hello world","priority":2,"type":"CHALLENGE","isActive":false,
				"verificationMethods":["PASSKEY","SECURITY_KEY"],"promptToEnrollVerificationMethods":["PASSKEY"],"defaultVerificationMethod":"PASSKEY",
				"conditions":` + conditions + `}`
			created := w.terraform("POST", path, sent).ok()
			id := created.str("ruleId")
			want := object{
				"ruleId": id, "tenantId": tenant, "actionCode": "sign-in", "name": "made-with-terraform", "description": "hello world",
				"priority": 2, "type": "CHALLENGE", "isActive": false, "verificationMethods": []string{"PASSKEY", "SECURITY_KEY"},
				"promptToEnrollVerificationMethods": []string{"PASSKEY"}, "defaultVerificationMethod": "PASSKEY",
			}
			got := w.terraform("GET", path+"/"+id, nil).ok().has(want)
			created.has(want)
			for _, a := range []answer{created, got, w.terraform("GET", path, nil)} {
				if !strings.Contains(a.text, `"conditions":`+conditions) {
					t.Errorf("the conditions have other bytes: %s", a.text)
				}
			}
			a := w.definition().Actions[2]
			if a.Code != "sign-in" || len(a.Rules) != 1 || a.Rules[0].When != "!ip.isAnonymous && custom.amount > 1.5 && custom.amount != 100" || a.Rules[0].Mode != rules.Off {
				t.Errorf("the rule set has %+v", a)
			}
			w.terraform("PATCH", path+"/"+id, `{"description":null,"isActive":true,"verificationMethods":null,"defaultVerificationMethod":null}`).ok().
				has(object{"description": nil, "isActive": true, "verificationMethods": nil, "defaultVerificationMethod": nil, "promptToEnrollVerificationMethods": []string{"PASSKEY"}, "name": "made-with-terraform"})
			w.terraform("PATCH", path+"/"+id, `{"conditions":null}`).ok().has(object{"conditions": nil})
			if when := w.definition().Actions[2].Rules[0].When; when != "true" {
				t.Errorf("without conditions the rule is %q", when)
			}
			if state := w.call("POST", "/v1/users/ann/actions/sign-in", object{}).ok().str("state"); state != "ALLOW" { // nobody to challenge yet
				t.Errorf("state %s", state)
			}
			w.terraform("DELETE", path+"/"+id, nil).ok().has(object{"success": true})
			for _, method := range []string{"GET", "PATCH", "DELETE"} {
				w.terraform(method, path+"/"+id, object{}).refused(http.StatusNotFound, "not_found")
			}
			if list := w.terraform("GET", path, nil).list(); len(list) != 0 {
				t.Error(list)
			}
		})
	}
}

func TestConditionsEditedElsewhereAreWrittenAnew(t *testing.T) {
	w := start(t)
	const path = "/action-configurations/payment/rules"
	id := w.terraform("POST", path, `{"name":"R","type":"BLOCK","priority":9,"isActive":true,"conditions":`+anonymous+`}`).ok().str("ruleId")
	edit := func(when string) {
		t.Helper()
		d := w.definition()
		d.Actions = append([]rules.ActionRules{}, d.Actions...)
		d.Actions[0].Rules = append([]rules.Rule{}, d.Actions[0].Rules...)
		d.Actions[0].Rules[len(d.Actions[0].Rules)-1].When = when
		if _, err := w.rules.Publish(t.Context(), ruleset.Latest, d, "ann", "edited"); err != nil {
			t.Fatal(err)
		}
	}
	for when, want := range map[string]string{
		"ip.isAnonymous || custom.amount > 5": `{"or":[{"==":[{"var":"ip.isAnonymous"},true]},{">":[{"var":"custom.amount"},5]}]}`,
		"custom.amount + 1 > 2":               `{"and":[{"cel":["custom.amount + 1 > 2"]}]}`,
		"true":                                `{"and":[]}`,
	} {
		edit(when)
		if a := w.terraform("GET", path+"/"+id, nil).ok(); !strings.Contains(a.text, `"conditions":`+want) {
			t.Errorf("%q is written %s", when, a.text)
		}
	}
	edit("!ip.isAnonymous") // as it was
	if a := w.terraform("GET", path+"/"+id, nil).ok(); !strings.Contains(a.text, `"conditions":`+anonymous) {
		t.Errorf("the original is gone: %s", a.text)
	}
	// Rules that were never sent here are written too.
	a := w.terraform("GET", path, nil)
	if !strings.Contains(a.text, `{">":[{"var":"custom.amount"},10000]}`) || !strings.Contains(a.text, `"ruleId":"huge"`) {
		t.Errorf("got %s", a.text)
	}
}

func TestChangesKeepWhatTheWireProtocolDoesNotName(t *testing.T) {
	w := start(t)
	d := w.definition()
	d.Actions = append([]rules.ActionRules{}, d.Actions...)
	a := &d.Actions[0]
	a.Rules = append([]rules.Rule{}, a.Rules...)
	a.UserVerification, a.Unenrolled = rules.VerificationRequired, rules.UnenrolledEnrol
	a.Rules[0].UserVerification = rules.VerificationDiscouraged
	if _, err := w.rules.Publish(t.Context(), ruleset.Latest, d, "ann", "edited"); err != nil {
		t.Fatal(err)
	}
	action := "/action-configurations/" + a.Code
	w.terraform("PATCH", action, `{"defaultUserActionResult":"REVIEW"}`).ok()
	w.terraform("PATCH", action+"/rules/"+a.Rules[0].ID, `{"description":"changed","priority":50}`).ok()
	got := w.definition().Actions[0]
	if got.Default != rules.Review || got.UserVerification != rules.VerificationRequired || got.Unenrolled != rules.UnenrolledEnrol {
		t.Errorf("the action has %+v", got)
	}
	found := false
	for _, rule := range got.Rules {
		if rule.ID == a.Rules[0].ID {
			found = rule.Description == "changed" && rule.UserVerification == rules.VerificationDiscouraged
		}
	}
	if !found {
		t.Errorf("the rules are %+v", got.Rules)
	}
}

func TestPrioritiesArePositionsAndUnique(t *testing.T) {
	w := start(t)
	const path = "/action-configurations/payment/rules" // four rules, 0 to 3
	order := func() string {
		var out []string
		for _, r := range w.terraform("GET", path, nil).list() {
			out = append(out, fmt.Sprintf("%v:%v", r["name"], r["priority"]))
		}
		return strings.Join(out, ", ")
	}
	create := func(name string, priority int) answer {
		return w.terraform("POST", path, object{"name": name, "type": "REVIEW", "priority": priority, "isActive": true, "conditions": json.RawMessage(anonymous)})
	}
	clash := create("A", 1).refused(http.StatusBadRequest, "invalid_request")
	if clash.str("errorDescription") != "There is already another rule with priority: 1" {
		t.Error(clash.text)
	}
	w.terraform("POST", path, object{"name": "First", "type": "REVIEW"}).refused(http.StatusBadRequest, "invalid_request") // priority 0
	last := create("Last", 99).ok().str("ruleId")
	create("Middle", 50).ok()
	create("Beyond", 100).refused(http.StatusBadRequest, "invalid_request")
	create("Before", -1).refused(http.StatusBadRequest, "invalid_request")
	if got := order(); got != "Huge payment:0, Only watched:1, Odd payment:2, Large payment:3, Middle:50, Last:99" {
		t.Error(got)
	}
	w.terraform("PATCH", path+"/"+last, object{"priority": 50}).refused(http.StatusBadRequest, "invalid_request")
	w.terraform("PATCH", path+"/odd", object{"priority": 60}).ok().has(object{"priority": 60})
	w.terraform("DELETE", path+"/huge", nil).ok()
	w.terraform("PATCH", path+"/"+last, object{"priority": 0}).ok()
	if got := order(); got != "Last:0, Only watched:1, Large payment:3, Middle:50, Odd payment:60" {
		t.Error(got)
	}
}

func TestActiveMeansLive(t *testing.T) {
	w := start(t)
	const shadow = "/action-configurations/payment/rules/shadow"
	w.terraform("GET", shadow, nil).ok().has(object{"isActive": false})
	w.terraform("PATCH", shadow, object{"isActive": false}).ok().has(object{"isActive": false})
	if mode := w.definition().Actions[0].Rules[1].Mode; mode != rules.Shadow {
		t.Errorf("mode %s", mode)
	}
	w.terraform("PATCH", shadow, object{"isActive": true}).ok().has(object{"isActive": true})
	w.terraform("PATCH", shadow, object{"isActive": false}).ok()
	if mode := w.definition().Actions[0].Rules[1].Mode; mode != rules.Off {
		t.Errorf("mode %s", mode)
	}
	// An SDK that leaves out false means it.
	w.terraform("POST", "/action-configurations/payment/rules", object{"name": "R", "type": "ALLOW", "priority": 7}).ok().has(object{"isActive": false})
}

func TestARuleThatCannotBeIsRefusedInOneSentence(t *testing.T) {
	w := start(t)
	const path = "/action-configurations/payment/rules"
	before := w.rules.Current().Number()
	for name, row := range map[string]struct{ body, says string }{
		"unknown variable":  {`{"name":"R","type":"BLOCK","priority":9,"conditions":{"==":[{"var":"card.bin"},1]}}`, `"card.bin" is not known here`},
		"misspelt variable": {`{"name":"R","type":"BLOCK","priority":9,"conditions":{"==":[{"var":"device.isBott"},true]}}`, `"device.isBott" is not known here; did you mean device.isBot?`},
		"unknown operation": {`{"name":"R","type":"BLOCK","priority":9,"conditions":{"cat":["a","b"]}}`, `no operation "cat"`},
		"undeclared list":   {`{"name":"R","type":"BLOCK","priority":9,"conditions":{"in":[{"var":"user.email"},{"var":"lists.nobody"}]}}`, `"nobody" does not exist`},
		"wrong expression":  {`{"name":"R","type":"BLOCK","priority":9,"conditions":{"cel":["custom.nothing > 1"]}}`, "custom.nothing is not declared"},
		"deep conditions":   {`{"name":"R","type":"BLOCK","priority":9,"conditions":` + strings.Repeat(`{"!":`, 100) + "true" + strings.Repeat("}", 100) + `}`, "deeper"},
		"a method":          {`{"name":"R","type":"BLOCK","priority":9,"verificationMethods":["EMAIL_MAGIC_LINK"]}`, `"EMAIL_MAGIC_LINK" is not an enabled verification method`},
		"no name":           {`{"type":"BLOCK","priority":9}`, "name: is missing."},
		"name null":         {`{"name":null,"type":"BLOCK","priority":9}`, "must not be null"},
		"no type":           {`{"name":"R","priority":9}`, "type: is missing: must be ALLOW, CHALLENGE, REVIEW or BLOCK."},
		"another type":      {`{"name":"R","type":"DENY","priority":9}`, `type: must be ALLOW, CHALLENGE, REVIEW or BLOCK, not "DENY".`},
		"half a priority":   {`{"name":"R","type":"BLOCK","priority":1.5}`, "priority"},
		"no JSON":           {`{"name":`, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.terraform("POST", path, row.body)
			a.t = t
			if got := a.refused(http.StatusBadRequest, "invalid_request").str("errorDescription"); !strings.Contains(got, row.says) {
				t.Errorf("got %q, want %q", got, row.says)
			}
		})
	}
	if after := w.rules.Current().Number(); after != before {
		t.Errorf("set %d became %d", before, after)
	}
}

func TestAValueListKeepsTheOrderOfItsItems(t *testing.T) {
	w := start(t)
	created := w.terraform("POST", "/value-lists", object{"name": "Terraform Acc Test Strings", "itemType": "string", "isActive": true, "valueListItems": []string{"terraform", "acceptance", "test", "acceptance"}}).ok()
	want := object{"name": "Terraform Acc Test Strings", "alias": "terraform-acc-test-strings", "itemType": "string", "isActive": true, "valueListItems": []string{"terraform", "acceptance", "test"}}
	created.has(want)
	w.terraform("GET", "/value-lists/terraform-acc-test-strings", nil).ok().has(want)
	if diff := cmp.Diff([]rules.List{{Name: "terraform_acc_test_strings", Type: rules.ListOfStrings}}, w.definition().Lists); diff != "" {
		t.Error(diff)
	}
	w.terraform("PATCH", "/value-lists/terraform-acc-test-strings", object{"isActive": false, "valueListItems": []string{"updated", "terraform", "test"}}).ok().
		has(object{"isActive": false, "valueListItems": []string{"updated", "terraform", "test"}, "name": "Terraform Acc Test Strings"})
	w.terraform("PATCH", "/value-lists/terraform-acc-test-strings", `{"name":"Premium users"}`).ok().
		has(object{"name": "Premium users", "alias": "terraform-acc-test-strings", "isActive": false, "valueListItems": []string{"updated", "terraform", "test"}})
	w.terraform("PATCH", "/value-lists/terraform-acc-test-strings", `{"valueListItems":null}`).ok().has(object{"valueListItems": []string{}})
	w.terraform("POST", "/value-lists", object{"name": "Terraform  ACC test-strings!"}).refused(http.StatusConflict, "conflict")

	numbers := w.terraform("POST", "/value-lists", `{"name":"Odd numbers","itemType":"number","isActive":true,"valueListItems":[3, 1.50, "2", -0]}`).ok()
	numbers.has(object{"itemType": "number", "valueListItems": []float64{3, 1.5, 2, 0}})
	if list := w.terraform("GET", "/value-lists", nil).list(); len(list) != 2 {
		t.Error(list)
	}
	for name, body := range map[string]string{
		"no name":             `{"itemType":"string"}`,
		"a name in no letter": `{"name":"東京"}`,
		"a digit first":       `{"name":"1 list"}`,
		"another type":        `{"name":"x","itemType":"cidr"}`,
		"a number for a text": `{"name":"x","valueListItems":[1]}`,
		"a text for a number": `{"name":"x","itemType":"number","valueListItems":["a"]}`,
		"null for an item":    `{"name":"x","valueListItems":[null]}`,
		"an empty item":       `{"name":"x","valueListItems":[""]}`,
		"items are no array":  `{"name":"x","valueListItems":"a,b"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := w.terraform("POST", "/value-lists", body)
			a.t = t
			a.refused(http.StatusBadRequest, "invalid_request")
			w.terraform("GET", "/value-lists/x", nil).refused(http.StatusNotFound, "not_found")
		})
	}
	w.terraform("PATCH", "/value-lists/odd-numbers", object{"itemType": "string"}).refused(http.StatusBadRequest, "invalid_request")
	w.terraform("DELETE", "/value-lists/odd-numbers", nil).ok().has(object{"success": true})
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		w.terraform(method, "/value-lists/odd-numbers", object{}).refused(http.StatusNotFound, "not_found")
		w.terraform(method, "/value-lists/terraform_acc-test-strings", object{}).refused(http.StatusNotFound, "not_found")
	}
}

func TestARuleTestsAValueList(t *testing.T) {
	w := start(t)
	w.terraform("POST", "/value-lists", object{"name": "Blocked emails", "valueListItems": []string{"eve@evil.example"}}).ok()
	const conditions = `{"and":[{"in":[{"var":"user.email"},{"var":"lists.blocked-emails"}]}]}`
	a := w.terraform("POST", "/action-configurations/sign-in/rules", `{"name":"Blocked","type":"BLOCK","isActive":true,"conditions":`+conditions+`}`).ok()
	if !strings.Contains(a.text, conditions) {
		t.Error(a.text)
	}
	if when := w.definition().Actions[2].Rules[0].When; when != "user.email in list.blocked_emails" {
		t.Errorf("the rule is %q", when)
	}
	refused := w.terraform("DELETE", "/value-lists/blocked-emails", nil).refused(http.StatusBadRequest, "invalid_request")
	if got, want := refused.str("errorDescription"), `The value list blocked-emails is used by the rule "Blocked" of sign-in. Change what uses it first, then remove it.`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(refused.str("details.0.message"), "list.blocked_emails") || refused.str("details.0.rule") == "" {
		t.Error(refused.text)
	}
	w.terraform("GET", "/value-lists/blocked-emails", nil).ok()

	near := w.terraform("POST", "/action-configurations/sign-in/rules", `{"name":"Blocked","type":"BLOCK","priority":7,"conditions":{"in":[{"var":"user.email"},{"var":"lists.blocked-email"}]}}`).refused(http.StatusBadRequest, "invalid_request")
	if !strings.Contains(near.str("errorDescription"), `"blocked-email" does not exist; did you mean blocked-emails?`) {
		t.Error(near.text)
	}
	near = w.terraform("GET", "/value-lists/blocked-email", nil).refused(http.StatusNotFound, "not_found")
	if near.str("errorDescription") != `There is no value list "blocked-email"; did you mean blocked-emails?` {
		t.Error(near.text)
	}

	// A list that was made elsewhere is declared by the first rule that tests it.
	w.terraform("POST", "/lists", object{"name": "suspects", "type": "cidr"}).ok()
	w.terraform("POST", "/action-configurations/sign-in/rules", `{"name":"Suspect","type":"REVIEW","priority":1,"isActive":true,"conditions":{"in":[{"var":"ip.address"},{"var":"lists.suspects"}]}}`).ok()
	if diff := cmp.Diff(rules.List{Name: "suspects", Type: rules.ListOfRanges}, w.definition().Lists[1]); diff != "" {
		t.Error(diff)
	}
	w.terraform("GET", "/value-lists/suspects", nil).ok().has(object{"itemType": "string", "isActive": true})
}

func TestACustomDataPointIsAField(t *testing.T) {
	w := start(t)
	created := w.terraform("POST", "/custom-data-points", object{"name": "risk_score", "dataType": "number", "modelType": "action", "description": "0 to 100", "isPublic": true}).ok()
	id := created.str("id")
	want := object{"id": id, "name": "risk_score", "dataType": "number", "modelType": "action", "description": "0 to 100", "isPublic": true}
	created.has(want)
	w.terraform("GET", "/custom-data-points/"+id, nil).ok().has(want)
	tier := w.terraform("POST", "/custom-data-points", object{"name": "tier", "dataType": "text", "modelType": "user"}).ok().has(object{"description": "", "isPublic": false}).str("id")
	w.terraform("POST", "/custom-data-points", object{"name": "tier", "dataType": "boolean", "modelType": "action"}).ok()
	if got := len(w.terraform("GET", "/custom-data-points", nil).list()); got != 4 {
		t.Errorf("%d data points", got)
	}
	w.terraform("POST", "/action-configurations/sign-in/rules", `{"name":"R","type":"BLOCK","isActive":true,"conditions":{"and":[{">":[{"var":"custom.risk_score"},70]},{"==":[{"var":"user.custom.tier"},"gold"]}]}}`).ok()
	inUse := w.terraform("DELETE", "/custom-data-points/"+id, nil).refused(http.StatusBadRequest, "invalid_request")
	if got, want := inUse.str("errorDescription"), `The custom data point action-risk_score is used by the rule "R" of sign-in. Change what uses it first, then remove it.`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.terraform("PATCH", "/custom-data-points/"+tier, `{"description":"gold or not","isPublic":true}`).ok().has(object{"id": tier, "description": "gold or not", "isPublic": true, "modelType": "user"})
	w.terraform("PATCH", "/custom-data-points/"+tier, `{"description":null}`).ok().has(object{"description": "", "isPublic": true})
	w.terraform("POST", "/custom-data-points", object{"name": "tier", "dataType": "text", "modelType": "user"}).refused(http.StatusConflict, "conflict")
	for name, row := range map[string]struct{ body, says string }{
		"several choices": {`{"name":"x","dataType":"multiselect","modelType":"user"}`, "multiselect is not available"},
		"another type":    {`{"name":"x","dataType":"date","modelType":"user"}`, "text, number or boolean"},
		"another model":   {`{"name":"x","dataType":"text","modelType":"device"}`, "action or user"},
		"another name":    {`{"name":"no name","dataType":"text","modelType":"user"}`, "name: "},
		"no name":         {`{"dataType":"text","modelType":"user"}`, "letters, digits and underscores"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.terraform("POST", "/custom-data-points", row.body)
			a.t = t
			if got := a.refused(http.StatusBadRequest, "invalid_request").str("errorDescription"); !strings.Contains(got, row.says) {
				t.Errorf("got %q, want %q", got, row.says)
			}
		})
	}
	for _, body := range []object{{"name": "other"}, {"dataType": "number"}, {"modelType": "action"}} {
		w.terraform("PATCH", "/custom-data-points/"+tier, body).refused(http.StatusBadRequest, "invalid_request")
	}
	w.terraform("DELETE", "/custom-data-points/action-tier", nil).ok().has(object{"success": true})
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		w.terraform(method, "/custom-data-points/action-tier", object{}).refused(http.StatusNotFound, "not_found")
	}
}

func TestManyChangesAtOnceAllHappen(t *testing.T) {
	w := start(t)
	const n = 24
	var together sync.WaitGroup
	for i := range n {
		together.Go(func() {
			body := object{"name": fmt.Sprint("Rule ", i), "type": "REVIEW", "priority": i, "isActive": true, "conditions": json.RawMessage(anonymous)}
			if a := w.terraform("POST", "/action-configurations/sign-in/rules", body); a.status != http.StatusOK {
				t.Errorf("%d: %s", a.status, a.text)
			}
		})
	}
	together.Wait()
	if got := len(w.terraform("GET", "/action-configurations/sign-in/rules", nil).list()); got != n {
		t.Errorf("%d rules", got)
	}
}

func TestDirectChangesAreRefusedWhileASecondPersonMustApprove(t *testing.T) {
	w := startWith(t, ruleset.Config{Approval: true})
	if _, err := w.store.CreateList(t.Context(), headOfList("suspects"), "ann"); err != nil {
		t.Fatal(err)
	}
	before := w.rules.Current().Number()
	for _, r := range []request{
		{method: "POST", path: "/action-configurations", body: object{"actionCode": "x"}},
		{method: "PATCH", path: "/action-configurations/payment", body: object{"defaultUserActionResult": "BLOCK"}},
		{method: "DELETE", path: "/action-configurations/payment"},
		{method: "POST", path: "/action-configurations/payment/rules", body: object{"name": "R", "type": "ALLOW", "priority": 9}},
		{method: "PATCH", path: "/action-configurations/payment/rules/huge", body: object{"type": "ALLOW"}},
		{method: "DELETE", path: "/action-configurations/payment/rules/huge"},
		{method: "POST", path: "/value-lists", body: object{"name": "x"}},
		{method: "PATCH", path: "/value-lists/suspects", body: object{"isActive": false}},
		{method: "DELETE", path: "/value-lists/suspects"},
		{method: "POST", path: "/custom-data-points", body: object{"name": "x", "dataType": "text", "modelType": "user"}},
		{method: "DELETE", path: "/custom-data-points/action-amount"},
	} {
		w.terraform(r.method, r.path, r.body).refused(http.StatusConflict, "approval_required")
	}
	if after := w.rules.Current().Number(); after != before {
		t.Errorf("set %d became %d", before, after)
	}
	w.terraform("GET", "/action-configurations/payment/rules/huge", nil).ok()
	w.terraform("PATCH", "/value-lists/suspects", object{"valueListItems": []string{"192.0.2.0/24"}}).ok().has(object{"valueListItems": []string{"192.0.2.0/24"}})
}
