package rules_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// What a hostile rule may cost: in checking, deciding or explaining. Under the
// race detector everything takes longer.
const (
	hostileTime  = 50 * time.Millisecond * slowdown
	hostileBytes = 32 << 20 * min(slowdown, 2)
)

// bounded runs f and fails if that took more processor time or memory than a
// hostile rule may cost. Other work of the process counts as well, garbage
// collection above all, and so does a busy machine, whose processors are slower, so it
// tries again before it says so.
func bounded(t *testing.T, what string, f func()) {
	t.Helper()
	var took time.Duration
	var bytes uint64
	for range 20 {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := processorTime(t)
		f()
		took = processorTime(t) - start
		runtime.ReadMemStats(&after)
		if bytes = after.TotalAlloc - before.TotalAlloc; took <= hostileTime && bytes <= hostileBytes {
			return
		}
	}
	t.Errorf("%s took %v and %d bytes", what, took, bytes)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// withRule is a set with one rule over a few fields.
func withRule(when string) rules.Definition {
	return rules.Definition{
		Fields: []rules.Field{
			{Name: "amount", Type: rules.TypeNumber}, {Name: "payee", Type: rules.TypeString}, {Name: "other", Type: rules.TypeString},
		},
		Otherwise: rules.ActionRules{Rules: []rules.Rule{{ID: "r", Name: "R", When: when, Outcome: rules.Block}}},
	}
}

// withEverything is withRule with lists and a metric.
func withEverything(when string) rules.Definition {
	d := withRule(when)
	d.Lists = []rules.List{{Name: "suspects", Type: rules.ListOfRanges}, {Name: "payees", Type: rules.ListOfStrings}}
	d.Metrics = []rules.Metric{{Name: "spent", Function: rules.Sum, Of: "custom.amount", Window: "24h"}}
	return d
}

// hostileFacts are the longest and oddest values that conditions read, and
// nothing.
func hostileFacts() []*rules.Facts {
	long := strings.Repeat("a", rules.MaxStringBytes)
	full := &rules.Facts{
		User: rules.UserFacts{ID: long, Email: rules.Known(long), IsNew: true}, IP: rules.IPFacts{Address: rules.Known("10.1.2.3")},
		Custom:  map[string]any{"payee": long, "other": long, "amount": math.MaxFloat64},
		Metrics: map[string]float64{"spent": -math.MaxFloat64},
		Lists:   map[string]bool{"ip.address in list.suspects": true, "custom.payee in list.payees": false},
		Now:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	odd := &rules.Facts{Custom: map[string]any{"payee": "k\u0301\u202e\x00\xff", "amount": math.Copysign(0, -1)}}
	return []*rules.Facts{full, odd, {}}
}

// tryPublished decides and explains with a set that could be published.
func tryPublished(t *testing.T, set *rules.Set) {
	t.Helper()
	for _, facts := range hostileFacts() {
		var result rules.Result
		bounded(t, "deciding", func() { result = set.Evaluate("payment", facts) })
		bounded(t, "explaining", func() {
			for _, e := range set.Explain("payment", facts) {
				for _, m := range result.Matches {
					if m.ID == e.ID && m.Result != e.Verdict {
						t.Errorf("decided as %s, explained as %s", m.Result, e.Verdict)
					}
				}
			}
		})
	}
	bounded(t, "analysing", func() { analyze(t, set) })
}

// TestHostileConditions publishes what can be published, and sees that it is
// cheap, and that the rest is refused for its reason and cheaply.
func TestHostileConditions(t *testing.T) {
	rules.Check(withEverything("true")) // makes the language, once
	for _, tt := range append(conditionsToRefuse(), strangeConditions()...) {
		t.Run(tt.name, func(t *testing.T) {
			d := withEverything(tt.when)
			var set *rules.Set
			var err error
			bounded(t, "checking", func() { set, err = rules.Compile(rules.Version{Definition: d}) })
			var refused *rules.CompileError
			switch {
			case err == nil && tt.want != "":
				t.Fatal("it could be published")
			case err == nil:
				tryPublished(t, set)
				return
			case !errors.As(err, &refused):
				t.Fatal(err)
			}
			got := refused.Problems[0]
			if tt.want == "" || !strings.Contains(got.Message, tt.want) || got.Line != tt.line || got.Column != tt.column {
				t.Errorf("got %d:%d %q, want %d:%d %q", got.Line, got.Column, got.Message, tt.line, tt.column, tt.want)
			}
			if got.Field != "otherwise.rules[0].when" || got.Rule != "r" {
				t.Errorf("problem at %q, rule %q", got.Field, got.Rule)
			}
			if len(got.Message) > 500 {
				t.Errorf("the message has %d bytes", len(got.Message))
			}
		})
	}
}

// TestHostileCasesAreMany counts the cases of this file's tests.
func TestHostileCasesAreMany(t *testing.T) {
	count := len(conditionsToRefuse()) + len(strangeConditions()) + len(hostileDefinitions()) + len(hostileTexts()) + len(hostileValues())
	t.Logf("%d cases", count)
	if count < 200 {
		t.Errorf("there are %d hostile cases", count)
	}
	names := map[string]bool{}
	for _, c := range append(conditionsToRefuse(), strangeConditions()...) {
		if names[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		names[c.name] = true
	}
}

// hostileValues are the most expensive conditions that may be published.
func hostileValues() map[string]string {
	return map[string]string{
		"pattern that backtracks elsewhere": "custom.payee.matches('^(([a-z])+.)+[A-Z]([a-z])+$')",
		"alternatives":                      "custom.payee.matches('(a|aa|aaa){30}b')",
		"repetition":                        "custom.payee.matches('[a-z]{300}b')",
		"loops":                             "[" + repeat("1", 100, ",") + "].all(a, [" + repeat("1", 50, ",") + "].all(b, a + b > 0))",
		"search":                            "(custom.payee + custom.payee).contains('aaaaaaaaaaaaaaaaaaaaaaaaaaab')",
	}
}

// TestHostileValues evaluates them on the longest values that are read: none is
// stopped, so none is cut off in the middle.
func TestHostileValues(t *testing.T) {
	for name, when := range hostileValues() {
		t.Run(name, func(t *testing.T) {
			set := compile(t, withRule(when))
			tryPublished(t, set)
			facts := &rules.Facts{Custom: map[string]any{"payee": strings.Repeat("a", rules.MaxStringBytes)}}
			for _, m := range set.Evaluate("payment", facts).Matches {
				if m.Result == rules.Erred {
					t.Errorf("ended in error: %s", m.Error)
				}
			}
		})
	}
	t.Run("a text beyond the limit is unknown", func(t *testing.T) {
		set := compile(t, withRule("custom.payee != ''"))
		facts := &rules.Facts{Custom: map[string]any{"payee": strings.Repeat("a", rules.MaxStringBytes+1)}}
		if got := set.Evaluate("payment", facts); len(got.Matches) != 1 || got.Matches[0].Result != rules.Unknown {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a hundred thousand custom values", func(t *testing.T) {
		set := compile(t, withRule("custom.payee == 'x'"))
		facts := &rules.Facts{Custom: map[string]any{"payee": "x"}}
		for i := range 100_000 {
			facts.Custom[fmt.Sprintf("name%d", i)] = "Aa"
		}
		tryPublished(t, set)
		bounded(t, "deciding", func() { set.Evaluate("payment", facts) })
	})
	t.Run("no value is repeated in an error", func(t *testing.T) {
		const secret = "DE89370400440532013000"
		for _, when := range []string{
			"int(custom.payee) > 0", "double(custom.payee) > 0", "timestamp(custom.payee) > now", "duration(custom.payee) > duration('1s')",
			"bool(custom.payee)", "{'a': 1}[custom.payee] == 1",
		} {
			set := compile(t, withRule(when))
			got := set.Evaluate("payment", &rules.Facts{Custom: map[string]any{"payee": secret}, Now: time.Now()})
			if len(got.Matches) != 1 || got.Matches[0].Result != rules.Erred {
				t.Errorf("%s: got %+v, want an error", when, got)
				continue
			}
			if text := got.Matches[0].Error; strings.Contains(text, secret) || !strings.Contains(text, "line 1, column") {
				t.Errorf("%s: error %q", when, text)
			}
		}
	})
}
