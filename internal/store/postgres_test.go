package store_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestPostgreSQLMustWaitForTheDisk(t *testing.T) {
	address := storetest.Postgres(t)
	if _, err := store.Open(t.Context(), store.Config{PostgreSQL: address + " synchronous_commit=off"}); err == nil ||
		!strings.Contains(err.Error(), "synchronous_commit=off") {
		t.Errorf("with synchronous_commit=off: %v", err)
	}

	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	set := func(value string) {
		t.Helper()
		for _, text := range []string{"ALTER SYSTEM SET fsync = " + value, "SELECT pg_reload_conf()"} {
			if _, err := db.ExecContext(context.Background(), text); err != nil {
				t.Fatal(err)
			}
		}
		// The server reads its settings some time after the call; new connections have them first.
		for got := ""; got != value; {
			fresh, err := sql.Open("pgx", address)
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.QueryRow("SHOW fsync").Scan(&got); err != nil {
				t.Fatal(err)
			}
			fresh.Close()
		}
	}
	t.Cleanup(func() { set("on") })
	set("off")
	if _, err := store.Open(t.Context(), store.Config{PostgreSQL: address}); err == nil || !strings.Contains(err.Error(), "fsync=off") {
		t.Errorf("with fsync=off: %v", err)
	}
}

func TestAWrongAddressDoesNotTellThePassword(t *testing.T) {
	for _, address := range []string{
		"postgres://jane:hunter2@localhost:notaport/x", "host=/nonexistent user=jane password=hunter2 dbname=x", "postgres://jane:hunter2@[::1/x",
	} {
		_, err := store.Open(t.Context(), store.Config{PostgreSQL: address})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("open: %v", err)
		}
	}
}

func TestBothDialectsHaveTheSameTables(t *testing.T) {
	address := storetest.Postgres(t)
	storetest.Open(t, store.Config{PostgreSQL: address})
	config := store.Config{Dir: t.TempDir()}
	s, err := store.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lite, err := sqlitedriver.Open("file:" + config.Dir + "/sallyport.db")
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	pg, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close()
	// Goose's own table is not ours.
	want := columns(t, lite, `SELECT m.name || '.' || c.name || CASE c."notnull" OR c.pk > 0 WHEN TRUE THEN '' ELSE ' NULL' END
		FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' ORDER BY 1`)
	got := columns(t, pg, `SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN '' ELSE ' NULL' END
		FROM information_schema.columns WHERE table_schema = current_schema() AND table_name NOT LIKE 'goose%' ORDER BY 1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-SQLite +PostgreSQL):\n%s", diff)
	}
	want = columns(t, lite, `SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1`)
	got = columns(t, pg, `SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%\_pkey'
		AND indexname NOT LIKE '%\_key' ORDER BY 1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("indexes (-SQLite +PostgreSQL):\n%s", diff)
	}
}

func columns(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || len(names) == 0 {
		t.Fatalf("%d names, %v", len(names), err)
	}
	return names
}
