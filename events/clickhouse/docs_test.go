package clickhouse_test

import (
	"encoding/hex"
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
	if !strings.Contains(shadows, "new-device") {
		t.Errorf("the match in shadow is not among %q", shadows)
	}
}
