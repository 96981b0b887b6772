package e2e_test

import (
	"context"
	"encoding/hex"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/bench/load"
)

// TestArchivedText tracks texts that are markup to somebody on the way, and
// finds every one in ClickHouse as it was sent.
func TestArchivedText(t *testing.T) {
	s := serve(t, dataFolder(t))
	acked := map[string]string{}
	for i, text := range []string{
		"an empty line\n\nand more", "\n\n", "\r\n\r\n", "a\tb", `\N`, `'; DROP TABLE events; --`, "`{}[]\"", "用户 🦊 \u202e", "FORMAT Native\n\n",
	} {
		key := "text-" + strconv.Itoa(i)
		s.track(t, "user", "payment", map[string]any{
			"idempotencyKey": key, "custom": map[string]any{"payee": text, "amount": 25},
		})
		acked[key] = "user"
		s.archived(t, 30*time.Second) // one insert for each
		if stored := s.storedPayee(t, key); stored != text {
			t.Errorf("%q is stored as %q", text, stored)
		}
	}
	s.exactlyOnce(t, acked)
}

// storedPayee reads the custom value of one action from ClickHouse.
func (s *server) storedPayee(t *testing.T, key string) string {
	t.Helper()
	_, socket := s.clickhouse(t)
	rows, err := openArchive(socket).query(t.Context(), "SELECT hex(JSONExtractString(facts, 'custom', 'payee')) FROM sallyport.events FINAL WHERE key = '"+key+"' AND kind = 'action.tracked'")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows of %s", len(rows), key)
	}
	text, err := hex.DecodeString(rows[0][0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
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
