package rules

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPromptValueRunes bounds each value inside a prompt, in characters.
const MaxPromptValueRunes = 100

// missing stands in a prompt for a value that was not sent.
const missing = "…"

// FillPrompt writes the text that a person approves: template with {name}
// replaced by the custom value of that name. Values are cut to
// MaxPromptValueRunes, and lose line breaks, control characters and whatever
// changes the direction of text, so that a value cannot disguise the sentence
// around it. Numbers are written plainly, a missing value as "…". An empty
// template gives a sentence with the action's code.
func FillPrompt(template, code string, custom map[string]any) string {
	if template == "" {
		return "Confirm: " + strings.NewReplacer("-", " ", "_", " ").Replace(code)
	}
	var out strings.Builder
	for _, part := range splitPrompt(template) {
		if !part.value {
			out.WriteString(plainText(part.text, MaxPromptRunes))
			continue
		}
		out.WriteString(promptValue(custom[part.text]))
	}
	return out.String()
}

func promptValue(v any) string {
	switch v := v.(type) {
	case string:
		if text := strings.TrimSpace(plainText(v, MaxPromptValueRunes)); text != "" {
			return text
		}
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return plainNumber(v)
		}
	case bool:
		if v {
			return "yes"
		}
		return "no"
	}
	return missing
}

// plainNumber writes 250, 249.90 and 0.125: no exponent up to 15 digits, no
// separators, which mean different things to different people, and two decimals
// where there is one, as amounts have.
func plainNumber(v float64) string {
	if math.Abs(v) >= 1e15 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if _, decimals, ok := strings.Cut(text, "."); ok && len(decimals) == 1 {
		text += "0"
	}
	return text
}

// plainText keeps printable characters on one line, at most limit of them.
func plainText(s string, limit int) string {
	var out strings.Builder
	n, space := 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case r == utf8.RuneError, !unicode.IsPrint(r):
			continue // control, format and direction characters among them
		}
		if n >= limit {
			out.WriteString(missing)
			return out.String()
		}
		if space {
			out.WriteByte(' ')
			space = false
		}
		out.WriteRune(r)
		n++
	}
	if space {
		out.WriteByte(' ')
	}
	return out.String()
}

// promptPart is a piece of a template: text as it stands, or a value's name.
type promptPart struct {
	text  string
	value bool
}

// splitPrompt takes a template apart. A brace that does not enclose a name
// stands for itself.
func splitPrompt(template string) []promptPart {
	var parts []promptPart
	for template != "" {
		start := strings.IndexByte(template, '{')
		if start < 0 {
			break
		}
		name, rest, closed := strings.Cut(template[start+1:], "}")
		if !closed || !isFieldName(name) {
			parts = append(parts, promptPart{text: template[:start+1]})
			template = template[start+1:]
			continue
		}
		parts = append(parts, promptPart{text: template[:start]}, promptPart{text: name, value: true})
		template = rest
	}
	return append(parts, promptPart{text: template})
}

// checkPrompt says what is wrong with a template.
func checkPrompt(template string, fields []Field) []string {
	var problems []string
	sent, kept := map[string]bool{}, map[string]bool{}
	for _, f := range fields {
		if f.Scope == OfUser {
			kept[f.Name] = true
		} else {
			sent[f.Name] = true
		}
	}
	for _, part := range splitPrompt(template) {
		switch {
		case part.value && !sent[part.text] && kept[part.text]:
			problems = append(problems, fmt.Sprintf("{%s} is kept with the user; a prompt shows what is sent with the action", part.text))
		case part.value && !sent[part.text]:
			problems = append(problems, fmt.Sprintf("{%s} is not a declared field", part.text))
		case !part.value && strings.ContainsAny(part.text, "{}"):
			problems = append(problems, "a brace must enclose the name of a field, such as {amount}")
		}
	}
	return problems
}
