package rules_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/rules"
)

// TestSchemaFile keeps the file that editors read equal to the types. Write it
// with `go run ./cmd/sallyport rules schema > docs/rules.schema.json`.
func TestSchemaFile(t *testing.T) {
	file, err := os.ReadFile("../docs/rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(rules.JSONSchema()), string(file)); diff != "" {
		t.Errorf("docs/rules.schema.json is not what the types say (-want +got):\n%s", diff)
	}
}

// TestSchemaHelps makes sure that an editor can explain every key, in the words of
// a file and not in those of Go.
func TestSchemaHelps(t *testing.T) {
	type object struct {
		Properties map[string]struct{ Description string }
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(rules.JSONSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	goWords := regexp.MustCompile(`(?i)\b(nil|slice|struct|pointer|field)\b|empty means`)
	schema.Defs["Definition"] = schema.object
	for name, part := range schema.Defs {
		for key, property := range part.Properties {
			if d := property.Description; len(d) < 10 || d[0] < 'A' || d[0] > 'Z' || goWords.MatchString(d) || strings.HasPrefix(strings.ToLower(d), strings.ToLower(key)+" is") {
				t.Errorf("%s.%s is explained as %q", name, key, d)
			}
		}
	}
}

func resolvedSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal(rules.JSONSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// instance reads YAML as an editor does: as JSON.
func instance(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(plain, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// fullDefinition has a value in every field of every struct.
func fullDefinition() rules.Definition {
	percent, position := 50, 3
	return rules.Definition{
		Fields:  []rules.Field{{Name: "amount", Type: rules.TypeNumber, Scope: rules.OfAction, Description: "d", Public: true}},
		Metrics: []rules.Metric{{Name: "spent", Description: "d", Function: rules.Sum, Of: "custom.amount", Per: "user.id", Counts: rules.CountActions, Where: "true", Window: "24h"}},
		Lists:   []rules.List{{Name: "suspects", Type: rules.ListOfRanges, Description: "d", Inactive: true}},
		Actions: []rules.ActionRules{{
			Code: "payment", Default: rules.Allow, OnFailure: rules.Block, Unenrolled: rules.UnenrolledEnrol, Prompt: "Pay {amount}", UserVerification: rules.VerificationPreferred,
			Wire: &rules.WireAction{Templates: "{}", Methods: "[]", PromptToEnroll: "[]", DefaultMethod: `"PASSKEY"`, Webhook: `"x"`},
			Rules: []rules.Rule{{
				ID: "a", Name: "A", Description: "d", When: "metric.spent > 1", Outcome: rules.Challenge, Mode: rules.Shadow,
				OnError: rules.ErrorMatches, OnUnknown: rules.UnknownMatches, Position: &position, Rollout: &percent, Methods: []string{"PASSKEY"}, UserVerification: rules.VerificationRequired,
				OnMatch: &rules.OnMatch{Add: "ip.address", To: "suspects", For: "24h"}, Tags: []string{"t"},
				Wire: &rules.WireRule{Conditions: "{}", When: "true", PromptToEnroll: "true", DefaultMethod: `"PASSKEY"`},
			}},
		}},
		Otherwise: rules.ActionRules{Rules: []rules.Rule{}},
		Tests: []rules.Test{{
			Name: "t", Action: "payment", Want: rules.Allow, Rule: "default",
			Facts: map[string]any{"custom.amount": 1.5, "user.isNew": true, "ip.city": nil, "now": time.Unix(0, 0).UTC(), "ip.address in list.suspects": false},
		}},
	}
}

func TestSchemaAcceptsWhatCanBePublished(t *testing.T) {
	schema := resolvedSchema(t)
	full := fullDefinition()
	eachZero(t, reflect.ValueOf(full), "Definition")
	text, err := full.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if problems := rules.Check(full); len(problems) > 0 {
		t.Fatal(problems)
	}
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a value everywhere": string(text), "the example": string(example), "the least": "otherwise: {}", "a condition that is a boolean": "otherwise: {rules: [{id: a, name: A, when: true, outcome: BLOCK}]}", "nothing but rules left out": "actions: [{code: a}]",
	} {
		t.Run(name, func(t *testing.T) {
			if err := schema.Validate(instance(t, text)); err != nil {
				t.Error(err)
			}
			if _, err := rules.Compile(rules.Version{Definition: parse(t, text)}); err != nil {
				t.Error(err)
			}
		})
	}
}

// eachZero makes sure that a new field gets its value in fullDefinition.
func eachZero(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachZero(t, v.Elem(), path)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			eachZero(t, v.Index(0), path+"[0]")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := path + "." + v.Type().Field(i).Name
			if v.Field(i).IsZero() && !strings.HasPrefix(name, "Definition.Otherwise.") {
				t.Errorf("fullDefinition has no value for %s", name)
			}
			eachZero(t, v.Field(i), name)
		}
	}
}

func TestSchemaRefusesMistakes(t *testing.T) {
	schema := resolvedSchema(t)
	rule := func(members string) string {
		return "otherwise: {rules: [{id: a, name: A, when: 'true', outcome: BLOCK, " + members + "}]}"
	}
	for name, text := range map[string]string{
		"an unknown key":                   "action: []",
		"an unknown key in a rule":         rule("whem: x"),
		"an outcome that is none":          "otherwise: {default: MAYBE}",
		"a mode that is none":              rule("mode: on"),
		"a rule without a condition":       "otherwise: {rules: [{id: a, name: A, outcome: BLOCK}]}",
		"a rule without an id":             "otherwise: {rules: [{name: A, when: 'true', outcome: BLOCK}]}",
		"an id with capitals":              "otherwise: {rules: [{id: A, name: A, when: 'true', outcome: BLOCK}]}",
		"the id default":                   "otherwise: {rules: [{id: default, name: A, when: 'true', outcome: BLOCK}]}",
		"a condition that is a number":     "otherwise: {rules: [{id: a, name: A, when: 1, outcome: BLOCK}]}",
		"an action without a code":         "actions: [{rules: []}]",
		"an action's code with a blank":    "actions: [{code: a b}]",
		"more than all users":              rule("rollout: 101"),
		"half a percent":                   rule("rollout: 0.5"),
		"a method that is none":            rule("methods: [SMS]"),
		"a user verification of no kind":   rule("userVerification: always"),
		"an action's verification of none": "otherwise: {userVerification: none}",
		"a policy that is none":            "otherwise: {unenrolled: ask}",
		"a time that is none":              rule("onMatch: {add: ip.address, to: x, for: 24 hours}"),
		"a field's type that is none":      "fields: [{name: a, type: money}]",
		"a field's name with a dot":        "fields: [{name: a.b, type: number}]",
		"a list's name with capitals":      "lists: [{name: Bad, type: string}]",
		"a metric without a window":        "metrics: [{name: a, function: count}]",
		"a metric's function that is none": "metrics: [{name: a, function: median, window: 1h}]",
		"a test without an outcome":        "tests: [{name: a, action: b}]",
		"a list as a fact of a test":       "tests: [{name: a, action: b, want: ALLOW, facts: {ip.city: [a]}}]",
		"rules that are no list":           "otherwise: {rules: none}",
	} {
		t.Run(name, func(t *testing.T) {
			if schema.Validate(instance(t, text)) == nil {
				t.Error("the schema accepts it")
			}
			d, err := rules.ParseYAML([]byte(text))
			if err == nil && len(rules.Check(d)) == 0 {
				t.Error("the file could be published: the schema is too strict")
			}
		})
	}
}
