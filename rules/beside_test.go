package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func TestASetTakesUnchangedConditionsFromTheSetBefore(t *testing.T) {
	before := mustCompile(t, lists(
		rules.Rule{When: "custom.amount > 5"},
		rules.Rule{When: `device.os.startsWith("Win") && user.isNew`},
		rules.Rule{When: "ip.address in list.suspects"},
	))
	changed := lists(
		rules.Rule{When: "custom.amount > 6"},
		rules.Rule{When: `device.os.startsWith("Win") && user.isNew`, Outcome: rules.Block},
		rules.Rule{When: "ip.address in list.suspects", Mode: rules.Shadow},
	)
	moved := changed // what is declared after the fields has other places
	moved.Fields = []rules.Field{{Name: "amount", Type: rules.TypeNumber}, {Name: "payee", Type: rules.TypeString}}
	typed := lists(rules.Rule{When: "custom.amount > 5"})
	typed.Fields[0].Type = rules.TypeString
	broken := lists(rules.Rule{When: "custom.amount > 5"}, rules.Rule{When: "custom.amount >"})
	for _, test := range []struct {
		name       string
		definition rules.Definition
		before     *rules.Set
		compiled   int // conditions
		fails      bool
	}{
		{name: "no set before", definition: changed, compiled: 3},
		{name: "one condition is new", definition: changed, before: before, compiled: 1},
		{name: "one condition is new, and another reads what has moved", definition: moved, before: before, compiled: 2},
		{name: "a field has another type", definition: typed, before: before, compiled: 1, fails: true},
		{name: "a condition does not compile", definition: broken, before: before, compiled: 1, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled := 0
			set, err := rules.CompileBeside(rules.Version{Number: 2, Definition: test.definition}, test.before, func() { compiled++ })
			if compiled != test.compiled {
				t.Errorf("%d conditions were compiled, want %d", compiled, test.compiled)
			}
			if test.fails {
				if err == nil {
					t.Error("it compiled")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			facts := &rules.Facts{
				Custom: map[string]any{"amount": 5.5}, Device: rules.DeviceFacts{OS: rules.Known("Windows")},
				User: rules.UserFacts{IsNew: true}, Lists: map[string]bool{"ip.address in list.suspects": true},
			}
			want := mustCompile(t, test.definition).Evaluate("payment", facts)
			if diff := cmp.Diff(want, set.Evaluate("payment", facts)); diff != "" || want.Rule != "rule-1" || want.Count != 2 {
				t.Errorf("%+v: %s", want, diff)
			}
		})
	}
}
