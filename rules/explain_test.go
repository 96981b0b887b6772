package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

// outline writes a node as lines: kind or text, result, F for failed, values.
func outline(n rules.Node, indent string) string {
	var b strings.Builder
	head := n.Text
	if n.Kind != rules.NodeTest {
		head = string(n.Kind)
	}
	fmt.Fprintf(&b, "%s%s -> %s", indent, head, n.Result)
	if n.Failed {
		b.WriteString(" FAILED")
	}
	if n.Error != "" {
		b.WriteString(" (" + n.Error + ")")
	}
	for _, v := range n.Values {
		if v.Known {
			fmt.Fprintf(&b, "; %s = %v", v.Name, v.Value)
		} else {
			fmt.Fprintf(&b, "; %s unknown", v.Name)
		}
	}
	b.WriteString("\n")
	for _, c := range n.Children {
		b.WriteString(outline(c, indent+"  "))
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	d := rules.Definition{
		Fields: []rules.Field{
			{Name: "amount", Type: rules.TypeNumber}, {Name: "payee", Type: rules.TypeString}, {Name: "tier", Type: rules.TypeString, Scope: rules.OfUser},
		},
		Lists: []rules.List{{Name: "suspects", Type: rules.ListOfRanges}},
	}
	facts := map[string]any{
		"user.id": "u", "custom.amount": 150, "custom.payee": "a && b", "ip.address": "10.1.2.3", "ip.address in list.suspects": true,
		"device.isNew": false, "now": time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
	}
	tests := []struct{ name, when, want string }{
		{"one test", "custom.amount > 200", `
custom.amount > 200 -> false FAILED; custom.amount = 150
`},
		{"the tests that fail are named", "custom.amount > 100 && device.isNew && custom.payee == \"a && b\"", `
and -> false
  custom.amount > 100 -> true; custom.amount = 150
  device.isNew -> false FAILED; device.isNew = false
  custom.payee == "a && b" -> true; custom.payee = a && b
`},
		{"a false test rules out what an unknown one leaves open", "device.isNew && ip.countryCode == 'AT'", `
and -> false
  device.isNew -> false FAILED; device.isNew = false
  ip.countryCode == 'AT' -> unknown; ip.countryCode unknown
`},
		{"unknown", "custom.amount > 1 && ip.countryCode == 'AT'", `
and -> unknown
  custom.amount > 1 -> true; custom.amount = 150
  ip.countryCode == 'AT' -> unknown FAILED; ip.countryCode unknown
`},
		{"any of several", "custom.amount > 500 || (device.isNew && custom.amount > 100) || user.isNew", `
or -> false
  custom.amount > 500 -> false FAILED; custom.amount = 150
  and -> false
    device.isNew -> false FAILED; device.isNew = false
    custom.amount > 100 -> true; custom.amount = 150
  user.isNew -> false FAILED; user.isNew = false
`},
		{"parentheses inside a chain", "(device.isNew || user.isNew || custom.amount == 150) && !(custom.amount > 100 && custom.payee != 'x')", `
and -> false
  or -> true
    device.isNew -> false; device.isNew = false
    user.isNew -> false; user.isNew = false
    custom.amount == 150 -> true; custom.amount = 150
  not -> false
    and -> true
      custom.amount > 100 -> true FAILED; custom.amount = 150
      custom.payee != 'x' -> true FAILED; custom.payee = a && b
`},
		{"not of a fact", "!device.isNew && !known(ip.countryCode) && !!user.isNew", `
and -> false
  not -> true
    device.isNew -> false; device.isNew = false
  not -> true
    known(ip.countryCode) -> false; ip.countryCode unknown
  !!user.isNew -> false FAILED; user.isNew = false
`},
		{"a list test shows what was looked for", "ip.address in list.suspects && user.custom.tier == 'gold'", `
and -> unknown
  ip.address in list.suspects -> true; ip.address = 10.1.2.3; ip.address in list.suspects = true
  user.custom.tier == 'gold' -> unknown FAILED; user.custom.tier unknown
`},
		{"an error", "custom.amount > 1 && int(custom.payee) > 5", `
and -> error (a value could not be converted (line 1, column 25))
  custom.amount > 1 -> true; custom.amount = 150
  int(custom.payee) > 5 -> error FAILED (a value could not be converted (line 1, column 25)); custom.payee = a && b
`},
		{"comments, choices and loops stay as they are written", "// big\n(user.isNew ? custom.amount > 1 : custom.amount > 1000) // else\n  || ['a || b', r'\\'].exists(x, x == custom.payee && true)", `
or -> false
  user.isNew ? custom.amount > 1 : custom.amount > 1000 -> false FAILED; user.isNew = false; custom.amount = 150
  ['a || b', r'\'].exists(x, x == custom.payee && true) -> false FAILED; custom.payee = a && b
`},
		{"parts of a time", "now.getHours('Europe/Berlin') < 6", `
now.getHours('Europe/Berlin') < 6 -> false FAILED; now = 2026-11-22T10:00:00Z
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := d
			d.Otherwise.Rules = []rules.Rule{{ID: "r", Name: "R", When: tt.when, Outcome: rules.Block, OnError: rules.ErrorIgnored}}
			got := compile(t, d).Explain("payment", makeFacts(t, "payment", facts))
			if len(got) != 1 || got[0].When != tt.when || got[0].Matches {
				t.Fatalf("got %+v", got)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), outline(got[0].Condition, "")); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("modes, rollout and who decides", func(t *testing.T) {
		none, all := 0, 100
		d := d
		d.Otherwise.Rules = []rules.Rule{
			{ID: "off", Name: "Off", When: "true", Outcome: rules.Block, Mode: rules.Off},
			{ID: "shadow", Name: "Shadow", When: "custom.amount > 1", Outcome: rules.Block, Mode: rules.Shadow},
			{ID: "nobody", Name: "Nobody", When: "true", Outcome: rules.Block, Rollout: &none},
			{ID: "allow-unknown", Name: "A", When: "ip.countryCode == 'AT'", Outcome: rules.Allow, OnUnknown: rules.UnknownMatches},
			{ID: "unknown", Name: "U", When: "ip.countryCode == 'AT'", Outcome: rules.Review, OnUnknown: rules.UnknownMatches, Rollout: &all},
			{ID: "later", Name: "L", When: "true", Outcome: rules.Block},
		}
		set := compile(t, d)
		var got []string
		for _, e := range set.Explain("payment", makeFacts(t, "payment", facts)) {
			got = append(got, fmt.Sprintf("%s: verdict %q applies %v matches %v decides %v failed %v", e.ID, e.Verdict, e.Applies, e.Matches, e.Decides, e.Condition.Failed))
		}
		want := []string{
			`off: verdict "matched" applies true matches false decides false failed false`,
			`shadow: verdict "matched" applies true matches true decides false failed false`,
			`nobody: verdict "matched" applies false matches false decides false failed false`,
			`allow-unknown: verdict "unknown" applies true matches false decides false failed true`,
			`unknown: verdict "unknown" applies true matches true decides true failed false`,
			`later: verdict "matched" applies true matches true decides false failed false`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("explanations (-want +got):\n%s", diff)
		}
		if only := set.Explain("payment", makeFacts(t, "payment", facts), "later", "off"); len(only) != 2 || only[1].ID != "later" {
			t.Errorf("explained only %+v", only)
		}
	})
}

// TestExplainAgreesWithEvaluate tries random conditions on random facts: the
// verdicts are those of the decision, and every and, or and not is what its parts
// make it.
func TestExplainAgreesWithEvaluate(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	leaves := []string{
		"custom.amount > 5", "custom.amount == 3", "custom.amount in [1, 3]", "user.isNew", "device.isNew", "known(custom.amount)",
		"custom.payee == 'a)('", `custom.payee != "||"`, "int(custom.payee) > 2", "custom.amount / custom.amount == 1", "1 / int(custom.amount) > 0",
		"size(custom.payee) > 2 || user.isNew", "(user.isNew ? device.isNew : custom.amount > 2)", "custom.payee.matches('^a|b$')", "true", "false",
		"['a', 'b'].exists(x, x == custom.payee || user.isNew)",
	}
	var condition func(depth int) string
	condition = func(depth int) string {
		switch n := random.IntN(6); {
		case depth == 0 || n == 0:
			return leaves[random.IntN(len(leaves))]
		case n == 1:
			return "!(" + condition(depth-1) + ")"
		default:
			parts := make([]string, 2+random.IntN(4))
			for i := range parts {
				parts[i] = condition(depth - 1)
				if random.IntN(2) == 0 {
					parts[i] = "(" + parts[i] + ")"
				}
			}
			return strings.Join(parts, []string{" && ", "||", " // no\n|| ", "&&"}[random.IntN(4)])
		}
	}
	for range 120 {
		d := withRule("true")
		d.Otherwise.Rules = nil
		for i := range 3 {
			d.Otherwise.Rules = append(d.Otherwise.Rules, rules.Rule{
				ID: fmt.Sprint(i), Name: "R", When: condition(3), Outcome: rules.Block, OnError: rules.ErrorIgnored,
				OnUnknown: []rules.OnUnknown{rules.UnknownIgnored, rules.UnknownMatches}[random.IntN(2)],
			})
		}
		set := compile(t, d)
		for range 5 {
			facts := &rules.Facts{Custom: map[string]any{}, User: rules.UserFacts{IsNew: random.IntN(2) == 0}}
			if n := random.IntN(6); n > 0 {
				facts.Custom["amount"] = float64(n - 1)
			}
			if n := random.IntN(5); n > 0 {
				facts.Custom["payee"] = []string{"a)(", "||", "7", "a"}[n-1]
			}
			if random.IntN(2) == 0 {
				facts.Device.IsNew = rules.Known(random.IntN(2) == 0)
			}
			result := set.Evaluate("a", facts)
			verdicts := map[string]rules.Verdict{}
			for _, m := range result.Matches {
				verdicts[m.ID] = m.Result
			}
			for _, e := range set.Explain("a", facts) {
				if e.Verdict != verdicts[e.ID] || e.Decides != (e.ID == result.Rule) {
					t.Fatalf("%s\non %+v: explained as %q, decided as %q\n%s", e.When, facts, e.Verdict, verdicts[e.ID], outline(e.Condition, ""))
				}
				checkNode(t, e.Condition)
				if failed := strings.Contains(outline(e.Condition, ""), "FAILED"); failed == e.Matches {
					t.Fatalf("%s: matches %v, a test failed: %v", e.When, e.Matches, failed)
				}
			}
		}
	}
}

// checkNode derives the result of a node from those of its parts.
func checkNode(t *testing.T, n rules.Node) {
	t.Helper()
	if n.Kind == rules.NodeTest {
		return
	}
	count := map[rules.Truth]int{}
	for _, c := range n.Children {
		count[c.Result]++
		checkNode(t, c)
	}
	decides, otherwise := rules.IsFalse, rules.IsTrue
	switch n.Kind {
	case rules.NodeOr:
		decides, otherwise = rules.IsTrue, rules.IsFalse
	case rules.NodeNot:
		if count[rules.IsTrue] == 1 {
			otherwise = rules.IsFalse
		}
		decides = ""
	}
	want := otherwise
	switch {
	case count[decides] > 0:
		want = decides
	case count[rules.IsUnknown] > 0: // unknown hides an error (CEL's definition, logical operators)
		want = rules.IsUnknown
	case count[rules.IsError] > 0:
		want = rules.IsError
	}
	if n.Result != want {
		t.Fatalf("the parts make it %s:\n%s", want, outline(n, ""))
	}
}

func BenchmarkExplain(b *testing.B) {
	set := compile(b, manyRules(100))
	facts := makeFacts(b, "payment", map[string]any{"custom.amount": 150, "custom.payee": "p7", "ip.countryCode": "AT", "device.isNew": true})
	for b.Loop() {
		set.Explain("payment", facts)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "us/rule")
}
