package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// This is the management API of the wire protocol (CONTRACT 2.6), which makes
// Authsignal's Terraform provider and management SDK work. Its objects are parts
// of the definition in force: each change publishes the next set.

// editTries is how often a change is made again when somebody else has published
// a set in the meantime. Terraform makes ten changes at a time.
const editTries = 10

// inForce is the newest definition, also when another node has just published it:
// who has created something must find it.
func (s *Server) inForce(ctx context.Context) (rules.Definition, error) {
	if err := s.config.Rules.Refresh(ctx); err != nil {
		return rules.Definition{}, fmt.Errorf("read rules: %w", err)
	}
	return s.config.Rules.Current().Version().Definition, nil
}

// edit publishes a change of the definition in force. The change gets a copy that
// shares everything below its own slices, so it must copy what it touches; it may
// be called several times. One that changes nothing publishes nothing.
func (s *Server) edit(k *call, note string, change func(*rules.Definition) error) error {
	if err := s.mayEdit(); err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	select {
	case s.edits <- struct{}{}: // changes on one node need not overtake each other
		defer func() { <-s.edits }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	var attempted rules.Definition
	for range editTries {
		if err := s.config.Rules.Refresh(ctx); err != nil {
			return fmt.Errorf("read rules: %w", err)
		}
		version := s.config.Rules.Current().Version()
		definition := version.Definition
		if err := change(&definition); err != nil {
			return err
		}
		if reflect.DeepEqual(definition, version.Definition) {
			return nil
		}
		if err := checkSize(&definition); err != nil {
			return err
		}
		attempted = definition
		if _, err = s.config.Rules.Publish(ctx, version.Number, definition, events.ByManagement, note); !errors.Is(err, engine.ErrConflict) {
			break
		}
	}
	if err != nil {
		return inWireWords(fmt.Errorf("change rules: %w", err), &attempted)
	}
	return nil
}

// checkSize keeps a definition that grows change by change as small as one that
// is sent at once, so that it can be exported and applied again.
func checkSize(d *rules.Definition) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("measure rules: %w", err)
	}
	if len(text) > rules.MaxDefinitionBytes {
		return invalid(fmt.Sprintf("The rule set would be larger than %d MiB.", rules.MaxDefinitionBytes>>20))
	}
	return nil
}

// mayEdit refuses direct changes while a second person must approve each set.
func (s *Server) mayEdit() error {
	if s.config.Rules.ApprovalRequired() {
		return fmt.Errorf("change rules: %w", ruleset.ErrApprovalRequired)
	}
	return nil
}

// actionIn finds the rules of an action in a definition.
func actionIn(d *rules.Definition, code string) (rules.ActionRules, bool) {
	if i := indexOfAction(d, code); i >= 0 {
		return d.Actions[i], true
	}
	return rules.ActionRules{}, false
}

func indexOfAction(d *rules.Definition, code string) int {
	return slices.IndexFunc(d.Actions, func(a rules.ActionRules) bool { return a.Code == code })
}

// setAction replaces the rules of an action, or adds them.
func setAction(d *rules.Definition, a rules.ActionRules) {
	d.Actions = slices.Clone(d.Actions)
	if i := indexOfAction(d, a.Code); i >= 0 {
		d.Actions[i] = a
		return
	}
	d.Actions = append(d.Actions, a)
}

// optional is a member of a request that may be absent or null, which differ: a
// PATCH leaves the one as it is and takes the other away.
type optional[T any] struct {
	sent  bool
	null  bool
	value T
}

// UnmarshalJSON implements json.Unmarshaler; it is called for null too.
func (o *optional[T]) UnmarshalJSON(text []byte) error {
	o.sent = true
	if bytes.Equal(text, []byte("null")) {
		o.null = true
		return nil
	}
	return json.Unmarshal(text, &o.value)
}

// set changes a value when the member was sent; null makes it the zero value.
func (o *optional[T]) set(value *T) {
	if o.sent {
		*value = o.value
	}
}

// required refuses null.
func (o *optional[T]) required(field string) error {
	if o.null {
		return invalidField(field, "must not be null.")
	}
	return nil
}

// kept is a member that is kept as it was sent, whatever it means.
type kept = optional[json.RawMessage]

// keep changes a text that holds JSON.
func keep(o *kept, text *string) {
	if o.sent {
		*text = string(o.value)
	}
}

// raw is kept JSON on its way out. Other text than JSON, which a definition may
// hold, is left out.
func raw(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}

// member is one member of an object whose values keep their bytes.
type member struct {
	name  string
	value json.RawMessage // nil: the member is left out
}

// object writes members as they stand. encoding/json would take the white space
// out of them, and Terraform compares conditions with what it has sent.
func object(members ...member) []byte {
	out := []byte("{")
	for _, m := range members {
		if m.value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendString(out, m.name)
		out = append(append(out, ':'), m.value...)
	}
	return append(out, '}')
}

// with is a member with a value of Go; an empty text, list or nil is left out.
func with[T any](name string, value T) member {
	v := reflect.ValueOf(value)
	if !v.IsValid() || (v.Kind() == reflect.String || v.Kind() == reflect.Slice) && v.Len() == 0 {
		return member{name: name}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return member{name: name} // strings, numbers, booleans and lists of them always encode
	}
	return member{name: name, value: text}
}

// array writes objects one after another.
func array(items [][]byte) []byte {
	return append(append([]byte("["), bytes.Join(items, []byte(","))...), ']')
}

// send answers 200 with JSON that is written already.
func (k *call) send(body []byte) error { return k.write(http.StatusOK, append(body, '\n')) }

// alreadyThere is a 409 about something that is created twice.
func alreadyThere(description string) *Error {
	return &Error{Status: http.StatusConflict, Code: codeConflict, Description: description}
}
