package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/events"
)

// ErrEpoch means that this log never had the epoch that was asked about.
var ErrEpoch = errors.New("the log never had this epoch")

// headPoll is how often Wait looks for events of other nodes.
const headPoll = 100 * time.Millisecond

// Head is the position of the last event. A log without events has seq 0.
func (s *Store) Head(ctx context.Context) (events.Position, error) {
	if s.dialect == sqlite {
		return s.log.position(), nil
	}
	var epoch, seq int64
	if err := s.read(ctx).get("SELECT epoch, seq FROM log_head WHERE one = 1", nil, &epoch, &seq); err != nil {
		return events.Position{}, fmt.Errorf("read the log's head: %w", err)
	}
	return events.Position{Epoch: events.Epoch(epoch), Seq: uint64(seq)}, nil
}

// Wait returns once the log's head is beyond after.
func (s *Store) Wait(ctx context.Context, after events.Position) error {
	var poll <-chan time.Time
	if s.dialect == postgres {
		ticker := time.NewTicker(headPoll)
		defer ticker.Stop()
		poll = ticker.C
	}
	for {
		changed := s.log.changed()
		head, err := s.Head(ctx)
		if err != nil {
			return err
		}
		if head.Seq > 0 && (head.Epoch != after.Epoch || head.Seq > after.Seq) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for events: %w", context.Cause(ctx))
		case <-s.drained:
			return fmt.Errorf("wait for events: %w", errClosed)
		case <-changed:
		case <-poll:
		}
	}
}

// EventsAfter returns the events that follow a position, in order, at most
// limit, all of one epoch. The zero position stands before the first event. The
// events are shared with other callers and must not be changed.
func (s *Store) EventsAfter(ctx context.Context, after events.Position, limit int) ([]events.Event, error) {
	if recent := s.log.after(after, limit); len(recent) > 0 {
		return recent, nil
	}
	place := int64(0)
	if after.Epoch != 0 {
		life, err := s.lives.life(s.read(ctx), after.Epoch)
		if err != nil {
			return nil, fmt.Errorf("read events after %v: %w", after, err)
		}
		place = placeOf(life, after.Seq)
	}
	run, err := s.events(ctx, "WHERE place > $1 ORDER BY place LIMIT $2", place, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("read events after %v: %w", after, err)
	}
	for i := range run {
		if run[i].Epoch != run[0].Epoch {
			return run[:i], nil
		}
	}
	return run, nil
}

// EventsBetween returns the events of an epoch from one seq to another, both
// inclusive. It is empty for an epoch that this log never had.
func (s *Store) EventsBetween(ctx context.Context, epoch events.Epoch, from, to uint64) ([]events.Event, error) {
	life, err := s.lives.life(s.read(ctx), epoch)
	if errors.Is(err, ErrEpoch) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	run, err := s.events(ctx, "WHERE place BETWEEN $1 AND $2 ORDER BY place", placeOf(life, from), placeOf(life, to))
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return run, nil
}

// clockSlack is how far the order of the events may be from that of their times:
// an event is dated before it is decided and committed, by the clock of its node.
const clockSlack = 5 * time.Minute

// PositionBefore returns a position after which all events stand that happened
// at t or later, up to clockSlack before the first of them: the zero position
// when that is the whole log. It takes some sixty look-ups by key.
func (s *Store) PositionBefore(ctx context.Context, t time.Time) (events.Position, error) {
	q := s.read(ctx)
	at := micros(t.Add(-clockSlack))
	var head int64
	if err := q.get("SELECT COALESCE(MAX(place), 0) FROM events", nil, &head); err != nil {
		return events.Position{}, fmt.Errorf("find position: %w", err)
	}
	var before int64 // the last place that is known to be early enough
	for low, high := int64(1), head+1; low < high; {
		middle := low + (high-low)/2
		var place, time int64
		err := q.get("SELECT place, time FROM events WHERE place >= $1 ORDER BY place LIMIT 1", args{middle}, &place, &time)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			high = middle
		case err != nil:
			return events.Position{}, fmt.Errorf("find position: %w", err)
		case time < at:
			before, low = place, place+1
		default:
			high = middle
		}
	}
	if before == 0 {
		return events.Position{}, nil
	}
	p, err := s.lives.position(q, before)
	if err != nil {
		return events.Position{}, fmt.Errorf("find position: %w", err)
	}
	return p, nil
}

