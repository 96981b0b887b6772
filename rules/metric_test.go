package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

var metricFields = []rules.Field{
	{Name: "amount", Type: rules.TypeNumber},
	{Name: "payee", Type: rules.TypeString},
	{Name: "gift", Type: rules.TypeBool},
	{Name: "segment", Type: rules.TypeString, Scope: rules.OfUser},
}

func TestMetricsAreChecked(t *testing.T) {
	count := func(change func(*rules.Metric)) rules.Metric {
		m := rules.Metric{Name: "m", Function: rules.Count, Window: "1h"}
		change(&m)
		return m
	}
	tests := []struct {
		name   string
		metric rules.Metric
		field  string // "" when there is no problem
		says   string
	}{
		{"a count", count(func(*rules.Metric) {}), "", ""},
		{"all parts", rules.Metric{
			Name: "m", Function: rules.Sum, Of: "custom.amount", Per: "user.custom.segment", Counts: rules.CountActions,
			Where: "action.outcome == 'ALLOW' && known(ip.countryCode)", Window: "30d",
		}, "", ""},
		{"challenges", count(func(m *rules.Metric) { m.Counts, m.Where = rules.CountChallenges, "challenge.result == 'failed'" }), "", ""},
		{"distinct numbers", count(func(m *rules.Metric) { m.Function, m.Of = rules.Distinct, "ip.asn" }), "", ""},
		{"per number", count(func(m *rules.Metric) { m.Per = "custom.amount" }), "", ""},
		{"no function", count(func(m *rules.Metric) { m.Function = "" }), "function", "missing"},
		{"an unknown function", count(func(m *rules.Metric) { m.Function = "median" }), "function", `"median" is not one of count, sum`},
		{"a count of something", count(func(m *rules.Metric) { m.Of = "custom.amount" }), "of", "distinct"},
		{"a sum of nothing", count(func(m *rules.Metric) { m.Function = rules.Sum }), "of", "missing"},
		{"a sum of text", count(func(m *rules.Metric) { m.Function, m.Of = rules.Sum, "custom.payee" }), "of", "string; sum needs a number"},
		{"the most of a boolean", count(func(m *rules.Metric) { m.Function, m.Of = rules.Max, "custom.gift" }), "of", "boolean; max needs a number"},
		{"distinct times", count(func(m *rules.Metric) { m.Function, m.Of = rules.Distinct, "now" }), "of", "timestamp"},
		{"an unknown fact", count(func(m *rules.Metric) { m.Function, m.Of = rules.Sum, "custom.amont" }), "of", "no fact"},
		{"per boolean", count(func(m *rules.Metric) { m.Per = "user.isNew" }), "per", "per string or number"},
		{"per unknown fact", count(func(m *rules.Metric) { m.Per = "device" }), "per", "no fact"},
		{"per metric", count(func(m *rules.Metric) { m.Per = "metric.m" }), "per", "no fact"},
		{"counts something else", count(func(m *rules.Metric) { m.Counts = "logins" }), "counts", "challenges"},
		{"no window", count(func(m *rules.Metric) { m.Window = "" }), "window", "1m to 30d"},
		{"a window too long", count(func(m *rules.Metric) { m.Window = "31d" }), "window", "1m to 30d"},
		{"a condition on a metric", count(func(m *rules.Metric) { m.Where = "metric.m > 1.0" }), "where", "neither metrics nor lists"},
		{"a condition on a list", count(func(m *rules.Metric) { m.Where = "ip.address in list.suspects" }), "where", "neither metrics nor lists"},
		{"a condition on a result", count(func(m *rules.Metric) { m.Where = "challenge.result == 'failed'" }), "where", "counts: challenges"},
		{"a condition that is none", count(func(m *rules.Metric) { m.Where = "custom.amount" }), "where", "true or false"},
		{"a condition with a typo", count(func(m *rules.Metric) { m.Where = "custom.amunt > 1.0" }), "where", "did you mean custom.amount"},
		{"a blank condition", count(func(m *rules.Metric) { m.Where = " " }), "where", "missing"},
		{"an endless condition", count(func(m *rules.Metric) { m.Where = strings.Repeat("true && ", 600) + "true" }), "where", "bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems := rules.Check(rules.Definition{
				Fields: metricFields, Metrics: []rules.Metric{tt.metric}, Lists: []rules.List{{Name: "suspects", Type: rules.ListOfRanges}},
			})
			if tt.field == "" {
				if len(problems) > 0 {
					t.Errorf("problems %v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Field != "metrics[0]."+tt.field || !strings.Contains(problems[0].Message, tt.says) {
				t.Errorf("problems %v; want one of %s that says %q", problems, tt.field, tt.says)
			}
		})
	}
}

