package events

import (
	"cmp"
	"slices"
	"time"
)

// SortStory puts events about one action in the order in which they happened:
// by seq within an epoch, and the epochs by their earliest event. Clocks decide
// only between epochs, whose numbers say nothing about their order; within one
// epoch the log does, however far the clocks of its writers are apart.
func SortStory(story []Event) {
	began := map[Epoch]time.Time{}
	for _, e := range story {
		if t, known := began[e.Epoch]; !known || e.Time.Before(t) {
			began[e.Epoch] = e.Time
		}
	}
	slices.SortFunc(story, func(a, b Event) int {
		if a.Epoch != b.Epoch {
			return cmp.Or(began[a.Epoch].Compare(began[b.Epoch]), cmp.Compare(a.Epoch, b.Epoch))
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
}
