package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/events"
)

// errEpoch is about a position of another log.
var errEpoch = errors.New("the position is of another log")

// Events returns the log so far, oldest first.
func (r *Recorder) Events() []events.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// Observe has a function called with every event that is recorded from now on,
// in the order of the log and before whoever recorded it gets an answer. The
// function must not call the recorder. engine/metrics is told of events in this
// way.
func (r *Recorder) Observe(observer func([]events.Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observers = append(r.observers, observer)
}

// Head is the position of the last event. A log without events has seq 0.
func (r *Recorder) Head(context.Context) (events.Position, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head(), nil
}

// EventsAfter returns the events that follow a position, in order, at most
// limit. The zero position stands before the first event.
func (r *Recorder) EventsAfter(_ context.Context, after events.Position, limit int) ([]events.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after.Epoch != 0 && after.Epoch != r.epoch {
		return nil, fmt.Errorf("read events after %v: %w", after, errEpoch)
	}
	from := min(after.Seq, uint64(len(r.log)))
	to := min(from+uint64(max(limit, 0)), uint64(len(r.log)))
	return slices.Clone(r.log[from:to]), nil
}

// Wait returns once the log's head is beyond after.
func (r *Recorder) Wait(ctx context.Context, after events.Position) error {
	for {
		r.mu.Lock()
		head, grown := r.head(), r.grown
		r.mu.Unlock()
		if head.Seq > 0 && (head.Epoch != after.Epoch || head.Seq > after.Seq) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for events: %w", context.Cause(ctx))
		case <-grown:
		}
	}
}

// PositionBefore returns a position after which all events stand that happened
// at t or later.
func (r *Recorder) PositionBefore(_ context.Context, t time.Time) (events.Position, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seq := slices.IndexFunc(r.log, func(e events.Event) bool { return !e.Time.Before(t) })
	if seq < 0 {
		seq = len(r.log)
	}
	return events.Position{Epoch: r.epoch, Seq: uint64(seq)}, nil
}

// head is the position of the last event. The caller holds the lock.
func (r *Recorder) head() events.Position {
	return events.Position{Epoch: r.epoch, Seq: uint64(len(r.log))}
}

// append numbers an event and tells the observers. The caller holds the lock.
func (r *Recorder) append(d events.Draft) {
	event := d.At(events.Position{Epoch: r.epoch, Seq: uint64(len(r.log)) + 1})
	for _, observe := range r.observers {
		observe([]events.Event{event})
	}
	event.Local = nil
	r.log = append(r.log, event)
	close(r.grown)
	r.grown = make(chan struct{})
}