func TestConditionsOfMetricsMustNotCostTooMuchTogether(t *testing.T) {
	slow := func(i int) string { return fmt.Sprintf("custom.payee.matches('[a-z]+%d.*[^a]')", i) }
	tests := []struct {
		name   string
		n      int
		metric func(i int, m *rules.Metric)
		fits   bool
	}{
		{"ordinary conditions", rules.MaxMetrics, func(i int, m *rules.Metric) {
			m.Where = fmt.Sprintf("action.outcome == 'ALLOW' && custom.amount > %d.0 && ip.countryCode != 'NZ'", i)
		}, true},
		{"ordinary conditions on challenges", rules.MaxMetrics, func(i int, m *rules.Metric) {
			m.Counts, m.Where = rules.CountChallenges, fmt.Sprintf("challenge.result == 'failed' && custom.amount > %d.0", i)
		}, true},
		{"some patterns", 4, func(i int, m *rules.Metric) { m.Where = slow(i) }, true},
		{"many patterns", 16, func(i int, m *rules.Metric) { m.Where = slow(i) }, false},
		{"many metrics with one pattern", 16, func(_ int, m *rules.Metric) { m.Where = slow(0) }, true},
		{"some patterns on challenges", 4, func(i int, m *rules.Metric) { m.Counts, m.Where = rules.CountChallenges, slow(i) }, true},
		{"some patterns for each result", 4, func(i int, m *rules.Metric) {
			m.Counts, m.Where = rules.CountChallenges, "challenge.result == 'failed' && "+slow(i)
		}, false},
		{"patterns that each may cost a rule's share", rules.MaxMetrics, func(i int, m *rules.Metric) {
			m.Counts = rules.CountChallenges
			m.Where = fmt.Sprintf(`custom.payee.matches("(x+x+)+y%d") || custom.payee.matches("(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)[^a]")`, i)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var list []rules.Metric
			for i := range tt.n {
				m := rules.Metric{Name: fmt.Sprintf("m%d", i), Function: rules.Count, Window: "1h"}
				tt.metric(i, &m)
				list = append(list, m)
			}
			problems := rules.Check(rules.Definition{Fields: metricFields, Metrics: list})
			if tt.fits {
				if len(problems) != 0 {
					t.Errorf("problems %v", problems)
				}
				return
			}
			if len(problems) != 1 || problems[0].Field != "metrics" || !strings.Contains(problems[0].Message, "together at worst; at most 20000 is allowed") {
				t.Errorf("problems %v", problems)
			}
		})
	}
}

// metersOf compiles metrics and returns their meters.
func metersOf(t *testing.T, fields []rules.Field, list ...rules.Metric) []*rules.Meter {
	t.Helper()
	set, err := rules.Compile(rules.Version{Definition: rules.Definition{Fields: fields, Metrics: list}})
	if err != nil {
		t.Fatal(err)
	}
	return set.Meters()
}

func TestMetersWithEqualIDsMeanTheSame(t *testing.T) {
	base := rules.Metric{Name: "m", Function: rules.Sum, Of: "custom.amount", Per: "custom.payee", Where: "custom.payee != ''", Window: "1h"}
	id := metersOf(t, metricFields, base)[0].ID()
	same := base
	same.Name, same.Description, same.Counts, same.Window = "other", "text", rules.CountActions, "60m"
	if got := metersOf(t, metricFields, same)[0].ID(); got != id {
		t.Error("a name, a description, a default or another way to write the window changes the id")
	}
	ids := []string{id}
	for _, change := range []func(*rules.Metric){
		func(m *rules.Metric) { m.Function = rules.Max },
		func(m *rules.Metric) { m.Of = "ip.asn" },
		func(m *rules.Metric) { m.Per = "" },
		func(m *rules.Metric) { m.Where = "" },
		func(m *rules.Metric) { m.Where = "custom.payee != 'x'" },
		func(m *rules.Metric) { m.Counts = rules.CountChallenges },
		func(m *rules.Metric) { m.Window = "2h" },
	} {
		m := base
		change(&m)
		ids = append(ids, metersOf(t, metricFields, m)[0].ID())
	}
	other := slices.Clone(metricFields)
	other[1] = rules.Field{Name: "payee", Type: rules.TypeNumber}
	m := base
	m.Where = ""
	ids = append(ids, metersOf(t, other, m)[0].ID())
	m.Per, m.Where = "", "known(custom.payee)"
	ids = append(ids, metersOf(t, metricFields, m)[0].ID(), metersOf(t, other, m)[0].ID())
	slices.Sort(ids)
	if unique := slices.Compact(slices.Clone(ids)); len(unique) != len(ids) {
		t.Errorf("of %d different metrics only %d have ids of their own", len(ids), len(unique))
	}
}

