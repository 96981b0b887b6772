package bridge_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/bridge"
)

// corpus reads testdata/conditions.txt.
func corpus(t testing.TB) (conditions []string, locked map[string]bool) {
	t.Helper()
	text, err := os.ReadFile("testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	locked = map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		when, isLocked := strings.CutPrefix(line, "locked: ")
		conditions = append(conditions, when)
		locked[when] = isLocked
	}
	// Comments and line breaks do not fit into a file of lines.
	for _, when := range []string{
		"custom.amount > 1 // large\n&& device.isNew",
		"// why\ndevice.isNew",
		"device.isNew // why",
		"device.isNew || ( // either\n custom.urgent && ip.isAnonymous)",
		"custom.amount in [1, // one\n 2]",
		"!( // not\ndevice.isNew)",
		"(device.isNew) // why\n|| custom.urgent",
		"custom.urgent && // a (\n(device.isNew || ip.isAnonymous)",
	} {
		conditions = append(conditions, when)
		locked[when] = true
	}
	if len(conditions) < 101 {
		t.Fatalf("the corpus has only %d conditions", len(conditions))
	}
	return conditions, locked
}

// leaves lists the texts of the locked leaves.
func leaves(n bridge.Node) []string {
	if n.Field == bridge.Locked {
		return []string{n.Value.(string)}
	}
	var out []string
	for _, r := range n.Rules {
		out = append(out, leaves(r)...)
	}
	return out
}

