package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/events"
)

// querier runs prepared statements: tx within a group, reader outside. Functions
// that read take one, so that a member sees what its own group wrote.
type querier interface {
	// get scans the one row that the statement selects, or returns sql.ErrNoRows.
	get(text string, values args, into ...any) error
	// list selects rows. The caller closes them.
	list(text string, values args) (*sql.Rows, error)
}

// args are the values of $1, $2, ...
type args []any

// session is one connection with its prepared statements, for one goroutine.
type session struct {
	ctx      context.Context // of the transaction under way
	dialect  dialect
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	fault    error // of the last statement that failed
}

// connect takes a connection from the pool unless the session has one.
func (c *session) connect(ctx context.Context, pool *sql.DB) error {
	c.ctx, c.fault = ctx, nil
	if c.conn != nil {
		return nil
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	c.conn, c.prepared = conn, map[string]*sql.Stmt{}
	return nil
}

// drop gives the connection up, and with it whatever state it is in.
func (c *session) drop() {
	if c.conn == nil {
		return
	}
	for _, statement := range c.prepared {
		_ = statement.Close() // what this could fail to free goes with the connection
	}
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that the pool opens a fresh one
	_ = c.conn.Close()
	c.conn, c.prepared = nil, nil
}

// do runs a statement without values, such as BEGIN.
func (c *session) do(text string) error {
	_, err := c.conn.ExecContext(c.ctx, text)
	return err
}

// rollback ends the transaction. The connection is kept only when that worked.
func (c *session) rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	if _, err := c.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		c.drop()
	}
}

func (c *session) prepare(text string) (*sql.Stmt, error) {
	if statement, ok := c.prepared[text]; ok {
		return statement, nil
	}
	statement, err := c.conn.PrepareContext(c.ctx, c.dialect.statement(text))
	if err != nil {
		c.fault = err
		return nil, err
	}
	c.prepared[text] = statement
	return statement, nil
}

// exec returns how many rows the statement changed.
func (c *session) exec(text string, values ...any) (int64, error) {
	statement, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	result, err := statement.ExecContext(c.ctx, values...)
	if err != nil {
		c.fault = err
		return 0, err
	}
	return result.RowsAffected()
}

func (c *session) get(text string, values args, into ...any) error {
	statement, err := c.prepare(text)
	if err != nil {
		return err
	}
	err = statement.QueryRowContext(c.ctx, values...).Scan(into...)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		c.fault = err
	}
	return err
}

func (c *session) list(text string, values args) (*sql.Rows, error) {
	statement, err := c.prepare(text)
	if err != nil {
		return nil, err
	}
	rows, err := statement.QueryContext(c.ctx, values...)
	if err != nil {
		c.fault = err
	}
	return rows, err
}

// tx is a group's transaction as a member sees it.
type tx struct {
	*session
	life   int64
	head   events.Position // of the last event numbered so far
	logged []events.Event
	erased bool // personal values of earlier events are gone

	profiles *profiles
	touched  map[events.UserID]bool // people whose profile this transaction changes
	devices  map[string]bool        // devices that get or lose a user
}

// touch says that a statement changes what a profile tells of a person.
func (t *tx) touch(user events.UserID) {
	if t.touched == nil {
		t.touched = map[events.UserID]bool{}
	}
	t.touched[user] = true
}

// touchDevice says that a device gets or loses a user.
func (t *tx) touchDevice(id string) {
	if t.devices == nil {
		t.devices = map[string]bool{}
	}
	t.devices[id] = true
}

// place is where the next event will stand. It is final only for a member that
// then logs one.
func (t *tx) place() int64 { return placeOf(t.life, t.head.Seq+1) }

// log numbers an event and writes it.
func (t *tx) log(draft events.Draft) error {
	_, err := t.exec(`INSERT INTO events
		(place, time, kind, version, user_id, action, action_key, state, body, personal, salt)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.place(), draft.Time.UnixMicro(), string(draft.Kind), int64(draft.Version),
		string(draft.Action.User), draft.Action.Code, draft.Action.Key, string(draft.State),
		draft.Body, orNull(draft.Personal), orNull(draft.Salt))
	if err != nil {
		return fmt.Errorf("log %s: %w", draft.Kind, err)
	}
	t.head.Seq++
	t.logged = append(t.logged, draft.At(t.head))
	return nil
}

// reader reads outside of groups.
type reader struct {
	ctx   context.Context
	store *Store
}

func (s *Store) read(ctx context.Context) reader { return reader{ctx, s} }

// quick is a reader for a few rows by key. On SQLite that takes microseconds,
// less than it costs to watch for the end of a context.
func (s *Store) quick(ctx context.Context) reader {
	if s.dialect == sqlite && ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx)
	}
	return reader{ctx, s}
}

func (r reader) prepare(text string) (*sql.Stmt, error) {
	if statement, ok := r.store.statements.Load(text); ok {
		return statement.(*sql.Stmt), nil
	}
	statement, err := r.store.reader.PrepareContext(r.ctx, r.store.dialect.statement(text))
	if err != nil {
		return nil, err
	}
	if first, loaded := r.store.statements.LoadOrStore(text, statement); loaded {
		return first.(*sql.Stmt), statement.Close()
	}
	return statement, nil
}

func (r reader) get(text string, values args, into ...any) error {
	statement, err := r.prepare(text)
	if err != nil {
		return err
	}
	return statement.QueryRowContext(r.ctx, values...).Scan(into...)
}

func (r reader) list(text string, values args) (*sql.Rows, error) {
	statement, err := r.prepare(text)
	if err != nil {
		return nil, err
	}
	return statement.QueryContext(r.ctx, values...)
}

// snapshot runs reads that must agree with each other: they all see one moment.
func (s *Store) snapshot(ctx context.Context, run func(querier) error) error {
	conn, err := s.reader.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// On SQLite, where this is the only level, the first statement takes the
	// snapshot. A read-only transaction would there turn query_only off at its end.
	options := &sql.TxOptions{}
	if s.dialect == postgres {
		options = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	transaction, err := conn.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer transaction.Rollback() // it has written nothing
	return run(snapshot{ctx, s.dialect, transaction})
}

// snapshot reads within one transaction. What it asks is asked rarely, so its
// statements are not kept.
type snapshot struct {
	ctx         context.Context
	dialect     dialect
	transaction *sql.Tx
}

func (t snapshot) get(text string, values args, into ...any) error {
	return t.transaction.QueryRowContext(t.ctx, t.dialect.statement(text), values...).Scan(into...)
}

func (t snapshot) list(text string, values args) (*sql.Rows, error) {
	return t.transaction.QueryContext(t.ctx, t.dialect.statement(text), values...)
}

// each calls scan for every row and closes the rows.
func each(rows *sql.Rows, err error, scan func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// conditions collects the parts of a WHERE clause that are asked for.
type conditions struct {
	text   strings.Builder
	values args
}

// and adds a condition in which each ? stands for the next value.
func (c *conditions) and(condition string, values ...any) {
	if c.text.Len() == 0 {
		c.text.WriteString(" WHERE ")
	} else {
		c.text.WriteString(" AND ")
	}
	for _, v := range values {
		before, after, _ := strings.Cut(condition, "?")
		fmt.Fprintf(&c.text, "%s%s", before, c.value(v))
		condition = after
	}
	c.text.WriteString(condition)
}

// value adds a value and returns its name in the statement.
func (c *conditions) value(v any) string {
	c.values = append(c.values, v)
	return fmt.Sprintf("$%d", len(c.values))
}

// orNull is what to store for bytes that may be absent.
func orNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// micros and instant keep times as microseconds, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
