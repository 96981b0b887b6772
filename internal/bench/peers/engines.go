package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/sallyport/sallyport/internal/bench/workload"
	"github.com/sallyport/sallyport/rules"
)

// Each engine gets its input in the form that it evaluates fastest, made before
// the clock runs.

// sallyport is the engine of package rules, which besides finding the matching
// rules decides and records the first hundred of them.
type sallyport struct {
	set   *rules.Set
	facts []*rules.Facts
}

func newSallyport(n int, actions []workload.Action) (*sallyport, error) {
	set, err := rules.Compile(rules.Version{Number: 1, Definition: workload.Definition(workload.Mixed, n)})
	if err != nil {
		return nil, err
	}
	e := &sallyport{set: set}
	for _, a := range actions {
		e.facts = append(e.facts, a.Facts())
	}
	return e, nil
}

func (e *sallyport) Name() string { return "sallyport" }

func (e *sallyport) Matches(action int) (int, error) {
	return e.set.Evaluate("payment", e.facts[action]).Count, nil
}

// nested is an action as a tree of maps.
func nested(a workload.Action) map[string]any {
	tree := map[string]any{}
	for name, v := range a {
		group, leaf, _ := strings.Cut(name, ".")
		if tree[group] == nil {
			tree[group] = map[string]any{}
		}
		tree[group].(map[string]any)[leaf] = v
	}
	return tree
}

// exprLang is expr-lang/expr: a compiled program per rule, one virtual machine.
type exprLang struct {
	programs []*vm.Program
	machine  vm.VM
	inputs   []map[string]any
}

func newExpr(list []workload.Rule, actions []workload.Action) (*exprLang, error) {
	e := &exprLang{}
	for _, a := range actions {
		e.inputs = append(e.inputs, nested(a))
	}
	for _, rule := range list {
		// Conjunctions of comparisons read the same in CEL and in Expr.
		program, err := expr.Compile(rule.CEL(), expr.Env(e.inputs[0]), expr.AsBool())
		if err != nil {
			return nil, fmt.Errorf("compile %s: %w", rule.CEL(), err)
		}
		e.programs = append(e.programs, program)
	}
	return e, nil
}

func (e *exprLang) Name() string { return "expr" }

func (e *exprLang) Matches(action int) (int, error) {
	n := 0
	for _, program := range e.programs {
		out, err := e.machine.Run(program, e.inputs[action])
		if err != nil {
			return 0, err
		}
		if out == true {
			n++
		}
	}
	return n, nil
}

// opa is Open Policy Agent: one prepared query for the set of all matching rules.
type opa struct {
	query  rego.PreparedEvalQuery
	inputs []ast.Value
}

func newOPA(list []workload.Rule, actions []workload.Action) (*opa, error) {
	var module strings.Builder
	module.WriteString("package sallyport\n\n")
	for i, rule := range list {
		fmt.Fprintf(&module, "matches contains %d if { %s }\n", i, regoOf(rule))
	}
	e := &opa{}
	var err error
	e.query, err = rego.New(rego.Query("data.sallyport.matches"), rego.Module("rules.rego", module.String())).PrepareForEval(context.Background())
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	for _, a := range actions {
		input, err := ast.InterfaceToValue(nested(a))
		if err != nil {
			return nil, fmt.Errorf("make input: %w", err)
		}
		e.inputs = append(e.inputs, input)
	}
	return e, nil
}

// regoOf writes the tests as Rego does: one after another, all must hold.
func regoOf(rule workload.Rule) string {
	parts := make([]string, len(rule))
	for i, t := range rule {
		switch v := t.Value.(type) {
		case bool:
			parts[i] = fmt.Sprintf("input.%s == %v", t.Fact, v)
		case float64:
			parts[i] = fmt.Sprintf("input.%s %s %s", t.Fact, t.Operator, workload.Decimal(v))
		default:
			parts[i] = fmt.Sprintf("input.%s %s %q", t.Fact, t.Operator, v)
		}
	}
	return strings.Join(parts, "; ")
}

func (e *opa) Name() string { return "opa" }

func (e *opa) Matches(action int) (int, error) {
	results, err := e.query.Eval(context.Background(), rego.EvalParsedInput(e.inputs[action]))
	if err != nil {
		return 0, err
	}
	if len(results) == 0 {
		return 0, nil
	}
	found, ok := results[0].Expressions[0].Value.([]any)
	if !ok {
		return 0, fmt.Errorf("the answer is a %T", results[0].Expressions[0].Value)
	}
	return len(found), nil
}
