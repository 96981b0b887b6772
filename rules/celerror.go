package rules

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
)

var (
	noOverload  = regexp.MustCompile(`^found no matching overload for '(.+)' applied to '\(?(.*?)\)?'$`)
	memberCall  = regexp.MustCompile(`^(.+)\.\((.*)\)$`)
	inContainer = regexp.MustCompile(` \(in container '.*'\)`)
	expecting   = regexp.MustCompile(` expecting .*$`)
	wrongType   = regexp.MustCompile(`^expected type '(.+)' but found '(.+)'$`)
)

// plainWords are messages of CEL, by their beginning, and what they mean to
// someone who writes rules.
var plainWords = []struct{ says, means string }{
	{"token recognition error at: '=", "write == to compare"},
	{"token recognition error at: '&", "write && for and"},
	{"token recognition error at: '|", "write || for or"},
	{"mismatched input 'and'", "write && for and"},
	{"mismatched input 'or'", "write || for or"},
	{"token recognition error at: ", "this is not CEL: a text is not closed, or a character does not belong here"},
	{"mismatched input '<EOF>'", "this is not CEL: the condition ends too early"},
	{"missing ')'", "this is not CEL: a parenthesis is not closed"},
	{"extraneous input ", "this is not CEL: an operator is missing before this, or it is one too many"},
	{"invalid matches argument", "the pattern is not a regular expression (RE2 syntax)"},
	{"invalid timestamp argument", "this is not a time such as 2026-11-22T10:00:00Z"},
	{"invalid duration argument", "this is not a duration such as 90s, 15m or 24h"},
	{"comprehension exceeds nesting limit", fmt.Sprintf("all, exists, map and filter may nest %d deep", MaxComprehensionNesting)},
	{"expression recursion limit exceeded", "the condition nests too deep"},
	{"found no matching overload for '_?_:_'", "both results of a choice (a ? b : c) must be of one type"},
	{"found no matching overload for '_[_]'", "an index works with a list and a whole number, or with a map and its key"},
}

// celProblems takes positions from CEL and puts its words into plainer ones.
func celProblems(issues *cel.Issues) []Problem {
	var problems []Problem
	for _, e := range issues.Errors() {
		if len(problems) == MaxProblems {
			break
		}
		if len(problems) > 0 && strings.HasPrefix(e.Message, syntaxError) {
			continue // what follows the first one comes of it
		}
		problems = append(problems, Problem{
			Line:    max(e.Location.Line(), 1),
			Column:  max(e.Location.Column()+1, 1),
			Message: plainMessage(e.Message),
		})
	}
	if len(problems) == 0 { // an error without a place, such as one of size
		problems = append(problems, Problem{Message: issues.Err().Error()})
	}
	return problems
}

const syntaxError = "Syntax error: "

func plainMessage(message string) string {
	message = inContainer.ReplaceAllString(message, "")
	rest, isSyntax := strings.CutPrefix(message, syntaxError)
	for _, w := range plainWords {
		if strings.HasPrefix(rest, w.says) {
			return w.means
		}
	}
	if isSyntax {
		return "this is not CEL: " + expecting.ReplaceAllString(rest, "")
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("a %s stands here where a %s belongs", typeName(m[2]), typeName(m[1]))
	}
	m := noOverload.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	name, arguments := m[1], m[2]
	if symbol, ok := operators.FindReverse(name); ok && symbol != "" {
		return fmt.Sprintf("%s does not work with %s", symbol, typeNames(arguments))
	}
	if member := memberCall.FindStringSubmatch(arguments + ")"); member != nil {
		arguments = member[1] + ", " + member[2]
	}
	if arguments = strings.TrimSuffix(arguments, ", "); arguments == "" {
		return name + " does not work without a value"
	}
	return fmt.Sprintf("%s does not work with %s", name, typeNames(arguments))
}

// typeNames turns "(string, double)" into "string and number".
func typeNames(list string) string {
	names := strings.Split(list, ", ")
	for i, name := range names {
		names[i] = typeName(name)
	}
	return strings.Join(names, " and ")
}

// typeName is the name of a CEL type as the vocabulary has it.
func typeName(name string) string {
	switch name {
	case "double":
		return "number"
	case "int":
		return "whole number"
	case "bool":
		return "boolean"
	case "google.protobuf.Timestamp":
		return "timestamp"
	case "google.protobuf.Duration":
		return "duration"
	}
	return name
}
