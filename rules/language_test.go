package rules_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

// TestALanguageFindsInAConditionWhatCheckFinds compares it with the whole check
// of a definition with that condition alone.
func TestALanguageFindsInAConditionWhatCheckFinds(t *testing.T) {
	d := rules.Definition{
		Fields:  []rules.Field{{Name: "amount", Type: rules.TypeNumber}, {Name: "payee", Type: rules.TypeString}, {Name: "tier", Type: rules.TypeString, Scope: rules.OfUser}, {Name: "no name", Type: "what"}},
		Metrics: []rules.Metric{{Name: "paid", Function: rules.Sum, Of: "custom.amount", Window: "1h"}, {Name: "broken", Function: "what"}},
		Lists:   []rules.List{{Name: "suspects", Type: rules.ListOfRanges}, {Name: "blocked", Type: rules.ListOfStrings}, {Name: "odd", Type: rules.ListOfNumbers}},
	}
	conditions := []string{
		"true", "", " ", "custom.amount > 1", "custom.amuont > 1", "custom.amount", "a &&", "custom.payee == 1", "metric.paid > 3", "metric.broken > 1", "metric.piad > 3",
		"ip.address in list.suspects", "!(ip.address in list.suspects) || ip.address in list.suspects && user.email in list.blocked && custom.amount in list.odd",
		"ip.address in list.suspects && !(ip.address in list.suspects)", "(ip.address in list.suspects) == (custom.payee in list.blocked)",
		"(ip.address in list.suspects) + 1 == 2", "list.suspects", "ip.address in list.nobody", "custom.amount in list.suspects", "'x' in list.blocked", "[1].exists(x, x in list.odd)",
		"now in list", "user.custom.tier.matches('(')", "custom.payee.matches(custom.payee)", "timestamp('yesterday') < now", "custom.payee.matches('(x+x+)+y[a-z]{900}')",
		strings.Repeat("custom.payee.matches('[a-z]{900}') || ", 40) + "true", strings.Repeat("custom.amount == 1 || ", 400) + "true",
		strings.Repeat("x", rules.MaxExpressionBytes+1), "\xff", "device.isNew ? 1 : 2", "known(custom.payee) && known(metric.paid)", "now.getHours('Mars') > 3",
		strings.Repeat("q", 900) + " == 1",
	}
	var many []string
	for i := range 250 {
		list := fmt.Sprint("l", i)
		d.Lists = append(d.Lists, rules.List{Name: list, Type: rules.ListOfStrings})
		many = append(many, "custom.payee in list."+list)
		if n := len(many); n == 30 || n == 160 || n == 166 || n == 250 {
			conditions = append(conditions, strings.Join(many, " || "), strings.Join(many, " && "))
		}
	}
	corpus, err := os.ReadFile("bridge/testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(corpus)) {
		conditions = append(conditions, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "locked: "))
	}
	language, err := rules.NewLanguage(&d)
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := 0, 0
	for _, when := range conditions {
		probe := d
		probe.Otherwise.Rules = []rules.Rule{{ID: "r", Name: "R", When: when, Outcome: rules.Block}}
		var want []rules.Problem
		for _, p := range rules.Check(probe) {
			if strings.HasPrefix(p.Field, "otherwise.") {
				p.Field, p.Rule = "", ""
				want = append(want, p)
			}
		}
		if len(want) == 0 {
			right++
		} else {
			wrong++
		}
		if diff := cmp.Diff(want, language.Check(when)); diff != "" {
			t.Errorf("%.200q (-Check +Language):\n%s", when, diff)
		}
	}
	if right < 50 || wrong < 20 {
		t.Errorf("%d conditions are right and %d wrong", right, wrong)
	}
}

// BenchmarkLanguage checks a condition of usual size beside 64 metrics.
func BenchmarkLanguage(b *testing.B) {
	d := rules.Definition{Fields: []rules.Field{{Name: "amount", Type: rules.TypeNumber}}, Lists: []rules.List{{Name: "suspects", Type: rules.ListOfRanges}}}
	for i := range rules.MaxMetrics {
		d.Metrics = append(d.Metrics, rules.Metric{Name: fmt.Sprint("m", i), Function: rules.Count, Window: "1h", Where: "custom.amount > 100 && !device.isNew"})
	}
	b.Run("prepared", func(b *testing.B) {
		for b.Loop() {
			if _, err := rules.NewLanguage(&d); err != nil {
				b.Fatal(err)
			}
		}
	})
	language, err := rules.NewLanguage(&d)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("condition", func(b *testing.B) {
		for b.Loop() {
			if problems := language.Check(`custom.amount > 1000 && (ip.countryCode in ["DE", "FR"] || ip.address in list.suspects) && !device.isNew`); len(problems) > 0 {
				b.Fatal(problems)
			}
		}
	})
}
