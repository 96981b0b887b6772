package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// NodeKind says what a part of a condition is.
type NodeKind string

// The kinds of nodes.
const (
	NodeAnd  NodeKind = "and"
	NodeOr   NodeKind = "or"
	NodeNot  NodeKind = "not"
	NodeTest NodeKind = "test" // anything else that is true or false
)

// Truth is how a part of a condition ended.
type Truth string

// The ways in which a part of a condition ends.
const (
	IsTrue    Truth = "true"
	IsFalse   Truth = "false"
	IsUnknown Truth = "unknown"
	IsError   Truth = "error"
)

// Node is a part of a condition and how it ended.
type Node struct {
	Kind     NodeKind    `json:"kind"`
	Text     string      `json:"text"` // as it was written
	Result   Truth       `json:"result"`
	Error    string      `json:"error,omitempty"`    // for Result error
	Values   []FactValue `json:"values,omitempty"`   // of a test: what it read, in the order in which it names it
	Children []Node      `json:"children,omitempty"` // of and, or and not
	Failed   bool        `json:"failed,omitempty"`   // a test that would have to end otherwise for the rule to match
}

// Explanation tells how one rule ended.
type Explanation struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Outcome     Outcome `json:"outcome"`
	Mode        Mode    `json:"mode"`
	Applies     bool    `json:"applies"`           // the rollout includes the user; without one it always does
	Rollout     *int    `json:"rollout,omitempty"` // percentage of users
	When        string  `json:"when"`
	// Verdict is how the condition ended, empty for false. A rule that is off or
	// does not apply has one, too: it tells what the condition would have said.
	Verdict   Verdict `json:"verdict,omitempty"`
	Error     string  `json:"error,omitempty"`   // for Verdict error: what went wrong and where
	Matches   bool    `json:"matches"`           // the rule counts as matching: its mode, rollout, onUnknown and onError considered
	Decides   bool    `json:"decides,omitempty"` // it is the rule that decides, by matching or by failing
	Condition Node    `json:"condition"`
}

// Explain tells how each rule of an action ended on facts and why, those that
// did not match, that are in shadow and that are off included. It evaluates the
// conditions again with cel-go, part by part, which takes far longer than
// deciding does: about 0.3 ms a rule. With ids it explains only these rules.
func (s *Set) Explain(code string, facts *Facts, ids ...string) []Explanation {
	a := s.action(code)
	values := &activation{slots: s.slots, values: make([]ref.Val, len(s.readers))}
	for slot, read := range s.readers {
		if values.values[slot] = read(facts); values.values[slot] == nil {
			values.values[slot] = s.unknowns[slot]
		}
	}
	decided := s.Evaluate(code, facts)
	out := []Explanation{}
	for i := range a.Rules {
		r := &a.Rules[i]
		if len(ids) > 0 && !slices.Contains(ids, r.ID) {
			continue
		}
		e := s.explain(r, values, facts)
		e.Decides = decided.Reason == ByRule && decided.Rule == r.ID
		if decided.Reason == ByFailure {
			e.Decides = slices.ContainsFunc(decided.Matches, func(m Match) bool { return m.Decides && m.ID == r.ID })
		}
		out = append(out, e)
	}
	return out
}

func (s *Set) explain(r *Rule, values *activation, facts *Facts) Explanation {
	e := Explanation{
		ID: r.ID, Name: r.Name, Description: r.Description, Outcome: r.Outcome, Mode: r.Mode,
		Rollout: r.Rollout, Applies: r.applies(facts.User.ID), When: r.When,
	}
	x, err := s.language.explainer(r.When)
	if err != nil { // compiling has accepted the same text
		e.Verdict, e.Error = Erred, err.Error()
		e.Condition = Node{Kind: NodeTest, Text: r.When, Result: IsError, Error: e.Error}
		return e
	}
	x.sent = s.sent(facts)
	e.Condition = x.explain(values, s.slots)
	switch e.Condition.Result {
	case IsTrue:
		e.Verdict = Matched
	case IsUnknown:
		e.Verdict = Unknown
	case IsError:
		e.Verdict, e.Error = Erred, e.Condition.Error
	}
	matches := (&compiled{Rule: r}).matches(e.Verdict)
	e.Matches = matches && e.Applies && r.Mode != Off
	if !matches {
		e.Condition.blame(true)
	}
	return e
}

// blame marks the tests that would have to end otherwise for the node to be as
// wanted: those that rule it out if there are some, else those that leave it
// open.
func (n *Node) blame(want bool) {
	switch n.Kind {
	case NodeTest:
		n.Failed = true
		return
	case NodeNot:
		n.Children[0].blame(!want)
		return
	}
	wrong, right := IsFalse, IsTrue
	if !want {
		wrong, right = IsTrue, IsFalse
	}
	ruledOut := slices.ContainsFunc(n.Children, func(c Node) bool { return c.Result == wrong })
	for i := range n.Children {
		c := &n.Children[i]
		switch {
		case c.Result == right:
		// All parts of an and must be true, all of an or must be false; of the others
		// one is enough, so that none of them is.
		case (n.Kind == NodeAnd) == want && ruledOut && c.Result != wrong:
		default:
			c.blame(want)
		}
	}
}

// explainer evaluates a condition so that each part's result can be seen.
type explainer struct {
	condition
	written []rune // the text
	words   []word
	tree    *ast.AST
	facts   map[string]*cel.Type
	sent    func(name string) string // what was sent of an unknown field, see FactValue.Sent
}

// sent finds what was sent of a field, by its name in conditions.
func (s *Set) sent(facts *Facts) func(name string) string {
	return func(name string) string {
		fields := s.version.Definition.Fields
		for i := range fields {
			if fields[i].fact() == name {
				return sentAs(facts, &fields[i])
			}
		}
		return ""
	}
}

