// Package clickhouse is the archive: the log's events for years, in one table,
// for the console's searches and for everybody's own SQL.
//
//	archive, err := clickhouse.Open(ctx, clickhouse.Config{Dial: engine.Dial})  // or DSN: a server
//	go clickhouse.NewSink(archive, log, stream, clickhouse.SinkConfig{}).Run(ctx)
//	page, err := archive.Decisions(ctx, events.Filter{User: "u1"})
//
// The bytes of every event are kept as the log fixed them; all other columns are
// derived from them by ClickHouse itself, so that they can't disagree and a new
// column can be filled for old rows.
//
// Each event is archived exactly once: the sink cuts the log into ranges, writes
// each range into the log's database before it first tries to insert it, and
// inserts it as often as it takes under one token. See docs/audit.md.
package clickhouse
