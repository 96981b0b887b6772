package index

import (
	"math/bits"
	"slices"
	"sort"
)

// A row is copied and changed bit by bit for a value between two rows, so the
// number of changes is bounded; and since each further row costs memory, so is
// the number of rows.
const (
	leastChanges = 32  // up to so many changes, no row is added
	mostRows     = 256 // about, per field
)

// Index holds the tests of rules. It is immutable and safe for concurrent use.
type Index struct {
	rules  int
	words  int     // of 64 bits, per row
	every  row     // has the bit of every rule
	fields []field // most selective first
}

// row has the bit of each rule; those beyond the last rule are 0.
type row []uint64

func (r row) set(rule uint32)    { r[rule>>6] |= 1 << (rule & 63) }
func (r row) clear(rule uint32)  { r[rule>>6] &^= 1 << (rule & 63) }
func (r row) change(rule uint32) { r[rule>>6] ^= 1 << (rule & 63) }

// field is the tests of one field.
type field struct {
	number  int // as the caller counts
	unknown row // not contradicted by an unknown value
	unsure  row // neither true nor false for an unknown value; nil when there is none
	// Rows follow one another in bits. Of an ordered field, block i begins at
	// starts[i], has the row i, and its changes are from changesAt[i] to
	// changesAt[i+1]. Of a text field, row 0 is that of values that no rule names.
	bits      []uint64
	starts    []int64
	changesAt []uint32
	keys      []int64  // of an ordered field: where each change happens
	changes   []uint32 // rules
	texts     map[string]named
	density   float64 // mean share of the bits that are set
}

// named is what a text field knows about a value: a row, and the changes to it.
type named struct{ row, from, to uint32 }

// Value is a field's value.
type Value struct {
	Known bool
	Key   int64  // of an ordered field
	Text  string // of a text field
}

// Build makes the index of rules[0], rules[1] and so on. A rule may have at most
// one test per field, and all tests of a field must be of one kind. A rule
// without tests is never contradicted.
func Build(rules [][]Test) *Index {
	x := &Index{rules: len(rules), words: (len(rules) + 63) / 64}
	x.every = x.all()
	type numbered struct {
		rule uint32
		test *Test
	}
	byField := map[int][]numbered{}
	for i, tests := range rules {
		for j := range tests {
			t := &tests[j]
			byField[t.Field] = append(byField[t.Field], numbered{uint32(i), t})
		}
	}
	for number, tests := range byField {
		f := field{number: number, unknown: x.all(), unsure: make(row, x.words)}
		free := x.all() // rules that do not test the field
		someUnsure := false
		for _, t := range tests {
			free.clear(t.rule)
			switch t.test.Unknown {
			case False:
				f.unknown.clear(t.rule)
			case Unsure:
				f.unsure.set(t.rule)
				someUnsure = true
			}
		}
		if !someUnsure {
			f.unsure = nil
		}
		if tests[0].test.Kind == Text {
			b := textBuilder{words: x.words, other: free, differ: make(map[string][]uint32)}
			for _, t := range tests {
				b.add(t.rule, t.test)
			}
			b.build(&f)
		} else {
			b := orderedBuilder{words: x.words, first: free}
			for _, t := range tests {
				b.add(t.rule, t.test)
			}
			b.build(&f)
		}
		x.fields = append(x.fields, f)
	}
	slices.SortFunc(x.fields, func(a, b field) int {
		switch {
		case a.density != b.density:
			if a.density < b.density {
				return -1
			}
			return 1
		default:
			return a.number - b.number
		}
	})
	return x
}

// all is a row with the bit of every rule set.
func (x *Index) all() row {
	r := make(row, x.words)
	for i := range r {
		r[i] = ^uint64(0)
	}
	if rest := x.rules & 63; rest != 0 {
		r[len(r)-1] = 1<<rest - 1
	}
	return r
}

// Fields returns the numbers of the fields that rules test.
func (x *Index) Fields() []int {
	numbers := make([]int, len(x.fields))
	for i := range x.fields {
		numbers[i] = x.fields[i].number
	}
	return numbers
}

