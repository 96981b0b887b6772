package rules_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// manyTime is what a text or a set of megabytes may cost in processor time. What
// these tests are about took minutes to hours.
const manyTime = 4 * time.Second * slowdown

func within(t *testing.T, what string, f func()) {
	t.Helper()
	start := processorTime(t)
	f()
	if took := processorTime(t) - start; took > manyTime {
		t.Errorf("%s took %v of processor time", what, took)
	}
}

// largeTexts are files of a megabyte or more that somebody may send.
func largeTexts() map[string]struct{ text, want string } {
	numbered := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	chained := func(n int, first, format string) string {
		var b strings.Builder
		b.WriteString(first)
		for i := range n {
			fmt.Fprintf(&b, format, i+1, i)
		}
		return b.String()
	}
	const mappings, nesting, values = "a mapping has", "nests deeper than 100 levels", "holds more than 1000000 values"
	test := "tests:\n- name: a\n  facts:\n"
	return map[string]struct{ text, want string }{
		"keys":                          {numbered(150_000, "k%d: 1\n"), mappings + " 150000 keys; at most 1000 are allowed"},
		"keys of a fact":                {test + numbered(150_000, "    k%d: 1\n"), mappings},
		"keys in braces":                {"tests: [{facts: {" + numbered(150_000, "k%d: 1,") + "}}]", mappings},
		"keys behind an alias":          {"fields: [{name: &n {" + numbered(150_000, "k%d: 1,") + "}}, {name: *n}]", mappings},
		"one key again and again":       {strings.Repeat("a: 1\n", 150_000), mappings},
		"one key a thousand times":      {"tests: [" + strings.Repeat("{"+strings.Repeat("a: 1,", 1000)+"},", 150) + "]", "mapping key \"a\" already defined at line 1"},
		"mappings of a thousand":        {"tests: [" + strings.Repeat("{name: a, facts: {"+numbered(990, "k%d: 1,")+"}},", 200) + "]", ""},
		"values":                        {"fields: [" + strings.Repeat("{},", 1_000_000) + "]", values},
		"lists side by side":            {"fields: [" + strings.Repeat("[],", 1_000_000) + "]", values},
		"merges of merges":              {chained(4000, test+"    &m0 {a: 1}\n", "- facts: &m%[1]d {<<: *m%[2]d, k%[1]d: 1}\n"), ""},
		"aliases of aliases":            {chained(50_000, "tests:\n- facts: {a: &a0 [x]}\n", "- facts: {a: &a%d [*a%d]}\n"), nesting},
		"a long text repeated":          {"fields: [{name: &n " + strings.Repeat("x", 1<<20) + "}," + strings.Repeat("{name: *n},", 8) + "]", "has more than 8388608 bytes, those that aliases repeat included"},
		"a list repeated":               {"fields: [{name: &n [" + strings.Repeat("1,", 2000) + "]}," + strings.Repeat("{name: *n},", 1000) + "]", values},
		"documents":                     {strings.Repeat("---\na: 1\n", 200_000), "more than one YAML document"},
		"anchors":                       {"fields: [" + numbered(100_000, "&a%d x,") + "]", "a single value stands here where a mapping belongs"},
		"comments":                      {strings.Repeat("# x\n", 1<<18) + "otherwise: {}", ""},
		"comments between values":       {"fields:\n" + strings.Repeat("# x\n- {}\n", 100_000), ""},
		"comments behind values":        {"fields:\n" + strings.Repeat("- {} # x\n", 100_000), ""},
		"a plain text of many lines":    {"otherwise:\n  prompt: a\n" + strings.Repeat("    b\n", 1<<18), ""},
		"a folded text":                 {"otherwise:\n  prompt: >\n" + strings.Repeat("    b\n\n", 1<<18), ""},
		"a literal text":                {"otherwise:\n  prompt: |\n" + strings.Repeat("    b\n", 1<<18), ""},
		"a quoted text":                 {"otherwise: {prompt: \"" + strings.Repeat("\\u0061", 1<<18) + "\"}", ""},
		"a long number":                 {"otherwise: {prompt: " + strings.Repeat("1", 1<<20) + "}", ""},
		"a long tag":                    {"otherwise: !" + strings.Repeat("a", 1<<20) + " {}", ""},
		"questions":                     {strings.Repeat("? ", 1<<19), ""},
		"dashes":                        {strings.Repeat("- ", 1<<19), ""},
		"braces":                        {strings.Repeat("{", 1<<20), ""},
		"open quotes":                   {"fields: [" + strings.Repeat("\"a", 1<<19), ""},
		"line breaks":                   {strings.Repeat("\n", 4<<20) + "otherwise: {}", ""},
		"tags":                          {strings.Repeat("%TAG !a! b\n", 50_000) + "---\na: 1", ""},
		"JSON: keys":                    {"{" + numbered(150_000, "\"k%d\": 1,") + "\"a\": 1}", mappings},
		"JSON: values":                  {"{\"fields\": [" + strings.Repeat("{},", 1_000_000) + "{}]}", values},
		"JSON: lists in lists":          {"{\"fields\": " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", nesting},
		"JSON: keys that are not known": {"{\"otherwise\": {" + numbered(900, "\"x%d\": \""+strings.Repeat("ä", 2000)+"\",") + "\"rules\": []}}", ""},
		"JSON: a long key":              {"{\"" + strings.Repeat("k", 1<<20) + "\": 1, \"" + strings.Repeat("k", 1<<20) + "\": 1}", ""},
	}
}

func TestLargeTextsTakeTimeByTheirSize(t *testing.T) {
	for name, tt := range largeTexts() {
		t.Run(name, func(t *testing.T) {
			var err error
			within(t, "reading", func() { _, err = rules.ParseYAML([]byte(tt.text)) })
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %.300v, want %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > 20_000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			within(t, "reading as JSON", func() { _, err = rules.ParseJSON([]byte(tt.text)) })
			if strings.HasPrefix(name, "JSON") && (err == nil || len(err.Error()) > 20_000 || !jsonRefusal(err)) {
				t.Errorf("got %.300v", err)
			}
		})
	}
}

// jsonRefusal reports whether a text was refused for what the cases of JSON have
// too much of.
func jsonRefusal(err error) bool {
	for _, part := range []string{"more than 1000 keys", "more than 1000000 values", "nests deeper than 100", "for the second time", "is not a key that belongs here"} {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}

// alike are rules that no few texts tell apart: each tests one of many texts, of
// which one is another than in all others.
func alike(n int) rules.Definition {
	var texts strings.Builder
	for i := range 480 {
		fmt.Fprintf(&texts, `,"%03d"`, i)
	}
	d := withRule("true")
	d.Otherwise.Rules = make([]rules.Rule, n)
	for i := range d.Otherwise.Rules {
		d.Otherwise.Rules[i] = rules.Rule{
			ID: fmt.Sprintf("r%d", i), Name: "R", Outcome: rules.Review,
			When: fmt.Sprintf(`custom.payee in ["!","~"%s,"zz%d"]`, texts.String(), i),
		}
	}
	return d
}

func TestAnalysingIsBounded(t *testing.T) {
	set := compile(t, alike(600))
	within(t, "analysing", func() {
		found := analyze(t, set)
		if len(found) == 0 || found[0].Kind != rules.Undecided {
			t.Errorf("got %d findings, want the rules that were not reached", len(found))
		}
	})
	t.Run("in all actions together", func(t *testing.T) {
		d := alike(600)
		for i := range 6 {
			d.Actions = append(d.Actions, rules.ActionRules{Code: fmt.Sprintf("a%d", i), Rules: d.Otherwise.Rules[100*i : 100*i+100]})
		}
		d.Otherwise.Rules = nil
		set := compile(t, d)
		within(t, "analysing", func() { analyze(t, set) })
	})
}

func TestWorkEndsWithItsContext(t *testing.T) {
	set := compile(t, rules.Example())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rules.Analyze(ctx, set); !errors.Is(err, context.Canceled) {
		t.Errorf("analysing: %v", err)
	}
	if _, err := set.RunTests(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("testing: %v", err)
	}
}

func TestComparingDefinitionsIsBounded(t *testing.T) {
	old, next := rules.Definition{}, rules.Definition{Fields: make([]rules.Field, 100_000)}
	within(t, "comparing", func() {
		if got := rules.Diff(&old, &next); len(got) != len(next.Fields) {
			t.Errorf("%d changes", len(got))
		}
	})
}
