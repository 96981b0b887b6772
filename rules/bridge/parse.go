package bridge

import (
	"math"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/sallyport/sallyport/rules"
)

// Parse reads a condition into a tree as Tree does. It returns problems when the
// condition does not compile.
func (b *Bridge) Parse(when string) (Node, []rules.Problem) {
	if problems := b.check(when); len(problems) > 0 {
		return Node{}, problems
	}
	return b.Tree(when), nil
}

// Tree reads a condition that compiles, such as one of a published set, into a
// tree whose outermost node is a group. It does not compile it again, which is
// most of what Parse takes. Another text becomes some tree.
//
// The groups follow the text: what stands between && and || becomes rules in the
// same order. What a rule cannot show, and what a comment stands beside, becomes a
// locked leaf with its text.
func (b *Bridge) Tree(when string) Node {
	r := &reader{b: b}
	n := r.condition(when, 1)
	switch {
	case r.nodes > MaxNodes || r.lost:
		n = Node{Combinator: And, Rules: []Node{locked(strings.TrimSpace(when))}}
	case n.Field == Locked && n.Value == "true":
		n = Node{Combinator: And, Rules: []Node{}}
	case !n.IsGroup():
		n = Node{Combinator: And, Rules: []Node{n}}
	}
	return n
}

func locked(s string) Node {
	return Node{Field: Locked, Operator: LockedOperator, Value: s}
}

// reader reads one condition. It cuts the text where && and || stand outside of
// brackets and parses only what is left, so that each part keeps its own text.
type reader struct {
	b     *Bridge
	nodes int
	lost  bool // a part is no expression of its own: the whole is locked
}

// space is what CEL skips between words, besides comments.
const space = " \t\r\n\f"

func (r *reader) condition(s string, depth int) Node {
	r.nodes++
	s = strings.Trim(s, space)
	o := scan(s)
	switch {
	case o.choice, depth > MaxDepth:
		return r.lock(s)
	case len(o.ors) > 0:
		return r.group(Or, cut(s, o.ors), depth)
	case len(o.ands) > 0:
		return r.group(And, cut(s, o.ands), depth)
	case o.outer:
		return r.lock(s)
	case o.enclosed:
		inner := s[1 : len(s)-1]
		n := r.condition(inner, depth)
		if between, ok := rangeOf(n); ok {
			return between
		}
		return n
	}
	if rest := strings.TrimLeft(s, "!"+space); len(rest) < len(s) && strings.HasPrefix(rest, "(") && scan(rest).enclosed {
		n := r.condition(rest, depth)
		if strings.Count(s[:len(s)-len(rest)], "!")%2 == 0 {
			return n
		}
		return not(n)
	}
	if o.comment {
		return r.lock(s)
	}
	expr, ok := parseCEL(s)
	if !ok {
		r.lost = true
		return locked(s)
	}
	if n, ok := r.rule(expr); ok {
		return n
	}
	return locked(s)
}

// lock makes a locked leaf of a part that was not parsed, without the
// parentheses that will be put around it again.
func (r *reader) lock(s string) Node {
	for scan(s).enclosed {
		s = strings.Trim(s[1:len(s)-1], space)
	}
	if _, ok := parseCEL(s); !ok {
		r.lost = true
	}
	return locked(s)
}

func (r *reader) group(combinator string, parts []string, depth int) Node {
	n := Node{Combinator: combinator, Rules: make([]Node, len(parts))}
	for i, part := range parts {
		n.Rules[i] = r.condition(part, depth+1)
	}
	return n
}

// not is the opposite of a node.
func not(n Node) Node {
	switch {
	case n.IsGroup() && !n.Not:
		n.Not = true
		return n
	case n.Operator == In || n.Operator == InList || n.Operator == Between:
		n.Operator = opposite[n.Operator]
		return n
	}
	return Node{Combinator: And, Not: true, Rules: []Node{n}}
}

// rangeOf turns (x >= 1 && x <= 5) into one rule.
func rangeOf(n Node) (Node, bool) {
	if n.Combinator != And || n.Not || len(n.Rules) != 2 {
		return Node{}, false
	}
	from, to := n.Rules[0], n.Rules[1]
	if from.Operator != GreaterOrEqual || to.Operator != LessOrEqual || from.Field != to.Field || from.ValueSource != "" || to.ValueSource != "" {
		return Node{}, false
	}
	return Node{Field: from.Field, Operator: Between, Value: []any{from.Value, to.Value}}, true
}

