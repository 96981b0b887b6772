package rules

import (
	"math"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// Most conditions are, wholly or in part, conjunctions of tests of one fact
// against literals. Those the index answers for all rules of an action at once
// (rules/internal/index); cel-go evaluates what is left of the rules that the
// index has not ruled out.
//
// That is exact. CEL's && does not care about order: false outweighs unknown,
// unknown outweighs an error, an error outweighs true, wherever they stand. So a
// condition is what its tests and its residual are, joined: false if a test or
// the residual is, else unknown if a test is, else what the residual is. A test
// never ends in an error. By De Morgan's laws, which hold for CEL's four results
// as well, the same goes for !(a || b).

// extract is a condition taken apart.
type extract struct {
	tests    []index.Test // at most one per fact; Field is its slot
	residual []ast.Expr   // the conjuncts that are left, in the order of the text
	never    bool         // a conjunct is the literal false
}

// extractor takes conditions apart.
type extractor struct {
	tree  *ast.AST // checked
	facts map[string]*cel.Type
	slots map[string]int
	out   extract
	next  int64 // the next free id of an expression, 0 when it was not looked for yet
}

// extract takes a checked condition apart. It also returns the tree of the
// residual, nil when there is none. That may hold new expressions, whose types
// are added to tree's; the others share ids and positions with tree, so an error
// is found in the same place. Without slots everything is residual.
func (c *compiler) extract(tree *ast.AST) (extract, *ast.AST) {
	if c.slots == nil {
		return extract{}, tree
	}
	x := &extractor{tree: tree, facts: c.facts, slots: c.slots}
	x.conjunct(tree.Expr(), false)
	switch {
	case len(x.out.residual) == 0:
		return x.out, nil
	case len(x.out.tests) == 0 && !x.out.never:
		return x.out, tree
	}
	e := x.out.residual[0]
	for _, more := range x.out.residual[1:] {
		e = x.call(operators.LogicalAnd, overloads.LogicalAnd, e, more)
	}
	return x.out, ast.NewCheckedAST(ast.NewAST(e, tree.SourceInfo()), tree.TypeMap(), tree.ReferenceMap())
}

// conjunct adds an expression, or its negation, to what must hold.
func (x *extractor) conjunct(e ast.Expr, negated bool) {
	if t, ok := x.test(e); ok {
		if negated {
			t = index.Not(t)
		}
		x.add(t)
		return
	}
	switch e.Kind() {
	case ast.LiteralKind:
		if v, ok := e.AsLiteral().(types.Bool); ok {
			x.out.never = x.out.never || bool(v) == negated
			return
		}
	case ast.CallKind:
		call := e.AsCall()
		switch name := call.FunctionName(); {
		case name == operators.LogicalNot:
			x.conjunct(call.Args()[0], !negated)
			return
		case name == operators.LogicalAnd && !negated, name == operators.LogicalOr && negated:
			for _, arg := range call.Args() {
				x.conjunct(arg, negated)
			}
			return
		}
	}
	if negated {
		e = x.call(operators.LogicalNot, overloads.LogicalNot, e)
	}
	x.out.residual = append(x.out.residual, e)
}

// add joins a test with the one of the same fact, if there is one.
func (x *extractor) add(t index.Test) {
	for i := range x.out.tests {
		if x.out.tests[i].Field == t.Field {
			x.out.tests[i] = index.And(x.out.tests[i], t)
			return
		}
	}
	x.out.tests = append(x.out.tests, t)
}

// call makes an expression of type bool.
func (x *extractor) call(function, overload string, args ...ast.Expr) ast.Expr {
	if x.next == 0 {
		x.next = ast.MaxID(x.tree) + 1
	}
	id := x.next
	x.next++
	x.tree.TypeMap()[id] = types.BoolType
	x.tree.ReferenceMap()[id] = ast.NewFunctionReference(overload)
	return ast.NewExprFactory().NewCall(id, function, args...)
}

// test reads an expression that depends on one fact and on literals only.
func (x *extractor) test(e ast.Expr) (index.Test, bool) {
	if slot, typ, ok := x.fact(e); ok {
		return boolTest(slot, true), typ == cel.BoolType
	}
	if e.Kind() != ast.CallKind || e.AsCall().IsMemberFunction() {
		return index.Test{}, false
	}
	args := e.AsCall().Args()
	switch name := e.AsCall().FunctionName(); name {
	case operators.LogicalNot:
		t, ok := x.test(args[0])
		return index.Not(t), ok
	case operators.LogicalAnd:
		return x.join(args, index.And)
	case operators.LogicalOr:
		return x.join(args, index.Or)
	case operators.In:
		return x.among(args[0], args[1])
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		if _, _, ok := x.fact(args[0]); ok {
			return x.compare(args[0], name, args[1])
		}
		return x.compare(args[1], mirrored(name), args[0])
	case "known":
		slot, typ, ok := x.fact(args[0])
		if !ok {
			return index.Test{}, false
		}
		t := index.Test{Field: slot, Kind: kindOf(typ), Unknown: index.False}
		if t.Kind == index.Text {
			t.Except = true
		} else {
			t.Ranges = []index.Range{{Lo: index.Lowest, Hi: index.Highest}}
		}
		return t, true
	}
	return index.Test{}, false
}

// join reads a chain of && or || whose parts are all tests of one fact.
func (x *extractor) join(args []ast.Expr, with func(a, b index.Test) index.Test) (index.Test, bool) {
	var joined index.Test
	for i, arg := range args {
		t, ok := x.test(arg)
		switch {
		case !ok, i > 0 && t.Field != joined.Field:
			return index.Test{}, false
		case i == 0:
			joined = t
		default:
			joined = with(joined, t)
		}
	}
	return joined, len(args) > 0
}

// among reads fact in [literals].
func (x *extractor) among(e, list ast.Expr) (index.Test, bool) {
	if list.Kind() != ast.ListKind || list.AsList().Size() == 0 || len(list.AsList().OptionalIndices()) > 0 {
		return index.Test{}, false
	}
	slot, typ, ok := x.fact(e)
	if !ok {
		return index.Test{}, false
	}
	t := index.Test{Field: slot, Kind: kindOf(typ), Unknown: index.Unsure}
	var keys []int64
	for _, element := range list.AsList().Elements() {
		v, ok := x.literal(element, typ)
		if !ok {
			return index.Test{}, false
		}
		t.Texts, keys = append(t.Texts, v.Text), append(keys, v.Key)
	}
	if t.Kind == index.Text {
		slices.Sort(t.Texts)
		t.Texts = slices.Compact(t.Texts)
		return t, true
	}
	t.Texts = nil
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if n := len(t.Ranges); n > 0 && t.Ranges[n-1].Hi == key-1 {
			t.Ranges[n-1].Hi = key
			continue
		}
		t.Ranges = append(t.Ranges, index.Range{Lo: key, Hi: key})
	}
	return t, true
}

