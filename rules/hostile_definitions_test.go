package rules_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/rules"
)

// hostileDefinition is a set that somebody may try to publish.
type hostileDefinition struct {
	name   string
	change func(*rules.Definition)
	want   string // part of the reason why it is refused; empty if it may be published
}

func hostileDefinitions() []hostileDefinition {
	rule := func(i int) rules.Rule {
		return rules.Rule{ID: fmt.Sprintf("r%d", i), Name: "R", When: "true", Outcome: rules.Block}
	}
	long := strings.Repeat("x", 1<<20)
	metric := func(m rules.Metric) func(*rules.Definition) {
		return func(d *rules.Definition) {
			m.Name = "m"
			d.Metrics = append(d.Metrics, m)
		}
	}
	counting := func(where string) func(*rules.Definition) {
		return metric(rules.Metric{Function: rules.Count, Window: "1h", Where: where})
	}
	prompt := func(text string) func(*rules.Definition) {
		return func(d *rules.Definition) { d.Otherwise.Prompt = text }
	}
	test := func(t rules.Test) func(*rules.Definition) {
		return func(d *rules.Definition) {
			t.Name, t.Action, t.Want = "t", "payment", rules.Block
			d.Tests = append(d.Tests, t)
		}
	}
	facts := func(name string, value any) func(*rules.Definition) {
		return test(rules.Test{Facts: map[string]any{name: value}})
	}
	onMatch := func(add, to, stay string) func(*rules.Definition) {
		return func(d *rules.Definition) { d.Otherwise.Rules[0].OnMatch = &rules.OnMatch{Add: add, To: to, For: stay} }
	}
	whole := func(n int) *int { return &n }
	return []hostileDefinition{
		{"too many actions", func(d *rules.Definition) {
			for i := range rules.MaxActions + 1 {
				d.Actions = append(d.Actions, rules.ActionRules{Code: fmt.Sprint(i)})
			}
		}, "at most 200 are allowed"},
		{"too many rules", func(d *rules.Definition) {
			for i := range rules.MaxRules {
				d.Otherwise.Rules = append(d.Otherwise.Rules, rule(i))
			}
		}, "at most 20000 are allowed"},
		{"too many fields", func(d *rules.Definition) {
			for i := range rules.MaxFields + 1 {
				d.Fields = append(d.Fields, rules.Field{Name: fmt.Sprintf("f%d", i), Type: rules.TypeBool})
			}
		}, "at most 200 are allowed"},
		{"too many lists", func(d *rules.Definition) {
			for i := range rules.MaxLists + 1 {
				d.Lists = append(d.Lists, rules.List{Name: fmt.Sprintf("l%d", i), Type: rules.ListOfStrings})
			}
		}, "at most 64 are allowed"},
		{"too many metrics", func(d *rules.Definition) {
			for i := range rules.MaxMetrics + 1 {
				d.Metrics = append(d.Metrics, rules.Metric{Name: fmt.Sprintf("m%d", i), Function: rules.Count, Window: "1h"})
			}
		}, "at most 64 are allowed"},
		{"too many tests", func(d *rules.Definition) { d.Tests = make([]rules.Test, rules.MaxTests+1) }, "at most 2000 are allowed"},
		{"rules too expensive together", func(d *rules.Definition) {
			for i := range 60 {
				r := rule(i)
				r.When = "custom.payee.matches('[a-z]{70}b')"
				d.Otherwise.Rules = append(d.Otherwise.Rules, r)
			}
		}, "together at worst"},
		{"name too long", func(d *rules.Definition) { d.Otherwise.Rules[0].Name = strings.Repeat("ä", 201) }, "has 201 characters"},
		{"name of a megabyte", func(d *rules.Definition) { d.Otherwise.Rules[0].Name = long }, "at most 200 are allowed"},
		{"id of a megabyte", func(d *rules.Definition) { d.Otherwise.Rules[0].ID = long }, "must be 1 to 64 lower-case letters"},
		{"id with a path", func(d *rules.Definition) { d.Otherwise.Rules[0].ID = "../a" }, "must be 1 to 64 lower-case letters"},
		{"id with an escape sequence", func(d *rules.Definition) { d.Otherwise.Rules[0].ID = "\x1b[2J" }, "must be 1 to 64 lower-case letters"},
		{"id that means none", func(d *rules.Definition) { d.Otherwise.Rules[0].ID = "default" }, "no rule decides"},
		{"id twice", func(d *rules.Definition) { d.Otherwise.Rules = append(d.Otherwise.Rules, d.Otherwise.Rules[0]) }, "already that of"},
		{"condition of a megabyte", func(d *rules.Definition) { d.Otherwise.Rules[0].When = long }, "at most 4096 are allowed"},
		{"control character in a name", func(d *rules.Definition) { d.Otherwise.Rules[0].Name = "a\x1b[31mb" }, "control character"},
		{"description of a megabyte", func(d *rules.Definition) { d.Otherwise.Rules[0].Description = long }, "at most 2000 are allowed"},
		{"invalid UTF-8 in a tag", func(d *rules.Definition) { d.Otherwise.Rules[0].Tags = []string{"\xff"} }, "not valid UTF-8"},
		{"too many tags", func(d *rules.Definition) { d.Otherwise.Rules[0].Tags = make([]string, 21) }, "at most 20 are allowed"},
		{"outcome of the state's name", func(d *rules.Definition) { d.Otherwise.Rules[0].Outcome = "CHALLENGE_SUCCEEDED" }, "is not one of"},
		{"default that is none", func(d *rules.Definition) { d.Otherwise.Default = "allow" }, "is not one of"},
		{"rollout beyond all", func(d *rules.Definition) { d.Otherwise.Rules[0].Rollout = whole(math.MaxInt) }, "percentage from 0 to 100"},
		{"rollout below none", func(d *rules.Definition) { d.Otherwise.Rules[0].Rollout = whole(-1) }, "percentage from 0 to 100"},
		{"position out of range", func(d *rules.Definition) { d.Otherwise.Rules[0].Position = whole(math.MaxInt) }, "from 0 to 1000000000"},
		{"position below zero", func(d *rules.Definition) { d.Otherwise.Rules[0].Position = whole(math.MinInt) }, "from 0 to 1000000000"},
		{"the last position, and a rule behind it", func(d *rules.Definition) {
			d.Otherwise.Rules[0].Position = whole(1_000_000_000)
			d.Otherwise.Rules = append(d.Otherwise.Rules, rule(1))
		}, "from 0 to 1000000000"},
		{"methods without end", func(d *rules.Definition) { d.Otherwise.Rules[0].Methods = make([]string, 100_000) }, "a method is missing"},
		{"method that is none", func(d *rules.Definition) { d.Otherwise.Rules[0].Methods = []string{"PASSKEY\n"} }, "is not one of"},

		{"field with the name of a path", func(d *rules.Definition) { d.Fields[0].Name = "a.b" }, "must be 1 to 64 letters"},
		{"field with the name of a prototype", func(d *rules.Definition) { d.Fields[2].Name = "__proto__" }, ""},
		{"field of a megabyte", func(d *rules.Definition) { d.Fields[0].Name = long }, "must be 1 to 64 letters"},
		{"field with letters that look alike", func(d *rules.Definition) { d.Fields[0].Name = "аmount" }, "must be 1 to 64 letters"},
		{"field that is a list", func(d *rules.Definition) { d.Fields[0].Type = "list" }, "must be string, number or boolean"},
		{"field with another scope", func(d *rules.Definition) { d.Fields[0].Scope = "device" }, "is not one of action, user"},
		{"list with the name of a path", func(d *rules.Definition) { d.Lists[0].Name = "../../x" }, "lower-case letters, digits and underscores"},
		{"list with an empty name", func(d *rules.Definition) { d.Lists[0].Name = "" }, "lower-case letters, digits and underscores"},
		{"list of lists", func(d *rules.Definition) { d.Lists[0].Type = "list" }, "is not one of string, number, cidr"},

		{"metric of itself", metric(rules.Metric{Function: rules.Sum, Of: "metric.m", Window: "1h"}), "is no fact"},
		{"metric per metric", metric(rules.Metric{Function: rules.Count, Per: "metric.spent", Window: "1h"}), "is no fact"},
		{"metric of a list", metric(rules.Metric{Function: rules.Sum, Of: "list.suspects", Window: "1h"}), "is no fact"},
		{"metric of an expression", metric(rules.Metric{Function: rules.Sum, Of: "custom.amount * 2", Window: "1h"}), "is no fact"},
		{"metric of a text", metric(rules.Metric{Function: rules.Sum, Of: "custom.payee", Window: "1h"}), "needs a number"},
		{"metric per boolean", metric(rules.Metric{Function: rules.Count, Per: "user.isNew", Window: "1h"}), "per string or number"},
		{"metric per time", metric(rules.Metric{Function: rules.Count, Per: "now", Window: "1h"}), "per string or number"},
		{"metric without a function", metric(rules.Metric{Window: "1h"}), "a function is missing"},
		{"metric of everything", metric(rules.Metric{Function: rules.Count, Of: "*", Window: "1h"}), "count has no fact to sum up"},
		{"metric of a megabyte", metric(rules.Metric{Function: rules.Sum, Of: long, Window: "1h"}), "is no fact"},
		{"window of no length", metric(rules.Metric{Function: rules.Count, Window: "0m"}), "must be whole minutes, hours or days from 1m to 30d"},
		{"window of seconds", metric(rules.Metric{Function: rules.Count, Window: "30s"}), "must be whole minutes, hours or days from 1m to 30d"},
		{"window of a year", metric(rules.Metric{Function: rules.Count, Window: "365d"}), "must be whole minutes, hours or days from 1m to 30d"},
		{"window that overflows", metric(rules.Metric{Function: rules.Count, Window: "99999999999999999999d"}), "must be whole minutes, hours or days from 1m to 30d"},
		{"window below zero", metric(rules.Metric{Function: rules.Count, Window: "-1h"}), "must be whole minutes, hours or days from 1m to 30d"},
		{"window of a megabyte", metric(rules.Metric{Function: rules.Count, Window: long}), "must be whole minutes, hours or days from 1m to 30d"},
		{"where that is no condition", counting("custom.amount"), "must be true or false"},
		{"where that reads a metric", counting("metric.spent > 1"), "reads neither metrics nor lists"},
		{"where that tests a list", counting("ip.address in list.suspects"), "reads neither metrics nor lists"},
		{"where with a pattern from the data", counting("custom.payee.matches(custom.other)"), "must be a literal text"},
		{"where that is slow", counting("custom.payee.matches('[a-z]{900}b')"), "may cost"},
		{"where of a megabyte", counting(long), "at most 4096 are allowed"},
		{"where with lists in lists", counting(strings.Repeat("[", 200) + strings.Repeat("]", 200) + " == []"), "nest"},
		{"where with loops in loops in loops", counting("[1].all(a, [1].all(b, [1].all(c, a > 0)))"), "may nest 2 deep"},
		{"where with a challenge's result among actions", counting("challenge.result == 'failed'"), "challenge.result"},
		{"where that is not closed", counting("((("), "this is not CEL"},

		{"prompt too long", prompt(strings.Repeat("x", 301)), "at most 300 are allowed"},
		{"prompt of a megabyte", prompt(long), "at most 300 are allowed"},
		{"prompt with a value that is not declared", prompt("{secret}"), "is not a declared field"},
		{"prompt with a path", prompt("{user.email}"), "brace"},
		{"prompt with braces in braces", prompt("{{amount}}"), "brace"},
		{"prompt of open braces", prompt(strings.Repeat("{", 300)), "brace"},
		{"prompt with a control character", prompt("Pay\x00"), "control character"},
		{"prompt with invalid UTF-8", prompt("\xff\xfe"), "not valid UTF-8"},
		{"prompt of many values", prompt(strings.Repeat("{payee}", 42)), ""},

		{"addition of something that is no fact", onMatch("1 + 1", "suspects", ""), "there is no fact"},
		{"addition to something that is no list", onMatch("ip.address", "ip.address", ""), "is not declared"},
		{"addition of a fact that does not fit", onMatch("custom.amount", "suspects", ""), "does not fit"},
		{"addition of a list test", onMatch("ip.address in list.suspects", "payees", ""), "there is no fact"},
		{"addition for no time", onMatch("ip.address", "suspects", "0h"), "is not a time from 1m to 3650d"},
		{"addition for a time that overflows", onMatch("ip.address", "suspects", "999999d"), "is not a time from 1m to 3650d"},
		{"addition for a megabyte", onMatch("ip.address", "suspects", long), "is not a time from 1m to 3650d"},
		{"additions by too many rules", func(d *rules.Definition) {
			for i := range 200 {
				r := rule(i)
				r.OnMatch = &rules.OnMatch{Add: "ip.address", To: "suspects"}
				d.Otherwise.Rules = append(d.Otherwise.Rules, r)
			}
		}, "may add to a list"},

		{"test with a fact that is none", facts("ip.kind", 1), "there is no fact"},
		{"test with a fact of a megabyte", facts(long, 1), "there is no fact"},
		{"test with a value of a megabyte", facts("custom.payee", long), "one of more than 4096 is unknown"},
		{"test with a list as a value", facts("custom.payee", []any{[]any{[]any{}}}), "a list stands here"},
		{"test with a mapping as a value", facts("custom.payee", map[string]any{"a": 1}), "a mapping stands here"},
		{"test with not a number", facts("custom.amount", math.NaN()), "is unknown; leave it out"},
		{"test with infinity", facts("custom.amount", math.Inf(1)), "is unknown; leave it out"},
		{"test with a count that is huge", facts("user.deviceCount", 1e300), "not a number that it can have"},
		{"test with a count below zero", facts("passkey.count", -1), ""},
		{"test with a list test that is not declared", facts("ip.address in list.x", true), "is not declared"},
		{"test with a list test of lists", facts("list.suspects in list.suspects", true), "there is no fact"},
		{"test with several words", facts("a in b in c", true), "is not declared"},
		{"test with a function as a value", facts("custom.payee", func() {}), "stands here where a single value belongs"},
		{"test of a rule with a long id", test(rules.Test{Rule: long}), "has no rule"},
		{"test of too many facts", func(d *rules.Definition) {
			t := rules.Test{Facts: map[string]any{}}
			for i := range rules.MaxTestFacts + 1 {
				t.Facts[fmt.Sprintf("x%d", i)] = "Aa"
			}
			test(t)(d)
		}, "there are 1001 facts; at most 1000 are allowed"},
		{"many tests of many facts", func(d *rules.Definition) {
			t := rules.Test{Facts: map[string]any{}}
			for i := range rules.MaxTestFacts {
				t.Facts[fmt.Sprintf("x%d", i)] = "Aa"
			}
			for range rules.MaxTests {
				test(t)(d)
			}
		}, "there is no fact"},
		{"test of many facts", func(d *rules.Definition) {
			t := rules.Test{Facts: map[string]any{}}
			for i := range 1000 {
				t.Facts[fmt.Sprintf("custom.name%d", i)] = "Aa"
			}
			test(t)(d)
		}, "is not declared"},
	}
}

