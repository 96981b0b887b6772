package metrics

import "slices"

// entry is one key of a kind.
type entry struct {
	key   key
	block uint32 // place of the cells; in a free entry, the next free one plus one
	tick  uint32 // counts distinct values seen, so that the least recent one is known
	n     uint16 // cells in use
	class uint8  // of the block
	flags uint8
}

// Flags of entries.
const (
	inUse   uint8 = 1 << iota
	partial       // something of it was lost for lack of memory, see board.lost
)

const (
	entriesBits  = 13
	chunkEntries = 1 << entriesBits
	entryBytes   = 32
	pointerBytes = 8
	shardBits    = 6
)

// table holds the keys of one kind. Its cells are sorted: by slot, then those of
// distinct values by value and all others by step.
type table struct {
	distinct [256]bool // by slot
	entries  [][]entry
	frozen   []bool // a snapshot reads the chunk: copy it before writing
	used     uint32 // entries that were handed out
	free     uint32 // first free entry plus one
	keys     int
	shards   [1 << shardBits]shard // small, so that growing one takes no time worth mentioning
	*arena
}

// shard is a part of the hash index: open addressing with linear probing.
type shard struct {
	slots []pointer
	used  int
}

// pointer is where an entry is: its number plus one, and above it the low half of
// its key's second word, which tells most other keys apart without a look at the
// entry, somewhere else in memory. The low bits of that half are also where the
// search begins. 0 is none.
type pointer uint64

func pointerTo(k key, number uint32) pointer { return pointer(k[1])<<32 | pointer(number+1) }

func (p pointer) number() uint32 { return uint32(p) - 1 }
func (p pointer) home() uint64   { return uint64(p >> 32) }

// home is where the search for a key begins, before it is cut to the shard's size.
func (k key) home() uint64 { return uint64(uint32(k[1])) }

func newTable(a *arena) *table { return &table{arena: a} }

func (t *table) at(number uint32) *entry {
	return &t.entries[number>>entriesBits][number&(chunkEntries-1)]
}

// ownEntry is the entry, to be written.
func (t *table) ownEntry(number uint32) *entry {
	if chunk := number >> entriesBits; t.frozen[chunk] {
		t.entries[chunk] = slices.Clone(t.entries[chunk])
		t.frozen[chunk] = false
	}
	return t.at(number)
}

func (t *table) shard(k key) *shard { return &t.shards[k[0]>>(64-shardBits)] }

// find looks for a key.
func (t *table) find(k key) (number uint32, found bool) {
	s := t.shard(k)
	if len(s.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(s.slots) - 1)
	home := k.home()
	for at := home & mask; s.slots[at] != 0; at = (at + 1) & mask {
		if p := s.slots[at]; p.home() == home && t.at(p.number()).key == k {
			return p.number(), true
		}
	}
	return 0, false
}

// insert adds a key that is not there, with a block of a class, and reports false
// when there is no memory.
func (t *table) insert(k key, flags, class uint8) (number uint32, ok bool) {
	s := t.shard(k)
	if (s.used+1)*4 > len(s.slots)*3 && !t.growShard(s) {
		return 0, false
	}
	block, ok := t.alloc(class)
	if !ok {
		return 0, false
	}
	switch {
	case t.free != 0:
		number = t.free - 1
		t.free = t.at(number).block
	case int(t.used) == len(t.entries)*chunkEntries:
		if !t.budget.take(chunkEntries * entryBytes) {
			t.release(block, class)
			return 0, false
		}
		t.entries = append(t.entries, make([]entry, chunkEntries))
		t.frozen = append(t.frozen, false)
		fallthrough
	default:
		number = t.used
		t.used++
	}
	*t.ownEntry(number) = entry{key: k, block: block, class: class, flags: inUse | flags}
	s.put(pointerTo(k, number))
	s.used++
	t.keys++
	return number, true
}

