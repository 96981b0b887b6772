package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/sallyport/sallyport/events"
)

// stripes is how many locks people share. Two people with one lock only wait for
// each other, so it need not be larger than a multiple of the callers at a time.
const stripes = 4096

// turns lets one action of a person be decided at a time. It is used where rules
// read metrics: the second of two actions must count the first, whose event is
// there only once it is committed. People are spread over a fixed number of locks
// by a hash with a random seed, so that nobody can choose ids that collide.
type turns struct {
	seed  maphash.Seed
	locks [stripes]chan struct{}
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed()}
	for i := range t.locks {
		t.locks[i] = make(chan struct{}, 1)
	}
	return t
}

// errTurn means that earlier actions of the person took too long.
var errTurn = errors.New("earlier actions of the same person are still being decided")

// take waits for a person's turn, first come first served. It returns errTurn
// after the limit and the cause of ctx when that ends first. The turn ends with
// the returned function, which is nil when there is an error.
func (t *turns) take(ctx context.Context, user events.UserID, limit time.Duration) (end func(), err error) {
	lock := t.locks[maphash.String(t.seed, string(user))%stripes]
	end = func() { <-lock }
	select {
	case lock <- struct{}{}:
		return end, nil
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case lock <- struct{}{}:
		return end, nil
	case <-timer.C:
		return nil, errTurn
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for earlier actions of the same person: %w", context.Cause(ctx))
	}
}
