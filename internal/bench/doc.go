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
// It needs Linux and a built binary; `make bench` sees to that.
package main
