package rules

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// activation is what conditions read during one evaluation: a table of values,
// by the slots that the set gave to the facts.
type activation struct {
	slots  map[string]int
	values []ref.Val
	// With these, a value that is missing in the table is read when it is first
	// asked for, and its slot is noted.
	set   *Set
	facts *Facts
	read  []int
}

// ResolveName implements CEL's Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	slot, ok := a.slots[name]
	if !ok {
		return nil, false
	}
	if a.values[slot] == nil && a.set != nil {
		v := a.set.readers[slot](a.facts)
		if v == nil {
			v = a.set.unknowns[slot]
		}
		a.values[slot] = v
		a.read = append(a.read, slot)
	}
	return a.values[slot], true
}

// Parent implements CEL's Activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// workspace is the memory of one evaluation, to be used again.
type workspace struct {
	activation
	keys   []index.Value // by slot
	search index.Search
	frame  *interpreter.ExecutionFrame // over the activation, shared by all conditions
}

func newWorkspace(s *Set) *workspace {
	return &workspace{
		activation: activation{slots: s.slots, values: make([]ref.Val, len(s.readers)), set: s},
		keys:       make([]index.Value, len(s.readers)),
	}
}

// forget drops all values: people's data must not wait in the pool.
func (w *workspace) forget(a *action) {
	for _, slot := range a.fields {
		w.keys[slot] = index.Value{}
	}
	for _, slot := range w.read {
		w.values[slot] = nil
	}
	w.read, w.facts = w.read[:0], nil
	if w.frame != nil {
		w.frame.Close()
		w.frame = nil
	}
}

// Evaluate decides an action. All rules that are not off are decided: by the
// index, or as far as it cannot, by evaluating their conditions. The first live
// one that matches decides the action. It reads only facts and keeps nothing.
func (s *Set) Evaluate(code string, facts *Facts) Result {
	a := s.action(code)
	w := s.pool.Get().(*workspace)
	w.facts = facts
	for _, slot := range a.fields {
		w.keys[slot] = s.keys[slot](facts)
	}
	a.index.Match(w.keys, &w.search)
	d := newDecision(s, a, facts)
	for i, unsure := range w.search.All {
		t := a.traits[i]
		if t&(asks|partial|adds) == 0 && d.full(t) {
			d.result.Count++
			continue
		}
		rule := &a.rules[i]
		if t&partial != 0 && !rule.applies(facts.User.ID) {
			continue
		}
		end := ended{verdict: Matched}
		switch {
		case t&asks != 0:
			end = rule.verdict(w, unsure)
		case unsure:
			end.verdict = Unknown
		}
		if end.verdict != "" && d.result.Matches == nil {
			d.result.Matches = make([]Match, 0, min(w.search.Count(), MaxMatches))
		}
		d.add(rule, end)
	}
	w.forget(a)
	s.pool.Put(w)
	return d.result
}

// trait is what must be known about a rule before it is looked at. The traits of
// all rules of an action fit into the nearest memory; the rules do not.
type trait uint8

const (
	asks    trait = 1 << iota // the index does not answer the whole condition
	partial                   // does not apply to all users
	adds                      // to a list
	live
)

func (c *compiled) traits() trait {
	var t trait
	if c.program != nil {
		t |= asks
	}
	if c.Rollout != nil {
		t |= partial
	}
	if c.adds != nil {
		t |= adds
	}
	if c.Mode == Live {
		t |= live
	}
	return t
}

// ended is how a condition ended: "" for false, and for an error what went wrong.
type ended struct {
	verdict Verdict
	failure string
}

// verdict is how the condition of a rule with a program ended that the index has
// not ruled out. One of its tests may be unsure, which false outweighs and nothing
// else.
func (c *condition) verdict(w *workspace, unsure bool) ended {
	end := c.evaluate(w)
	if unsure && end.verdict != "" {
		return ended{verdict: Unknown}
	}
	return end
}

// evaluate runs the program of a condition.
func (c *condition) evaluate(w *workspace) ended {
	var input any = &w.activation
	if !c.bounded { // a program that counts its cost needs a frame of its own
		if w.frame == nil {
			frame, err := interpreter.NewExecutionFrame(&w.activation)
			if err != nil {
				return ended{Erred, c.failure(err)}
			}
			w.frame = frame
		}
		input = w.frame
	}
	out, _, err := c.program.Eval(input)
	switch {
	case err != nil:
		return ended{Erred, c.failure(err)}
	case types.IsUnknown(out):
		return ended{verdict: Unknown}
	case out == types.True:
		return ended{verdict: Matched}
	case out == types.False:
		return ended{}
	}
	// The checker has made sure that the result is a boolean.
	return ended{Erred, "the condition is neither true nor false"}
}

// decision is a result in the making.
type decision struct {
	set     *Set
	action  *action
	facts   *Facts
	result  Result
	decided bool
}

func newDecision(s *Set, a *action, facts *Facts) decision {
	return decision{set: s, action: a, facts: facts, result: Result{Outcome: a.Default, Reason: ByDefault}}
}

// full tells whether a rule with a trait can do no more than be counted.
func (d *decision) full(t trait) bool {
	return len(d.result.Matches) == MaxMatches && (d.decided || t&live == 0)
}

// add takes the next rule that applies, in the order of the rules, and how its
// condition ended.
func (d *decision) add(rule *compiled, end ended) {
	if end.verdict == "" {
		return
	}
	matches := rule.matches(end.verdict)
	decides := false
	if rule.Mode == Live && !d.decided {
		switch {
		case matches:
			d.result.Outcome, d.result.Reason, d.result.Rule = rule.Outcome, ByRule, rule.ID
			d.result.Methods, d.result.UserVerification = rule.Methods, rule.UserVerification
			d.result.Erred = end.verdict == Erred
			decides = true
		case end.verdict == Erred && rule.OnError == ErrorFails:
			d.result.Outcome, d.result.Reason = d.action.OnFailure, ByFailure
			decides = true
		}
		d.decided = decides
	}
	if rule.adds != nil && matches {
		if item, known := rule.adds.of(d.set, d.facts, rule.ID); known {
			d.result.Additions = append(d.result.Additions, item)
		}
	}
	d.result.Count++
	if len(d.result.Matches) < MaxMatches {
		d.result.Matches = append(d.result.Matches, Match{
			ID: rule.ID, Name: rule.Name, Outcome: rule.Outcome, Mode: rule.Mode, Result: end.verdict, Error: end.failure, Decides: decides,
		})
	}
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
