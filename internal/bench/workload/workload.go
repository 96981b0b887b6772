// Package workload makes large sets of rules, and facts for them, the same ones
// in each run. The benchmarks of package rules, those of the whole product and
// those beside other engines measure with them.
package workload

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// Kind is what the conditions of a set are like: conjunctions of three or four
// tests.
type Kind string

// The kinds.
const (
	Mixed       Kind = "mixed"       // texts, numbers and booleans; six of seven rules begin with one of 50 merchants; of ten thousand some fifty match
	Numeric     Kind = "numeric"     // numbers; two tests hold for each action and the third for none, so none can be left out early
	Rare        Kind = "rare"        // as Mixed, but only one rule in a hundred can match at all
	Residual    Kind = "residual"    // as Mixed, but three in ten hold a part that no index reads, beside one of the merchants
	Unindexable Kind = "unindexable" // nothing that an index reads
)

// Kinds lists all of them.
func Kinds() []Kind { return []Kind{Mixed, Numeric, Rare, Residual, Unindexable} }

// Test compares a fact with a string, a float64 or a bool, or, if With is set,
// with that other fact times the value, a float64.
type Test struct {
	Fact     string
	Operator string // ==, < or >
	Value    any
	With     string
	Prefix   bool // the fact, a text, begins with the value; Operator does not count
}

// Rule is a condition: all tests must hold.
type Rule []Test

type fact struct {
	name  string
	count int     // of different texts
	most  float64 // of numbers, from 0
}

func (f fact) text(i int) string {
	return f.name[strings.LastIndexByte(f.name, '.')+1:] + "-" + strconv.Itoa(i)
}

// facts are those that conditions test. Neither count nor most makes a boolean.
var facts = []fact{
	{name: "custom.merchant", count: 50},
	{name: "custom.currency", count: 20},
	{name: "custom.tier", count: 4},
	{name: "device.os", count: 5},
	{name: "ip.countryCode", count: 60},
	{name: "custom.amount", most: 5000},
	{name: "custom.trust", most: 1},
	{name: "custom.risk", most: 1},
	{name: "custom.failedSignIns", most: 10},
	{name: "custom.actionsToday", most: 50},
	{name: "user.ageHours", most: 9000},
	{name: "passkey.count", most: 6},
	{name: "ip.asn", most: 60_000},
	{name: "travel.distanceKm", most: 10_000},
	{name: "travel.speedKmh", most: 2000},
	{name: "user.hasPasskey"},
	{name: "device.isNew"},
	{name: "device.isBot"},
	{name: "ip.isAnonymous"},
	{name: "ip.isHosting"},
}

func (f fact) test(r *rand.Rand) Test {
	switch {
	case f.count > 0:
		return Test{Fact: f.name, Operator: "==", Value: f.text(r.IntN(f.count))}
	case f.most > 0:
		return Test{Fact: f.name, Operator: []string{">", ">", "<"}[r.IntN(3)], Value: f.threshold(r)}
	default:
		return Test{Fact: f.name, Operator: "==", Value: r.IntN(2) == 0}
	}
}

// threshold is a number of three decimals that no action has.
func (f fact) threshold(r *rand.Rand) float64 {
	v, err := strconv.ParseFloat(fmt.Sprintf("%.3f5", r.Float64()*f.most), 64)
	if err != nil {
		panic(err) // it was just written
	}
	return v
}

// Rules makes n rules.
func Rules(kind Kind, n int) []Rule {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	list := make([]Rule, n)
	for i := range list {
		switch kind {
		case Numeric:
			list[i] = numeric(r)
		case Unindexable:
			list[i] = Rule{
				{Fact: "custom.amount", Operator: ">", Value: 1 + r.Float64()*50, With: "custom.balance"},
				{Fact: "custom.payee", Prefix: true, Value: fmt.Sprintf("p%d", r.IntN(1000))},
				{Fact: "travel.speedKmh", Operator: "<", Value: r.Float64(), With: "travel.distanceKm"},
			}
		case Residual:
			list[i] = mixed(r, i%10 < 3)
			if i%10 < 3 {
				list[i][2] = Test{Fact: "custom.amount", Operator: ">", Value: r.Float64() * 10, With: "custom.balance"}
			}
		case Rare:
			list[i] = mixed(r, true)
			if i%100 > 0 {
				list[i][0] = Test{Fact: "ip.asn", Operator: "==", Value: float64(100_000 + i)}
			}
		default:
			list[i] = mixed(r, r.IntN(7) < 6)
		}
	}
	return list
}

// mixed draws four tests of different facts, the first one of the merchant if
// that is wanted.
func mixed(r *rand.Rand, merchant bool) Rule {
	var rule Rule
	taken := map[int]bool{0: true}
	if merchant {
		rule = append(rule, facts[0].test(r))
	}
	for len(rule) < 4 {
		if i := r.IntN(len(facts)); !taken[i] {
			taken[i] = true
			rule = append(rule, facts[i].test(r))
		}
	}
	return rule
}

