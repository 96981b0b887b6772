package ruleset

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

var (
	// ErrApprovalRequired means that a set must be published from a draft that a
	// second person has approved.
	ErrApprovalRequired = errors.New("a second person must approve before this is published")
	// ErrInForce means that somebody wants to go back to the set that is in force.
	ErrInForce = errors.New("this rule set is in force")
	// ErrNoPerson means that an approval did not come from a person.
	ErrNoPerson = errors.New("only an operator can approve")
)

// TestsError means that tests of a definition fail. Nothing was published.
type TestsError struct {
	Failed []rules.TestResult // at least one
	Of     int                // how many tests there are
}

// Error names the tests that fail.
func (e *TestsError) Error() string {
	names := make([]string, len(e.Failed))
	for i, t := range e.Failed {
		names[i] = fmt.Sprintf("%q", t.Name)
	}
	return fmt.Sprintf("%d of %d tests fail: %s", len(e.Failed), e.Of, strings.Join(names, ", "))
}

// ConflictError means that another set than the one that was edited is in force.
// It is an engine.ErrConflict that says what happened in between.
type ConflictError struct {
	Base    int            // number of the set that was edited
	Current rules.Version  // the set in force, without its definition
	Changes []rules.Change // from the set that was edited to the one in force
}

// Error names both sets.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("rule set %d was edited, but %d by %s is in force", e.Base, e.Current.Number, e.Current.Author)
}

// Is makes the error an engine.ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == engine.ErrConflict }

// UnreadableError means that a set that was published once does not compile with
// this build any more.
type UnreadableError struct {
	Number int
	Err    *rules.CompileError
}

// Error names the set and its problems.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("rule set %d cannot be used by this build: %v", e.Number, e.Err)
}

// Unwrap hides the problems from those who look for mistakes in what was sent.
func (e *UnreadableError) Unwrap() error { return nil }