// roundTrip goes from a condition to a tree, through JSON, and back. Locked
// leaves must be pieces of the text, and the way must end where it began when it
// is gone twice.
func roundTrip(t testing.TB, b *bridge.Bridge, when string) (bridge.Node, string) {
	t.Helper()
	tree, problems := b.Parse(when)
	if len(problems) > 0 {
		t.Fatalf("%q is not read: %v", when, problems)
	}
	for _, leaf := range leaves(tree) {
		if !strings.Contains(when, leaf) {
			t.Errorf("%q: the locked text %q is another", when, leaf)
		}
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	decoded, problems := bridge.Decode(text)
	if len(problems) > 0 {
		t.Fatalf("%q: %s: %v", when, text, problems)
	}
	back, problems := b.Format(decoded)
	if len(problems) > 0 {
		t.Fatalf("%q becomes %s, which is not written: %v", when, text, problems)
	}
	again, problems := b.Parse(back)
	if len(problems) > 0 {
		t.Fatalf("%q becomes %q: %v", when, back, problems)
	}
	last, problems := b.Format(again)
	if len(problems) > 0 || last != back {
		t.Errorf("%q becomes %q and then %q %v", when, back, last, problems)
	}
	return tree, back
}

// sameMeaning compares conditions over random facts.
func sameMeaning(t testing.TB, r *rand.Rand, rounds int, conditions ...string) {
	t.Helper()
	s := set(t, conditions...)
	for range rounds {
		values := named(r)
		got := ends(s, factsOf(t, values))
		for i := range got {
			if got[i] != got[0] {
				t.Fatalf("%q ends %q and %q ends %q with %v", conditions[0], got[0], conditions[i], got[i], values)
			}
		}
	}
}

func TestConditionsSurviveTheWayToATreeAndBack(t *testing.T) {
	b := bridge.New(&definition)
	conditions, locked := corpus(t)
	r := rand.New(rand.NewPCG(1, 1))
	for _, when := range conditions {
		t.Run(when, func(t *testing.T) {
			tree, back := roundTrip(t, b, when)
			if has := len(leaves(tree)) > 0; has != locked[when] {
				shown, _ := json.Marshal(tree)
				t.Errorf("locked leaves: %v, want %v in %s", has, locked[when], shown)
			}
			sameMeaning(t, r, 50, when, back)
		})
	}
	t.Logf("%d conditions", len(conditions))
}

func TestATreeFollowsTheText(t *testing.T) {
	b := bridge.New(&definition)
	rule := func(field, operator string, value any) bridge.Node {
		return bridge.Node{Field: field, Operator: operator, Value: value}
	}
	group := func(combinator string, rules ...bridge.Node) bridge.Node {
		return bridge.Node{Combinator: combinator, Rules: rules}
	}
	negate := func(n bridge.Node) bridge.Node { n.Not = true; return n }
	locked := func(text string) bridge.Node { return rule(bridge.Locked, bridge.LockedOperator, text) }
	for _, row := range []struct {
		when string
		want bridge.Node
	}{
		{"true", bridge.Node{Combinator: "and", Rules: []bridge.Node{}}},
		{"device.isNew", group("and", rule("device.isNew", "isTrue", nil))},
		{"5 < custom.amount", group("and", rule("custom.amount", ">", 5.0))},
		{"custom.amount > custom.limit", group("and", bridge.Node{Field: "custom.amount", Operator: ">", Value: "custom.limit", ValueSource: "field"})},
		{"ip.address in list.suspects || !(user.email in list.blocked_emails)", group("or", rule("ip.address", "inList", "suspects"), rule("user.email", "notInList", "blocked_emails"))},
		{"!known(ip.city) && (custom.amount >= 1 && custom.amount <= 5)", group("and", rule("ip.city", "isUnknown", nil), rule("custom.amount", "between", []any{1.0, 5.0}))},
		{"device.isNew && !(custom.urgent || size(custom.payee) > 3)", group("and", rule("device.isNew", "isTrue", nil), negate(group("or", rule("custom.urgent", "isTrue", nil), locked("size(custom.payee) > 3"))))},
		{"device.isNew && (1 > 2 ? true : false) // why", group("and", rule("device.isNew", "isTrue", nil), locked("(1 > 2 ? true : false) // why"))},
		{"now > timestamp('2026-01-01T00:00:00Z')", group("and", rule("now", ">", "2026-01-01T00:00:00Z"))},
	} {
		t.Run(row.when, func(t *testing.T) {
			got, problems := b.Parse(row.when)
			if diff := cmp.Diff(row.want, got); diff != "" || problems != nil {
				t.Errorf("%v (-want +got):\n%s", problems, diff)
			}
		})
	}
}

func TestAConditionThatDoesNotCompileHasProblemsWithAPlace(t *testing.T) {
	b := bridge.New(&definition)
	for _, when := range []string{"", "custom.amuont > 1", "custom.amount", "a &&", "custom.payee == 1", "list.suspects", "true) || (true"} {
		tree, problems := b.Parse(when)
		if len(problems) == 0 {
			t.Errorf("%q becomes %+v", when, tree)
		}
		for _, p := range problems {
			if p.Field != "" || p.Rule != "" || p.Message == "" {
				t.Errorf("%q: %+v names a rule that nobody wrote", when, p)
			}
		}
	}
}

// wrong are trees that must be refused, with the place that is named.
func TestATreeThatSaysNothingIsRefused(t *testing.T) {
	b := bridge.New(&definition)
	for _, row := range []struct{ name, tree, field, says string }{
		{"no combinator", `{"combinator":"xor","rules":[{"field":"device.isNew","operator":"isTrue"}]}`, "combinator", "and"},
		{"an empty group inside", `{"combinator":"and","rules":[{"combinator":"or","rules":[]}]}`, "rules[0]", "without conditions"},
		{"an empty group turned round", `{"combinator":"and","not":true,"rules":[]}`, "", "without conditions"},
		{"an unknown fact", `{"combinator":"and","rules":[{"field":"ip.contry","operator":"=","value":"DE"}]}`, "rules[0].field", "no fact"},
		{"code for a fact", `{"combinator":"and","rules":[{"field":"true || device.isNew","operator":"isTrue"}]}`, "rules[0].field", "no fact"},
		{"a list for a fact", `{"combinator":"and","rules":[{"field":"list.suspects","operator":"isKnown"}]}`, "rules[0].field", "only be tested"},
		{"an unknown operator", `{"combinator":"and","rules":[{"field":"device.isNew","operator":"null"}]}`, "rules[0].operator", "no operator"},
		{"an operator of another type", `{"combinator":"and","rules":[{"field":"device.isNew","operator":"<","value":true}]}`, "rules[0].operator", "boolean"},
		{"a text for a number", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":"1"}]}`, "rules[0].value", "number belongs"},
		{"no value", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"="}]}`, "rules[0].value", "number belongs"},
		{"a number without a double", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":9007199254740993}]}`, "rules[0].value", "too large"},
		{"a number out of range", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":1e999}]}`, "rules[0].value", "out of range"},
		{"a text for several", `{"combinator":"and","rules":[{"field":"ip.countryCode","operator":"in","value":"DE,FR"}]}`, "rules[0].value", "list of values"},
		{"none of several", `{"combinator":"and","rules":[{"field":"ip.countryCode","operator":"in","value":[]}]}`, "rules[0].value", "empty"},
		{"one wrong of several", `{"combinator":"and","rules":[{"field":"ip.countryCode","operator":"in","value":["DE",1]}]}`, "rules[0].value[1]", "string belongs"},
		{"half a range", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"between","value":[1]}]}`, "rules[0].value", "2 values"},
		{"an unknown list", `{"combinator":"and","rules":[{"field":"ip.address","operator":"inList","value":"nobody"}]}`, "rules[0].value", "not declared"},
		{"a list of another type", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"inList","value":"suspects"}]}`, "rules[0].value", "cannot be"},
		{"a field of another type", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":"custom.payee","valueSource":"field"}]}`, "rules[0].value", "of type"},
		{"code for a field", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":"1 || true","valueSource":"field"}]}`, "rules[0].value", "no fact"},
		{"another source", `{"combinator":"and","rules":[{"field":"custom.amount","operator":"=","value":1,"valueSource":"x"}]}`, "rules[0].valueSource", "field"},
		{"a pattern from a field", `{"combinator":"and","rules":[{"field":"custom.payee","operator":"matches","value":"user.email","valueSource":"field"}]}`, "rules[0].valueSource", "written out"},
		{"a pattern that is none", `{"combinator":"and","rules":[{"field":"custom.payee","operator":"matches","value":"("}]}`, "", "regular expression"},
		{"a time that is none", `{"combinator":"and","rules":[{"field":"now","operator":">","value":"yesterday"}]}`, "", "time"},
		{"a locked leaf that breaks out", `{"combinator":"and","rules":[{"field":"@cel","operator":"expression","value":"true) || (true"}]}`, "rules[0].value", ""},
		{"a locked leaf of nothing", `{"combinator":"and","rules":[{"field":"@cel","operator":"expression","value":""}]}`, "rules[0].value", "missing"},
		{"a locked leaf that ends in a comment only", `{"combinator":"and","rules":[{"field":"@cel","operator":"expression","value":"// x"}]}`, "rules[0].value", ""},
		{"a locked leaf that is no boolean", `{"combinator":"and","rules":[{"field":"@cel","operator":"expression","value":"1 + 1"},{"field":"device.isNew","operator":"isTrue"}]}`, "", ""},
		{"a locked leaf with another operator", `{"field":"@cel","operator":"isFalse","value":"device.isNew"}`, "rules[0].operator", "expression"},
		{"a locked leaf without an operator", `{"field":"@cel","value":"device.isNew"}`, "rules[0].operator", "expression"},
		{"a locked leaf from a field", `{"field":"@cel","operator":"expression","value":"device.isNew","valueSource":"field"}`, "rules[0].valueSource", "value"},
		{"a decimal without a double", `{"field":"custom.amount","operator":"=","value":9007199254740993.0}`, "rules[0].value", "exactly"},
		{"a decimal with an exponent and without a double", `{"field":"custom.amount","operator":"=","value":9007199254740993e0}`, "rules[0].value", "exactly"},
		{"a decimal with too many digits", `{"field":"custom.amount","operator":"=","value":3.14159265358979323846}`, "rules[0].value", "exactly"},
		{"a number too small for a double", `{"field":"custom.amount","operator":"=","value":1e-400}`, "rules[0].value", "exactly"},
		{"a number that loses digits near 0", `{"field":"custom.amount","operator":"=","value":1.2345e-322}`, "rules[0].value", "exactly"},
		{"a number of several without a double", `{"field":"custom.amount","operator":"in","value":[1,1e-400]}`, "rules[0].value[1]", "exactly"},
		{"a locked leaf that is no text", `{"combinator":"and","rules":[{"field":"@cel","operator":"expression","value":1}]}`, "rules[0].value", "text belongs"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tree, problems := bridge.Decode([]byte(row.tree))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			when, problems := b.Format(tree)
			if len(problems) == 0 {
				t.Fatalf("becomes %q", when)
			}
			if problems[0].Field != row.field || !strings.Contains(problems[0].Message, row.says) {
				t.Errorf("got %+v, want %q at %q", problems[0], row.says, row.field)
			}
		})
	}
}

