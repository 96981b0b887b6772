package rules_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

// The index must say exactly what cel-go says. Here both decide the same random
// facts by the same random rules, and every rule's verdict is compared.

// writer makes random conditions.
type writer struct{ *rand.Rand }

func (w writer) one(of ...string) string { return of[w.IntN(len(of))] }

var (
	numberFacts = []string{"custom.amount", "custom.balance", "ip.asn", "user.ageHours", "passkey.count", "user.custom.score", "metric.spent"}
	textFacts   = []string{"custom.currency", "user.custom.tier", "ip.countryCode", "user.id", "device.os"}
	boolFacts   = []string{"device.isNew", "user.isNew", "custom.express", "ip.isPrivate", "ip.address in list.suspects", "custom.amount in list.amounts"}
	timeFacts   = []string{"now", "user.lastVerifiedAt", "device.rememberedUntil"}

	numberLiterals = []string{"0", "-0.0", "1", "1.0", "5", "5.5", "-3", "100", "1e308", "-1e308", "5e-324", "0.1", "9007199254740992", "9007199254740993.0", "-9007199254740992"}
	textLiterals   = []string{`""`, `"DE"`, `"FR"`, `'a'`, `"zoë"`, `"\\"`, `"12"`, `"a\"b"`, `"\u0000"`}
	timeLiterals   = []string{"2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000000001Z", "1600-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2262-04-11T23:47:16.854775806Z", "1677-09-21T00:12:43.145224193Z"}
)

