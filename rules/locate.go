package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Locate gives problems their place in a YAML text: Line and Column
// count within the text instead of within a condition. A message about two parts
// names the line of the other one. What has no Field, or
// whose place cannot be found, stays as it is. The text is one that ParseYAML
// reads.
func Locate(text []byte, problems []Problem) []Problem {
	out := slices.Clone(problems)
	var document yaml.Node
	if yaml.Unmarshal(text, &document) != nil || len(document.Content) == 0 {
		return out
	}
	lines := strings.Split(string(text), "\n")
	for i := range out {
		p := &out[i]
		if p.Other != "" {
			if other, exact := find(document.Content[0], p.Other); exact {
				p.Message += fmt.Sprintf(" on line %d", other.Line)
			}
		}
		if p.Field == "" {
			continue
		}
		node, exact := find(document.Content[0], p.Field)
		line, column := node.Line, node.Column
		if exact && p.Line > 0 && node.Kind == yaml.ScalarNode {
			line, column = placeIn(lines, node, p.Line, max(p.Column, 1))
		}
		p.Line, p.Column = line, column
	}
	return out
}

// find follows a path such as actions[0].rules[2].when as far as there is
// something, and reports whether it came to the end.
func find(node *yaml.Node, path string) (*yaml.Node, bool) {
	for path != "" {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		var next *yaml.Node
		switch {
		case path[0] == '[':
			number, rest, _ := strings.Cut(path[1:], "]")
			if i, err := strconv.Atoi(number); err == nil && node.Kind == yaml.SequenceNode && i < len(node.Content) {
				next = node.Content[i]
			}
			path = rest
		default:
			path = strings.TrimPrefix(path, ".")
			// The key of a test's fact holds dots.
			if next = member(node, path); next != nil {
				path = ""
				break
			}
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			next, path = member(node, path[:end]), path[end:]
		}
		if next == nil {
			return node, false
		}
		node = next
	}
	return node, true
}

func member(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// placeIn is the place in the file of a place within a text.
func placeIn(lines []string, node *yaml.Node, line, column int) (int, int) {
	switch node.Style {
	case yaml.LiteralStyle:
		at := node.Line + line // the text begins on the line behind the |
		if at > len(lines) {
			return node.Line, node.Column
		}
		return at, indentOf(lines[node.Line:]) + column
	case yaml.FoldedStyle:
		return node.Line + 1, indentOf(lines[min(node.Line, len(lines)):]) + 1
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		column++
	}
	if line > 1 || node.Line > len(lines) || node.Column+column-1 > utf8.RuneCountInString(lines[node.Line-1])+1 {
		return node.Line, node.Column // it goes on over several lines
	}
	return node.Line, node.Column + column - 1
}

// indentOf is the indentation of the first line that is not blank.
func indentOf(lines []string) int {
	for _, line := range lines {
		if text := strings.TrimLeft(line, " "); text != "" && text != "\r" {
			return len(line) - len(text)
		}
	}
	return 0
}
