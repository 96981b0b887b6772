package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Defaults of Config.
const (
	// DefaultMaxBytes is what all windows take at most. A million users with six
	// metrics take some 140 MB.
	DefaultMaxBytes = 2 << 30
	// DefaultSnapshotEvery is how often the windows are written to the snapshot.
	DefaultSnapshotEvery = 5 * time.Minute
	// DefaultMaxStale is how far behind other nodes' writes an answer may be.
	DefaultMaxStale = time.Second
	// DefaultPatience is how long a reader waits for what this node has written.
	DefaultPatience = 100 * time.Millisecond
)

// Log is the log as internal/store keeps it; engine/memory has one as well.
type Log interface {
	// Head is the position of the last event.
	Head(ctx context.Context) (events.Position, error)
	// EventsAfter returns the events that follow a position, in order, at most
	// limit, all of one epoch.
	EventsAfter(ctx context.Context, after events.Position, limit int) ([]events.Event, error)
	// PositionBefore is a position behind which no event is older than a time, as
	// long as clocks do not go back. The zero position is always one.
	PositionBefore(ctx context.Context, at time.Time) (events.Position, error)
}

// Config is what windows need. Log and Set are required.
type Config struct {
	Log Log
	// Set is the set in force, whose metrics are kept. It is asked ten times a second.
	Set func() *rules.Set
	// Path is the file of the snapshot. Empty means that there is none, so that each
	// start reads the log again.
	Path          string
	SnapshotEvery time.Duration // 0: DefaultSnapshotEvery
	MaxBytes      int64         // 0: DefaultMaxBytes; while metrics are built anew they take it twice
	MaxStale      time.Duration // 0: DefaultMaxStale
	Patience      time.Duration // 0: DefaultPatience
	Now           func() time.Time
	Logger        *slog.Logger // nil: nothing is logged
}

// Windows are the sliding windows of the set in force. They are safe for
// concurrent use. Committed must be called for each group of events that this
// process commits, in order; Run must run.
type Windows struct {
	config Config
	live   atomic.Pointer[board] // answers; nil until the first one is built

	mu       sync.Mutex
	boards   []*board        // that Committed feeds
	required events.Position // last event that this process committed
	fresh    time.Time       // when live was last known to hold the whole log
	moved    chan struct{}   // closed when live moves; nil while nobody waits
	failure  error           // why live does not move, nil when it does

	tally    tally         // of Committed
	wake     chan struct{} // the follower has something to do
	building atomic.Bool
}

var _ engine.Preparer = (*Windows)(nil)

// New checks the configuration. It starts nothing and reads nothing.
func New(config Config) (*Windows, error) {
	var problems []error
	if config.Log == nil {
		problems = append(problems, errors.New("a Log is missing"))
	}
	if config.Set == nil {
		problems = append(problems, errors.New("the function Set is missing"))
	}
	if config.MaxBytes < 0 || config.SnapshotEvery < 0 || config.MaxStale < 0 || config.Patience < 0 {
		problems = append(problems, errors.New("MaxBytes, SnapshotEvery, MaxStale and Patience cannot be negative"))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("configure metrics: %w", errors.Join(problems...))
	}
	orDefault(&config.MaxBytes, DefaultMaxBytes)
	orDefault(&config.SnapshotEvery, DefaultSnapshotEvery)
	orDefault(&config.MaxStale, DefaultMaxStale)
	orDefault(&config.Patience, DefaultPatience)
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Windows{config: config, wake: make(chan struct{}, 1)}, nil
}

func orDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Committed folds events that this process has just committed, so that whoever
// was answered sees them counted. It never waits for the log: after a gap, such as
// events of another node, it leaves the work to Run, and readers wait or get
// nothing until it is done. The events are not changed or kept. Those that went
// through Prepare take a microsecond; of others it has to ask first which metrics
// count them, at a cost that rules.MaxMetricsCost bounds.
func (w *Windows) Committed(run []events.Event) {
	if len(run) == 0 {
		return
	}
	w.mu.Lock()
	w.required = run[len(run)-1].Position
	boards := w.boards
	w.mu.Unlock()
	for _, b := range boards {
		if err := b.fold(run, false, &w.tally); err != nil {
			w.nudge() // Run finds the same, or the way around it
		}
	}
	w.announce()
}

