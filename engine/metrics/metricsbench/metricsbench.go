// Package metricsbench measures engine/metrics at a million users: what an update
// and a read cost, what a user takes in memory, what a garbage collection costs,
// how fast a snapshot is, and how far behind a second node is.
package metricsbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Begin is the time of the first event.
var Begin = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Code is the action whose rules read the six metrics.
const Code = "payment"

// Set has six metrics per user, and a rule that reads them.
func Set() (*rules.Set, error) {
	return rules.Compile(rules.Version{Number: 1, Definition: rules.Definition{
		Fields: []rules.Field{{Name: "amount", Type: rules.TypeNumber}},
		Metrics: []rules.Metric{
			{Name: "actions10m", Function: rules.Count, Window: "10m"},
			{Name: "actions24h", Function: rules.Count, Window: "24h"},
			{Name: "spent24h", Function: rules.Sum, Of: "custom.amount", Window: "24h"},
			{Name: "most7d", Function: rules.Max, Of: "custom.amount", Window: "7d"},
			{Name: "devices30d", Function: rules.Distinct, Of: "device.id", Window: "30d"},
			{Name: "allowed1h", Function: rules.Count, Window: "1h", Where: "action.outcome == 'ALLOW'"},
		},
		Actions: []rules.ActionRules{{Code: Code, Rules: []rules.Rule{{
			ID: "many", Name: "Many", Outcome: rules.Challenge,
			When: "metric.actions10m > 5 || metric.actions24h > 50 || metric.spent24h > 5000 || metric.most7d > 900 || metric.devices30d > 3 || metric.allowed1h > 9",
		}}}},
	}})
}

// Log is a log in memory that keeps nothing but its end: enough for windows that
// see everything committed.
type Log struct {
	mu   sync.Mutex
	run  []events.Event // the newest
	head events.Position
}

// kept is how many events a Log keeps.
const kept = 4096

// Append numbers drafts and returns them as events.
func (l *Log) Append(drafts ...events.Draft) []events.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head.Epoch = 1
	if len(l.run) > 2*kept {
		l.run = append(l.run[:0], l.run[len(l.run)-kept:]...)
	}
	first := len(l.run)
	for _, d := range drafts {
		l.head.Seq++
		l.run = append(l.run, d.At(l.head))
	}
	return slices.Clone(l.run[first:])
}

// Head implements metrics.Log.
func (l *Log) Head(context.Context) (events.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return events.Position{Epoch: 1, Seq: l.head.Seq}, nil
}

// EventsAfter implements metrics.Log.
func (l *Log) EventsAfter(_ context.Context, after events.Position, limit int) ([]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.run) == 0 {
		return nil, nil
	}
	if after.Seq+1 < l.run[0].Seq {
		return nil, errors.New("the log keeps only its end")
	}
	from := int(after.Seq + 1 - l.run[0].Seq)
	return slices.Clone(l.run[from:min(len(l.run), from+limit)]), nil
}

// PositionBefore implements metrics.Log.
func (l *Log) PositionBefore(context.Context, time.Time) (events.Position, error) {
	return events.Position{}, nil
}

// Bench is windows with a log of their own.
type Bench struct {
	Windows *metrics.Windows
	Log     *Log
	Set     *rules.Set
	Users   int
	random  *rand.Rand
	stop    context.CancelFunc
	ended   chan error
}

// New makes windows that hold one event of each of so many users. The snapshot is
// at path, if there is one, and is written at Close.
func New(users int, path string) (*Bench, error) {
	b, err := Open(path, &Log{})
	if err != nil {
		return nil, err
	}
	b.Users = users
	for _, user := range b.random.Perm(users) {
		b.Windows.Committed(b.Log.Append(Event(user, Begin.Add(time.Duration(user)*time.Microsecond))))
	}
	return b, nil
}

