package store_test

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlitedriver "github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// rowsOf00001 are a person with a passkey, a device and an action, as the first
// release of the tables kept them.
var rowsOf00001 = []row{
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

// row is one statement with its values.
type row struct {
	text   string
	values []any
}

// older makes a database of each kind in which rows were written when the tables were
// those of some version, and runs a test over it.
func older(t *testing.T, test func(t *testing.T, config store.Config), written map[int64][]row) {
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
			for _, version := range slices.Sorted(maps.Keys(written)) {
				if _, err := provider.UpTo(context.Background(), version); err != nil {
					t.Fatal(err)
				}
				for _, row := range written[version] {
					text := row.text
					if tt.dialect == goose.DialectSQLite3 {
						text = strings.ReplaceAll(text, "$", "?")
					}
					if _, err := db.Exec(text, row.values...); err != nil {
						t.Fatalf("%s: %v", text, err)
					}
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			test(t, config)
		})
	}
}

// TestADatabaseOfTheFirstTablesIsBroughtUpToDate makes a database with 00001 alone.
func TestADatabaseOfTheFirstTablesIsBroughtUpToDate(t *testing.T) {
	older(t, func(t *testing.T, config store.Config) {
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
	}, map[int64][]row{1: rowsOf00001})
}

// rowsOf00003 are ceremonies of passkeys, the only method that there was: one open,
// one being answered, one to enrol, and one that is closed.
var rowsOf00003 = []row{
	{"UPDATE actions SET tries = 2, address = '192.0.2.7' WHERE action_key = 'k1'", nil},
	{challengeOf00003 + "('open', 'authentication', 'action', 'jane', 'payment', 'k1', $1, $2, $3, TRUE, 1000000, 99000000, 0, FALSE)", oldSession},
	{challengeOf00003 + "('taken', 'authentication', 'action', 'jane', 'payment', 'k1', $1, $2, $3, FALSE, 1000000, 99000000, 2000000, FALSE)", oldSession},
	{challengeOf00003 + "('enrolling', 'registration', 'enrolment', 'jane', 'payment', 'k1', $1, $2, $3, FALSE, 1000000, 99000000, 0, FALSE)", oldSession},
	{challengeOf00003 + "('closed', 'authentication', 'action', 'jane', 'payment', 'k1', $1, $2, $3, FALSE, 1000000, 99000000, 2000000, TRUE)", oldSession},
}

const challengeOf00003 = `INSERT INTO challenges (id, kind, purpose, user_id, action, action_key, session, nonce, digest, shown, begun_at,
	expires_at, taken_at, closed) VALUES `

var oldSession = []any{[]byte(`{"challenge":"AA"}`), []byte("nonce"), []byte(`{"v":1}`)}

// TestCeremoniesGoOnOverAnUpgrade makes a database as it was before there were other
// methods than passkeys. What people had begun then, they finish after it.
func TestCeremoniesGoOnOverAnUpgrade(t *testing.T) {
	older(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := events.ActionID{User: "jane", Code: "payment", Key: "k1"}
		now := time.UnixMicro(50_000_000).UTC()
		want := ceremonies.Challenge{
			ID: "open", Kind: ceremonies.Authentication, Purpose: ceremonies.ForAction, Method: events.MethodPasskey, Action: id,
			Session: []byte(`{"challenge":"AA"}`), Most: 1, Nonce: []byte("nonce"), Digest: []byte(`{"v":1}`), Shown: true,
			BegunAt: time.UnixMicro(1_000_000).UTC(), Expires: time.UnixMicro(99_000_000).UTC(),
		}
		c, err := s.Take(t.Context(), "open", id, now)
		if diff := cmp.Diff(want, c); err != nil || diff != "" {
			t.Fatalf("take: %v\n%s", err, diff)
		}
		for _, used := range []events.ChallengeID{"open", "taken", "closed"} {
			if _, err := s.Take(t.Context(), used, id, now); !errors.Is(err, ceremonies.ErrTaken) {
				t.Errorf("take %s again: %v; want ErrTaken", used, err)
			}
		}
		a := account(t, s, "jane")
		if len(a.Authenticators) != 1 || a.Codes != 0 || a.Preferred().ID != "a1" || a.Authenticators[0].EnrolledFor != (events.ActionID{}) {
			t.Fatalf("account %+v", a)
		}
		if n := triesOf(t, s, id); n != 2 {
			t.Errorf("%d tries", n)
		}
		proof := a.Authenticators[0]
		o := outcome(t, c, events.KindCeremonySucceeded)
		o.Proof, o.At = &proof, now
		if result, err := s.Finish(t.Context(), o); err != nil || result != (ceremonies.Result{State: events.StateChallengeSucceeded, Tries: 2}) {
			t.Errorf("finish: %+v, %v", result, err)
		}
		if _, err := s.Take(t.Context(), "enrolling", id, now); err != nil {
			t.Errorf("take the registration: %v", err)
		}
		reasons := map[events.ChallengeID]string{}
		if n, err := s.Sweep(t.Context(), now.Add(time.Hour), func(c ceremonies.Challenge, reason string) (events.Draft, error) {
			reasons[c.ID] = reason
			return step(t, events.KindCeremonyAbandoned, c, "", 0), nil
		}); err != nil || n != 2 {
			t.Errorf("swept %d, %v", n, err)
		}
		if diff := cmp.Diff(map[events.ChallengeID]string{"taken": ceremonies.ReasonInterrupted, "enrolling": ceremonies.ReasonInterrupted}, reasons); diff != "" {
			t.Error(diff)
		}
		// And the new methods work on what is there.
		another := events.ActionID{User: "jane", Code: "payment", Key: "k2"}
		track(t, s, another, events.StateChallengeRequired)
		attempt := atOnce(t, byCode(another, 1))
		attempt.Meters = []ceremonies.Meter{meter("wrong:user:jane", 5)}
		if _, err := s.Attempt(t.Context(), attempt); err != nil {
			t.Error(err)
		}
	}, map[int64][]row{1: rowsOf00001, 3: rowsOf00003})
}
