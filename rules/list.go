package rules

import (
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// A list test is "fact in list.NAME". Whether it holds is found out before the
// rules are asked, once per decision, and recorded with the facts: a list changes,
// a decision must be repeatable. So conditions see the whole test as one boolean
// value whose name is its text.

// ListTest is one question that conditions ask about a list.
type ListTest struct {
	Name string // its text, such as "ip.address in list.suspects"
	Fact string // whose value is looked for
	List string // name of the list, without the prefix
}

func newListTest(fact, list string) ListTest {
	return ListTest{Name: fact + " in " + list, Fact: fact, List: strings.TrimPrefix(list, listPrefix)}
}

// listTests finds every test in the conditions of a definition. It must know
// them before it compiles, since CEL wants each value declared.
func listTests(d *Definition) []ListTest {
	base, err := language()
	if err != nil {
		return nil // newCompiler reports it
	}
	var tests []ListTest
	known := map[string]bool{}
	find := func(rules []Rule) {
		for i := range rules {
			if len(rules[i].When) > MaxExpressionBytes || !strings.Contains(rules[i].When, listPrefix) {
				continue
			}
			parsed, issues := base.Parse(rules[i].When)
			if issues.Err() != nil {
				continue // compiling reports it
			}
			eachListTest(parsed.NativeRep().Expr(), func(_ ast.Expr, test ListTest) {
				if !known[test.Name] {
					known[test.Name] = true
					tests = append(tests, test)
				}
			})
		}
	}
	for i := range d.Actions {
		find(d.Actions[i].Rules)
	}
	find(d.Otherwise.Rules)
	return tests
}

// eachListTest visits the list tests below an expression, itself included.
func eachListTest(e ast.Expr, visit func(ast.Expr, ListTest)) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.In {
			return
		}
		args := e.AsCall().Args()
		fact, _, isName := dotted(args[0])
		list, _, isList := dotted(args[1])
		if isName && isList && strings.HasPrefix(list, listPrefix) {
			visit(e, newListTest(fact, list))
		}
	}))
}

// replaceListTests puts one name in the place of each test.
func (c *compiler) replaceListTests(tree *ast.AST) {
	factory := ast.NewExprFactory()
	stands := map[string]string{} // by the name of the test
	eachListTest(tree.Expr(), func(e ast.Expr, test ListTest) {
		name := test.Name
		if c.stands != nil {
			if _, again := stands[name]; !again {
				stands[name] = c.stands[len(stands)]
			}
			name = stands[name]
		}
		e.SetKindCase(factory.NewIdent(e.ID(), name))
	})
}

// visitListTest checks a test of a list, and reports whether the call is one.
func (v *vetter) visitListTest(call ast.CallExpr) bool {
	list, root, ok := dotted(call.Args()[1])
	if !ok || !strings.HasPrefix(list, listPrefix) {
		return false
	}
	typ, declared := v.lists[list]
	if !declared {
		v.report(root, "%s is not declared; add it to the lists of this rule set%s", list, didYouMean(closest(list, slices.Collect(maps.Keys(v.lists)))))
		return true
	}
	fact, place, ok := dotted(call.Args()[0])
	if !ok {
		v.report(call.Args()[0], "only a fact can be looked for in a list, such as ip.address in %s", list)
		return true
	}
	factType, found := v.facts[fact]
	switch {
	case !found:
		problems := len(v.problems)
		v.visitName(call.Args()[0])
		if len(v.problems) == problems { // the variable of a loop
			v.report(place, "only a fact can be looked for in a list, such as ip.address in %s", list)
		}
	case typ == ListOfNumbers && factType != cel.DoubleType, typ != ListOfNumbers && factType != cel.StringType:
		v.report(place, "%s is a list of type %s, in which %s cannot be", list, typ, fact)
	}
	return true
}