// nudge tells Run to look now.
func (w *Windows) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// announce wakes the readers that wait.
func (w *Windows) announce() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moved != nil {
		close(w.moved)
		w.moved = nil
	}
}

// Read implements engine.Metrics. It sees everything that this process committed
// before the call, and what other nodes committed more than MaxStale before. When
// it cannot, it waits as long as Patience says and then returns the zero position
// and no metric.
func (w *Windows) Read(set *rules.Set, code string, facts *rules.Facts) events.Position {
	facts.Metrics = nil
	meters := set.MetersOf(code)
	b := w.live.Load()
	if b == nil {
		return events.Position{}
	}
	if len(meters) == 0 {
		return b.at()
	}
	if b = w.ready(); b == nil {
		return events.Position{}
	}
	return b.read(meters, facts)
}

// Immediate implements engine.Instant: reading takes microseconds, unless this
// node is behind the log.
func (w *Windows) Immediate() {}

// ready waits until the live board holds what it must, and returns nil when that
// takes too long.
func (w *Windows) ready() *board {
	b, moved := w.current()
	if b != nil {
		return b
	}
	w.nudge()
	patience := time.NewTimer(w.config.Patience)
	defer patience.Stop()
	for {
		select {
		case <-moved:
		case <-patience.C:
			return nil
		}
		if b, moved = w.current(); b != nil {
			return b
		}
	}
}

// current is the live board if it holds what it must; otherwise moved is closed
// when it is worth looking again.
func (w *Windows) current() (b *board, moved <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b = w.live.Load()
	if time.Since(w.fresh) <= w.config.MaxStale && b.holds(w.required) {
		return b, nil
	}
	if w.moved == nil {
		w.moved = make(chan struct{})
	}
	return nil, w.moved
}

// holds tells whether an event was folded.
func (b *board) holds(p events.Position) bool {
	if p.Seq == 0 {
		return true
	}
	at := b.at()
	return at.Epoch == p.Epoch && at.Seq >= p.Seq
}

// Health is nil while every metric of the set in force can be read. Otherwise it
// says what is missing; decisions are made all the same, with unknown metrics.
func (w *Windows) Health(context.Context) error {
	b := w.live.Load()
	w.mu.Lock()
	fresh, failure := w.fresh, w.failure
	w.mu.Unlock()
	switch {
	case failure != nil:
		return fmt.Errorf("metrics do not follow the log: %w", failure)
	case b == nil:
		return errors.New("metrics are being built from the log")
	case time.Since(fresh) > w.config.MaxStale:
		return fmt.Errorf("metrics are %v behind the log", time.Since(fresh).Round(time.Millisecond))
	case !b.layout.holds(w.config.Set().Meters()):
		return errors.New("new metrics are being built from the log")
	}
	return nil
}

// holds tells whether all meters are kept.
func (l *layout) holds(meters []*rules.Meter) bool {
	for _, m := range meters {
		if _, kept := l.byID[m.ID()]; !kept {
			return false
		}
	}
	return true
}

// Stats are figures about the windows.
type Stats struct {
	Position events.Position // last event that was folded
	Age      time.Duration   // since the windows were last known to hold the whole log
	Keys     int             // of all kinds
	Bytes    int64           // of slabs and indexes
	Building bool            // metrics are being built from the log
	Lost     bool            // memory did not suffice: some windows are unknown
	Prepared uint64          // how often, since the start, Committed was told what an event adds
	Asked    uint64          // how often, since the start, Committed asked whether a metric counts something
}

// Stats returns figures for the operator.
func (w *Windows) Stats() Stats {
	b := w.live.Load()
	if b == nil {
		return Stats{Building: w.building.Load(), Prepared: w.tally.prepared.Load(), Asked: w.tally.asked.Load()}
	}
	w.mu.Lock()
	fresh := w.fresh
	w.mu.Unlock()
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := Stats{
		Position: b.position, Age: time.Since(fresh), Bytes: b.budget.used + b.waiting.bytes(),
		Building: w.building.Load(), Lost: b.lost != 0 || b.lostResults != 0,
		Prepared: w.tally.prepared.Load(), Asked: w.tally.asked.Load(),
	}
	for _, t := range b.tables {
		s.Keys += t.keys
	}
	return s
}
