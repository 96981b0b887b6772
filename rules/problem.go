package rules

import (
	"fmt"
	"strings"
)

// Problem is one reason why a definition cannot be published. For a condition,
// Line and Column count within it; for a text that cannot be read, within the
// text. Both count from 1; 0 means that there is no position.
type Problem struct {
	Field   string `json:"field,omitempty"` // path in the definition, such as actions[0].rules[2].when
	Rule    string `json:"rule,omitempty"`  // id of the rule
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	// Other is the path of another part that the message is about, such as the rule
	// that has the same id.
	Other string `json:"other,omitempty"`
}

// String is the problem on one line, as a terminal shows it.
func (p Problem) String() string {
	var b strings.Builder
	if p.Field != "" {
		b.WriteString(p.Field)
	}
	if p.Rule != "" {
		fmt.Fprintf(&b, " (rule %s)", p.Rule)
	}
	if p.Line > 0 {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "line %d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ", column %d", p.Column)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// CompileError means that a definition cannot be used. It names every problem
// that was found, at least one.
type CompileError struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *CompileError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "rule set: " + strings.Join(lines, "\n")
}