func TestAMeterReadsAnOccurrence(t *testing.T) {
	meters := metersOf(t, metricFields,
		rules.Metric{Name: "a", Function: rules.Count, Window: "1h", Where: "action.outcome == 'ALLOW' && custom.amount > 10"},
		rules.Metric{Name: "b", Function: rules.Distinct, Of: "custom.payee", Per: "ip.asn", Window: "1h", Where: "user.ageHours / custom.amount > 1"},
		rules.Metric{Name: "c", Function: rules.Sum, Of: "custom.amount", Counts: rules.CountChallenges, Window: "1h", Where: "challenge.result in ['failed', 'denied']"},
	)
	full := &rules.Facts{User: rules.UserFacts{ID: "ann", AgeHours: rules.Known(100.0)}, Custom: map[string]any{"amount": 20.0, "payee": "bob"}, Now: time.Now()}
	full.IP.ASN = rules.Known(64496.0)
	bare := &rules.Facts{User: rules.UserFacts{ID: "ann"}}
	type seen struct {
		Counts     bool
		Key, Value any
	}
	plain := func(m rules.Measured) any {
		switch {
		case !m.Known:
			return nil
		case m.IsText:
			return m.Text
		}
		return m.Number
	}
	tests := []struct {
		name string
		of   rules.Occurrence
		want [3]seen
	}{
		{"an action", rules.Occurrence{Facts: full, Outcome: rules.Allow}, [3]seen{
			{true, "ann", nil}, {true, 64496.0, "bob"}, {false, "ann", 20.0},
		}},
		{"an action with another outcome", rules.Occurrence{Facts: full, Outcome: rules.Block}, [3]seen{
			{false, "ann", nil}, {true, 64496.0, "bob"}, {false, "ann", 20.0},
		}},
		{"unknown facts", rules.Occurrence{Facts: bare, Outcome: rules.Allow}, [3]seen{
			{false, "ann", nil}, {false, nil, nil}, {false, "ann", nil},
		}},
		{"a failed challenge", rules.Occurrence{Facts: full, Outcome: rules.Challenge, Challenge: rules.ChallengeFailed}, [3]seen{
			{false, "ann", nil}, {false, 64496.0, "bob"}, {true, "ann", 20.0},
		}},
		{"a passed challenge", rules.Occurrence{Facts: full, Outcome: rules.Challenge, Challenge: rules.ChallengeSucceeded}, [3]seen{
			{false, "ann", nil}, {false, 64496.0, "bob"}, {false, "ann", 20.0},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got [3]seen
			for i, m := range meters {
				got[i] = seen{m.Counts(&tt.of), plain(m.Key(tt.of.Facts)), plain(m.Value(tt.of.Facts))}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnActionHasTheMetersThatItsRulesRead(t *testing.T) {
	metric := func(name string) rules.Metric {
		return rules.Metric{Name: name, Function: rules.Count, Window: "1h"}
	}
	rule := func(id, when string, mode rules.Mode) rules.Rule {
		return rules.Rule{ID: id, Name: id, When: when, Outcome: rules.Review, Mode: mode}
	}
	set, err := rules.Compile(rules.Version{Definition: rules.Definition{
		Metrics: []rules.Metric{metric("a"), metric("b"), metric("c"), metric("d")},
		Actions: []rules.ActionRules{
			{Code: "pay", Rules: []rules.Rule{
				rule("one", "metric.c > 1 || metric.a > 1", rules.Live), rule("two", "known(metric.a)", rules.Shadow), rule("three", "metric.b > 1", rules.Off),
			}},
			{Code: "look", Rules: []rules.Rule{rule("four", "user.isNew", rules.Live)}},
		},
		Otherwise: rules.ActionRules{Rules: []rules.Rule{rule("five", "metric.d > 1", rules.Live)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"pay": "a c", "look": "", "anything": "d"} {
		var names []string
		for _, m := range set.MetersOf(code) {
			names = append(names, m.Name())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("rules of %s read %q; want %q", code, got, want)
		}
	}
	if len(set.Meters()) != 4 {
		t.Errorf("the set has %d meters", len(set.Meters()))
	}
}
