package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/events"
)

// Cursor is how far the relay into a stream has come: the zero position before
// anything was relayed.
func (s *Store) Cursor(ctx context.Context, stream string) (events.Position, error) {
	var epoch, seq int64
	err := s.read(ctx).get("SELECT epoch, seq FROM relay_cursors WHERE stream = $1", args{stream}, &epoch, &seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return events.Position{}, fmt.Errorf("read relay cursor: %w", err)
	}
	return events.Position{Epoch: events.Epoch(epoch), Seq: uint64(seq)}, nil
}

// SaveCursor keeps how far the relay into a stream has come.
func (s *Store) SaveCursor(ctx context.Context, stream string, p events.Position) error {
	var in input
	in.id("stream", stream)
	if in.err != nil {
		return in.err
	}
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO relay_cursors (stream, epoch, seq) VALUES ($1, $2, $3)
			ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq`, stream, int64(p.Epoch), int64(p.Seq))
		return err
	})
	if err != nil {
		return fmt.Errorf("save relay cursor: %w", err)
	}
	return nil
}

const rangeColumns = "epoch, from_seq, to_seq, hash, confirmed FROM sink_ranges"

func scanRange(scan func(...any) error) (r events.Range, err error) {
	var epoch, from, to int64
	var hash []byte
	if err := scan(&epoch, &from, &to, &hash, &r.Confirmed); err != nil {
		return events.Range{}, err
	}
	if copy(r.Hash[:], hash) != len(r.Hash) {
		return events.Range{}, fmt.Errorf("the hash of range %d to %d has %d bytes", from, to, len(hash))
	}
	r.Epoch, r.From, r.To = events.Epoch(epoch), uint64(from), uint64(to)
	return r, nil
}

// OpenRange is the oldest range that was begun and not confirmed, if any.
func (s *Store) OpenRange(ctx context.Context) (events.Range, bool, error) {
	return s.oneRange(ctx, "WHERE NOT confirmed ORDER BY number LIMIT 1")
}

// LastRange is the range that was begun last, if any.
func (s *Store) LastRange(ctx context.Context) (events.Range, bool, error) {
	return s.oneRange(ctx, "ORDER BY number DESC LIMIT 1")
}

func (s *Store) oneRange(ctx context.Context, rest string) (events.Range, bool, error) {
	r, err := scanRange(func(into ...any) error { return s.read(ctx).get("SELECT "+rangeColumns+" "+rest, nil, into...) })
	if errors.Is(err, sql.ErrNoRows) {
		return events.Range{}, false, nil
	}
	if err != nil {
		return events.Range{}, false, fmt.Errorf("read archive range: %w", err)
	}
	return r, true, nil
}

// Ranges reads the ranges of an epoch in the order of their events.
func (s *Store) Ranges(ctx context.Context, epoch events.Epoch) ([]events.Range, error) {
	var found []events.Range
	rows, err := s.read(ctx).list("SELECT "+rangeColumns+" WHERE epoch = $1 ORDER BY from_seq", args{int64(epoch)})
	err = each(rows, err, func(rows *sql.Rows) error {
		r, err := scanRange(rows.Scan)
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read archive ranges: %w", err)
	}
	return found, nil
}

// BeginRange keeps a range before its first insert. Beginning the same range
// again is no error; a range that overlaps another is.
func (s *Store) BeginRange(ctx context.Context, r events.Range) error {
	if r.From == 0 || r.To < r.From {
		return fmt.Errorf("begin archive range: %d to %d is no range", r.From, r.To)
	}
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		other, err := scanRange(func(into ...any) error {
			return t.get("SELECT "+rangeColumns+" WHERE epoch = $1 AND from_seq <= $2 AND to_seq >= $3 LIMIT 1",
				args{int64(r.Epoch), int64(r.To), int64(r.From)}, into...)
		})
		if err == nil {
			if other.From != r.From || other.To != r.To || other.Hash != r.Hash {
				answer = fmt.Errorf("range %s overlaps range %s", r.Token(), other.Token())
			}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = t.exec(`INSERT INTO sink_ranges (number, epoch, from_seq, to_seq, hash, confirmed)
			SELECT COALESCE(MAX(number), 0) + 1, CAST($1 AS BIGINT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), $4, $5 FROM sink_ranges`,
			int64(r.Epoch), int64(r.From), int64(r.To), r.Hash[:], false)
		return err
	})
	return ended("begin archive range", err, answer)
}

// ConfirmRange keeps that the archive has a range.
func (s *Store) ConfirmRange(ctx context.Context, r events.Range) error {
	return s.setRange(ctx, r, true)
}

// ReopenRange takes a confirmation back, so that the range is inserted again.
func (s *Store) ReopenRange(ctx context.Context, r events.Range) error {
	return s.setRange(ctx, r, false)
}

func (s *Store) setRange(ctx context.Context, r events.Range, confirmed bool) error {
	var found int64
	err := s.write(ctx, func(t *tx) (err error) {
		found, err = t.exec("UPDATE sink_ranges SET confirmed = $1 WHERE epoch = $2 AND from_seq = $3 AND to_seq = $4",
			confirmed, int64(r.Epoch), int64(r.From), int64(r.To))
		return err
	})
	if err == nil && found == 0 {
		err = errors.New("it was never begun")
	}
	if err != nil {
		return fmt.Errorf("update archive range %s: %w", r.Token(), err)
	}
	return nil
}

// DeadLetter keeps that the archive refuses an event, and why. Saying it again
// replaces the reason.
func (s *Store) DeadLetter(ctx context.Context, p events.Position, reason string) error {
	var in input
	in.text("reason", reason, maxText)
	if in.err != nil {
		return in.err
	}
	at := micros(s.now())
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO dead_letters (epoch, seq, reason, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (epoch, seq) DO UPDATE SET reason = excluded.reason, at = excluded.at`,
			int64(p.Epoch), int64(p.Seq), reason, at)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep dead letter %v: %w", p, err)
	}
	return nil
}

// DeadLetters is how many events the archive has refused.
func (s *Store) DeadLetters(ctx context.Context) (int, error) {
	var n int
	if err := s.read(ctx).get("SELECT COUNT(*) FROM dead_letters", nil, &n); err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	return n, nil
}
