package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// recording is an allowed payment.
func recording(t *testing.T, user, key string, change func(*engine.Recording)) engine.Recording {
	t.Helper()
	id := events.ActionID{User: events.UserID(user), Code: "payment", Key: key}
	r := engine.Recording{Action: engine.Action{ActionID: id}, Decision: engine.Decision{ActionID: id, Outcome: rules.Allow, State: events.StateAllow}}
	if change != nil {
		change(&r)
	}
	var err error
	r.Event, err = events.NewDraft(events.ActionTracked{ActionID: id, State: r.Decision.State}, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func record(t *testing.T, r *memory.Recorder, recording engine.Recording) {
	t.Helper()
	if _, err := r.Record(t.Context(), recording); err != nil {
		t.Fatal(err)
	}
}

// told is what the source tells of changes after a version, in short.
func told(t *testing.T, r *memory.Recorder, after int64, limit int) (changes []string, upTo int64) {
	t.Helper()
	run, upTo, err := r.ListChanges(t.Context(), after, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range run {
		text := strings.TrimSpace(fmt.Sprint(c.List, " ", c.Item.Value))
		if c.Removed {
			text = "-" + text
		}
		changes = append(changes, text)
	}
	return changes, upTo
}

func TestListsTellOfTheirChanges(t *testing.T) {
	r := memory.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.CreateList(t.Context(), lists.Head{Name: "a", Type: rules.ListOfRanges}, "ann"))
	must(r.CreateList(t.Context(), lists.Head{Name: "b", Type: rules.ListOfStrings}, "ann"))
	must(r.ChangeList(t.Context(), "a", []lists.Item{{Value: "192.0.2.0/24"}, {Value: "::ffff:192.0.2.1"}}, nil, "ann"))
	must(r.ChangeList(t.Context(), "a", nil, []string{"192.0.2.1/32", "198.51.100.1"}, "ann"))
	for _, tt := range []struct {
		after int64
		limit int
		want  []string
		upTo  int64
	}{
		{0, 100, []string{"a", "b", "a 192.0.2.0/24", "a 192.0.2.1", "-a 192.0.2.1"}, 4},
		{2, 100, []string{"a 192.0.2.0/24", "a 192.0.2.1", "-a 192.0.2.1"}, 4},
		{2, 1, []string{"a 192.0.2.0/24", "a 192.0.2.1"}, 3},
		{4, 100, nil, 4},
	} {
		got, upTo := told(t, r, tt.after, tt.limit)
		if diff := cmp.Diff(tt.want, got); diff != "" || upTo != tt.upTo {
			t.Errorf("after %d, limit %d: up to %d, want %d; changes (-want +got):\n%s", tt.after, tt.limit, upTo, tt.upTo, diff)
		}
	}

	t.Run("one bad value fails the whole change", func(t *testing.T) {
		err := r.ChangeList(t.Context(), "a", []lists.Item{{Value: "192.0.2.77"}, {Value: "nowhere"}}, nil, "ann")
		if err == nil || !strings.Contains(err.Error(), "item 2 is neither an address") {
			t.Errorf("error %v", err)
		}
		if version, err := r.ListVersion(t.Context()); err != nil || version != 4 {
			t.Errorf("version %d, error %v", version, err)
		}
	})
	t.Run("a list that there is not, and one that there is", func(t *testing.T) {
		if err := r.ChangeList(t.Context(), "c", nil, nil, "ann"); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("change: %v", err)
		}
		if err := r.CreateList(t.Context(), lists.Head{Name: "a", Type: rules.ListOfRanges}, "ann"); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("create: %v", err)
		}
	})
	t.Run("changes are in the log", func(t *testing.T) {
		log := r.Events()
		got, err := log[2].Decode()
		if err != nil {
			t.Fatal(err)
		}
		want := &events.ListChanged{List: "a", Type: "cidr", Version: 3, Added: 2, By: "ann"}
		if diff := cmp.Diff(want, got); diff != "" || len(log) != 4 {
			t.Errorf("%d events; the third (-want +got):\n%s", len(log), diff)
		}
	})
}

