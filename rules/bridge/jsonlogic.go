package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// The wire protocol's management API writes conditions as JsonLogic. This file
// reads the operators that it uses into a tree. They mean what they mean in CEL,
// which differs from JsonLogic in two points: values of different types are never
// equal and never converted, and a value that is not there is unknown, not false.
//
// A list is named as lists.NAME, with the hyphens of the wire protocol or the
// underscores of conditions. What JsonLogic has no words for is written
// {"cel": ["text"]}.

// renamed are variables of the wire protocol that have another name here.
var renamed = map[string]string{
	"ip.location.country.countryCode": "ip.countryCode",
}

// hints says what to do about variables that are well known and not here.
var hints = map[string]string{
	"ip.countryCodeInOfacList": "keep a value list of country codes and test ip.countryCode in it",
}

// listVariable begins the name of a list.
const listVariable = "lists."

// ListName is the name in conditions of a list that the wire protocol calls
// alias, such as blocked-emails.
func ListName(alias string) string { return strings.ReplaceAll(alias, "-", "_") }

// ListAlias is ListName the other way round.
func ListAlias(name string) string { return strings.ReplaceAll(name, "_", "-") }

// ReadJSONLogic reads JsonLogic into a tree. Nothing at all, null, {} and true
// always match. Problems say in one sentence what cannot be read.
func (b *Bridge) ReadJSONLogic(logic []byte) (Node, []rules.Problem) {
	logic = bytes.TrimSpace(logic)
	if len(logic) == 0 {
		return Node{Combinator: And, Rules: []Node{}}, nil
	}
	if problem := boundJSON(logic); problem != "" {
		return Node{}, []rules.Problem{{Field: "conditions", Message: problem}}
	}
	decoder := json.NewDecoder(bytes.NewReader(logic))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return Node{}, []rules.Problem{{Field: "conditions", Message: "this is not JSON"}}
	}
	l := &logicReader{b: b}
	var n Node
	if object, isObject := v.(map[string]any); v == nil || isObject && len(object) == 0 {
		n = always()
	} else {
		n = l.condition(v, 1)
	}
	switch {
	case l.problem != "":
		return Node{}, []rules.Problem{{Field: "conditions", Message: l.problem}}
	case n.Field == Locked && n.Value == "true":
		n = Node{Combinator: And, Rules: []Node{}}
	case !n.IsGroup():
		n = Node{Combinator: And, Rules: []Node{n}}
	}
	return n, nil
}

// Lists names the lists that JsonLogic tests, as conditions name them. It is
// empty for a text that ReadJSONLogic refuses.
func Lists(logic []byte) []string {
	if boundJSON(logic) != "" {
		return nil
	}
	var v any
	if err := json.Unmarshal(logic, &v); err != nil {
		return nil
	}
	var names []string
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				visit(element)
			}
		case map[string]any:
			if name, ok := variable(v); ok {
				if alias, isList := strings.CutPrefix(name, listVariable); isList && !slices.Contains(names, ListName(alias)) {
					names = append(names, ListName(alias))
				}
			}
			for _, member := range v {
				visit(member)
			}
		}
	}
	visit(v)
	slices.Sort(names)
	return names
}

func always() Node { return locked("true") }
func never() Node  { return locked("false") }

// logicReader reads one text. It stops at the first problem, in the order of the
// text where there is one.
type logicReader struct {
	b       *Bridge
	nodes   int
	problem string
}

func (l *logicReader) refuse(format string, args ...any) Node {
	if l.problem == "" {
		l.problem = fmt.Sprintf(format, args...)
	}
	return never()
}

// condition reads what is true or false.
func (l *logicReader) condition(v any, depth int) Node {
	if l.nodes++; l.nodes > MaxNodes {
		return l.refuse("there are more than %d operations", MaxNodes)
	}
	if depth > MaxDepth {
		return l.refuse("this nests deeper than %d operations", MaxDepth)
	}
	switch v := v.(type) {
	case bool:
		if v {
			return always()
		}
		return never()
	case map[string]any:
		return l.operation(v, depth)
	}
	return l.refuse("%s is no condition; write an operation such as {\"==\": [{\"var\": \"ip.isAnonymous\"}, true]}", jsonText(v))
}

