package rules

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// activation is what conditions read during one evaluation: a table of values,
// by the slots that the set gave to the facts.
type activation struct {
	slots  map[string]int
	values []ref.Val
}

// ResolveName implements CEL's Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	slot, ok := a.slots[name]
	if !ok {
		return nil, false
	}
	return a.values[slot], true
}

// Parent implements CEL's Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// Evaluate decides an action. It evaluates every rule that is not off; the
// first live one that matches decides. It reads only facts and keeps nothing.
func (s *Set) Evaluate(code string, facts *Facts) Result {
	a := s.action(code)
	values := s.pool.Get().(*activation)
	defer s.pool.Put(values)
	for _, slot := range a.reads {
		v := s.readers[slot](facts)
		if v == nil {
			v = s.unknowns[slot]
		}
		values.values[slot] = v
	}
	defer clear(values.values) // people's data must not wait in the pool

	result := Result{Outcome: a.Default, Reason: ByDefault}
	decided := false
	for i := range a.rules {
		rule := &a.rules[i]
		if !rule.applies(facts.User.ID) {
			continue
		}
		verdict, failure := rule.evaluate(values)
		if verdict == "" {
			continue
		}
		match := Match{ID: rule.ID, Name: rule.Name, Outcome: rule.Outcome, Mode: rule.Mode, Result: verdict, Error: failure}
		if rule.Mode == Live && !decided {
			switch {
			case rule.matches(verdict):
				result.Outcome, result.Reason, result.Rule, result.Methods = rule.Outcome, ByRule, rule.ID, rule.Methods
				decided, match.Decides = true, true
			case verdict == Erred && rule.OnError == ErrorFails:
				result.Outcome, result.Reason = a.OnFailure, ByFailure
				decided, match.Decides = true, true
			}
		}
		if rule.adds != nil && rule.matches(verdict) {
			if item, known := rule.adds.of(s, facts, rule.ID); known {
				result.Additions = append(result.Additions, item)
			}
		}
		result.Count++
		if len(result.Matches) < MaxMatches {
			result.Matches = append(result.Matches, match)
		}
	}
	return result
}

// evaluate returns how the condition ended, "" for false, and for an error what
// went wrong.
func (c *compiled) evaluate(values *activation) (Verdict, string) {
	out, _, err := c.program.Eval(values)
	switch {
	case err != nil:
		return Erred, c.failure(err)
	case types.IsUnknown(out):
		return Unknown, ""
	case out == types.True:
		return Matched, ""
	case out == types.False:
		return "", ""
	}
	// The checker has made sure that the result is a boolean.
	return Erred, "the condition is neither true nor false"
}

// matches tells whether a verdict counts as a match. Neither an error nor a
// missing value ever makes an ALLOW rule match.
func (c *compiled) matches(v Verdict) bool {
	switch v {
	case Matched:
		return true
	case Unknown:
		return c.OnUnknown == UnknownMatches && c.Outcome != Allow
	case Erred:
		return c.OnError == ErrorMatches && c.Outcome != Allow
	}
	return false
}
