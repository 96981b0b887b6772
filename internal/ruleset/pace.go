package ruleset

import (
	"runtime"
	"time"
)

// Compiling a large set takes a second of processor time and some hundred
// megabytes of garbage. Requests must not notice: those that wait for a processor
// go first after each condition, and after each stint of work comes a rest, in
// which the collector keeps up. A rest is up to a millisecond long where nothing
// else wakes the process, so compiling takes about half as long again.
const (
	stint = time.Millisecond
	rest  = 250 * time.Microsecond
)

// besideRequests returns a function for rules.CompileBeside.
func besideRequests() func() {
	begun := time.Now()
	return func() {
		if time.Since(begun) < stint {
			runtime.Gosched()
			return
		}
		time.Sleep(rest)
		begun = time.Now()
	}
}