func numeric(r *rand.Rand) Rule {
	var numbers []fact
	for _, f := range facts {
		if f.most > 0 {
			numbers = append(numbers, f)
		}
	}
	r.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	beyond := func(f fact) float64 { return 2*f.most + float64(r.IntN(1000)) + 1.5 }
	return Rule{
		{Fact: numbers[0].name, Operator: "<", Value: beyond(numbers[0])},
		{Fact: numbers[1].name, Operator: "<", Value: beyond(numbers[1])},
		{Fact: numbers[2].name, Operator: ">", Value: beyond(numbers[2])},
	}
}

// CEL writes the rule as a condition.
func (rule Rule) CEL() string {
	parts := make([]string, len(rule))
	for i, t := range rule {
		parts[i] = t.CEL()
	}
	return strings.Join(parts, " && ")
}

// CEL writes the test as a condition.
func (t Test) CEL() string {
	switch v := t.Value.(type) {
	case bool:
		if v {
			return t.Fact
		}
		return "!" + t.Fact
	case float64:
		if t.With != "" {
			return fmt.Sprintf("%s %s %s * %s", t.Fact, t.Operator, t.With, Decimal(v))
		}
		return fmt.Sprintf("%s %s %s", t.Fact, t.Operator, Decimal(v))
	}
	if t.Prefix {
		return fmt.Sprintf("%s.startsWith(%q)", t.Fact, t.Value)
	}
	return fmt.Sprintf("%s %s %q", t.Fact, t.Operator, t.Value)
}

// Decimal writes a number so that each language takes it for one with decimals.
func Decimal(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// Fields declares the custom values that the rules read.
func Fields() []rules.Field {
	number, text := rules.TypeNumber, rules.TypeString
	return []rules.Field{
		{Name: "merchant", Type: text},
		{Name: "currency", Type: text},
		{Name: "tier", Type: text},
		{Name: "payee", Type: text},
		{Name: "amount", Type: number},
		{Name: "balance", Type: number},
		{Name: "trust", Type: number},
		{Name: "risk", Type: number},
		{Name: "failedSignIns", Type: number},
		{Name: "actionsToday", Type: number},
	}
}

// Definition is a set of n rules of a kind for every action.
func Definition(kind Kind, n int) rules.Definition {
	d := rules.Definition{Fields: Fields(), Otherwise: rules.ActionRules{Rules: make([]rules.Rule, n)}}
	for i, rule := range Rules(kind, n) {
		d.Otherwise.Rules[i] = rules.Rule{
			ID: fmt.Sprintf("rule-%d", i), Name: fmt.Sprintf("Rule %d", i), When: rule.CEL(), Outcome: rules.Review,
		}
	}
	return d
}

// Action is one set of facts, as names and values: string, float64 or bool.
type Action map[string]any

// Actions makes n of them.
func Actions(n int) []Action {
	r := rand.New(rand.NewPCG(8, 8))
	list := make([]Action, n)
	for i := range list {
		a := Action{"custom.balance": r.Float64() * 5000, "custom.payee": fmt.Sprintf("p%d", r.IntN(1000))}
		for _, f := range facts {
			switch {
			case f.name == "passkey.count":
				a[f.name] = float64(r.IntN(int(f.most)))
			case f.count > 0:
				a[f.name] = f.text(r.IntN(f.count))
			case f.most > 0:
				a[f.name] = r.Float64() * f.most
			default:
				a[f.name] = r.IntN(2) == 0
			}
		}
		list[i] = a
	}
	return list
}

// Facts are the action's facts as the rules read them.
func (a Action) Facts() *rules.Facts {
	text := func(name string) rules.Value[string] { return rules.Known(a[name].(string)) }
	number := func(name string) rules.Value[float64] { return rules.Known(a[name].(float64)) }
	truth := func(name string) rules.Value[bool] { return rules.Known(a[name].(bool)) }
	f := &rules.Facts{
		User:    rules.UserFacts{ID: "user-1", HasPasskey: a["user.hasPasskey"].(bool), AgeHours: number("user.ageHours")},
		Passkey: rules.PasskeyFacts{Count: int64(a["passkey.count"].(float64))},
		Action:  rules.ActionFacts{Code: "payment"},
		Device:  rules.DeviceFacts{OS: text("device.os"), IsNew: truth("device.isNew"), IsBot: truth("device.isBot")},
		IP: rules.IPFacts{
			CountryCode: text("ip.countryCode"), ASN: number("ip.asn"),
			IsAnonymous: truth("ip.isAnonymous"), IsHosting: truth("ip.isHosting"),
		},
		Travel: rules.TravelFacts{DistanceKm: number("travel.distanceKm"), SpeedKmh: number("travel.speedKmh")},
		Custom: map[string]any{},
		Now:    time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	for name, v := range a {
		if field, ok := strings.CutPrefix(name, "custom."); ok {
			f.Custom[field] = v
		}
	}
	return f
}
