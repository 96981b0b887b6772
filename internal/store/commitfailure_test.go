package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestAfterAFailedCommitTheHeadIsWhatTheDatabaseSays(t *testing.T) {
	for _, tt := range []struct {
		name     string
		happened bool
		want     uint64
	}{{"it happened", true, 2}, {"it did not", false, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, config store.Config) {
				s := storetest.Open(t, config)
				var seen []uint64
				s.Observe(func(run []events.Event) {
					for _, e := range run {
						seen = append(seen, e.Seq)
					}
				})
				fail := store.BreakCommits(s)
				track(t, s, action("jane", 1), events.StateAllow)
				before, err := s.Head(t.Context())
				if err != nil || before.Seq != 1 {
					t.Fatalf("head %v, %v", before, err)
				}
				fail(tt.happened)
				if _, err := s.Record(t.Context(), recording(t, action("jane", 2), events.StateAllow)); !errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("record: %v; want ErrUnavailable", err)
				}
				if head, err := s.Head(t.Context()); err != nil || head.Seq != tt.want {
					t.Errorf("head %v, %v; want seq %d", head, err, tt.want)
				}
				if tt.happened {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					if err := s.Wait(ctx, before); err != nil {
						t.Errorf("readers were not woken: %v", err)
					}
				}
				run, err := s.EventsAfter(t.Context(), before, 10)
				if err != nil || uint64(len(run)) != tt.want-1 {
					t.Errorf("events %v, %v", run, err)
				}
				// On SQLite nobody else writes, so the events are known to be the group's.
				if config.PostgreSQL == "" && uint64(len(seen)) != tt.want {
					t.Errorf("observers heard of %v", seen)
				}
				track(t, s, action("jane", 3), events.StateAllow)
				if head, err := s.Head(t.Context()); err != nil || head.Seq != tt.want+1 {
					t.Errorf("head after another %v, %v", head, err)
				}
				if log := wholeLog(t, s); uint64(len(log)) != tt.want+1 {
					t.Errorf("%d events", len(log))
				}
			})
		})
	}
}
