package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Names that only the conditions of metrics may read.
const (
	actionOutcome   = "action.outcome"
	challengeResult = "challenge.result"
)

// ChallengeResult is how a step-up ceremony ended, as challenge.result has it.
type ChallengeResult string

// The results of challenges.
const (
	ChallengeSucceeded ChallengeResult = "succeeded" // the person proved themselves
	ChallengeFailed    ChallengeResult = "failed"    // the answer was wrong
	ChallengeDenied    ChallengeResult = "denied"    // the person said that they had not asked for it
	ChallengeAbandoned ChallengeResult = "abandoned" // no answer came in time, or the browser gave an error instead of one
)

// ChallengeResults are all of them.
var ChallengeResults = [...]ChallengeResult{ChallengeSucceeded, ChallengeFailed, ChallengeDenied, ChallengeAbandoned}

// Occurrence is something that metrics may count: an action that was tracked or,
// with a Challenge, a challenge that ended.
type Occurrence struct {
	Facts     *Facts          // as recorded when the action was tracked
	Outcome   Outcome         // of the action
	Challenge ChallengeResult // "" for the action itself
}

// Meter is a compiled metric. It is immutable and safe for concurrent use.
type Meter struct {
	metric Metric // with defaults filled in
	id     string
	parts  Parts
	window Window
	per    func(*Facts) Measured
	of     func(*Facts) Measured // nil for count
	where  cel.Program           // nil: everything
	reads  map[string]int        // names that where reads, and their places
	values []func(*Occurrence) ref.Val
}

// Metric is what the meter was compiled from, with Per and Counts filled in.
func (m *Meter) Metric() Metric { return m.metric }

// Name is what conditions read after "metric.".
func (m *Meter) Name() string { return m.metric.Name }

// ID stands for all that decides the meter's value: function, facts, their types,
// condition and window, not the name. Meters with equal ids have equal values.
func (m *Meter) ID() string { return m.id }

// Parts name what a meter reads. Where those of two meters are equal, so are their
// keys, their values, or what they count.
type Parts struct{ Key, Value, Condition string }

// Parts are the names of the meter's parts.
func (m *Meter) Parts() Parts { return m.parts }

// Window is the span of time that the meter counts.
func (m *Meter) Window() Window { return m.window }

// Measured is a fact that metrics are kept per or sum up: a text or a number.
type Measured struct {
	Known  bool
	IsText bool
	Text   string
	Number float64
}

// Key is the value whose occurrences are counted together. When it is not known
// the metric is not known either, and an occurrence is not counted.
func (m *Meter) Key(f *Facts) Measured { return m.per(f) }

// Value is what an occurrence adds: a number, or for distinct a text or a number.
// It is not known for count.
func (m *Meter) Value(f *Facts) Measured {
	if m.of == nil {
		return Measured{}
	}
	return m.of(f)
}

// measure reads a fact that is a text or a number, without making a value of CEL
// where that can be spared.
func (b *builtin) measure() func(*Facts) Measured {
	if b.celType == cel.StringType {
		return func(f *Facts) Measured {
			v := b.key(f)
			return Measured{Known: v.Known, IsText: true, Text: v.Text}
		}
	}
	return func(f *Facts) Measured {
		v, known := b.read(f).(types.Double)
		return Measured{Known: known, Number: float64(v)}
	}
}

// measure reads a custom value of the declared type.
func (field *Field) measure() func(*Facts) Measured {
	values := func(f *Facts) map[string]any { return f.Custom }
	if field.Scope == OfUser {
		values = func(f *Facts) map[string]any { return f.UserCustom }
	}
	if field.Type == TypeString {
		return func(f *Facts) Measured {
			v, known := values(f)[field.Name].(string)
			return Measured{Known: known && len(v) <= MaxStringBytes, IsText: true, Text: v}
		}
	}
	return func(f *Facts) Measured {
		v, known := values(f)[field.Name].(float64)
		return Measured{Known: known && !math.IsNaN(v) && !math.IsInf(v, 0), Number: v}
	}
}

// Counts tells whether the meter counts an occurrence as far as kind and
// condition go. A condition that is unknown or in error is not met.
func (m *Meter) Counts(o *Occurrence) bool {
	if (m.metric.Counts == CountChallenges) != (o.Challenge != "") {
		return false
	}
	if m.where == nil {
		return true
	}
	out, _, err := m.where.Eval(&occurrenceValues{m, o})
	return err == nil && out == types.True
}

// ReadsResult tells whether the meter's condition reads how a challenge ended.
// Where it does not, the condition says the same of every result.
func (m *Meter) ReadsResult() bool {
	_, reads := m.reads[challengeResult]
	return reads
}

// occurrenceValues is what the condition of a metric reads.
type occurrenceValues struct {
	meter *Meter
	*Occurrence
}

