package rules_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func TestLocate(t *testing.T) {
	const text = `# a comment
fields:
  - name: amount
    type: numbr
actions:
  - code: payment
    rules:
      - {id: a, name: A, when: custom.amuont > 1, outcome: BLOCK}
      - id: b
        name: B
        when: "true && custom.amuont > 1"
        outcome: BLOCK
      - id: c
        name: C
        when: |-
          true &&
            custom.amuont > 1
        outcome: BLOCK
      - id: d
        name: D
        when: >-
          true &&
          custom.amuont > 1
        outcome: BLOCK
      - id: e
        when: true &&
          custom.amuont > 1
        outcome: BLOCK
otherwise: {rules: []}
tests:
  - name: small
    action: payment
    facts:
      ip.adress in list.x: true
      custom.amount: 1
    want: NEVER
`
	d := parse(t, text)
	var got []string
	for _, p := range rules.Locate([]byte(text), rules.Check(d)) {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Field))
	}
	want := []string{
		"4:11 fields[0].type",
		"36:11 tests[0].want",
		"34:28 tests[0].facts.ip.adress in list.x",
		"25:9 actions[0].rules[4].name",
		"8:32 actions[0].rules[0].when",
		"11:24 actions[0].rules[1].when",
		"17:13 actions[0].rules[2].when",
		"22:11 actions[0].rules[3].when",
		"26:15 actions[0].rules[4].when",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	t.Run("an id that two rules have", func(t *testing.T) {
		text := "actions:\n  - code: pay\n    rules:\n      - {id: a, name: A, when: 'true', outcome: BLOCK}\notherwise:\n  rules:\n    - {id: a, name: A, when: 'true', outcome: BLOCK}\n"
		got := rules.Locate([]byte(text), rules.Check(parse(t, text)))
		if len(got) != 1 || got[0].Line != 7 || got[0].Message != "the id is already that of actions[0].rules[0] on line 4" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a text that is no YAML, a path that leads nowhere", func(t *testing.T) {
		problems := []rules.Problem{{Field: "actions[7].rules[x].when", Line: 3, Message: "m"}, {Line: 5, Message: "n"}}
		if got := rules.Locate([]byte("a: ["), problems); !cmp.Equal(got, problems) {
			t.Errorf("got %v", got)
		}
		if got := rules.Locate([]byte("actions: []"), problems); got[0].Line != 1 || got[1].Line != 5 {
			t.Errorf("got %v", got)
		}
	})
}
