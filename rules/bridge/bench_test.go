package bridge_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/bridge"
)

const usual = `custom.amount > 1000 && (ip.countryCode in ["DE", "FR"] || ip.address in list.suspects) && !device.isNew && size(custom.payee) > 3`

// BenchmarkParse reads a condition of usual size, which includes compiling it.
func BenchmarkParse(b *testing.B) {
	bridged := bridge.New(&definition)
	for b.Loop() {
		if _, problems := bridged.Parse(usual); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkFormat writes the same tree, which includes compiling it.
func BenchmarkFormat(b *testing.B) {
	bridged := bridge.New(&definition)
	tree, problems := bridged.Parse(usual)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	for b.Loop() {
		if _, problems := bridged.Format(tree); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// BenchmarkJSONLogic writes the same tree as JsonLogic and reads it again.
func BenchmarkJSONLogic(b *testing.B) {
	bridged := bridge.New(&definition)
	tree, problems := bridged.Parse(usual)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	for b.Loop() {
		logic, problems := bridged.JSONLogic(tree)
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		if _, problems = bridged.ReadJSONLogic(logic); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// withMetrics is the usual definition with some more metrics.
func withMetrics(n int) rules.Definition {
	d := definition
	for i := range n {
		d.Metrics = append(d.Metrics[:len(d.Metrics):len(d.Metrics)], rules.Metric{
			Name: fmt.Sprint("m", i), Function: rules.Count, Window: "1h", Where: "custom.amount > 100 && !device.isNew",
		})
	}
	return d
}

// BenchmarkList shows the conditions of 10,000 rules as JsonLogic, as the wire
// protocol lists them, for a definition with as many metrics as there may be.
func BenchmarkList(b *testing.B) {
	d := withMetrics(rules.MaxMetrics - 1)
	for b.Loop() {
		bridged := bridge.New(&d)
		for i := range 10_000 {
			when := fmt.Sprintf(`custom.amount > %d.5 && (ip.countryCode in ["DE", "FR"] || metric.m%d > 3) && !device.isNew`, i, i%(rules.MaxMetrics-1))
			if _, problems := bridged.JSONLogic(bridged.Tree(when)); len(problems) > 0 {
				b.Fatal(problems)
			}
		}
	}
}
