package clickhouse

import (
	"context"

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
