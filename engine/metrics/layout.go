package metrics

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/minio/highwayhash"

	"github.com/sallyport/sallyport/rules"
)

// key stands for a value that occurrences are counted by.
type key [2]uint64

// keyOf makes the key of a text or a number with HighwayHash-128. It is keyed with
// a secret, so that nobody can choose two values with one key; by chance, a
// million values share one with a probability of 1.5e-27.
func (l *layout) keyOf(value rules.Measured) key {
	var room [96]byte
	var text []byte
	if value.IsText {
		text = append(append(room[:0], 's'), value.Text...)
	} else {
		// Adding 0 makes minus zero the same number as zero.
		text = binary.BigEndian.AppendUint64(append(room[:0], 'n'), math.Float64bits(value.Number+0))
	}
	sum := highwayhash.Sum128(text, l.secret[:])
	return key{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

// layout says where the values of a rule set's metrics are kept. Metrics with the
// same definition share a place.
type layout struct {
	gauges  []gauge        // in order of their ids
	byID    map[string]int // place in gauges
	filters []*rules.Meter // one for each condition
	kinds   []*rules.Meter // one for each fact that metrics are kept per, in order of its name
	columns []*rules.Meter // one for each fact that is summed up
	results bool           // some metric counts challenges
	// readResult tells of each filter whether it reads how a challenge ended.
	readResult []bool
	secret     [32]byte // of the keys; random, kept in the snapshot

	readings sync.Pool // of *reading
	// looked remembers where the meters of an action are, by the list that the rule
	// set hands out for it.
	looked atomic.Pointer[map[**rules.Meter][]int]
}

// maxLooked bounds what looked holds; sets come and go.
const maxLooked = 1024

// places are the gauges of meters, -1 where there is none.
func (l *layout) places(meters []*rules.Meter) []int {
	old := l.looked.Load()
	if old != nil {
		if places, known := (*old)[&meters[0]]; known && len(places) == len(meters) {
			return places
		}
	}
	places := make([]int, len(meters))
	for i, m := range meters {
		at, kept := l.byID[m.ID()]
		if !kept {
			at = -1
		}
		places[i] = at
	}
	next := map[**rules.Meter][]int{&meters[0]: places}
	if old != nil && len(*old) < maxLooked {
		maps.Copy(next, *old)
		next[&meters[0]] = places
	}
	l.looked.CompareAndSwap(old, &next) // else another reader was first, and this is found out again
	return places
}

// gauge is one metric in memory.
type gauge struct {
	meter    *rules.Meter
	function rules.Function
	window   rules.Window
	filter   int
	kind     int
	column   int   // -1 for count
	slot     uint8 // among those of its kind; average has this for the sum and the next for the number
	results  bool  // counts challenges
}

func newLayout(meters []*rules.Meter) *layout {
	l := &layout{byID: map[string]int{}}
	meters = slices.SortedFunc(slices.Values(meters), func(a, b *rules.Meter) int { return cmp.Compare(a.ID(), b.ID()) })
	meters = slices.CompactFunc(meters, func(a, b *rules.Meter) bool { return a.ID() == b.ID() })
	per := func(m *rules.Meter) string { return m.Parts().Key }
	condition := func(m *rules.Meter) string { return m.Parts().Condition }
	of := func(m *rules.Meter) string { return m.Parts().Value }
	for _, m := range meters {
		place(&l.kinds, m, per)
	}
	slices.SortFunc(l.kinds, func(a, b *rules.Meter) int { return cmp.Compare(per(a), per(b)) })
	slots := make([]uint8, len(l.kinds))
	for _, m := range meters {
		g := gauge{
			meter: m, function: m.Metric().Function, window: m.Window(), column: -1, results: m.Metric().Counts == rules.CountChallenges,
			filter: place(&l.filters, m, condition), kind: place(&l.kinds, m, per),
		}
		if g.function != rules.Count {
			g.column = place(&l.columns, m, of)
		}
		g.slot = slots[g.kind]
		slots[g.kind] += g.slots()
		l.results = l.results || g.results
		l.byID[m.ID()] = len(l.gauges)
		l.gauges = append(l.gauges, g)
	}
	for _, m := range l.filters {
		l.readResult = append(l.readResult, m.ReadsResult())
	}
	rand.Read(l.secret[:])
	l.readings.New = func() any { return l.newReading() }
	return l
}

// place finds the member with the meter's name, or adds one.
func place(list *[]*rules.Meter, m *rules.Meter, name func(*rules.Meter) string) int {
	for i, other := range *list {
		if name(other) == name(m) {
			return i
		}
	}
	*list = append(*list, m)
	return len(*list) - 1
}

// slots is how many numbers the gauge keeps per key and step.
func (g *gauge) slots() uint8 {
	if g.function == rules.Average {
		return 2
	}
	return 1
}

// addition is what one occurrence adds to one gauge.
type addition struct {
	gauge int
	key   key
	value uint64 // bits of a float64, or hash of a distinct value; 0 for count
}

// reading reads each fact of an occurrence, and asks each condition, at most once.
type reading struct {
	keys    []key
	values  []uint64
	numbers []bool  // by column: values holds bits of a number
	met     []state // by filter
	known   []state // by kind
	valued  []state // by column
	asked   uint64  // how often a filter was asked, for a run of events

	// Room that is used again.
	additions, ending []addition
	results           []result
	shares            []share

	// What board.read finds for the keys.
	found   []state  // by kind: there is an entry
	entries []uint32 // by kind: its number
}

type state uint8

const (
	unread state = iota
	no
	yes
)

func (l *layout) newReading() *reading {
	return &reading{
		keys: make([]key, len(l.kinds)), values: make([]uint64, len(l.columns)), numbers: make([]bool, len(l.columns)),
		met: make([]state, len(l.filters)), known: make([]state, len(l.kinds)), valued: make([]state, len(l.columns)),
		found: make([]state, len(l.kinds)), entries: make([]uint32, len(l.kinds)),
	}
}

// begin forgets the occurrence before.
func (r *reading) begin() {
	clear(r.met)
	clear(r.known)
	clear(r.valued)
}

// additions appends what an occurrence adds to the gauges.
func (l *layout) additions(to []addition, r *reading, o *rules.Occurrence) []addition {
	for i := range l.gauges {
		g := &l.gauges[i]
		if g.results != (o.Challenge != "") {
			continue
		}
		if r.met[g.filter] == unread {
			r.met[g.filter] = as(l.filters[g.filter].Counts(o))
			r.asked++
		}
		if r.met[g.filter] != yes {
			continue
		}
		k, known := l.key(r, g.kind, o.Facts)
		if !known {
			continue
		}
		value, known := l.value(r, g, o.Facts)
		if known {
			to = append(to, addition{gauge: i, key: k, value: value})
		}
	}
	return to
}

func as(met bool) state {
	if met {
		return yes
	}
	return no
}

// key is the key of a kind, if the fact is known.
func (l *layout) key(r *reading, kind int, f *rules.Facts) (key, bool) {
	if r.known[kind] == unread {
		value := l.kinds[kind].Key(f)
		r.known[kind] = as(value.Known)
		if value.Known {
			r.keys[kind] = l.keyOf(value)
		}
	}
	return r.keys[kind], r.known[kind] == yes
}

// value is what is summed up, if the fact is known. A fact that one gauge adds and
// another tells apart is read for each.
func (l *layout) value(r *reading, g *gauge, f *rules.Facts) (uint64, bool) {
	if g.column < 0 {
		return 0, true
	}
	number := g.function != rules.Distinct
	if r.valued[g.column] == unread || r.numbers[g.column] != number {
		value := l.columns[g.column].Value(f)
		r.valued[g.column], r.numbers[g.column] = as(value.Known), number
		switch {
		case !value.Known:
		case number:
			r.values[g.column] = math.Float64bits(value.Number)
		default:
			r.values[g.column] = l.keyOf(value)[0]
		}
	}
	return r.values[g.column], r.valued[g.column] == yes
}