func TestWhatIsNoTreeIsRefusedBeforeItIsRead(t *testing.T) {
	deep := strings.Repeat(`{"combinator":"and","rules":[`, 200) + strings.Repeat("]}", 200)
	for name, text := range map[string]string{
		"too long":        `{"combinator":"and","rules":[]}` + strings.Repeat(" ", bridge.MaxBytes),
		"too deep":        deep,
		"no JSON":         `{"combinator":`,
		"two values":      `{"combinator":"and","rules":[]}{}`,
		"null":            `null`,
		"null inside":     `{"combinator":"and","rules":[null]}`,
		"rules are null":  `{"combinator":"and","rules":null}`,
		"a list":          `[]`,
		"an unknown key":  `{"combinator":"and","rules":[{"field":"device.isNew","operator":"isTrue","muted":true}]}`,
		"a key twice":     `{"combinator":"and","combinator":"or","rules":[]}`,
		"a wrong type":    `{"combinator":"and","rules":[{"field":1,"operator":"isTrue"}]}`,
		"group and rule":  `{"combinator":"and","rules":[],"field":"device.isNew"}`,
		"not is no truth": `{"combinator":"and","not":"no","rules":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if tree, problems := bridge.Decode([]byte(text)); len(problems) == 0 {
				t.Errorf("becomes %+v", tree)
			}
		})
	}
}

func TestTheBuildersOwnMembersAreKept(t *testing.T) {
	const text = `{"id":"g","combinator":"and","rules":[{"id":"r","disabled":true,"field":"custom.amount","operator":"=","value":0,"valueSource":"value"}]}`
	tree, problems := bridge.Decode([]byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got, err := json.Marshal(tree); err != nil || string(got) != text {
		t.Errorf("got %s, %v", got, err)
	}
	if when, problems := bridge.New(&definition).Format(tree); when != "custom.amount == 0" {
		t.Errorf("%q %v", when, problems)
	}
}

func TestABareRuleIsATree(t *testing.T) {
	tree, problems := bridge.Decode([]byte(`{"field":"device.isNew","operator":"isFalse"}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if when, problems := bridge.New(&definition).Format(tree); when != "!device.isNew" {
		t.Errorf("%q %v", when, problems)
	}
}

func TestADeepConditionIsLockedWhereATreeEnds(t *testing.T) {
	b := bridge.New(&definition)
	when := "device.isNew"
	for range bridge.MaxDepth + 10 {
		when = "custom.urgent && (ip.isAnonymous || (" + when + "))"
	}
	if !compiles(when) {
		t.Fatalf("CEL itself does not take %d bytes", len(when))
	}
	tree, back := roundTrip(t, b, when)
	if len(leaves(tree)) == 0 {
		t.Error("nothing is locked")
	}
	sameMeaning(t, rand.New(rand.NewPCG(2, 2)), 50, when, back)
}

// strange are trees of which encoding/json would drop a part silently, since it
// takes a member for another one whatever its case is.
var strange = []string{
	`{"combinator":"and","rules":[{"field":"custom.amount","operator":">","value":1}],"Rules":[{"field":"custom.amount","operator":"<","value":5}]}`,
	`{"combinator":"and","rules":[{"field":"custom.amount","operator":">","value":1}],"rule\u017f":[{"field":"custom.amount","operator":"<","value":5}]}`,
	`{"combinator":"or","Combinator":"and","rules":[{"field":"device.isNew","operator":"isTrue"}]}`,
	`{"combinator":"and","not":false,"NOT":true,"rules":[{"field":"device.isNew","operator":"isTrue"}]}`,
	`{"field":"custom.amount","operator":">","value":1,"VALUE":99}`,
	`{"field":"custom.amount","operator":">","value":1,"valueſource":"field"}`,
	`{"combinator":"and","rules":[{"field":"custom.amount","operator":">","Operator":"<","value":1}]}`,
	`{"Combinator":"and","rules":[{"field":"device.isNew","operator":"isTrue"}]}`,
	`{"combinator":"and","RULES":[{"field":"device.isNew","operator":"isTrue"}]}`,
	`{"field":"custom.amount","operator":">","Value":1}`,
	`{"field":"custom.amount","operator":"=","value":{"a":1,"A":2}}`,
}

func TestMembersOfATreeAreSpelledOneWay(t *testing.T) {
	b := bridge.New(&definition)
	for _, text := range strange {
		tree, problems := bridge.Decode([]byte(text))
		if len(problems) == 0 {
			when, more := b.Format(tree)
			t.Errorf("%s becomes %q %v", text, when, more)
		}
	}
}

func TestDecimalsThatADoubleTellsApartAreTaken(t *testing.T) {
	b := bridge.New(&definition)
	for text, want := range map[string]string{
		"0.1": "0.1", "0.10": "0.1", "1e2": "100", "1E+2": "100", "-0.0": "-0", "0e999999999": "0", "1.50": "1.5", "5e-324": "5e-324", "4.9406564584124654e-324": "5e-324",
		"0.10000000000000001": "0.1", "0.1000000000000000055511151231257827021181583404541015625": "0.1", "9007199254740994.0": "9.007199254740994e+15",
		"1e23": "1e+23", "1.7976931348623157e308": "1.7976931348623157e+308", "0.30000000000000004": "0.30000000000000004", "123456789012345.67": "1.2345678901234567e+14",
		"0.000000000000000000000000000001e30": "1", "9007199254740992": "9007199254740992",
	} {
		tree, problems := bridge.Decode([]byte(`{"field":"custom.amount","operator":"=","value":` + text + `}`))
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
			continue
		}
		if when, problems := b.Format(tree); when != "custom.amount == "+want {
			t.Errorf("%s becomes %q %v", text, when, problems)
		}
	}
}

