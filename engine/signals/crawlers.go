package signals

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
)

// crawlers recognise user agents of programs: crawlers, monitors, libraries and
// automated browsers. The zero value recognises none.
type crawlers struct {
	// inside, begin and end are texts that give a program away, by their first
	// three bytes: nearly all patterns are texts, and looking for one after the
	// other would take as long as there are patterns.
	inside map[[3]byte][]string
	begin  []string
	end    []string
	whole  map[string]bool
	others []*regexp.Regexp
}

// Limits of the file of patterns.
const (
	maxPatterns     = 20_000
	maxPatternBytes = 1 << 10
	maxTexts        = 64 // that one pattern may stand for
)

// read reads a regular expression from each line.
func (c *crawlers) read(r io.Reader) error {
	c.inside, c.whole = map[[3]byte][]string{}, map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxPatternBytes)
	number := 0
	for lines.Scan() {
		if number++; number > maxPatterns {
			return fmt.Errorf("crawler patterns: it has more than %d lines", maxPatterns)
		}
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, "//") {
			if err := c.add(line); err != nil {
				return fmt.Errorf("crawler patterns: line %d: %w", number, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("crawler patterns: %w", err)
	}
	return nil
}

func (c *crawlers) add(pattern string) error {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	if compiled.MatchString("") {
		return fmt.Errorf("%.60q matches every user agent", pattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return err
	}
	texts, ok := expand(parsed)
	for _, t := range texts {
		ok = ok && len(t.text) >= 3
	}
	if !ok {
		c.others = append(c.others, compiled)
		return nil
	}
	for _, t := range texts {
		switch {
		case t.begin && t.end:
			c.whole[t.text] = true
		case t.begin:
			c.begin = append(c.begin, t.text)
		case t.end:
			c.end = append(c.end, t.text)
		default:
			first := [3]byte([]byte(t.text[:3]))
			c.inside[first] = append(c.inside[first], t.text)
		}
	}
	return nil
}

// match reports whether a user agent is a program's.
func (c *crawlers) match(text string) bool {
	if c.whole[text] {
		return true
	}
	for i := 0; i+3 <= len(text); i++ {
		for _, t := range c.inside[[3]byte{text[i], text[i+1], text[i+2]}] {
			if strings.HasPrefix(text[i:], t) {
				return true
			}
		}
	}
	for _, t := range c.begin {
		if strings.HasPrefix(text, t) {
			return true
		}
	}
	for _, t := range c.end {
		if strings.HasSuffix(text, t) {
			return true
		}
	}
	for _, pattern := range c.others {
		if pattern.MatchString(text) {
			return true
		}
	}
	return false
}

// anchored is a text that a pattern stands for.
type anchored struct {
	text       string
	begin, end bool // it must stand there
}

// expand lists the texts that a pattern stands for, and reports false when they
// are too many or it is not sure.
func expand(r *syntax.Regexp) ([]anchored, bool) {
	switch r.Op {
	case syntax.OpLiteral:
		return expandLiteral(r)
	case syntax.OpEmptyMatch:
		return []anchored{{}}, true
	case syntax.OpBeginText:
		return []anchored{{begin: true}}, true
	case syntax.OpEndText:
		return []anchored{{end: true}}, true
	case syntax.OpCapture:
		return expand(r.Sub[0])
	case syntax.OpQuest:
		texts, ok := expand(r.Sub[0])
		return append(texts, anchored{}), ok
	case syntax.OpCharClass:
		var texts []anchored
		for i := 0; i < len(r.Rune); i += 2 {
			if r.Rune[i+1]-r.Rune[i] >= maxTexts || len(texts) > maxTexts {
				return nil, false
			}
			for c := r.Rune[i]; c <= r.Rune[i+1]; c++ {
				texts = append(texts, anchored{text: string(c)})
			}
		}
		return texts, len(texts) <= maxTexts
	case syntax.OpAlternate:
		var texts []anchored
		for _, sub := range r.Sub {
			more, ok := expand(sub)
			if texts = append(texts, more...); !ok || len(texts) > maxTexts {
				return nil, false
			}
		}
		return texts, true
	case syntax.OpConcat:
		texts := []anchored{{}}
		for _, sub := range r.Sub {
			more, ok := expand(sub)
			if !ok || len(texts)*len(more) > maxTexts {
				return nil, false
			}
			if texts, ok = join(texts, more); !ok {
				return nil, false
			}
		}
		return texts, true
	}
	return nil, false
}

// expandLiteral also knows texts whose case does not matter, as which [wW] is
// parsed.
func expandLiteral(r *syntax.Regexp) ([]anchored, bool) {
	if r.Flags&syntax.FoldCase == 0 {
		return []anchored{{text: string(r.Rune)}}, true
	}
	texts := []anchored{{}}
	for _, c := range r.Rune {
		cases := []anchored{{text: string(c)}}
		for folded := unicode.SimpleFold(c); folded != c; folded = unicode.SimpleFold(folded) {
			cases = append(cases, anchored{text: string(folded)})
		}
		if texts, _ = join(texts, cases); len(texts) > maxTexts {
			return nil, false
		}
	}
	return texts, true
}

// join puts each of the second texts behind each of the first. An anchor in the
// middle is more than texts can say.
func join(first, second []anchored) ([]anchored, bool) {
	var joined []anchored
	for _, a := range first {
		for _, b := range second {
			if a.end && (b.text != "" || b.begin) || b.begin && a.text != "" {
				return nil, false
			}
			joined = append(joined, anchored{a.text + b.text, a.begin || b.begin, a.end || b.end})
		}
	}
	return joined, true
}
