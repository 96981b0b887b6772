package rules

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// region is the facts on which a rule matches: a test per fact, all of which
// hold. Unknown is part of it as one more value.
type region struct {
	rule     *Rule
	place    int          // among the rules of the action
	tests    []index.Test // by fact, ascending; none that always holds; Unknown is True or False
	empty    bool         // nothing is in it
	exact    bool         // the rule matches everywhere in it, else somewhere at most
	everyone bool         // the rule is there for every user
	residual bool         // a part of the condition is none of the tests
}

// slotType is what the analysis needs to know about a fact.
type slotType struct {
	kind   index.Kind
	lo, hi int64 // keys that a value can have
	always bool  // it cannot be unknown
}

// slotTypes describes all facts by their slots.
func (s *Set) slotTypes() []slotType {
	out := make([]slotType, len(s.readers))
	for name, slot := range s.slots {
		t := slotType{lo: index.Lowest, hi: index.Highest}
		switch typeName(s.language.facts[name].String()) {
		case "string":
			t.kind = index.Text
		case "number":
			t.lo, t.hi = index.FloatKey(-math.MaxFloat64), index.FloatKey(math.MaxFloat64)
		case "boolean":
			t.lo, t.hi = 0, 1
		}
		// A text may be too long, and so unknown.
		b := builtinsByName()[name]
		t.always = b != nil && b.always && t.kind != index.Text
		out[slot] = t
	}
	return out
}

// fill takes the tests of a rule over. What is left of its condition can only
// make the region smaller, since a rule matches where no part of it is false.
func (g *region) fill(c *compiled, types []slotType) {
	g.residual = c.program != nil
	g.exact = !g.residual
	unsure := index.False
	if c.matches(Unknown) {
		unsure = index.True
	}
	for _, t := range c.tests {
		typ := types[t.Field]
		out := index.Test{Field: t.Field, Kind: t.Kind, Texts: t.Texts, Except: t.Except, Unknown: t.Unknown}
		if t.Unknown == index.Unsure {
			out.Unknown = unsure
		}
		if typ.always {
			out.Unknown = index.False
		}
		for _, r := range t.Ranges {
			if r = (index.Range{Lo: max(r.Lo, typ.lo), Hi: min(r.Hi, typ.hi)}); r.Lo <= r.Hi {
				out.Ranges = append(out.Ranges, r)
			}
		}
		whole := out.Except && len(out.Texts) == 0 || len(out.Ranges) == 1 && out.Ranges[0] == index.Range{Lo: typ.lo, Hi: typ.hi}
		if whole && (out.Unknown == index.True || typ.always) {
			continue
		}
		if out.Unknown == index.False && len(out.Ranges) == 0 && len(out.Texts) == 0 && !out.Except {
			g.empty = true
		}
		g.tests = append(g.tests, out)
	}
	slices.SortFunc(g.tests, func(a, b index.Test) int { return a.Field - b.Field })
}

// key is equal for rules of one mode that match in the same cases. Rules with a
// part that only CEL can read must have the same text.
func (g *region) key() string {
	var b strings.Builder
	b.WriteString(string(g.rule.Mode))
	if g.residual {
		c := compiled{Rule: g.rule}
		for _, v := range []Verdict{Unknown, Erred} {
			b.WriteString(strconv.FormatBool(c.matches(v)))
		}
		b.WriteString(string(g.rule.OnError))
		text := []rune(g.rule.When)
		for _, w := range wordsOf(text) {
			b.WriteByte(' ')
			b.WriteString(string(text[w.start:w.end]))
		}
		return b.String()
	}
	for i := range g.tests {
		t := &g.tests[i]
		b.WriteString(";" + strconv.Itoa(t.Field))
		b.WriteString(strconv.FormatBool(t.Except) + strconv.FormatBool(t.Unknown == index.True))
		for _, text := range t.Texts {
			b.WriteString(strconv.Quote(text))
		}
		for _, r := range t.Ranges {
			b.WriteString("," + strconv.FormatInt(r.Lo, 36) + ":" + strconv.FormatInt(r.Hi, 36))
		}
	}
	return b.String()
}

// signature names the facts that the region tests.
func (g *region) signature() string {
	out := make([]byte, 0, 2*len(g.tests))
	for i := range g.tests {
		out = append(out, byte(g.tests[i].Field), byte(g.tests[i].Field>>8))
	}
	return string(out)
}

// covers tells whether all of other lies inside. Steps counts what it looks at.
func (g *region) covers(other *region, steps *int) bool {
	j := 0
	*steps++
	for i := range g.tests {
		*steps++
		for j < len(other.tests) && other.tests[j].Field < g.tests[i].Field {
			j++
			*steps++
		}
		if j == len(other.tests) || other.tests[j].Field != g.tests[i].Field || !within(&other.tests[j], &g.tests[i], steps) {
			return false
		}
	}
	return true
}

// within tells whether b holds wherever a does. Both test the same fact.
func within(a, b *index.Test, steps *int) bool {
	if a.Unknown == index.True && b.Unknown != index.True {
		return false
	}
	if a.Kind != index.Text {
		return rangesWithin(a.Ranges, b.Ranges, steps)
	}
	switch {
	case a.Except && !b.Except:
		return false // endlessly many texts in a, a few in b
	case a.Except:
		return textsWithin(b.Texts, a.Texts, steps)
	case b.Except:
		return !slices.ContainsFunc(a.Texts, func(s string) bool { return contains(b.Texts, s, steps) })
	}
	return textsWithin(a.Texts, b.Texts, steps)
}

func textsWithin(a, b []string, steps *int) bool {
	if len(a) > len(b) {
		return false
	}
	for _, s := range a {
		if !contains(b, s, steps) {
			return false
		}
	}
	return true
}

// contains looks a text up among sorted ones. Long texts take longer to compare.
func contains(sorted []string, s string, steps *int) bool {
	*steps += bits.Len(uint(len(sorted))) * (1 + len(s)/64)
	_, is := slices.BinarySearch(sorted, s)
	return is
}

func rangesWithin(a, b []index.Range, steps *int) bool {
	j := 0
	for _, r := range a {
		*steps++
		for j < len(b) && b[j].Hi < r.Lo {
			j++
			*steps++
		}
		if j == len(b) || b[j].Lo > r.Lo || b[j].Hi < r.Hi {
			return false
		}
	}
	return true
}
