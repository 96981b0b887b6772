package rules

import (
	"context"
	"fmt"
	"strings"
)

// FindingKind says what an analysis found.
type FindingKind string

// The kinds of findings.
const (
	NeverMatches FindingKind = "never-matches" // no facts make the rule match
	Duplicate    FindingKind = "duplicate"     // the rule matches exactly when another one does
	Shadowed     FindingKind = "shadowed"      // whenever the rule matches, an earlier live rule decides
	Undecided    FindingKind = "undecided"     // rules of which the above cannot be decided
	UnusedList   FindingKind = "unused-list"
	UnusedMetric FindingKind = "unused-metric"
	UnusedField  FindingKind = "unused-field"
	// UnlistedAction is a test of an action that is not listed, while one of a
	// similar code is.
	UnlistedAction FindingKind = "unlisted-action"
)

// Finding is something that is probably not meant, although the definition can
// be published.
type Finding struct {
	Kind    FindingKind `json:"kind"`
	Rule    string      `json:"rule,omitempty"`  // id
	Other   string      `json:"other,omitempty"` // id of the rule that is repeated or that shadows
	Path    string      `json:"path"`            // in the definition, such as actions[0].rules[2]; empty for an undecided finding
	Message string      `json:"message"`         // one sentence
	Rules   []string    `json:"rules,omitempty"` // of an undecided finding: ids
}

// Analyze looks for rules without effect and for declarations without use.
//
// It decides exactly for rules that are conjunctions of tests of one fact each
// against literals, over every combination of known and unknown values; facts
// count as independent of each other. Of other rules it claims only what follows
// from such tests among their conjuncts, and names the rest as undecided.
//
// Rules that are off are left out. A rule with a rollout shadows nothing, since
// it is not there for everyone. Rules in shadow are compared only with each
// other: one that repeats a live rule is being tried.
//
// The work is bounded: of rules that are too many to be compared it says that
// they are undecided. The error is that of ctx, when it ends before.
func Analyze(ctx context.Context, s *Set) ([]Finding, error) {
	out := []Finding{}
	var undecided []string
	d := &s.version.Definition
	steps := 0
	look := func(rules *action, path string) error {
		a := newAnalysis(s, rules, path)
		a.steps = steps
		found, err := a.findings(ctx)
		steps, out, undecided = a.steps, append(out, found...), append(undecided, a.undecided...)
		return err
	}
	for i := range d.Actions {
		if err := look(s.actions[d.Actions[i].Code], fmt.Sprintf("actions[%d]", i)); err != nil {
			return nil, err
		}
	}
	if err := look(s.otherwise, "otherwise"); err != nil {
		return nil, err
	}
	if len(undecided) > 0 {
		out = append(out, Finding{
			Kind: Undecided, Rules: undecided,
			Message: fmt.Sprintf("it was not decided whether %s can match, shadow others or be shadowed: not a plain conjunction of tests", countedRules(undecided)),
		})
	}
	return append(append(out, s.unused()...), d.misnamed()...), nil
}

// misnamed finds tests that are about any other action, and were probably meant to
// be about a listed one.
func (d *Definition) misnamed() []Finding {
	rules := rulesByAction(d)
	var out []Finding
	for i := range d.Tests {
		code := d.Tests[i].Action
		if _, listed := rules[code]; listed || len(out) == MaxProblems {
			continue
		}
		if meant := closestAction(code, rules); meant != "" {
			out = append(out, Finding{
				Kind: UnlistedAction, Path: fmt.Sprintf("tests[%d].action", i),
				Message: fmt.Sprintf("there is no action %s, so this tests what otherwise decides%s", quoted(code), didYouMean(meant)),
			})
		}
	}
	return out
}

// countedRules names a few rules and how many there are.
func countedRules(ids []string) string {
	const most = 5
	names := strings.Join(ids[:min(len(ids), most)], ", ")
	switch {
	case len(ids) == 1:
		return "rule " + names
	case len(ids) > most:
		return fmt.Sprintf("%d rules (%s, …)", len(ids), names)
	}
	return fmt.Sprintf("%d rules (%s)", len(ids), names)
}

// analysis is the work on the rules of one action.
type analysis struct {
	path      string
	regions   []region
	undecided []string
	steps     int // taken so far, at most about maxSteps
}

func newAnalysis(s *Set, a *action, path string) *analysis {
	out := &analysis{path: path}
	types := s.slotTypes()
	next := 0
	for i := range a.Rules {
		r := &a.Rules[i]
		if r.Mode == Off {
			continue
		}
		out.regions = append(out.regions, region{rule: r, place: i, everyone: r.Rollout == nil || *r.Rollout == 100})
		g := &out.regions[len(out.regions)-1]
		// A condition with the literal false in it is not among the compiled ones.
		if next == len(a.rules) || a.rules[next].Rule != r {
			g.empty = true
			continue
		}
		g.fill(&a.rules[next], types)
		next++
	}
	return out
}

