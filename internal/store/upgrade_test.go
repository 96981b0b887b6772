package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// rowsOf00001 are a person with a passkey, a device and an action, as the first
// release of the tables kept them.
var rowsOf00001 = []struct {
	text   string
	values []any
}{
	{"INSERT INTO log_lives VALUES (1, 77, 1)", nil},
	{"INSERT INTO log_head VALUES (1, 1, 77, 1)", nil},
	{
		"INSERT INTO users VALUES ('jane', $1, 5, 'jane@example.com', FALSE, '', FALSE, '', '', '', NULL, 'PASSKEY', 1, 9, 1000000)",
		[]any{[]byte("handle")},
	},
	{"INSERT INTO devices VALUES ('jane', 'phone', 1000000)", nil},
	{
		`INSERT INTO authenticators VALUES ('a1', 'jane', 'PASSKEY', 'Phone', $1, $2, 'ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4', TRUE, FALSE,
			'platform', 3, 'agent', 'phone', 1000000, 0)`,
		[]any{[]byte("credential"), []byte("{}")},
	},
	{
		"INSERT INTO events VALUES (281474976710657, 1000000, 'action.tracked', 1, 'jane', 'payment', 'k1', 'CHALLENGE_REQUIRED', $1, NULL, NULL)",
		[]any{[]byte(`{"userId":"jane","action":"payment","idempotencyKey":"k1","state":"CHALLENGE_REQUIRED","outcome":"CHALLENGE",` +
			`"reason":"rule","rule":"large","set":3}`)},
	},
	{`INSERT INTO actions VALUES (281474976710657, 'jane', 'payment', 'k1', 'CHALLENGE_REQUIRED', 'CHALLENGE', 1000000, 1000000, 'PASSKEY',
		'', 0, '', '', 0, 'payment@3', 'Pay', '', 'phone', 'en', NULL)`, nil},
	{"INSERT INTO rule_sets VALUES (1, $1, 'ann', 'first', 1000000)", []any{[]byte(`{"actions":null,"otherwise":{"code":"","rules":null}}`)}},
}

// TestADatabaseOfTheFirstTablesIsBroughtUpToDate makes a database with 00001 alone.
func TestADatabaseOfTheFirstTablesIsBroughtUpToDate(t *testing.T) {
	tests := []struct {
		name, folder string
		dialect      goose.Dialect
		open         func(t *testing.T) (*sql.DB, store.Config)
	}{
		{
			name: "SQLite", folder: "sqlite", dialect: goose.DialectSQLite3,
			open: func(t *testing.T) (*sql.DB, store.Config) {
				config := store.Config{Dir: t.TempDir()}
				db, err := sqlitedriver.Open("file:" + filepath.Join(config.Dir, "sallyport.db"))
				if err != nil {
					t.Fatal(err)
				}
				return db, config
			},
		},
		{
			name: "PostgreSQL", folder: "postgres", dialect: goose.DialectPostgres,
			open: func(t *testing.T) (*sql.DB, store.Config) {
				config := store.Config{PostgreSQL: storetest.Postgres(t)}
				db, err := sql.Open("pgx", config.PostgreSQL)
				if err != nil {
					t.Fatal(err)
				}
				return db, config
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, config := tt.open(t)
			provider, err := goose.NewProvider(tt.dialect, db, os.DirFS("migrations/"+tt.folder),
				goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := provider.UpTo(context.Background(), 1); err != nil {
				t.Fatal(err)
			}
			for _, row := range rowsOf00001 {
				text := row.text
				if tt.dialect == goose.DialectSQLite3 {
					text = strings.ReplaceAll(text, "$", "?")
				}
				if _, err := db.Exec(text, row.values...); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}

			s := storetest.Open(t, config)
			at := time.UnixMicro(1_000_000).UTC()
			want := engine.Profile{
				Known: true, CreatedAt: at, Email: "jane@example.com", Methods: []events.Method{events.MethodPasskey},
				Passkeys:       []engine.Passkey{{AAGUID: "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", Synced: true, CreatedAt: at}},
				LastVerifiedAt: time.UnixMicro(9).UTC(), Generation: 5, Devices: 1, DeviceKnown: true, DeviceUsers: 1,
			}
			if diff := cmp.Diff(want, profileOf(t, s, "jane", "phone", "192.0.2.7")); diff != "" {
				t.Errorf("profile (-want +got):\n%s", diff)
			}
			d, found, err := s.Recorded(t.Context(), events.ActionID{User: "jane", Code: "payment", Key: "k1"})
			if err != nil || !found || d.Outcome != rules.Challenge || d.Rule != "large" {
				t.Errorf("decision %+v, %v, %v", d, found, err)
			}
			if v, err := s.CurrentRules(t.Context()); err != nil || v.Number != 1 {
				t.Errorf("rule set %+v, %v", v, err)
			}
			visit(t, s, events.ActionID{User: "jane", Code: "payment", Key: "k2"}, "phone", "192.0.2.7", base)
			if p := profileOf(t, s, "jane", "phone", "192.0.2.7"); !p.AddressKnown {
				t.Errorf("after a visit %+v", p)
			}
			makeList(t, s, "names", rules.ListOfStrings)
			if head := change(t, s, "names", items("jo"), nil, false); head.Items != 1 {
				t.Errorf("list %+v", head)
			}
		})
	}
}