// operatorOf names the comparisons of CEL.
var operatorOf = map[string]string{
	operators.Equals: Equals, operators.NotEquals: NotEquals, operators.Less: Less,
	operators.LessEquals: LessOrEqual, operators.Greater: Greater, operators.GreaterEquals: GreaterOrEqual,
}

// turned is the same comparison with its sides exchanged.
var turned = map[string]string{
	Equals: Equals, NotEquals: NotEquals, Less: Greater, LessOrEqual: GreaterOrEqual, Greater: Less, GreaterOrEqual: LessOrEqual,
}

var operatorOfFunction = map[string]string{
	overloads.Contains: Contains, overloads.StartsWith: BeginsWith, overloads.EndsWith: EndsWith, overloads.Matches: Matches,
}

// rule reads one test. It gives up on all that a rule cannot show exactly.
func (r *reader) rule(e ast.Expr) (Node, bool) {
	if name, field, ok := r.field(e); ok {
		return Node{Field: name, Operator: IsTrue}, field == boolean
	}
	if e.Kind() != ast.CallKind {
		return Node{}, false
	}
	call := e.AsCall()
	name, args := call.FunctionName(), call.Args()
	switch {
	case name == operators.LogicalNot:
		n, ok := r.rule(args[0])
		is, has := opposite[n.Operator]
		if !ok || !has {
			return Node{}, false
		}
		n.Operator = is
		return n, true
	case operatorOf[name] != "":
		return r.comparison(operatorOf[name], args[0], args[1])
	case name == operators.In:
		return r.in(args[0], args[1])
	case name == "known" && !call.IsMemberFunction() && len(args) == 1:
		field, _, ok := r.field(args[0])
		return Node{Field: field, Operator: IsKnown}, ok
	case call.IsMemberFunction() && operatorOfFunction[name] != "" && len(args) == 1:
		field, kind, ok := r.field(call.Target())
		if !ok || kind != text {
			return Node{}, false
		}
		return r.compared(Node{Field: field, Operator: operatorOfFunction[name]}, kind, args[0])
	}
	return Node{}, false
}

func (r *reader) comparison(operator string, left, right ast.Expr) (Node, bool) {
	name, field, ok := r.field(left)
	if !ok {
		if name, field, ok = r.field(right); !ok {
			return Node{}, false
		}
		operator, right = turned[operator], left
	}
	if field == boolean && operator != Equals && operator != NotEquals {
		return Node{}, false
	}
	return r.compared(Node{Field: name, Operator: operator}, field, right)
}

// compared completes a rule by what its field is compared with.
func (r *reader) compared(n Node, field kind, with ast.Expr) (Node, bool) {
	if v, ok := valueOf(with, field); ok {
		n.Value = v
		return n, true
	}
	name, other, ok := r.field(with)
	n.Value, n.ValueSource = name, FromField
	return n, ok && other == field && n.Operator != Matches
}

func (r *reader) in(left, right ast.Expr) (Node, bool) {
	name, field, ok := r.field(left)
	if !ok {
		return Node{}, false
	}
	if list, ok := dotted(right); ok {
		list, isList := strings.CutPrefix(list, listPrefix)
		_, declared := r.b.lists[list]
		return Node{Field: name, Operator: InList, Value: list}, isList && declared
	}
	if right.Kind() != ast.ListKind || field != text && field != number || right.AsList().Size() == 0 {
		return Node{}, false
	}
	var values []any
	for _, element := range right.AsList().Elements() {
		v, ok := valueOf(element, field)
		if !ok {
			return Node{}, false
		}
		values = append(values, v)
	}
	return Node{Field: name, Operator: In, Value: values}, true
}

// field reads the name of a value that the definition declares.
func (r *reader) field(e ast.Expr) (string, kind, bool) {
	name, ok := dotted(e)
	if !ok {
		return "", "", false
	}
	k, declared := r.b.fields[name]
	return name, k, declared
}

// valueOf reads a literal of a type.
func valueOf(e ast.Expr, field kind) (any, bool) {
	if field == timestamp {
		if e.Kind() != ast.CallKind {
			return nil, false
		}
		call := e.AsCall()
		if call.FunctionName() != overloads.TypeConvertTimestamp || call.IsMemberFunction() || len(call.Args()) != 1 {
			return nil, false
		}
		return valueOf(call.Args()[0], text)
	}
	if e.Kind() != ast.LiteralKind {
		return nil, false
	}
	switch v := e.AsLiteral().(type) {
	case types.String:
		return string(v), field == text
	case types.Bool:
		return bool(v), field == boolean
	case types.Int:
		return float64(v), field == number && v <= largest && v >= -largest
	case types.Double:
		return float64(v), field == number && !math.IsInf(float64(v), 0)
	}
	return nil, false
}