// explainer prepares a condition. Unlike a compiled one it evaluates every part,
// also those that cannot change the result any more.
func (c *compiler) explainer(text string) (*explainer, error) {
	parsed, issues := c.env.Parse(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("read the condition: %w", issues.Err())
	}
	c.replaceListTests(parsed.NativeRep())
	c.alignNumbers(parsed.NativeRep())
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return nil, fmt.Errorf("read the condition: %w", issues.Err())
	}
	program, err := c.env.Program(checked, cel.EvalOptions(cel.OptExhaustiveEval), cel.CustomDecoratorV2(fixZones))
	if err != nil {
		return nil, fmt.Errorf("prepare the condition: %w", err)
	}
	tree := checked.NativeRep()
	x := &explainer{tree: tree, facts: c.facts, written: []rune(text)}
	x.program, x.source, x.words = program, tree.SourceInfo(), wordsOf(x.written)
	return x, nil
}

// explain evaluates the condition and returns its tree.
func (x *explainer) explain(values *activation, slots map[string]int) Node {
	out, details, err := x.program.Eval(values)
	t := &tracer{explainer: x, values: values, slots: slots, state: map[int64]ref.Val{}}
	if details != nil && details.State() != nil {
		for _, id := range details.State().IDs() {
			t.state[id], _ = details.State().Value(id)
		}
	}
	root := x.tree.Expr()
	switch {
	case err != nil:
		t.state[root.ID()] = types.WrapErr(err)
	default:
		t.state[root.ID()] = out
	}
	return t.node(root, 0, len(x.words))
}

// tracer turns one evaluation into nodes.
type tracer struct {
	*explainer
	values *activation
	slots  map[string]int
	state  map[int64]ref.Val // results by the id of the expression
}

// node makes the node of an expression that is written as words[from:to].
func (t *tracer) node(e ast.Expr, from, to int) Node {
	for to-from > 2 && t.words[from].text == "(" && t.words[from].closes == to-1 {
		from, to = from+1, to-1
	}
	n := Node{Kind: NodeTest, Text: t.span(from, to)}
	t.result(e, &n)
	if e.Kind() == ast.CallKind {
		switch name := e.AsCall().FunctionName(); name {
		case operators.LogicalAnd:
			t.chain(e, &n, NodeAnd, "&&", from, to)
		case operators.LogicalOr:
			t.chain(e, &n, NodeOr, "||", from, to)
		case operators.LogicalNot:
			inner := from
			for inner < to && t.words[inner].text == "!" {
				inner++
			}
			if (inner-from)%2 == 1 {
				n.Kind = NodeNot
				n.Children = []Node{t.node(e.AsCall().Args()[0], inner, to)}
			}
		}
	}
	if n.Kind == NodeTest {
		n.Values = t.read(e)
	}
	return n
}

// chain adds the operands of a && b && c, which CEL holds as a balanced tree of
// pairs.
func (t *tracer) chain(e ast.Expr, n *Node, kind NodeKind, operator string, from, to int) {
	var cuts []int
	places := map[int32]bool{}
	for i := from; i < to; i++ {
		switch w := t.words[i]; {
		case w.closes > 0:
			i = w.closes
		case w.text == operator:
			cuts = append(cuts, i)
			places[int32(w.start)] = true
		}
	}
	var operands []ast.Expr
	var collect func(ast.Expr)
	collect = func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "_"+operator+"_" {
			if r, ok := t.source.GetOffsetRange(e.ID()); ok && places[r.Start] {
				collect(e.AsCall().Args()[0])
				collect(e.AsCall().Args()[1])
				return
			}
		}
		operands = append(operands, e)
	}
	collect(e)
	if len(operands) != len(cuts)+1 || len(cuts) == 0 {
		return // written in a way that this reader does not follow: it stays one test
	}
	n.Kind = kind
	start := from
	for i, operand := range operands {
		end := to
		if i < len(cuts) {
			end = cuts[i]
		}
		n.Children = append(n.Children, t.node(operand, start, end))
		start = end + 1
	}
}

// span is the text of words[from:to].
func (t *tracer) span(from, to int) string {
	if from >= to {
		return ""
	}
	return string(t.written[t.words[from].start:t.words[to-1].end])
}

func (t *tracer) result(e ast.Expr, n *Node) {
	switch v := t.state[e.ID()]; {
	case v == types.True:
		n.Result = IsTrue
	case v == types.False:
		n.Result = IsFalse
	case v != nil && types.IsError(v):
		n.Result, n.Error = IsError, t.failure(v.(*types.Err))
	default:
		n.Result = IsUnknown
	}
}

// read lists what an expression names, each once. A list test comes with the
// value that was looked for.
func (t *tracer) read(e ast.Expr) []FactValue {
	var list []FactValue
	add := func(name string) {
		slot, found := t.slots[name]
		if !found || slices.ContainsFunc(list, func(v FactValue) bool { return v.Name == name }) {
			return
		}
		value := FactValue{Name: name, Type: typeName(t.facts[name].String())}
		if b := builtinsByName()[name]; b != nil {
			value.Doc = b.Doc
		}
		if v := t.values.values[slot]; !types.IsUnknown(v) {
			value.Known, value.Value = true, v.Value()
			if at, ok := value.Value.(time.Time); ok {
				value.Value = at.Format(time.RFC3339Nano)
			}
		} else {
			value.Sent = t.sent(name)
		}
		list = append(list, value)
	}
	references := t.tree.ReferenceMap()
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		reference := references[e.ID()]
		if reference == nil {
			return
		}
		if fact, _, isTest := strings.Cut(reference.Name, " in "); isTest {
			add(fact)
		}
		add(reference.Name)
	}))
	return list
}
