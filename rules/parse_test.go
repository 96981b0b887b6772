package rules_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func TestParseYAML(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // problems, one a line
	}{
		{"empty", "", []string{"the text is empty"}},
		{"only a comment", "# nothing\n", []string{"the text is empty"}},
		{"unknown keys", "otherwise:\n  rules: []\n  fallback: ALLOW\nversion: 2\n", []string{
			`line 3, column 3: "fallback" is not a key that belongs here`, `line 4, column 1: "version" is not a key that belongs here`,
		}},
		{"a key that is misspelt, and what else is wrong", "otherwise:\n  rules:\n    - {id: a, name: A, whem: 'true', outcom: MAYBE, mode: on}\n    - {id: b, name: B, when: user.isNw, outcome: BLOCK}\n", []string{
			`line 3, column 24: "whem" is not a key that belongs here; did you mean when?`,
			`line 3, column 38: "outcom" is not a key that belongs here; did you mean outcome?`,
			`otherwise.rules[0].mode (rule a): "on" is not one of live, shadow, off`,
			`otherwise.rules[1].when (rule b), line 1, column 1: there is no fact user.isNw; did you mean user.isNew?`,
		}},
		{"a key that is misspelt and another type than belongs there", "actions:\n  - code: pay\n    Default: ALLOW\n    rules: none\n", []string{
			`line 3, column 5: "Default" is not a key that belongs here; did you mean default?`, "line 4: a single value stands here where a list belongs",
		}},
		{"a declaration under a misspelt key", "feilds: [{name: a, type: number}]\notherwise: {rules: [{id: a, name: A, when: custom.a > 1, outcome: BLOCK}]}\n", []string{
			`line 1, column 1: "feilds" is not a key that belongs here; did you mean fields?`,
		}},
		{"a key that is misspelt where an alias repeats it", "otherwise:\n  rules:\n    - &a {id: a, name: A, when: 'true', outcome: BLOCK, tag: [x]}\n    - {<<: *a, id: b}\n", []string{
			`line 3, column 57: "tag" is not a key that belongs here; did you mean tags?`,
		}},
		{"a key that was given beside its misspelling", "otherwise: {default: ALLOW, defaults: BLOCK}\n", []string{`line 1, column 29: "defaults" is not a key that belongs here`}},
		{"key given twice", "otherwise: {rules: []}\nactions: []\notherwise: {rules: []}\n", []string{`line 3: mapping key "otherwise" already defined at line 1`}},
		{"list for a text", "otherwise:\n  default: [ALLOW]\n", []string{"line 2: a list stands here where a text belongs"}},
		{"text for a list", "otherwise:\n  rules: none\n", []string{"line 2: a single value stands here where a list belongs"}},
		{"text for a mapping", "otherwise: ALLOW\n", []string{"line 1: a single value stands here where a mapping belongs"}},
		{"half a percent", "otherwise:\n  rules:\n    - {id: a, name: A, when: 'true', outcome: BLOCK, rollout: 0.5}\n", []string{"line 3, column 63: rollout is a whole number"}},
		{"two documents", "otherwise: {rules: []}\n---\notherwise: {rules: []}\n", []string{"the text holds more than one YAML document"}},
		{"not YAML", "otherwise: {rules: [}\n", []string{"did not find expected node content"}},
		{"too large", strings.Repeat("#", rules.MaxDefinitionBytes+1), []string{"the text has 8388609 bytes; at most 8388608 are allowed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := rules.ParseYAML([]byte(tt.text))
			if diff := cmp.Diff(tt.want, problemLines(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseJSON(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"the text is empty"}},
		{"unknown key", "{\"otherwise\": {\"rules\": []},\n \"version\": 2}", []string{`line 2, column 2: "version" is not a key that belongs here`}},
		{"keys that are misspelt, and what else is wrong", "{\"otherwise\": {\"Default\": \"MAYBE\",\n \"onfailur\": {\"a\": [1, {}]}, \"rule\": []}}", []string{
			`line 2, column 2: "onfailur" is not a key that belongs here; did you mean onFailure?`, `line 2, column 30: "rule" is not a key that belongs here; did you mean rules?`,
		}},
		{"a key that is unknown, and what else is wrong", `{"otherwise": {"Default": "MAYBE"}, "version": 2}`, []string{
			`line 1, column 37: "version" is not a key that belongs here`, `otherwise.default: "MAYBE" is not one of ALLOW, CHALLENGE, REVIEW, BLOCK`,
		}},
		{"key given twice", `{"otherwise": {"rules": [{"when": "true", "When": "false"}]}}`, []string{`line 1, column 48: the key "When" stands here for the second time`}},
		{"key given twice, once with a long s", `{"otherwise": {"rules": [], "ruleſ": [{"when": "true"}]}}`, []string{`line 1, column 35: the key "ruleſ" stands here for the second time`}},
		{"number for a text", `{"otherwise": {"default": 5}}`, []string{"otherwise.default, line 1, column 27: a number stands here where a text belongs"}},
		{"not JSON", "{\n  oops}", []string{"line 2, column 3: this is not JSON: invalid character 'o' looking for beginning of object key string"}},
		{"cut off", `{"otherwise": {`, []string{"line 1, column 15: the text ends too early"}},
		{"something behind it", `{"otherwise": {"rules": []}} {}`, []string{"line 1, column 30: text follows the definition"}},
		{"too large", strings.Repeat(" ", rules.MaxDefinitionBytes+1), []string{"the text has 8388609 bytes; at most 8388608 are allowed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := rules.ParseJSON([]byte(tt.text))
			if diff := cmp.Diff(tt.want, problemLines(t, err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a definition", func(t *testing.T) {
		got, err := rules.ParseJSON([]byte(`{"fields": [{"name": "a", "type": "number"}], "actions": [], "otherwise": {"code": "", "rules": [
			{"id": "r", "name": "R", "when": "custom.a > 1", "outcome": "BLOCK", "mode": "off", "tags": ["x"]}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		want := rules.Definition{
			Fields: []rules.Field{{Name: "a", Type: rules.TypeNumber}}, Actions: []rules.ActionRules{},
			Otherwise: rules.ActionRules{Rules: []rules.Rule{{ID: "r", Name: "R", When: "custom.a > 1", Outcome: rules.Block, Mode: rules.Off, Tags: []string{"x"}}}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("definition (-want +got):\n%s", diff)
		}
	})
}

func problemLines(t *testing.T, err error) []string {
	t.Helper()
	var compileError *rules.CompileError
	if !errors.As(err, &compileError) {
		t.Fatalf("error %v, want a *CompileError", err)
	}
	var lines []string
	for _, p := range compileError.Problems {
		lines = append(lines, p.String())
	}
	return lines
}

func TestYAMLRoundTrip(t *testing.T) {
	want := rules.Example()
	want.Otherwise.Rules = append(want.Otherwise.Rules, rules.Rule{
		ID: "odd", Name: "yes: # \"no\"", When: "custom.payee == \"a\\\\b\\n\" ||\n  custom.payee == '\u00e9' // note",
		Outcome: rules.Block, Mode: rules.Off, Tags: []string{"off", "1e3", ""},
	})
	text, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := rules.ParseYAML(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definition after YAML (-want +got):\n%s", diff)
	}
}

// TestYAMLAndJSONAreOne reads a definition from both.
func TestYAMLAndJSONAreOne(t *testing.T) {
	full := fullDefinition()
	yaml, err := full.YAML()
	if err != nil {
		t.Fatal(err)
	}
	json, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	fromYAML := parse(t, string(yaml))
	fromJSON, err := rules.ParseJSON(json)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("definition (-JSON +YAML):\n%s", diff)
	}
	bare := parse(t, "tests: [{name: a, action: a, want: ALLOW, facts: {custom.n: 7, now: 2026-11-22T10:00:00Z, user.id: 18446744073709551615}}]")
	want := map[string]any{"custom.n": 7.0, "now": "2026-11-22T10:00:00Z", "user.id": 18446744073709551615.0}
	if diff := cmp.Diff(want, bare.Tests[0].Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestExample(t *testing.T) {
	if problems := rules.Check(rules.Example()); len(problems) > 0 {
		t.Errorf("the example set cannot be published: %v", problems)
	}
	set := compile(t, rules.Example())
	for _, result := range runTests(t, set) {
		if !result.Passed {
			t.Errorf("%s: %s", result.Name, result.Message)
		}
	}
	for _, code := range []string{"payment", "add-payee", "change-email", "add-passkey", "sign-in"} {
		if a := set.Action(code); a.Code != code || a.Prompt == "" {
			t.Errorf("the example set has no prompt for %s: %+v", code, a)
		}
	}
}

// FuzzCompile checks that no text makes parsing or compiling panic, and that
// what compiles is the same after a round trip through YAML and can be
// evaluated.
func FuzzCompile(f *testing.F) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), "true")
	f.Add("otherwise: {rules: []}", `custom.amount in [1, 2.5] && ["a"].exists(x, x == custom.payee)`)
	f.Add("a: &a [*a]", `custom.payee.matches('^a+$') ? -custom.amount == 1 / 2 * 3 : known(ip.countryCode)`)
	f.Add("\xff", "'\\xff' == \"\\u0000\"")
	facts := &rules.Facts{Custom: map[string]any{"amount": 1.0, "payee": "a"}}
	f.Fuzz(func(t *testing.T, text, when string) {
		if d, err := rules.ParseYAML([]byte(text)); err == nil {
			rules.Check(d)
		}
		rules.ParseJSON([]byte(text))
		d := withRule(when)
		set, err := rules.Compile(rules.Version{Definition: d})
		if err != nil {
			return
		}
		first := set.Evaluate("payment", facts)
		yaml, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := rules.ParseYAML(yaml)
		if err != nil {
			t.Fatalf("what YAML wrote cannot be read: %v\n%s", err, yaml)
		}
		if again.Otherwise.Rules[0].When != when {
			t.Fatalf("YAML turned %q into %q", when, again.Otherwise.Rules[0].When)
		}
		if second := compile(t, again).Evaluate("payment", facts); !cmp.Equal(first, second) {
			t.Fatalf("evaluations differ: %+v, %+v", first, second)
		}
	})
}
