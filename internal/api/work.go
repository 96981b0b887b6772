package api

import (
	"context"
	"net/http"
	"time"
)

// Costly calls are those that compile, analyse or replay rules or take a list in:
// seconds of work in the worst case, beside which decisions must stay fast. So
// few of a kind run at once; a caller waits a little for a turn and is then told
// to come again.
const (
	costlyAtOnce = 2
	costlyWait   = 3 * time.Second
)

// MaxCostly is the longest time for one costly call.
const MaxCostly = 45 * time.Second

// work is the turns of costly calls. Who may only look keeps nobody from changing
// what is in force, and nothing stands in the way of going back to an older set.
type work struct {
	checks      turns // checks, tests, backtests, replays, explanations
	texts       turns // definitions that are read and no more
	publishing  turns
	rollingBack turns
	imports     turns // of lists
}

func newWork() work {
	return work{checks: newTurns(), texts: newTurns(), publishing: newTurns(), rollingBack: newTurns(), imports: newTurns()}
}

// turns holds a token for each call of its kind that runs.
type turns chan struct{}

func newTurns() turns { return make(turns, costlyAtOnce) }

// costly lets a handler run when it is its turn. The body is read before, for how
// long that takes is up to the caller.
func (t turns) costly(do handler) handler {
	run := t.streaming(do)
	return func(k *call) error {
		body, err := k.body(MaxRulesBody)
		if err != nil {
			return err
		}
		k.ahead = body
		return run(k)
	}
}

// streaming is costly for bodies that are too large to be read before.
func (t turns) streaming(do handler) handler {
	return func(k *call) error {
		wait := time.NewTimer(costlyWait)
		defer wait.Stop()
		select {
		case t <- struct{}{}:
			defer func() { <-t }()
			return do(k)
		case <-wait.C:
			return &Error{
				Status: http.StatusTooManyRequests, Code: codeTooMany, RetryAfter: 5 * time.Second,
				Description: "Too many calls of this kind are being worked on. Try again in a few seconds.",
			}
		case <-k.Request().Context().Done():
			return k.Request().Context().Err()
		}
	}
}

// withinCostly bounds the work of a costly call.
func (k *call) withinCostly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(k.Request().Context(), MaxCostly)
}
