package api

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// Callers of the wire protocol's management API send one part of a definition
// and know nothing of the rest. What is wrong with the definition is told to
// them in the words of their own request.

// outcomesText says which outcomes the wire protocol has.
const outcomesText = "must be ALLOW, CHALLENGE, REVIEW or BLOCK"

// checkOutcome refuses an outcome that is none. One that is absent or null is
// somebody else's matter.
func checkOutcome(field string, o optional[rules.Outcome]) error {
	if o.value == "" || slices.Contains([]rules.Outcome{rules.Allow, rules.Challenge, rules.Review, rules.Block}, o.value) {
		return nil
	}
	return invalidField(field, outcomesText+", not "+valueText(strconv.AppendQuote(nil, string(o.value)))+".")
}

// wireMembers are the members of requests by what they become in a definition.
var wireMembers = map[string]map[string]string{
	"actions": {"code": "actionCode", "default": "defaultUserActionResult"},
	"rules": {
		"id": "ruleId", "name": "name", "description": "description", "outcome": "type", "when": "conditions",
		"methods": "verificationMethods", "position": "priority", "mode": "isActive",
	},
	"fields": {"name": "name", "type": "dataType", "scope": "modelType", "description": "description", "public": "isPublic"},
	"lists":  {"name": "name", "type": "itemType", "inactive": "isActive"},
}

// definitionPath is a place in a definition: a part of it, a rule of an action
// perhaps, and an attribute of that.
var definitionPath = regexp.MustCompile(`^(?:(actions|fields|lists|metrics|tests)\[(\d+)\]|otherwise)(?:\.(rules)\[(\d+)\])?(?:\.(\w+))?`)

// memberOf is the member of a request that became the part of a definition at a
// path, or the path itself where there is none.
func memberOf(path string) string {
	m := definitionPath.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	part := m[1]
	if m[3] != "" {
		part = m[3]
	}
	if member := wireMembers[part][m[5]]; member != "" {
		return member
	}
	return path
}

// inWireWords turns the problems of a definition that a request led to into
// problems of the request. Other errors stay as they are.
func inWireWords(err error, d *rules.Definition) error {
	var compile *rules.CompileError
	if !errors.As(err, &compile) || len(compile.Problems) == 0 {
		return err
	}
	details := slices.Clone(compile.Problems)
	for i := range details {
		details[i].Field = memberOf(details[i].Field)
	}
	first := details[0]
	e := invalid(first.Field + ": " + strings.TrimSuffix(first.Message, ".") + ".")
	if memberOf(compile.Problems[0].Field) == compile.Problems[0].Field { // no member of the request
		e = invalid("The rule set would not compile: " + placeIn(d, first.Field) + ": " + strings.TrimSuffix(first.Message, ".") + ".")
	}
	e.Details, e.Cause = details, err
	return e
}

// stillUsed says who uses what a request wanted to remove: the parts of the
// definition without it that do not compile any more. Other errors stay as they
// are.
func stillUsed(err error, d *rules.Definition, what string) error {
	var compile *rules.CompileError
	if !errors.As(err, &compile) || len(compile.Problems) == 0 {
		return err
	}
	var users []string
	e := invalid("")
	for _, p := range compile.Problems {
		user := placeIn(d, p.Field)
		if !slices.Contains(users, user) {
			users = append(users, user)
		}
		p.Message = user + ": " + p.Message
		p.Field = ""
		e.Details = append(e.Details, p)
	}
	text := users[0]
	if more := len(users) - 1; more > 0 {
		text += " and " + plural(more, "other")
	}
	e.Description = what + " is used by " + text + ". Change what uses it first, then remove it."
	e.Cause = err
	return e
}

// placeIn names a part of a definition as people know it.
func placeIn(d *rules.Definition, path string) string {
	m := definitionPath.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	at, action, of := number(m[2]), d.Otherwise, " of all other actions"
	switch {
	case m[1] == "metrics" && at < len(d.Metrics):
		return "the metric " + d.Metrics[at].Name
	case m[1] == "tests" && at < len(d.Tests):
		return "the test " + strconv.Quote(d.Tests[at].Name)
	case m[1] == "actions" && at < len(d.Actions):
		action, of = d.Actions[at], " of "+d.Actions[at].Code
	case m[1] != "":
		return path
	}
	if rule := number(m[4]); m[3] != "" && rule < len(action.Rules) {
		return "the rule " + strconv.Quote(action.Rules[rule].Name) + of
	}
	return "the settings" + of
}

// number reads digits of a path; what is too large is no index.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 1 << 30
	}
	return n
}
