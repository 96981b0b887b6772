package rules

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/sallyport/sallyport/rules/internal/index"
)

// Set is a compiled definition. It is immutable and safe for concurrent use.
type Set struct {
	version   Version
	actions   map[string]*action
	otherwise *action
	slots     map[string]int // fact name to its place in an activation
	readers   []func(*Facts) ref.Val
	keys      []valueReader // as readers, for the index
	unknowns  []ref.Val     // what a condition sees in a slot without a value
	meters    []*Meter      // in the order of the definition
	pool      sync.Pool     // of *workspace
	language  *compiler     // to explain and analyse with
}

// action is the compiled form of one ActionRules.
type action struct {
	ActionRules // defaults filled in
	rules       []compiled
	traits      []trait         // of rules
	index       *index.Index    // of the tests of rules
	fields      []int           // slots that the index reads
	tests       []ListTest      // that some rule reads
	needs       map[string]bool // names of all facts that the action's rules depend on: read, looked for in a list, or added to one
	meters      []*Meter        // of the metrics that some rule reads
}

// compiled is a rule that is evaluated: live or shadow.
type compiled struct {
	*Rule
	*condition
	adds *addition // nil when a match adds nothing
}

// Compile makes a published definition ready to evaluate. It returns a
// *CompileError with every problem that Check finds.
func Compile(v Version) (*Set, error) { return CompileBeside(v, nil, func() {}) }

// CompileBeside is Compile for a process that has other things to do. Conditions
// that are in the set before, nil for none, are taken from there if both declare
// what they read alike. Before each other one it calls pause, which may sleep; one
// takes about a tenth of a millisecond.
func CompileBeside(v Version, before *Set, pause func()) (*Set, error) {
	set, problems := compile(v, before, pause)
	if len(problems) > 0 {
		return nil, &CompileError{Problems: problems}
	}
	return set, nil
}

