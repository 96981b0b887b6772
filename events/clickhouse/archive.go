package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/sallyport/sallyport/events"
)

// Config says where the archive is. Either DSN or Dial is required.
type Config struct {
	// DSN is the address of a ClickHouse server, as clickhouse-go reads it:
	// clickhouse://user:password@host:9000/database or http(s)://…:8123/database.
	DSN string
	// Dial connects to a server that speaks ClickHouse's HTTP interface, such as
	// the embedded engine.
	Dial func(ctx context.Context) (net.Conn, error)
	// Database holds the archive's table. Default: the one that the DSN names,
	// else sallyport.
	Database string
}

// Limits of the archive's own queries.
const (
	queryTime   = 30 * time.Second
	queryMemory = 1 << 30 // bytes
)

// Archive is the events table. It implements events.Reader.
type Archive struct {
	conn     driver.Conn
	database string
}

var _ events.Reader = (*Archive)(nil)

// Open makes an archive of a configuration. It does not connect: a server that
// is away shows in each call's error and in the sink's health.
func Open(_ context.Context, config Config) (*Archive, error) {
	if (config.DSN == "") == (config.Dial == nil) {
		return nil, errors.New("open the archive: give either the DSN of a ClickHouse server or a way to dial one")
	}
	options := &clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{"localhost"}, Auth: clickhouse.Auth{Database: "default"},
		DialContext: func(ctx context.Context, _ string) (net.Conn, error) { return config.Dial(ctx) },
	}
	if config.DSN != "" {
		var err error
		if options, err = clickhouse.ParseDSN(config.DSN); err != nil {
			return nil, fmt.Errorf("open the archive: read its DSN: %w", err)
		}
	}
	database := config.Database
	if database == "" && config.DSN != "" {
		database = options.Auth.Database
	}
	if database == "" || database == "default" && config.Database == "" {
		database = "sallyport"
	}
	// The database may not exist yet: statements name it themselves.
	options.Auth.Database = "default"
	options.DialTimeout = 5 * time.Second
	options.ReadTimeout = 2 * queryTime
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	return &Archive{conn: conn, database: database}, nil
}

// Close ends the connections.
func (a *Archive) Close() error {
	if err := a.conn.Close(); err != nil {
		return fmt.Errorf("close the archive: %w", err)
	}
	return nil
}

// Ping asks whether the archive answers.
func (a *Archive) Ping(ctx context.Context) error {
	if err := a.conn.Ping(ctx); err != nil {
		return fmt.Errorf("reach the archive: %w", err)
	}
	return nil
}

// bounded is the context of a query with the archive's limits.
func bounded(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time": int(queryTime.Seconds()),
		"max_memory_usage":   queryMemory,
	}))
}

// Head is the newest position that the archive holds of an epoch. Seq is 0 when
// it holds none.
func (a *Archive) Head(ctx context.Context, epoch events.Epoch) (events.Position, error) {
	head := events.Position{Epoch: epoch}
	// The newest day answers for the log's present epoch without a full scan.
	const newest = "SELECT max(seq) FROM {table} WHERE epoch = ? AND time > (SELECT max(time) FROM {table}) - INTERVAL 1 DAY"
	const all = "SELECT max(seq) FROM {table} WHERE epoch = ?"
	for _, query := range []string{newest, all} {
		if err := a.conn.QueryRow(bounded(ctx), a.sql(query), uint64(epoch)).Scan(&head.Seq); err != nil {
			return events.Position{}, fmt.Errorf("read the archive's head: %w", err)
		}
		if head.Seq > 0 {
			return head, nil
		}
	}
	return head, nil
}

// Count is the number of different events that the archive holds from one seq
// to another, both inclusive.
func (a *Archive) Count(ctx context.Context, epoch events.Epoch, from, to uint64) (uint64, error) {
	const query = "SELECT uniqExact(seq) FROM {table} WHERE epoch = ? AND seq BETWEEN ? AND ?"
	var n uint64
	if err := a.conn.QueryRow(bounded(ctx), a.sql(query), uint64(epoch), from, to).Scan(&n); err != nil {
		return 0, fmt.Errorf("count archived events: %w", err)
	}
	return n, nil
}

// Events returns the archived events from one seq to another, both inclusive, in
// order, each once.
func (a *Archive) Events(ctx context.Context, epoch events.Epoch, from, to uint64) ([]events.Event, error) {
	const query = "SELECT " + eventColumns + " FROM {table} FINAL WHERE epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq"
	return a.read(ctx, a.sql(query), uint64(epoch), from, to)
}

// ErrDiffers means that the archive does not hold a range as the log had it.
var ErrDiffers = errors.New("the archive does not hold these events as the log had them")

// Verify computes the leaves of a range from the archived bytes and compares
// their hash with the range's. It returns ErrDiffers when an event is missing or
// changed.
func (a *Archive) Verify(ctx context.Context, r events.Range) error {
	run, err := a.Events(ctx, r.Epoch, r.From, r.To)
	if err != nil {
		return err
	}
	if uint64(len(run)) != r.To-r.From+1 {
		return fmt.Errorf("verify %s: %w: %d of %d are there", r.Token(), ErrDiffers, len(run), r.To-r.From+1)
	}
	if events.RangeOf(run).Hash != r.Hash {
		return fmt.Errorf("verify %s: %w", r.Token(), ErrDiffers)
	}
	return nil
}