// Open makes windows that follow a log, from a snapshot if there is one.
func Open(path string, log *Log) (*Bench, error) {
	set, err := Set()
	if err != nil {
		return nil, err
	}
	b := &Bench{Log: log, Set: set, random: rand.New(rand.NewPCG(1, 2)), ended: make(chan error, 1)}
	b.Windows, err = metrics.New(metrics.Config{
		Log: log, Set: func() *rules.Set { return set }, Path: path, Now: func() time.Time { return Begin },
		SnapshotEvery: time.Hour, MaxStale: time.Minute, Patience: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	go func() { b.ended <- b.Windows.Run(ctx) }()
	for b.Windows.Health(ctx) != nil {
		time.Sleep(time.Millisecond)
	}
	return b, nil
}

// Close ends the windows and writes their snapshot.
func (b *Bench) Close() error {
	b.stop()
	return <-b.ended
}

// Facts are those of an action of a user.
func Facts(user int, at time.Time) *rules.Facts {
	f := &rules.Facts{
		User: rules.UserFacts{ID: fmt.Sprintf("usr_%024x", user)}, Action: rules.ActionFacts{Code: Code},
		Custom: map[string]any{"amount": float64(user%1000) / 10}, Now: at,
	}
	f.Device.ID = rules.Known(fmt.Sprintf("dev_%024x", user%5000))
	return f
}

// Event is an allowed action of a user, as it reaches the observer of the store.
func Event(user int, at time.Time) events.Draft {
	facts := Facts(user, at)
	return events.Draft{
		Time: at, Kind: events.KindActionTracked, Version: events.Version, State: events.StateAllow,
		Action: events.ActionID{User: events.UserID(facts.User.ID), Code: Code, Key: "k"},
		Body:   []byte(`{"outcome":"ALLOW"}`), Local: &rules.Occurrence{Facts: facts, Outcome: rules.Allow},
	}
}

// Workload is events and facts of random users, made before the clock runs.
type Workload struct {
	events []events.Event
	facts  []*rules.Facts
}

// BatchSize is a good size of a workload: its facts stay in the processor's cache,
// as those of a decision that was just made are, and its users do not.
const BatchSize = 256

// Workload makes n of them.
func (b *Bench) Workload(n int) *Workload {
	w := &Workload{}
	var drafts []events.Draft
	for i := range n {
		at := Begin.Add(time.Minute + time.Duration(i)*time.Millisecond)
		user := b.random.IntN(b.Users)
		drafts = append(drafts, Event(user, at))
		w.facts = append(w.facts, Facts(user, at))
	}
	w.events = b.Log.Append(drafts...)
	return w
}

// UpdateAndRead prepares and folds each event of a workload, and reads the six
// metrics of its user. It returns an error when a metric was unknown.
func (b *Bench) UpdateAndRead(w *Workload) error {
	for i := range w.events {
		b.Windows.Prepare(&w.events[i].Draft) // as the engine does
		b.Windows.Committed(w.events[i : i+1])
		b.Windows.Read(b.Set, Code, w.facts[i])
		if len(w.facts[i].Metrics) != 6 {
			return fmt.Errorf("metrics %v", w.facts[i].Metrics)
		}
	}
	return nil
}

// Commit folds the events of a workload, each as a group of its own, as the
// store's committer does.
func (b *Bench) Commit(w *Workload) {
	for i := range w.events {
		b.Windows.Committed(w.events[i : i+1])
	}
}

// heap is what lives on the heap, bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BytesPerUser is what one user with one event takes, with everything around it.
func BytesPerUser(users int) (float64, error) {
	before := heap()
	b, err := New(users, "")
	if err != nil {
		return 0, err
	}
	b.Log.run = nil
	taken := heap() - before
	runtime.KeepAlive(b)
	return float64(taken) / float64(users), b.Close()
}

// Collection is how long a full garbage collection takes while windows of so many
// users live, the median of some.
func Collection(users int) (time.Duration, error) {
	b, err := New(users, "")
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	for range 15 {
		start := time.Now()
		runtime.GC()
		took = append(took, time.Since(start))
	}
	runtime.KeepAlive(b)
	slices.Sort(took)
	return took[len(took)/2], b.Close()
}

// Snapshot is how long writing a snapshot of so many users and starting from it
// take, and the size of the file in bytes.
func Snapshot(users int, folder string) (write, restore time.Duration, size int64, err error) {
	path := filepath.Join(folder, "metrics.snapshot")
	b, err := New(users, path)
	if err != nil {
		return 0, 0, 0, err
	}
	start := time.Now()
	if err := b.Close(); err != nil {
		return 0, 0, 0, err
	}
	write = time.Since(start)
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, 0, err
	}
	log := b.Log
	b = nil
	start = time.Now()
	again, err := Open(path, log)
	if err != nil {
		return 0, 0, 0, err
	}
	restore = time.Since(start)
	if keys := again.Windows.Stats().Keys; keys != users {
		return 0, 0, 0, fmt.Errorf("%d of %d users are left", keys, users)
	}
	return write, restore, info.Size(), again.Close()
}

// Staleness is how long after a commit on one node another node's windows hold
// it: the median and the longest of n. The second node polls its log as one on
// PostgreSQL does.
func Staleness(n int) (median, longest time.Duration, err error) {
	log := &Log{}
	log.Append(Event(0, Begin))
	b, err := Open("", log)
	if err != nil {
		return 0, 0, err
	}
	var took []time.Duration
	random := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		time.Sleep(time.Duration(random.Int64N(int64(50 * time.Millisecond))))
		start := time.Now()
		head := log.Append(Event(i, Begin))[0].Position // nobody tells the windows
		for b.Windows.Stats().Position != head {
			time.Sleep(200 * time.Microsecond)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[n/2], took[n-1], b.Close()
}
