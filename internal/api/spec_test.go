package api_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// spec is the console's contract as far as the tests read it.
type spec struct {
	Paths      map[string]map[string]operation `yaml:"paths"`
	Components struct {
		Schemas   map[string]*schema  `yaml:"schemas"`
		Responses map[string]response `yaml:"responses"`
	} `yaml:"components"`
}

type operation struct {
	Responses map[string]response `yaml:"responses"`
}

type response struct {
	Ref     string `yaml:"$ref"`
	Content map[string]struct {
		Schema *schema `yaml:"schema"`
	} `yaml:"content"`
}

type schema struct {
	Ref        string             `yaml:"$ref"`
	Type       string             `yaml:"type"`
	Required   []string           `yaml:"required"`
	Properties map[string]*schema `yaml:"properties"`
	Items      *schema            `yaml:"items"`
	Enum       []string           `yaml:"enum"`
	AllOf      []*schema          `yaml:"allOf"`
	OneOf      []*schema          `yaml:"oneOf"`
	Open       bool               `yaml:"additionalProperties"`
}

func readSpec(t testing.TB) spec {
	t.Helper()
	text, err := os.ReadFile("console.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var s spec
	if err := yaml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// resolve follows a reference and joins allOf.
func (s spec) resolve(in *schema) *schema {
	if in == nil {
		return &schema{}
	}
	if name, found := strings.CutPrefix(in.Ref, "#/components/schemas/"); found {
		return s.resolve(s.Components.Schemas[name])
	}
	if len(in.AllOf) == 0 {
		return in
	}
	joined := &schema{Type: "object", Properties: map[string]*schema{}}
	for _, part := range in.AllOf {
		p := s.resolve(part)
		joined.Required = append(joined.Required, p.Required...)
		for name, property := range p.Properties {
			joined.Properties[name] = property
		}
	}
	return joined
}

// check compares a value with a schema: no key that is not declared, none
// missing that is required, the right types, no null.
func (s spec) check(path string, in *schema, value any) (problems []string) {
	in = s.resolve(in)
	for _, choice := range in.OneOf {
		if problems = s.check(path, choice, value); len(problems) == 0 {
			return nil
		}
	}
	if len(in.OneOf) > 0 {
		return problems // of the last choice
	}
	wrong := func(format string, a ...any) { problems = append(problems, path+": "+fmt.Sprintf(format, a...)) }
	switch v := value.(type) {
	case nil:
		wrong("is null")
	case map[string]any:
		if in.Type != "object" {
			wrong("is an object, not %q", in.Type)
			return problems
		}
		for _, name := range in.Required {
			if _, found := v[name]; !found {
				wrong("lacks %s", name)
			}
		}
		for name, part := range v {
			property, declared := in.Properties[name]
			switch {
			case declared:
				problems = append(problems, s.check(path+"."+name, property, part)...)
			case !in.Open:
				wrong("has the undeclared key %s", name)
			}
		}
	case []any:
		if in.Type != "array" && in.Type != "" {
			wrong("is an array, not %q", in.Type)
			return problems
		}
		for i, part := range v {
			problems = append(problems, s.check(fmt.Sprintf("%s[%d]", path, i), in.Items, part)...)
		}
	case string:
		if in.Type != "string" && in.Type != "" {
			wrong("is a string, not %q", in.Type)
		}
		if len(in.Enum) > 0 && !strings.Contains(" "+strings.Join(in.Enum, " ")+" ", " "+v+" ") {
			wrong("is %q, not one of %v", v, in.Enum)
		}
	case float64:
		if in.Type != "integer" && in.Type != "" {
			wrong("is a number, not %q", in.Type)
		}
	case bool:
		if in.Type != "boolean" && in.Type != "" {
			wrong("is a boolean, not %q", in.Type)
		}
	}
	return problems
}

// checkDeclared compares an answer of the console API with console.yaml. Every
// console call of every test goes through here.
func checkDeclared(t testing.TB, method, path string, a answer) {
	t.Helper()
	s := readSpec(t)
	path, _, _ = strings.Cut(path, "?")
	declared, found := s.Paths[path][strings.ToLower(method)]
	if !found {
		t.Errorf("%s %s is not in console.yaml", method, path)
		return
	}
	r, found := declared.Responses[fmt.Sprint(a.status)]
	if !found { // refusals that any call may meet
		r = response{Ref: "#/components/responses/Error"}
	}
	if name, isRef := strings.CutPrefix(r.Ref, "#/components/responses/"); isRef {
		r = s.Components.Responses[name]
	}
	if _, isJSON := r.Content["application/json"]; !isJSON { // a file
		return
	}
	for _, problem := range s.check("answer", r.Content["application/json"].Schema, map[string]any(a.json)) {
		t.Errorf("%s %s, %d: %s", method, path, a.status, problem)
	}
}
