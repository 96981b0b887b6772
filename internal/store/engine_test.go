package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// limitRules allow three payments of a person in ten minutes, and put the
// address of whoever pays 13 on a list.
const limitRules = `
fields: [{name: amount, type: number}]
metrics: [{name: payments, function: count, window: 10m}]
lists: [{name: suspects, type: cidr}]
actions:
  - code: payment
    rules:
      - {id: suspect, name: Suspect, when: ip.address in list.suspects, outcome: BLOCK}
      - {id: odd, name: Odd, when: custom.amount == 13.0, outcome: REVIEW, onMatch: {add: ip.address, to: suspects, for: 1h}}
      - {id: limit, name: Limit, when: metric.payments >= 3.0, outcome: REVIEW}
otherwise: {rules: []}
`

// openEngine makes an engine on a store, as the server does.
func openEngine(t *testing.T, s *store.Store) *engine.Engine {
	t.Helper()
	d, err := rules.ParseYAML([]byte(limitRules))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Compile(rules.Version{Number: 1, Definition: d})
	if err != nil {
		t.Fatal(err)
	}
	inForce := func() *rules.Set { return set }
	windows, err := metrics.New(metrics.Config{Log: s, Set: inForce})
	if err != nil {
		t.Fatal(err)
	}
	s.Observe(windows.Committed)
	if _, err := s.CreateList(t.Context(), lists.Head{Name: "suspects", Type: rules.ListOfRanges}, "test"); err != nil {
		t.Fatal(err)
	}
	keeper := lists.NewKeeper(s, nil)
	if err := keeper.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- windows.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for windows.Health(ctx) != nil {
		time.Sleep(time.Millisecond)
	}
	e, err := engine.New(engine.Config{Recorder: s, Rules: inForce, Lists: keeper, Metrics: windows, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestConcurrentActionsOfOnePersonAreCounted has many callers pay for few people
// at the same time: a limit holds, and every decision records what the log held
// up to the position that it names.
func TestConcurrentActionsOfOnePersonAreCounted(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		e := openEngine(t, s)
		const callers, people, each = 32, 5, 12
		var mu sync.Mutex
		allowed := map[events.UserID]int{}
		work := make(chan int)
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for i := range work {
					user := events.UserID(fmt.Sprintf("user-%d", i%people))
					d, err := e.Track(context.Background(), engine.Action{ActionID: events.ActionID{User: user, Code: "payment"}})
					if err != nil {
						t.Error(err)
					}
					if d.Outcome == rules.Allow {
						mu.Lock()
						allowed[user]++
						mu.Unlock()
					}
				}
			})
		}
		for i := range people * each {
			work <- i
		}
		close(work)
		wait.Wait()
		for i := range people {
			if user := events.UserID(fmt.Sprintf("user-%d", i)); allowed[user] != 3 {
				t.Errorf("%s: %d payments were allowed, want 3", user, allowed[user])
			}
		}

		log, err := s.EventsAfter(t.Context(), events.Position{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		decisions := 0
		for _, event := range log {
			if event.Kind != events.KindActionTracked {
				continue
			}
			decisions++
			record, err := event.Decode()
			if err != nil {
				t.Fatal(err)
			}
			asOf, err := events.ParsePosition(record.(*events.ActionTracked).AsOf)
			if err != nil || asOf.Seq >= event.Seq {
				t.Fatalf("event %d counts up to %v, %v", event.Seq, asOf, err)
			}
			want := 0
			for _, earlier := range log {
				if earlier.Kind == events.KindActionTracked && earlier.Seq <= asOf.Seq && earlier.Action.User == event.Action.User {
					want++
				}
			}
			personal, err := event.PersonalValues()
			if err != nil {
				t.Fatal(err)
			}
			facts, err := rules.DecodeFacts([]byte(personal[events.PersonalFacts]))
			if err != nil {
				t.Fatal(err)
			}
			if got, known := facts.Metrics["payments"]; !known || got != float64(want) {
				t.Errorf("event %d of %s as of %d: metric %v, known %v, want %d", event.Seq, event.Action.User, asOf.Seq, got, known, want)
			}
		}
		if decisions != people*each {
			t.Errorf("%d decisions in the log, want %d", decisions, people*each)
		}
	})
}

// TestWhatARuleAddsIsInForceAtOnce tracks an action that puts its address on a
// list, and then others from there.
func TestWhatARuleAddsIsInForceAtOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		e := openEngine(t, storetest.Open(t, config))
		pay := func(user, ip string, amount float64) engine.Decision {
			t.Helper()
			d, err := e.Track(t.Context(), engine.Action{
				ActionID: events.ActionID{User: events.UserID(user), Code: "payment"}, IP: ip, Custom: map[string]any{"amount": amount},
			})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := pay("ann", "192.0.2.7", 13); d.Rule != "odd" {
			t.Errorf("decided by %q", d.Rule)
		}
		if d := pay("ben", "192.0.2.7", 1); d.Outcome != rules.Block {
			t.Errorf("from the same address: %s by %q", d.Outcome, d.Rule)
		}
		if d := pay("ben", "192.0.2.8", 1); d.Outcome != rules.Allow {
			t.Errorf("from another address: %s by %q", d.Outcome, d.Rule)
		}
	})
}
