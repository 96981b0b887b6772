package rules

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DefaultDecides stands in a test where the id of a rule could: no rule decides.
// No rule may have it as its id.
const DefaultDecides = "default"

// TestResult is what became of one test of a definition.
type TestResult struct {
	Name     string  `json:"name"`
	Action   string  `json:"action"`
	Passed   bool    `json:"passed"`
	Want     Outcome `json:"want"`
	Got      Outcome `json:"got"`
	WantRule string  `json:"wantRule,omitempty"` // as the test has it
	Rule     string  `json:"rule,omitempty"`     // id of the rule that decided, "default" when none did, empty for a failure
	Message  string  `json:"message,omitempty"`  // one sentence for a test that failed
}

// tests checks that the tests of a definition can be run.
func (c *checker) tests(d *Definition) {
	if len(d.Tests) > MaxTests {
		c.report("tests", "", "there are %d tests; at most %d are allowed", len(d.Tests), MaxTests)
		return
	}
	names, rules := newNamed(d), rulesByAction(d)
	seen := map[string]bool{}
	for i := range d.Tests {
		t, path := &d.Tests[i], fmt.Sprintf("tests[%d]", i)
		switch {
		case strings.TrimSpace(t.Name) == "":
			c.report(path+".name", "", "a name is missing")
		case seen[t.Name]:
			c.report(path+".name", "", "%s is the name of two tests", quoted(t.Name))
		}
		seen[t.Name] = true
		c.text(path+".name", "", t.Name, MaxNameRunes)
		if !actionCode.MatchString(t.Action) {
			c.report(path+".action", "", "the code %s must be 1 to 64 letters, digits, dashes and underscores", quoted(t.Action))
		}
		if t.Want == "" {
			c.report(path+".want", "", "an outcome is missing: %s", strings.Join(outcomes, ", "))
		}
		c.oneOf(path+".want", "", string(t.Want), outcomes)
		c.testRule(path+".rule", t, rules)
		if len(t.Facts) > MaxTestFacts {
			c.report(path+".facts", "", "there are %d facts; at most %d are allowed", len(t.Facts), MaxTestFacts)
			continue
		}
		if len(c.problems) == MaxProblems {
			return // no more would be reported
		}
		var facts Facts
		for _, name := range slices.Sorted(maps.Keys(t.Facts)) {
			if message := names.set(&facts, name, t.Facts[name]); message != "" {
				c.report(path+".facts."+clipped(name), "", "%s", message)
			}
		}
	}
}

// rulesByAction lists the ids of each action's rules; those of Otherwise stand
// under "".
func rulesByAction(d *Definition) map[string]map[string]bool {
	ids := func(rules []Rule) map[string]bool {
		set := make(map[string]bool, len(rules))
		for i := range rules {
			set[rules[i].ID] = true
		}
		return set
	}
	byAction := make(map[string]map[string]bool, len(d.Actions)+1)
	for i := range d.Actions {
		byAction[d.Actions[i].Code] = ids(d.Actions[i].Rules)
	}
	byAction[""] = ids(d.Otherwise.Rules)
	return byAction
}

// closestAction is the listed action that was probably meant.
func closestAction(code string, rules map[string]map[string]bool) string {
	codes := slices.DeleteFunc(slices.Collect(maps.Keys(rules)), func(listed string) bool { return listed == "" })
	return closest(code, codes)
}

func (c *checker) testRule(path string, t *Test, rules map[string]map[string]bool) {
	if t.Rule == "" || t.Rule == DefaultDecides {
		return
	}
	ids, listed := rules[t.Action]
	if !listed {
		ids = rules[""]
	}
	if ids[t.Rule] {
		return
	}
	hint := didYouMean(closest(t.Rule, slices.Collect(maps.Keys(ids))))
	if hint == "" {
		hint = "; write default when no rule may decide"
	}
	if !listed {
		meant := didYouMean(closestAction(t.Action, rules))
		if meant != "" {
			hint = meant
		}
		c.report(path, "", "there is no action %s, so otherwise decides, which has no rule %s%s", quoted(t.Action), quoted(t.Rule), hint)
		return
	}
	c.report(path, "", "the action %s has no rule %s%s", quoted(t.Action), quoted(t.Rule), hint)
}

