package lists

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// key stands for a value: 128 bits of a hash with a seed that nobody outside the
// process knows. Two of a million values have the same key with a probability of
// 2^-89, so the values themselves need not be kept.
type key struct{ hi, lo uint64 }

// hasher makes keys.
type hasher struct{ one, two maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) text(s string) key {
	return nonZero(key{maphash.String(h.one, s), maphash.String(h.two, s)})
}

func (h hasher) bytes(b []byte) key {
	return nonZero(key{maphash.Bytes(h.one, b), maphash.Bytes(h.two, b)})
}

// nonZero leaves the zero key to empty slots.
func nonZero(k key) key {
	if k == (key{}) {
		k.lo = 1
	}
	return k
}

// slot is one place of a table. It holds no pointer, so that the garbage
// collector has nothing to look at however long a list is.
type slot struct {
	key
	until int64 // microseconds since 1970 from when the item counts no more; or never, or gone
}

const (
	never = math.MaxInt64
	gone  = math.MinInt64 // in a table of changes: the item was removed
)

// table maps keys to times: open addressing with linear probing. Entries are
// replaced but never taken out. The zero value is empty.
type table struct {
	slots []slot
	used  int
}

// A table is at most seven tenths full: beyond, looking for what is not there
// slows down.
const (
	fullTenths = 7
	leastSlots = 8
)

// newTable has room for n entries without growing.
func newTable(n int) table {
	return table{slots: make([]slot, max(leastSlots, n*10/fullTenths+1))}
}

// place is where the search for a key begins.
func (t *table) place(k key) int {
	high, _ := bits.Mul64(k.hi, uint64(len(t.slots)))
	return int(high)
}

func (t *table) get(k key) (until int64, found bool) {
	if t.used == 0 {
		return 0, false
	}
	for i := t.place(k); ; {
		switch s := &t.slots[i]; s.key {
		case k:
			return s.until, true
		case key{}:
			return 0, false
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

func (t *table) put(k key, until int64) {
	if (t.used+1)*10 > len(t.slots)*fullTenths {
		larger := newTable(2 * (t.used + 1))
		t.each(larger.put)
		*t = larger
	}
	for i := t.place(k); ; {
		s := &t.slots[i]
		if s.key == (key{}) {
			s.key = k
			t.used++
		}
		if s.key == k {
			s.until = until
			return
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

func (t *table) each(visit func(key, int64)) {
	for i := range t.slots {
		if s := &t.slots[i]; s.key != (key{}) {
			visit(s.key, s.until)
		}
	}
}

func (t *table) clone() table {
	return table{slots: append([]slot(nil), t.slots...), used: t.used}
}
