package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestTrackedAction(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		if _, err := s.TrackedAction(t.Context(), action("jane", 1)); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("an unknown action: %v; want ErrNotFound", err)
		}
		r := recording(t, action("jane", 1), events.StateChallengeRequired)
		d, err := s.Record(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.TrackedAction(t.Context(), r.Action.ActionID)
		if err != nil {
			t.Fatal(err)
		}
		want := engine.TrackedAction{
			Decision: d, RuleNames: map[string]string{"large": "Large payments"}, UserAgent: "agent", IP: "192.0.2.7", Country: "NZ",
			RedirectURL: "https://shop.example/done", Scope: "read:authenticators", Custom: []byte(`{"amount":250}`),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTrackedActions(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		for n, code := range []string{"payment", "sign-in", "payment", "add-payee"} {
			id := action("jane", n)
			id.Code = code
			state := events.StateAllow
			if n == 2 {
				state = events.StateChallengeRequired
			}
			r := recording(t, id, state)
			r.Event.Time = base.Add(time.Duration(n) * time.Minute)
			if _, err := s.Record(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		track(t, s, action("joe", 1), events.StateAllow)
		tests := []struct {
			name   string
			filter engine.ActionFilter
			want   []string
		}{
			{name: "all of a user", filter: engine.ActionFilter{User: "jane"}, want: []string{"key-0003", "key-0002", "key-0001", "key-0000"}},
			{name: "codes", filter: engine.ActionFilter{User: "jane", Codes: []string{"payment", "sign-in"}}, want: []string{"key-0002", "key-0001", "key-0000"}},
			{name: "state", filter: engine.ActionFilter{User: "jane", State: events.StateAllow}, want: []string{"key-0003", "key-0001", "key-0000"}},
			{name: "from, inclusive", filter: engine.ActionFilter{User: "jane", From: base.Add(2 * time.Minute)}, want: []string{"key-0003", "key-0002"}},
			{name: "everything at once", filter: engine.ActionFilter{User: "jane", Codes: []string{"payment"}, State: events.StateAllow, From: base}, want: []string{"key-0000"}},
			{name: "nobody", filter: engine.ActionFilter{User: "nobody"}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				found, err := s.TrackedActions(t.Context(), tt.filter)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, a := range found {
					got = append(got, a.Key)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}

func TestMoveAction(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		tests := []struct {
			name     string
			from, to events.ActionState
			refused  bool
			events   int
		}{
			{name: "an allowed action to review", from: events.StateAllow, to: events.StateReviewRequired, events: 1},
			{name: "a challenge fails", from: events.StateChallengeRequired, to: events.StateChallengeFailed, events: 1},
			{name: "to the same state", from: events.StateReviewRequired, to: events.StateReviewRequired},
			{name: "a backend proves nothing", from: events.StateChallengeRequired, to: events.StateChallengeSucceeded, refused: true},
			{name: "a block stays", from: events.StateBlock, to: events.StateAllow, refused: true},
			{name: "to no state at all", from: events.StateAllow, to: "SOMETHING", refused: true},
		}
		for n, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				id := action("jane", n)
				track(t, s, id, tt.from)
				before := len(wholeLog(t, s))
				state, err := s.MoveAction(t.Context(), id, tt.to, events.ByManagement)
				log := wholeLog(t, s)[before:]
				if len(log) != tt.events {
					t.Errorf("%d events; want %d", len(log), tt.events)
				}
				stored, readErr := s.Action(t.Context(), id)
				if readErr != nil {
					t.Fatal(readErr)
				}
				if tt.refused {
					var move *engine.MoveError
					if !errors.As(err, &move) || move.From != tt.from || move.To != tt.to || stored.State != tt.from {
						t.Errorf("state %s, %v; want a MoveError", stored.State, err)
					}
					return
				}
				if err != nil || state != tt.to || stored.State != tt.to {
					t.Fatalf("moved to %s, stored %s, %v", state, stored.State, err)
				}
				for _, e := range log {
					record, err := e.Decode()
					if err != nil {
						t.Fatal(err)
					}
					want := &events.ActionUpdated{ActionID: id, State: tt.to, From: tt.from, By: events.ByManagement}
					if diff := cmp.Diff(want, record); diff != "" {
						t.Error(diff)
					}
				}
			})
		}
		if _, err := s.MoveAction(t.Context(), action("nobody", 1), events.StateReviewRequired, events.ByManagement); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("an unknown action: %v; want ErrNotFound", err)
		}
	})
}

func TestOnlyOneOfManyMovesLeavesAnEvent(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		id := action("jane", 1)
		track(t, nodes[0], id, events.StateReviewRequired)
		errs := together(20, func(i int) error {
			to := events.StateReviewSucceeded
			if i%4 < 2 {
				to = events.StateReviewFailed
			}
			_, err := nodes[i%2].MoveAction(t.Context(), id, to, events.ByManagement)
			return err
		})
		refused := 0
		for _, err := range errs {
			var move *engine.MoveError
			if errors.As(err, &move) {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if refused != 10 {
			t.Errorf("%d of 20 were refused; want those who lost", refused)
		}
		if log := wholeLog(t, nodes[0]); len(log) != 2 {
			t.Errorf("%d events; want 2", len(log))
		}
	})
}
