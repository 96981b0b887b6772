package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ChangeKind says what happened to a part of a definition.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed" // one attribute
	Moved   ChangeKind = "moved"   // a rule: to another place among the rules of its action, or to another action
)

// AnyOtherAction stands where the code of an action could: the rules of
// Otherwise. No action has it as its code.
const AnyOtherAction = "*"

// Change is one difference between two definitions.
type Change struct {
	Kind      ChangeKind `json:"kind"`
	Part      string     `json:"part"`                // field, metric, list, action, rule or test
	Name      string     `json:"name,omitempty"`      // of the part; a rule's id, an action's code, a field's name in conditions
	Action    string     `json:"action,omitempty"`    // of a rule; AnyOtherAction for those of Otherwise
	Attribute string     `json:"attribute,omitempty"` // as the file has it; place or action for a rule that moved
	Old       any        `json:"old,omitempty"`       // the whole part, or the attribute's value; places count from 1
	New       any        `json:"new,omitempty"`
}

// String is the change on one line.
func (c Change) String() string {
	what := c.Part + " " + c.Name
	if c.Part == "action" && c.Name == AnyOtherAction {
		what = "any other action"
	}
	if c.Part == "rule" && c.Action != AnyOtherAction {
		what += " of " + c.Action
	}
	switch c.Kind {
	case Added, Removed:
		return fmt.Sprintf("%s: %s", what, c.Kind)
	case Moved:
		return fmt.Sprintf("%s: moved from %s %s to %s", what, c.Attribute, ValueText(c.Old), ValueText(c.New))
	}
	return fmt.Sprintf("%s: %s: %s → %s", what, c.Attribute, ValueText(c.Old), ValueText(c.New))
}

// ValueText writes an attribute's value for people to read: texts as they are,
// anything else as JSON, nothing as a dash.
func ValueText(v any) string {
	if v == nil {
		return "–"
	}
	if value := reflect.ValueOf(v); value.Kind() == reflect.String {
		if value.String() == "" {
			return "–"
		}
		return value.String()
	}
	return string(canonical(v))
}

// Diff lists what differs between two definitions: fields, metrics and lists,
// then action by action its settings and rules, then tests. What is left out and
// what is written as its default are the same. A rule is recognised by its id
// wherever it stands. Definitions need not compile.
func Diff(old, new *Definition) []Change {
	out := []Change{}
	out = append(out, diffParts("field", old.Fields, new.Fields, func(f *Field) string { return f.fact() })...)
	out = append(out, diffParts("metric", old.Metrics, new.Metrics, func(m *Metric) string { return m.Name })...)
	out = append(out, diffParts("list", old.Lists, new.Lists, func(l *List) string { return l.Name })...)
	out = append(out, diffActions(old, new)...)
	out = append(out, diffParts("test", old.Tests, new.Tests, func(t *Test) string { return t.Name })...)
	return out
}

// keyed finds parts by name. A second one of the same name, which a definition
// that compiles does not have, is kept apart.
func keyed[T any](parts []T, name func(*T) string) ([]string, map[string]*T) {
	keys, byKey := make([]string, len(parts)), make(map[string]*T, len(parts))
	count := map[string]int{} // how many were looked at under a name
	for i := range parts {
		key := name(&parts[i])
		for plain := key; byKey[key] != nil; key = fmt.Sprintf("%s (%d)", plain, count[plain]) {
			count[plain] = max(count[plain], 1) + 1
		}
		keys[i], byKey[key] = key, &parts[i]
	}
	return keys, byKey
}

func diffParts[T any](part string, old, new []T, name func(*T) string) []Change {
	var out []Change
	oldKeys, before := keyed(old, name)
	newKeys, after := keyed(new, name)
	for _, key := range oldKeys {
		if after[key] == nil {
			out = append(out, Change{Kind: Removed, Part: part, Name: key, Old: shown(*before[key])})
		}
	}
	for _, key := range newKeys {
		if was := before[key]; was == nil {
			out = append(out, Change{Kind: Added, Part: part, Name: key, New: shown(*after[key])})
		} else {
			out = append(out, attributes(Change{Kind: Changed, Part: part, Name: key}, was, after[key])...)
		}
	}
	return out
}

// attributes compares two parts attribute by attribute.
func attributes(c Change, old, new any) []Change {
	var out []Change
	before, after := reflect.ValueOf(old).Elem(), reflect.ValueOf(new).Elem()
	for i := range before.NumField() {
		name, _, _ := strings.Cut(before.Type().Field(i).Tag.Get("json"), ",")
		switch name {
		case "id", "code", "rules", "position":
			continue
		}
		was, is := before.Field(i), after.Field(i)
		if bytes.Equal(canonical(was.Interface()), canonical(is.Interface())) {
			continue
		}
		c.Attribute, c.Old, c.New = name, shown(plainAttribute(was)), shown(plainAttribute(is))
		out = append(out, c)
	}
	return out
}

