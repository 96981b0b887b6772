package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestRelayCursors(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		far := events.Position{Epoch: 0xf00dfacecafe0001, Seq: 1<<40 + 1}
		for _, want := range []events.Position{{}, {Epoch: 1, Seq: 7}, far} {
			if want.Epoch != 0 {
				if err := s.SaveCursor(t.Context(), "stream", want); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := s.Cursor(t.Context(), "stream"); err != nil || got != want {
				t.Errorf("cursor %v, %v; want %v", got, err, want)
			}
		}
		if got, err := s.Cursor(t.Context(), "other"); err != nil || got != (events.Position{}) {
			t.Errorf("another stream's cursor is %v, %v", got, err)
		}
	})
}

func TestArchiveRanges(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		const epoch events.Epoch = 0xf00dfacecafe0001
		first := events.Range{Epoch: epoch, From: 1, To: 10, Hash: [32]byte{1, 2, 3}}
		second := events.Range{Epoch: epoch, From: 11, To: 12, Hash: [32]byte{4}}
		newLife := events.Range{Epoch: 1, From: 1, To: 3, Hash: [32]byte{5}}

		expect := func(t *testing.T, what string, read func() (events.Range, bool, error), want *events.Range) {
			t.Helper()
			got, found, err := read()
			if err != nil || found != (want != nil) {
				t.Fatalf("%s range: %v, found %v, %v", what, got, found, err)
			}
			if want != nil && got != *want {
				t.Errorf("%s range: %+v; want %+v", what, got, *want)
			}
		}
		open := func() (events.Range, bool, error) { return s.OpenRange(t.Context()) }
		last := func() (events.Range, bool, error) { return s.LastRange(t.Context()) }
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}

		expect(t, "open", open, nil)
		expect(t, "last", last, nil)
		do(s.BeginRange(t.Context(), first))
		do(s.BeginRange(t.Context(), first)) // a second attempt
		expect(t, "open", open, &first)
		do(s.ConfirmRange(t.Context(), first))
		first.Confirmed = true
		expect(t, "open", open, nil)
		expect(t, "last", last, &first)
		do(s.BeginRange(t.Context(), second))
		do(s.ConfirmRange(t.Context(), second))
		second.Confirmed = true
		do(s.BeginRange(t.Context(), newLife))
		expect(t, "last", last, &newLife)
		expect(t, "open", open, &newLife)
		do(s.ReopenRange(t.Context(), first))
		first.Confirmed = false
		expect(t, "open", open, &first)

		ranges, err := s.Ranges(t.Context(), epoch)
		if diff := cmp.Diff([]events.Range{first, second}, ranges); err != nil || diff != "" {
			t.Errorf("ranges: %v %s", err, diff)
		}
		for name, bad := range map[string]events.Range{
			"no range":                {Epoch: epoch, From: 13, To: 12},
			"from nothing":            {Epoch: epoch, From: 0, To: 12},
			"overlaps at the end":     {Epoch: epoch, From: 12, To: 20},
			"covers others":           {Epoch: epoch, From: 1, To: 20},
			"same place, other bytes": {Epoch: epoch, From: 1, To: 10, Hash: [32]byte{9}},
		} {
			if err := s.BeginRange(t.Context(), bad); err == nil {
				t.Errorf("a range that %s was begun", name)
			}
		}
		if err := s.ConfirmRange(t.Context(), events.Range{Epoch: epoch, From: 13, To: 20}); err == nil {
			t.Error("a range that was never begun was confirmed")
		}
	})
}

func TestDeadLetters(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		for _, reason := range []string{"too long", "still too long"} {
			if err := s.DeadLetter(t.Context(), events.Position{Epoch: 1, Seq: 2}, reason); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeadLetter(t.Context(), events.Position{Epoch: 1, Seq: 3}, "no such column"); err != nil {
			t.Fatal(err)
		}
		if n, err := s.DeadLetters(t.Context()); err != nil || n != 2 {
			t.Errorf("%d dead letters, %v; want 2", n, err)
		}
	})
}
