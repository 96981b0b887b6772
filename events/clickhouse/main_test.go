package clickhouse_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/clickhouse"
	"github.com/sallyport/sallyport/events/clickhouse/embedded"
	"github.com/sallyport/sallyport/events/readertest"
)

// TestMain lets the test binary be the engine's child, as the product's own
// binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "clickhouse" {
		os.Exit(embedded.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// library finds libchdb where `make deps` puts it.
func library(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SALLYPORT_CLICKHOUSE_LIB"); path != "" {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, "internal/assets/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("ClickHouse's library is missing, run `make deps`: %v", err)
	}
	return path
}

func startEngine(t testing.TB) *embedded.Engine {
	t.Helper()
	engine, err := embedded.Start(t.Context(), embedded.Config{
		Args: []string{"clickhouse"}, Library: library(t), Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

var databases atomic.Int64

// openArchive opens an archive in a database of its own.
func openArchive(t testing.TB, engine *embedded.Engine) *clickhouse.Archive {
	t.Helper()
	archive, err := clickhouse.Open(t.Context(), clickhouse.Config{
		Dial: engine.Dial, Database: fmt.Sprintf("test_%d", databases.Add(1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := archive.Close(); err != nil {
			t.Error(err)
		}
	})
	return archive
}

func TestReader(t *testing.T) {
	engine := startEngine(t)
	readertest.Run(t, func(t *testing.T, log []events.Event) events.Reader {
		archive := openArchive(t, engine)
		if err := archive.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(log) > 0 {
			if err := archive.Insert(t.Context(), log, "test"); err != nil {
				t.Fatal(err)
			}
		}
		return archive
	})
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name   string
		config clickhouse.Config
		want   string
	}{
		{name: "nothing", want: "give either"},
		{name: "unreadable DSN", config: clickhouse.Config{DSN: "clickhouse://%"}, want: "read its DSN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := clickhouse.Open(t.Context(), test.config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a server that is away is no error", func(t *testing.T) {
		archive, err := clickhouse.Open(t.Context(), clickhouse.Config{DSN: "http://127.0.0.1:1/sallyport"})
		if err != nil {
			t.Fatal(err)
		}
		if err := archive.Ping(t.Context()); err == nil {
			t.Error("a server that is away answered")
		}
		if err := archive.Close(); err != nil {
			t.Error(err)
		}
	})
}

// drafts makes n decisions of m users.
func drafts(t testing.TB, from, n int) []events.Draft {
	t.Helper()
	list := make([]events.Draft, n)
	for i := range list {
		var err error
		list[i], err = events.NewDraft(events.ActionTracked{
			ActionID: events.ActionID{User: events.UserID(fmt.Sprintf("user-%d", (from+i)%100)), Code: "payment", Key: fmt.Sprintf("key-%d", from+i)},
			State:    events.StateAllow, Outcome: "ALLOW", Reason: "default", Set: 3, Country: "NZ", Micros: 80,
			Matches: []byte(`{"v":1,"count":2,"matches":[{"id":"new-device","name":"New device","outcome":"CHALLENGE","mode":"shadow","result":"matched"},{"id":"large","name":"Large amount","outcome":"REVIEW","mode":"live","result":"unknown"}]}`),
		}, events.Personal{
			events.PersonalIP: "192.0.2.7", events.PersonalUserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
			events.PersonalFacts: `{"v":1,"user":{"id":"user-1","isNew":false},"action":{"code":"payment"},"custom":{"amount":1200,"currency":"NZD"}}`,
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// waitFor looks until a condition holds that another process brings about.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 60 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
