package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// slowRecorder takes a while to record.
type slowRecorder struct {
	*memory.Recorder
	takes func(engine.Recording) time.Duration
}

func (s slowRecorder) Record(ctx context.Context, r engine.Recording) (engine.Decision, error) {
	time.Sleep(s.takes(r))
	return s.Recorder.Record(ctx, r)
}

// TestActionsOfOnePersonSeeEachOther tracks many payments of one person at a
// time, of whom all but two must see two before them.
func TestActionsOfOnePersonSeeEachOther(t *testing.T) {
	w := newWorld(t, nil)
	var err error
	set := compile(t, factSet)
	w.Engine, err = engine.New(engine.Config{
		Recorder: slowRecorder{w.recorder, func(engine.Recording) time.Duration { return time.Millisecond }},
		Rules:    func() *rules.Set { return set }, Lists: w.lists, Metrics: w.metrics, Deadline: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	const people, each = 4, 16
	var mu sync.Mutex
	allowed := map[events.UserID]int{}
	var wait sync.WaitGroup
	for i := range people * each {
		wait.Go(func() {
			d, err := w.Track(context.Background(), w.pay(fmt.Sprintf("user-%d", i%people), nil))
			if err != nil {
				t.Error(err)
			}
			if d.Outcome == rules.Allow {
				mu.Lock()
				allowed[d.User]++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for i := range people {
		if user := events.UserID(fmt.Sprintf("user-%d", i)); allowed[user] != 2 {
			t.Errorf("%s: %d payments were allowed before the third was seen, want 2", user, allowed[user])
		}
	}
	for _, event := range w.recorder.Events() {
		if event.Local != nil {
			t.Fatal("the log keeps what only observers need")
		}
	}
}

// TestWaitingForOnesTurn holds a person's turn with a slow commit.
func TestWaitingForOnesTurn(t *testing.T) {
	run := func(t *testing.T, holds time.Duration, test func(t *testing.T, w *world)) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			slow := slowRecorder{w.recorder, func(r engine.Recording) time.Duration {
				if r.Action.Key == "slow" {
					return holds
				}
				return 0
			}}
			set := compile(t, factSet)
			var err error
			w.Engine, err = engine.New(engine.Config{Recorder: slow, Rules: func() *rules.Set { return set }, Lists: w.lists, Metrics: w.metrics})
			if err != nil {
				t.Fatal(err)
			}
			var wait sync.WaitGroup
			wait.Go(func() { track(t, w.Engine, w.pay("jane", func(a *engine.Action) { a.Code, a.Key = "strict", "slow" })) })
			synctest.Wait()
			test(t, w)
			wait.Wait()
		})
	}
	strict := func(key, user string) engine.Action {
		return engine.Action{ActionID: events.ActionID{User: events.UserID(user), Code: "strict", Key: key}, IP: "192.0.2.7"}
	}
	t.Run("who waits for less than the deadline counts what came before", func(t *testing.T) {
		run(t, engine.DefaultDeadline-time.Millisecond, func(t *testing.T, w *world) {
			d := track(t, w.Engine, strict("next", "jane"))
			record, facts, _ := w.tracked(t)
			if d.Reason != rules.ByDefault || facts.Metrics["payments"] != 1 || record.Micros > 1000 {
				t.Errorf("%s by %s, metric %v; it says to have taken %d µs", d.Outcome, d.Reason, facts.Metrics, record.Micros)
			}
		})
	})
	t.Run("who would wait for longer gets the failure outcome, recorded", func(t *testing.T) {
		run(t, time.Second, func(t *testing.T, w *world) {
			start := time.Now()
			d := track(t, w.Engine, strict("next", "jane"))
			if d.Outcome != rules.Block || d.Reason != rules.ByFailure {
				t.Errorf("%s by %s", d.Outcome, d.Reason)
			}
			if took := time.Since(start); took != engine.DefaultDeadline {
				t.Errorf("it took %v", took)
			}
			record, facts, _ := w.tracked(t)
			if record.Key != "next" || record.AsOf != "" || facts.Metrics != nil {
				t.Errorf("recorded %+v with metrics %v", record, facts.Metrics)
			}
		})
	})
	t.Run("nobody waits for somebody else", func(t *testing.T) {
		run(t, time.Second, func(t *testing.T, w *world) {
			start := time.Now()
			for i := range 20 { // two of them may share a lock, all of them cannot
				if d := track(t, w.Engine, strict("next", fmt.Sprintf("user-%d", i))); d.Reason == rules.ByDefault && time.Since(start) == 0 {
					return
				}
			}
			t.Error("everybody waited")
		})
	})
	t.Run("actions whose rules read no metric do not wait", func(t *testing.T) {
		run(t, time.Second, func(t *testing.T, w *world) {
			start := time.Now()
			a := strict("next", "jane")
			a.Code = "sign-in"
			if d := track(t, w.Engine, a); d.Reason != rules.ByDefault || time.Since(start) != 0 {
				t.Errorf("by %s after %v", d.Reason, time.Since(start))
			}
		})
	})
	t.Run("a caller that gives up while it waits gets no decision", func(t *testing.T) {
		run(t, time.Second, func(t *testing.T, w *world) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			d, err := w.Track(ctx, strict("next", "jane"))
			if !errors.Is(err, context.DeadlineExceeded) || !cmp.Equal(d, engine.Decision{}) {
				t.Errorf("got %+v, %v", d, err)
			}
			time.Sleep(2 * time.Second)
			if n := len(w.recorder.Events()); n != 1 {
				t.Errorf("%d events, want that of the slow action", n)
			}
			if d := track(t, w.Engine, strict("later", "jane")); d.Reason != rules.ByDefault {
				t.Errorf("the next action is decided by %s: the turn was not given back", d.Reason)
			}
		})
	})
}
