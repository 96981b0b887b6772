package bridge

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/sallyport/sallyport/rules"
)

// comparisons are the operators that CEL writes between two values.
var comparisons = map[string]string{
	Equals: "==", NotEquals: "!=", Less: "<", LessOrEqual: "<=", Greater: ">", GreaterOrEqual: ">=",
}

// functions are the operators that CEL writes as a call on a text.
var functions = map[string]string{
	Contains: "contains", BeginsWith: "startsWith", EndsWith: "endsWith", Matches: "matches",
}

// negated maps an operator to the one it is the opposite of.
var negated = map[string]string{
	NotBetween: Between, NotIn: In, NotInList: InList, DoesNotContain: Contains, DoesNotBeginWith: BeginsWith,
	DoesNotEndWith: EndsWith, DoesNotMatch: Matches, IsFalse: IsTrue, IsUnknown: IsKnown,
}

// opposite is negated the other way round.
var opposite = func() map[string]string {
	m := make(map[string]string, len(negated))
	for not, is := range negated {
		m[is] = not
	}
	return m
}()

// Format writes a tree as CEL, or says what is wrong with it: problems name a
// place in the tree such as rules[0].rules[2].value, and those of the condition
// as a whole none. A condition that it returns compiles, unless the definition
// itself has mistakes that keep package rules from looking at conditions.
func (b *Bridge) Format(n Node) (string, []rules.Problem) {
	when, problems := b.write(n)
	if len(problems) == 0 {
		problems = b.check(when)
	}
	if len(problems) > 0 {
		return "", problems
	}
	return when, nil
}

// write is Format without compiling the result.
func (b *Bridge) write(n Node) (string, []rules.Problem) {
	if !n.IsGroup() {
		n = Node{Combinator: And, Rules: []Node{n}}
	}
	if len(n.Rules) == 0 && !n.Not && (n.Combinator == And || n.Combinator == Or) {
		return "true", nil
	}
	w := &writer{b: b}
	return w.group(n, "", 1, true), w.problems
}

// writer writes one tree. After a problem its text is of no use.
type writer struct {
	b        *Bridge
	nodes    int
	problems []rules.Problem
}

func (w *writer) report(path, format string, args ...any) string {
	if len(w.problems) < rules.MaxProblems {
		w.problems = append(w.problems, rules.Problem{Field: strings.TrimPrefix(path, "."), Message: fmt.Sprintf(format, args...)})
	}
	return ""
}

func (w *writer) node(n Node, path string, depth int) string {
	if w.nodes++; w.nodes > MaxNodes {
		if w.nodes == MaxNodes+1 {
			w.report("", "the tree holds more than %d groups and rules", MaxNodes)
		}
		return ""
	}
	if !n.IsGroup() {
		return w.rule(n, path)
	}
	if depth > MaxDepth {
		return w.report(path, "this nests deeper than %d groups", MaxDepth)
	}
	return w.group(n, path, depth, false)
}

func (w *writer) group(n Node, path string, depth int, top bool) string {
	join := map[string]string{And: " && ", Or: " || "}[n.Combinator]
	switch {
	case join == "":
		return w.report(path+".combinator", "a group joins its conditions by %q or by %q", And, Or)
	case n.Field != "" || n.Operator != "" || n.Value != nil:
		return w.report(path, "a group has no field, operator or value of its own")
	case len(n.Rules) == 0:
		return w.report(path, "a group without conditions says nothing; remove it or put a condition into it")
	}
	parts := make([]string, len(n.Rules))
	for i, r := range n.Rules {
		parts[i] = w.node(r, fmt.Sprintf("%s.rules[%d]", path, i), depth+1)
	}
	all := strings.Join(parts, join)
	switch {
	case n.Not:
		return "!(" + all + ")"
	case top || len(parts) == 1:
		return all
	}
	return "(" + all + ")"
}

