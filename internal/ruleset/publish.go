package ruleset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// publication is a definition on its way into force.
type publication struct {
	base         int // Latest for any
	draft        string
	revision     int // of the draft
	definition   rules.Definition
	author, note string
}

// latestTries is how often a publication on top of any set is repeated when
// another one comes first.
const latestTries = 5

// Publish compiles a definition and makes it the next set, in force on this node
// when Publish returns. Base is the number of the set that was edited, 0 for the
// first and Latest for any. Lists that it declares and that are not there are
// created, empty. It returns *rules.CompileError when the definition does not
// compile or declares a list with another type than the list has, *TestsError
// when its tests fail, ErrApprovalRequired when sets must come from drafts, and
// *ConflictError, which is an engine.ErrConflict, when base is not in force any
// more.
func (k *Keeper) Publish(ctx context.Context, base int, d rules.Definition, author, note string) (rules.Version, error) {
	if k.approval {
		return rules.Version{}, ErrApprovalRequired
	}
	return k.publish(ctx, publication{base: base, definition: d, author: author, note: note})
}

func (k *Keeper) publish(ctx context.Context, p publication) (rules.Version, error) {
	for try := 1; ; try++ {
		published, err := k.publishOnce(ctx, p)
		if p.base != Latest || try == latestTries || !errors.Is(err, engine.ErrConflict) {
			return published, err
		}
	}
}

// publishOnce compiles once: the set that was checked is the one that comes into
// force. So its number and time are fixed before the store has them.
func (k *Keeper) publishOnce(ctx context.Context, p publication) (rules.Version, error) {
	number, err := k.store.CurrentRulesNumber(ctx)
	if err != nil {
		return rules.Version{}, fmt.Errorf("read number of rule set: %w", err)
	}
	if p.base != Latest && p.base != number {
		return rules.Version{}, k.conflict(ctx, p.base)
	}
	set, err := rules.Compile(rules.Version{
		Number: number + 1, Definition: p.definition, Author: p.author, Note: p.note,
		PublishedAt: k.now().UTC().Truncate(time.Microsecond),
	})
	if err != nil {
		return rules.Version{}, fmt.Errorf("compile rule set: %w", err)
	}
	if err := failing(set.RunTests()); err != nil {
		return rules.Version{}, err
	}
	published, err := k.store.PublishRules(ctx, number, set.Version(), p.draft, p.revision)
	if errors.Is(err, engine.ErrConflict) {
		return rules.Version{}, k.conflict(ctx, number)
	}
	if err != nil {
		return rules.Version{}, fmt.Errorf("publish rule set: %w", err)
	}
	k.swap(set)
	return published, nil
}

// failing is a *TestsError when a test has failed.
func failing(results []rules.TestResult) error {
	var failed []rules.TestResult
	for _, r := range results {
		if !r.Passed {
			failed = append(failed, r)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &TestsError{Failed: failed, Of: len(results)}
}

// conflict says what happened since the set that was edited. Where that cannot
// be found out, and where a draft rather than the set has changed, it is a plain
// engine.ErrConflict.
func (k *Keeper) conflict(ctx context.Context, base int) error {
	plain := fmt.Errorf("publish rule set: %w", engine.ErrConflict)
	current, err := k.store.CurrentRules(ctx)
	if err != nil || current.Number == base {
		return errors.Join(plain, err)
	}
	e := &ConflictError{Base: base, Current: current}
	e.Current.Definition = rules.Definition{}
	return e
}
