package rules

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// CEL keeps whole numbers and decimals apart: custom.amount == 100 does not
// compile for a double. People who write rules know one kind of number, so the
// parsed tree is aligned before it is checked: beside a decimal, a literal
// becomes a decimal and a whole number such as size(x) is converted.

// numeric is what is known about an expression's type before checking.
type numeric int

const (
	notNumber numeric = iota // or not known
	literal                  // made of whole-number literals only, so free to become decimal
	whole                    // CEL's int
	decimal                  // CEL's double
)

type aligner struct {
	facts    map[string]*cel.Type
	info     *ast.SourceInfo
	make     ast.ExprFactory
	tree     *ast.AST
	nextID   int64              // 0 when it was not looked for yet
	local    map[string]numeric // variables of the comprehensions around
	problems []Problem
}

// alignNumbers rewrites tree in place.
func (c *compiler) alignNumbers(tree *ast.AST) []Problem {
	a := &aligner{
		facts: c.facts, info: tree.SourceInfo(), make: ast.NewExprFactory(),
		tree: tree, local: map[string]numeric{},
	}
	a.visit(tree.Expr())
	return a.problems
}

// wholeFunctions return CEL's int.
var wholeFunctions = map[string]bool{
	overloads.Size: true, overloads.TypeConvertInt: true,
	overloads.TimeGetFullYear: true, overloads.TimeGetMonth: true, overloads.TimeGetDayOfYear: true,
	overloads.TimeGetDate: true, overloads.TimeGetDayOfMonth: true, overloads.TimeGetDayOfWeek: true,
	overloads.TimeGetHours: true, overloads.TimeGetMinutes: true, overloads.TimeGetSeconds: true,
	overloads.TimeGetMilliseconds: true,
}

func (a *aligner) visit(e ast.Expr) numeric {
	switch e.Kind() {
	case ast.LiteralKind:
		switch e.AsLiteral().(type) {
		case types.Int:
			return literal
		case types.Double:
			return decimal
		}
	case ast.IdentKind, ast.SelectKind:
		return a.visitName(e)
	case ast.CallKind:
		return a.visitCall(e.AsCall())
	case ast.ListKind:
		a.alignAll(e.AsList().Elements())
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			a.visit(entry.AsMapEntry().Key())
			a.visit(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		a.visitLoop(e.AsComprehension())
	}
	return notNumber
}

func (a *aligner) visitName(e ast.Expr) numeric {
	name, _, ok := dotted(e)
	if !ok {
		a.visit(e.AsSelect().Operand())
		return notNumber
	}
	if kind, ok := a.local[name]; ok {
		return kind
	}
	if a.facts[name] == cel.DoubleType {
		return decimal
	}
	return notNumber
}

func (a *aligner) visitCall(call ast.CallExpr) numeric {
	if call.IsMemberFunction() {
		a.visit(call.Target())
	}
	args := call.Args()
	name := call.FunctionName()
	switch name {
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		a.alignAll(args)
		return notNumber
	case operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo:
		return a.alignAll(args)
	case operators.Negate:
		return a.visit(args[0])
	case operators.Conditional:
		a.visit(args[0])
		return a.alignAll(args[1:])
	case operators.In:
		if args[1].Kind() == ast.ListKind {
			a.alignAll(append([]ast.Expr{args[0]}, args[1].AsList().Elements()...))
			return notNumber
		}
	}
	for _, arg := range args {
		a.visit(arg)
	}
	switch {
	case name == overloads.TypeConvertDouble:
		return decimal
	case wholeFunctions[name]:
		return whole
	}
	return notNumber
}

// visitLoop gives the variable of a loop over a literal list the kind of the
// list's elements.
func (a *aligner) visitLoop(loop ast.ComprehensionExpr) {
	kind := notNumber
	if loop.IterRange().Kind() == ast.ListKind {
		kind = a.alignAll(loop.IterRange().AsList().Elements())
		if kind == literal {
			kind = whole // the variable itself cannot be rewritten, only converted
		}
	} else {
		a.visit(loop.IterRange())
	}
	a.visit(loop.AccuInit())
	outer, shadows := a.local[loop.IterVar()]
	a.local[loop.IterVar()] = kind
	a.visit(loop.LoopCondition())
	a.visit(loop.LoopStep())
	a.visit(loop.Result())
	if shadows {
		a.local[loop.IterVar()] = outer
	} else {
		delete(a.local, loop.IterVar())
	}
}

// alignAll visits expressions that must have one type. If one of them is a
// decimal, the others become decimals.
func (a *aligner) alignAll(list []ast.Expr) numeric {
	kinds := make([]numeric, len(list))
	result := notNumber
	for i, e := range list {
		kinds[i] = a.visit(e)
		result = max(result, kinds[i])
	}
	if result != decimal {
		return result
	}
	for i, e := range list {
		switch kinds[i] {
		case literal:
			a.toDecimal(e)
		case whole:
			a.convert(e)
		}
	}
	return decimal
}

// toDecimal rewrites the literals of an expression that is made of them.
func (a *aligner) toDecimal(e ast.Expr) {
	switch e.Kind() {
	case ast.LiteralKind:
		v, ok := e.AsLiteral().(types.Int)
		if !ok {
			return
		}
		const exact = 1 << 53 // beyond it, neighbours become one double
		if (v > exact || v < -exact) && len(a.problems) < MaxProblems {
			a.problems = append(a.problems, at(a.info, e, fmt.Sprintf("%d is too large to be compared exactly; send such values as text", int64(v))))
		}
		e.SetKindCase(a.make.NewLiteral(e.ID(), types.Double(v)))
	case ast.CallKind:
		args := e.AsCall().Args()
		if e.AsCall().FunctionName() == operators.Conditional {
			args = args[1:]
		}
		for _, arg := range args {
			a.toDecimal(arg)
		}
	}
}

// convert puts double() around a whole number.
func (a *aligner) convert(e ast.Expr) {
	if a.nextID == 0 {
		a.nextID = ast.MaxID(a.tree) + 1
	}
	id := a.nextID
	a.nextID++
	inner := a.make.CopyExpr(e)
	inner.RenumberIDs(func(old int64) int64 {
		if old == e.ID() {
			return id
		}
		return old
	})
	if r, ok := a.info.GetOffsetRange(e.ID()); ok {
		a.info.SetOffsetRange(id, r)
	}
	e.SetKindCase(a.make.NewCall(e.ID(), overloads.TypeConvertDouble, inner))
}