// rule writes one test so that it can stand beside && and || without
// parentheses.
func (w *writer) rule(n Node, path string) string {
	if n.Field == Locked {
		return w.locked(n, path)
	}
	field, declared := w.b.fields[n.Field]
	switch {
	case strings.HasPrefix(n.Field, listPrefix):
		return w.report(path+".field", "a list can only be tested: choose a fact and the operator %s", InList)
	case !declared:
		return w.report(path+".field", "there is no fact %s", shown(n.Field))
	case n.ValueSource != "" && n.ValueSource != FromValue && n.ValueSource != FromField:
		return w.report(path+".valueSource", "a value comes from %q or from %q", FromValue, FromField)
	}
	operator := n.Operator
	is, negative := negated[operator]
	if negative {
		operator = is
	}
	test := w.test(n, field, operator, path)
	if test == "" || !negative {
		return test
	}
	if _, isCall := functions[operator]; isCall || operator == IsTrue || operator == IsKnown || operator == Between {
		return "!" + test
	}
	return "!(" + test + ")"
}

// test writes a positive test.
func (w *writer) test(n Node, field kind, operator, path string) string {
	fits := func(kinds ...kind) bool {
		for _, k := range kinds {
			if k == field {
				return true
			}
		}
		w.report(path+".operator", "%s is of type %s, with which %s does not work", n.Field, field, shown(n.Operator))
		return false
	}
	switch operator {
	case IsKnown:
		return "known(" + n.Field + ")"
	case IsTrue:
		if !fits(boolean) {
			return ""
		}
		return n.Field
	case InList:
		return w.listTest(n, field, path)
	case In:
		values, ok := w.list(n, path, -1)
		if !ok || !fits(text, number) {
			return ""
		}
		return n.Field + " in [" + strings.Join(w.literals(values, field, path), ", ") + "]"
	case Between:
		values, ok := w.list(n, path, 2)
		if !ok || !fits(text, number, timestamp) {
			return ""
		}
		ends := w.literals(values, field, path)
		return "(" + n.Field + " >= " + ends[0] + " && " + n.Field + " <= " + ends[1] + ")"
	case Equals, NotEquals:
		return n.Field + " " + comparisons[operator] + " " + w.value(n, field, path)
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		if !fits(text, number, timestamp) {
			return ""
		}
		return n.Field + " " + comparisons[operator] + " " + w.value(n, field, path)
	case Matches:
		if n.ValueSource == FromField {
			return w.report(path+".valueSource", "a pattern must be written out")
		}
		fallthrough
	case Contains, BeginsWith, EndsWith:
		if !fits(text) {
			return ""
		}
		return n.Field + "." + functions[operator] + "(" + w.value(n, field, path) + ")"
	}
	return w.report(path+".operator", "there is no operator %s", shown(n.Operator))
}

func (w *writer) listTest(n Node, field kind, path string) string {
	name, _ := n.Value.(string)
	list, declared := w.b.lists[name]
	switch {
	case n.ValueSource == FromField:
		return w.report(path+".valueSource", "a list is named by a value")
	case !declared:
		return w.report(path+".value", "the list %s is not declared; add it to the lists of this rule set", shown(n.Value))
	case !takes(list, field):
		return w.report(path+".value", "%s is a list of type %s, in which %s cannot be", name, list, n.Field)
	}
	return n.Field + " in " + listPrefix + name
}

// list is a value that holds several, size of them unless it is negative.
func (w *writer) list(n Node, path string, size int) ([]any, bool) {
	values, ok := n.Value.([]any)
	switch {
	case n.ValueSource == FromField:
		w.report(path+".valueSource", "the values must be written out")
	case !ok:
		w.report(path+".value", "this operator needs a list of values")
	case size >= 0 && len(values) != size:
		w.report(path+".value", "this operator needs %d values", size)
	case len(values) == 0:
		w.report(path+".value", "the list of values is empty")
	default:
		return values, true
	}
	return nil, false
}

func (w *writer) literals(values []any, field kind, path string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = w.literal(v, field, fmt.Sprintf("%s.value[%d]", path, i))
	}
	return out
}

func (w *writer) value(n Node, field kind, path string) string {
	if n.ValueSource != FromField {
		return w.literal(n.Value, field, path+".value")
	}
	name, _ := n.Value.(string)
	other, declared := w.b.fields[name]
	switch {
	case !declared:
		return w.report(path+".value", "there is no fact %s", shown(n.Value))
	case other != field:
		return w.report(path+".value", "%s is of type %s, %s of type %s", n.Field, field, name, other)
	}
	return name
}

