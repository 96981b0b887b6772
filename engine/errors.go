package engine

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/events"
)

var (
	// ErrUnavailable means that a decision could not be kept in time. Nothing was
	// decided; the same call may be made again.
	ErrUnavailable = errors.New("the decision cannot be recorded now")
	// ErrNotFound means that what was asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that something else was written in between.
	ErrConflict = errors.New("changed in the meantime")
)

// InputError is a value that was sent and cannot be used. Nothing was recorded.
type InputError struct {
	Field   string // name on the wire, such as custom.amount
	Message string // what is wrong and what to send, as one clause
}

// Error names the field and what is wrong with it.
func (e *InputError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Message) }

// MoveError is a change of state that the transition table refuses.
type MoveError struct {
	From, To events.ActionState
}

// Error names both states.
func (e *MoveError) Error() string {
	return fmt.Sprintf("an action in state %s cannot become %s", e.From, e.To)
}
