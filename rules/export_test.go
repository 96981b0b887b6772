package rules

import "fmt"

// Oracle decides with cel-go alone: every condition whole, one after another. The
// index must say the same.
type Oracle struct {
	set     *Set
	actions map[*action]*action // with the conditions that no index has touched
}

// NewOracle compiles the conditions of a set again.
func NewOracle(s *Set) (*Oracle, error) {
	d := s.version.Definition
	whole, err := newCompiler(&d, listTests(&d)) // has no slots, so nothing is left to an index
	if err != nil {
		return nil, err
	}
	o := &Oracle{set: s, actions: map[*action]*action{}}
	for _, a := range s.all() {
		plain := &action{ActionRules: a.ActionRules}
		for i := range a.Rules {
			r := &a.Rules[i]
			if r.Mode == Off {
				continue
			}
			cond, problems := whole.compile(r.When)
			if len(problems) > 0 {
				return nil, fmt.Errorf("%s: %v", r.ID, problems)
			}
			rule := compiled{Rule: r, condition: cond}
			for j := range a.rules {
				if a.rules[j].Rule == r {
					rule.adds = a.rules[j].adds
				}
			}
			plain.rules = append(plain.rules, rule)
		}
		o.actions[a] = plain
	}
	return o, nil
}

// all lists the compiled actions.
func (s *Set) all() []*action {
	list := []*action{s.otherwise}
	for _, a := range s.actions {
		list = append(list, a)
	}
	return list
}

// Evaluate does what Set.Evaluate does, the slow way.
func (o *Oracle) Evaluate(code string, facts *Facts) Result {
	s := o.set
	a := o.actions[s.action(code)]
	w := newWorkspace(s)
	w.facts = facts
	d := newDecision(s, a, facts)
	for i := range a.rules {
		if rule := &a.rules[i]; rule.applies(facts.User.ID) {
			d.add(rule, rule.verdict(w, false))
		}
	}
	w.forget(a)
	return d.result
}

// Indexed tells what the index does for the rules of an action: how many it
// answers alone, how many in part and how many not at all.
func (s *Set) Indexed(code string) (wholly, partly, not int) {
	for _, r := range s.action(code).rules {
		switch {
		case r.program == nil:
			wholly++
		case len(r.tests) > 0:
			partly++
		default:
			not++
		}
	}
	return wholly, partly, not
}

// IndexBytes is the memory of the index of an action.
func (s *Set) IndexBytes(code string) int { return s.action(code).index.Bytes() }
