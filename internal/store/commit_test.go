package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// busy holds the committer with a member that waits, so that what is written
// meanwhile shares the next group. It returns how to let go, which waits until
// the member is answered.
func busy(t *testing.T, s *store.Store) (release func()) {
	t.Helper()
	id := action("busy", int(time.Now().UnixNano()%1000))
	track(t, s, id, events.StateChallengeRequired)
	c := taken(t, s, challenge(id, 1))
	reached, open, ended := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	o := outcome(t, c, events.KindCeremonyFailed)
	build := o.Events
	o.Events = func(state events.ActionState, tries int) ([]events.Draft, error) {
		reached <- struct{}{}
		<-open
		return build(state, tries)
	}
	go func() {
		_, err := s.Finish(context.Background(), o)
		ended <- err
	}()
	<-reached
	return func() {
		close(open)
		if err := <-ended; err != nil && !errors.Is(err, engine.ErrUnavailable) { // its own caller may have waited too long
			t.Errorf("the member that held the committer: %v", err)
		}
	}
}

func TestOneBadMemberDoesNotLoseTheGroup(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		bad := action("bad", 1)
		track(t, s, bad, events.StateChallengeRequired)
		o := outcome(t, taken(t, s, challenge(bad, 1)), events.KindCeremonyFailed)
		broken := errors.New("the event cannot be built")
		o.Events = func(events.ActionState, int) ([]events.Draft, error) { return nil, broken }

		release := busy(t, s)
		results := make(chan error, 20)
		for i := range cap(results) {
			go func() {
				_, err := s.Record(context.Background(), recording(t, action("good", i), events.StateAllow))
				results <- err
			}()
		}
		failed := make(chan error, 1)
		go func() {
			_, err := s.Finish(context.Background(), o)
			failed <- err
		}()
		release()
		if err := <-failed; !errors.Is(err, broken) {
			t.Errorf("the bad member: %v", err)
		}
		for range cap(results) {
			if err := <-results; err != nil {
				t.Errorf("a good member: %v", err)
			}
		}
		log := wholeLog(t, s)
		for i, e := range log {
			if e.Seq != uint64(i)+1 {
				t.Fatalf("event %d has seq %d", i+1, e.Seq)
			}
		}
		// Nothing of the bad member was kept: its challenge can still be finished.
		o = outcome(t, o.Challenge, events.KindCeremonyFailed)
		if result, err := s.Finish(t.Context(), o); err != nil || result.Tries != 1 {
			t.Errorf("finish once more: %+v, %v", result, err)
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	config := store.Config{Dir: t.TempDir(), Queue: 2}
	s := storetest.Open(t, config)
	release := busy(t, s)
	results := make(chan error, 8)
	for i := range cap(results) {
		go func() {
			_, err := s.Record(context.Background(), recording(t, action("jane", i), events.StateAllow))
			results <- err
		}()
	}
	refused := 0
	for range cap(results) - 2 { // two wait for the group
		if err := <-results; !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("got %v; want ErrUnavailable", err)
		}
		refused++
	}
	release()
	for range cap(results) - refused {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestACommitThatTakesTooLongIsUnavailable(t *testing.T) {
	s := storetest.Open(t, store.Config{Dir: t.TempDir()})
	release := busy(t, s)
	start := time.Now()
	_, err := s.Record(t.Context(), recording(t, action("jane", 1), events.StateAllow))
	if took := time.Since(start); !errors.Is(err, engine.ErrUnavailable) || took < store.CommitWait || took > 2*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	release()
	// Its caller was told so, and it was not written behind the caller's back.
	if _, found, err := s.Recorded(t.Context(), action("jane", 1)); err != nil || found {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestACallerMayStopWaiting(t *testing.T) {
	s := storetest.Open(t, store.Config{Dir: t.TempDir()})
	release := busy(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Record(ctx, recording(t, action("jane", 1), events.StateAllow)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the context's end", err)
	}
	release()
	if d := track(t, s, action("jane", 1), events.StateAllow); d.Repeated {
		t.Error("a write was made for a caller who had gone before it began")
	}
}

func TestAClosedStoreIsUnavailable(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s, err := store.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("ready: %v", err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if _, err := s.Record(t.Context(), recording(t, action("jane", 1), events.StateAllow)); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("record: %v; want ErrUnavailable", err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("ready: %v; want ErrUnavailable", err)
		}
		if err := s.Wait(t.Context(), events.Position{}); err == nil {
			t.Error("wait returned as if there were events")
		}
	})
}

func TestClosingCommitsWhatWaits(t *testing.T) {
	config := store.Config{Dir: t.TempDir()}
	s, err := store.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	release := busy(t, s)
	result := make(chan error, 1)
	go func() {
		_, err := s.Record(context.Background(), recording(t, action("jane", 1), events.StateAllow))
		result <- err
	}()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	acknowledged := <-result == nil
	s = storetest.Open(t, config)
	if _, found, err := s.Recorded(t.Context(), action("jane", 1)); err != nil || found != acknowledged {
		t.Errorf("acknowledged %v, found %v, %v", acknowledged, found, err)
	}
}

func TestBadInputIsRefusedBeforeItJoins(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		long := strings.Repeat("x", 1<<20+1)
		tests := []struct {
			name  string
			field string
			call  func() error
		}{
			{name: "a zero byte in the user", field: "userId", call: func() error {
				_, err := s.Record(t.Context(), recording(t, action("ja\x00ne", 1), events.StateAllow))
				return err
			}},
			{name: "broken UTF-8 in the key", field: "idempotencyKey", call: func() error {
				_, err := s.Record(t.Context(), recording(t, events.ActionID{User: "jane", Code: "payment", Key: "\xff"}, events.StateAllow))
				return err
			}},
			{name: "no user", field: "userId", call: func() error {
				_, err := s.Record(t.Context(), recording(t, action("", 1), events.StateAllow))
				return err
			}},
			{name: "a long e-mail address", field: "email", call: func() error {
				r := recording(t, action("jane", 1), events.StateAllow)
				r.Action.Email = long
				_, err := s.Record(t.Context(), r)
				return err
			}},
			{name: "long custom data", field: "custom", call: func() error {
				r := recording(t, action("jane", 1), events.StateAllow)
				r.Action.RawCustom = []byte(long)
				_, err := s.Record(t.Context(), r)
				return err
			}},
			{name: "an event about another action", field: "event", call: func() error {
				r := recording(t, action("jane", 1), events.StateAllow)
				r.Event.Action.Key = "other"
				_, err := s.Record(t.Context(), r)
				return err
			}},
			{name: "a zero byte in a user's name", field: "username", call: func() error {
				name := "a\x00b"
				_, err := s.UpdateUser(t.Context(), "jane", engine.UserChanges{Username: &name}, events.ByApplication)
				return err
			}},
			{name: "custom attributes that are no JSON", field: "custom", call: func() error {
				raw := []byte("{")
				_, err := s.UpdateUser(t.Context(), "jane", engine.UserChanges{Custom: (*json.RawMessage)(&raw)}, events.ByApplication)
				return err
			}},
			{name: "deleting nobody", field: "userId", call: func() error { return s.DeleteUser(t.Context(), "", events.ByApplication) }},
			{name: "a zero byte in a challenge", field: "challenge", call: func() error {
				c := challenge(action("jane", 1), 1)
				c.ID = "a\x00"
				return s.Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0))
			}},
			{name: "taking a challenge with a zero byte", field: "challenge", call: func() error {
				_, err := s.Take(t.Context(), "a\x00", action("jane", 1), base)
				return err
			}},
			{name: "a zero byte in a link", field: "link", call: func() error {
				_, err := s.Redeem(t.Context(), "\x00", base)
				return err
			}},
			{name: "an authenticator without an id", field: "authenticator", call: func() error {
				a := passkey("jane", 1)
				a.ID = ""
				return s.AddAuthenticator(t.Context(), a, events.ByApplication)
			}},
			{name: "an outcome for another user's authenticator", field: "authenticator", call: func() error {
				a := passkey("joe", 1)
				o := outcome(t, challenge(action("jane", 1), 1), events.KindCeremonySucceeded)
				o.New = &a
				_, err := s.Finish(t.Context(), o)
				return err
			}},
			{name: "an outcome without events", field: "events", call: func() error {
				_, err := s.Finish(t.Context(), ceremonies.Outcome{Challenge: challenge(action("jane", 1), 1)})
				return err
			}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				var bad *engine.InputError
				if err := tt.call(); !errors.As(err, &bad) || bad.Field != tt.field {
					t.Errorf("got %v; want an InputError of %s", err, tt.field)
				}
			})
		}
		if log := wholeLog(t, s); len(log) != 0 {
			t.Errorf("refused input left %d events", len(log))
		}
	})
}

func TestUnusualTextIsKept(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		for i, user := range []string{"o'brien", `back\slash`, "%", "É ☃ 🚪", "$1", "?1", "a b ", "\t", strings.Repeat("é", 450)} {
			id := events.ActionID{User: events.UserID(user), Code: "pay", Key: fmt.Sprint("$", i, "?1")}
			if d := track(t, s, id, events.StateAllow); d.Repeated {
				t.Errorf("%q is taken for another user", user)
			}
			if a, err := s.TrackedAction(t.Context(), id); err != nil || a.ActionID != id || string(a.Custom) != `{"amount":250}` {
				t.Errorf("%q: %+v, %v", user, a, err)
			}
		}
	})
}
