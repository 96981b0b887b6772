package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"
)

// dialect is where the two databases differ. Statements are written with $1, $2
// and run on both.
type dialect int

const (
	sqlite dialect = iota
	postgres
)

func (d dialect) String() string {
	if d == postgres {
		return "postgres"
	}
	return "sqlite"
}

// statement is the text as the driver wants it.
func (d dialect) statement(text string) string {
	if d == sqlite {
		return strings.ReplaceAll(text, "$", "?")
	}
	return text
}

// begin starts a group; the head row is locked by the statement that reads it.
func (d dialect) begin() string {
	if d == postgres {
		return "BEGIN"
	}
	return "BEGIN IMMEDIATE"
}

// lockHead is the first statement of every group.
func (d dialect) lockHead() string {
	if d == postgres {
		return "SELECT life, epoch, seq FROM log_head WHERE one = 1 FOR UPDATE"
	}
	return "SELECT life, epoch, seq FROM log_head WHERE one = 1"
}

// Files of the SQLite database in the data folder.
const databaseFile = "sallyport.db"

// Settings of the SQLite connections.
const (
	writerCache = 2 << 10 // KiB of pages; holds the pages of the largest group
	readerCache = 1024    // KiB of pages, each reader; every commit empties it, and emptying costs by its size
	walPages    = 4000    // of 4 KiB, between checkpoints; pages written often are then copied once
)

// openSQLite opens the one writer and the readers. The folder is locked and the
// write-ahead log scanned already.
func openSQLite(ctx context.Context, folder string, readers int) (writer, reader *sql.DB, err error) {
	name := filepath.Join(folder, databaseFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would let others read it
	if err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}

	registerVFS()
	writer, err = sqlitedriver.Open(sqliteName(name, gatheringVFS,
		"busy_timeout(5000)", "synchronous(FULL)", "journal_mode(WAL)",
		fmt.Sprintf("cache_size(-%d)", writerCache), fmt.Sprintf("wal_autocheckpoint(%d)", walPages),
		// Pages of an unfinished group never reach the write-ahead log, or a later
		// scan would find them behind the end.
		"cache_spill(0)",
		"secure_delete(1)", // what is erased is overwritten
		"journal_size_limit(67108864)", "foreign_keys(1)",
	), func(c *sqlite3.Conn) error {
		// The reserved bytes are known only once the header was read.
		if err := c.Exec("PRAGMA schema_version"); err != nil {
			return err
		}
		return c.EnableChecksums("main")
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	writer.SetMaxOpenConns(1)
	// A checkpoint that leaves nothing in the write-ahead log starts it under new
	// salts, so what a crash left behind the end is never taken for current.
	if _, err := writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open database: %w", err), writer.Close())
	}

	reader, err = sqlitedriver.Open(sqliteName(name, "os",
		"busy_timeout(5000)", "query_only(1)", fmt.Sprintf("cache_size(-%d)", readerCache)))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open database: %w", err), writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	return writer, reader, nil
}

func sqliteName(file, vfs string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}
	u.RawQuery = url.Values{"vfs": {vfs}, "_pragma": pragmas}.Encode()
	return u.String()
}

// openPostgres opens the pool and refuses a server that answers before the disk
// has what it answers for.
func openPostgres(ctx context.Context, address string, connections int) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("read the address of PostgreSQL: %w", withoutAddress(err))
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	for _, setting := range []string{"fsync", "synchronous_commit"} {
		var value string
		if err := db.QueryRowContext(ctx, "SHOW "+setting).Scan(&value); err != nil {
			return nil, errors.Join(fmt.Errorf("open PostgreSQL: %w", err), db.Close())
		}
		if value == "off" {
			return nil, errors.Join(fmt.Errorf("PostgreSQL runs with %s=off and may lose what it acknowledged; set %s=on", setting, setting), db.Close())
		}
	}
	return db, nil
}

// withoutAddress drops the address from pgx's error, as it may hold a password.
func withoutAddress(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && errors.Unwrap(parse) != nil {
		return errors.Unwrap(parse)
	}
	return errors.New("it is not a PostgreSQL connection string")
}

// refused reports whether err says that the database refused this statement,
// rather than that it cannot work now.
func refused(err error) bool {
	var sq *sqlite3.Error
	if errors.As(err, &sq) {
		switch sq.Code() {
		case sqlite3.CONSTRAINT, sqlite3.MISMATCH, sqlite3.TOOBIG, sqlite3.RANGE, sqlite3.ERROR, sqlite3.MISUSE:
			return true
		}
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && len(pg.Code) == 5 {
		switch pg.Code[:2] { // the class
		case "21", "22", "23", "42": // cardinality, data, integrity, syntax
			return true
		}
	}
	return false
}
