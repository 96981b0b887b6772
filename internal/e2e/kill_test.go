package e2e_test

import (
	"context"
	"database/sql"
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
	killCallers = 16
	leastRate   = 500 // acknowledged requests a second under which every kill must happen
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
	unconfirmed := 0
	for round := range kills {
		s := serve(t, data)
		atInsert := round%2 == 1
		ctx, cancel := context.WithCancel(t.Context())
		loaded := make(chan load.Result, 1)
		before, start := acked.count(), time.Now()
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
		time.Sleep(400*time.Millisecond + time.Duration(moments.Int64N(int64(900*time.Millisecond))))
		seen := 0
		if atInsert {
			seen = s.nextInsert(t)
		}
		s.Kill()
		elapsed := time.Since(start)
		result := <-loaded
		cancel()
		if result.Refused > 0 {
			t.Errorf("round %d: %d requests were refused: %s", round, result.Refused, result.First)
		}
		got := acked.count() - before
		if rate := float64(got) / elapsed.Seconds(); rate < leastRate {
			t.Errorf("round %d: killed under %.0f requests a second: %s", round, rate, result.First)
		}
		if open := openRange(t, data); atInsert && open > 0 && seen >= open {
			unconfirmed++
		}
		if round%4 < 2 { // otherwise the next start finds the old child still there
			nobodyLeft(t, data)
		}
	}
	t.Logf("%d kills, %d acknowledged, %d kills between insert and confirmation", kills, acked.count(), unconfirmed)
	if unconfirmed == 0 {
		t.Error("no kill came between the sink's insert and its confirmation")
	}
	s := serve(t, data)
	s.archived(t, 60*time.Second)
	s.exactlyOnce(t, acked.keys)
	s.stop(t)
	if events := logged(t, data); events == 0 {
		t.Error("the log is empty")
	}
}

// nextInsert watches ClickHouse until a further range is visible and returns the
// highest seq then. It returns 0 when nothing happens for a while.
func (s *server) nextInsert(t *testing.T) int {
	t.Helper()
	_, socket := s.clickhouse(t)
	clickhouse := openArchive(socket)
	highest := func() int {
		rows, err := clickhouse.query(t.Context(), "SELECT max(seq) FROM events")
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

// exactlyOnce compares the client's list with ClickHouse.
func (s *server) exactlyOnce(t *testing.T, acked map[string]string) {
	t.Helper()
	_, socket := s.clickhouse(t)
	clickhouse := openArchive(socket)
	rows, err := clickhouse.query(t.Context(), "SELECT action_key, any(user), count() FROM events FINAL WHERE kind = 'action.tracked' GROUP BY action_key")
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
	epochs, err := clickhouse.query(t.Context(), "SELECT toString(epoch), count(), min(seq), max(seq), uniqExact(seq) FROM events FINAL GROUP BY epoch")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range epochs {
		if row[1] != row[3] || row[1] != row[4] || row[2] != "1" {
			t.Errorf("epoch %s: %s events, %s of them different, from seq %s to %s", row[0], row[1], row[4], row[2], row[3])
		}
	}
	rows, err = clickhouse.query(t.Context(), "SELECT count() FROM events")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d epochs, %v; %s rows before they are merged, %d actions of which %d were acknowledged", len(epochs), epochs, rows[0][0], len(stored), len(acked))
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

// TestArchiveKilled ends ClickHouse's process while actions are tracked: nobody
// notices, and the rows arrive when it is back.
func TestArchiveKilled(t *testing.T) {
	s := serve(t, dataFolder(t))
	acked := &acknowledged{keys: map[string]string{}}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	loaded := make(chan load.Result, 1)
	go func() {
		result, err := load.Run{
			Address: s.address(), Callers: killCallers, Prefix: "k",
			Track:    load.Track{Secret: serverSecret, Action: "payment", Users: 500},
			Answered: acked.add,
		}.Do(ctx)
		if err != nil {
			t.Error(err)
		}
		loaded <- result
	}()
	var killed []int
	for range 2 {
		time.Sleep(1500 * time.Millisecond)
		pid, _ := s.clickhouse(t)
		killed = append(killed, pid)
		child, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	result := <-loaded
	if result.Refused > 0 || result.Broken > 0 {
		t.Errorf("%d requests refused, %d lost: %s", result.Refused, result.Broken, result.First)
	}
	s.archived(t, 60*time.Second)
	s.exactlyOnce(t, acked.keys)
	pid, _ := s.clickhouse(t)
	t.Logf("%d actions while ClickHouse's processes %v were killed; %d runs now; p99 %s, slowest %s",
		result.Requests, killed, pid, result.Quantile(0.99), result.Quantile(1))
}
