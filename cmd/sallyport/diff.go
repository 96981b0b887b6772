package main

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// diff writes changes under the action, or the kind of declaration, that they
// belong to.
func (p pen) diff(changes []rules.Change) {
	if len(changes) == 0 {
		p.line("nothing differs")
		return
	}
	heading, part := "", ""
	for _, c := range changes {
		if h := headingOf(c); h != heading {
			if heading != "" {
				p.line("")
			}
			p.line("%s", p.in(bold, h))
			heading, part = h, ""
		}
		name := c.Name
		if c.Part == "action" {
			name = "settings"
		}
		switch c.Kind {
		case rules.Added:
			p.whole(green, "+ "+name, "  ", c.New)
		case rules.Removed:
			p.whole(red, "- "+name, "  ", c.Old)
		default:
			if part != c.Part+name {
				p.line("  %s", p.in(yellow, "~ "+name))
			}
			p.change(c)
		}
		part = c.Part + name
	}
}

func headingOf(c rules.Change) string {
	action := c.Action
	if c.Part == "action" {
		action = c.Name
	}
	switch {
	case action == rules.AnyOtherAction:
		return "any other action"
	case action != "":
		return "action " + action
	}
	return c.Part + "s"
}

// changes writes what differs between two rule sets, one below the other.
func (p pen) changes(list []rules.Change) {
	const most = 50
	for i, c := range list {
		if i == most {
			p.line("  %s", p.in(dim, fmt.Sprintf("… and %d more changes", len(list)-most)))
			return
		}
		switch c.Kind {
		case rules.Added:
			p.whole(green, "+ "+strings.TrimSuffix(c.String(), ": added"), ": ", c.New)
		case rules.Removed:
			p.whole(red, "- "+strings.TrimSuffix(c.String(), ": removed"), ": ", c.Old)
		default:
			p.line("  %s %s", p.in(yellow, "~"), c)
		}
	}
}

// attributeColumn is how wide the names of attributes are.
const attributeColumn = 14

// column is the name of an attribute at the width of its column. A longer one
// stands off its value by a blank.
func column(name string) string { return fmt.Sprintf("%-*s ", attributeColumn-1, name) }

// whole writes a part that came or went: the most important on one line, and
// below it everything else that is not as if it were left out.
func (p pen) whole(colour, head, separator string, part any) {
	text, told := oneLine(part)
	if text != "" {
		text = separator + text
	}
	p.line("  %s%s", p.in(colour, head), p.in(dim, text))
	for _, a := range otherAttributes(part, told) {
		p.line("      %s%s", p.in(dim, column(a.name)), p.in(colour, a.value))
	}
}

// oneLine is the most important of a part, and which attributes that tells.
func oneLine(part any) (text string, told []string) {
	switch v := part.(type) {
	case rules.Rule:
		return fmt.Sprintf("%s when %s", v.Outcome, flat(v.When)), []string{"id", "when", "outcome"}
	case rules.Field:
		return string(v.Type), []string{"name", "type"}
	case rules.List:
		return string(v.Type), []string{"name", "type"}
	case rules.Metric:
		text := fmt.Sprintf("%s %s per %s in %s", v.Function, v.Of, cmp.Or(v.Per, "user.id"), v.Window)
		return flat(text), []string{"name", "function", "of", "per", "window"}
	case rules.Test:
		return fmt.Sprintf("%s: want %s", v.Action, v.Want), []string{"name", "action", "want"}
	case rules.ActionRules:
		return "", []string{"code", "rules"} // each rule is a change of its own
	}
	return "", nil
}

// flat is a text without line breaks.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// leftOut are values that mean the same as none, by type.
var leftOut = map[reflect.Type]string{
	reflect.TypeFor[rules.Mode]():      string(rules.Live),
	reflect.TypeFor[rules.OnError]():   string(rules.ErrorFails),
	reflect.TypeFor[rules.OnUnknown](): string(rules.UnknownIgnored),
	reflect.TypeFor[rules.Scope]():     string(rules.OfAction),
	reflect.TypeFor[rules.Counted]():   string(rules.CountActions),
}

type detail struct{ name, value string }

// maxAttribute is how much of one value is printed, in characters.
const maxAttribute = 400

// otherAttributes are those of a part that are not told yet and that are not as
// if they were left out, in the order of the file format.
func otherAttributes(part any, told []string) []detail {
	value := reflect.ValueOf(part)
	if value.Kind() != reflect.Struct {
		return nil
	}
	var list []detail
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("yaml"), ",")
		field := value.Field(i)
		if slices.Contains(told, name) || field.IsZero() || field.Kind() == reflect.String && leftOut[field.Type()] == field.String() {
			continue
		}
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		list = append(list, detail{name, clipped(flat(rules.ValueText(field.Interface())), maxAttribute)})
	}
	return list
}

// clipped is at most the first characters of a text.
func clipped(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// change writes the old and the new value of an attribute: side by side, or one
// below the other when they are long.
func (p pen) change(c rules.Change) {
	const width = attributeColumn
	before, after := rules.ValueText(c.Old), rules.ValueText(c.New)
	label := column(c.Attribute)
	if c.Kind == rules.Moved {
		label = column("moved from")
		before, after = c.Attribute+" "+before, c.Attribute+" "+after
	}
	if len(before)+len(after) <= 50 && !strings.Contains(before+after, "\n") {
		p.line("      %s%s → %s", label, p.in(red, before), p.in(green, after))
		return
	}
	indent := "\n        " + strings.Repeat(" ", width)
	p.line("      %s%s", label, p.in(red, "- "+strings.ReplaceAll(before, "\n", indent)))
	p.line("      %s%s", strings.Repeat(" ", width), p.in(green, "+ "+strings.ReplaceAll(after, "\n", indent)))
}
