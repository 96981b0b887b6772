package engine

import "github.com/sallyport/sallyport/rules"

// readsMetrics tells whether the rules of an action may read a metric.
func readsMetrics(set *rules.Set, _ string) bool {
	return len(set.Version().Definition.Metrics) > 0
}
