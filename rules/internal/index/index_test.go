package index_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules/internal/index"
)

const (
	numbers = iota // fields of the random rules
	texts
	flags
	rare
	fields
)

// anyTest makes a random test of a field, out of few values, so that tests and
// values meet.
func anyTest(r *rand.Rand, field, spread int) index.Test {
	t := index.Test{Field: field, Unknown: index.Truth(r.IntN(3))}
	switch field {
	case texts:
		t.Kind, t.Except = index.Text, r.IntN(4) == 0
		for range r.IntN(4) {
			t.Texts = append(t.Texts, fmt.Sprint(r.IntN(spread)))
		}
		slices.Sort(t.Texts)
		t.Texts = slices.Compact(t.Texts)
	case flags:
		v := int64(r.IntN(2))
		t.Ranges = []index.Range{{Lo: v, Hi: v}}
	default:
		at := int64(index.Lowest)
		if r.IntN(2) == 0 {
			at = int64(r.IntN(spread))
		}
		for range 1 + r.IntN(3) {
			end := max(at, 0) + int64(r.IntN(spread))
			if r.IntN(6) == 0 {
				end = index.Highest
			}
			t.Ranges = append(t.Ranges, index.Range{Lo: at, Hi: end})
			if end == index.Highest {
				break
			}
			at = end + 2 + int64(r.IntN(spread))
		}
	}
	return t
}

func anyValue(r *rand.Rand, field, spread int) index.Value {
	if r.IntN(5) == 0 {
		return index.Value{}
	}
	v := index.Value{Known: true, Key: int64(r.IntN(4*spread)) - int64(spread)/4}
	switch field {
	case texts:
		v.Text = fmt.Sprint(r.IntN(spread + 2))
	case flags:
		v.Key = int64(r.IntN(2))
	default:
		if r.IntN(20) == 0 {
			v.Key = []int64{index.Lowest, index.Highest}[r.IntN(2)]
		}
	}
	return v
}

type found struct {
	Rule   int
	Unsure bool
}

// plainly asks every test of every rule.
func plainly(rules [][]index.Test, values []index.Value) []found {
	var out []found
	for i, tests := range rules {
		truth := index.True
		for j := range tests {
			truth = min(truth, tests[j].Holds(values[tests[j].Field]))
		}
		if truth != index.False {
			out = append(out, found{i, truth == index.Unsure})
		}
	}
	return out
}

func match(x *index.Index, values []index.Value, s *index.Search) []found {
	x.Match(values, s)
	var out []found
	for rule, unsure := range s.All {
		out = append(out, found{rule, unsure})
	}
	return out
}

func TestMatchFindsExactlyTheRulesThatNoTestContradicts(t *testing.T) {
	var s index.Search // one for all: it must not remember
	for seed := range uint64(64) {
		r := rand.New(rand.NewPCG(seed, 9))
		count := []int{0, 1, 3, 63, 64, 65, 500, 3000}[seed%8]
		spread := []int{3, 40, 2000}[r.IntN(3)]
		list := make([][]index.Test, count)
		for i := range list {
			for field := range fields {
				if field == rare && r.IntN(50) > 0 || r.IntN(3) == 0 {
					continue
				}
				list[i] = append(list[i], anyTest(r, field, spread))
			}
		}
		x := index.Build(list)
		for range 100 {
			values := make([]index.Value, fields)
			for field := range values {
				values[field] = anyValue(r, field, spread)
			}
			if want, got := plainly(list, values), match(x, values, &s); !slices.Equal(want, got) {
				t.Fatalf("seed %d, %d rules, values %+v: %s", seed, count, values, cmp.Diff(want, got))
			}
		}
	}
}

func TestFieldsAreThoseThatRulesTest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	x := index.Build([][]index.Test{{anyTest(r, rare, 5)}, {}, {anyTest(r, flags, 5), anyTest(r, rare, 5)}})
	got := x.Fields()
	slices.Sort(got)
	if diff := cmp.Diff([]int{flags, rare}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTestsAreJoinedAsSetsAre(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, field := range []int{numbers, texts, flags} {
		for range 3000 {
			a, b := anyTest(r, field, 6), anyTest(r, field, 6)
			v := anyValue(r, field, 6)
			and, or, not := index.And(a, b), index.Or(a, b), index.Not(a)
			if got, want := and.Holds(v), min(a.Holds(v), b.Holds(v)); got != want {
				t.Fatalf("%+v and %+v of %+v is %v, want %v", a, b, v, got, want)
			}
			if got, want := or.Holds(v), max(a.Holds(v), b.Holds(v)); got != want {
				t.Fatalf("%+v or %+v of %+v is %v, want %v", a, b, v, got, want)
			}
			if got, want := not.Holds(v), index.True-a.Holds(v); got != want {
				t.Fatalf("not %+v of %+v is %v, want %v", a, v, got, want)
			}
			for _, joined := range []index.Test{and, or, not} {
				for i := 1; i < len(joined.Ranges); i++ {
					if joined.Ranges[i].Lo-1 <= joined.Ranges[i-1].Hi {
						t.Fatalf("ranges without a gap: %+v", joined)
					}
				}
			}
		}
	}
}

func TestKeysOfDecimalsKeepTheirOrder(t *testing.T) {
	ascending := []float64{
		math.Inf(-1), -math.MaxFloat64, -1e300, -2, math.Nextafter(-1, -2), -1, -math.SmallestNonzeroFloat64, 0,
		math.SmallestNonzeroFloat64, 1, math.Nextafter(1, 2), 1 << 53, 1e300, math.MaxFloat64, math.Inf(1),
	}
	for i := 1; i < len(ascending); i++ {
		if index.FloatKey(ascending[i-1]) >= index.FloatKey(ascending[i]) {
			t.Errorf("the key of %g is not below that of %g", ascending[i-1], ascending[i])
		}
	}
	if index.FloatKey(math.Copysign(0, -1)) != index.FloatKey(0) {
		t.Error("the two zeros have two keys")
	}
	for _, v := range []float64{-2, -1e-300, 1, 1e300} {
		if index.FloatKey(math.Nextafter(v, math.Inf(1))) != index.FloatKey(v)+1 {
			t.Errorf("the keys of %g and of its neighbour are no neighbours", v)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 3))
	list := make([][]index.Test, 10_000)
	for i := range list {
		list[i] = []index.Test{anyTest(r, numbers, 5000), anyTest(r, texts, 60), anyTest(r, flags, 2)}
	}
	for b.Loop() {
		index.Build(list)
	}
	b.ReportMetric(float64(index.Build(list).Bytes())/float64(len(list)), "bytes/rule")
}
