package metrics

import (
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Replay folds a log once more, at the caller's pace, to see what metrics were at
// any position of it. It is for one goroutine.
type Replay struct{ board *board }

// NewReplay makes windows for meters, at most rules.MaxMetrics different ones, that
// hold nothing. They take at most maxBytes, 0 meaning DefaultMaxBytes.
func NewReplay(meters []*rules.Meter, maxBytes int64) *Replay {
	orDefault(&maxBytes, DefaultMaxBytes)
	return &Replay{newBoard(newLayout(meters), maxBytes)}
}

// Fold adds the next events of the log. It returns an error when recorded facts
// cannot be read.
func (r *Replay) Fold(run []events.Event) error { return r.board.fold(run, true, nil) }

// Read fills facts.Metrics with what the metrics of an action were, as of the last
// event that was folded; the windows end at facts.Now.
func (r *Replay) Read(set *rules.Set, code string, facts *rules.Facts) {
	facts.Metrics = nil
	if meters := set.MetersOf(code); len(meters) > 0 {
		r.board.read(meters, facts)
	}
}

// Forget gives back the memory of what has left every window that ends at a time
// or later.
func (r *Replay) Forget(before time.Time) { r.board.sweep(before) }
