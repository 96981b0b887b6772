package rules

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// To find the rule that covers another, comparing all pairs would take minutes
// for 10,000 rules. A region that covers another holds every point of it, so a
// few points of each region, its witnesses, rule out nearly all candidates: for
// each fact, rows of bits tell which regions hold a witness, 64 at a time, and a
// candidate is a region whose bit is left after all facts were asked. Candidates
// are then compared exactly.

const (
	// coverBlock is how many regions are candidates at a time, which bounds the
	// memory: coverBlock/8 bytes for each rule.
	coverBlock = 4096
	// maxSteps bounds exact comparisons, for sets in which witnesses rule out
	// little: how many regions, tests, texts and ranges are looked at, some
	// nanoseconds each. Rules that are not reached are undecided.
	maxSteps = 50_000_000
)

// coverage is the search for covering regions among one block.
type coverage struct {
	regions []region
	from    int                 // of the block
	rows    [][]uint64          // by region: candidates of the block
	base    map[int][]uint64    // by fact: regions of the block that do not test it
	free    map[string][]uint64 // by signature: regions of the block that test no other fact
}

// covered returns for each live rule that an earlier live rule covers, and that
// has no finding yet, the first such rule. It stops when ctx ends.
func (a *analysis) covered(ctx context.Context, found map[int]Finding) (map[int]int, error) {
	out := map[int]int{}
	for from := 0; from < len(a.regions); from += coverBlock {
		c := newCoverage(a.regions, from, func(i int) bool {
			_, has := found[i]
			_, is := out[i]
			return !has && !is && a.regions[i].rule.Mode == Live && !a.regions[i].empty
		})
		for i, row := range c.rows {
			if row == nil {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("analyse rule set: %w", err)
			}
			if !c.first(i, row, &a.steps, out) {
				a.regions[i].exact = false
			}
		}
	}
	return out, nil
}

// newCoverage narrows the candidates of each wanted region down.
func newCoverage(regions []region, from int, wanted func(int) bool) *coverage {
	c := &coverage{
		regions: regions, from: from, rows: make([][]uint64, len(regions)),
		base: map[int][]uint64{}, free: map[string][]uint64{},
	}
	block := regions[from:min(from+coverBlock, len(regions))]
	words := (len(block) + 63) / 64
	eligible := make([]uint64, words)
	tested := map[int][]int{} // fact to the regions of the block that test it
	for i := range block {
		g := &block[i]
		if !g.exact || g.empty || !g.everyone || g.rule.Mode != Live {
			continue
		}
		set(eligible, i)
		for t := range g.tests {
			tested[g.tests[t].Field] = append(tested[g.tests[t].Field], i)
		}
	}
	for fact, those := range tested {
		row := slices.Clone(eligible)
		for _, i := range those {
			unset(row, i)
		}
		c.base[fact] = row
	}
	queries := map[int][]int{} // fact to the wanted regions that test it
	for i := from + 1; i < len(regions); i++ {
		if !wanted(i) {
			continue
		}
		c.rows[i] = slices.Clone(c.testsNoOther(&regions[i], eligible))
		for t := range regions[i].tests {
			queries[regions[i].tests[t].Field] = append(queries[regions[i].tests[t].Field], i)
		}
	}
	for fact, those := range tested {
		if len(queries[fact]) > 0 {
			c.ask(fact, those, queries[fact])
		}
	}
	return c
}

func set(row []uint64, i int)   { row[i>>6] |= 1 << (i & 63) }
func unset(row []uint64, i int) { row[i>>6] &^= 1 << (i & 63) }

func narrow(row, by []uint64) {
	for i := range row {
		row[i] &= by[i]
	}
}

// testsNoOther are the regions that test no fact which g does not test: one that
// does cannot cover g.
func (c *coverage) testsNoOther(g *region, eligible []uint64) []uint64 {
	signature := g.signature()
	if row, known := c.free[signature]; known {
		return row
	}
	row := slices.Clone(eligible)
	for fact, base := range c.base {
		if g.test(fact) == nil {
			narrow(row, base)
		}
	}
	c.free[signature] = row
	return row
}