func TestABrokenDefinitionStillHasABridge(t *testing.T) {
	b := bridge.New(&rules.Definition{Fields: []rules.Field{{Name: "no name", Type: "what"}}})
	if when, problems := b.Format(bridge.Node{Field: "device.isNew", Operator: "isTrue"}); when != "device.isNew" {
		t.Errorf("%q %v", when, problems)
	}
}

// TestMetricsAreNotCompiledForEachCondition counts what is allocated instead of
// the time that it takes.
func TestMetricsAreNotCompiledForEachCondition(t *testing.T) {
	allocations := func(metrics int) float64 {
		d := withMetrics(metrics)
		b := bridge.New(&d)
		return testing.AllocsPerRun(20, func() {
			tree, problems := b.Parse("custom.amount > 1 && metric.paid > 2")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, problems = b.Format(tree); len(problems) > 0 {
				t.Fatal(problems)
			}
		})
	}
	if few, many := allocations(1), allocations(rules.MaxMetrics-1); many > 1.2*few {
		t.Errorf("a condition takes %.0f allocations, and %.0f beside many metrics", few, many)
	}
}

func TestAConditionOfAPublishedSetIsReadAsParseReadsIt(t *testing.T) {
	b := bridge.New(&definition)
	conditions, _ := corpus(t)
	for _, when := range conditions {
		parsed, problems := b.Parse(when)
		if diff := cmp.Diff(parsed, b.Tree(when)); diff != "" || len(problems) > 0 {
			t.Errorf("%q %v (-Parse +Tree):\n%s", when, problems, diff)
		}
	}
	for _, when := range []string{"", "(", "a &&", "true) || (true", "'", "custom.amuont > 1"} { // no condition, and no harm
		if tree := b.Tree(when); !tree.IsGroup() {
			t.Errorf("%q becomes %+v", when, tree)
		}
	}
}