// TestHostileDefinitions does for sets what TestHostileConditions does for
// conditions.
func TestHostileDefinitions(t *testing.T) {
	for _, tt := range hostileDefinitions() {
		t.Run(tt.name, func(t *testing.T) {
			d := withEverything("true")
			tt.change(&d)
			var set *rules.Set
			var err error
			bounded(t, "checking", func() { set, err = rules.Compile(rules.Version{Definition: d}) })
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				tryPublished(t, set)
				bounded(t, "testing", func() { runTests(t, set) })
				return
			}
			var refused *rules.CompileError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %.500v, want a *CompileError with %q", err, tt.want)
			}
			if len(refused.Problems) > rules.MaxProblems {
				t.Errorf("%d problems", len(refused.Problems))
			}
			for _, p := range refused.Problems {
				if text := p.String(); len(text) > 1000 {
					t.Errorf("a problem has %d bytes: %.200s", len(text), text)
				}
			}
		})
	}
}

// hostileTexts are files that somebody may send. Those without want can be read.
func hostileTexts() map[string]struct{ text, want string } {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, repeat(fmt.Sprintf("*%c", c-1), 9, ","))
	}
	return map[string]struct{ text, want string }{
		"aliases that multiply":            {bomb + "fields: *i\n", "holds more than 1000000 values, those that aliases repeat included"},
		"alias of itself":                  {"fields: &a [*a]", "line 1, column 13: an alias repeats the part that it stands in"},
		"merge with itself":                {"otherwise: &a {<<: *a, zz: 1}", "an alias repeats the part that it stands in"},
		"merge with what holds it":         {"otherwise: &a {prompt: [{<<: [*a]}], zz: 1}", "an alias repeats the part that it stands in"},
		"alias that is not there":          {"fields: *nobody", "unknown anchor 'nobody' referenced"},
		"lists in lists":                   {strings.Repeat("[", 20_000), "exceeded max depth of 10000"},
		"mappings in mappings":             {strings.Repeat("{a: ", 20_000), "exceeded max depth of 10000"},
		"indents":                          {deepYAML(3000), "nests deeper than 100 levels"},
		"a key given twice":                {"actions: []\nactions: []", "mapping key \"actions\" already defined at line 1"},
		"a key that is not known":          {"aktions: []", "\"aktions\" is not a key that belongs here"},
		"a key of 100,000 letters":         {strings.Repeat("k", 100_000) + ": 1", "mapping values are not allowed in this context"},
		"a merge key":                      {"base: &b {default: BLOCK}\notherwise:\n  <<: *b\n", "\"base\" is not a key that belongs here"},
		"a tag of another language":        {"otherwise: !!python/object/apply:os.system [ls]", "cannot unmarshal !!python/object/apply:os.system `` into rules.ActionRules"},
		"a binary tag":                     {"otherwise: {prompt: !!binary aGVsbG8=}", ""},
		"a number for a text":              {"otherwise: {prompt: 0x1F}", ""},
		"a time for a text":                {"otherwise: {prompt: 2026-11-22}", ""},
		"a huge number as a fact":          {"tests: [{name: a, action: a, want: ALLOW, facts: {custom.x: 99999999999999999999999999}}]", ""},
		"a mapping as a key":               {"? {a: b}\n: c", "a mapping stands here where a text belongs"},
		"a rollout of half a percent":      {"otherwise: {rules: [{rollout: .5}]}", "rollout is a whole number"},
		"a rollout that overflows":         {"otherwise: {rules: [{rollout: 99999999999999999999}]}", "a single value stands here where a text belongs"},
		"a position that is a text":        {"otherwise: {rules: [{position: first}]}", "a single value stands here where a text belongs"},
		"tabs for indents":                 {"otherwise:\n\tdefault: ALLOW", "found character that cannot start any token"},
		"NUL":                              {"otherwise: \x00", "control characters are not allowed"},
		"invalid UTF-8":                    {"otherwise: {prompt: \"\xff\"}", "invalid leading UTF-8 octet"},
		"UTF-16":                           {"\xfe\xff\x00o\x00t\x00h\x00e\x00r\x00w\x00i\x00s\x00e\x00:\x00 \x00{\x00}", ""},
		"a byte order mark":                {"\ufeffotherwise: {}", ""},
		"a document behind it":             {"otherwise: {}\n---\nactions: []", "the text holds more than one YAML document"},
		"100,000 fields":                   {"fields: [" + strings.Repeat("{},", 10_000) + "]", ""},
		"line breaks":                      {strings.Repeat("\n", 1<<20) + "otherwise: {}", ""},
		"comments":                         {strings.Repeat("# x\n", 1<<16) + "otherwise: {}", ""},
		"a quoted text that is not closed": {"otherwise: \"" + strings.Repeat("x", 1<<16), "found unexpected end of stream"},
	}
}

func deepYAML(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestHostileTexts reads and checks hostile files.
func TestHostileTexts(t *testing.T) {
	for name, tt := range hostileTexts() {
		t.Run(name, func(t *testing.T) {
			var d rules.Definition
			var err error
			bounded(t, "reading", func() { d, err = rules.ParseYAML([]byte(tt.text)) })
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v, want %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if err == nil {
				bounded(t, "checking", func() { rules.Check(d) })
			}
			bounded(t, "reading as JSON", func() {
				if _, err := rules.ParseJSON([]byte(tt.text)); err == nil {
					t.Error("it was read as JSON")
				}
			})
		})
	}
}
