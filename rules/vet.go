package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// Prefixes of the names that a definition declares.
const (
	customPrefix     = "custom."
	userCustomPrefix = "user.custom."
	metricPrefix     = "metric."
	listPrefix       = "list."
)

// allowedFunctions is all that a condition may call. Not here: has, since an
// unknown value is tested with known; dyn and type, since comparing across
// types is silently false; bytes and uint, since no fact has such a type.
var allowedFunctions = func() map[string]bool {
	allowed := map[string]bool{"known": true}
	for _, name := range []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot,
		operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo, operators.Negate,
		operators.Index, operators.In, operators.NotStrictlyFalse,
		overloads.Size, overloads.Contains, overloads.StartsWith, overloads.EndsWith, overloads.Matches,
		overloads.TypeConvertBool, overloads.TypeConvertDouble, overloads.TypeConvertInt, overloads.TypeConvertString,
		overloads.TypeConvertTimestamp, overloads.TypeConvertDuration,
		overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDate,
		overloads.TimeGetDayOfMonth, overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes,
		overloads.TimeGetSeconds, overloads.TimeGetMilliseconds,
	} {
		allowed[name] = true
	}
	return allowed
}()

// vetter looks for what compiles in CEL but would mislead, and for names that
// CEL's own messages explain badly.
type vetter struct {
	facts    map[string]*cel.Type
	lists    map[string]ListType
	groups   map[string]bool // first parts of dotted names
	info     *ast.SourceInfo
	local    []string // variables of the comprehensions around
	nested   int      // lists and maps around
	problems []Problem
}

func (c *compiler) vet(tree *ast.AST) []Problem {
	v := &vetter{
		facts: c.facts, lists: c.lists, info: tree.SourceInfo(),
		groups: map[string]bool{"custom": true, "metric": true, "list": true},
	}
	for name := range c.facts {
		if group, _, dotted := strings.Cut(name, "."); dotted {
			v.groups[group] = true
		}
	}
	v.visit(tree.Expr())
	return v.problems
}

func (v *vetter) report(e ast.Expr, format string, args ...any) {
	if len(v.problems) < MaxProblems {
		v.problems = append(v.problems, at(v.info, e, fmt.Sprintf(format, args...)))
	}
}

// at is a problem at the place of an expression. CEL places a call at its
// parenthesis; people look for the name before it.
func at(info *ast.SourceInfo, e ast.Expr, message string) Problem {
	where := info.GetStartLocation(e.ID())
	column := where.Column() + 1
	if e.Kind() == ast.CallKind {
		if name := e.AsCall().FunctionName(); !strings.ContainsAny(name, "_@") && column > len(name) {
			column -= len(name)
		}
	}
	return Problem{Line: max(where.Line(), 1), Column: max(column, 1), Message: message}
}

func (v *vetter) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		v.visitName(e)
	case ast.CallKind:
		v.visitCall(e)
	case ast.ListKind:
		v.nest(e, func() {
			for _, element := range e.AsList().Elements() {
				v.visit(element)
			}
		})
	case ast.MapKind:
		v.nest(e, func() {
			for _, entry := range e.AsMap().Entries() {
				v.visit(entry.AsMapEntry().Key())
				v.visit(entry.AsMapEntry().Value())
			}
		})
	case ast.StructKind:
		v.report(e, "messages such as %s{} cannot be made in a condition", e.AsStruct().TypeName())
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		v.visit(loop.IterRange())
		v.visit(loop.AccuInit())
		outer := len(v.local)
		v.local = append(v.local, loop.IterVar(), loop.IterVar2(), loop.AccuVar())
		v.visit(loop.LoopCondition())
		v.visit(loop.LoopStep())
		v.visit(loop.Result())
		v.local = v.local[:outer]
	}
}

// nest bounds how deep lists and maps nest: the time that CEL's type checker
// takes grows with the square of it and more, to seconds for 200 brackets.
func (v *vetter) nest(e ast.Expr, visit func()) {
	if v.nested == MaxLiteralNesting {
		v.report(e, "lists and maps may nest %d deep", MaxLiteralNesting)
		return
	}
	v.nested++
	visit()
	v.nested--
}

