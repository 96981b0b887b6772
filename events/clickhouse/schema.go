package clickhouse

import (
	"context"
	"fmt"
	"strings"
)

// table is the name of the archive's table in its database.
const table = "events"

// schema makes the archive's table. The sorting key begins with the time, for
// pages are read newest first; the last two columns make it unique. Blocks of a
// token that was inserted before are dropped, in the window of the last 10,000.
// An insert is on disk before it is acknowledged, and so is what a merge
// replaces it by; 26.7's own defaults promise neither.
const schema = `
CREATE TABLE IF NOT EXISTS {table}
(
    epoch      UInt64                  COMMENT 'life of the log; with seq the event''s name',
    seq        UInt64                  COMMENT 'number in its epoch, from 1 without gaps',
    time       DateTime64(6, 'UTC')    COMMENT 'when it happened' CODEC(Delta, ZSTD),
    kind       LowCardinality(String)  COMMENT 'such as action.tracked',
    version    UInt16                  COMMENT 'of the record and the leaf',
    user       String                  COMMENT 'the application''s id of the person',
    action     LowCardinality(String)  COMMENT 'action code',
    key        String                  COMMENT 'idempotency key of the action',
    state      LowCardinality(String)  COMMENT 'state of the action after the event, empty when unchanged',
    body       String                  COMMENT 'the record, JSON, verbatim; personal values as salted hashes' CODEC(ZSTD(1)),
    personal   String                  COMMENT 'the personal values, JSON, empty when none or erased' CODEC(ZSTD(1)),
    salt       String                  COMMENT 'salt of the hashes, empty when none or erased',
    outcome    LowCardinality(String)  MATERIALIZED JSONExtractString(body, 'outcome') COMMENT 'what the rules said',
    reason     LowCardinality(String)  MATERIALIZED JSONExtractString(body, 'reason')  COMMENT 'why, as a stable code',
    rule       LowCardinality(String)  MATERIALIZED JSONExtractString(body, 'rule')    COMMENT 'id of the rule that decided',
    rule_set   UInt32                  MATERIALIZED JSONExtractUInt(body, 'set')       COMMENT 'number of the rule set',
    country    LowCardinality(String)  MATERIALIZED JSONExtractString(body, 'country') COMMENT 'ISO 3166-1 alpha-2, from the address',
    enrolled   Bool                    MATERIALIZED JSONExtractBool(body, 'enrolled')  COMMENT 'the person had an authenticator',
    micros     Int64                   MATERIALIZED JSONExtractInt(body, 'micros')     COMMENT 'time to decide, without the commit',
    rule_name  String                  ALIAS JSONExtractString(body, 'ruleName'),
    matches    String                  ALIAS JSONExtractRaw(body, 'matches'),
    method     String                  ALIAS JSONExtractString(body, 'method'),
    ip         String                  ALIAS JSONExtractString(personal, 'ip'),
    user_agent String                  ALIAS JSONExtractString(personal, 'userAgent'),
    device     String                  ALIAS JSONExtractString(personal, 'device'),
    facts      String                  ALIAS JSONExtractString(personal, 'facts'),
    INDEX by_user user TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_key key TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_seq seq TYPE minmax GRANULARITY 1,
    CONSTRAINT body_is_json CHECK isValidJSON(body)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, epoch, seq)
SETTINGS
    non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1,
    old_parts_lifetime = 480
COMMENT 'Sallyport''s audit events'`

// Prepare makes the database and the table unless they exist.
func (a *Archive) Prepare(ctx context.Context) error {
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS " + identifier(a.database),
		a.sql(strings.TrimSpace(schema)),
	} {
		if err := a.conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare the archive: %w", err)
		}
	}
	return nil
}

// sql puts the table's full name into a statement.
func (a *Archive) sql(statement string) string {
	return strings.ReplaceAll(statement, "{table}", identifier(a.database)+"."+identifier(table))
}

// identifier quotes a name.
func identifier(name string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}
