package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

const hinted = `
fields: [{name: amount, type: number}, {name: payee, type: string}]
actions:
  - code: payment
    rules:
      - {id: rolled, name: A, when: custom.amount > 1, outcome: BLOCK, rollout: 0}
      - {id: tried, name: B, when: custom.amount > 2, outcome: REVIEW, mode: shadow}
      - {id: idle, name: C, when: custom.payee == "x", outcome: CHALLENGE, onUnknown: match, mode: off}
      - {id: last, name: D, when: custom.amount > 100, outcome: BLOCK}
otherwise: {rules: []}
tests:
`

func TestHintsOfTests(t *testing.T) {
	tests := []struct{ name, test, want string }{
		{
			"a rollout keeps the rule out", "facts: {custom.amount: 5}, want: BLOCK, rule: rolled",
			"want BLOCK by rule rolled, got ALLOW by default; the condition of rule rolled is met, but its rollout of 0 percent leaves out this user.id",
		},
		{
			"the rule is in shadow", "facts: {custom.amount: 5}, want: REVIEW, rule: tried",
			"want REVIEW by rule tried, got ALLOW by default; the condition of rule tried is met, but it is in shadow",
		},
		{
			"the rule is in shadow and not met", "facts: {custom.amount: 1}, want: REVIEW, rule: tried",
			"want REVIEW by rule tried, got ALLOW by default; it is in shadow",
		},
		{
			"the rule is off and met by a missing value", "want: CHALLENGE",
			"want CHALLENGE, got ALLOW by default; rule last ended unknown; the condition of rule idle is met, but it is off",
		},
		{
			"no rule is named, and none would have decided", "facts: {custom.amount: 1, custom.payee: y}, want: CHALLENGE",
			"want CHALLENGE, got ALLOW by default",
		},
		{
			"the rule decides, with another outcome", "facts: {custom.amount: 500}, want: ALLOW, rule: last",
			"want ALLOW by rule last, got BLOCK by rule last",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := compile(t, parse(t, hinted+"  - {name: t, action: payment, "+tt.test+"}"))
			if got := runTests(t, set)[0]; got.Passed || got.Message != tt.want {
				t.Errorf("passed %v: %s\nwant %s", got.Passed, got.Message, tt.want)
			}
		})
	}
}

func TestTestsOfUnlistedActions(t *testing.T) {
	t.Run("with a rule", func(t *testing.T) {
		for text, want := range map[string]string{
			"action: paymnt, want: BLOCK, rule: last":  `there is no action "paymnt", so otherwise decides, which has no rule "last"; did you mean payment?`,
			"action: other, want: BLOCK, rule: last":   `there is no action "other", so otherwise decides, which has no rule "last"; write default when no rule may decide`,
			"action: payment, want: BLOCK, rule: lsat": `the action "payment" has no rule "lsat"; did you mean last?`,
		} {
			problems := rules.Check(parse(t, hinted+"  - {name: t, "+text+"}"))
			if len(problems) != 1 || problems[0].Message != want {
				t.Errorf("%s: %v, want %s", text, problems, want)
			}
		}
	})
	t.Run("without one", func(t *testing.T) {
		set := compile(t, parse(t, hinted+"  - {name: t, action: paymnt, want: ALLOW}\n  - {name: u, action: other, want: ALLOW}"))
		var got []string
		for _, f := range analyze(t, set) {
			if f.Kind == rules.UnlistedAction {
				got = append(got, f.Path+": "+f.Message)
			}
		}
		want := []string{`tests[0].action: there is no action "paymnt", so this tests what otherwise decides; did you mean payment?`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

func TestTypesThatWereSent(t *testing.T) {
	set := compile(t, parse(t, hinted+"  - {name: t, action: other, want: ALLOW}"))
	for name, tt := range map[string]struct {
		amount any
		want   string
	}{
		"a text":      {"secret value", "a string"},
		"a boolean":   {true, "a boolean"},
		"nothing":     {nil, ""},
		"a number":    {5.0, ""},
		"a long text": {strings.Repeat("secret value", 1000), "a string"},
	} {
		t.Run(name, func(t *testing.T) {
			facts := &rules.Facts{Custom: map[string]any{}}
			if tt.amount != nil {
				facts.Custom["amount"] = tt.amount
			}
			node := set.Explain("payment", facts, "last")[0].Condition
			if v := node.Values[0]; v.Name != "custom.amount" || v.Sent != tt.want || v.Known != (name == "a number") || v.Value != nil && name != "a number" {
				t.Errorf("explained as %+v, want %q", v, tt.want)
			}
			encoded, err := rules.EncodeFacts(facts)
			if err != nil {
				t.Fatal(err)
			}
			d := set.Version().Definition
			list, err := rules.ListFacts(encoded, &d)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range list {
				if v.Name == "custom.amount" && v.Sent != tt.want {
					t.Errorf("listed as %+v, want %q", v, tt.want)
				}
			}
		})
	}
	t.Run("a text too long to be read", func(t *testing.T) {
		facts := &rules.Facts{Custom: map[string]any{"payee": strings.Repeat("x", rules.MaxStringBytes+1)}}
		if v := set.Explain("payment", facts, "idle")[0].Condition.Values[0]; v.Known || v.Sent != "a string of 4097 bytes" {
			t.Errorf("explained as %+v", v)
		}
	})
}