// Recover begins a new epoch and logs that events were lost: those between the
// log's head and seen, the last position that another part had seen. Only the
// recover command calls it.
func (s *Store) Recover(ctx context.Context, seen events.Position) error {
	epoch, now := newEpoch(), s.now()
	err := s.write(ctx, func(t *tx) error {
		draft, err := events.NewDraft(events.LogRecovered{OldEpoch: t.head.Epoch, LogHead: t.head.Seq, SeenHead: seen.Seq}, nil, now)
		if err != nil {
			return err
		}
		t.life, t.head = t.life+1, events.Position{Epoch: epoch}
		if _, err := t.exec("INSERT INTO log_lives (life, epoch, begun_at) VALUES ($1, $2, $3)", t.life, int64(epoch), micros(now)); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE log_head SET life = $1, epoch = $2, seq = 0 WHERE one = 1", t.life, int64(epoch)); err != nil {
			return err
		}
		return t.log(draft)
	})
	if err != nil {
		return fmt.Errorf("recover the log: %w", err)
	}
	return nil
}

const eventColumns = "e.place, e.time, e.kind, e.version, e.user_id, e.action, e.action_key, e.state, e.body, e.personal, e.salt"

func (s *Store) events(ctx context.Context, rest string, values ...any) ([]events.Event, error) {
	var run []events.Event
	var places []int64
	q := s.read(ctx)
	rows, err := q.list("SELECT "+eventColumns+" FROM events e "+rest, values)
	err = each(rows, err, func(rows *sql.Rows) error {
		var e events.Event
		var place, at int64
		err := rows.Scan(&place, &at, &e.Kind, &e.Version, &e.Action.User, &e.Action.Code, &e.Action.Key, &e.State,
			&e.Body, &e.Personal, &e.Salt)
		e.Time = instant(at)
		run, places = append(run, e), append(places, place)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		if run[i].Position, err = s.lives.position(q, place); err != nil {
			return nil, err
		}
	}
	return run, nil
}

// seqBits is how many bits of a place hold the seq.
const seqBits = 48

// placeOf is where an event stands among all events of all epochs.
func placeOf(life int64, seq uint64) int64 { return life<<seqBits | int64(seq) }

// lives knows the epochs of the log in their order. Other nodes may begin one.
type lives struct {
	mu     sync.RWMutex
	epochs map[int64]events.Epoch
}

// position is the position of a place.
func (l *lives) position(q querier, place int64) (events.Position, error) {
	life, seq := place>>seqBits, uint64(place&(1<<seqBits-1))
	l.mu.RLock()
	epoch, ok := l.epochs[life]
	l.mu.RUnlock()
	if !ok {
		if err := l.load(q); err != nil {
			return events.Position{}, err
		}
		l.mu.RLock()
		epoch = l.epochs[life]
		l.mu.RUnlock()
	}
	return events.Position{Epoch: epoch, Seq: seq}, nil
}

// life is the number of an epoch, or ErrEpoch.
func (l *lives) life(q querier, epoch events.Epoch) (int64, error) {
	for range 2 {
		l.mu.RLock()
		for life, e := range l.epochs {
			if e == epoch {
				l.mu.RUnlock()
				return life, nil
			}
		}
		l.mu.RUnlock()
		if err := l.load(q); err != nil {
			return 0, err
		}
	}
	return 0, ErrEpoch
}

func (l *lives) load(q querier) error {
	epochs := map[int64]events.Epoch{}
	rows, err := q.list("SELECT life, epoch FROM log_lives", nil)
	err = each(rows, err, func(rows *sql.Rows) error {
		var life, epoch int64
		err := rows.Scan(&life, &epoch)
		epochs[life] = events.Epoch(epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the log's epochs: %w", err)
	}
	l.mu.Lock()
	l.epochs = epochs
	l.mu.Unlock()
	return nil
}
