package rules_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/bench/workload"
	"github.com/sallyport/sallyport/rules"
)

// many is how many rules the benchmarks below evaluate.
const many = 10_000

// thousands is a set of many rules, facts for it, and the oracle.
func thousands(tb testing.TB, kind workload.Kind) (*rules.Set, *rules.Oracle, []*rules.Facts) {
	tb.Helper()
	set := mustCompile(tb, workload.Definition(kind, many))
	oracle, err := rules.NewOracle(set)
	if err != nil {
		tb.Fatal(err)
	}
	var facts []*rules.Facts
	for _, a := range workload.Actions(64) {
		facts = append(facts, a.Facts())
	}
	for _, f := range facts[:2] {
		if diff := cmp.Diff(oracle.Evaluate("payment", f), set.Evaluate("payment", f)); diff != "" {
			tb.Fatal(diff)
		}
	}
	return set, oracle, facts
}

// BenchmarkIndex and BenchmarkPlain decide the same actions by the same rules,
// the one with the index and the other with cel-go alone. Their ratio is what the
// index is worth.
func BenchmarkIndex(b *testing.B) {
	for _, kind := range workload.Kinds() {
		b.Run(string(kind), func(b *testing.B) {
			set, _, facts := thousands(b, kind)
			b.ReportAllocs()
			matches := 0
			for i := 0; b.Loop(); i++ {
				matches += set.Evaluate("payment", facts[i%len(facts)]).Count
			}
			b.ReportMetric(float64(matches)/float64(b.N), "matches")
			b.ReportMetric(float64(set.IndexBytes("payment"))/many, "index-B/rule")
		})
	}
}

func BenchmarkPlain(b *testing.B) {
	for _, kind := range workload.Kinds() {
		b.Run(string(kind), func(b *testing.B) {
			_, oracle, facts := thousands(b, kind)
			for i := 0; b.Loop(); i++ {
				oracle.Evaluate("payment", facts[i%len(facts)])
			}
		})
	}
}

// BenchmarkUnknown decides when no fact is known, which leaves the index with
// nothing to rule out.
func BenchmarkUnknown(b *testing.B) {
	for _, kind := range workload.Kinds() {
		b.Run(string(kind), func(b *testing.B) {
			set, _, _ := thousands(b, kind)
			for b.Loop() {
				set.Evaluate("payment", &rules.Facts{})
			}
		})
	}
}

// BenchmarkCompileMany is the work of publishing, and what a compiled set holds.
func BenchmarkCompileMany(b *testing.B) {
	for _, kind := range workload.Kinds() {
		b.Run(string(kind), func(b *testing.B) {
			version := rules.Version{Number: 1, Definition: workload.Definition(kind, many)}
			heap := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before := heap()
			set, err := rules.Compile(version)
			if err != nil {
				b.Fatal(err)
			}
			held := float64(heap()-before) / many
			runtime.KeepAlive(set)
			for b.Loop() {
				if _, err := rules.Compile(version); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(held, "heap-B/rule")
		})
	}
}

func TestEveryKindOfRuleIsIndexedAsFarAsItSays(t *testing.T) {
	for kind, want := range map[workload.Kind]string{
		workload.Mixed: "100 0 0", workload.Numeric: "100 0 0", workload.Rare: "100 0 0",
		workload.Residual: "70 30 0", workload.Unindexable: "0 0 100",
	} {
		wholly, partly, not := mustCompile(t, workload.Definition(kind, 100)).Indexed("payment")
		if got := fmt.Sprint(wholly, partly, not); got != want {
			t.Errorf("%s: %s rules are indexed wholly, partly and not at all, want %s", kind, got, want)
		}
	}
}