func (s *shard) put(p pointer) {
	mask := uint64(len(s.slots) - 1)
	at := p.home() & mask
	for s.slots[at] != 0 {
		at = (at + 1) & mask
	}
	s.slots[at] = p
}

func (t *table) growShard(s *shard) bool {
	size := max(8, 2*len(s.slots))
	if !t.budget.take(int64(size-len(s.slots)) * pointerBytes) {
		return false
	}
	old := s.slots
	s.slots = make([]pointer, size)
	for _, p := range old {
		if p != 0 {
			s.put(p)
		}
	}
	return true
}

// remove forgets a key.
func (t *table) remove(number uint32) {
	e := t.ownEntry(number)
	s := t.shard(e.key)
	mask := uint64(len(s.slots) - 1)
	at := e.key.home() & mask
	for s.slots[at].number() != number {
		at = (at + 1) & mask
	}
	// Close the gap: move back every follower that would not be found beyond it.
	for next := (at + 1) & mask; s.slots[next] != 0; next = (next + 1) & mask {
		home := s.slots[next].home() & mask
		if (next-home)&mask >= (next-at)&mask {
			s.slots[at] = s.slots[next]
			at = next
		}
	}
	s.slots[at] = 0
	s.used--
	t.keys--
	t.release(e.block, e.class)
	*e = entry{block: t.free}
	t.free = number + 1
}

// search finds where a cell with this slot and step, or distinct value, is or
// belongs.
func (t *table) search(cells []cell, slot uint8, by uint64) (int, bool) {
	distinct := t.distinct[slot]
	from, to := 0, len(cells)
	for from < to {
		middle := int(uint(from+to) >> 1)
		c := cells[middle]
		var less bool
		switch {
		case c.slot() != slot:
			less = c.slot() < slot
		case distinct:
			less = c.value < by
		default:
			less = uint64(c.step()) < by
		}
		if less {
			from = middle + 1
		} else {
			to = middle
		}
	}
	if from == len(cells) || cells[from].slot() != slot {
		return from, false
	}
	if distinct {
		return from, cells[from].value == by
	}
	return from, uint64(cells[from].step()) == by
}

// of is the range of a slot's cells.
func (t *table) of(cells []cell, slot uint8) (from, to int) {
	from, _ = t.search(cells, slot, 0)
	for to = from; to < len(cells) && cells[to].slot() == slot; to++ {
		if to-from == 16 { // many: stop walking
			end, _ := t.search(cells, slot+1, 0)
			return from, end
		}
	}
	return from, to
}

// room makes room for one more cell, and when the block must grow for as many as
// are still coming. It reports false when there is no memory.
func (t *table) room(e *entry, coming int) bool {
	size := sizes[e.class]
	if int(e.n) < size {
		return true
	}
	return t.move(e, classOf(size+max(coming, 1)))
}

// move puts the cells of an entry into a block of another class.
func (t *table) move(e *entry, class uint8) bool {
	block, ok := t.alloc(class)
	if !ok {
		return false
	}
	copy(t.own(block, int(e.n)), t.block(e.block, int(e.n)))
	t.release(e.block, e.class)
	e.block, e.class = block, class
	return true
}

// insertAt puts a cell before the i-th; room was made.
func (t *table) insertAt(e *entry, i int, c cell) {
	cells := t.own(e.block, int(e.n)+1)
	copy(cells[i+1:], cells[i:])
	cells[i] = c
	e.n++
}

// drop removes the cells of an entry that are older than the horizon: that stand
// at a step before the oldest of their slot. It reports whether there were any.
func (t *table) drop(e *entry, oldest *[256]uint32) bool {
	cells := t.block(e.block, int(e.n))
	first := slices.IndexFunc(cells, func(c cell) bool { return c.step() < oldest[c.slot()] })
	if first < 0 {
		return false
	}
	cells = t.own(e.block, int(e.n))
	kept := first
	for _, c := range cells[first:] {
		if c.step() >= oldest[c.slot()] {
			cells[kept] = c
			kept++
		}
	}
	e.n = uint16(kept)
	return true
}
