package recordertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// observable is the part of a recorder that tells of what it commits.
type observable interface {
	Observe(func([]events.Event))
}

// suspect is an addition to a list of addresses.
func suspect(address string, until time.Time) engine.ListAddition {
	return engine.ListAddition{List: "suspects", Type: rules.ListOfRanges, Value: address, Until: until, Rule: "too-fast"}
}

// adding records an action whose rules add to lists.
func adding(t *testing.T, r engine.Recorder, key string, wanted ...engine.ListAddition) engine.Decision {
	t.Helper()
	a := recording(t, events.ActionID{User: "jane", Code: "payment", Key: key})
	a.Additions = wanted
	return record(t, r, a)
}

// onList is what readers of changes know of a list: each value and its end.
func onList(t *testing.T, r engine.Recorder, name string) map[string]time.Time {
	t.Helper()
	source, ok := r.(lists.Source)
	if !ok {
		t.Fatalf("%T tells nobody what is on its lists", r)
	}
	values := map[string]time.Time{}
	version, err := source.ListVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for after := int64(0); after < version; {
		changes, upTo, err := source.ListChanges(context.Background(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if upTo <= after {
			t.Fatalf("there are no changes after %d of %d", after, version)
		}
		for _, c := range changes {
			switch {
			case c.List != name || c.Item.Value == "" && !c.Dropped:
			case c.Dropped:
				clear(values)
			case c.Removed:
				delete(values, c.Item.Value)
			default:
				values[c.Item.Value] = c.Item.Expires
			}
		}
		after = upTo
	}
	return values
}

func wantOnList(t *testing.T, what string, r engine.Recorder, want map[string]time.Time) {
	t.Helper()
	if diff := cmp.Diff(want, onList(t, r, "suspects")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func additions(t *testing.T, r engine.Recorder) {
	hour := func(n int) time.Time { return base.Add(time.Duration(n) * time.Hour) }
	adding(t, r, "1", suspect("192.0.2.1", hour(2)), suspect("192.0.2.2", time.Time{}))
	wantOnList(t, "two items", r, map[string]time.Time{"192.0.2.1": hour(2), "192.0.2.2": {}})
	adding(t, r, "2", suspect("192.0.2.1", hour(1)), suspect("192.0.2.2", hour(3)))
	wantOnList(t, "earlier ends", r, map[string]time.Time{"192.0.2.1": hour(2), "192.0.2.2": {}})
	adding(t, r, "3", suspect("192.0.2.1", hour(4)))
	wantOnList(t, "a later end", r, map[string]time.Time{"192.0.2.1": hour(4), "192.0.2.2": {}})
	adding(t, r, "4", suspect("192.0.2.1", time.Time{}))
	wantOnList(t, "no end", r, map[string]time.Time{"192.0.2.1": {}, "192.0.2.2": {}})
}

func additionsAgain(t *testing.T, r engine.Recorder) {
	adding(t, r, "1", suspect("192.0.2.1", time.Time{}))
	if d := adding(t, r, "1", suspect("192.0.2.2", time.Time{})); !d.Repeated {
		t.Error("the second recording does not say Repeated")
	}
	wantOnList(t, "after the same action again", r, map[string]time.Time{"192.0.2.1": {}})
}

func otherType(t *testing.T, r engine.Recorder) {
	adding(t, r, "1", suspect("192.0.2.1", time.Time{}))
	name := suspect("Mallory", time.Time{})
	name.Type = rules.ListOfStrings
	adding(t, r, "2", name, suspect("192.0.2.2", time.Time{}))
	wantOnList(t, "after an item of another type", r, map[string]time.Time{"192.0.2.1": {}, "192.0.2.2": {}})
	recorded(t, r, events.ActionID{User: "jane", Code: "payment", Key: "2"})
}

func observed(t *testing.T, r engine.Recorder) {
	o, ok := r.(observable)
	if !ok {
		t.Fatalf("%T has no observers", r)
	}
	var mu sync.Mutex
	var seen []events.Event
	o.Observe(func(run []events.Event) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, run...)
	})
	for i, key := range []string{"1", "2", "3"} {
		a := recording(t, events.ActionID{User: "jane", Code: "payment", Key: key})
		a.Event.Local = key
		record(t, r, a)
		record(t, r, a) // again: nothing is recorded
		mu.Lock()
		if len(seen) != i+1 || seen[i].Action.Key != key || seen[i].Local != any(key) || seen[i].Seq != uint64(i+1) {
			t.Errorf("after action %s was recorded, the observer has %d events, the last %+v", key, len(seen), seen[len(seen)-1])
		}
		mu.Unlock()
	}
}