// literal writes a value of a type as CEL.
func (w *writer) literal(v any, field kind, path string) string {
	switch field {
	case boolean:
		if v, ok := v.(bool); ok {
			return strconv.FormatBool(v)
		}
	case number:
		if v, problem := numberOf(v); problem != "" {
			return w.report(path, "%s", problem)
		} else if v != nil {
			return numberText(*v)
		}
	case text, timestamp:
		s, ok := v.(string)
		if !ok {
			break
		}
		if !utf8.ValidString(s) {
			return w.report(path, "the text is not valid UTF-8")
		}
		if field == timestamp {
			return "timestamp(" + strconv.Quote(s) + ")"
		}
		return strconv.Quote(s) // of valid UTF-8, and CEL reads all of Go's escapes
	}
	return w.report(path, "a value of type %s belongs here, not %s", field, shown(v))
}

// largest is the last whole number below which every whole number has a double
// of its own.
const largest = 1 << 53

// numberOf reads a number of a tree. It refuses what no double tells apart from
// other numbers, since the condition would compare with another one.
func numberOf(v any) (*float64, string) {
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case int:
		f = float64(v)
	case json.Number:
		parsed, err := v.Float64()
		if err != nil {
			return nil, fmt.Sprintf("%s is out of range", shown(v.String()))
		}
		f = parsed
		if whole, err := v.Int64(); !strings.ContainsAny(v.String(), ".eE") && (err != nil || whole > largest || whole < -largest) {
			return nil, fmt.Sprintf("%s is too large to be compared exactly; send such values as text", shown(v.String()))
		}
		if !keeps(f, v.String()) {
			return nil, fmt.Sprintf("%s has more digits than can be compared exactly; send such values as text", shown(v.String()))
		}
	default:
		return nil, ""
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, "the number is not finite"
	}
	return &f, ""
}

// keeps tells whether a double, written with as many digits as a number of JSON
// has, is that number: 0.1 is, though no double is exactly a tenth, and
// 9007199254740993.0 is not.
func keeps(f float64, number string) bool {
	digits, exponent, ok := decimal(number)
	if !ok || digits == "" || f == 0 {
		return ok && digits == "" && f == 0
	}
	again, exponentAgain, ok := decimal(strconv.FormatFloat(f, 'e', len(digits)-1, 64))
	return ok && digits == again && exponent == exponentAgain
}

// decimal takes a number apart: it is digits, a whole number without zeros at
// either end, times ten to the power of exponent, whatever its sign is. It is not
// ok when the exponent is no int.
func decimal(number string) (digits string, exponent int, ok bool) {
	mantissa, power, scaled := strings.Cut(strings.ToLower(strings.TrimPrefix(number, "-")), "e")
	if scaled {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil {
			return "", 0, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	return trimmed, exponent + len(digits) - len(trimmed), true
}

// numberText writes a number so that it keeps its value beside a decimal.
func numberText(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) <= largest {
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64) // not whole, or large: it has a point or an exponent
}

// locked writes the text of a locked leaf. It must be an expression of its own:
// one that is not could end the parentheses around it.
func (w *writer) locked(n Node, path string) string {
	s, ok := n.Value.(string)
	switch {
	case n.Operator != LockedOperator:
		return w.report(path+".operator", "the only operator of %s is %s; to turn the expression round, put it into a group with not", Locked, LockedOperator)
	case n.ValueSource != "" && n.ValueSource != FromValue:
		return w.report(path+".valueSource", "the expression is a value: write %q or nothing", FromValue)
	case !ok:
		return w.report(path+".value", "a text belongs here, not %s", shown(n.Value))
	}
	if len(s) > rules.MaxExpressionBytes || !utf8.ValidString(s) {
		return w.report(path+".value", "the expression is longer than %d bytes or not valid UTF-8", rules.MaxExpressionBytes)
	}
	expr, ok := parseCEL(s)
	if !ok {
		problems := w.b.check(s)
		for i := range problems {
			problems[i].Field = strings.TrimPrefix(path+".value", ".")
		}
		w.problems = append(w.problems, problems...)
		if len(problems) == 0 {
			return w.report(path+".value", "this is not an expression")
		}
		return ""
	}
	if strings.Contains(s, "//") {
		return "(" + s + "\n)" // the line break ends a comment
	}
	if expr.Kind() == ast.CallKind {
		switch expr.AsCall().FunctionName() {
		case operators.LogicalAnd, operators.LogicalOr, operators.Conditional:
			return "(" + s + ")"
		}
	}
	return s
}
