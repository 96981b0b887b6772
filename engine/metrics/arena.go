package metrics

import "slices"

// cell is one step of one gauge, or one distinct value, for one key.
type cell struct {
	// head is the slot (8 bits, the highest), for distinct values how lately the
	// value was seen (24 bits, see entry.tick), and the step (32 bits); of a
	// distinct value the latest.
	head uint64
	// value is the bits of a float64, or the hash of a distinct value. In a free
	// block, the first cell's value is the place of the next free block plus one.
	value uint64
}

func (c cell) slot() uint8  { return uint8(c.head >> 56) }
func (c cell) tick() uint32 { return uint32(c.head>>32) & maxTick }
func (c cell) step() uint32 { return uint32(c.head) }

const maxTick = 1<<24 - 1

func headOf(slot uint8, tick, step uint32) uint64 {
	return uint64(slot)<<56 | uint64(tick&maxTick)<<32 | uint64(step)
}

// Slabs are made of chunks, so that growing copies nothing.
const (
	chunkBits  = 16
	chunkCells = 1 << chunkBits
	cellBytes  = 16
)

// sizes are the sizes of blocks, in cells: every one up to 8, then four for each
// doubling.
var sizes = func() []int {
	list := []int{1, 2, 3, 4, 5, 6, 7, 8}
	for base := 8; base < chunkCells; base *= 2 {
		for part := 1; part <= 4; part++ {
			list = append(list, base+base/4*part)
		}
	}
	return list
}()

// classOf is the class of the smallest block that holds n cells.
func classOf(n int) uint8 {
	if n <= 8 {
		return uint8(max(n, 1) - 1)
	}
	class, _ := slices.BinarySearch(sizes, n)
	return uint8(class)
}

// arena holds blocks of cells. A place is the number of a block's first cell.
type arena struct {
	chunks [][]cell
	frozen []bool   // a snapshot reads the chunk: copy it before writing
	used   int      // cells of the last chunk that were handed out
	free   []uint32 // per class, place of the first free block plus one
	budget *budget
}

func newArena(b *budget) *arena {
	return &arena{used: chunkCells, free: make([]uint32, len(sizes)), budget: b}
}

// block is the cells of a block, to be read.
func (a *arena) block(place uint32, n int) []cell {
	at := int(place & (chunkCells - 1))
	return a.chunks[place>>chunkBits][at : at+n : at+n]
}

// own is the cells of a block, to be written.
func (a *arena) own(place uint32, n int) []cell {
	if chunk := place >> chunkBits; a.frozen[chunk] {
		a.chunks[chunk] = slices.Clone(a.chunks[chunk])
		a.frozen[chunk] = false
	}
	return a.block(place, n)
}

// alloc takes a block, and reports false when there is no memory for it.
func (a *arena) alloc(class uint8) (place uint32, ok bool) {
	if place, ok = a.reuse(class); ok {
		return place, true
	}
	size := sizes[class]
	if a.used+size > chunkCells {
		if !a.grow() {
			return 0, false
		}
	}
	place = uint32((len(a.chunks)-1)<<chunkBits + a.used)
	a.used += size
	return place, true
}

// reuse takes a free block of the class.
func (a *arena) reuse(class uint8) (place uint32, ok bool) {
	if a.free[class] == 0 {
		return 0, false
	}
	place = a.free[class] - 1
	a.free[class] = uint32(a.block(place, 1)[0].value)
	return place, true
}

// grow adds a chunk. What is left of the last one becomes free blocks.
func (a *arena) grow() bool {
	if len(a.chunks) == 1<<(32-chunkBits)-1 || !a.budget.take(chunkCells*cellBytes) {
		return false
	}
	for a.used < chunkCells {
		class := classOf(chunkCells - a.used)
		if sizes[class] > chunkCells-a.used {
			class--
		}
		place := uint32((len(a.chunks)-1)<<chunkBits + a.used)
		a.used += sizes[class]
		a.release(place, class)
	}
	a.chunks = append(a.chunks, make([]cell, chunkCells))
	a.frozen = append(a.frozen, false)
	a.used = 0
	return true
}

// release gives a block back.
func (a *arena) release(place uint32, class uint8) {
	a.own(place, 1)[0].value = uint64(a.free[class])
	a.free[class] = place + 1
}

// budget counts the bytes of slabs and indexes against a limit.
type budget struct{ used, limit int64 }

func (b *budget) take(bytes int64) bool {
	if b.used+bytes > b.limit {
		return false
	}
	b.used += bytes
	return true
}
