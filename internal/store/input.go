package store

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// The longest input that is stored, bytes. They are wider than what the API
// allows and keep one caller from making a group slow for all.
const (
	maxName  = 1 << 10 // ids, codes, keys, addresses
	maxText  = 8 << 10 // texts, user agents, notes
	maxBytes = 1 << 20 // JSON documents and event bodies
	// maxDefinition is twice what the rules allow as text, since JSON takes more room than YAML.
	maxDefinition = 2 * rules.MaxDefinitionBytes
)

// input collects what is wrong with the input of a write before it joins a
// group: PostgreSQL refuses zero bytes and broken UTF-8, and one refusal would
// cost the whole group its transaction.
type input struct{ err error }

func (in *input) refuse(field, format string, a ...any) {
	if in.err == nil {
		in.err = &engine.InputError{Field: field, Message: fmt.Sprintf(format, a...)}
	}
}

func (in *input) text(field, value string, longest int) {
	switch {
	case len(value) > longest:
		in.refuse(field, "is longer than %d bytes", longest)
	case strings.IndexByte(value, 0) >= 0:
		in.refuse(field, "contains a zero byte")
	case !utf8.ValidString(value):
		in.refuse(field, "is not UTF-8")
	}
}

// unstorable reports whether no stored text can be equal to value: a look-up for
// it finds nothing, and PostgreSQL need not be asked, which would refuse it.
func unstorable(values ...string) bool {
	for _, value := range values {
		if strings.IndexByte(value, 0) >= 0 || !utf8.ValidString(value) {
			return true
		}
	}
	return false
}

func (in *input) name(field, value string) { in.text(field, value, maxName) }

// id is a name that must be there.
func (in *input) id(field, value string) {
	if value == "" {
		in.refuse(field, "is empty")
	}
	in.name(field, value)
}

func (in *input) bytes(field string, value []byte) {
	if len(value) > maxBytes {
		in.refuse(field, "is longer than %d bytes", maxBytes)
	}
}

func (in *input) definition(value []byte) {
	if len(value) > maxDefinition {
		in.refuse("definition", "is longer than %d bytes", maxDefinition)
	}
}

// place refuses what is no point on earth: NaN would be NULL in SQLite.
func (in *input) place(p *engine.Place) {
	if p != nil && !(math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180) {
		in.refuse("place", "is not on earth")
	}
}

func (in *input) action(id events.ActionID) {
	in.id("userId", string(id.User))
	in.id("action", id.Code)
	in.id("idempotencyKey", id.Key)
}

func (in *input) draft(d events.Draft) {
	in.name("event", string(d.Kind))
	in.name("event", string(d.State))
	in.name("event", string(d.Action.User))
	in.name("event", d.Action.Code)
	in.name("event", d.Action.Key)
	in.bytes("event", d.Body)
	in.bytes("event", d.Personal)
	if d.Kind == "" || len(d.Body) == 0 {
		in.refuse("event", "is empty")
	}
}