// canonical is a value as JSON, so that numbers and times are equal whether
// they were read from YAML or from JSON. A list without items is no list.
func canonical(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // what a YAML file can hold and JSON cannot, such as .nan
		return fmt.Appendf(nil, "%v", v)
	}
	if string(text) == "[]" || string(text) == "{}" {
		return []byte("null")
	}
	return text
}

// shown is a value that can be written as JSON: itself, or words for what only
// YAML can hold.
func shown(v any) any {
	if _, err := json.Marshal(v); err != nil {
		return fmt.Sprint(v)
	}
	return v
}

func plainAttribute(v reflect.Value) any {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		if v.IsNil() || v.Kind() != reflect.Pointer && v.Len() == 0 {
			return nil
		}
	}
	if v.Kind() == reflect.Pointer {
		return v.Elem().Interface()
	}
	return v.Interface()
}

// place is where a rule stands.
type place struct {
	action string
	index  int
	rule   *Rule
}

func diffActions(old, new *Definition) []Change {
	before, after := actionsOf(old), actionsOf(new)
	oldPlaces, newPlaces := places(before), places(after)
	var out []Change
	actionKeys, byCode := keyed(after, func(a *ActionRules) string { return a.Code })
	oldKeys, oldByCode := keyed(before, func(a *ActionRules) string { return a.Code })
	for _, code := range oldKeys {
		a := oldByCode[code]
		if byCode[code] == nil {
			out = append(out, Change{Kind: Removed, Part: "action", Name: code, Old: *a})
		}
		for i := range a.Rules {
			if _, stays := newPlaces[a.Rules[i].ID]; !stays {
				out = append(out, Change{Kind: Removed, Part: "rule", Name: a.Rules[i].ID, Action: code, Old: a.Rules[i]})
			}
		}
	}
	for _, code := range actionKeys {
		a := byCode[code]
		if was := oldByCode[code]; was != nil {
			out = append(out, attributes(Change{Kind: Changed, Part: "action", Name: code}, was, a)...)
		} else {
			added := *a
			added.Rules = []Rule{} // each of them is a change of its own
			out = append(out, Change{Kind: Added, Part: "action", Name: code, New: added})
		}
		out = append(out, diffRules(code, a.Rules, oldPlaces)...)
	}
	return out
}

// actionsOf lists the actions with their defaults filled in, Otherwise last.
func actionsOf(d *Definition) []ActionRules {
	out := make([]ActionRules, 0, len(d.Actions)+1)
	for i := range d.Actions {
		out = append(out, withDefaults(d.Actions[i]))
	}
	last := withDefaults(d.Otherwise)
	last.Code = AnyOtherAction
	return append(out, last)
}

func places(actions []ActionRules) map[string]place {
	byID := map[string]place{}
	for i := range actions {
		for j := range actions[i].Rules {
			if r := &actions[i].Rules[j]; byID[r.ID].rule == nil {
				byID[r.ID] = place{actions[i].Code, j, r}
			}
		}
	}
	return byID
}

// diffRules lists what has become of the rules of one action.
func diffRules(code string, rules []Rule, before map[string]place) []Change {
	var out []Change
	stays := staying(code, rules, before)
	for i := range rules {
		r := &rules[i]
		was, found := before[r.ID]
		c := Change{Part: "rule", Name: r.ID, Action: code}
		if !found {
			c.Kind, c.New = Added, *r
			out = append(out, c)
			continue
		}
		switch {
		case was.action != code:
			c.Kind, c.Attribute, c.Old, c.New = Moved, "action", was.action, code
			out = append(out, c)
		case !stays[i]:
			c.Kind, c.Attribute, c.Old, c.New = Moved, "place", was.index+1, i+1
			out = append(out, c)
		}
		c.Kind = Changed
		if r.Position != nil && was.rule.Position != nil && *r.Position != *was.rule.Position && was.action == code && stays[i] {
			c.Attribute, c.Old, c.New = "position", *was.rule.Position, *r.Position
			out = append(out, c)
		}
		out = append(out, attributes(c, was.rule, r)...)
	}
	return out
}

// staying finds the rules that need not be moved: a longest sequence of them
// that stands in the same order as before.
func staying(code string, rules []Rule, before map[string]place) []bool {
	var ends []int // place in rules of the last rule of the best sequence of each length
	previous := make([]int, len(rules))
	index := func(i int) int { return before[rules[i].ID].index }
	for i := range rules {
		if was, found := before[rules[i].ID]; !found || was.action != code {
			continue
		}
		length, _ := slices.BinarySearchFunc(ends, index(i), func(end, target int) int { return index(end) - target })
		previous[i] = -1
		if length > 0 {
			previous[i] = ends[length-1]
		}
		if length == len(ends) {
			ends = append(ends, i)
		} else {
			ends[length] = i
		}
	}
	stays := make([]bool, len(rules))
	if len(ends) > 0 {
		for i := ends[len(ends)-1]; i >= 0; i = previous[i] {
			stays[i] = true
		}
	}
	return stays
}