// Bytes is the memory that the index holds, but for the texts of its values.
func (x *Index) Bytes() int {
	const entry = 16 + 12 + 8 // of the map of texts: header, value, and about as much again for empty places
	n := 8 * len(x.every)
	for i := range x.fields {
		f := &x.fields[i]
		n += 8*(len(f.unknown)+len(f.unsure)+len(f.bits)+len(f.starts)+len(f.keys)) + 4*(len(f.changesAt)+len(f.changes)) + entry*len(f.texts)
	}
	return n
}

// Search is the working memory of Match, to be used again. The zero value is
// ready.
type Search struct {
	found   row
	rows    []row
	unsure  []row
	scratch []uint64
}

// Match finds the rules that values do not contradict. It reads values[n] for
// each n of Fields, and keeps nothing of them. The result is read with All
// until the next call.
func (x *Index) Match(values []Value, s *Search) {
	s.grow(x)
	rows, unsure, scratch := s.rows[:0], s.unsure[:0], s.scratch
	for i := range x.fields {
		f := &x.fields[i]
		v := &values[f.number]
		if !v.Known {
			rows = append(rows, f.unknown)
			if f.unsure != nil {
				unsure = append(unsure, f.unsure)
			}
			continue
		}
		n, from, to := f.look(v)
		r := row(f.bits[n*x.words : (n+1)*x.words])
		if from < to {
			changed := row(scratch[:x.words])
			scratch = scratch[x.words:]
			copy(changed, r)
			for _, rule := range f.changes[from:to] {
				changed.change(rule)
			}
			r = changed
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		rows = append(rows, x.every)
	}
	s.rows, s.unsure = rows, unsure
	join(s.found, rows, x.every)
}

// look finds the row for a value and the changes to it.
func (f *field) look(v *Value) (number int, from, to uint32) {
	if f.texts != nil {
		n := f.texts[v.Text] // row 0 without changes for a text that no rule names
		return int(n.row), n.from, n.to
	}
	// The last block that begins at or before the value; the first begins at Lowest.
	lo, hi := 0, len(f.starts)
	for hi-lo > 1 {
		middle := int(uint(lo+hi) >> 1)
		if f.starts[middle] <= v.Key {
			lo = middle
		} else {
			hi = middle
		}
	}
	from, to = f.changesAt[lo], f.changesAt[lo]
	for end := f.changesAt[lo+1]; to < end && f.keys[to] <= v.Key; {
		to++
	}
	return lo, from, to
}

// grow makes room for a search in x.
func (s *Search) grow(x *Index) {
	if cap(s.found) < x.words {
		s.found = make(row, x.words)
	}
	s.found = s.found[:x.words]
	if need := x.words * len(x.fields); len(s.scratch) < need {
		s.scratch = make([]uint64, need)
	}
}

// join sets found to the bits that all rows have. There is at least one row;
// every is a row of all bits.
func join(found row, rows []row, every row) {
	// Four rows at a time, which costs least a word as long as most words still
	// have bits.
	for i := 0; i < len(rows); i += 4 {
		four := [4]row{every, every, every, every}
		copy(four[:], rows[i:])
		a, b, c, d := four[0][:len(found)], four[1][:len(found)], four[2][:len(found)], four[3][:len(found)]
		left := uint64(0) // words with bits
		if i == 0 {
			for w := range found {
				word := a[w] & b[w] & c[w] & d[w]
				found[w] = word
				left += (word | -word) >> 63
			}
		} else {
			for w := range found {
				word := found[w] & a[w] & b[w] & c[w] & d[w]
				found[w] = word
				left += (word | -word) >> 63
			}
		}
		if rest := rows[min(i+4, len(rows)):]; left < uint64(len(found)/4) {
			joinFew(found, rest)
			return
		}
	}
}

// joinFew is join for rows of which few words can still have bits.
func joinFew(found row, rows []row) {
	for w, word := range found {
		for i := 0; word != 0 && i < len(rows); i++ {
			word &= rows[i][w]
		}
		found[w] = word
	}
}

// Count is how many rules Match found.
func (s *Search) Count() int {
	n := 0
	for _, word := range s.found {
		n += bits.OnesCount64(word)
	}
	return n
}

// All yields the rules that Match found, in ascending order, and whether one of
// their tests was unsure.
func (s *Search) All(yield func(rule int, unsure bool) bool) {
	for w, word := range s.found {
		for ; word != 0; word &= word - 1 {
			bit := bits.TrailingZeros64(word)
			unsure := false
			for _, r := range s.unsure {
				if r[w]>>bit&1 != 0 {
					unsure = true
					break
				}
			}
			if !yield(w<<6+bit, unsure) {
				return
			}
		}
	}
}

// density is the mean share of bits that are set in rows.
func density(rows []uint64, words int) float64 {
	n := 0
	for _, word := range rows {
		n += bits.OnesCount64(word)
	}
	return float64(n) / float64(max(len(rows), 1)*64)
}

// rowLimit is how many changes justify a row of its own.
func rowLimit(changes int) int { return max(leastChanges, changes/mostRows) }

// orderedBuilder collects the tests of an ordered field.
type orderedBuilder struct {
	words   int
	first   row // of Lowest
	changes []change
}

type change struct {
	key  int64
	rule uint32
}

func (b *orderedBuilder) add(rule uint32, t *Test) {
	for _, r := range t.Ranges {
		if r.Lo == Lowest {
			b.first.set(rule)
		} else {
			b.changes = append(b.changes, change{r.Lo, rule})
		}
		if r.Hi < Highest {
			b.changes = append(b.changes, change{r.Hi + 1, rule})
		}
	}
}

// build cuts the values into blocks. A block ends before the value whose changes
// would make them too many, so that a value where many rules change at once
// begins a block.
func (b *orderedBuilder) build(f *field) {
	sort.Slice(b.changes, func(i, j int) bool {
		if b.changes[i].key != b.changes[j].key {
			return b.changes[i].key < b.changes[j].key
		}
		return b.changes[i].rule < b.changes[j].rule
	})
	limit := rowLimit(len(b.changes))
	now := slices.Clone(b.first)
	f.starts, f.changesAt = []int64{Lowest}, []uint32{0}
	f.bits = append(f.bits, now...)
	inBlock := 0
	for len(b.changes) > 0 {
		key, n := b.changes[0].key, 1
		for n < len(b.changes) && b.changes[n].key == key {
			n++
		}
		for _, c := range b.changes[:n] {
			now.change(c.rule)
		}
		if inBlock += n; inBlock > limit {
			f.starts, f.changesAt = append(f.starts, key), append(f.changesAt, uint32(len(f.changes)))
			f.bits = append(f.bits, now...)
			inBlock = 0
		} else {
			for _, c := range b.changes[:n] {
				f.keys, f.changes = append(f.keys, key), append(f.changes, c.rule)
			}
		}
		b.changes = b.changes[n:]
	}
	f.changesAt = append(f.changesAt, uint32(len(f.changes)))
	f.bits, f.keys, f.changes = slices.Clip(f.bits), slices.Clip(f.keys), slices.Clip(f.changes)
	f.density = density(f.bits, b.words)
}

// textBuilder collects the tests of a text field.
type textBuilder struct {
	words  int
	other  row // of a text that no rule names
	differ map[string][]uint32
	total  int
}

func (b *textBuilder) add(rule uint32, t *Test) {
	if t.Except {
		b.other.set(rule)
	}
	for _, text := range t.Texts {
		b.differ[text] = append(b.differ[text], rule)
		b.total++
	}
}

func (b *textBuilder) build(f *field) {
	limit := rowLimit(b.total)
	f.bits = append(f.bits, b.other...)
	f.texts = make(map[string]named, len(b.differ))
	for text, rules := range b.differ {
		start := uint32(len(f.changes))
		if len(rules) <= limit {
			f.changes = append(f.changes, rules...)
			f.texts[text] = named{0, start, uint32(len(f.changes))}
			continue
		}
		own := slices.Clone(b.other)
		for _, rule := range rules {
			own.change(rule)
		}
		f.texts[text] = named{row: uint32(len(f.bits) / b.words)}
		f.bits = append(f.bits, own...)
	}
	f.bits, f.changes = slices.Clip(f.bits), slices.Clip(f.changes)
	f.density = density(f.bits, b.words)
}
