package readertest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
)

// epoch is the epoch of every log in the suite. Its highest bit is set, for some
// databases keep 64-bit numbers with a sign.
const epoch events.Epoch = 0xf00dfacecafe0001

// start is the time of a log's first event. Its last digit is a microsecond.
var start = time.Date(2026, 1, 31, 23, 59, 59, 123_456_000, time.UTC)

// builder makes a log, numbering events from 1.
type builder struct {
	t   *testing.T
	log []events.Event
}

// add appends a record that happened at start plus after.
func (b *builder) add(after time.Duration, record events.Record, personal events.Personal) events.Event {
	b.t.Helper()
	draft, err := events.NewDraft(record, personal, start.Add(after))
	if err != nil {
		b.t.Fatal(err)
	}
	e := draft.At(events.Position{Epoch: epoch, Seq: uint64(len(b.log)) + 1})
	b.log = append(b.log, e)
	return e
}

// track appends a decision with the state that goes with its outcome.
func (b *builder) track(after time.Duration, id events.ActionID, outcome string) events.Event {
	b.t.Helper()
	state := map[string]events.ActionState{
		"ALLOW": events.StateAllow, "CHALLENGE": events.StateChallengeRequired,
		"REVIEW": events.StateReviewRequired, "BLOCK": events.StateBlock,
	}[outcome]
	return b.add(after, events.ActionTracked{ActionID: id, State: state, Outcome: outcome, Reason: "default", Set: 1}, nil)
}

// id names the n-th action of a user.
func id(user, code string, n int) events.ActionID {
	return events.ActionID{User: events.UserID(user), Code: code, Key: fmt.Sprintf("key-%d", n)}
}

// keys are the actions of decisions, readable in a difference.
func keys(list []events.Decision) []string {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = fmt.Sprintf("%s/%s/%s at %d", d.User, d.Code, d.Key, d.Seq)
	}
	return names
}

// sameJSON writes JSON in one way, so that only its meaning is compared.
func sameJSON(t *testing.T, text json.RawMessage) string {
	t.Helper()
	if len(text) == 0 {
		return ""
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	canonical, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(canonical)
}
