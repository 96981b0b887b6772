package store

import (
	"fmt"
	"slices"
	"strings"
)

// batchRows is how many rows one statement writes, so that a database at the end
// of a network is not asked for each. There are few sizes, since the text of each
// is kept prepared.
const batchRows = 100

// putRows writes items under a version, over those that are there.
func putRows(t *tx, storage, version int64, rows []row) error {
	for _, size := range []int{batchRows, 10, 1} {
		for len(rows) >= size {
			values := make(args, 0, 2+5*size)
			values = append(values, storage, version)
			for _, r := range rows[:size] {
				values = append(values, r.value, r.note, r.author, r.added, r.expires)
			}
			if _, err := t.exec(putText(size), values...); err != nil {
				return fmt.Errorf("write items: %w", err)
			}
			rows = rows[size:]
		}
	}
	return nil
}

// putText is the statement that writes n rows. Its first two values are the
// storage and the version.
func putText(n int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO list_items (storage, version, value, note, author, added_at, expires_at, removed) VALUES ")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		at := 3 + 5*i
		fmt.Fprintf(&b, "($1, $2, $%d, $%d, $%d, $%d, $%d, FALSE)", at, at+1, at+2, at+3, at+4)
	}
	b.WriteString(` ON CONFLICT (storage, value) DO UPDATE SET version = excluded.version, note = excluded.note, author = excluded.author,
		added_at = excluded.added_at, expires_at = excluded.expires_at, removed = excluded.removed`)
	return b.String()
}

// removeRows turns items into traces of removed ones.
func removeRows(t *tx, storage, version int64, values []string) error {
	for part := range slices.Chunk(values, batchRows) {
		condition, named := anyOf(3, part)
		if _, err := t.exec(`UPDATE list_items SET version = $2, removed = TRUE, note = '', author = '', added_at = 0, expires_at = 0
			WHERE storage = $1 AND value IN `+condition, append(args{storage, version}, named...)...); err != nil {
			return fmt.Errorf("remove items: %w", err)
		}
	}
	return nil
}

// anyOf lists values for IN, the first of them $first. It is padded with the last
// value, so that there are two texts and not a hundred.
func anyOf(first int, values []string) (condition string, named args) {
	size := 1
	if len(values) > 1 {
		size = batchRows
	}
	names := make([]string, size)
	for i := range size {
		names[i] = fmt.Sprintf("$%d", first+i)
		named = append(named, values[min(i, len(values)-1)])
	}
	return "(" + strings.Join(names, ", ") + ")", named
}
