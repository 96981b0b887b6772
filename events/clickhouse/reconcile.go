package clickhouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/events"
)

// The reconciler's measures.
const (
	chunkEvents = 1 << 20 // events that one count query looks at
	hashedLast  = 20      // newest ranges whose bytes are compared, not only their count
	hashedMost  = 20_000  // events in them
)

// finish brings to its end the range that an earlier run had begun, with the
// same events.
func (s *Sink) finish(ctx context.Context) error {
	open, found, err := s.log.OpenRange(ctx)
	if err != nil {
		return fmt.Errorf("look for an open range: %w", err)
	}
	if found {
		if err := s.insertAgain(ctx, open); err != nil {
			return err
		}
	}
	last, found, err := s.log.LastRange(ctx)
	if err != nil {
		return fmt.Errorf("read the last range: %w", err)
	}
	if found {
		at := events.Position{Epoch: last.Epoch, Seq: last.To}
		s.at = at
		s.archived.Store(&at)
	}
	return nil
}

// errChanged means that the log does not hold what a range was made of.
var errChanged = errors.New("the log's events are not those of the range")

// insertAgain inserts an open range once more and confirms it. The archive may
// already hold it (the acknowledgement was lost) or may remember the token of
// rows that it has lost; both show in the count.
func (s *Sink) insertAgain(ctx context.Context, r events.Range) error {
	run, err := s.log.EventsBetween(ctx, r.Epoch, r.From, r.To)
	if err != nil {
		return fmt.Errorf("read range %s: %w", r.Token(), err)
	}
	if uint64(len(run)) != r.To-r.From+1 || events.RangeOf(run).Hash != r.Hash {
		return fmt.Errorf("archive range %s: %w", r.Token(), errChanged)
	}
	if err := s.insert(ctx, run, r.Token()); err != nil {
		return err
	}
	switch whole, err := s.holds(ctx, r); {
	case err != nil:
		return err
	case !whole:
		if err := s.insert(ctx, run, freshToken(r)); err != nil {
			return err
		}
	}
	return s.confirm(ctx, r)
}

// holds reports whether the archive has a range as the log has it, apart from
// the events that it refuses.
func (s *Sink) holds(ctx context.Context, r events.Range) (bool, error) {
	err := s.archive.Verify(ctx, r)
	if !errors.Is(err, ErrDiffers) {
		return err == nil, err
	}
	n, err := s.archive.Count(ctx, r.Epoch, r.From, r.To)
	if err != nil {
		return false, err
	}
	var dead uint64
	for p := range s.refused {
		if p.Epoch == r.Epoch && p.Seq >= r.From && p.Seq <= r.To {
			dead++
		}
	}
	return dead > 0 && n+dead == r.To-r.From+1, nil
}

// reconcile compares what was confirmed in the newest epoch with what the
// archive holds: the number of events of all ranges, the bytes of the newest. A
// range that differs is opened and inserted again.
func (s *Sink) reconcile(ctx context.Context) error {
	if s.at.Epoch == 0 {
		return nil
	}
	ranges, err := s.log.Ranges(ctx, s.at.Epoch)
	if err != nil {
		return fmt.Errorf("read the ranges of epoch %s: %w", s.at.Epoch, err)
	}
	for from := 0; from < len(ranges); {
		to := from + 1
		for to < len(ranges) && ranges[to].To-ranges[from].From < chunkEvents {
			to++
		}
		if err := s.recount(ctx, ranges[from:to]); err != nil {
			return err
		}
		from = to
	}
	left := uint64(hashedMost)
	for i := len(ranges) - 1; i >= max(0, len(ranges)-hashedLast); i-- {
		n := ranges[i].To - ranges[i].From + 1
		if n > left {
			break
		}
		left -= n
		err := s.archive.Verify(ctx, ranges[i])
		if errors.Is(err, ErrDiffers) {
			err = s.restore(ctx, ranges[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recount finds the ranges of a run whose events are not all there, by halves.
func (s *Sink) recount(ctx context.Context, ranges []events.Range) error {
	first, last := ranges[0], ranges[len(ranges)-1]
	var want uint64
	for _, r := range ranges {
		want += r.To - r.From + 1
	}
	n, err := s.archive.Count(ctx, first.Epoch, first.From, last.To)
	if err != nil || n == want {
		return err
	}
	if len(ranges) == 1 {
		return s.restore(ctx, first)
	}
	half := len(ranges) / 2
	return errors.Join(s.recount(ctx, ranges[:half]), s.recount(ctx, ranges[half:]))
}

// restore archives a confirmed range again from the log. Events that the log
// has let go by age can't be brought back; that is counted and said.
func (s *Sink) restore(ctx context.Context, r events.Range) error {
	run, err := s.log.EventsBetween(ctx, r.Epoch, r.From, r.To)
	if err != nil {
		return fmt.Errorf("read range %s: %w", r.Token(), err)
	}
	if uint64(len(run)) != r.To-r.From+1 {
		s.lost(events.Position{Epoch: r.Epoch, Seq: r.From}, r.To-r.From+1-uint64(len(run)))
		return nil
	}
	s.config.Log.Error("the archive has lost events that it had confirmed; they are archived again", "range", r.Token())
	if err := s.log.ReopenRange(ctx, r); err != nil {
		return fmt.Errorf("reopen range %s: %w", r.Token(), err)
	}
	s.counts.reopened.Add(1)
	r.Confirmed = false
	return s.insertAgain(ctx, r)
}
