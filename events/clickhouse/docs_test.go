package clickhouse_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/events/clickhouse"
	"github.com/sallyport/sallyport/events/internal/memlog"
)

// Every statement of docs/audit.md runs, and those that prove something prove
// it.
func TestDocumentedStatements(t *testing.T) {
	page, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	engine := startEngine(t)
	archive, err := clickhouse.Open(t.Context(), clickhouse.Config{Dial: engine.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if err := archive.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := memlog.New(1<<63 + 3)
	log.Append(drafts(t, 0, 5)...)
	list := whole(t, log, 1<<63+3)
	if err := archive.Insert(t.Context(), list, "token"); err != nil {
		t.Fatal(err)
	}
	statements := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(statements) < 6 {
		t.Fatalf("only %d statements were found", len(statements))
	}
	var leaves, shadows string
	for _, match := range statements {
		answer, err := archive.Text(t.Context(), match[1])
		if err != nil {
			t.Errorf("%v in\n%s", err, match[1])
		}
		switch {
		case strings.Contains(match[1], "AS leaf"):
			leaves = answer
		case strings.Contains(match[1], "ARRAY JOIN"):
			shadows = answer
		case strings.Contains(match[1], "HAVING") && answer != "":
			t.Errorf("a gap was found: %s", answer)
		}
	}
	for _, e := range list {
		leaf := e.Leaf()
		if !strings.Contains(leaves, hex.EncodeToString(leaf[:])) {
			t.Errorf("the leaf of %s is not among\n%s", e.Position, leaves)
		}
	}

	// The statement that erases a person changes rows, so it is no query.
	statement := regexp.MustCompile(`(?m)^    ALTER TABLE .*\n(    .*\n)+`).FindString(string(page))
	erased := list[0]
	statement = strings.NewReplacer("u-1017", string(erased.Action.User), "2026-11-22", "2100-01-01").Replace(statement)
	const left = "SELECT count() FROM sallyport.events WHERE personal != '' OR salt != ''"
	before, err := archive.Text(t.Context(), left)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return engine.Dial(ctx) }}}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://localhost/", "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	after, err := archive.Text(t.Context(), left)
	if err != nil || response.StatusCode != http.StatusOK || after == before {
		t.Errorf("status %d, %v; %s rows with personal values before and %s after\n%s", response.StatusCode, err, before, after, statement)
	}

	if !strings.Contains(shadows, "new-device") {
		t.Errorf("the match in shadow is not among %q", shadows)
	}
}
