package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
)

// BreakCommits puts connections under the committer whose next COMMIT fails when
// fail was called: after the database has committed when it happened, else before
// it heard of it. It must be called before the first write.
func BreakCommits(s *Store) (fail func(happened bool)) {
	b := &breaking{pool: s.writer}
	s.writer = sql.OpenDB(b)
	s.writer.SetMaxOpenConns(1)
	return func(happened bool) { b.next.Store(map[bool]int32{true: failAfter, false: failBefore}[happened]) }
}

const (
	failNot int32 = iota
	failBefore
	failAfter
)

// breaking takes its connections from the store's own pool.
type breaking struct {
	pool *sql.DB
	next atomic.Int32
}

func (b *breaking) Connect(ctx context.Context) (driver.Conn, error) {
	lent, err := b.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &breakingConn{by: b, lent: lent}
	return c, lent.Raw(func(conn any) error {
		c.Conn = conn.(driver.Conn)
		return nil
	})
}

func (b *breaking) Driver() driver.Driver { return b.pool.Driver() }

// Close closes the pool below, when the one above is closed.
func (b *breaking) Close() error { return b.pool.Close() }

type breakingConn struct {
	driver.Conn
	by   *breaking
	lent *sql.Conn
}

var errBroken = errors.New("the connection broke at the commit")

func (c *breakingConn) ExecContext(ctx context.Context, text string, values []driver.NamedValue) (driver.Result, error) {
	how := failNot
	if text == "COMMIT" {
		how = c.by.next.Swap(failNot)
	}
	if how == failBefore {
		return nil, errBroken
	}
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, text, values)
	if err == nil && how == failAfter {
		return nil, errBroken
	}
	return result, err
}

func (c *breakingConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *breakingConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *breakingConn) Prepare(text string) (driver.Stmt, error) { return c.Conn.Prepare(text) }

// Close ends the connection, as the committer does with one that it does not trust.
func (c *breakingConn) Close() error {
	err := c.lent.Raw(func(any) error { return driver.ErrBadConn })
	return errors.Join(ignoring(err, driver.ErrBadConn), ignoring(c.lent.Close(), sql.ErrConnDone))
}

func ignoring(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