// test is a comparison that the index can read, usually.
func (w writer) test() string {
	operator := w.one("==", "!=", "<", "<=", ">", ">=")
	sides := func(fact, literal string) string {
		if w.IntN(3) == 0 {
			fact, literal = literal, fact
		}
		return fact + " " + operator + " " + literal
	}
	list := func(from []string) string {
		items := make([]string, 1+w.IntN(4))
		for i := range items {
			items[i] = w.one(from...)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	switch w.IntN(9) {
	case 0, 1:
		return sides(w.one(numberFacts...), w.one(numberLiterals...))
	case 2:
		return w.one(numberFacts...) + " in " + list(numberLiterals)
	case 3:
		return sides(w.one(textFacts...), w.one(textLiterals...))
	case 4:
		return w.one(textFacts...) + " in " + list(textLiterals)
	case 5:
		return sides(w.one(timeFacts...), `timestamp("`+w.one(timeLiterals...)+`")`)
	case 6:
		return sides("("+w.one(boolFacts...)+")", w.one("true", "false"))
	case 7:
		return "known(" + w.one(w.one(numberFacts...), w.one(textFacts...), w.one(boolFacts[:4]...), w.one(timeFacts...)) + ")"
	default:
		return "(" + w.one(boolFacts...) + ")"
	}
}

// other is what only cel-go can read. Much of it may end in an error.
func (w writer) other() string {
	switch w.IntN(11) {
	case 0:
		return "int(" + w.one(textFacts...) + ") > 3"
	case 1:
		return "1 / size(" + w.one(textFacts...) + ") > 0"
	case 2:
		return "int(" + w.one(numberFacts...) + ") > 7"
	case 3:
		return w.one(textFacts...) + ".startsWith(" + w.one(textLiterals...) + ")"
	case 4:
		return w.one(textFacts...) + `.matches("^[a-z]*$")`
	case 5:
		return w.one(numberFacts...) + " > " + w.one(numberFacts...) + " * 2"
	case 6:
		return "[" + w.one(numberFacts...) + ", 3].exists(v, v > " + w.one(numberLiterals...) + ")"
	case 7:
		return `now - user.lastVerifiedAt < duration("24h")`
	case 8:
		return "[true, false][size(" + w.one(textFacts...) + ")]"
	case 9:
		return w.one(textFacts...) + " < " + w.one(textLiterals...)
	default:
		return w.one("true", "false", "1 < 2", "2 < 1")
	}
}

func (w writer) condition(depth int) string {
	if depth == 0 || w.IntN(4) == 0 {
		if w.IntN(4) == 0 {
			return w.other()
		}
		return w.test()
	}
	sub := func() string { return w.condition(depth - 1) }
	switch w.IntN(10) {
	case 0, 1, 2, 3, 4:
		return sub() + " && " + w.wrapped(sub())
	case 5, 6:
		return "(" + sub() + " || " + sub() + ")"
	case 7:
		return "!(" + sub() + ")"
	case 8: // several tests of one fact
		fact := w.one(numberFacts...)
		return fmt.Sprintf("(%s > %s %s %s != %s)", fact, w.one(numberLiterals...), w.one("&&", "||"), fact, w.one(numberLiterals...))
	default:
		return "(" + sub() + " ? " + sub() + " : " + sub() + ")"
	}
}

// wrapped keeps an operand together.
func (w writer) wrapped(text string) string {
	if w.IntN(2) == 0 {
		return "(" + text + ")"
	}
	return text
}

func (w writer) rule(i int) rules.Rule {
	r := rules.Rule{
		ID: fmt.Sprintf("rule-%d", i), Name: "Rule", When: w.condition(w.IntN(4)),
		Outcome:   rules.Outcome(w.one("ALLOW", "CHALLENGE", "REVIEW", "BLOCK")),
		Mode:      rules.Mode(w.one("live", "live", "live", "shadow", "off")),
		OnError:   rules.OnError(w.one("fail", "match", "no-match", "no-match")),
		OnUnknown: rules.OnUnknown(w.one("no-match", "match")),
	}
	if w.IntN(5) == 0 {
		r.Rollout = pointer(w.IntN(101))
	}
	if w.IntN(5) == 0 {
		r.OnMatch = &rules.OnMatch{Add: "ip.address", To: "suspects"}
	}
	return r
}

// open is a definition that declares what random rules read.
func open(list []rules.Rule) rules.Definition {
	return rules.Definition{
		Fields: []rules.Field{
			{Name: "amount", Type: rules.TypeNumber},
			{Name: "balance", Type: rules.TypeNumber},
			{Name: "currency", Type: rules.TypeString},
			{Name: "express", Type: rules.TypeBool},
			{Name: "tier", Type: rules.TypeString, Scope: rules.OfUser},
			{Name: "score", Type: rules.TypeNumber, Scope: rules.OfUser},
		},
		Metrics:   []rules.Metric{{Name: "spent", Function: rules.Sum, Of: "custom.amount", Window: "1h"}},
		Lists:     []rules.List{{Name: "suspects", Type: rules.ListOfRanges}, {Name: "amounts", Type: rules.ListOfNumbers}},
		Otherwise: rules.ActionRules{Rules: list},
	}
}

// facts makes random facts out of values that are hard to get right.
func (w writer) facts() *rules.Facts {
	unknown := w.IntN(4) // of these facts about so many in four are unknown
	absent := func() bool { return w.IntN(4) < unknown }
	number := func() float64 {
		odd := []float64{0, math.Copysign(0, -1), 1, 5, 5.5, -3, 100, 1e308, -1e308, 5e-324, 0.1, 1 << 53, 1<<53 + 2, -(1 << 53), math.NaN(), math.Inf(1), math.Inf(-1), 1e19, math.MaxFloat64}
		return odd[w.IntN(len(odd))]
	}
	text := func() string {
		return w.one("", "DE", "FR", "a", "zoë", `\`, "12", `a"b`, "\x00", strings.Repeat("a", rules.MaxStringBytes), strings.Repeat("a", rules.MaxStringBytes+1), "\xff")
	}
	at := func() time.Time {
		t, err := time.Parse(time.RFC3339Nano, w.one(append(timeLiterals, "2026-11-22T11:59:59.999999999Z", "2300-01-01T00:00:00Z")...))
		if err != nil {
			panic(err)
		}
		return t
	}
	f := &rules.Facts{
		User:   rules.UserFacts{ID: text(), IsNew: w.IntN(2) == 0},
		Action: rules.ActionFacts{Code: "payment"},
		Custom: map[string]any{}, UserCustom: map[string]any{}, Metrics: map[string]float64{}, Lists: map[string]bool{},
	}
	f.Passkey.Count = []int64{0, 1, 5, math.MaxInt64, math.MinInt64, 1<<53 + 1}[w.IntN(6)]
	maybe(&f.User.AgeHours, absent, number)
	maybe(&f.User.LastVerifiedAt, absent, at)
	maybe(&f.Device.RememberedUntil, absent, at)
	maybe(&f.Device.OS, absent, text)
	maybe(&f.Device.IsNew, absent, func() bool { return w.IntN(2) == 0 })
	maybe(&f.IP.Address, absent, text)
	maybe(&f.IP.CountryCode, absent, text)
	maybe(&f.IP.ASN, absent, number)
	maybe(&f.IP.IsPrivate, absent, func() bool { return w.IntN(2) == 0 })
	if !absent() {
		f.Now = at()
	}
	custom := func(values map[string]any, name string, value any) {
		switch {
		case absent():
		case w.IntN(12) == 0:
			values[name] = []any{true, "DE", 5.0}[w.IntN(3)] // perhaps of the wrong type
		default:
			values[name] = value
		}
	}
	custom(f.Custom, "amount", number())
	custom(f.Custom, "balance", number())
	custom(f.Custom, "currency", text())
	custom(f.Custom, "express", w.IntN(2) == 0)
	custom(f.UserCustom, "tier", text())
	custom(f.UserCustom, "score", number())
	if !absent() {
		f.Metrics["spent"] = number()
	}
	for _, test := range []string{"ip.address in list.suspects", "custom.amount in list.amounts"} {
		if !absent() {
			f.Lists[test] = w.IntN(2) == 0
		}
	}
	return f
}

func maybe[T any](to *rules.Value[T], absent func() bool, value func() T) {
	if !absent() {
		*to = rules.Known(value())
	}
}

func TestTheIndexSaysWhatCELSays(t *testing.T) {
	verdicts := map[rules.Verdict]int{}
	var wholly, partly, not, decisions int
	for seed := range uint64(350) {
		w := writer{rand.New(rand.NewPCG(seed, 3))}
		list := make([]rules.Rule, 1+w.IntN(14))
		if seed%50 == 0 {
			list = make([]rules.Rule, rules.MaxMatches) // several words of bits; all verdicts are still recorded
		}
		for i := range list {
			list[i] = w.rule(i)
		}
		set := mustCompile(t, open(list))
		oracle, err := rules.NewOracle(set)
		if err != nil {
			t.Fatal(err)
		}
		a, b, c := set.Indexed("payment")
		wholly, partly, not = wholly+a, partly+b, not+c
		for range 80 {
			facts := w.facts()
			got, want := set.Evaluate("payment", facts), oracle.Evaluate("payment", facts)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d: %s\nfacts %+v\nrules %s", seed, diff, facts, conditions(list))
			}
			decisions++
			for _, m := range got.Matches {
				verdicts[m.Result]++
			}
		}
	}
	t.Logf("%d decisions: %v; %d rules wholly indexed, %d partly, %d not", decisions, verdicts, wholly, partly, not)
	if verdicts[rules.Matched] < 1000 || verdicts[rules.Unknown] < 1000 || verdicts[rules.Erred] < 1000 || wholly < 500 || partly < 300 || not < 500 {
		t.Error("the random rules and facts no longer reach everything")
	}
}

func conditions(list []rules.Rule) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "\n%s: %s", r.ID, r.When)
	}
	return b.String()
}

