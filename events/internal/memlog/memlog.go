// Package memlog is a log in memory, for the tests of what follows the log: the
// relay and the sink. It keeps the promises of the SQL log except to outlive
// its process.
package memlog

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/events"
)

// Log is a log with its tables of cursors, ranges and dead letters. The zero
// value is not usable; New makes one.
type Log struct {
	mu      sync.Mutex
	events  []events.Event
	begins  map[events.Epoch]int // index of an epoch's first event
	epoch   events.Epoch
	grown   chan struct{} // closed and replaced when events join
	cursors map[string]events.Position
	ranges  []events.Range
	dead    map[events.Position]string
}

// New makes an empty log in an epoch.
func New(epoch events.Epoch) *Log {
	return &Log{
		epoch: epoch, begins: map[events.Epoch]int{epoch: 0}, grown: make(chan struct{}),
		cursors: map[string]events.Position{}, dead: map[events.Position]string{},
	}
}

// Append numbers drafts and adds them. It returns the new head.
func (l *Log) Append(drafts ...events.Draft) events.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range drafts {
		seq := uint64(len(l.events)-l.begins[l.epoch]) + 1
		l.events = append(l.events, d.At(events.Position{Epoch: l.epoch, Seq: seq}))
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return l.head()
}

// Begin starts another epoch.
func (l *Log) Begin(epoch events.Epoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.begins[epoch] = epoch, len(l.events)
}

func (l *Log) head() events.Position {
	return events.Position{Epoch: l.epoch, Seq: uint64(len(l.events) - l.begins[l.epoch])}
}

// Head is the newest position.
func (l *Log) Head(context.Context) (events.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head(), nil
}

// EventsAfter returns the events behind a position, of one epoch.
func (l *Log) EventsAfter(_ context.Context, after events.Position, limit int) ([]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := 0
	if after.Epoch != 0 {
		begin, known := l.begins[after.Epoch]
		if !known {
			return nil, fmt.Errorf("the log never had epoch %s", after.Epoch)
		}
		from = begin + int(after.Seq)
		for from > begin && l.events[min(from, len(l.events))-1].Epoch != after.Epoch {
			from-- // the position is beyond the end of its epoch
		}
	}
	list := l.events[min(from, len(l.events)):]
	for i := range list {
		if i == limit || list[i].Epoch != list[0].Epoch {
			return list[:i:i], nil
		}
	}
	return slices.Clip(list), nil
}

// EventsBetween returns the events of an epoch, both ends inclusive.
func (l *Log) EventsBetween(_ context.Context, epoch events.Epoch, from, to uint64) ([]events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []events.Event
	for _, e := range l.events {
		if e.Epoch == epoch && e.Seq >= from && e.Seq <= to {
			list = append(list, e)
		}
	}
	return list, nil
}

// Wait returns once the head is beyond a position.
func (l *Log) Wait(ctx context.Context, after events.Position) error {
	for {
		l.mu.Lock()
		head, grown := l.head(), l.grown
		l.mu.Unlock()
		if head.Seq > 0 && (head.Epoch != after.Epoch || head.Seq > after.Seq) {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Cursor is what SaveCursor kept for a stream.
func (l *Log) Cursor(_ context.Context, stream string) (events.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursors[stream], nil
}

// SaveCursor keeps how far a stream has been written.
func (l *Log) SaveCursor(_ context.Context, stream string, p events.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cursors[stream] = p
	return nil
}

// OpenRange is the range that is not confirmed.
func (l *Log) OpenRange(context.Context) (events.Range, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.ranges {
		if !r.Confirmed {
			return r, true, nil
		}
	}
	return events.Range{}, false, nil
}

// LastRange is the newest range.
func (l *Log) LastRange(context.Context) (events.Range, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ranges) == 0 {
		return events.Range{}, false, nil
	}
	return l.ranges[len(l.ranges)-1], true, nil
}

// Ranges are the ranges of an epoch.
func (l *Log) Ranges(_ context.Context, epoch events.Epoch) ([]events.Range, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []events.Range
	for _, r := range l.ranges {
		if r.Epoch == epoch {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b events.Range) int { return int(a.From) - int(b.From) })
	return list, nil
}

// BeginRange adds a range. One that overlaps another is refused.
func (l *Log) BeginRange(_ context.Context, r events.Range) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.ranges {
		if other.Epoch == r.Epoch && other.From <= r.To && other.To >= r.From {
			return fmt.Errorf("range %s overlaps range %s", r.Token(), other.Token())
		}
	}
	l.ranges = append(l.ranges, r)
	return nil
}

// ConfirmRange marks a range as archived.
func (l *Log) ConfirmRange(_ context.Context, r events.Range) error { return l.set(r, true) }

// ReopenRange takes that back.
func (l *Log) ReopenRange(_ context.Context, r events.Range) error { return l.set(r, false) }

func (l *Log) set(r events.Range, confirmed bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.ranges {
		if l.ranges[i].Token() == r.Token() {
			l.ranges[i].Confirmed = confirmed
			return nil
		}
	}
	return fmt.Errorf("range %s was never begun", r.Token())
}

// DeadLetter keeps why the archive refuses an event.
func (l *Log) DeadLetter(_ context.Context, p events.Position, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead[p] = reason
	return nil
}

// DeadLetters are the refused events and the reasons.
func (l *Log) DeadLetters() map[events.Position]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := map[events.Position]string{}
	for p, reason := range l.dead {
		list[p] = reason
	}
	return list
}
