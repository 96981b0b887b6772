package ruleset

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/rules"
)

// maxCompiled is how many older sets stay compiled. A set of 10,000 rules takes
// tens of megabytes and a second or two to compile; who looks at decisions looks
// at those of a few sets.
const maxCompiled = 4

// compiled holds the older sets that were asked for last.
type compiled struct {
	turn chan struct{} // holds one token: one set is compiled at a time
	sets []*rules.Set  // at most maxCompiled, the one asked for last first; guarded by turn
}

func newCompiled() compiled { return compiled{turn: make(chan struct{}, 1)} }

// Set is the compiled set of a number, to repeat or explain a decision. It
// returns engine.ErrNotFound when there is none and *UnreadableError when this
// build cannot compile it.
func (k *Keeper) Set(ctx context.Context, number int) (*rules.Set, error) {
	if set := k.Current(); set.Number() == number {
		return set, nil
	}
	select {
	case k.older.turn <- struct{}{}:
		defer func() { <-k.older.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for rule set %d: %w", number, ctx.Err())
	}
	if i := slices.IndexFunc(k.older.sets, func(s *rules.Set) bool { return s.Number() == number }); i >= 0 {
		set := k.older.sets[i]
		k.older.sets = slices.Insert(slices.Delete(k.older.sets, i, i+1), 0, set)
		return set, nil
	}
	version, err := k.store.RulesVersion(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("read rule set %d: %w", number, err)
	}
	set, err := rules.CompileBeside(version, k.current.Load(), besideRequests())
	var compile *rules.CompileError
	if errors.As(err, &compile) {
		return nil, &UnreadableError{Number: number, Err: compile}
	}
	if err != nil {
		return nil, fmt.Errorf("compile rule set %d: %w", number, err)
	}
	k.older.sets = slices.Insert(k.older.sets, 0, set)
	if len(k.older.sets) > maxCompiled {
		k.older.sets = slices.Delete(k.older.sets, maxCompiled, len(k.older.sets))
	}
	return set, nil
}
