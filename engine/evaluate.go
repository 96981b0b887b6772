package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// evaluation is what the rules said, and about which facts.
type evaluation struct {
	rules.Result
	facts rules.Facts
	asOf  events.Position // last event in the metrics that were read, the zero value when none was
	lists int64           // version of the lists that were tested, 0 when none was
	data  string          // version of the data that signals looked things up in
}

// baseFacts are what every action has, whatever the signal sources know.
func baseFacts(c *decision, now time.Time) *rules.Facts {
	facts := &rules.Facts{
		User:   rules.UserFacts{ID: string(c.action.User)},
		Action: rules.ActionFacts{Code: c.action.Code},
		Custom: c.action.Custom,
		Now:    now,
	}
	if c.address != "" {
		facts.IP.Address = rules.Known(c.address)
	}
	return facts
}

// evaluate gathers the facts and asks the rules, in no more than the limit. The
// caller's own cancellation does not shorten it: a caller that hangs up must not
// be able to choose the failure outcome.
func (e *Engine) evaluate(ctx context.Context, c *decision, now time.Time) (evaluation, error) {
	if c.late != nil {
		return evaluation{}, c.late
	}
	if e.immediate {
		return e.answer(context.WithoutCancel(ctx), c, now)
	}
	select {
	case e.undecided <- struct{}{}:
	default:
		return evaluation{}, fmt.Errorf("%d decisions wait for a signal source", maxUndecided)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.limit)
	defer cancel()
	type answer struct {
		evaluation evaluation
		err        error
	}
	done := make(chan answer, 1)
	// A source that ignores its context keeps this goroutine, not the caller; it
	// works on copies, so what it writes late is seen by nobody.
	copied := *c
	go func() {
		defer func() { <-e.undecided }()
		v, err := e.answer(ctx, &copied, now)
		done <- answer{v, err}
	}()
	select {
	case got := <-done:
		return got.evaluation, got.err
	case <-ctx.Done():
		return evaluation{}, fmt.Errorf("gather facts: %w", ctx.Err())
	}
}

// answer gathers the facts and asks the rules. A panic on the way, in a signal
// source, the lists, the metrics or the rules, is an error of this decision.
func (e *Engine) answer(ctx context.Context, c *decision, now time.Time) (v evaluation, err error) {
	at := "a signal source"
	defer func() {
		if r := recover(); r != nil {
			v, err = evaluation{}, fmt.Errorf("decide action: %s panicked: %v", at, r)
		}
	}()
	facts := baseFacts(c, now)
	data, err := e.gather(ctx, &c.action, &c.profile, facts)
	if err != nil {
		return evaluation{}, err
	}
	at = "the metrics"
	var asOf events.Position
	if e.config.Metrics != nil && len(c.set.MetersOf(c.action.Code)) > 0 {
		asOf = e.config.Metrics.Read(c.set, c.action.Code, facts)
	}
	at = "the lists"
	version := e.testLists(c, facts)
	at = "the evaluation"
	return evaluation{Result: c.set.Evaluate(c.action.Code, facts), facts: *facts, asOf: asOf, lists: version, data: data}, nil
}

// gather asks every source in turn and returns the versions of their data.
func (e *Engine) gather(ctx context.Context, a *Action, profile *Profile, facts *rules.Facts) (data string, err error) {
	for _, source := range e.config.Signals {
		if versioned, ok := source.(Versioned); ok {
			if version := versioned.Version(); data == "" {
				data = version
			} else if version != "" {
				data = strings.Join([]string{data, version}, "; ")
			}
		}
		if err := source.Facts(ctx, a, profile, facts); err != nil {
			return "", fmt.Errorf("gather facts: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("gather facts: %w", errors.Join(err, context.Cause(ctx)))
		}
	}
	return data, nil
}

// attempts bounds how often list tests are repeated because a list changed in
// between, which happens once a second at most.
const attempts = 3

// testLists fills in the list tests that the action's rules read, all by one
// version of the lists, and returns that version.
func (e *Engine) testLists(c *decision, facts *rules.Facts) int64 {
	lists := e.config.Lists
	if lists == nil || len(c.set.ListTests(c.action.Code)) == 0 {
		return 0
	}
	version := lists.Version()
	for range attempts {
		facts.Lists = nil
		c.set.TestLists(c.action.Code, facts, func(list string, value any) rules.Value[bool] {
			return lists.Test(list, value, facts.Now)
		})
		after := lists.Version()
		if after == version {
			break
		}
		version = after
	}
	return version
}