func TestRulesAddToLists(t *testing.T) {
	r := memory.New()
	keeper := lists.NewKeeper(r, nil)
	add := func(key, value string, typ rules.ListType, until time.Time) {
		t.Helper()
		record(t, r, recording(t, "jane", key, func(r *engine.Recording) {
			r.Additions = []engine.ListAddition{{List: "l", Type: typ, Value: value, Until: until, Rule: "rule-1"}}
		}))
		if err := keeper.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	in := func(value any, at time.Time) bool {
		found, known := keeper.Test("l", value, at).Get()
		return found && known
	}
	hour := noon.Add(time.Hour)
	add("k1", "Jo", rules.ListOfStrings, hour)
	if !in("Jo", noon) || in("Jo", hour) {
		t.Error("the item is not there for an hour")
	}
	add("k2", "Jo", rules.ListOfStrings, noon.Add(time.Minute))
	if !in("Jo", hour.Add(-1)) {
		t.Error("a shorter addition made the item end earlier")
	}
	add("k3", "Jo", rules.ListOfStrings, hour.Add(time.Hour))
	if !in("Jo", hour) {
		t.Error("a longer addition did not keep the item")
	}
	add("k4", "Jo", rules.ListOfStrings, time.Time{})
	add("k5", "Jo", rules.ListOfStrings, hour)
	if !in("Jo", hour.AddDate(10, 0, 0)) {
		t.Error("an item for ever has ended")
	}
	add("k5", "Al", rules.ListOfStrings, time.Time{})
	if in("Al", noon) {
		t.Error("an action that was recorded before added to a list")
	}
	add("k6", "7", rules.ListOfNumbers, time.Time{})
	if in(7.0, noon) || in("7", noon) {
		t.Error("a list took an item of another type")
	}
}

func TestEndChallenge(t *testing.T) {
	challenged := func(t *testing.T) (*memory.Recorder, events.ActionID) {
		r := memory.New()
		rec := recording(t, "jane", "k", func(r *engine.Recording) {
			r.Decision.Outcome, r.Decision.State = rules.Challenge, events.StateChallengeRequired
			r.Action.DeviceID, r.Address, r.Place = "phone", "192.0.2.7", &engine.Place{Latitude: 1, Longitude: 2, At: noon}
		})
		record(t, r, rec)
		return r, rec.Action.ActionID
	}
	later := noon.Add(time.Minute)
	for _, tt := range []struct {
		result rules.ChallengeResult
		state  events.ActionState
		kind   events.Kind
		known  bool
	}{
		{rules.ChallengeSucceeded, events.StateChallengeSucceeded, events.KindCeremonySucceeded, true},
		{rules.ChallengeDenied, events.StateChallengeFailed, events.KindCeremonyDenied, false},
		{rules.ChallengeFailed, events.StateChallengeRequired, events.KindCeremonyFailed, false},
		{rules.ChallengeAbandoned, events.StateChallengeRequired, events.KindCeremonyAbandoned, false},
	} {
		t.Run(string(tt.result), func(t *testing.T) {
			r, id := challenged(t)
			if err := r.EndChallenge(t.Context(), id, tt.result, events.MethodPasskey, later); err != nil {
				t.Fatal(err)
			}
			d, _, err := r.Recorded(t.Context(), id)
			if err != nil || d.State != tt.state {
				t.Errorf("state %s, error %v", d.State, err)
			}
			p, err := r.Profile(t.Context(), "jane", "phone", "192.0.2.7")
			if err != nil || p.DeviceKnown != tt.known || p.AddressKnown != tt.known || p.LastVerifiedAt.IsZero() == tt.known {
				t.Errorf("profile %+v, error %v", p, err)
			}
			if want := (&engine.Place{Latitude: 1, Longitude: 2, At: later}); tt.known && !cmp.Equal(want, p.VerifiedAt) {
				t.Errorf("verified at %+v", p.VerifiedAt)
			}
			log := r.Events()
			last := log[len(log)-1]
			record, err := last.Decode()
			if err != nil || last.Kind != tt.kind || record.(*events.Ceremony).Purpose != "action" {
				t.Errorf("event %s %+v, error %v", last.Kind, record, err)
			}
			if tt.state == events.StateChallengeRequired {
				return
			}
			var refused *engine.MoveError
			if err := r.EndChallenge(t.Context(), id, tt.result, events.MethodPasskey, later); !errors.As(err, &refused) {
				t.Errorf("once more: %v", err)
			}
			if n := len(r.Events()); n != 2 {
				t.Errorf("%d events", n)
			}
		})
	}
	t.Run("an action that there is not", func(t *testing.T) {
		if err := memory.New().EndChallenge(t.Context(), events.ActionID{}, rules.ChallengeFailed, "", noon); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a result that there is not", func(t *testing.T) {
		r, id := challenged(t)
		if err := r.EndChallenge(t.Context(), id, "won", "", noon); err == nil || len(r.Events()) != 1 {
			t.Errorf("error %v", err)
		}
	})
}

func TestLogCanBeFollowed(t *testing.T) {
	r := memory.New()
	var observed []uint64
	r.Observe(func(run []events.Event) {
		for _, e := range run {
			observed = append(observed, e.Seq)
			if e.Local != "local" {
				t.Errorf("observers get %v", e.Local)
			}
		}
	})
	head, err := r.Head(t.Context())
	if err != nil || head.Seq != 0 || head.Epoch == 0 {
		t.Fatalf("head %v, error %v", head, err)
	}
	waited := make(chan error, 1)
	go func() { waited <- r.Wait(t.Context(), head) }()
	for i := range 5 {
		rec := recording(t, "jane", fmt.Sprint(i), nil)
		rec.Event.Local = "local"
		rec.Event.Time = noon.Add(time.Duration(i) * time.Minute)
		record(t, r, rec)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5}, observed); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	at := func(seq uint64) events.Position { return events.Position{Epoch: head.Epoch, Seq: seq} }
	for _, tt := range []struct {
		after events.Position
		limit int
		want  []uint64
	}{
		{events.Position{}, 2, []uint64{1, 2}}, {at(3), 10, []uint64{4, 5}}, {at(5), 10, nil}, {at(99), 10, nil}, {at(0), -1, nil},
	} {
		run, err := r.EventsAfter(t.Context(), tt.after, tt.limit)
		var got []uint64
		for _, e := range run {
			got = append(got, e.Seq)
			if e.Local != nil {
				t.Error("the log keeps what only observers need")
			}
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("after %v: error %v (-want +got):\n%s", tt.after, err, diff)
		}
	}
	if _, err := r.EventsAfter(t.Context(), events.Position{Epoch: head.Epoch + 1}, 1); err == nil {
		t.Error("a position of another log is taken")
	}
	for minute, want := range map[int]uint64{-1: 0, 0: 0, 2: 2, 9: 5} {
		got, err := r.PositionBefore(t.Context(), noon.Add(time.Duration(minute)*time.Minute))
		if err != nil || got != at(want) {
			t.Errorf("before minute %d: %v, want %d, error %v", minute, got, want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx, at(5)); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in vain: %v", err)
	}
}
