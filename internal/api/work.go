package api

import (
	"context"
	"net/http"
	"time"
)

// Costly calls are those that compile, analyse or replay rules or take a list in:
// seconds of work in the worst case, beside which decisions must stay fast. So
// few of them run at once; a caller waits a little for a turn and is then told to
// come again.
const (
	costlyAtOnce = 2
	costlyWait   = 3 * time.Second
)

// MaxCostly is the longest time for one costly call.
const MaxCostly = 45 * time.Second

// costly lets a handler run when it is its turn.
func (s *Server) costly(do handler) handler {
	return func(k *call) error {
		wait := time.NewTimer(costlyWait)
		defer wait.Stop()
		select {
		case s.turns <- struct{}{}:
			defer func() { <-s.turns }()
			return do(k)
		case <-wait.C:
			return &Error{
				Status: http.StatusTooManyRequests, Code: codeTooMany, RetryAfter: 5 * time.Second,
				Description: "Other rule sets are being checked or replayed. Try again in a few seconds.",
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