func (l *logicReader) operation(v map[string]any, depth int) Node {
	if len(v) != 1 {
		return l.refuse("an operation is an object with one member, this one has %d", len(v))
	}
	var operator string
	var argument any
	for operator, argument = range v {
	}
	if operator == "var" {
		return l.truth(v)
	}
	args, isList := argument.([]any)
	if !isList {
		args = []any{argument} // JsonLogic's short form of one argument
	}
	switch operator {
	case And, Or:
		return l.group(operator, args, depth)
	case "!", "!!":
		if len(args) != 1 {
			return l.refuse("%s has one argument, not %d", operator, len(args))
		}
		n := l.condition(args[0], depth+1)
		if operator == "!" {
			n = l.not(n)
		}
		return n
	case "missing":
		return l.missing(args)
	case "in":
		return l.in(args)
	case "cel":
		return l.expression(args)
	case "==", "===":
		return l.comparison(Equals, args)
	case "!=", "!==":
		return l.comparison(NotEquals, args)
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		if len(args) == 3 {
			return l.between(operator, args)
		}
		return l.comparison(operator, args)
	}
	return l.refuse("there is no operation %s here; use and, or, !, !!, ==, !=, <, <=, >, >=, in, missing or cel", shown(operator))
}

func (l *logicReader) group(operator string, args []any, depth int) Node {
	if len(args) == 0 {
		if operator == And {
			return always() // conditions without one always match
		}
		return l.refuse("an or without conditions matches nothing; remove it or put a condition into it")
	}
	n := Node{Combinator: operator, Rules: make([]Node, len(args))}
	for i, arg := range args {
		n.Rules[i] = l.condition(arg, depth+1)
	}
	return n
}

// not is the opposite of a node, in the shortest form.
func (l *logicReader) not(n Node) Node {
	if n.IsGroup() && n.Not {
		n.Not = false
		return n
	}
	if is, ok := opposite[n.Operator]; ok {
		n.Operator = is
		return n
	}
	if is, ok := negated[n.Operator]; ok {
		n.Operator = is
		return n
	}
	return not(n)
}

// variable reads {"var": "name"}, and {"var": ["name"]} as well.
func variable(v any) (string, bool) {
	object, ok := v.(map[string]any)
	if !ok || len(object) != 1 {
		return "", false
	}
	name, ok := object["var"]
	if list, isList := name.([]any); isList && len(list) == 1 {
		name = list[0]
	}
	text, isText := name.(string)
	return text, ok && isText
}

// field finds the value that a variable names.
func (l *logicReader) field(name string) (string, kind, bool) {
	if other, ok := renamed[name]; ok {
		name = other
	}
	if k, ok := l.b.fields[name]; ok {
		return name, k, true
	}
	short, isCustom := strings.CutPrefix(name, customPrefix)
	if k, ok := l.b.fields[userCustomPrefix+short]; ok && isCustom {
		return userCustomPrefix + short, k, true
	}
	switch hint := hints[name]; {
	case hint != "":
		l.refuse("the variable %s is not known here: %s", name, hint)
	case isCustom, strings.HasPrefix(name, userCustomPrefix):
		l.refuse("the variable %s is not known here: create a custom data point of that name first%s", shown(name), l.meant(name))
	case strings.HasPrefix(name, listVariable):
		l.refuse("a value list can only be tested: write {\"in\": [{\"var\": \"ip.address\"}, {\"var\": %q}]}", name)
	default:
		l.refuse("the variable %s is not known here%s", shown(name), l.meant(name))
	}
	return "", "", false
}

// meant suggests the variable that was probably meant, also for one that has
// another name on the wire.
func (l *logicReader) meant(name string) string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(l.b.fields)), maps.Keys(renamed))
	slices.Sort(names)
	return didYouMean(name, names)
}

