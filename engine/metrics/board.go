package metrics

import (
	"crypto/sha256"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

const (
	// keptSteps is how many steps a gauge keeps per key: a window, and as many again
	// so that a reader may be a window's length behind the newest event.
	keptSteps = 2 * rules.WindowSteps
	// MaxDistinct is how many distinct values count per key: those most recently
	// seen. A metric with more stays at this number.
	MaxDistinct = 1000
)

// board is all windows as of one position of the log.
type board struct {
	layout  *layout
	folding sync.Mutex // one fold at a time
	scratch scratch    // of the fold

	mu       sync.RWMutex // for what follows
	position events.Position
	last     events.Event      // at position, zero when nothing was folded since the board was made
	leaf     [sha256.Size]byte // of the event at position when the board was made
	budget   budget
	arena    *arena
	tables   []*table  // by kind
	waiting  pending   // actions whose challenges may still end
	horizon  time.Time // what left every window that ends here, or up to its length before, may be gone
	oldest   [][256]uint32
	// lost is when something last was not kept for lack of memory, in seconds since
	// 1970, 0 for never: windows that reach back to it are unknown, but for keys that
	// were there before and of which nothing was lost. lostResults is the same for
	// the results of challenges.
	lost, lostResults int64
}

// scratch is memory that each fold uses again.
type scratch struct {
	additions []addition
	entries   []uint32 // per kind: number of the entry of this occurrence plus one, 0 while it is not known
	coming    []int    // per kind: cells that this occurrence may still need
}

// newBoard makes an empty board that takes at most limit bytes, about.
func newBoard(l *layout, limit int64) *board {
	b := &board{layout: l, budget: budget{limit: limit}}
	b.arena = newArena(&b.budget)
	b.waiting.init()
	b.oldest = make([][256]uint32, len(l.kinds))
	b.scratch.entries, b.scratch.coming = make([]uint32, len(l.kinds)), make([]int, len(l.kinds))
	for range l.kinds {
		b.tables = append(b.tables, newTable(b.arena))
	}
	for i := range l.gauges {
		if g := &l.gauges[i]; g.function == rules.Distinct {
			b.tables[g.kind].distinct[g.slot] = true
		}
	}
	return b
}

// at is the position of the last event that was folded.
func (b *board) at() events.Position {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.position
}

// stepOf is a step as cells have it. Times before 1970 and after 2106 have none.
func stepOf(w rules.Window, at time.Time) (uint32, bool) {
	step := w.Step(at)
	return uint32(step), step >= 0 && step <= math.MaxUint32
}

// count adds what an occurrence at a time adds. All of its additions to one kind
// have one key.
func (b *board) count(additions []addition, at time.Time) {
	clear(b.scratch.entries)
	clear(b.scratch.coming)
	for i := range additions {
		g := &b.layout.gauges[additions[i].gauge]
		b.scratch.coming[g.kind] += int(g.slots())
	}
	for i := range additions {
		g := &b.layout.gauges[additions[i].gauge]
		step, ok := stepOf(g.window, at)
		if ok && step >= b.oldest[g.kind][g.slot] && !b.add(g, &additions[i], step) {
			b.lost = max(b.lost, at.Unix(), 1)
		}
		b.scratch.coming[g.kind] -= int(g.slots())
	}
}

// entryOf finds or makes the entry of a key, and reports false when there is no
// memory for it.
func (b *board) entryOf(kind int, k key) (*entry, bool) {
	t := b.tables[kind]
	if number := b.scratch.entries[kind]; number != 0 {
		return t.ownEntry(number - 1), true
	}
	number, found := t.find(k)
	if !found {
		var flags uint8
		if b.lost != 0 {
			flags = partial // nobody knows what was lost of it
		}
		var ok bool
		if number, ok = t.insert(k, flags, classOf(b.scratch.coming[kind])); !ok {
			return nil, false
		}
	}
	b.scratch.entries[kind] = number + 1
	return t.ownEntry(number), true
}

// add adds to one gauge, and reports false when there was no memory for it.
func (b *board) add(g *gauge, a *addition, step uint32) bool {
	e, ok := b.entryOf(g.kind, a.key)
	if !ok {
		return false
	}
	one := math.Float64bits(1)
	switch g.function {
	case rules.Distinct:
		ok = b.addDistinct(g, e, a.value, step)
	case rules.Average:
		ok = b.addNumber(g, e, 0, rules.Sum, a.value, step) && b.addNumber(g, e, 1, rules.Sum, one, step)
	case rules.Count:
		ok = b.addNumber(g, e, 0, rules.Sum, one, step)
	default:
		ok = b.addNumber(g, e, 0, g.function, a.value, step)
	}
	if !ok {
		e.flags |= partial
	}
	return ok
}

// addNumber adds to the gauge's first slot or to the one that is so much further.
func (b *board) addNumber(g *gauge, e *entry, further uint8, function rules.Function, value uint64, step uint32) bool {
	t, slot := b.tables[g.kind], g.slot+further
	cells := t.block(e.block, int(e.n))
	i, found := t.search(cells, slot, uint64(step))
	if found {
		c := &t.own(e.block, int(e.n))[i]
		c.value = combine(function, c.value, value)
		return true
	}
	if int(e.n) == sizes[e.class] && t.drop(e, &b.oldest[g.kind]) {
		cells = t.block(e.block, int(e.n))
		i, _ = t.search(cells, slot, uint64(step))
	}
	from, to := t.of(cells, slot)
	if to-from >= keptSteps {
		if step < cells[from].step() {
			return true // older than all that is kept: read refuses windows that reach back so far
		}
		cells = t.own(e.block, int(e.n))
		copy(cells[from:], cells[from+1:i])
		cells[i-1] = cell{headOf(slot, 0, step), value}
		return true
	}
	if !t.room(e, b.scratch.coming[g.kind]) {
		return false
	}
	t.insertAt(e, i, cell{headOf(slot, 0, step), value})
	return true
}

// combine adds a number to those of its step.
func combine(function rules.Function, old, added uint64) uint64 {
	a, b := math.Float64frombits(old), math.Float64frombits(added)
	switch function {
	case rules.Min:
		a = min(a, b)
	case rules.Max:
		a = max(a, b)
	default:
		a += b
	}
	return math.Float64bits(a)
}

// addDistinct notes that a value was seen.
func (b *board) addDistinct(g *gauge, e *entry, value uint64, step uint32) bool {
	t, slot := b.tables[g.kind], g.slot
	if e.tick == maxTick {
		t.renumber(e)
	}
	e.tick++
	i, found := t.search(t.block(e.block, int(e.n)), slot, value)
	if found {
		c := &t.own(e.block, int(e.n))[i]
		c.head = headOf(slot, e.tick, max(step, c.step()))
		return true
	}
	if int(e.n) == sizes[e.class] {
		t.drop(e, &b.oldest[g.kind])
	}
	cells := t.block(e.block, int(e.n))
	if from, to := t.of(cells, slot); to-from >= MaxDistinct {
		least := from
		for j := from; j < to; j++ {
			if cells[j].tick() < cells[least].tick() {
				least = j
			}
		}
		cells = t.own(e.block, int(e.n))
		copy(cells[least:], cells[least+1:])
		e.n--
	}
	if !t.room(e, b.scratch.coming[g.kind]) {
		return false
	}
	i, _ = t.search(t.block(e.block, int(e.n)), slot, value)
	t.insertAt(e, i, cell{headOf(slot, e.tick, step), value})
	return true
}

// renumber gives an entry's distinct values new ticks in the old order, which
// happens once in 16 million occurrences of a key.
func (t *table) renumber(e *entry) {
	cells := t.own(e.block, int(e.n))
	var order []int
	for i, c := range cells {
		if t.distinct[c.slot()] {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return int(cells[a].tick()) - int(cells[b].tick()) })
	e.tick = 0
	for _, i := range order {
		e.tick++
		cells[i].head = headOf(cells[i].slot(), e.tick, cells[i].step())
	}
}

// read fills in the values of meters as of one position, which it returns.
func (b *board) read(meters []*rules.Meter, facts *rules.Facts) events.Position {
	r := b.layout.readings.Get().(*reading)
	defer b.layout.readings.Put(r)
	r.begin()
	places := b.layout.places(meters)
	for _, i := range places {
		if i >= 0 {
			b.layout.key(r, b.layout.gauges[i].kind, facts)
		}
	}
	facts.Metrics = make(map[string]float64, len(meters))
	b.mu.RLock()
	defer b.mu.RUnlock()
	clear(r.found)
	for n, i := range places {
		if i < 0 {
			continue
		}
		g := &b.layout.gauges[i]
		if r.known[g.kind] != yes {
			continue
		}
		if r.found[g.kind] == unread {
			number, found := b.tables[g.kind].find(r.keys[g.kind])
			r.found[g.kind], r.entries[g.kind] = as(found), number
		}
		var e *entry
		if r.found[g.kind] == yes {
			e = b.tables[g.kind].at(r.entries[g.kind])
		}
		if v, known := b.value(g, e, facts.Now); known && !math.IsNaN(v) && !math.IsInf(v, 0) {
			facts.Metrics[meters[n].Name()] = v
		}
	}
	return b.position
}

// value is what a gauge says about a key, if it can be known. Nothing was counted
// for a key without an entry.
func (b *board) value(g *gauge, e *entry, end time.Time) (value float64, known bool) {
	from, to := g.window.From(end), g.window.Step(end)
	if to < 0 || to > math.MaxUint32 || from < int64(b.oldest[g.kind][g.slot]) {
		return 0, false
	}
	from = max(from, 0)
	if g.results && b.lostResults != 0 && from <= g.window.Step(time.Unix(b.lostResults, 0)) {
		return 0, false
	}
	if b.lost != 0 && (e == nil || e.flags&partial != 0) && from <= g.window.Step(time.Unix(b.lost, 0)) {
		return 0, false
	}
	if e == nil {
		return nothing(g.function)
	}
	t := b.tables[g.kind]
	cells := t.block(e.block, int(e.n))
	if g.function == rules.Distinct {
		return t.countDistinct(cells, g.slot, uint32(from), to+rules.WindowSteps), true
	}
	first, last := t.of(cells, g.slot)
	if last-first >= keptSteps && int64(cells[first].step()) > from {
		return 0, false // what is in the window was not all kept: too many steps after its end
	}
	sum, any := total(g.function, cells[first:last], uint32(from), uint32(to))
	switch {
	case !any:
		return nothing(g.function)
	case g.function == rules.Average:
		first, last = t.of(cells, g.slot+1)
		number, _ := total(rules.Sum, cells[first:last], uint32(from), uint32(to))
		return sum / number, true
	}
	return sum, true
}

// nothing is what a function says of no occurrence at all.
func nothing(f rules.Function) (float64, bool) {
	return 0, f == rules.Count || f == rules.Sum || f == rules.Distinct
}

// countDistinct counts the values that were seen since a step. A value that was
// seen after the window's end may have been seen in it, too, and counts, but for
// one that is a whole window's length later.
func (t *table) countDistinct(cells []cell, slot uint8, from uint32, to int64) float64 {
	first, last := t.of(cells, slot)
	n := 0
	for _, c := range cells[first:last] {
		if c.step() >= from && int64(c.step()) <= to {
			n++
		}
	}
	return float64(n)
}

// total sums up the cells whose step is one from from to to.
func total(function rules.Function, cells []cell, from, to uint32) (value float64, any bool) {
	if function == rules.Count || function == rules.Average {
		function = rules.Sum
	}
	var bits uint64
	for _, c := range cells {
		if c.step() < from || c.step() > to {
			continue
		}
		if !any {
			bits, any = c.value, true
			continue
		}
		bits = combine(function, bits, c.value)
	}
	return math.Float64frombits(bits), any
}

// sweepKeys is how many keys a sweep looks at before it lets others work.
const sweepKeys = 512

// sweep gives back the memory of what has left every window that ends at now or
// up to the window's length earlier. A window that reaches back farther is
// unknown from then on.
func (b *board) sweep(now time.Time) {
	b.mu.Lock()
	if now.Before(b.horizon) {
		b.mu.Unlock()
		return
	}
	b.horizon = now
	b.setOldest()
	const past = int64(2 * rules.MaxWindow / time.Second)
	forgiven := b.lost != 0 && now.Unix()-b.lost > past
	if forgiven {
		b.lost = 0
	}
	if now.Unix()-b.lostResults > past {
		b.lostResults = 0
	}
	b.mu.Unlock()
	for kind, t := range b.tables {
		for number, more := uint32(0), true; more; {
			b.mu.Lock()
			for range sweepKeys {
				if more = number < t.used; !more {
					break
				}
				b.sweepEntry(t, number, &b.oldest[kind], forgiven)
				number++
			}
			b.mu.Unlock()
		}
	}
}

// setOldest computes per slot the first step that must be kept.
func (b *board) setOldest() {
	if b.horizon.IsZero() {
		return
	}
	for i := range b.layout.gauges {
		g := &b.layout.gauges[i]
		oldest := max(g.window.Step(b.horizon)-keptSteps+1, 0)
		for slot := g.slot; slot < g.slot+g.slots(); slot++ {
			b.oldest[g.kind][slot] = uint32(min(oldest, math.MaxUint32))
		}
	}
}

func (b *board) sweepEntry(t *table, number uint32, oldest *[256]uint32, forgiven bool) {
	e := t.at(number)
	if e.flags&inUse == 0 {
		return
	}
	stale := forgiven && e.flags&partial != 0
	for _, c := range t.block(e.block, int(e.n)) {
		stale = stale || c.step() < oldest[c.slot()]
	}
	if !stale {
		return
	}
	e = t.ownEntry(number)
	if forgiven {
		e.flags &^= partial
	}
	t.drop(e, oldest)
	switch class := classOf(int(e.n)); {
	case e.n == 0:
		t.remove(number)
	case class < e.class:
		t.move(e, class) // without memory it stays where it is
	}
}
