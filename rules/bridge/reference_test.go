package bridge_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/bridge"
)

// definition declares a value of every kind.
var definition = rules.Definition{
	Fields: []rules.Field{
		{Name: "amount", Type: rules.TypeNumber},
		{Name: "limit", Type: rules.TypeNumber},
		{Name: "payee", Type: rules.TypeString},
		{Name: "urgent", Type: rules.TypeBool},
		{Name: "tier", Type: rules.TypeString, Scope: rules.OfUser},
	},
	Metrics: []rules.Metric{{Name: "paid", Function: rules.Sum, Of: "custom.amount", Window: "1h"}},
	Lists: []rules.List{
		{Name: "suspects", Type: rules.ListOfRanges},
		{Name: "blocked_emails", Type: rules.ListOfStrings},
		{Name: "odd_amounts", Type: rules.ListOfNumbers},
	},
	Otherwise: rules.ActionRules{Rules: []rules.Rule{}},
}

// A truth is how a condition ends: matched, unknown, error or "" for false.
const (
	isTrue    = string(rules.Matched)
	isFalse   = ""
	isUnknown = string(rules.Unknown)
	isError   = string(rules.Erred)
)

// set compiles conditions into one rule each.
func set(t testing.TB, conditions ...string) *rules.Set {
	t.Helper()
	d := definition
	for i, when := range conditions {
		d.Otherwise.Rules = append(d.Otherwise.Rules, rules.Rule{ID: fmt.Sprintf("r%d", i), Name: "R", When: when, Outcome: rules.Block, Mode: rules.Shadow})
	}
	s, err := rules.Compile(rules.Version{Number: 1, Definition: d})
	if err != nil {
		t.Fatalf("%q: %v", conditions, err)
	}
	return s
}

// ends evaluates all conditions of a set.
func ends(s *rules.Set, facts *rules.Facts) []string {
	out := make([]string, len(s.Action("any").Rules))
	for _, m := range s.Evaluate("any", facts).Matches {
		var i int
		fmt.Sscanf(m.ID, "r%d", &i)
		out[i] = string(m.Result)
	}
	return out
}

// compiles tells whether package rules takes a condition.
func compiles(when string) bool {
	d := definition
	d.Otherwise.Rules = []rules.Rule{{ID: "r", Name: "R", When: when, Outcome: rules.Block}}
	return len(rules.Check(d)) == 0
}

