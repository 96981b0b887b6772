package metrics_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

var base = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// journal is a log in memory, in which tests write what they like: also events out
// of the order of time, which a real one has only when clocks go back.
type journal struct {
	mu     sync.Mutex
	events []events.Event
	deaf   error // what Head answers while the log cannot be reached
}

func (l *journal) Head(context.Context) (events.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf != nil {
		return events.Position{}, l.deaf
	}
	if len(l.events) == 0 {
		return events.Position{Epoch: 7}, nil
	}
	return l.events[len(l.events)-1].Position, nil
}

func (l *journal) EventsAfter(_ context.Context, after events.Position, limit int) ([]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := 0
	if after.Seq != 0 {
		from = 1 + slices.IndexFunc(l.events, func(e events.Event) bool { return e.Position == after })
		if from == 0 {
			return nil, fmt.Errorf("there is no %v", after)
		}
	} else if after.Epoch != 0 {
		from = slices.IndexFunc(l.events, func(e events.Event) bool { return e.Epoch == after.Epoch })
		if from < 0 {
			return nil, fmt.Errorf("there is no epoch %v", after.Epoch)
		}
	}
	var run []events.Event
	for _, e := range l.events[from:] {
		if len(run) == limit || len(run) > 0 && e.Epoch != run[0].Epoch {
			break
		}
		e.Local = nil
		run = append(run, e)
	}
	return run, nil
}

func (l *journal) PositionBefore(_ context.Context, at time.Time) (events.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var p events.Position
	for _, e := range l.events {
		if !e.Time.Before(at) {
			break
		}
		p = e.Position
	}
	return p, nil
}

// append numbers drafts, in the last epoch or a new one.
func (l *journal) append(epoch events.Epoch, drafts ...events.Draft) []events.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := len(l.events)
	for _, d := range drafts {
		p := events.Position{Epoch: epoch, Seq: 1}
		if n := len(l.events); n > 0 && l.events[n-1].Epoch == epoch {
			p.Seq = l.events[n-1].Seq + 1
		}
		l.events = append(l.events, d.At(p))
	}
	return slices.Clone(l.events[first:])
}

// occurrence is one tracked action, or the end of its challenge.
type occurrence struct {
	at       time.Time
	user     string
	device   string // "" when unknown
	address  string
	merchant float64
	amount   any // float64, or nil when unknown
	outcome  rules.Outcome
	key      string
	result   rules.ChallengeResult
	browser  string // name of the browser's error when it did not answer
}

func (o *occurrence) facts() *rules.Facts {
	f := &rules.Facts{
		User: rules.UserFacts{ID: o.user}, Action: rules.ActionFacts{Code: "pay"}, Now: o.at,
		Custom: map[string]any{"merchant": o.merchant, "undeclared": "x"},
	}
	if o.device != "" {
		f.Device.ID = rules.Known(o.device)
	}
	if o.address != "" {
		f.IP.Address = rules.Known(o.address)
	}
	if o.amount != nil {
		f.Custom["amount"] = o.amount
	}
	return f
}

func (o *occurrence) id() events.ActionID {
	return events.ActionID{User: events.UserID(o.user), Code: "pay", Key: o.key}
}

// draft is the event of an occurrence, as the engine and the ceremonies write it.
func (o *occurrence) draft(t testing.TB, local bool) events.Draft {
	t.Helper()
	var record events.Record
	var personal events.Personal
	if o.result == "" {
		encoded, err := rules.EncodeFacts(o.facts())
		if err != nil {
			t.Fatal(err)
		}
		personal = events.Personal{events.PersonalFacts: string(encoded)}
		state := map[rules.Outcome]events.ActionState{
			rules.Allow: events.StateAllow, rules.Challenge: events.StateChallengeRequired,
			rules.Review: events.StateReviewRequired, rules.Block: events.StateBlock,
		}[o.outcome]
		record = events.ActionTracked{ActionID: o.id(), Outcome: string(o.outcome), State: state}
	} else {
		record = events.Ceremony{Step: events.Kind("ceremony." + string(o.result)), ActionID: o.id(), Purpose: "action", Browser: o.browser}
	}
	d, err := events.NewDraft(record, personal, o.at)
	if err != nil {
		t.Fatal(err)
	}
	if local && o.result == "" {
		d.Local = &rules.Occurrence{Facts: o.facts(), Outcome: o.outcome}
	}
	return d
}

// compile makes a set whose action "pay" reads all of its metrics.
func compile(t testing.TB, number int, list ...rules.Metric) *rules.Set {
	t.Helper()
	var reads []string
	for _, m := range list {
		reads = append(reads, "metric."+m.Name+" > 0")
	}
	set, err := rules.Compile(rules.Version{Number: number, Definition: rules.Definition{
		Fields: []rules.Field{
			{Name: "amount", Type: rules.TypeNumber},
			{Name: "merchant", Type: rules.TypeNumber},
		},
		Metrics: list,
		Actions: []rules.ActionRules{{Code: "pay", Rules: []rules.Rule{
			{ID: "r", Name: "R", When: strings.Join(reads, " || "), Outcome: rules.Review, Mode: rules.Shadow},
		}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// start runs windows until the test ends, or until the function is called.
func start(t testing.TB, config metrics.Config) (w *metrics.Windows, stop func()) {
	t.Helper()
	if config.MaxStale == 0 {
		config.MaxStale, config.Patience = time.Minute, 20*time.Second // however slow the machine is
	}
	w, err := metrics.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return w, stop
}

// ready waits until every metric can be read.
func ready(t testing.TB, w *metrics.Windows) {
	t.Helper()
	for give := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := w.Health(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(give) {
			t.Fatal(err)
		}
	}
}

// read is what the metrics of the action say about the facts.
func read(w *metrics.Windows, set *rules.Set, f *rules.Facts) (map[string]float64, events.Position) {
	at := w.Read(set, "pay", f)
	return f.Metrics, at
}

// gated is a log that lets builders, who read from its beginning, through only
// when it is open.
type gated struct {
	*journal
	mu   sync.Mutex
	open chan struct{}
	came bool
}

// shut closes the gate for those who come from now on.
func (g *gated) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open, g.came = make(chan struct{}), false
}

// wait returns once a builder stands before the gate.
func (g *gated) wait(t *testing.T) {
	t.Helper()
	for give := time.Now().Add(10 * time.Second); time.Now().Before(give); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		came := g.came
		g.mu.Unlock()
		if came {
			return
		}
	}
	t.Fatal("nobody builds anything")
}

func (g *gated) PositionBefore(ctx context.Context, at time.Time) (events.Position, error) {
	g.mu.Lock()
	g.came = true
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
		return events.Position{}, ctx.Err()
	}
	return g.journal.PositionBefore(ctx, at)
}

// lockedBuffer takes what is logged.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
