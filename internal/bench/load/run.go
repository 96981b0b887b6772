package load

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Run is one stretch of load on one server.
type Run struct {
	Address string // host:port
	Callers int    // connections, each with one request in flight
	Track   Track
	Prefix  string // of the keys, unique for each run on the same data
	// Pause is how long each caller waits after an answer; 0 means that it does not.
	Pause time.Duration
	// Count ends the run after so many requests; 0 means when the context ends.
	Count uint64
	// Answered is called by each caller with every answer of status 200, before
	// the caller sends its next request. It must be safe for concurrent use. It
	// may be nil.
	Answered func(caller int, action Action)
}

// Result is what a run saw.
type Result struct {
	Requests int // answered with status 200
	Refused  int // answered with another status
	Broken   int // connection lost before the answer was complete
	First    string
	Elapsed  time.Duration
	Latency  []time.Duration // of the answers with status 200, ascending
}

// Quantile is the latency that the given share of requests did not exceed.
func (r Result) Quantile(share float64) time.Duration {
	if len(r.Latency) == 0 {
		return 0
	}
	return r.Latency[min(int(share*float64(len(r.Latency))), len(r.Latency)-1)]
}

// Rate is the number of answers a second.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Do runs the load until the count is reached or ctx ends. A caller whose
// connection breaks stops for good: the server is gone, and the next run begins
// anew. It returns an error only when a caller could not connect at all.
func (r Run) Do(ctx context.Context) (Result, error) {
	conns := make([]*Conn, r.Callers)
	for i := range conns {
		c, err := Dial(r.Address)
		if err != nil {
			for _, open := range conns[:i] {
				_ = open.Close() // nothing was sent on it
			}
			return Result{}, err
		}
		conns[i] = c
	}
	var (
		next    atomic.Uint64
		group   sync.WaitGroup
		results = make([]Result, r.Callers)
		start   = time.Now()
	)
	for i, c := range conns {
		group.Go(func() {
			defer c.Close()
			results[i] = r.call(ctx, i, c, &next)
		})
	}
	group.Wait()
	total := Result{Elapsed: time.Since(start)}
	for _, one := range results {
		total.Requests += one.Requests
		total.Refused += one.Refused
		total.Broken += one.Broken
		if total.First == "" {
			total.First = one.First
		}
		total.Latency = append(total.Latency, one.Latency...)
	}
	slices.Sort(total.Latency)
	return total, nil
}

// call is one caller: request, answer, next request.
func (r Run) call(ctx context.Context, caller int, c *Conn, next *atomic.Uint64) Result {
	var result Result
	var buf []byte
	for first := true; ctx.Err() == nil; first = false {
		if r.Pause > 0 && !first {
			select {
			case <-time.After(r.Pause):
			case <-ctx.Done():
				continue
			}
		}
		n := next.Add(1)
		if r.Count > 0 && n > r.Count {
			break
		}
		action := r.Track.At(r.Prefix, n)
		buf = r.Track.Append(buf[:0], action, n)
		start := time.Now()
		status, body, err := c.Do(buf)
		switch {
		case err != nil && !errors.Is(err, ErrClosing):
			result.Broken++
			result.First = err.Error()
			return result
		case status == 200:
			result.Requests++
			result.Latency = append(result.Latency, time.Since(start))
			if r.Answered != nil {
				r.Answered(caller, action)
			}
		default:
			result.Refused++
			if result.First == "" {
				result.First = string(body)
			}
		}
		if err != nil { // the server closes after this answer
			again, dialled := Dial(r.Address)
			if dialled != nil {
				result.First = dialled.Error()
				return result
			}
			_ = c.Close() // the server closed it already
			*c = *again
		}
	}
	return result
}
