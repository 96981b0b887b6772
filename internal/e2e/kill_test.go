package e2e_test

import (
	"context"
	"database/sql"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/sallyport/sallyport/internal/bench/load"
)

const (
	kills       = 20
	killCallers = 64
	leastRate   = 500 // acknowledged requests a second up to the very kill
)

// acknowledged is the client's own list of what the server said yes to.
type acknowledged struct {
	mu   sync.Mutex
	keys map[string]string // idempotency key to user
}

func (a *acknowledged) add(_ int, action load.Action) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[action.Key] = action.User
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.keys)
}

// TestKill ends the server with SIGKILL again and again under load. Half of the
// kills come at random moments, half the moment rows appear in ClickHouse, which
// is between the sink's insert and its confirmation.
func TestKill(t *testing.T) {
	data := dataFolder(t)
	acked := &acknowledged{keys: map[string]string{}}
	moments := rand.New(rand.NewPCG(4, 7))
	unconfirmed, slowest := 0, math.Inf(1)
	for round := range kills {
		s := serve(t, data)
		atInsert := round%2 == 1
		ctx, cancel := context.WithCancel(t.Context())
		loaded := make(chan load.Result, 1)
		go func() {
			result, err := load.Run{
				Address: s.address(), Callers: killCallers, Prefix: "round-" + strconv.Itoa(round),
				Track:    load.Track{Secret: serverSecret, Action: "payment", Users: 2000},
				Answered: acked.add,
			}.Do(ctx)
			if err != nil {
				result.First = err.Error()
			}
			loaded <- result
		}()
		// A kill counts only under load, so a slow moment of the machine is waited
		// out: each turn is a stretch of random length that ends with the kill if
		// enough was acknowledged in it.
		seen, rate := 0, 0.0
		for deadline := time.Now().Add(startLimit); ; {
			before, start := acked.count(), time.Now()
			time.Sleep(300*time.Millisecond + time.Duration(moments.Int64N(int64(700*time.Millisecond))))
			if atInsert {
				seen = s.nextInsert(t)
			}
			rate = float64(acked.count()-before) / time.Since(start).Seconds()
			if rate >= leastRate {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("round %d: only %.0f requests a second are acknowledged", round, rate)
			}
		}
		s.Kill()
		result := <-loaded
		cancel()
		slowest = min(slowest, rate)
		if result.Refused > 0 {
			t.Errorf("round %d: %d requests were refused: %s", round, result.Refused, result.First)
		}
		if open := openRange(t, data); atInsert && open > 0 && seen >= open {
			unconfirmed++
		}
		if round%4 < 2 { // otherwise the next start finds the old child still there
			nobodyLeft(t, data)
		}
	}
	t.Logf("%d kills under %.0f requests a second or more, %d acknowledged, %d kills between insert and confirmation",
		kills, slowest, acked.count(), unconfirmed)
	if unconfirmed == 0 {
		t.Error("no kill came between the sink's insert and its confirmation")
	}
	s := serve(t, data)
	s.archived(t, 60*time.Second)
	archived := s.exactlyOnce(t, acked.keys)
	s.stop(t)
	if events := logged(t, data); events != archived {
		t.Errorf("%d events in the log, %d in ClickHouse", events, archived)
	}
}

// nextInsert watches ClickHouse until a further range is visible and returns the
// highest seq then. It returns 0 when nothing happens for a while.
func (s *server) nextInsert(t *testing.T) int {
	t.Helper()
	_, socket := s.clickhouse(t)
	clickhouse := openArchive(socket)
	highest := func() int {
		rows, err := clickhouse.query(t.Context(), "SELECT max(seq) FROM sallyport.events")
		if err != nil || len(rows) != 1 {
			return 0 // the table is not there yet
		}
		n, _ := strconv.Atoi(rows[0][0])
		return n
	}
	first := highest()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if now := highest(); now > first {
			return now
		}
	}
	return 0
}

// exactlyOnce compares the client's list with ClickHouse and returns the number
// of events there.
func (s *server) exactlyOnce(t *testing.T, acked map[string]string) int {
	t.Helper()
	_, socket := s.clickhouse(t)
	clickhouse := openArchive(socket)
	rows, err := clickhouse.query(t.Context(), "SELECT key, any(user), count() FROM sallyport.events FINAL WHERE kind = 'action.tracked' GROUP BY key")
	if err != nil {
		t.Fatal(err)
	}
	missing, wrong := 0, 0
	stored := map[string]string{}
	for _, row := range rows {
		stored[row[0]] = row[1]
		if row[2] != "1" {
			wrong++
			t.Logf("%s is there %s times", row[0], row[2])
		}
	}
	for key, user := range acked {
		if stored[key] != user {
			missing++
		}
	}
	if missing > 0 || wrong > 0 {
		t.Errorf("of %d acknowledged actions, %d are not in ClickHouse and %d more than once", len(acked), missing, wrong)
	}
	total := 0
	epochs, err := clickhouse.query(t.Context(), "SELECT toString(epoch), count(), min(seq), max(seq), uniqExact(seq) FROM sallyport.events FINAL GROUP BY epoch")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range epochs {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
		if row[1] != row[3] || row[1] != row[4] || row[2] != "1" {
			t.Errorf("epoch %s: %s events, %s of them different, from seq %s to %s", row[0], row[1], row[4], row[2], row[3])
		}
	}
	rows, err = clickhouse.query(t.Context(), "SELECT count() FROM sallyport.events")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events in %d epochs, %s rows before they are merged; %d actions, of which %d were acknowledged",
		total, len(epochs), rows[0][0], len(stored), len(acked))
	return total
}

// openLog opens a copy of a stopped server's log, so that the server's own file
// stays as the kill left it.
func openLog(t *testing.T, data string) *sql.DB {
	t.Helper()
	folder := t.TempDir()
	files, err := filepath.Glob(filepath.Join(data, "sallyport.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no log in %s: %v", data, err)
	}
	for _, file := range files {
		if filepath.Ext(file) == ".db-shm" {
			continue // SQLite makes it anew
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := sql.Open("sqlite3", "file:"+filepath.Join(folder, "sallyport.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

// openRange is the last seq of the range that the sink had begun and not
// confirmed when the server was killed, 0 when there was none.
func openRange(t *testing.T, data string) int {
	t.Helper()
	var last sql.NullInt64
	if err := openLog(t, data).QueryRowContext(t.Context(), "SELECT max(to_seq) FROM sink_ranges WHERE confirmed = 0").Scan(&last); err != nil {
		t.Fatal(err)
	}
	return int(last.Int64)
}

// logged is the number of events in the log of a stopped server.
func logged(t *testing.T, data string) int {
	t.Helper()
	var count int
	if err := openLog(t, data).QueryRowContext(t.Context(), "SELECT count(*) FROM events").Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}