// clipped bounds a name that stands in a path.
func clipped(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// RunTests evaluates the tests of the definition, in their order. A set that is
// costly to evaluate may take long: the error is that of ctx, when it ends before.
func (s *Set) RunTests(ctx context.Context) ([]TestResult, error) {
	d := &s.version.Definition
	names := newNamed(d)
	results := make([]TestResult, len(d.Tests))
	for i := range d.Tests {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("run tests of rule set: %w", err)
		}
		results[i] = s.runTest(names, &d.Tests[i])
	}
	return results, nil
}

func (s *Set) runTest(names *named, t *Test) TestResult {
	facts := &Facts{Action: ActionFacts{Code: t.Action}}
	for name, v := range t.Facts {
		names.set(facts, name, v) // compiling has refused what cannot be set
	}
	got := s.Evaluate(t.Action, facts)
	result := TestResult{Name: t.Name, Action: t.Action, Want: t.Want, Got: got.Outcome, WantRule: t.Rule, Rule: got.Rule}
	if got.Reason == ByDefault {
		result.Rule = DefaultDecides
	}
	result.Passed = result.Got == t.Want && (t.Rule == "" || t.Rule == result.Rule)
	if !result.Passed {
		result.Message = fmt.Sprintf("want %s%s, got %s%s%s", t.Want, decidedBy(t.Rule), got.Outcome, whyGot(&got), s.keptOut(t, facts, result.Rule))
	}
	return result
}

// keptOut names the rules that would have decided a test as it wants, were it not
// for their mode or their rollout. What that costs is bounded: of many rules only
// the first are looked at.
func (s *Set) keptOut(t *Test, facts *Facts, decided string) string {
	const most = 5
	a := s.action(t.Action)
	var ids []string
	rules, why := map[string]*Rule{}, map[string]string{}
	for i := range a.Rules {
		r := &a.Rules[i]
		named := r.ID == t.Rule && r.ID != decided
		if len(ids) == most || !named && (t.Rule != "" || r.Outcome != t.Want) {
			continue
		}
		switch {
		case r.Mode == Off:
			why[r.ID] = "it is off"
		case r.Mode == Shadow:
			why[r.ID] = "it is in shadow"
		case !r.applies(facts.User.ID):
			why[r.ID] = fmt.Sprintf("its rollout of %d percent leaves out this user.id", *r.Rollout)
		default:
			continue
		}
		ids, rules[r.ID] = append(ids, r.ID), r
	}
	if len(ids) == 0 {
		return ""
	}
	var hints strings.Builder
	for _, e := range s.Explain(t.Action, facts, ids...) {
		if (&compiled{Rule: rules[e.ID]}).matches(e.Verdict) {
			fmt.Fprintf(&hints, "; the condition of rule %s is met, but %s", e.ID, why[e.ID])
		} else if e.ID == t.Rule {
			fmt.Fprintf(&hints, "; %s", why[e.ID])
		}
	}
	return hints.String()
}

// decidedBy names what a test wants to decide.
func decidedBy(rule string) string {
	switch rule {
	case "":
		return ""
	case DefaultDecides:
		return " by default"
	}
	return " by rule " + rule
}

// whyGot names what decided in a test.
func whyGot(got *Result) string {
	switch got.Reason {
	case ByRule:
		return " by rule " + got.Rule
	case ByFailure:
		for _, m := range got.Matches {
			if m.Decides {
				return fmt.Sprintf(" since rule %s failed: %s", m.ID, m.Error)
			}
		}
		return " since a rule failed"
	}
	for _, m := range got.Matches {
		if m.Mode == Live && m.Result == Unknown {
			return fmt.Sprintf(" by default; rule %s ended unknown", m.ID)
		}
	}
	return " by default"
}
