package rules

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

//go:embed definition.go
var definitionSource []byte

// JSONSchema describes the files that ParseYAML reads, so that editors can help
// to write them: JSON Schema, draft 2020-12. It is made from the types of this
// package and their comments. What it accepts can still have problems, such as a
// condition that names no fact; Check finds all of them.
var JSONSchema = sync.OnceValue(func() []byte {
	w := schemaWriter{docs: fieldComments(definitionSource), enums: enumsIn(definitionSource), defs: map[string]any{}}
	root := w.object(reflect.TypeFor[Definition]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Sallyport rule set"
	root["$defs"] = w.defs
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("schema of rule sets: %v", err)) // maps of texts and numbers only
	}
	return append(text, '\n')
})

// schemaWriter turns Go types into schemas.
type schemaWriter struct {
	docs  map[string]string     // comments by "Type.Field"
	enums map[string][]constant // by type
	defs  map[string]any        // schemas of structs by type
}

// constant is one of a type's values.
type constant struct{ value, doc string }

// enumsIn finds the constants of each string type in a Go file, such as
// Allow Outcome = "ALLOW".
func enumsIn(source []byte) map[string][]constant {
	file, err := parser.ParseFile(token.NewFileSet(), "definition.go", source, parser.ParseComments)
	if err != nil {
		panic(fmt.Sprintf("embedded definition.go: %v", err)) // the compiler has read the same file
	}
	enums := map[string][]constant{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		typ, isNamed := spec.Type.(*ast.Ident)
		literal, isLiteral := spec.Values[0].(*ast.BasicLit)
		if !isNamed || !isLiteral {
			return true
		}
		if value, err := strconv.Unquote(literal.Value); err == nil {
			enums[typ.Name] = append(enums[typ.Name], constant{value, strings.TrimSpace(spec.Comment.Text())})
		}
		return true
	})
	return enums
}

// object is the schema of a struct.
func (w *schemaWriter) object(typ reflect.Type) map[string]any {
	properties := map[string]any{}
	var required []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		path := typ.Name() + "." + name
		property := w.schema(field.Type)
		for key, value := range schemaLimits[path] {
			property[key] = value
		}
		if doc := w.describe(typ.Name()+"."+field.Name, field.Type); doc != "" {
			property["description"] = doc
		}
		properties[name] = property
		if options == "" && !schemaOptional[path] {
			required = append(required, name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func (w *schemaWriter) schema(typ reflect.Type) map[string]any {
	switch typ.Kind() {
	case reflect.Pointer:
		return w.schema(typ.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": w.schema(typ.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": []string{"string", "number", "boolean", "null"}}}
	case reflect.Struct:
		if w.defs[typ.Name()] == nil {
			w.defs[typ.Name()] = true // stops a type that holds itself
			w.defs[typ.Name()] = w.object(typ)
		}
		return map[string]any{"$ref": "#/$defs/" + typ.Name()}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	}
	schema := map[string]any{"type": "string"}
	if values := w.enums[typ.Name()]; len(values) > 0 {
		var allowed []string
		for _, c := range values {
			allowed = append(allowed, c.value)
		}
		schema["enum"] = allowed
	}
	return schema
}

// describe is a field's comment, and what its values mean.
func (w *schemaWriter) describe(field string, typ reflect.Type) string {
	lines := []string{w.docs[field]}
	for _, c := range w.enums[typ.Name()] {
		if c.doc != "" {
			lines = append(lines, c.value+": "+c.doc)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// schemaOptional lists what a file may leave out although it is always written.
var schemaOptional = map[string]bool{
	"Definition.actions": true, "Definition.otherwise": true, "ActionRules.rules": true,
	"ActionRules.code": true, // in otherwise; schemaLimits asks for it in actions
}

const (
	fieldNamePattern = `^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`
	listNamePattern  = `^[a-z][a-z0-9_]{0,63}$`
)

// schemaLimits adds to a property what its type does not say.
var schemaLimits = map[string]map[string]any{
	"Definition.fields":  {"maxItems": MaxFields},
	"Definition.metrics": {"maxItems": MaxMetrics},
	"Definition.lists":   {"maxItems": MaxLists},
	"Definition.tests":   {"maxItems": MaxTests},
	"Definition.actions": {"maxItems": MaxActions, "items": map[string]any{
		"$ref": "#/$defs/ActionRules", "required": []string{"code"},
		"properties": map[string]any{"code": map[string]any{"pattern": actionCode.String()}},
	}},
	"Field.name":             {"pattern": fieldNamePattern},
	"Field.description":      {"maxLength": MaxDescriptionRunes},
	"Field.scope":            {"default": OfAction},
	"Metric.name":            {"pattern": fieldNamePattern},
	"Metric.description":     {"maxLength": MaxDescriptionRunes},
	"Metric.per":             {"default": "user.id"},
	"Metric.counts":          {"default": CountActions},
	"Metric.window":          {"pattern": `^[1-9][0-9]*[mhd]$`},
	"List.name":              {"pattern": listNamePattern},
	"List.description":       {"maxLength": MaxDescriptionRunes},
	"ActionRules.default":    {"default": Allow},
	"ActionRules.onFailure":  {"default": Challenge},
	"ActionRules.unenrolled": {"default": UnenrolledAllow},
	"ActionRules.prompt":     {"maxLength": MaxPromptRunes},
	"ActionRules.rules":      {"maxItems": MaxRules},
	"Rule.id":                {"pattern": ruleID.String(), "not": map[string]any{"const": DefaultDecides}},
	"Rule.name":              {"minLength": 1, "maxLength": MaxNameRunes},
	"Rule.description":       {"maxLength": MaxDescriptionRunes},
	"Rule.when":              {"type": []string{"string", "boolean"}, "minLength": 1, "maxLength": MaxExpressionBytes},
	"Rule.mode":              {"default": Live},
	"Rule.onError":           {"default": ErrorFails},
	"Rule.onUnknown":         {"default": UnknownIgnored},
	"Rule.position":          {"minimum": 0, "maximum": MaxPosition},
	"Rule.rollout":           {"minimum": 0, "maximum": 100},
	"Rule.methods":           {"items": map[string]any{"type": "string", "enum": Methods()}, "uniqueItems": true},
	"Rule.tags":              {"maxItems": MaxTags, "items": map[string]any{"type": "string", "maxLength": MaxNameRunes}},
	"OnMatch.for":            {"pattern": span.String()},
	"Test.name":              {"minLength": 1, "maxLength": MaxNameRunes},
	"Test.action":            {"pattern": actionCode.String()},
}
