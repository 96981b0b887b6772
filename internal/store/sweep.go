package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

const (
	// interruptedAfter is how long a taken challenge may stay unfinished. To
	// verify an answer takes milliseconds.
	interruptedAfter = time.Minute
	// closedFor is how long a closed challenge is remembered beyond its time, so
	// that a late answer hears why it is refused.
	closedFor = time.Hour
	// sweepSize is how many challenges one group ends.
	sweepSize = 256
)

// Sweep implements ceremonies.Store. It also forgets what nobody can use any
// more: closed challenges, redeemed links, and invites, ceremonies and sessions
// of operators.
func (s *Store) Sweep(ctx context.Context, now time.Time, build func(c ceremonies.Challenge, reason string) (events.Draft, error)) (int, error) {
	ended := 0
	for {
		n, err := s.sweep(ctx, now, build)
		ended += n
		if err != nil {
			return ended, fmt.Errorf("sweep: %w", err)
		}
		if n < sweepSize {
			break
		}
	}
	err := s.write(ctx, func(t *tx) error {
		at := micros(now)
		if _, err := t.exec("DELETE FROM challenges WHERE closed AND expires_at < $1", micros(now.Add(-closedFor))); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM meters WHERE ends_at < $1 AND locked_until < $1", micros(now.Add(-ceremonies.MaxLock))); err != nil {
			return err
		}
		for _, table := range []string{"links_redeemed", "operator_invites", "operator_ceremonies", "operator_sessions"} {
			if _, err := t.exec("DELETE FROM "+table+" WHERE expires_at < $1", at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return ended, fmt.Errorf("sweep: %w", err)
	}
	return ended, nil
}

// sweep ends up to sweepSize challenges in one group.
func (s *Store) sweep(ctx context.Context, now time.Time, build func(c ceremonies.Challenge, reason string) (events.Draft, error)) (int, error) {
	var ended int
	err := s.write(ctx, func(t *tx) error {
		ended = 0
		type due struct {
			ceremonies.Challenge
			reason string
		}
		var all []due
		at, interrupted := micros(now), micros(now.Add(-interruptedAfter))
		rows, err := t.list("SELECT taken_at, "+challengeColumns+` WHERE NOT closed
				AND (taken_at = 0 AND expires_at <= $1 OR taken_at <> 0 AND taken_at <= $2) ORDER BY expires_at LIMIT $3`,
			args{at, interrupted, int64(sweepSize)})
		err = each(rows, err, func(rows *sql.Rows) error {
			var taken int64
			c, err := scanChallenge(func(into ...any) error { return rows.Scan(append([]any{&taken}, into...)...) })
			d := due{c, ceremonies.ReasonTimeout}
			if taken != 0 {
				d.reason = ceremonies.ReasonInterrupted
			}
			all = append(all, d)
			return err
		})
		if err != nil {
			return err
		}
		for _, d := range all {
			if _, err := t.exec("UPDATE challenges SET closed = $1 WHERE id = $2", true, string(d.ID)); err != nil {
				return err
			}
			ended++
			if d.Action.User == "" {
				continue // it was begun for nobody, and nobody came
			}
			draft, err := build(d.Challenge, d.reason)
			if err != nil {
				return err
			}
			var in input
			if in.draft(draft); in.err != nil {
				return in.err
			}
			if err := t.log(draft); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}