func FuzzTheIndexSaysWhatCELSays(f *testing.F) {
	for i, when := range []string{
		`custom.amount > 5`, `5 >= custom.amount && custom.amount != -0.0`, `!(custom.amount in [1, 2, 2.0] || device.isNew)`,
		`ip.countryCode != "DE" && ip.countryCode != "FR"`, `ip.countryCode == "DE" || ip.countryCode in ["FR", ""]`,
		`known(custom.amount) && custom.amount < 0`, `!known(custom.amount) || custom.amount < 0`,
		`device.isNew == false`, `device.isNew != true`, `true != device.isNew`, `device.isNew < true`, `device.isNew in [true]`,
		`now > timestamp("2026-11-22T12:00:00Z")`, `user.lastVerifiedAt == timestamp("9999-12-31T23:59:59Z")`,
		`ip.address in list.suspects && !(custom.amount in list.amounts)`, `metric.spent >= 100 && metric.spent < 1e308`,
		`1 / size(user.id) > 0 && device.isNew`, `device.isNew || 1 / size(user.id) > 0`, `int(custom.currency) == 12 && custom.amount > 1`,
		`false`, `true`, `!true || custom.express`, `false && int(custom.currency) == 1`, `custom.amount == custom.balance`,
		`device.isNew ? custom.amount > 5 : custom.express`, `custom.amount in []`, `custom.currency in [custom.currency]`,
		`custom.amount > 1e309`, `custom.amount > -(5.0)`, `[custom.amount, 1].exists(v, v > 5) && device.os == "DE"`,
	} {
		f.Add(when, uint64(i))
	}
	f.Fuzz(func(t *testing.T, when string, seed uint64) {
		set, err := rules.Compile(rules.Version{Definition: open([]rules.Rule{{ID: "fuzzed", Name: "Fuzzed", When: when, Outcome: rules.Review}})})
		if err != nil {
			return // not a condition
		}
		oracle, err := rules.NewOracle(set)
		if err != nil {
			return // dearer as a whole than what the index leaves
		}
		w := writer{rand.New(rand.NewPCG(seed, 5))}
		for range 20 {
			facts := w.facts()
			if diff := cmp.Diff(oracle.Evaluate("payment", facts), set.Evaluate("payment", facts)); diff != "" {
				t.Fatalf("%s\nfacts %+v", diff, facts)
			}
		}
	})
}
