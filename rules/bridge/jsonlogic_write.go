package bridge

import (
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// JSONLogic writes a tree that Format accepts. It compiles nothing, so a tree
// with a condition that does not compile may be written too. What JsonLogic has no
// words for is written as {"cel": ["text"]}, which ReadJSONLogic reads back.
func (b *Bridge) JSONLogic(n Node) ([]byte, []rules.Problem) {
	if _, problems := b.write(n); len(problems) > 0 {
		return nil, problems
	}
	text, err := marshal(b.logic(n))
	if err != nil {
		return nil, []rules.Problem{{Message: err.Error()}}
	}
	return text, nil
}

// operation is one JsonLogic operation.
func operation(name string, args ...any) any { return map[string]any{name: args} }

func (b *Bridge) logic(n Node) any {
	if !n.IsGroup() {
		return b.logicRule(n)
	}
	args := make([]any, len(n.Rules))
	for i, r := range n.Rules {
		args[i] = b.logic(r)
	}
	if n.Not {
		return operation("!", map[string]any{n.Combinator: args})
	}
	return map[string]any{n.Combinator: args}
}

func (b *Bridge) logicRule(n Node) any {
	if n.Field == Locked {
		switch n.Value {
		case "true", "false":
			return n.Value == "true"
		}
		return operation("cel", n.Value)
	}
	name := map[string]any{"var": n.Field}
	value := n.Value
	if n.ValueSource == FromField {
		value = map[string]any{"var": n.Value}
	}
	if is, ok := value.(bool); ok && (n.Operator == Equals || n.Operator == NotEquals) {
		return operation("==", name, is == (n.Operator == Equals))
	}
	switch n.Operator {
	case IsTrue:
		return operation("==", name, true)
	case IsFalse:
		return operation("==", name, false)
	case IsKnown:
		return operation("!=", name, nil)
	case IsUnknown:
		return operation("==", name, nil)
	case Equals:
		return operation("==", name, value)
	case NotEquals, Less, LessOrEqual, Greater, GreaterOrEqual:
		return operation(n.Operator, name, value)
	case In:
		return operation("in", name, value)
	case InList:
		list, _ := n.Value.(string)
		return operation("in", name, map[string]any{"var": listVariable + ListAlias(list)})
	case Contains:
		return operation("in", value, name)
	case Between:
		if ends, ok := n.Value.([]any); ok && len(ends) == 2 {
			return operation(LessOrEqual, ends[0], name, ends[1])
		}
	case NotIn, NotInList, DoesNotContain, NotBetween:
		n.Operator = negated[n.Operator]
		return operation("!", b.logicRule(n))
	}
	w := &writer{b: b}
	return operation("cel", strings.TrimSuffix(w.rule(n, ""), "\n"))
}
