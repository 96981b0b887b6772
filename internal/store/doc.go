// Package store keeps state and log in SQL: SQLite by default, PostgreSQL for
// several nodes. State and its event are one transaction, so there is never one
// without the other.
//
//	s, err := store.Open(ctx, store.Config{Dir: "data"})
//	defer s.Close()
//	decision, err := s.Record(ctx, recording)
//
// One *Store implements engine.Recorder, ceremonies.Store, operators.Store and
// events.Reader; beside them it keeps rule sets and what the road to the archive
// needs.
//
// # Group commit
//
// Every write is a member of a group. One goroutine commits groups: it takes the
// log's head row, runs the members one after another, numbers the events of
// those that won, and commits once, with one wait for the disk, for all of them.
// The order of locks is therefore the same for every writer on every node, and
// no group can deadlock with another.
//
// A member that loses (the row exists, the challenge is taken) answers with what
// is stored and leaves no event. A member that breaks the transaction does not
// take its group with it: the group is rolled back and its members are tried one
// by one. What cannot be committed within CommitWait is engine.ErrUnavailable,
// and so is a write that finds the queue full.
//
// A caller that stops waiting gets an error although the commit may still
// happen. Track is repeated under its idempotency key; other writes say what
// they find.
//
// # What it refuses to do
//
// It does not start on a data folder that another process holds, on a SQLite
// write-ahead log with damage that SQLite itself would cut off silently
// (DamageError), or on a PostgreSQL server that answers before the disk has it.
package store
