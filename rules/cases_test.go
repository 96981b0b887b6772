package rules_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/sallyport/sallyport/rules"
)

// testCase is one evaluation in a file of testdata.
type testCase struct {
	Name    string         `yaml:"name"`
	Action  string         `yaml:"action"`
	Facts   map[string]any `yaml:"facts"`   // by name; what is not there is unknown
	Want    string         `yaml:"want"`    // outcome, reason and deciding rule
	Matches []string       `yaml:"matches"` // id, verdict and "decides"
	Methods []string       `yaml:"methods"` // that a challenge accepts
	Adds    []string       `yaml:"adds"`    // value, list and duration

	UserVerification rules.UserVerification `yaml:"userVerification"` // that a challenge asks for
}

// TestCases runs the files of testdata. Each describes one behaviour: rules.yaml
// (the example set when it is not there) with cases.yaml, or with the problems
// that it must have. The definition's own tests must pass, but for those in
// failing.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			for _, f := range archive.Files {
				parts[f.Name] = f.Data
			}
			definition := rules.Example()
			if text, ok := parts["rules.yaml"]; ok {
				if definition, err = rules.ParseYAML(text); err != nil {
					t.Fatal(err)
				}
			}
			if want, ok := parts["problems"]; ok {
				checkProblems(t, definition, string(want))
				return
			}
			runCases(t, definition, parts["cases.yaml"])
			runOwnTests(t, definition, string(parts["failing"]))
		})
	}
}

func checkProblems(t *testing.T, d rules.Definition, want string) {
	t.Helper()
	var got []string
	for _, p := range rules.Check(d) {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func runCases(t *testing.T, d rules.Definition, text []byte) {
	t.Helper()
	set := compile(t, d)
	var cases []testCase
	if err := yaml.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("cases.yaml: %d cases, error %v", len(cases), err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got := set.Evaluate(c.Action, makeFacts(t, c.Action, c.Facts))
			words := strings.TrimSpace(fmt.Sprintf("%s %s %s", got.Outcome, got.Reason, got.Rule))
			if words != c.Want {
				t.Errorf("got %q, want %q", words, c.Want)
			}
			var matches []string
			for _, m := range got.Matches {
				line := fmt.Sprintf("%s %s", m.ID, m.Result)
				if m.Decides {
					line += " decides"
				}
				matches = append(matches, line)
				if (m.Result == rules.Erred) != (m.Error != "") {
					t.Errorf("match %s: verdict %s with error %q", m.ID, m.Result, m.Error)
				}
			}
			if diff := cmp.Diff(c.Matches, matches, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("matches (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.Methods, got.Methods, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("methods (-want +got):\n%s", diff)
			}
			if got.UserVerification != c.UserVerification {
				t.Errorf("user verification %q, want %q", got.UserVerification, c.UserVerification)
			}
			var adds []string
			for _, a := range got.Additions {
				adds = append(adds, fmt.Sprintf("%s to %s for %s by %s", a.Value, a.List, a.For, a.Rule))
			}
			if diff := cmp.Diff(c.Adds, adds, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("additions (-want +got):\n%s", diff)
			}
			if got.Count != len(got.Matches) {
				t.Errorf("count %d of %d matches", got.Count, len(got.Matches))
			}
		})
	}
}

// runOwnTests compares the messages of the definition's tests that fail.
func runOwnTests(t *testing.T, d rules.Definition, want string) {
	t.Helper()
	var failing []string
	for i, r := range runTests(t, compile(t, d)) {
		if r.Name != d.Tests[i].Name || r.Action != d.Tests[i].Action || r.Want != d.Tests[i].Want || r.Passed != (r.Message == "") {
			t.Errorf("result %+v of test %+v", r, d.Tests[i])
		}
		if !r.Passed {
			failing = append(failing, r.Name+": "+r.Message)
		}
	}
	if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(failing, "\n")); diff != "" {
		t.Errorf("failing tests (-want +got):\n%s", diff)
	}
}

func runTests(tb testing.TB, set *rules.Set) []rules.TestResult {
	tb.Helper()
	results, err := set.RunTests(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return results
}

func analyze(tb testing.TB, set *rules.Set) []rules.Finding {
	tb.Helper()
	found, err := rules.Analyze(tb.Context(), set)
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

func compile(tb testing.TB, d rules.Definition) *rules.Set {
	tb.Helper()
	set, err := rules.Compile(rules.Version{Number: 1, Definition: d})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// makeFacts fills in the struct by the names that conditions use. A value of the
// action or the user may have any type, declared or not.
func makeFacts(tb testing.TB, action string, named map[string]any) *rules.Facts {
	tb.Helper()
	custom, userCustom, builtin := map[string]any{}, map[string]any{}, map[string]any{}
	metrics, lists := map[string]float64{}, map[string]bool{}
	for name, value := range named {
		if v, ok := value.(int); ok {
			value = float64(v)
		}
		switch {
		case strings.Contains(name, " in list."):
			lists[name] = value.(bool)
		case strings.HasPrefix(name, "custom."):
			custom[strings.TrimPrefix(name, "custom.")] = value
		case strings.HasPrefix(name, "user.custom."):
			userCustom[strings.TrimPrefix(name, "user.custom.")] = value
		case strings.HasPrefix(name, "metric."):
			metrics[strings.TrimPrefix(name, "metric.")] = value.(float64)
		default:
			builtin[name] = value
		}
	}
	facts, problems := rules.FactsOf(&rules.Definition{}, action, builtin)
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	facts.Custom, facts.UserCustom, facts.Metrics, facts.Lists = custom, userCustom, metrics, lists
	return facts
}
