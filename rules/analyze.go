package rules

import (
	"fmt"
	"slices"
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
)

// Finding is something that is probably not meant, although the definition can
// be published.
type Finding struct {
	Kind    FindingKind `json:"kind"`
	Rule    string      `json:"rule,omitempty"`  // id
	Other   string      `json:"other,omitempty"` // id of the rule that is repeated or that shadows
	Path    string      `json:"path"`            // in the definition, such as actions[0].rules[2]
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
func Analyze(s *Set) []Finding {
	out := []Finding{}
	var undecided []string
	d := &s.version.Definition
	for i := range d.Actions {
		a := newAnalysis(s, s.actions[d.Actions[i].Code], fmt.Sprintf("actions[%d]", i))
		out = append(out, a.findings()...)
		undecided = append(undecided, a.undecided...)
	}
	a := newAnalysis(s, s.otherwise, "otherwise")
	out = append(out, a.findings()...)
	if undecided = append(undecided, a.undecided...); len(undecided) > 0 {
		out = append(out, Finding{
			Kind: Undecided, Path: "actions", Rules: undecided,
			Message: fmt.Sprintf("it was not decided whether %s can match, shadow others or be shadowed: not a plain conjunction of tests", countedRules(undecided)),
		})
	}
	return append(out, s.unused()...)
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

func (a *analysis) findings() []Finding {
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
	a.shadowed(found)
	out := make([]Finding, 0, len(found))
	for i := range a.regions {
		if f, ok := found[i]; ok {
			out = append(out, f)
		} else if !a.regions[i].exact {
			a.undecided = append(a.undecided, a.regions[i].rule.ID)
		}
	}
	return out
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
func (a *analysis) shadowed(found map[int]Finding) {
	for i, j := range a.covered(found) {
		g, by := &a.regions[i], &a.regions[j]
		message := fmt.Sprintf("whenever it matches, the earlier rule %s does, so it never decides", by.rule.ID)
		if len(by.tests) == 0 {
			message = fmt.Sprintf("the earlier rule %s always matches, so it never decides", by.rule.ID)
		}
		found[i] = a.finding(g, Shadowed, by.rule.ID, message)
	}
}

// unused finds declarations that no rule, prompt or metric reads.
func (s *Set) unused() []Finding {
	d := &s.version.Definition
	used := map[string]bool{}
	var texts []string // where to look besides the compiled rules
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
				texts = append(texts, r.When)
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
		texts = append(texts, m.Where)
	}
	for name := range used {
		if _, list, isTest := strings.Cut(name, " in "); isTest {
			used[list] = true
		}
	}
	var out []Finding
	look := func(kind FindingKind, path, name, message string) {
		if !used[name] && !slices.ContainsFunc(texts, func(text string) bool { return mentions(text, name) }) {
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

// mentions tells whether a condition may read a name.
func mentions(text, name string) bool {
	for {
		_, rest, found := strings.Cut(text, name)
		if !found {
			return false
		}
		if rest == "" || !isNameRune(rune(rest[0])) {
			return true
		}
		text = rest
	}
}
