package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestDuplicatesLeaveOneActionAndOneEvent(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const callers = 50
		var answers [callers]struct {
			repeated   bool
			generation int64
		}
		errs := together(callers, func(i int) error {
			d, err := nodes[i%2].Record(t.Context(), recording(t, action("jane", 1), events.StateAllow))
			answers[i].repeated, answers[i].generation = d.Repeated, d.Generation
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		first := 0
		for _, a := range answers {
			if !a.repeated {
				first++
			}
			if a.generation == 0 || a.generation != answers[0].generation {
				t.Errorf("generations %d and %d", a.generation, answers[0].generation)
			}
		}
		if first != 1 {
			t.Errorf("%d callers recorded the action; want 1", first)
		}
		if log := wholeLog(t, nodes[0]); len(log) != 1 {
			t.Errorf("the log has %d events; want 1", len(log))
		}
	})
}

func TestLogHasNoGaps(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const callers, each = 40, 10
		errs := together(callers, func(i int) error {
			for n := range each {
				// Every other action is tracked by two callers; one of them loses.
				id := action(fmt.Sprintf("user-%d", i/2), n)
				if n%2 == 0 {
					id.User = events.UserID(fmt.Sprintf("user-%d", i))
				}
				if _, err := nodes[i%2].Record(t.Context(), recording(t, id, events.StateAllow)); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		seen := map[events.ActionID]bool{}
		for i, e := range wholeLog(t, nodes[0]) {
			if e.Seq != uint64(i)+1 {
				t.Fatalf("event %d has seq %d", i+1, e.Seq)
			}
			if seen[e.Action] {
				t.Errorf("%v has two events", e.Action)
			}
			seen[e.Action] = true
		}
		if want := callers*each/2 + callers*each/4; len(seen) != want {
			t.Errorf("%d actions; want %d", len(seen), want)
		}
		for _, node := range nodes {
			head, err := node.Head(t.Context())
			if err != nil || head.Seq != uint64(len(seen)) {
				t.Errorf("head %v, %v; want seq %d", head, err, len(seen))
			}
		}
	})
}

func TestRestartContinuesTheLog(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		open := func() *store.Store {
			s, err := store.Open(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open()
		track(t, s, action("jane", 1), events.StateAllow)
		before := wholeLog(t, s)
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open()
		defer s.Close()
		if again, err := s.Head(t.Context()); err != nil || again != head {
			t.Errorf("head %v, %v after the restart; want %v", again, err, head)
		}
		if d := track(t, s, action("jane", 1), events.StateAllow); !d.Repeated {
			t.Error("the action is forgotten")
		}
		track(t, s, action("jane", 2), events.StateAllow)
		log := wholeLog(t, s)
		if len(log) != 2 || log[1].Epoch != head.Epoch || log[1].Seq != 2 {
			t.Fatalf("log %v", log)
		}
		if diff := cmp.Diff(before[0], log[0]); diff != "" {
			t.Errorf("the first event is another (-before +after):\n%s", diff)
		}
		if log[0].Leaf() != before[0].Leaf() || log[0].VerifyPersonal() != nil {
			t.Error("the first event does not verify")
		}
	})
}

func TestEventsAreReadByPosition(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		for n := range 5 {
			track(t, s, action("jane", n), events.StateAllow)
		}
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := func(seq uint64) events.Position { return events.Position{Epoch: head.Epoch, Seq: seq} }
		tests := []struct {
			name  string
			after events.Position
			limit int
			want  []uint64
		}{
			{name: "from the start", limit: 100, want: []uint64{1, 2, 3, 4, 5}},
			{name: "after one, with a limit", after: at(1), limit: 2, want: []uint64{2, 3}},
			{name: "after the last", after: at(5), limit: 10},
			{name: "after what is not written yet", after: at(99), limit: 10},
			{name: "a limit of none", after: at(1)},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				run, err := s.EventsAfter(t.Context(), tt.after, tt.limit)
				if err != nil {
					t.Fatal(err)
				}
				var got []uint64
				for _, e := range run {
					got = append(got, e.Seq)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
		if run, err := s.EventsBetween(t.Context(), head.Epoch, 2, 4); err != nil || len(run) != 3 || run[0].Seq != 2 {
			t.Errorf("events 2 to 4: %v, %v", run, err)
		}
		if run, err := s.EventsBetween(t.Context(), head.Epoch+1, 1, 4); err != nil || len(run) != 0 {
			t.Errorf("events of an unknown epoch: %v, %v", run, err)
		}
		if _, err := s.EventsAfter(t.Context(), events.Position{Epoch: head.Epoch + 1, Seq: 1}, 10); !errors.Is(err, store.ErrEpoch) {
			t.Errorf("after a position of an unknown epoch: %v; want ErrEpoch", err)
		}
	})
}

func TestWaitReturnsWhenTheHeadIsBeyond(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		head, err := nodes[0].Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := nodes[0].Wait(ended, head); !errors.Is(err, context.Canceled) {
			t.Errorf("nothing was written, but Wait returned %v", err)
		}
		result := make(chan error, 1)
		go func() { result <- nodes[0].Wait(t.Context(), head) }()
		track(t, nodes[1], action("jane", 1), events.StateAllow) // another node, on PostgreSQL
		if err := <-result; err != nil {
			t.Error(err)
		}
		if err := nodes[0].Wait(t.Context(), head); err != nil {
			t.Errorf("the head is beyond, but Wait returned %v", err)
		}
	})
}

func TestRecoverBeginsAnEpoch(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		track(t, nodes[0], action("jane", 1), events.StateAllow)
		old, err := nodes[1].Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].Recover(t.Context(), events.Position{Epoch: old.Epoch, Seq: 7}); err != nil {
			t.Fatal(err)
		}
		track(t, nodes[1], action("jane", 2), events.StateAllow)
		log := wholeLog(t, nodes[1])
		if len(log) != 3 {
			t.Fatalf("log %v", log)
		}
		epoch := log[1].Epoch
		if epoch == old.Epoch || log[1].Seq != 1 || log[2].Position != (events.Position{Epoch: epoch, Seq: 2}) {
			t.Errorf("positions %v, %v, %v", log[0].Position, log[1].Position, log[2].Position)
		}
		record, err := log[1].Decode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&events.LogRecovered{OldEpoch: old.Epoch, LogHead: 1, SeenHead: 7}, record); diff != "" {
			t.Error(diff)
		}
		// One answer never mixes epochs.
		if run, err := nodes[0].EventsAfter(t.Context(), events.Position{}, 100); err != nil || len(run) != 1 {
			t.Errorf("the first run is %v, %v", run, err)
		}
		if story, err := nodes[0].Story(t.Context(), action("jane", 2)); err != nil || len(story) != 1 || story[0].Epoch != epoch {
			t.Errorf("story %v, %v", story, err)
		}
		page, err := nodes[0].Decisions(t.Context(), events.Filter{Limit: 1})
		if err != nil || len(page.Items) != 1 || page.Items[0].Epoch != epoch {
			t.Fatalf("decisions %v, %v", page, err)
		}
		// A cursor of a life that this log never had, as another log returns it.
		foreign := events.CursorAt(base.Add(time.Microsecond), events.Position{Epoch: epoch + 1, Seq: 1})
		if page, err := nodes[0].Decisions(t.Context(), events.Filter{After: foreign}); err != nil || len(page.Items) != 2 {
			t.Errorf("after a cursor of another log: %v, %v", page, err)
		}
	})
}
