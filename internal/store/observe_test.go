package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

func TestAnObserverHearsOfEachEventBeforeItsWriter(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		var mu sync.Mutex
		var seen []events.Event
		var order []string
		s.Observe(func(run []events.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, slices.Clone(run)...)
			order = append(order, "first")
		})
		s.Observe(func([]events.Event) { order = append(order, "second") })
		const people = 40
		errs := together(people, func(i int) error {
			id := action(fmt.Sprintf("user-%d", i), 1)
			r := recording(t, id, events.StateAllow)
			r.Event.Local = &id
			if _, err := s.Record(t.Context(), r); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.ContainsFunc(seen, func(e events.Event) bool { return e.Action == id && e.Local == any(&id) }) {
				return fmt.Errorf("the writer of %v was answered before the observer heard of it", id)
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		track(t, s, action("user-0", 1), events.StateAllow) // repeated: no event
		if err := s.Ready(t.Context()); err != nil {        // a commit without an event
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range seen {
			if seen[i].Seq != uint64(i+1) {
				t.Fatalf("event %d has seq %d", i, seen[i].Seq)
			}
			seen[i].Local = nil
		}
		log := wholeLog(t, s)
		for _, e := range log {
			if e.Local != nil {
				t.Fatalf("readers get what the writer knew of event %v", e.Position)
			}
		}
		if diff := cmp.Diff(log, seen); diff != "" {
			t.Errorf("observed (-log +observed):\n%s", diff)
		}
		for i := range order {
			if want := []string{"first", "second"}[i%2]; order[i] != want {
				t.Fatalf("observers were called in the order %v", order)
			}
		}
	})
}

func TestPositionBefore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		now := base
		config.Now = func() time.Time { return now }
		s := storetest.Open(t, config)
		if p, err := s.PositionBefore(t.Context(), base); err != nil || p != (events.Position{}) {
			t.Errorf("in an empty log: %v, %v", p, err)
		}
		// An event each hour, half of them up to two minutes early.
		const hours = 60
		early := func(i int) time.Duration { return time.Duration(i%2*i) * 2 * time.Second }
		for i := range hours {
			now = base.Add(time.Duration(i) * time.Hour)
			visit(t, s, action("jane", i), "", "", now.Add(-early(i)))
			if i == hours/2 {
				if err := s.Recover(t.Context(), events.Position{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		log := wholeLog(t, s)
		for i := -1; i <= hours; i++ {
			at := base.Add(time.Duration(i) * time.Hour)
			p, err := s.PositionBefore(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			after := log
			if p != (events.Position{}) {
				n := slices.IndexFunc(log, func(e events.Event) bool { return e.Position == p })
				if n < 0 {
					t.Fatalf("hour %d: there is no event at %v", i, p)
				}
				after = log[n+1:]
			}
			first := slices.IndexFunc(log, func(e events.Event) bool { return e.Kind == events.KindActionTracked && !e.Time.Before(at) })
			if first >= 0 && !slices.ContainsFunc(after, func(e events.Event) bool { return e.Position == log[first].Position }) {
				t.Errorf("hour %d: the first event at that time stands before %v", i, p)
			}
			// And it is not far before: the log has one event an hour.
			late := 0
			for _, e := range after {
				if e.Kind == events.KindActionTracked && e.Time.Before(at.Add(-time.Hour)) {
					late++
				}
			}
			if late > 0 {
				t.Errorf("hour %d: %d events after %v are more than an hour too early", i, late, p)
			}
		}
	})
}

func TestRulesVersion(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		var want []rules.Version
		for _, author := range []string{"ann", "bob"} {
			v, err := s.PublishRules(t.Context(), -1, rules.Version{Definition: rules.Example(), Author: author, Note: "by " + author}, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, v)
		}
		for _, v := range want {
			if got, err := s.RulesVersion(t.Context(), v.Number); err != nil || !cmp.Equal(v, got) {
				t.Errorf("set %d (-want +got):\n%s%v", v.Number, cmp.Diff(v, got), err)
			}
		}
		for _, number := range []int{-1, 0, 3} {
			if _, err := s.RulesVersion(t.Context(), number); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("set %d: %v; want ErrNotFound", number, err)
			}
		}
	})
}
