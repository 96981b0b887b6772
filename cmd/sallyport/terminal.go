package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/rules"
)

// pen writes for people: in colours where a person looks, plainly elsewhere.
type pen struct {
	io.Writer
	colour bool
}

// pen is what the command's output is written with. NO_COLOR is honoured
// (no-color.org).
func (c call) pen() pen {
	return pen{Writer: c.Out, colour: c.OutTerminal && (c.Getenv == nil || c.Getenv("NO_COLOR") == "")}
}

// Codes of ECMA-48, section 8.3.117.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// in paints a text.
func (p pen) in(code, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p pen) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// outcome paints an outcome.
func (p pen) outcome(o string) string {
	switch rules.Outcome(o) {
	case rules.Allow:
		return p.in(green, o)
	case rules.Challenge:
		return p.in(cyan, o)
	case rules.Review:
		return p.in(yellow, o)
	case rules.Block:
		return p.in(red, o)
	}
	return o
}

// table writes rows under headings, each column as wide as its widest cell; the
// last one is not padded. Nothing is written without rows.
func (p pen) table(headings []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(headings))
	for _, row := range append([][]string{headings}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	write := func(row []string, paint func(string) string) {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(paint(cell))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
	write(headings, func(s string) string { return p.in(dim, s) })
	for _, row := range rows {
		write(row, func(s string) string { return s })
	}
}

// tests writes what became of a definition's tests: the failed ones in full.
func (p pen) tests(results []rules.TestResult) (failed int) {
	for _, r := range results {
		if r.Passed {
			continue
		}
		failed++
		p.line("  %s %s", p.in(red, "✗ "+r.Name), p.in(dim, "("+r.Action+")"))
		p.line("      %s", r.Message)
	}
	switch {
	case len(results) == 0:
	case failed == 0:
		p.line("  %s", p.in(green, "✓ "+plural(len(results), "test passes", "tests pass")))
	default:
		p.line("  %s", p.in(red, fmt.Sprintf("%d of %s", failed, plural(len(results), "test fails", "tests fail"))))
	}
	return failed
}

// finding is what the server says is probably not meant.
type finding struct {
	Kind    string `json:"kind"`
	Rule    string `json:"rule,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// findings writes what is probably not meant.
func (p pen) findings(list []finding) {
	for _, f := range list {
		where := f.Path
		if f.Rule != "" {
			where = "rule " + f.Rule
		}
		p.line("  %s %s%s", p.in(yellow, "!"), prefixedBy(where, ": "), f.Message)
	}
}

func prefixedBy(text, separator string) string {
	if text == "" {
		return ""
	}
	return text + separator
}

// plural counts with the word that fits.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// when is a time as people at this machine read it.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// orDash stands for nothing.
func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
