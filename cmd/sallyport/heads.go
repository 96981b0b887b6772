package main

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
)

// HeadError means that another part has seen events that the log does not hold:
// the log was put back to an older state, or its disk lost writes.
type HeadError struct {
	Part string          // who has seen more: NATS or the archive
	Seen events.Position // what it has seen
	Log  events.Position // the log's head
}

// Error names both positions and the ways on.
func (e *HeadError) Error() string {
	return fmt.Sprintf("the log ends at %s but %s has seen %s: events were lost. "+
		"Restore a newer backup of the data folder, or run `sallyport recover` to go on without them", e.Log, e.Part, e.Seen)
}

// checkHead compares the log with the newest event that a part has seen. A loss
// that `sallyport recover` accepted for that part is no error.
func checkHead(ctx context.Context, log *store.Store, part string, seen events.Position) error {
	if seen == (events.Position{}) {
		return nil
	}
	head, err := log.Head(ctx)
	if err != nil {
		return fmt.Errorf("compare the log with %s: %w", part, err)
	}
	if seen.Epoch == head.Epoch && seen.Seq <= head.Seq {
		return nil
	}
	accepted, err := log.Cursor(ctx, acceptedLoss(part))
	if err != nil {
		return fmt.Errorf("compare the log with %s: %w", part, err)
	}
	if accepted.Epoch == seen.Epoch && seen.Seq <= accepted.Seq {
		return nil
	}
	// An event of an earlier life that the log still holds was not lost.
	if seen.Epoch != head.Epoch {
		held, err := log.EventsBetween(ctx, seen.Epoch, seen.Seq, seen.Seq)
		if err != nil {
			return fmt.Errorf("compare the log with %s: %w", part, err)
		}
		if len(held) == 1 {
			return nil
		}
	}
	return &HeadError{Part: part, Seen: seen, Log: head}
}

// acceptedLoss names the cursor that remembers up to where a part's events are
// known to be lost.
func acceptedLoss(part string) string { return "accepted loss: " + part }