// ResolveName implements CEL's Activation.
func (v *occurrenceValues) ResolveName(name string) (any, bool) {
	i, ok := v.meter.reads[name]
	if !ok {
		return nil, false
	}
	if value := v.meter.values[i](v.Occurrence); value != nil {
		return value, true
	}
	return types.NewUnknown(0, types.NewAttributeTrail(name)), true
}

// Parent implements CEL's Activation.
func (v *occurrenceValues) Parent() interpreter.Activation { return nil }

// measurable is what the metrics of a definition may read.
type measurable struct {
	types   map[string]*cel.Type
	readers map[string]func(*Facts) ref.Val
	measure map[string]func(*Facts) Measured // texts and numbers
	actions compiler                         // of conditions on actions
	results compiler                         // of conditions on challenges
}

func newMeasurable(fields []Field) (*measurable, error) {
	m := &measurable{types: map[string]*cel.Type{}, readers: map[string]func(*Facts) ref.Val{}, measure: map[string]func(*Facts) Measured{}}
	add := func(name string, typ *cel.Type, read func(*Facts) ref.Val, measure func(*Facts) Measured) {
		m.types[name], m.readers[name] = typ, read
		if typ == cel.StringType || typ == cel.DoubleType {
			m.measure[name] = measure
		}
	}
	for i := range builtins() {
		b := &builtins()[i]
		add(b.Name, b.celType, b.read, b.measure())
	}
	for i := range fields {
		field := &fields[i]
		if typ := field.celType(); typ != nil && isFieldName(field.Name) {
			add(field.fact(), typ, func(f *Facts) ref.Val { return customValue(f, field) }, field.measure())
		}
	}
	if err := m.actions.declare(fields, map[string]*cel.Type{actionOutcome: cel.StringType}); err != nil {
		return nil, err
	}
	more := map[string]*cel.Type{actionOutcome: cel.StringType, challengeResult: cel.StringType}
	return m, m.results.declare(fields, more)
}

// meters compiles the metrics of a definition, and reports what is wrong with
// them. The result has a nil in the place of one that does not compile.
func (c *checker) meters(d *Definition) []*Meter {
	if len(d.Metrics) == 0 || len(d.Metrics) > MaxMetrics {
		return nil
	}
	facts, err := newMeasurable(d.Fields)
	if err != nil {
		c.report("metrics", "", "%v", err)
		return nil
	}
	meters := make([]*Meter, len(d.Metrics))
	costs := map[string]uint64{} // of each condition; metrics that share one ask it once
	for i := range d.Metrics {
		before := len(c.problems)
		m, cost := c.meter(fmt.Sprintf("metrics[%d]", i), d.Metrics[i], facts)
		if len(c.problems) == before {
			meters[i] = m
		}
		if m.ReadsResult() {
			cost *= uint64(len(ChallengeResults))
		}
		costs[m.parts.Condition] = cost
	}
	var total uint64
	for _, cost := range costs {
		total += cost
	}
	if total > MaxMetricsCost {
		c.report("metrics", "", "the conditions of the metrics may cost %d together at worst; at most %d is allowed, as they are asked for every action", total, MaxMetricsCost)
	}
	return meters
}

func (c *checker) meter(path string, metric Metric, facts *measurable) (m *Meter, cost uint64) {
	fill(&metric.Counts, CountActions)
	if metric.Per == "" {
		metric.Per = "user.id"
	}
	m = &Meter{metric: metric}
	c.oneOf(path+".counts", "", string(metric.Counts), []string{string(CountActions), string(CountChallenges)})
	c.measured(path, metric, facts)
	switch typ, known := facts.types[metric.Per]; {
	case !known:
		c.report(path+".per", "", "%s is no fact of this rule set", quoted(metric.Per))
	case typ != cel.StringType && typ != cel.DoubleType:
		c.report(path+".per", "", "%s is a %s; a metric is kept per string or number", metric.Per, typeName(typ.String()))
	}
	var err error
	if m.window, err = ParseWindow(metric.Window); err != nil {
		c.report(path+".window", "", "%v", err)
	}
	m.per, m.of = facts.measure[metric.Per], facts.measure[metric.Of]
	m.parts = Parts{
		Key:       facts.named(metric.Per),
		Value:     facts.named(metric.Of),
		Condition: string(metric.Counts) + "\x00" + metric.Where,
	}
	if metric.Where != "" {
		var reads []string
		reads, cost = c.where(path+".where", m, facts)
		for _, name := range reads {
			m.parts.Condition += "\x00" + facts.named(name)
		}
	}
	hash := sha256.Sum256([]byte(strings.Join([]string{
		string(metric.Function), fmt.Sprint(m.window.seconds), m.parts.Key, m.parts.Value, m.parts.Condition,
	}, "\x00\x00")))
	m.id = hex.EncodeToString(hash[:16])
	return m, cost
}

