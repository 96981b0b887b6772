package rules

import (
	"errors"
	"strconv"
	"time"
)

// WindowSteps is how many steps a window has.
const WindowSteps = 60

// Limits of a window's length, in minutes.
const (
	minWindowMinutes = 1
	maxWindowMinutes = 30 * 24 * 60
)

// MaxWindow is the longest window there can be.
const MaxWindow = maxWindowMinutes * time.Minute

// Window is the written definition of a sliding window; the live engine, replay
// and backtest all count by it.
//
// A window of N minutes counts in 60 steps of N seconds each. The step of a time
// is the number of whole steps since 1970 began (UTC). A window that ends at the
// time T holds what happened in T's own step and in the 59 steps before it; what
// happened in a later step is out. So it reaches back between 59/60 and 60/60 of
// its length, and it moves on by a sixtieth of its length at a time.
//
// Distinct values are among the 1,000 that were most recently seen. Each stands at
// the latest step at which it was seen; one that was seen again after T's step, by
// not more than the window's length, counts as well.
//
// Of each metric the 120 latest steps in which there was anything are kept per
// key. A window of which a part is not kept, because it ended long ago or because
// the clock went far back, is unknown.
//
// Within a step values are added in the order of the log, then the steps in order
// of time. What a metric says is therefore a function of the events alone, to the
// last bit of a sum of decimals.
type Window struct{ seconds int64 } // of a step

var errWindow = errors.New("the window must be whole minutes, hours or days from 1m to 30d, such as 10m, 24h or 30d")

// ParseWindow reads a length such as 10m, 24h or 30d: a whole number without a
// leading zero and one of the units m, h and d, from one minute to 30 days.
func ParseWindow(text string) (Window, error) {
	if len(text) < 2 || len(text) > 8 || text[0] < '1' || text[0] > '9' {
		return Window{}, errWindow
	}
	unit := map[byte]int{'m': 1, 'h': 60, 'd': 24 * 60}[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	minutes := int(n) * unit
	if err != nil || minutes < minWindowMinutes || minutes > maxWindowMinutes {
		return Window{}, errWindow
	}
	return Window{seconds: int64(minutes)}, nil
}

// Length is the nominal length of the window.
func (w Window) Length() time.Duration { return time.Duration(w.seconds) * WindowSteps * time.Second }

// Step is the number of the step that a time is in.
func (w Window) Step(at time.Time) int64 {
	seconds := at.Unix()
	step := seconds / w.seconds
	if seconds%w.seconds < 0 {
		step-- // round towards the past before 1970, too
	}
	return step
}

// From is the first step that a window that ends at end holds; the last is
// Step(end).
func (w Window) From(end time.Time) int64 { return w.Step(end) - (WindowSteps - 1) }

// Holds tells whether a window that ends at end holds what happened at a time.
func (w Window) Holds(end, at time.Time) bool {
	step := w.Step(at)
	return w.From(end) <= step && step <= w.Step(end)
}
