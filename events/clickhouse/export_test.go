package clickhouse

import (
	"context"
	"strings"

	"github.com/sallyport/sallyport/events"
)

// Rows counts the rows of an epoch as they lie in the table, a second copy of
// an event included.
func (a *Archive) Rows(ctx context.Context, epoch events.Epoch) (n uint64, err error) {
	err = a.conn.QueryRow(ctx, a.sql("SELECT count() FROM {table} WHERE epoch = ?"), uint64(epoch)).Scan(&n)
	return n, err
}

// Exec runs a statement on {table}.
func (a *Archive) Exec(ctx context.Context, statement string) error {
	return a.conn.Exec(ctx, a.sql(statement))
}

// Text is the answer to a query as one text.
func (a *Archive) Text(ctx context.Context, query string) (string, error) {
	var lines []string
	err := a.conn.QueryRow(ctx, "SELECT groupArray(toString(tuple(*))) FROM ("+query+")").Scan(&lines)
	return strings.Join(lines, "\n"), err
}
