package embedded_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/events/clickhouse/embedded"
)

// native writes one block of String columns in the Native format, as
// clickhouse-go sends it.
func native(columns ...[]string) string {
	var b []byte
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(columns)))
	b = binary.AppendUvarint(b, uint64(len(columns[0])))
	for i, values := range columns {
		text(fmt.Sprintf("c%d", i))
		text("String")
		for _, value := range values {
			text(value)
		}
	}
	return string(b)
}

// Data next to a statement would be cut at an empty line and stripped of blanks
// at its ends, and what follows the cut would be carried out as a statement.
func TestInsertedBytesArriveAsTheyAre(t *testing.T) {
	engine := start(t, embedded.Config{})
	insert := func(t *testing.T, table, data string) {
		t.Helper()
		status, _, text := post(t, engine, url.Values{"query": {"INSERT INTO " + table + " FORMAT Native"}}.Encode(), data)
		if status != http.StatusOK {
			t.Fatalf("%d: %s", status, text)
		}
	}
	t.Run("at the end", func(t *testing.T) {
		must(t, engine, "CREATE TABLE ends (c0 String) ENGINE = MergeTree ORDER BY tuple()")
		for b := range 256 {
			insert(t, "ends", native([]string{"data" + string([]byte{byte(b)})}))
			insert(t, "ends", native([]string{"data" + strings.Repeat(string([]byte{byte(b)}), 3)}))
		}
		if got := must(t, engine, "SELECT count(), uniqExact(c0), min(startsWith(c0, 'data')), sum(length(c0)) FROM ends"); got != "512\t512\t1\t3072" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("at the begin", func(t *testing.T) {
		for n := 1; n <= 64; n++ { // the first byte is the number of columns
			names, columns := make([]string, n), make([][]string, n)
			for i := range n {
				names[i], columns[i] = fmt.Sprintf("c%d String", i), []string{"x"}
			}
			table := fmt.Sprintf("begin_%d", n)
			must(t, engine, "CREATE TABLE "+table+" ("+strings.Join(names, ", ")+") ENGINE = Memory")
			insert(t, table, native(columns...))
			if got := must(t, engine, "SELECT count() FROM "+table); got != "1" {
				t.Errorf("%d columns: %s rows", n, got)
			}
		}
	})
	t.Run("in the middle", func(t *testing.T) {
		must(t, engine, "CREATE TABLE middle (c0 String) ENGINE = Memory")
		text := "'; DROP TABLE middle; -- /* \\ ` \" $$ \x00 \n\nDROP TABLE middle;\n\n;"
		insert(t, "middle", native([]string{text, text, "end"}))
		if got := must(t, engine, "SELECT count(), max(length(c0)) FROM middle"); got != fmt.Sprintf("3\t%d", len(text)) {
			t.Errorf("got %s", got)
		}
	})
}

// A client that dies while it sends must not leave a part of its rows, even
// when what it has sent could stand alone.
func TestBrokenInsertLeavesNothing(t *testing.T) {
	engine := start(t, embedded.Config{})
	must(t, engine, "CREATE TABLE t (c0 String) ENGINE = Memory")
	whole := native([]string{"row"})
	for cut := range len(whole) + 1 {
		body, sender := io.Pipe()
		go func() {
			_, _ = io.WriteString(sender, whole[:cut]) // fails when the request has failed
			sender.CloseWithError(errors.New("the client dies"))
		}()
		answer, err := client(engine).Post("http://clickhouse/?query=INSERT+INTO+t+FORMAT+Native", "", body)
		if err == nil {
			answer.Body.Close()
			t.Fatalf("cut at byte %d: answered with %d", cut, answer.StatusCode)
		}
	}
	// The connection for inserts is free only when the last broken one is over.
	must(t, engine, "INSERT INTO t VALUES ('whole')")
	if got := must(t, engine, "SELECT groupArray(c0) FROM t"); got != "['whole']" {
		t.Errorf("got %s", got)
	}
}