func compile(v Version, before *Set, pause func()) (*Set, []Problem) {
	d := v.Definition
	c := &checker{ids: map[string]string{}, pause: pause}
	c.fields(d.Fields)
	c.metrics(d.Metrics)
	c.lists(d.Lists)
	c.tests(&d)
	tests := listTests(&d)
	language, err := newCompiler(&d, tests)
	if err != nil {
		c.report("fields", "", "%v", err)
		return nil, c.problems
	}
	s := &Set{version: v, language: language, actions: make(map[string]*action, len(d.Actions)), meters: c.meters(&d)}
	s.layOut(&d, tests)
	language.slots = s.slots
	c.compiled = before.conditions(language)
	if len(d.Actions) > MaxActions {
		c.report("actions", "", "there are %d actions; at most %d are allowed", len(d.Actions), MaxActions)
		return nil, c.problems
	}
	for i := range d.Actions {
		a, path := &d.Actions[i], fmt.Sprintf("actions[%d]", i)
		if !actionCode.MatchString(a.Code) {
			c.report(path+".code", "", "the code %s must be 1 to 64 letters, digits, dashes and underscores", quoted(a.Code))
		} else if s.actions[a.Code] != nil {
			c.report(path+".code", "", "the action %q is listed twice", a.Code)
		}
		s.actions[a.Code] = s.compileAction(c, language, path, a, tests)
	}
	s.otherwise = s.compileAction(c, language, "otherwise", &d.Otherwise, tests)
	if c.rules > MaxRules {
		c.report("actions", "", "there are %d rules; at most %d are allowed", c.rules, MaxRules)
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	s.pool.New = func() any { return newWorkspace(s) }
	return s, nil
}

// layOut gives every value that a condition may read a slot: the built-in facts
// first, then the declared fields, metrics and list tests.
func (s *Set) layOut(d *Definition, tests []ListTest) {
	s.slots = make(map[string]int, len(builtins())+len(d.Fields)+len(d.Metrics)+len(tests))
	add := func(name string, read func(*Facts) ref.Val, key valueReader) {
		s.slots[name] = len(s.readers)
		s.readers, s.keys = append(s.readers, read), append(s.keys, key)
		s.unknowns = append(s.unknowns, types.NewUnknown(0, types.NewAttributeTrail(name)))
	}
	for _, b := range builtins() {
		add(b.Name, b.read, b.key)
	}
	for i := range d.Fields {
		field := &d.Fields[i]
		add(field.fact(), func(f *Facts) ref.Val { return customValue(f, field) }, customReader(field))
	}
	for _, m := range d.Metrics {
		add(metricPrefix+m.Name, func(f *Facts) ref.Val {
			if v, known := f.Metrics[m.Name]; known {
				return numberValue(v)
			}
			return nil
		}, metricReader(m.Name))
	}
	for _, test := range tests {
		add(test.Name, func(f *Facts) ref.Val {
			if v, known := f.Lists[test.Name]; known {
				return types.Bool(v)
			}
			return nil
		}, listReader(test.Name))
	}
}

func (s *Set) compileAction(c *checker, language *compiler, path string, a *ActionRules, tests []ListTest) *action {
	c.action(path, a)
	for _, message := range checkPrompt(a.Prompt, s.version.Definition.Fields) {
		c.report(path+".prompt", "", "%s", message)
	}
	out := &action{ActionRules: withDefaults(*a)}
	if c.rules > MaxRules {
		return out // compile reports it; the rest is not worth the time
	}
	additions := c.consequences(language, path, out.Rules)
	var indexed [][]index.Test
	out.needs = map[string]bool{}
	var cost uint64
	for i := range out.Rules {
		r := &out.Rules[i]
		cond, problems := c.condition(language, r.When)
		for _, p := range problems {
			p.Field, p.Rule = fmt.Sprintf("%s.rules[%d].when", path, i), r.ID
			c.add(p)
		}
		if cond == nil || r.Mode == Off {
			continue
		}
		cost += cond.cost
		for _, name := range cond.reads {
			out.needs[name] = true
		}
		rule := compiled{Rule: r, condition: cond}
		if added := additions[i]; added != nil && r.Mode == Live {
			added.slot = s.slots[r.OnMatch.Add]
			out.needs[r.OnMatch.Add] = true
			rule.adds = added
		}
		if cond.never {
			continue
		}
		out.rules = append(out.rules, rule)
		out.traits = append(out.traits, rule.traits())
		indexed = append(indexed, cond.tests)
	}
	out.index = index.Build(indexed)
	out.fields = out.index.Fields()
	for _, t := range tests {
		if out.needs[t.Name] {
			out.needs[t.Fact] = true
			out.tests = append(out.tests, t)
		}
	}
	out.meters = s.metersAmong(out.needs)
	if cost > MaxActionCost {
		c.report(path+".rules", "", "the rules may cost %d together at worst; at most %d is allowed", cost, MaxActionCost)
	}
	return out
}

// conditions returns the conditions of a set by their text, as far as the
// language would compile them to the same: what they read has the same type and
// place.
func (s *Set) conditions(language *compiler) map[string]*condition {
	if s == nil || !maps.Equal(s.language.lists, language.lists) {
		return nil
	}
	same := func(name string) bool {
		before, was := s.slots[name]
		now, is := language.slots[name]
		return was && is && before == now && s.language.facts[name] == language.facts[name]
	}
	conditions := map[string]*condition{}
	add := func(a *action) {
		for i := range a.rules {
			if cond := a.rules[i].condition; !slices.ContainsFunc(cond.reads, func(name string) bool { return !same(name) }) {
				conditions[a.rules[i].When] = cond
			}
		}
	}
	for _, a := range s.actions {
		add(a)
	}
	add(s.otherwise)
	return conditions
}

func (c *checker) condition(language *compiler, text string) (*condition, []Problem) {
	if cond := c.compiled[text]; cond != nil {
		return cond, nil
	}
	c.pause()
	return language.compile(text)
}

// withDefaults copies an action's rules and fills in what was left empty.
func withDefaults(a ActionRules) ActionRules {
	fill(&a.Default, Allow)
	fill(&a.OnFailure, Challenge)
	fill(&a.Unenrolled, UnenrolledAllow)
	a.Rules = append([]Rule{}, a.Rules...)
	for i := range a.Rules {
		fill(&a.Rules[i].Mode, Live)
		fill(&a.Rules[i].OnError, ErrorFails)
		fill(&a.Rules[i].OnUnknown, UnknownIgnored)
	}
	return a
}

func fill[T ~string](value *T, otherwise T) {
	if *value == "" {
		*value = otherwise
	}
}

// Number is the number of the set's version.
func (s *Set) Number() int { return s.version.Number }

// Version is what the set was compiled from.
func (s *Set) Version() Version { return s.version }

// Action returns what decides the action code, with defaults filled in: the
// rules of Otherwise when the set does not list it. The caller must not change
// the rules.
func (s *Set) Action(code string) ActionRules {
	rules := s.action(code).ActionRules
	rules.Code = code
	return rules
}

func (s *Set) action(code string) *action {
	if a, ok := s.actions[code]; ok {
		return a
	}
	return s.otherwise
}
