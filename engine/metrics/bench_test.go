package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// BenchmarkCostlyConditions is what the committer waits for, and what the caller of
// a decision waits for, per action with a long text whose metrics cost as much as
// may be published.
func BenchmarkCostlyConditions(b *testing.B) {
	var set *rules.Set
	definition := rules.Definition{Fields: []rules.Field{{Name: "note", Type: rules.TypeString}}}
	for i := range rules.MaxMetrics { // as many as fit
		definition.Metrics = append(definition.Metrics, rules.Metric{
			Name: fmt.Sprint("m", i), Function: rules.Count, Counts: rules.CountChallenges, Window: "1h",
			Where: fmt.Sprintf("custom.note.matches('(a+b?)+%d')", i),
		})
		compiled, err := rules.Compile(rules.Version{Number: 1, Definition: definition})
		if err != nil {
			break
		}
		set = compiled
	}
	if set == nil {
		b.Fatal("not even one metric fits")
	}
	o := occurrence{at: base, user: "u", outcome: rules.Challenge}
	facts := o.facts()
	facts.Custom = map[string]any{"note": strings.Repeat("a", rules.MaxStringBytes)}
	for _, where := range []string{"committer, prepared", "committer, not prepared", "caller"} {
		b.Run(where, func(b *testing.B) {
			log := &journal{}
			w, _ := start(b, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday})
			ready(b, w)
			for n := 0; b.Loop(); n++ {
				b.StopTimer()
				o.key = fmt.Sprint(n)
				d := o.draft(b, false)
				d.Local = &rules.Occurrence{Facts: facts, Outcome: rules.Challenge}
				if where == "caller" {
					b.StartTimer()
				}
				if where != "committer, not prepared" {
					w.Prepare(&d)
				}
				if where == "caller" {
					continue
				}
				run := []events.Event{log.append(7, d)[0]}
				b.StartTimer()
				w.Committed(run)
			}
			b.ReportMetric(float64(len(set.Meters())), "metrics")
		})
	}
}
