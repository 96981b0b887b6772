package events

import (
	"crypto/sha256"
	"fmt"
)

// Range is a run of events that the archive takes in one insert. The row that
// describes it is in SQL before the first attempt, so that every further attempt
// inserts exactly the same events under the same token.
type Range struct {
	Epoch     Epoch
	From, To  uint64            // seq, both inclusive
	Hash      [sha256.Size]byte // SHA-256 over the leaves of the events in order
	Confirmed bool              // the archive has acknowledged the insert
}

// Token is the range's deduplication token.
func (r Range) Token() string {
	return fmt.Sprintf("%s-%d-%d-%x", r.Epoch, r.From, r.To, r.Hash[:8])
}

// RangeOf is the unconfirmed range that holds exactly these events, which must
// be neighbours in one epoch, in order, and at least one.
func RangeOf(run []Event) Range {
	first, last := run[0], run[len(run)-1]
	h := sha256.New()
	for _, e := range run {
		leaf := e.Leaf()
		h.Write(leaf[:])
	}
	r := Range{Epoch: first.Epoch, From: first.Seq, To: last.Seq}
	h.Sum(r.Hash[:0])
	return r
}