func (v *vetter) visitCall(e ast.Expr) {
	call := e.AsCall()
	name := call.FunctionName()
	switch {
	case !allowedFunctions[name]:
		v.report(e, "there is no function %s here", name)
	case name == overloads.Matches && !literalPattern(call):
		v.report(e, "the pattern of matches must be a literal text, such as matches('^a+$')")
	case name == operators.In && v.visitListTest(call):
		return
	case name == operators.Equals || name == operators.NotEquals:
		for _, arg := range call.Args() {
			if arg.Kind() == ast.LiteralKind && arg.AsLiteral() == types.NullValue {
				v.report(arg, "a value is never null; write known(x), or !known(x) for a missing one")
			}
		}
	case strings.HasPrefix(name, "get"):
		v.checkZone(call)
	}
	if call.IsMemberFunction() {
		v.visit(call.Target())
	}
	for _, arg := range call.Args() {
		v.visit(arg)
	}
}

// literalPattern tells whether the pattern is a text in the condition. Compiling
// one that comes with the data could take minutes.
func literalPattern(call ast.CallExpr) bool {
	args := call.Args()
	return len(args) > 0 && args[len(args)-1].Kind() == ast.LiteralKind
}

// checkZone makes sure that a time zone is a literal and exists.
func (v *vetter) checkZone(call ast.CallExpr) {
	args := call.Args()
	if len(args) == 0 {
		return
	}
	zone := args[len(args)-1]
	if zone.Kind() != ast.LiteralKind {
		if _, root, ok := dotted(zone); ok {
			zone = root
		}
		v.report(zone, "the time zone must be a literal text, such as 'Europe/Berlin'")
		return
	}
	name, ok := zone.AsLiteral().(types.String)
	if !ok {
		return // CEL says what belongs here
	}
	if _, err := loadZone(string(name)); err != nil {
		v.report(zone, "%s is not a time zone; write one such as Europe/Berlin or +02:00", quoted(string(name)))
	}
}

// visitName checks a name such as ip.countryCode as far as it is dotted.
func (v *vetter) visitName(e ast.Expr) {
	name, root, ok := dotted(e)
	if !ok { // a field of something that is no name
		v.visit(e.AsSelect().Operand())
		return
	}
	if e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly() {
		v.report(root, "has does not work here; write known(%s)", name)
		return
	}
	group, _, isDotted := strings.Cut(name, ".")
	if slices.Contains(v.local, group) {
		return
	}
	for prefix := name; prefix != ""; prefix = prefix[:max(strings.LastIndexByte(prefix, '.'), 0)] {
		if _, found := v.facts[prefix]; found {
			return
		}
	}
	switch {
	case strings.HasPrefix(name, customPrefix), strings.HasPrefix(name, userCustomPrefix):
		v.report(root, "%s is not declared; add it to the fields of this rule set%s", name, v.suggest(name))
	case strings.HasPrefix(name, metricPrefix):
		v.report(root, "%s is not declared; add it to the metrics of this rule set%s", name, v.suggest(name))
	case strings.HasPrefix(name, listPrefix):
		v.report(root, "a list can only be tested: write fact in %s", name)
	case isDotted && v.groups[group]:
		hint := v.suggest(name)
		if hint == "" {
			hint = "; there are " + strings.Join(v.members(group), ", ")
		}
		v.report(root, "there is no fact %s%s", name, hint)
	case v.groups[group]:
		v.report(root, "%s is a group of facts; write %s.name", name, name)
	default:
		v.report(root, "there is no fact %s%s", name, v.suggest(name))
	}
}

// dotted returns the text of a chain of names and its first part.
func dotted(e ast.Expr) (string, ast.Expr, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), e, true
	case ast.SelectKind:
		name, root, ok := dotted(e.AsSelect().Operand())
		return name + "." + e.AsSelect().FieldName(), root, ok
	}
	return "", e, false
}

// members lists the facts of a group, the first dozen of them.
func (v *vetter) members(group string) []string {
	const most = 12
	var names []string
	for _, name := range slices.Sorted(maps.Keys(v.facts)) {
		if !strings.HasPrefix(name, group+".") || strings.Contains(name, " in ") {
			continue
		}
		if len(names) == most {
			return append(names, "…")
		}
		names = append(names, name)
	}
	return names
}

// suggest names the fact that was probably meant.
func (v *vetter) suggest(name string) string { return didYouMean(closestFact(name, v.facts)) }

// closestFact is the fact that was probably meant. A list test is none.
func closestFact(name string, facts map[string]*cel.Type) string {
	var names []string
	for fact := range facts {
		if !strings.Contains(fact, " in ") {
			names = append(names, fact)
		}
	}
	return closest(name, names)
}

// editDistance counts insertions, deletions and replacements of bytes, up to
// limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return min(row[len(b)], limit)
}
