// Package metrics keeps the sliding windows behind the rules' metrics. It folds
// the log, event by event in the order of seq, and answers from memory: what it
// says is a function of the events up to the position that it names, so a replay
// of the log says the same again. What a window is, rules.Window tells.
//
//	windows, err := metrics.New(metrics.Config{Log: store, Set: keeper.Current, Path: "metrics.snapshot"})
//	store.Observe(windows.Committed) // before the first write
//	go windows.Run(ctx)              // restores, follows, rebuilds, snapshots
//
// Conditions of metrics are asked by the caller of a decision, before it goes to
// the log (Prepare), so that Committed, for which all writers wait, only adds up.
// Events of other nodes, and those that a rebuild reads, are asked about where they
// are folded, by Run.
//
// It never answers a number that is too small for lack of data. While a metric is
// being built from the log, after a publish or on start, while this node is too
// far behind the log, and where memory did not suffice, the metric is unknown.
// People whose personal data were erased are no longer counted by what is built
// after that.
//
// # Memory
//
// All windows of one key kind (per user, per device) share an entry per key and
// one block of cells in slabs without pointers, so that the garbage collector does
// not care how many there are. A cell is 16 bytes: one step of one metric, or one
// distinct value. A key is HighwayHash-128 with a random secret: at 100 million keys of a kind the
// chance that any two share a window is below 1 in 10^22. A distinct value is 64
// bits of it: among the 1,000 of a key, 1 in 10^13.
package metrics