// didYouMean suggests one of the names there are behind a sentence, or nothing.
func didYouMean(name string, names []string) string {
	if near := rules.Nearest(name, names); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// truth reads a variable that stands where a condition belongs: JsonLogic takes
// any value but an empty text and 0 for true.
func (l *logicReader) truth(v map[string]any) Node {
	text_, ok := variable(v)
	if !ok {
		return l.refuse("%s names no variable", jsonText(v))
	}
	name, field, ok := l.field(text_)
	switch {
	case !ok:
		return never()
	case field == boolean:
		return Node{Field: name, Operator: IsTrue}
	case field == text:
		return Node{Field: name, Operator: NotEquals, Value: ""}
	case field == number:
		return Node{Field: name, Operator: NotEquals, Value: json.Number("0")}
	}
	return Node{Field: name, Operator: IsKnown}
}

// missing is true when one of the variables is not there.
func (l *logicReader) missing(args []any) Node {
	if len(args) == 1 {
		if list, ok := args[0].([]any); ok {
			args = list
		}
	}
	if len(args) == 0 {
		return never()
	}
	n := Node{Combinator: Or}
	for _, arg := range args {
		text, ok := arg.(string)
		if !ok {
			return l.refuse("missing has the names of variables, not %s", jsonText(arg))
		}
		name, _, ok := l.field(text)
		if !ok {
			return never()
		}
		n.Rules = append(n.Rules, Node{Field: name, Operator: IsUnknown})
	}
	if len(n.Rules) == 1 {
		return n.Rules[0]
	}
	return n
}

func (l *logicReader) expression(args []any) Node {
	if len(args) == 1 {
		if s, ok := args[0].(string); ok {
			return locked(s)
		}
	}
	return l.refuse("cel has one argument, a text")
}

func (l *logicReader) comparison(operator string, args []any) Node {
	if len(args) != 2 {
		return l.refuse("%s has two arguments, not %d", operator, len(args))
	}
	left, right := args[0], args[1]
	if _, ok := variable(left); !ok {
		left, right = right, left
		operator = turned[operator]
	}
	word, ok := variable(left)
	if !ok {
		return l.refuse("%s compares a variable with a value, not %s with %s", operator, jsonText(args[0]), jsonText(args[1]))
	}
	name, field, ok := l.field(word)
	if !ok {
		return never()
	}
	n := Node{Field: name, Operator: operator, Value: right}
	switch right := right.(type) {
	case nil:
		switch operator {
		case Equals:
			return Node{Field: name, Operator: IsUnknown}
		case NotEquals:
			return Node{Field: name, Operator: IsKnown}
		}
		return l.refuse("%s cannot be compared with null by %s", name, operator)
	case bool:
		if field == boolean && (operator == Equals || operator == NotEquals) {
			if right == (operator == Equals) {
				return Node{Field: name, Operator: IsTrue}
			}
			return Node{Field: name, Operator: IsFalse}
		}
	case map[string]any:
		other, ok := variable(right)
		if !ok {
			return l.refuse("%s compares a variable with a value, not with %s", operator, jsonText(right))
		}
		if n.Value, _, ok = l.field(other); !ok {
			return never()
		}
		n.ValueSource = FromField
	}
	return l.fits(n)
}

// between reads {"<": [1, {"var": "x"}, 5]}.
func (l *logicReader) between(operator string, args []any) Node {
	word, ok := variable(args[1])
	if !ok {
		return l.refuse("%s with three arguments has a variable in the middle, not %s", operator, jsonText(args[1]))
	}
	name, _, ok := l.field(word)
	if !ok {
		return never()
	}
	switch operator {
	case LessOrEqual:
		return l.fits(Node{Field: name, Operator: Between, Value: []any{args[0], args[2]}})
	case GreaterOrEqual:
		return l.fits(Node{Field: name, Operator: Between, Value: []any{args[2], args[0]}})
	}
	return Node{Combinator: And, Rules: []Node{
		l.fits(Node{Field: name, Operator: turned[operator], Value: args[0]}),
		l.fits(Node{Field: name, Operator: operator, Value: args[2]}),
	}}
}

// in reads a value among others, a value on a list, and a text inside another.
func (l *logicReader) in(args []any) Node {
	if len(args) != 2 {
		return l.refuse("in has two arguments, not %d", len(args))
	}
	what, whatIsVariable := variable(args[0])
	where, whereIsVariable := variable(args[1])
	if alias, isList := strings.CutPrefix(where, listVariable); isList && whatIsVariable {
		name, _, ok := l.field(what)
		if !ok {
			return never()
		}
		if _, declared := l.b.lists[ListName(alias)]; !declared {
			aliases := make([]string, 0, len(l.b.lists))
			for list := range l.b.lists {
				aliases = append(aliases, ListAlias(list))
			}
			slices.Sort(aliases)
			return l.refuse("the value list %s does not exist%s", shown(alias), didYouMean(alias, aliases))
		}
		return l.fits(Node{Field: name, Operator: InList, Value: ListName(alias)})
	}
	if values, ok := args[1].([]any); ok && whatIsVariable {
		name, _, ok := l.field(what)
		if !ok {
			return never()
		}
		if len(values) == 0 {
			return l.refuse("the values that %s may have are an empty array", name)
		}
		return l.fits(Node{Field: name, Operator: In, Value: values})
	}
	if !whereIsVariable {
		return l.refuse("in looks for a variable in an array or on a value list, or for a text in a variable")
	}
	name, _, ok := l.field(where)
	if !ok {
		return never()
	}
	n := Node{Field: name, Operator: Contains, Value: args[0]}
	if whatIsVariable {
		if n.Value, _, ok = l.field(what); !ok {
			return never()
		}
		n.ValueSource = FromField
	}
	return l.fits(n)
}

// fits refuses a rule that could not be written as a condition, in its own words.
func (l *logicReader) fits(n Node) Node {
	w := &writer{b: l.b}
	if w.rule(n, ""); len(w.problems) > 0 {
		return l.refuse("%s: %s", n.Field, w.problems[0].Message)
	}
	return n
}

// jsonText shows a part of JsonLogic in a message.
func jsonText(v any) string {
	s, err := marshal(v)
	if err != nil {
		return "this"
	}
	const most = 80
	if len(s) > most {
		return string(bytes.ToValidUTF8(s[:most], nil)) + "…"
	}
	return string(s)
}
