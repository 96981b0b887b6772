package rules

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// FactsOf makes the facts of an action out of values by the names that
// conditions use: facts, fields (custom.NAME, user.custom.NAME), metrics
// (metric.NAME) and list tests ("ip.address in list.NAME"). A value is a string,
// a number, a boolean or, as an RFC 3339 text or a time.Time, a time. What is not
// there, or null, is unknown; a fact that cannot be unknown is then false, 0 or
// empty.
//
// Problems name the value that has no such name or another type. The facts are
// nil when there is one.
func FactsOf(d *Definition, action string, named map[string]any) (*Facts, []Problem) {
	facts := &Facts{Action: ActionFacts{Code: action}}
	names := newNamed(d)
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if message := names.set(facts, name, named[name]); message != "" && len(problems) < MaxProblems {
			problems = append(problems, Problem{Field: name, Message: message})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return facts, nil
}

// named finds what a name in a test or a question stands for.
type named struct {
	facts   map[string]*builtin
	fields  map[string]*Field
	metrics map[string]bool     // by the name in conditions
	lists   map[string]ListType // by the name in conditions
}

func newNamed(d *Definition) *named {
	n := &named{facts: builtinsByName(), fields: map[string]*Field{}, metrics: map[string]bool{}, lists: map[string]ListType{}}
	for i := range d.Fields {
		n.fields[d.Fields[i].fact()] = &d.Fields[i]
	}
	for _, m := range d.Metrics {
		n.metrics[metricPrefix+m.Name] = true
	}
	for _, l := range d.Lists {
		n.lists[listPrefix+l.Name] = l.Type
	}
	return n
}

// set puts one value where it belongs, and says in words why it cannot.
func (n *named) set(f *Facts, name string, v any) string {
	if fact, list, isTest := strings.Cut(name, " in "); isTest {
		return n.setTest(f, strings.TrimSpace(fact), strings.TrimSpace(list), v)
	}
	if b, found := n.facts[name]; found {
		return setFact(f, b, v)
	}
	if field, found := n.fields[name]; found {
		return setField(f, field, v)
	}
	if n.metrics[name] {
		return setMetric(f, strings.TrimPrefix(name, metricPrefix), v)
	}
	switch {
	case strings.HasPrefix(name, customPrefix), strings.HasPrefix(name, userCustomPrefix):
		return fmt.Sprintf("%s is not declared; add it to the fields of this rule set%s", quoted(name), n.suggest(name))
	case strings.HasPrefix(name, metricPrefix):
		return fmt.Sprintf("%s is not declared; add it to the metrics of this rule set%s", quoted(name), n.suggest(name))
	}
	return fmt.Sprintf("there is no fact %s%s", quoted(name), n.suggest(name))
}

// suggest names what was probably meant: a fact, a field or a metric.
func (n *named) suggest(name string) string {
	names := slices.Collect(maps.Keys(n.facts))
	names = slices.AppendSeq(names, maps.Keys(n.fields))
	return didYouMean(closest(name, slices.AppendSeq(names, maps.Keys(n.metrics))))
}

func (n *named) setTest(f *Facts, fact, list string, v any) string {
	typ, declared := n.lists[list]
	switch {
	case !declared:
		return fmt.Sprintf("%s is not declared; add it to the lists of this rule set%s", quoted(list), didYouMean(closest(list, slices.Collect(maps.Keys(n.lists)))))
	case v == nil:
		return ""
	}
	if factType := n.typeOf(fact); factType == "" {
		return fmt.Sprintf("there is no fact %s%s", quoted(fact), n.suggest(fact))
	} else if (typ == ListOfNumbers) != (factType == string(TypeNumber)) || typ != ListOfNumbers && factType != string(TypeString) {
		return fmt.Sprintf("%s is a list of type %s, in which %s cannot be", list, typ, fact)
	}
	truth, ok := v.(bool)
	if !ok {
		return wrongValue(string(TypeBool), v)
	}
	if f.Lists == nil {
		f.Lists = map[string]bool{}
	}
	f.Lists[newListTest(fact, list).Name] = truth
	return ""
}

// typeOf is the type of a fact or field, "" when there is none.
func (n *named) typeOf(fact string) string {
	if b, found := n.facts[fact]; found {
		return b.Type
	}
	if field, found := n.fields[fact]; found {
		return string(field.Type)
	}
	if n.metrics[fact] {
		return string(TypeNumber)
	}
	return ""
}

func setFact(f *Facts, b *builtin, v any) string {
	if v == nil {
		if b.always {
			return fmt.Sprintf("%s is always known", b.Name)
		}
		return ""
	}
	value, message := plainValue(v)
	if message != "" {
		return message
	}
	if !b.write(f, value) {
		return wrongValue(b.Type, v)
	}
	return ""
}

func setField(f *Facts, field *Field, v any) string {
	if v == nil {
		return ""
	}
	value, message := plainValue(v)
	if message != "" {
		return message
	}
	values := &f.Custom
	if field.Scope == OfUser {
		values = &f.UserCustom
	}
	if *values == nil {
		*values = map[string]any{}
	}
	switch {
	case value.kind == textScalar && field.Type == TypeString:
		(*values)[field.Name] = value.text
	case value.kind == numberScalar && field.Type == TypeNumber:
		(*values)[field.Name] = value.number
	case value.kind == boolScalar && field.Type == TypeBool:
		(*values)[field.Name] = value.truth
	case field.celType() != nil: // otherwise the field is the problem
		return wrongValue(string(field.Type), v)
	}
	return ""
}

func setMetric(f *Facts, name string, v any) string {
	if v == nil {
		return ""
	}
	value, message := plainValue(v)
	switch {
	case message != "":
		return message
	case value.kind != numberScalar:
		return wrongValue(string(TypeNumber), v)
	}
	if f.Metrics == nil {
		f.Metrics = map[string]float64{}
	}
	f.Metrics[name] = value.number
	return ""
}

// plainValue takes a value as YAML, JSON and Go have it.
func plainValue(v any) (scalar, string) {
	switch v := v.(type) {
	case int:
		return scalar{kind: numberScalar, number: float64(v)}, ""
	case int64:
		return scalar{kind: numberScalar, number: float64(v)}, ""
	case uint64:
		return scalar{kind: numberScalar, number: float64(v)}, ""
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return scalar{}, "a number that is infinite or not a number is unknown; leave it out"
		}
		return scalar{kind: numberScalar, number: v}, ""
	case string:
		if len(v) > MaxStringBytes {
			return scalar{}, fmt.Sprintf("the text has %d bytes; one of more than %d is unknown", len(v), MaxStringBytes)
		}
		return scalar{kind: textScalar, text: v}, ""
	case bool:
		return scalar{kind: boolScalar, truth: v}, ""
	case time.Time:
		return scalar{kind: timeScalar, time: v.UTC()}, ""
	}
	return scalar{}, fmt.Sprintf("a %s stands here where a single value belongs", shape(v))
}

func shape(v any) string {
	switch v.(type) {
	case []any:
		return "list"
	case map[string]any, map[any]any:
		return "mapping"
	}
	return fmt.Sprintf("%T", v)
}

// wrongValue says that a value has another type than the fact.
func wrongValue(want string, v any) string {
	has := shape(v)
	switch v.(type) {
	case string:
		has = string(TypeString)
	case int, int64, uint64, float64:
		has = string(TypeNumber)
	case bool:
		has = string(TypeBool)
	case time.Time:
		has = "timestamp"
	}
	if has == want { // a text that is no time, a count that is no whole number
		return fmt.Sprintf("this is not a %s that it can have", want)
	}
	if want == "timestamp" {
		return fmt.Sprintf("a %s stands here where a time such as 2026-11-22T10:00:00Z belongs", has)
	}
	return fmt.Sprintf("a %s stands here where a %s belongs", has, want)
}
