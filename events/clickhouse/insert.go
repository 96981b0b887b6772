package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/sallyport/sallyport/events"
)

// insertTime bounds one attempt to insert.
const insertTime = time.Minute

// inserted are the columns of an insert, with the types that travel: the server
// turns texts into its LowCardinality columns.
var inserted = []clickhouse.ColumnNameAndType{
	{Name: "epoch", Type: "UInt64"},
	{Name: "seq", Type: "UInt64"},
	{Name: "time", Type: "DateTime64(6, 'UTC')"},
	{Name: "kind", Type: "String"},
	{Name: "version", Type: "UInt16"},
	{Name: "user", Type: "String"},
	{Name: "action", Type: "String"},
	{Name: "key", Type: "String"},
	{Name: "state", Type: "String"},
	{Name: "body", Type: "String"},
	{Name: "personal", Type: "String"},
	{Name: "salt", Type: "String"},
}

// Insert archives a run of events under a deduplication token. A batch of the
// client counts as sent even when that failed, so each call builds its own.
func (a *Archive) Insert(ctx context.Context, run []events.Event, token string) error {
	ctx, cancel := context.WithTimeout(ctx, insertTime)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithColumnNamesAndTypes(inserted), clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":               0,
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
	}))
	batch, err := a.conn.PrepareBatch(ctx, a.sql("INSERT INTO {table} ("+eventColumns+")"))
	if err != nil {
		return fmt.Errorf("begin an insert into the archive: %w", err)
	}
	defer batch.Close() // after Send there is nothing left to close
	for i, values := range columnsOf(run) {
		if err := batch.Column(i).Append(values); err != nil {
			return fmt.Errorf("write events for the archive: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert into the archive: %w", err)
	}
	return nil
}

// columnsOf turns events into the columns of inserted.
func columnsOf(run []events.Event) []any {
	n := len(run)
	epochs, seqs, versions, times := make([]uint64, n), make([]uint64, n), make([]uint16, n), make([]time.Time, n)
	texts := make([]string, 8*n)
	kinds, users, actions, keys := texts[:n], texts[n:2*n], texts[2*n:3*n], texts[3*n:4*n]
	states, bodies, personal, salts := texts[4*n:5*n], texts[5*n:6*n], texts[6*n:7*n], texts[7*n:]
	for i := range run {
		e := &run[i]
		epochs[i], seqs[i], times[i], versions[i] = uint64(e.Epoch), e.Seq, e.Time, uint16(e.Version)
		kinds[i], users[i], actions[i], keys[i] = string(e.Kind), string(e.Action.User), e.Action.Code, e.Action.Key
		states[i], bodies[i], personal[i], salts[i] = string(e.State), string(e.Body), string(e.Personal), string(e.Salt)
	}
	return []any{epochs, seqs, times, kinds, versions, users, actions, keys, states, bodies, personal, salts}
}

// freshToken is a token that no insert has had: for a range whose rows the
// archive has lost while it may still remember the token.
func freshToken(r events.Range) string {
	b := make([]byte, 8)
	rand.Read(b)
	return r.Token() + "-again-" + hex.EncodeToString(b)
}

// The codes of ClickHouse's exceptions that blame the rows. After any other one
// the same rows may succeed later.
var blamesRows = []int32{
	6,   // CANNOT_PARSE_TEXT
	26,  // CANNOT_PARSE_QUOTED_STRING
	27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	33,  // CANNOT_READ_ALL_DATA
	38,  // CANNOT_PARSE_DATE
	41,  // CANNOT_PARSE_DATETIME
	53,  // TYPE_MISMATCH
	69,  // ARGUMENT_OUT_OF_BOUND
	70,  // CANNOT_CONVERT_TYPE
	72,  // CANNOT_PARSE_NUMBER
	117, // INCORRECT_DATA
	128, // TOO_LARGE_ARRAY_SIZE
	130, // TOO_LARGE_ARRAY_SIZE of a whole request
	131, // TOO_LARGE_STRING_SIZE
	321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	469, // VIOLATED_CONSTRAINT
}

// refused reports whether an insert failed because of its rows.
func refused(err error) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && slices.Contains(blamesRows, exception.Code)
}
