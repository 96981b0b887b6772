package index

import (
	"math"
	"slices"
)

// Kind is what the values of a field are.
type Kind uint8

// The kinds of fields.
const (
	Ordered Kind = iota // whole numbers; see FloatKey for decimals
	Text                // strings that are equal or not
)

// Truth is what a test says about an unknown value.
type Truth uint8

// The truths, in the order in which AND takes the least and OR the greatest.
const (
	False Truth = iota
	Unsure
	True
)

// Test is the set of values of one field for which a condition holds.
type Test struct {
	Field int
	Kind  Kind
	// Ranges are the values of an ordered field: ascending, without overlap, and with
	// a gap between one and the next.
	Ranges []Range
	// Texts are the values of a text field, sorted, each once. If Except is set,
	// they are those for which the test does not hold.
	Texts  []string
	Except bool
	// Unknown is what the test says when the value is unknown.
	Unknown Truth
}

// Range is all values from Lo to Hi, both included.
type Range struct{ Lo, Hi int64 }

// Lowest and Highest are the ends of the values of ordered fields.
const (
	Lowest  = math.MinInt64
	Highest = math.MaxInt64
)

// FloatKey maps decimals to whole numbers of the same order: equal numbers to
// equal keys, both zeros among them, and neighbours to neighbours. It must not be
// called with NaN.
func FloatKey(v float64) int64 {
	key := int64(math.Float64bits(v + 0)) // turns the negative zero into zero
	if key < 0 {
		key ^= math.MaxInt64
	}
	return key
}

// Not is the test that holds where t does not.
func Not(t Test) Test {
	out := Test{Field: t.Field, Kind: t.Kind, Unknown: True - t.Unknown}
	if t.Kind == Text {
		out.Texts, out.Except = t.Texts, !t.Except
		return out
	}
	next, open := int64(Lowest), true
	for _, r := range t.Ranges {
		if r.Lo > next {
			out.Ranges = append(out.Ranges, Range{next, r.Lo - 1})
		}
		if open = r.Hi < Highest; open {
			next = r.Hi + 1
		}
	}
	if open {
		out.Ranges = append(out.Ranges, Range{next, Highest})
	}
	return out
}

// And is the test that holds where both do. Both must test the same field.
func And(a, b Test) Test {
	out := Test{Field: a.Field, Kind: a.Kind, Unknown: min(a.Unknown, b.Unknown)}
	if a.Kind == Text {
		out.Texts, out.Except = both(a, b)
		return out
	}
	for i, j := 0, 0; i < len(a.Ranges) && j < len(b.Ranges); {
		r := Range{max(a.Ranges[i].Lo, b.Ranges[j].Lo), min(a.Ranges[i].Hi, b.Ranges[j].Hi)}
		if r.Lo <= r.Hi {
			out.Ranges = append(out.Ranges, r)
		}
		if a.Ranges[i].Hi < b.Ranges[j].Hi {
			i++
		} else {
			j++
		}
	}
	return out
}

// Or is the test that holds where one of both does.
func Or(a, b Test) Test { return Not(And(Not(a), Not(b))) }

// both is the intersection of two sets of texts.
func both(a, b Test) (texts []string, except bool) {
	in := func(t Test, s string) bool {
		_, found := slices.BinarySearch(t.Texts, s)
		return found != t.Except
	}
	switch {
	case a.Except && b.Except:
		return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Texts, b.Texts)))), true
	case a.Except:
		a, b = b, a
	}
	for _, s := range a.Texts {
		if in(b, s) {
			texts = append(texts, s)
		}
	}
	return texts, false
}

// Holds is what the test says about a value.
func (t *Test) Holds(v Value) Truth {
	switch {
	case !v.Known:
		return t.Unknown
	case t.Kind == Text:
		if _, found := slices.BinarySearch(t.Texts, v.Text); found != t.Except {
			return True
		}
		return False
	}
	for _, r := range t.Ranges {
		if r.Lo <= v.Key && v.Key <= r.Hi {
			return True
		}
	}
	return False
}
