package rules

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ParseYAML reads a definition and fails on keys it does not know, on duplicate
// keys and on text over MaxDefinitionBytes, MaxDefinitionValues or
// MaxDefinitionNesting. It does not check the definition: see Check. The error is
// a *CompileError whose problems name lines. When there are only keys that it does
// not know, the error also has what Check finds: these problems name a Field.
func ParseYAML(text []byte) (Definition, error) {
	if err := checkSize(text); err != nil {
		return Definition{}, err
	}
	document, problems, err := vetYAML(text)
	if err != nil {
		return Definition{}, err
	}
	decoder := yaml.NewDecoder(inTurns{bytes.NewReader(text)})
	decoder.KnownFields(true)
	var d Definition
	err = decoder.Decode(&d)
	for i := range d.Tests {
		for name, v := range d.Tests[i].Facts {
			d.Tests[i].Facts[name] = asJSON(v)
		}
	}
	switch {
	case err != nil:
		return Definition{}, parseError(misread(document, &d, err, problems)...)
	case len(problems) > 0:
		return Definition{}, parseError(problems...)
	}
	return d, nil
}

// misread is what is wrong with a document that was read as far as possible.
func misread(document *yaml.Node, d *Definition, err error, others []Problem) []Problem {
	unknown := strangers{seen: map[*yaml.Node]bool{}}
	unknown.yaml(document.Content[0], reflect.TypeFor[Definition](), "")
	problems := yamlProblems(err)
	if len(unknown.problems) > 0 { // the same keys, with a place and a hint
		problems = slices.DeleteFunc(problems, func(p Problem) bool { return strings.HasSuffix(p.Message, unknownKey) })
	}
	alone := len(problems) == 0
	problems = append(append(problems, unknown.problems...), others...)
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	if alone {
		problems = append(problems, unknown.besides(*d)...)
	}
	return problems[:min(len(problems), MaxProblems)]
}

// asJSON is a value as JSON has it: YAML knows whole numbers and times besides,
// and a definition must be equal whichever of both it was read from.
func asJSON(v any) any {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return v
}

// inTurns is a text of which the parser reads some hundred bytes at a time. In
// between, whoever waits for the processor goes first: a set of thousands of rules
// takes a tenth of a second to read, in which a server must answer requests.
type inTurns struct{ text *bytes.Reader }

// Read implements io.Reader.
func (r inTurns) Read(p []byte) (int, error) {
	runtime.Gosched()
	return r.text.Read(p)
}

// YAML writes the definition as ParseYAML reads it.
func (d Definition) YAML() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("write rule set as YAML: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write rule set as YAML: %w", err)
	}
	return out.Bytes(), nil
}

// ParseJSON is ParseYAML for JSON.
func ParseJSON(text []byte) (Definition, error) {
	if err := checkSize(text); err != nil {
		return Definition{}, err
	}
	if problem := vetJSON(text); problem != nil {
		return Definition{}, parseError(*problem)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var d Definition
	if err := decoder.Decode(&d); err != nil {
		if strings.HasPrefix(err.Error(), jsonUnknown) {
			return Definition{}, parseError(unknownJSON(text, err)...)
		}
		return Definition{}, parseError(jsonProblem(text, err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Definition{}, parseError(positioned(text, decoder.InputOffset(), "text follows the definition"))
	}
	return d, nil
}

func checkSize(text []byte) error {
	if len(text) > MaxDefinitionBytes {
		return parseError(Problem{Message: fmt.Sprintf("the text has %d bytes; at most %d are allowed", len(text), MaxDefinitionBytes)})
	}
	return nil
}

func parseError(problems ...Problem) error { return &CompileError{Problems: problems} }

// unknownKey follows the name of a key.
const unknownKey = " is not a key that belongs here"

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (.+) not found in type .*$`)
	yamlType    = regexp.MustCompile("^cannot unmarshal !!(\\w+) (?:`(.*)` )?into (.*)$")
)

// yamlProblems takes the library's line numbers and puts its words into plain
// ones.
func yamlProblems(err error) []Problem {
	lines := []string{err.Error()}
	var mistakes *yaml.TypeError
	if errors.As(err, &mistakes) {
		lines = mistakes.Errors
	}
	var problems []Problem
	for _, line := range lines[:min(len(lines), MaxProblems)] {
		p := Problem{Message: strings.TrimPrefix(line, "yaml: ")}
		if m := yamlLine.FindStringSubmatch(line); m != nil {
			p.Line, _ = strconv.Atoi(m[1]) // digits only; 0 on overflow means no position
			p.Message = m[2]
		}
		if m := yamlUnknown.FindStringSubmatch(p.Message); m != nil {
			p.Message = quoted(m[1]) + unknownKey
		} else if m := yamlType.FindStringSubmatch(p.Message); m != nil {
			p.Message = fmt.Sprintf("a %s stands here where %s belongs", yamlKind(m[1]), goKind(m[3]))
		}
		problems = append(problems, p)
	}
	return problems
}

func yamlKind(tag string) string {
	switch tag {
	case "seq":
		return "list"
	case "map":
		return "mapping"
	}
	return "single value"
}

func goKind(name string) string {
	switch {
	case strings.HasPrefix(name, "[]"), name == "array":
		return "a list"
	case strings.HasPrefix(name, "rules.") && !strings.ContainsAny(name, "[]"):
		switch strings.TrimPrefix(name, "rules.") {
		case "Definition", "ActionRules", "Rule", "Field":
			return "a mapping"
		}
	}
	return "a text"
}

// jsonUnknown begins what encoding/json says of a key; the name follows.
const jsonUnknown = "json: unknown field "

// unknownJSON names all keys that do not belong where they are, and what is wrong
// besides.
func unknownJSON(text []byte, err error) []Problem {
	var unknown strangers
	if unknown.json(json.NewDecoder(bytes.NewReader(text)), text, reflect.TypeFor[Definition](), "") != nil || len(unknown.problems) == 0 {
		return []Problem{jsonProblem(text, err)}
	}
	var d Definition
	if err := json.Unmarshal(text, &d); err != nil {
		return append([]Problem{jsonProblem(text, err)}, unknown.problems...)
	}
	problems := append(unknown.problems, unknown.besides(d)...)
	return problems[:min(len(problems), MaxProblems)]
}

// jsonProblem finds the position of an error, if it knows one.
func jsonProblem(text []byte, err error) Problem {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return positioned(text, syntax.Offset, "this is not JSON: "+syntax.Error())
	case errors.As(err, &kind):
		p := positioned(text, kind.Offset, fmt.Sprintf("a %s stands here where %s belongs", kind.Value, goKind(kind.Type.String())))
		p.Field = kind.Field
		return p
	case errors.Is(err, io.EOF):
		return Problem{Message: "the text is empty"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return positioned(text, int64(len(text)), "the text ends too early")
	}
	if name, found := strings.CutPrefix(err.Error(), jsonUnknown); found {
		return Problem{Message: name + unknownKey}
	}
	return Problem{Message: err.Error()}
}

// positioned makes a problem at a byte offset.
func positioned(text []byte, offset int64, message string) Problem {
	before := text[:min(int(offset), len(text))]
	line := bytes.Count(before, []byte("\n"))
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return Problem{Line: line + 1, Column: max(column, 1), Message: message}
}