// compare reads fact OPERATOR literal.
func (x *extractor) compare(e ast.Expr, operator string, with ast.Expr) (index.Test, bool) {
	slot, typ, ok := x.fact(e)
	if !ok {
		return index.Test{}, false
	}
	v, ok := x.literal(with, typ)
	if !ok {
		return index.Test{}, false
	}
	t := index.Test{Field: slot, Kind: kindOf(typ), Unknown: index.Unsure}
	if t.Kind == index.Text {
		t.Texts, t.Except = []string{v.Text}, operator == operators.NotEquals
		return t, operator == operators.Equals || operator == operators.NotEquals
	}
	// Keys of literals keep away from both ends, so that one more or less is a key.
	switch operator {
	case operators.Equals:
		t.Ranges = []index.Range{{Lo: v.Key, Hi: v.Key}}
	case operators.NotEquals:
		t.Ranges = []index.Range{{Lo: index.Lowest, Hi: v.Key - 1}, {Lo: v.Key + 1, Hi: index.Highest}}
	case operators.Less:
		t.Ranges = []index.Range{{Lo: index.Lowest, Hi: v.Key - 1}}
	case operators.LessEquals:
		t.Ranges = []index.Range{{Lo: index.Lowest, Hi: v.Key}}
	case operators.Greater:
		t.Ranges = []index.Range{{Lo: v.Key + 1, Hi: index.Highest}}
	case operators.GreaterEquals:
		t.Ranges = []index.Range{{Lo: v.Key, Hi: index.Highest}}
	}
	return t, true
}

