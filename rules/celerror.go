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
)

// celProblems takes positions from CEL and puts its words into plainer ones.
func celProblems(issues *cel.Issues) []Problem {
	var problems []Problem
	for _, e := range issues.Errors() {
		if len(problems) == MaxProblems {
			break
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

func plainMessage(message string) string {
	message = inContainer.ReplaceAllString(message, "")
	if rest, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		return "this is not CEL: " + expecting.ReplaceAllString(rest, "")
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
	return fmt.Sprintf("%s does not work with %s", name, typeNames(strings.TrimSuffix(arguments, ", ")))
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
