// The bench command measures the product against a reference, both in the same
// run, and prints one line per figure:
//
//	name  value  aim  ok|short
//
// The reference is a bare Echo handler in a process of its own that decodes the
// track request and answers the same JSON, without deciding or keeping anything.
// The product runs whole: fsynced log, NATS and ClickHouse embedded, ten rules,
// twenty facts a request. Load comes from this process, so that neither server
// pays for it. Rounds of both alternate, so that a noisy machine disturbs both
// alike, and each figure is the median over the rounds.
//
// A server's cost is the processor time of its own process, read from /proc
// before the load and after everything that the load set off has come to rest
// (the archive has every event). ClickHouse's child is reported apart.
//
// That is the part track. The others, each of which can be run alone:
//
//   - rules: the index of package rules against cel-go alone, on ten thousand rules
//     of several kinds, by the benchmarks of that package.
//   - many: whole track requests with ten thousand rules against the same with ten,
//     in turns on one server; and publishing them, alone and beside requests.
//   - metrics: the windows of engine/metrics at a million users, in this process.
//   - peers: other engines on the same rules and facts, by the command in
//     internal/bench/peers, which is a module of its own. When its go.mod is behind
//     that of the product, go mod tidy in its folder mends it; make lint tells.
//
// It needs Linux, Go and a built binary, and runs in the root of the repository;
// `make bench` sees to that.
package main
