package ruleset

import "time"

// Compiling a large set takes a second of processor time and half a gigabyte of
// garbage. Requests must not notice, so after each stint of work comes a rest, in
// which they get the processor and the collector keeps up.
const (
	stint = 2 * time.Millisecond
	rest  = 500 * time.Microsecond // about twice that where nothing else wakes the process
)

// besideRequests returns a function for rules.CompileBeside.
func besideRequests() func() {
	begun := time.Now()
	return func() {
		if time.Since(begun) >= stint {
			time.Sleep(rest)
			begun = time.Now()
		}
	}
}