// named is a fact's name with its type, which a set gives to custom ones.
func (facts *measurable) named(fact string) string {
	if typ, ok := facts.types[fact]; ok {
		return fact + " " + typ.String()
	}
	return fact
}

// measured checks that a function has the fact that it needs.
func (c *checker) measured(path string, metric Metric, facts *measurable) {
	functions := []string{string(Count), string(Sum), string(Min), string(Max), string(Average), string(Distinct)}
	typ, known := facts.types[metric.Of]
	switch {
	case metric.Function == "":
		c.report(path+".function", "", "a function is missing: %s", strings.Join(functions, ", "))
	case !slices.Contains(functions, string(metric.Function)):
		c.oneOf(path+".function", "", string(metric.Function), functions)
	case metric.Function == Count && metric.Of != "":
		c.report(path+".of", "", "count has no fact to sum up; leave of empty, or use distinct")
	case metric.Function == Count:
	case metric.Of == "":
		c.report(path+".of", "", "a fact is missing: whose values are summed up")
	case !known:
		c.report(path+".of", "", "%s is no fact of this rule set", quoted(metric.Of))
	case metric.Function == Distinct && typ != cel.StringType && typ != cel.DoubleType:
		c.report(path+".of", "", "%s is a %s; distinct counts strings or numbers", metric.Of, typeName(typ.String()))
	case metric.Function != Distinct && typ != cel.DoubleType:
		c.report(path+".of", "", "%s is a %s; %s needs a number", metric.Of, typeName(typ.String()), metric.Function)
	}
}

// where compiles the condition of a metric. It returns what the condition reads
// and what it costs at worst.
func (c *checker) where(path string, m *Meter, facts *measurable) (reads []string, cost uint64) {
	language := &facts.actions
	if m.metric.Counts == CountChallenges {
		language = &facts.results
	}
	if problems := language.forbidden(m.metric); len(problems) > 0 {
		for _, p := range problems {
			p.Field = path
			c.add(p)
		}
		return nil, 0
	}
	condition, problems := language.compile(m.metric.Where)
	for _, p := range problems {
		p.Field = path
		c.add(p)
	}
	if condition == nil {
		return nil, 0
	}
	m.where, m.reads = condition.program, make(map[string]int, len(condition.reads))
	for _, name := range condition.reads {
		if _, twice := m.reads[name]; twice {
			continue
		}
		m.reads[name] = len(m.values)
		m.values = append(m.values, facts.reader(name))
	}
	return condition.reads, condition.cost
}

// reader reads what a metric's condition calls name.
func (facts *measurable) reader(name string) func(*Occurrence) ref.Val {
	switch name {
	case actionOutcome:
		return func(o *Occurrence) ref.Val { return types.String(o.Outcome) }
	case challengeResult:
		return func(o *Occurrence) ref.Val { return types.String(o.Challenge) }
	}
	read := facts.readers[name]
	return func(o *Occurrence) ref.Val { return read(o.Facts) }
}

// forbidden finds what the conditions of rules may read and those of metrics not.
func (c *compiler) forbidden(metric Metric) []Problem {
	if len(metric.Where) > MaxExpressionBytes {
		return nil // compiling reports it
	}
	parsed, issues := c.env.Parse(metric.Where)
	if issues.Err() != nil {
		return nil // so is this
	}
	info := parsed.NativeRep().SourceInfo()
	var problems []Problem
	ast.PostOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		name, root, ok := dotted(e)
		if !ok || e.Kind() != ast.SelectKind || len(problems) == MaxProblems {
			return
		}
		switch {
		case strings.HasPrefix(name, metricPrefix), strings.HasPrefix(name, listPrefix):
			problems = append(problems, at(info, root, "the condition of a metric reads neither metrics nor lists"))
		case name == challengeResult && metric.Counts != CountChallenges:
			problems = append(problems, at(info, root, "challenge.result is there only for a metric with counts: challenges"))
		}
	}))
	return problems
}

// Meters are the compiled metrics of the set, in the order of its definition.
func (s *Set) Meters() []*Meter { return s.meters }

// MetersOf are the metrics that the rules of an action may read, live and in
// shadow, each once, in the order of the definition. The caller must not change
// them.
func (s *Set) MetersOf(code string) []*Meter { return s.action(code).meters }

// metersAmong finds the meters of the metrics among the names that rules need.
func (s *Set) metersAmong(needs map[string]bool) []*Meter {
	var meters []*Meter
	for _, m := range s.meters {
		if m != nil && needs[metricPrefix+m.Name()] {
			meters = append(meters, m)
		}
	}
	return meters
}