// values are what random facts have. Each is also a literal that trees use, so
// that tests are true often enough to tell operators apart.
var values = map[string][]any{
	"custom.amount":          {0.0, 1.0, 100.0, 100.5, -3.0, 1e21, 0.1},
	"custom.limit":           {0.0, 100.0, 250.0},
	"metric.paid":            {0.0, 100.0},
	"custom.payee":           {"", "acme", "acme corp", `a"b`, `back\`, "東京", "x\x00y\u2028", "'"},
	"user.custom.tier":       {"gold", "acme", ""},
	"user.email":             {"ann@acme.example", "bob@other.example"},
	"ip.address":             {"192.0.2.1", "2001:db8::1"},
	"ip.countryCode":         {"DE", "US", ""},
	"custom.urgent":          {true, false},
	"device.isNew":           {true, false},
	"ip.isAnonymous":         {true, false},
	"user.lastVerifiedAt":    {"2026-01-01T00:00:00Z", "2026-06-01T12:30:00Z"},
	"device.rememberedUntil": {"2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
}

// fields are the names of values, in a fixed order.
var fields = []string{
	"custom.amount", "custom.limit", "metric.paid", "custom.payee", "user.custom.tier", "user.email", "ip.address",
	"ip.countryCode", "custom.urgent", "device.isNew", "ip.isAnonymous", "user.lastVerifiedAt", "device.rememberedUntil",
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// named is random facts by name; what is not in it is unknown.
func named(r *rand.Rand) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		if r.IntN(5) > 0 {
			out[f] = pick(r, values[f])
		}
	}
	for _, test := range []string{
		"ip.address in list.suspects", "user.email in list.blocked_emails", "custom.payee in list.blocked_emails",
		"custom.amount in list.odd_amounts", "metric.paid in list.odd_amounts", "ip.countryCode in list.blocked_emails",
	} {
		if field, _, _ := strings.Cut(test, " "); out[field] != nil && r.IntN(5) > 0 {
			out[test] = r.IntN(2) == 0
		}
	}
	return out
}

// factsOf makes facts of names.
func factsOf(t testing.TB, named map[string]any) *rules.Facts {
	t.Helper()
	facts, problems := rules.FactsOf(&definition, "any", named)
	if len(problems) > 0 {
		t.Fatalf("%v: %v", named, problems)
	}
	return facts
}

// reference says how a tree ends, from the documentation of its operators alone.
// Locked leaves are evaluated as conditions of their own.
func reference(t testing.TB, n bridge.Node, named map[string]any, facts *rules.Facts) string {
	if !n.IsGroup() {
		return referenceRule(t, n, named, facts)
	}
	// An and is false if one is false, else unknown if one is unknown, else an
	// error if one is. An or is the mirror image.
	decisive, neutral := isFalse, isTrue
	if n.Combinator == bridge.Or {
		decisive, neutral = isTrue, isFalse
	}
	seen := map[string]bool{}
	for _, r := range n.Rules {
		seen[reference(t, r, named, facts)] = true
	}
	out := neutral
	switch {
	case seen[decisive]:
		out = decisive
	case seen[isUnknown]:
		out = isUnknown
	case seen[isError]:
		out = isError
	}
	if n.Not {
		return opposite(out)
	}
	return out
}

func opposite(end string) string {
	switch end {
	case isTrue:
		return isFalse
	case isFalse:
		return isTrue
	}
	return end
}

var opposites = map[string]string{
	"notBetween": "between", "notIn": "in", "notInList": "inList", "doesNotContain": "contains", "doesNotBeginWith": "beginsWith",
	"doesNotEndWith": "endsWith", "doesNotMatch": "matches", "isFalse": "isTrue", "isUnknown": "isKnown",
}

func referenceRule(t testing.TB, n bridge.Node, named map[string]any, facts *rules.Facts) string {
	if n.Field == bridge.Locked {
		return ends(set(t, n.Value.(string)), facts)[0]
	}
	if positive, ok := opposites[n.Operator]; ok {
		n.Operator = positive
		return opposite(referenceRule(t, n, named, facts))
	}
	end := func(is bool) string {
		if is {
			return isTrue
		}
		return isFalse
	}
	v, known := named[n.Field]
	if n.Operator == "isKnown" {
		return end(known)
	}
	if !known {
		return isUnknown
	}
	switch n.Operator {
	case "isTrue":
		return end(v.(bool))
	case "inList":
		is, known := named[n.Field+" in list."+n.Value.(string)]
		if !known {
			return isUnknown
		}
		return end(is.(bool))
	case "in":
		for _, other := range n.Value.([]any) {
			if compare(n.Field, v, other) == 0 {
				return isTrue
			}
		}
		return isFalse
	case "between":
		ends := n.Value.([]any)
		return end(compare(n.Field, v, ends[0]) >= 0 && compare(n.Field, v, ends[1]) <= 0)
	}
	other := n.Value
	if n.ValueSource == "field" {
		if other, known = named[n.Value.(string)]; !known {
			return isUnknown
		}
	}
	switch n.Operator {
	case "=":
		return end(compare(n.Field, v, other) == 0)
	case "!=":
		return end(compare(n.Field, v, other) != 0)
	case "<":
		return end(compare(n.Field, v, other) < 0)
	case "<=":
		return end(compare(n.Field, v, other) <= 0)
	case ">":
		return end(compare(n.Field, v, other) > 0)
	case ">=":
		return end(compare(n.Field, v, other) >= 0)
	case "contains":
		return end(strings.Contains(v.(string), other.(string)))
	case "beginsWith":
		return end(strings.HasPrefix(v.(string), other.(string)))
	case "endsWith":
		return end(strings.HasSuffix(v.(string), other.(string)))
	case "matches":
		return end(regexp.MustCompile(other.(string)).MatchString(v.(string)))
	}
	t.Fatalf("the reference knows no operator %q", n.Operator)
	return ""
}

// compare orders two values of a field: numbers and texts as they are, times by
// their moment, false before true.
func compare(field string, a, b any) int {
	switch a := a.(type) {
	case float64:
		switch b := b.(float64); {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	case bool:
		if a == b.(bool) {
			return 0
		}
		return 1
	case string:
		if field == "user.lastVerifiedAt" || field == "device.rememberedUntil" {
			at, err := time.Parse(time.RFC3339, a)
			bt, err2 := time.Parse(time.RFC3339, b.(string))
			if err != nil || err2 != nil {
				panic(fmt.Sprint(err, err2))
			}
			return at.Compare(bt)
		}
		return strings.Compare(a, b.(string))
	}
	panic(fmt.Sprintf("%s is a %T", field, a))
}

// expressions are texts that no rule can show. Some end in an error.
var expressions = []string{
	"size(custom.payee) > 3", "1 / 0 == 1", "custom.amount + custom.limit > 200", "custom.urgent ? custom.amount > 50 : device.isNew",
	"true", "false", "[1, 2].exists(x, x == 2)", "custom.amount > 1 || custom.urgent // either", "double(custom.payee) > 1.0",
	"now > user.lastVerifiedAt", `custom.payee == r"a\" || false`, "custom.payee + 'x' == 'acmex'", "!(!device.isNew)", "'a' in ['a']",
	"known(ip.address in list.suspects)", "custom.payee.size() == 4", "ip.countryCode == 'DE' && ip.isAnonymous",
}

// randomTree makes a tree that is right. Wrong ones have tests of their own.
func randomTree(r *rand.Rand, depth int) bridge.Node {
	if depth == 0 || r.IntN(3) > 0 {
		return randomRule(r)
	}
	n := bridge.Node{Combinator: pick(r, []string{"and", "or"}), Not: r.IntN(4) == 0}
	for range 1 + r.IntN(4) {
		n.Rules = append(n.Rules, randomTree(r, depth-1))
	}
	return n
}

func randomRule(r *rand.Rand) bridge.Node {
	if r.IntN(8) == 0 {
		return bridge.Node{Field: bridge.Locked, Operator: bridge.LockedOperator, Value: pick(r, expressions)}
	}
	field := pick(r, fields)
	n := bridge.Node{Field: field, Value: pick(r, values[field])}
	operators := []string{"=", "!=", "isKnown", "isUnknown"}
	ordered := []string{"<", "<=", ">", ">=", "between", "notBetween"}
	var peers []string
	switch n.Value.(type) {
	case float64:
		operators = append(append(operators, ordered...), "in", "notIn")
		peers = []string{"custom.amount", "custom.limit", "metric.paid"}
	case bool:
		operators = append(operators, "isTrue", "isFalse")
		peers = []string{"custom.urgent", "device.isNew", "ip.isAnonymous"}
	case string:
		operators = append(operators, ordered...)
		peers = []string{"user.lastVerifiedAt", "device.rememberedUntil"}
		if field != "user.lastVerifiedAt" && field != "device.rememberedUntil" {
			operators = append(operators, "in", "notIn", "contains", "doesNotContain", "beginsWith", "doesNotBeginWith",
				"endsWith", "doesNotEndWith", "matches", "doesNotMatch")
			peers = []string{"custom.payee", "user.custom.tier", "user.email", "ip.countryCode"}
		}
	}
	switch field {
	case "ip.address":
		operators = append(operators, "inList", "notInList", "inList")
	case "user.email", "custom.payee", "custom.amount":
		operators = append(operators, "inList", "notInList")
	}
	n.Operator = pick(r, operators)
	switch n.Operator {
	case "isTrue", "isFalse", "isKnown", "isUnknown":
		n.Value = nil
	case "between", "notBetween":
		n.Value = []any{n.Value, pick(r, values[field])}
	case "in", "notIn":
		list := []any{n.Value}
		for range r.IntN(3) {
			list = append(list, pick(r, values[field]))
		}
		n.Value = list
	case "inList", "notInList":
		n.Value = map[string]string{
			"ip.address": "suspects", "user.email": "blocked_emails", "custom.payee": "blocked_emails", "custom.amount": "odd_amounts",
		}[field]
	case "matches", "doesNotMatch":
		n.Value = pick(r, []string{"^a", "acme$", `\d+`, "", `"`, `\\$`, "東"})
	case "contains", "doesNotContain": // the cost of looking for any text in any text is over the limit
	default:
		if r.IntN(4) == 0 {
			n.Value, n.ValueSource = pick(r, peers), "field"
		}
	}
	return n
}
