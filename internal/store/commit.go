package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// Limits of the group commit.
const (
	// CommitWait is how long a write waits for its commit. A client in Python
	// gives up after two seconds and should get an answer before.
	CommitWait = 1500 * time.Millisecond
	// groupSize is how many members share a transaction.
	groupSize = 512
	// crowd is how large a group is that the next one waits for, and crowdWait how
	// long. A few callers are never made to wait.
	crowd     = 8
	crowdWait = 100 * time.Microsecond
	// groupTime bounds one transaction on PostgreSQL, where a lost server would
	// otherwise hold the committer.
	groupTime = 5 * time.Second
)

var errClosed = errors.New("the store is closed")

// member is one write on its way into a group.
type member struct {
	run  func(*tx) error
	due  time.Time
	done chan error // has room for the one answer
	// phase goes from waiting to either running or givenUp, once. A member whose
	// caller gave up first is never run.
	phase atomic.Int32
}

const (
	waiting int32 = iota
	running
	givenUp
)

// write runs the statements of run in a group and returns once they are
// committed. run answers its caller through captured variables, which hold the
// truth only when write returns nil; it may run twice. An error of run rolls the
// whole group back, so refusals are answers and not errors.
func (s *Store) write(ctx context.Context, run func(*tx) error) error {
	m := &member{run: run, due: time.Now().Add(CommitWait), done: make(chan error, 1)}
	if err := s.join(m); err != nil {
		return err
	}
	timer := time.NewTimer(CommitWait)
	defer timer.Stop()
	select {
	case err := <-m.done:
		return err
	case <-timer.C:
		m.phase.CompareAndSwap(waiting, givenUp)
		return fmt.Errorf("commit: %w: not possible within %v", engine.ErrUnavailable, CommitWait)
	case <-ctx.Done():
		m.phase.CompareAndSwap(waiting, givenUp)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("commit: %w: %w", engine.ErrUnavailable, ctx.Err())
		}
		return fmt.Errorf("commit: %w", context.Cause(ctx))
	}
}

// ended is how a write ended for its caller: not committed, or committed with a
// refusal for an answer. A member must not return the refusal itself, since an
// error of one rolls its whole group back.
func ended(operation string, err, refusal error) error {
	if err == nil {
		err = refusal
	}
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return nil
}

// join queues a member without waiting.
func (s *Store) join(m *member) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return fmt.Errorf("commit: %w: %w", engine.ErrUnavailable, errClosed)
	}
	select {
	case s.queue <- m:
		return nil
	default:
		return fmt.Errorf("commit: %w: %d writes are waiting already", engine.ErrUnavailable, cap(s.queue))
	}
}

// commitGroups is the committer. It ends when the queue is closed and empty.
func (s *Store) commitGroups() {
	defer close(s.drained)
	group := make([]*member, 0, groupSize)
	last := 0
	for first := range s.queue {
		group = s.fill(append(group[:0], first))
		if last >= crowd && len(group) < last {
			// Those who were just answered are about to ask again. Without them,
			// groups settle at half the callers and wait for the disk twice as often.
			time.Sleep(crowdWait)
			group = s.fill(group)
		}
		last = len(group)
		s.commitGroup(group)
		clear(group)
	}
	s.committer.drop()
}

// fill adds what waits in the queue.
func (s *Store) fill(group []*member) []*member {
	for len(group) < groupSize {
		select {
		case m, open := <-s.queue:
			if !open {
				return group
			}
			group = append(group, m)
		default:
			return group
		}
	}
	return group
}

// errCommit marks the failure of a COMMIT. It may have happened, or be lost in the
// next crash, so the group is neither tried again nor acknowledged; callers ask
// again and find what is stored.
var errCommit = errors.New("the commit itself failed")

func (s *Store) commitGroup(group []*member) {
	taken := group[:0]
	for _, m := range group {
		if m.phase.CompareAndSwap(waiting, running) {
			taken = append(taken, m)
		}
	}
	if len(taken) == 0 {
		return
	}
	err := s.transact(taken)
	if err == nil || len(taken) == 1 || errors.Is(err, errCommit) {
		for _, m := range taken {
			m.done <- err
		}
		return
	}
	for i, m := range taken {
		if time.Now().After(m.due) {
			m.done <- fmt.Errorf("commit: %w: %w", engine.ErrUnavailable, err)
			continue
		}
		m.done <- s.transact(taken[i : i+1])
	}
}

// transact runs members in one transaction under a context of its own.
func (s *Store) transact(members []*member) error {
	ctx := context.Background()
	if s.dialect == postgres {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, groupTime)
		defer cancel()
	}
	t, err := s.beginGroup(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w: %w", engine.ErrUnavailable, err)
	}
	for _, m := range members {
		if err := m.run(t); err != nil {
			t.rollback()
			if t.fault != nil && !refused(t.fault) {
				return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
			}
			return err
		}
	}
	if len(t.logged) > 0 {
		if _, err := t.exec("UPDATE log_head SET seq = $1 WHERE one = 1", int64(t.head.Seq)); err != nil {
			t.rollback()
			return fmt.Errorf("number events: %w: %w", engine.ErrUnavailable, err)
		}
	}
	err = t.do("COMMIT")
	s.profiles.forget(t.touched, t.devices) // also when nobody knows
	if err != nil {
		t.rollback()
		s.unclear(t)
		return fmt.Errorf("%w: %w: %w", engine.ErrUnavailable, errCommit, err)
	}
	s.committed(t)
	return nil
}

// unclear finds out whether a group was committed whose COMMIT failed, so that
// those who read and observe the log go on if it was. On PostgreSQL other nodes
// write too, and Head asks the database anyway.
func (s *Store) unclear(t *tx) {
	if s.dialect != sqlite {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	var epoch, seq int64
	err := s.read(ctx).get("SELECT epoch, seq FROM log_head WHERE one = 1", nil, &epoch, &seq)
	switch {
	case err == nil && t.head == events.Position{Epoch: events.Epoch(epoch), Seq: uint64(seq)}:
		s.committed(t) // nobody else writes
	case t.erased:
		s.log.move(s.log.position()) // what may be erased is not shown from memory
	}
}

// beginGroup takes the head row. It connects again after a failure.
func (s *Store) beginGroup(ctx context.Context) (*tx, error) {
	c := &s.committer
	if err := c.connect(ctx, s.writer); err != nil {
		return nil, err
	}
	if err := c.do(s.dialect.begin()); err != nil {
		c.drop()
		return nil, err
	}
	t := &tx{session: c, profiles: &s.profiles}
	var epoch, seq int64
	if err := t.get(s.dialect.lockHead(), nil, &t.life, &epoch, &seq); err != nil {
		c.rollback()
		return nil, err
	}
	t.head = events.Position{Epoch: events.Epoch(epoch), Seq: uint64(seq)}
	if s.dialect == sqlite && t.head != s.log.position() {
		s.log.move(t.head) // by a commit that was unclear, and then nothing could be read
	}
	return t, nil
}