// mirrored is the operator that says the same with both sides swapped.
func mirrored(operator string) string {
	switch operator {
	case operators.Less:
		return operators.Greater
	case operators.LessEquals:
		return operators.GreaterEquals
	case operators.Greater:
		return operators.Less
	case operators.GreaterEquals:
		return operators.LessEquals
	}
	return operator
}

// fact tells which fact an expression names.
func (x *extractor) fact(e ast.Expr) (slot int, typ *cel.Type, ok bool) {
	if e.Kind() != ast.IdentKind && e.Kind() != ast.SelectKind {
		return 0, nil, false
	}
	reference := x.tree.ReferenceMap()[e.ID()]
	if reference == nil || reference.Value != nil {
		return 0, nil, false
	}
	slot, ok = x.slots[reference.Name]
	return slot, x.facts[reference.Name], ok
}

// literal reads an expression that stands for a value of the type, known now. It
// refuses a number or a time that has no exact key.
func (x *extractor) literal(e ast.Expr, typ *cel.Type) (index.Value, bool) {
	if typ == cel.TimestampType {
		return timeLiteral(e)
	}
	if e.Kind() != ast.LiteralKind {
		return index.Value{}, false
	}
	return literalValue(e.AsLiteral(), typ)
}

func literalValue(v ref.Val, typ *cel.Type) (index.Value, bool) {
	const exact = 1 << 53 // beyond it, neighbours become one double
	switch v := v.(type) {
	case types.String:
		return index.Value{Text: string(v)}, typ == cel.StringType
	case types.Bool:
		return index.Value{Key: boolKey(bool(v))}, typ == cel.BoolType
	case types.Double:
		number := float64(v)
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return index.Value{}, false
		}
		return index.Value{Key: index.FloatKey(number)}, typ == cel.DoubleType
	case types.Int:
		return index.Value{Key: index.FloatKey(float64(v))}, typ == cel.DoubleType && -exact <= v && v <= exact
	}
	return index.Value{}, false
}

// timeLiteral reads timestamp('...').
func timeLiteral(e ast.Expr) (index.Value, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != overloads.TypeConvertTimestamp {
		return index.Value{}, false
	}
	args := e.AsCall().Args()
	if len(args) != 1 || args[0].Kind() != ast.LiteralKind {
		return index.Value{}, false
	}
	text, ok := args[0].AsLiteral().(types.String)
	if !ok {
		return index.Value{}, false
	}
	at, ok := text.ConvertToType(types.TimestampType).(types.Timestamp)
	if !ok {
		return index.Value{}, false
	}
	key := timeKey(at.Time)
	return index.Value{Key: key}, key != index.Lowest && key != index.Highest
}

// The times between which a count of nanoseconds is exact.
var (
	earliest = time.Unix(0, index.Lowest+1)
	latest   = time.Unix(0, index.Highest-1)
)

// timeKey is nanoseconds since 1970, or the end of all keys for a time before
// 1677 or after 2262. Literals keep away from the ends, so that such a time is
// before or after all of them.
func timeKey(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return index.Lowest
	case t.After(latest):
		return index.Highest
	}
	return t.UnixNano()
}

func boolKey(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// boolTest holds for one of both truth values.
func boolTest(slot int, v bool) index.Test {
	key := boolKey(v)
	return index.Test{Field: slot, Ranges: []index.Range{{Lo: key, Hi: key}}, Unknown: index.Unsure}
}

func kindOf(typ *cel.Type) index.Kind {
	if typ == cel.StringType {
		return index.Text
	}
	return index.Ordered
}
