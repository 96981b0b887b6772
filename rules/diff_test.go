package rules_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func parse(t *testing.T, text string) rules.Definition {
	t.Helper()
	d, err := rules.ParseYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const beforeDiff = `
fields:
  - {name: amount, type: number}
  - {name: tier, type: string, scope: user}
metrics:
  - {name: spent, function: sum, of: custom.amount, window: 24h}
lists:
  - {name: suspects, type: cidr}
actions:
  - code: payment
    prompt: Pay {amount}
    rules:
      - {id: a, name: A, when: custom.amount > 1, outcome: BLOCK}
      - {id: b, name: B, when: custom.amount > 2, outcome: BLOCK, tags: [x]}
      - {id: c, name: C, when: custom.amount > 3, outcome: BLOCK}
      - {id: d, name: D, when: custom.amount > 4, outcome: BLOCK}
  - code: refund
    rules:
      - {id: e, name: E, when: custom.amount > 5, outcome: BLOCK}
otherwise: {rules: []}
tests:
  - {name: small, action: payment, facts: {custom.amount: 1}, want: ALLOW}
`

func TestDiff(t *testing.T) {
	tests := []struct {
		name, after string
		want        []string
	}{
		{"nothing", beforeDiff, nil},
		{"defaults written out, numbers written as decimals", `
fields:
  - {name: amount, type: number}
  - {name: tier, type: string, scope: user}
metrics:
  - {name: spent, function: sum, of: custom.amount, window: 24h}
lists:
  - {name: suspects, type: cidr}
actions:
  - code: payment
    default: ALLOW
    onFailure: CHALLENGE
    unenrolled: allow
    prompt: Pay {amount}
    rules:
      - {id: a, name: A, when: custom.amount > 1, outcome: BLOCK, mode: live, onError: fail, onUnknown: no-match, position: 0, tags: []}
      - {id: b, name: B, when: custom.amount > 2, outcome: BLOCK, tags: [x]}
      - {id: c, name: C, when: custom.amount > 3, outcome: BLOCK}
      - {id: d, name: D, when: custom.amount > 4, outcome: BLOCK}
  - code: refund
    rules:
      - {id: e, name: E, when: custom.amount > 5, outcome: BLOCK}
otherwise: {code: ignored, rules: []}
tests:
  - {name: small, action: payment, facts: {custom.amount: 1.0}, want: ALLOW}
`, nil},
		{"everything", `
fields:
  - {name: amount, type: number, description: How much.}
  - {name: tier, type: string}
metrics:
  - {name: spent, function: sum, of: custom.amount, window: 7d}
lists:
  - {name: suspects, type: string}
  - {name: friends, type: string}
actions:
  - code: payment
    default: REVIEW
    rules:
      - {id: d, name: D, when: custom.amount > 4, outcome: BLOCK}
      - {id: a, name: A, when: custom.amount > 10, outcome: REVIEW, rollout: 50}
      - {id: new, name: New, when: "true", outcome: BLOCK, mode: shadow}
      - {id: b, name: B, when: custom.amount > 2, outcome: BLOCK, methods: [PASSKEY], userVerification: required, onMatch: {add: ip.address, to: suspects}}
      - {id: e, name: E, when: custom.amount > 5, outcome: BLOCK}
  - code: sign-in
    rules: []
otherwise:
  unenrolled: block
  userVerification: discouraged
  rules: []
tests:
  - {name: small, action: payment, facts: {custom.amount: 2}, want: BLOCK, rule: b}
`, []string{
			"field user.custom.tier: removed",
			"field custom.amount: description: – → How much.",
			"field custom.tier: added",
			"metric spent: window: 24h → 7d",
			"list suspects: type: cidr → string",
			"list friends: added",
			"rule c of payment: removed",
			"action refund: removed",
			"action payment: default: ALLOW → REVIEW",
			"action payment: prompt: Pay {amount} → –",
			"rule d of payment: moved from place 4 to 1",
			"rule a of payment: when: custom.amount > 1 → custom.amount > 10",
			"rule a of payment: outcome: BLOCK → REVIEW",
			"rule a of payment: rollout: – → 50",
			"rule new of payment: added",
			"rule b of payment: methods: – → [\"PASSKEY\"]",
			"rule b of payment: userVerification: – → required",
			"rule b of payment: onMatch: – → {\"add\":\"ip.address\",\"to\":\"suspects\"}",
			"rule b of payment: tags: [\"x\"] → –",
			"rule e of payment: moved from action refund to payment",
			"action sign-in: added",
			"any other action: unenrolled: allow → block",
			"any other action: userVerification: – → discouraged",
			"test small: facts: {\"custom.amount\":1} → {\"custom.amount\":2}",
			"test small: want: ALLOW → BLOCK",
			"test small: rule: – → b",
		}},
	}
	before := parse(t, beforeDiff)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			after := parse(t, tt.after)
			changes := rules.Diff(&before, &after)
			var got []string
			for _, c := range changes {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if text, err := json.Marshal(changes); err != nil || len(changes) == 0 && string(text) != "[]" {
				t.Errorf("as JSON: %s, %v", text, err)
			}
			back := rules.Diff(&after, &before)
			if (len(back) == 0) != (len(changes) == 0) {
				t.Errorf("backwards there are %d changes", len(back))
			}
		})
	}
	t.Run("definitions that do not compile", func(t *testing.T) {
		twice := parse(t, `{actions: [{code: a, rules: [{id: x, name: X, when: "1", outcome: BLOCK}, {id: x, name: Y, when: "2", outcome: BLOCK}]}, {code: a, rules: []}],
			otherwise: {rules: []}, fields: [{name: f, type: number}, {name: f, type: string}], tests: [{name: "", action: "", want: "", facts: {a: .nan}}]}`)
		empty := rules.Definition{}
		for _, changes := range [][]rules.Change{rules.Diff(&empty, &twice), rules.Diff(&twice, &empty)} {
			if text, err := json.Marshal(changes); err != nil || len(changes) < 5 {
				t.Errorf("%d changes: %s, %v", len(changes), text, err)
			}
		}
		if changes := rules.Diff(&twice, &twice); len(changes) > 0 {
			// The second x is compared with the first: an id says which rule it is.
			for _, c := range changes {
				if c.Name != "x" {
					t.Errorf("a definition differs from itself: %s", c)
				}
			}
		}
	})
}