// test is the region's test of a fact, nil when it has none.
func (g *region) test(fact int) *index.Test {
	for i := range g.tests {
		if g.tests[i].Field == fact {
			return &g.tests[i]
		}
	}
	return nil
}

// ask narrows the candidates by one fact: those regions of the block that test
// it must hold the witnesses of the regions that ask.
func (c *coverage) ask(fact int, tested, asking []int) {
	unknown := slices.Clone(c.base[fact])
	for _, i := range tested {
		if c.regions[c.from+i].test(fact).Unknown == index.True {
			set(unknown, i)
		}
	}
	for _, i := range asking {
		if c.regions[i].test(fact).Unknown == index.True {
			narrow(c.rows[i], unknown)
		}
	}
	if c.regions[asking[0]].test(fact).Kind == index.Text {
		c.askTexts(fact, tested, asking)
	} else {
		c.askRanges(fact, tested, asking)
	}
}

// askRanges sweeps over the keys of an ordered fact. The witnesses of a region
// are its lowest and its highest key.
func (c *coverage) askRanges(fact int, tested, asking []int) {
	type event struct {
		key  int64
		kind int // 0: i begins to hold, 1: i is asked, 2: i ends
		i    int
	}
	var events []event
	for _, i := range tested {
		for _, r := range c.regions[c.from+i].test(fact).Ranges {
			events = append(events, event{r.Lo, 0, i}, event{r.Hi, 2, i})
		}
	}
	for _, i := range asking {
		if ranges := c.regions[i].test(fact).Ranges; len(ranges) > 0 {
			events = append(events, event{ranges[0].Lo, 1, i}, event{ranges[len(ranges)-1].Hi, 1, i})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Or(cmp.Compare(a.key, b.key), a.kind-b.kind) })
	row := slices.Clone(c.base[fact])
	for _, e := range events {
		switch e.kind {
		case 0:
			set(row, e.i)
		case 1:
			narrow(c.rows[e.i], row)
		case 2:
			unset(row, e.i)
		}
	}
}

// askTexts does the same for texts. The witnesses of a region are its first and
// its last text, or for one that holds all texts but a few, any other text.
func (c *coverage) askTexts(fact int, tested, asking []int) {
	other := slices.Clone(c.base[fact])
	named := map[string][]int{} // text to the regions that name it
	for _, i := range tested {
		t := c.regions[c.from+i].test(fact)
		if t.Except {
			set(other, i)
		}
		for _, s := range t.Texts {
			named[s] = append(named[s], i)
		}
	}
	witnesses := map[string][]int{}
	for _, i := range asking {
		t := c.regions[i].test(fact)
		switch {
		case t.Except:
			narrow(c.rows[i], other)
		case len(t.Texts) > 0:
			for _, s := range []string{t.Texts[0], t.Texts[len(t.Texts)-1]} {
				witnesses[s] = append(witnesses[s], i)
			}
		}
	}
	row := make([]uint64, len(other))
	for s, those := range witnesses {
		copy(row, other)
		for _, i := range named[s] {
			row[i>>6] ^= 1 << (i & 63)
		}
		for _, i := range those {
			narrow(c.rows[i], row)
		}
	}
}

// first finds the first candidate that covers a region and stands before it. It
// takes steps and reports whether these were enough.
func (c *coverage) first(i int, row []uint64, steps *int, out map[int]int) bool {
	for w, word := range row {
		for ; word != 0; word &= word - 1 {
			j := c.from + w<<6 + bits.TrailingZeros64(word)
			switch {
			case j >= i:
				return true
			case *steps >= maxSteps:
				return false
			}
			if c.regions[j].covers(&c.regions[i], steps) {
				out[i] = j
				return true
			}
		}
	}
	return true
}