func (a *analysis) findings(ctx context.Context) ([]Finding, error) {
	found := map[int]Finding{}
	for i := range a.regions {
		g := &a.regions[i]
		switch {
		case g.rule.Rollout != nil && *g.rule.Rollout == 0:
			found[i] = a.finding(g, NeverMatches, "", "it applies to 0 percent of the users, so it never matches")
		case g.empty:
			found[i] = a.finding(g, NeverMatches, "", "its conditions contradict each other, so it never matches")
		}
	}
	a.repeated(found)
	if err := a.shadowed(ctx, found); err != nil {
		return nil, err
	}
	out := make([]Finding, 0, len(found))
	for i := range a.regions {
		if f, ok := found[i]; ok {
			out = append(out, f)
		} else if !a.regions[i].exact {
			a.undecided = append(a.undecided, a.regions[i].rule.ID)
		}
	}
	return out, nil
}

func (a *analysis) finding(g *region, kind FindingKind, other, message string) Finding {
	return Finding{Kind: kind, Rule: g.rule.ID, Other: other, Path: fmt.Sprintf("%s.rules[%d]", a.path, g.place), Message: message}
}

// repeated finds rules that match exactly when an earlier one of the same mode
// does.
func (a *analysis) repeated(found map[int]Finding) {
	first := map[string]int{}
	for i := range a.regions {
		g := &a.regions[i]
		if _, is := found[i]; is || !g.everyone {
			continue
		}
		key := g.key()
		earlier, is := first[key]
		if !is {
			first[key] = i
			continue
		}
		id := a.regions[earlier].rule.ID
		message := fmt.Sprintf("it repeats rule %s: both match in the same cases", id)
		if g.rule.Mode == Live {
			message = fmt.Sprintf("it repeats the earlier rule %s, so it never decides", id)
		}
		found[i] = a.finding(g, Duplicate, id, message)
	}
}

// shadowed finds live rules that never decide, since an earlier one does.
func (a *analysis) shadowed(ctx context.Context, found map[int]Finding) error {
	covered, err := a.covered(ctx, found)
	for i, j := range covered {
		g, by := &a.regions[i], &a.regions[j]
		message := fmt.Sprintf("whenever it matches, the earlier rule %s does, so it never decides", by.rule.ID)
		if len(by.tests) == 0 {
			message = fmt.Sprintf("the earlier rule %s always matches, so it never decides", by.rule.ID)
		}
		found[i] = a.finding(g, Shadowed, by.rule.ID, message)
	}
	return err
}

// unused finds declarations that no rule, prompt or metric reads.
func (s *Set) unused() []Finding {
	d := &s.version.Definition
	used := map[string]bool{}
	rules := func(a *ActionRules, compiled *action) {
		for name := range compiled.needs {
			used[name] = true
		}
		for _, part := range splitPrompt(a.Prompt) {
			if part.value {
				used[customPrefix+part.text] = true
			}
		}
		for i := range a.Rules {
			r := &a.Rules[i]
			if r.OnMatch != nil {
				used[r.OnMatch.Add], used[listPrefix+r.OnMatch.To] = true, true
			}
			if r.Mode == Off {
				mention(used, r.When)
			}
		}
	}
	for i := range d.Actions {
		rules(&d.Actions[i], s.actions[d.Actions[i].Code])
	}
	rules(&d.Otherwise, s.otherwise)
	for i := range d.Metrics {
		m := &d.Metrics[i]
		used[m.Of], used[m.Per] = true, true
		mention(used, m.Where)
	}
	for name := range used {
		if _, list, isTest := strings.Cut(name, " in "); isTest {
			used[list] = true
		}
	}
	var out []Finding
	look := func(kind FindingKind, path, name, message string) {
		if !used[name] {
			out = append(out, Finding{Kind: kind, Path: path, Message: message})
		}
	}
	for i := range d.Fields {
		look(UnusedField, fmt.Sprintf("fields[%d]", i), d.Fields[i].fact(), fmt.Sprintf("no rule, prompt or metric reads %s", d.Fields[i].fact()))
	}
	for i, m := range d.Metrics {
		look(UnusedMetric, fmt.Sprintf("metrics[%d]", i), metricPrefix+m.Name, fmt.Sprintf("no rule reads metric.%s", m.Name))
	}
	for i, l := range d.Lists {
		look(UnusedList, fmt.Sprintf("lists[%d]", i), listPrefix+l.Name, fmt.Sprintf("no rule tests list.%s or adds to it", l.Name))
	}
	return out
}

// mention marks the names that a condition may read, without compiling it.
func mention(used map[string]bool, text string) {
	words := strings.FieldsFunc(text, func(c rune) bool { return c != '.' && !isNameRune(c) })
	for _, word := range words {
		// A name has two parts, or three: user.custom.NAME. A call may follow.
		parts := strings.Split(word, ".")
		for i := range parts {
			for _, n := range []int{2, 3} {
				if i+n <= len(parts) {
					used[strings.Join(parts[i:i+n], ".")] = true
				}
			}
		}
	}
}
