package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
)

// Config says where state and log are kept.
type Config struct {
	// Dir is the data folder of SQLite, created for its owner alone when it is not
	// there. Unused with PostgreSQL.
	Dir string
	// PostgreSQL is a connection string or URL. Empty means SQLite in Dir.
	PostgreSQL string
	// Queue is how many writes may wait for a group; a write beyond is
	// engine.ErrUnavailable. 0 means 4,096.
	Queue int
	// Readers is how many connections read at once. 0 means 4.
	Readers int
	// AcceptLoss opens a SQLite database although its write-ahead log is damaged.
	// Only the recover command sets it, and then calls Recover.
	AcceptLoss bool
	// RememberDevice is how long a device is remembered after a challenge was passed
	// on it. 0 means never.
	RememberDevice time.Duration
	// Now is the clock for what the store itself dates. nil means time.Now.
	Now func() time.Time
	// Log is told what a rule could not add to a list. nil: nothing is logged.
	Log *slog.Logger
}

// Store is state and log. It is safe for concurrent use.
type Store struct {
	dialect  dialect
	now      func() time.Time
	logger   *slog.Logger
	remember time.Duration
	lock     *os.File // of the data folder, nil on PostgreSQL
	writer   *sql.DB  // on PostgreSQL the same as reader
	reader   *sql.DB

	gate    sync.RWMutex // closed and the queue's end
	closed  bool
	queue   chan *member
	drained chan struct{} // closed once the committer has ended

	committer session // the committer's alone
	observers []func([]events.Event)

	statements sync.Map // text to *sql.Stmt, of reader
	log        tail
	lives      lives
	profiles   profiles
	drops      dropCounter
}

var (
	_ engine.Recorder  = (*Store)(nil)
	_ ceremonies.Store = (*Store)(nil)
	_ operators.Store  = (*Store)(nil)
	_ events.Reader    = (*Store)(nil)
)

// Open opens the database, brings its tables up to date and starts the
// committer. It returns a *LockedError when another process works on the data
// folder and a *DamageError when acknowledged commits cannot be read any more.
func Open(ctx context.Context, config Config) (*Store, error) {
	s := &Store{now: config.Now, logger: config.Log, remember: config.RememberDevice, drained: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	queue, readers := config.Queue, config.Readers
	if queue == 0 {
		queue = 4096
	}
	if readers == 0 {
		readers = 4
	}
	if queue < 0 || readers < 0 || config.RememberDevice < 0 {
		return nil, errors.New("open store: Queue, Readers and RememberDevice cannot be negative")
	}
	s.queue = make(chan *member, queue)
	if err := s.connect(ctx, config, readers); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	if err := s.beginLife(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	s.committer.dialect, s.profiles = s.dialect, newProfiles(s.dialect)
	go s.commitGroups()
	return s, nil
}

func (s *Store) connect(ctx context.Context, config Config, readers int) (err error) {
	if config.PostgreSQL != "" {
		s.dialect = postgres
		if s.reader, err = openPostgres(ctx, config.PostgreSQL, readers+1); err != nil {
			return err
		}
		s.writer = s.reader
		return migrate(ctx, s.writer, s.dialect)
	}
	if config.Dir == "" {
		return errors.New("open store: Config needs Dir or PostgreSQL")
	}
	if s.lock, err = lockFolder(config.Dir); err != nil {
		return err
	}
	var damage *DamageError
	err = scanWAL(filepath.Join(config.Dir, databaseFile+"-wal"))
	if err != nil && (!config.AcceptLoss || !errors.As(err, &damage)) {
		return err
	}
	if s.writer, s.reader, err = openSQLite(ctx, config.Dir, readers); err != nil {
		return err
	}
	return migrate(ctx, s.writer, s.dialect)
}

// beginLife gives a new log its first epoch and finds the head of an old one.
// Two nodes that start on an empty database agree on one.
func (s *Store) beginLife(ctx context.Context) error {
	transaction, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the log's head: %w", err)
	}
	defer transaction.Rollback() // nothing is left to roll back after a commit
	if s.dialect == postgres {
		if _, err := transaction.ExecContext(ctx, "LOCK TABLE log_head IN EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("read the log's head: %w", err)
		}
	}
	var life, epoch, seq int64
	err = transaction.QueryRowContext(ctx, "SELECT life, epoch, seq FROM log_head").Scan(&life, &epoch, &seq)
	if errors.Is(err, sql.ErrNoRows) {
		life, epoch = 1, int64(newEpoch())
		_, err = transaction.ExecContext(ctx, s.dialect.statement("INSERT INTO log_lives (life, epoch, begun_at) VALUES ($1, $2, $3)"), life, epoch, micros(s.now()))
		if err != nil {
			return fmt.Errorf("begin the log: %w", err)
		}
		_, err = transaction.ExecContext(ctx, s.dialect.statement("INSERT INTO log_head (one, life, epoch, seq) VALUES (1, $1, $2, 0)"), life, epoch)
		if err != nil {
			return fmt.Errorf("begin the log: %w", err)
		}
	}
	if err != nil {
		return fmt.Errorf("read the log's head: %w", err)
	}
	if err := transaction.Commit(); err != nil {
		return fmt.Errorf("begin the log: %w", err)
	}
	s.log.start(events.Position{Epoch: events.Epoch(epoch), Seq: uint64(seq)})
	return nil
}

// newEpoch is random. The sign bit stays free, so that SQL and JSON readers see
// the number that we see.
func newEpoch() events.Epoch {
	var b [8]byte
	for {
		rand.Read(b[:])
		if e := binary.BigEndian.Uint64(b[:]) >> 1; e != 0 {
			return events.Epoch(e)
		}
	}
}

// Ready reports whether the store can commit: it does, once.
func (s *Store) Ready(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec("UPDATE log_head SET seq = $1 WHERE one = 1", int64(t.head.Seq))
		return err
	})
}

// Close commits what waits and closes the database. Writes that come later are
// engine.ErrUnavailable. Closing twice is no error.
func (s *Store) Close() error {
	s.gate.Lock()
	first := !s.closed
	if first {
		s.closed = true
		close(s.queue)
	}
	s.gate.Unlock()
	<-s.drained
	if !first {
		return nil
	}
	return s.disconnect()
}

func (s *Store) disconnect() error {
	var errs []error
	s.statements.Range(func(_, statement any) bool {
		errs = append(errs, statement.(*sql.Stmt).Close())
		return true
	})
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil && s.writer != s.reader {
		errs = append(errs, s.writer.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
