package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// broken is lists and metrics that do something else than they should.
type broken struct {
	read    func()
	test    func()
	version func() int64
	refresh func() error
}

func (b broken) Read(*rules.Set, string, *rules.Facts) events.Position {
	if b.read != nil {
		b.read()
	}
	return events.Position{}
}

func (b broken) Test(string, any, time.Time) rules.Value[bool] {
	if b.test != nil {
		b.test()
	}
	return rules.Known(false)
}

func (b broken) Version() int64 {
	if b.version != nil {
		return b.version()
	}
	return 1
}

func (b broken) Refresh(context.Context) error { return b.refresh() }

// promptly is what is broken and says that it answers at once.
type promptly struct{ broken }

func (promptly) Immediate() {}

func TestTrackWhenListsAndMetricsMisbehave(t *testing.T) {
	forever := func() { time.Sleep(time.Hour) }
	oops := func() { panic("oops") }
	tests := []struct {
		name   string
		broken broken
		prompt bool
	}{
		{"metrics that panic", broken{read: oops}, false},
		{"metrics that panic in the caller's goroutine", broken{read: oops}, true},
		{"metrics that are late", broken{read: forever}, false},
		{"lists that panic", broken{test: oops}, false},
		{"lists that panic in the caller's goroutine", broken{test: oops}, true},
		{"lists that are late", broken{test: forever}, false},
		{"a version of lists that panics", broken{version: func() int64 { panic("oops") }}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := memory.New()
				set := compile(t, factSet)
				config := engine.Config{Recorder: recorder, Rules: func() *rules.Set { return set }, Lists: tt.broken, Metrics: tt.broken}
				if tt.prompt {
					config.Lists, config.Metrics = promptly{tt.broken}, promptly{tt.broken}
				}
				e, err := engine.New(config)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for i := range 2 { // the turn must be given back
					d := track(t, e, engine.Action{ActionID: events.ActionID{User: "jane", Code: "strict"}, IP: "192.0.2.7"})
					if d.Outcome != rules.Block || d.Reason != rules.ByFailure {
						t.Errorf("decision %d: %s by %s", i+1, d.Outcome, d.Reason)
					}
				}
				if took := time.Since(start); took > 2*engine.DefaultDeadline {
					t.Errorf("it took %v", took)
				}
				if n := len(recorder.Events()); n != 2 {
					t.Errorf("%d events", n)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
	t.Run("lists that cannot be refreshed change no decision", func(t *testing.T) {
		for name, refresh := range map[string]func() error{"error": func() error { return errors.New("down") }, "panic": func() error { panic("oops") }} {
			set := compile(t, factSet)
			e, err := engine.New(engine.Config{Recorder: memory.New(), Rules: func() *rules.Set { return set }, Lists: promptly{broken{refresh: refresh}}})
			if err != nil {
				t.Fatal(err)
			}
			a := engine.Action{ActionID: events.ActionID{User: "jane", Code: "payment"}, Custom: map[string]any{"amount": 13.0}}
			if d := track(t, e, a); d.Rule != "odd" {
				t.Errorf("%s: decided by %q", name, d.Rule)
			}
		}
	})
	t.Run("lists that change while they are asked are asked again", func(t *testing.T) {
		set := compile(t, factSet)
		recorder := memory.New()
		var version int64
		asked := 0
		changing := promptly{broken{test: func() { asked++ }, version: func() int64 {
			if asked <= 1 {
				version++
			}
			return version
		}}}
		e, err := engine.New(engine.Config{Recorder: recorder, Rules: func() *rules.Set { return set }, Lists: changing})
		if err != nil {
			t.Fatal(err)
		}
		track(t, e, engine.Action{ActionID: events.ActionID{User: "jane", Code: "sign-in"}, IP: "192.0.2.7"})
		w := &world{recorder: recorder}
		if record, _, _ := w.tracked(t); asked != 2 || record.Lists != version {
			t.Errorf("asked %d times, recorded version %d of %d", asked, record.Lists, version)
		}
	})
}
