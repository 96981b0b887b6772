package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// evaluation is what the rules said, and about which facts.
type evaluation struct {
	rules.Result
	facts rules.Facts
}

// baseFacts are what every action has, whatever the signal sources know.
func baseFacts(a *Action, now time.Time) *rules.Facts {
	return &rules.Facts{
		User:   rules.UserFacts{ID: string(a.User)},
		Action: rules.ActionFacts{Code: a.Code},
		Custom: a.Custom,
		Now:    now,
	}
}

// evaluate gathers the facts and asks the rules, in no more than the deadline.
// The caller's own cancellation does not shorten it: a caller that hangs up must
// not be able to choose the failure outcome.
func (e *Engine) evaluate(ctx context.Context, set *rules.Set, a Action, profile Profile, now time.Time) (evaluation, error) {
	if e.immediate {
		return e.answer(context.WithoutCancel(ctx), set, &a, &profile, now)
	}
	select {
	case e.undecided <- struct{}{}:
	default:
		return evaluation{}, fmt.Errorf("%d decisions wait for a signal source", maxUndecided)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.Deadline)
	defer cancel()
	type answer struct {
		evaluation evaluation
		err        error
	}
	done := make(chan answer, 1)
	// A source that ignores its context keeps this goroutine, not the caller; it
	// works on copies, so what it writes late is seen by nobody.
	go func() {
		defer func() { <-e.undecided }()
		v, err := e.answer(ctx, set, &a, &profile, now)
		done <- answer{v, err}
	}()
	select {
	case got := <-done:
		return got.evaluation, got.err
	case <-ctx.Done():
		return evaluation{}, fmt.Errorf("gather facts: %w", ctx.Err())
	}
}

// answer gathers the facts and asks the rules.
func (e *Engine) answer(ctx context.Context, set *rules.Set, a *Action, profile *Profile, now time.Time) (evaluation, error) {
	facts := baseFacts(a, now)
	if err := e.gather(ctx, a, profile, facts); err != nil {
		return evaluation{}, err
	}
	return evaluation{set.Evaluate(a.Code, facts), *facts}, nil
}

// gather asks every source in turn. A panic in one is an error of that source.
func (e *Engine) gather(ctx context.Context, a *Action, profile *Profile, facts *rules.Facts) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("gather facts: a signal source panicked: %v", r)
		}
	}()
	for _, source := range e.config.Signals {
		if err := source.Facts(ctx, a, profile, facts); err != nil {
			return fmt.Errorf("gather facts: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("gather facts: %w", errors.Join(err, context.Cause(ctx)))
		}
	}
	return nil
}
