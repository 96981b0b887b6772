package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/rules/internal/fold"
)

// The YAML library compares every key of a mapping with every other one, keeps an
// error for each pair that is equal, and follows aliases as often as they stand
// somewhere. So a text is looked at before it is decoded, in time that grows with
// its size alone.

// vetYAML refuses a text that is not one YAML document, or that is too costly to
// decode. The problems are those that the library does not see.
func vetYAML(text []byte) (*yaml.Node, []Problem, error) {
	decoder := yaml.NewDecoder(inTurns{bytes.NewReader(text)})
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, parseError(Problem{Message: "the text is empty"})
		}
		return nil, nil, parseError(yamlProblems(err)...)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, parseError(Problem{Message: "the text holds more than one YAML document"})
	}
	v := yamlVet{anchored: map[*yaml.Node]size{}}
	v.measure(&document, 0)
	if len(v.refused) > 0 {
		return nil, nil, parseError(v.refused...)
	}
	return &document, v.fractions, nil
}

// size is what a part of a text comes to when it is decoded.
type size struct {
	values int // it and all within it
	bytes  int // of their texts
	depth  int
}

// yamlVet looks through a document. Sizes stop growing where they are too large.
type yamlVet struct {
	anchored  map[*yaml.Node]size // what aliases can repeat, as far as it was passed
	refused   []Problem           // at most MaxProblems
	fractions []Problem           // the same; see fraction
	enough    bool                // the text as a whole is refused
}

// measure is the size of a part at a depth. An alias stands behind what it
// repeats, or within it: such a part would have no end.
func (v *yamlVet) measure(n *yaml.Node, depth int) size {
	if v.enough {
		return size{}
	}
	if n.Kind == yaml.AliasNode {
		s, passed := v.anchored[n.Alias]
		if !passed {
			v.enough, v.refused = true, []Problem{{Line: n.Line, Column: n.Column, Message: "an alias repeats the part that it stands in"}}
		}
		v.check(n, s, depth)
		return s
	}
	if n.Kind == yaml.MappingNode {
		v.keys(n)
	}
	s := size{values: 1, bytes: len(n.Value)}
	for _, child := range n.Content {
		c := v.measure(child, depth+1)
		s.values, s.bytes, s.depth = s.values+c.values, s.bytes+c.bytes, max(s.depth, 1+c.depth)
		if v.check(child, s, depth); v.enough {
			return s
		}
	}
	if n.Anchor != "" {
		v.anchored[n] = s
	}
	return s
}

// check refuses a text that is too large as soon as a part of it is.
func (v *yamlVet) check(at *yaml.Node, s size, depth int) {
	var message string
	switch {
	case v.enough:
		return
	case s.values > MaxDefinitionValues:
		message = fmt.Sprintf("the text holds more than %d values, those that aliases repeat included", MaxDefinitionValues)
	case s.bytes > MaxDefinitionBytes:
		message = fmt.Sprintf("the text has more than %d bytes, those that aliases repeat included", MaxDefinitionBytes)
	case depth+s.depth > MaxDefinitionNesting:
		message = fmt.Sprintf("the text nests deeper than %d levels", MaxDefinitionNesting)
	default:
		return
	}
	v.enough, v.refused = true, []Problem{{Line: at.Line, Column: at.Column, Message: message}}
}

// keys refuses mappings with many keys, and keys that stand there twice.
func (v *yamlVet) keys(n *yaml.Node) {
	if len(n.Content)/2 > MaxTestFacts {
		v.enough = true
		v.refused = []Problem{{Line: n.Line, Column: n.Column, Message: fmt.Sprintf("a mapping has %d keys; at most %d are allowed", len(n.Content)/2, MaxTestFacts)}}
		return
	}
	type key struct {
		kind yaml.Kind
		text string
	}
	lines := make(map[key]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if line, twice := lines[key{k.Kind, k.Value}]; twice {
			v.refused = appended(v.refused, Problem{Line: k.Line, Message: fmt.Sprintf("mapping key %q already defined at line %d", clipped(k.Value), line)})
		} else {
			lines[key{k.Kind, k.Value}] = k.Line
		}
		// The library would cut a fraction off: a rollout of 0.5 percent would be
		// none.
		if (k.Value == "rollout" || k.Value == "position") && value.ShortTag() == "!!float" {
			v.fractions = appended(v.fractions, Problem{Line: value.Line, Column: value.Column, Message: k.Value + " is a whole number"})
		}
	}
}

func appended(problems []Problem, p Problem) []Problem {
	if len(problems) == MaxProblems {
		return problems
	}
	return append(problems, p)
}

// vetJSON finds a key that an object holds twice, and text that is too costly to
// decode. encoding/json would keep the last one of two keys silently, so a reader
// of the text could be misled. It returns nil for text that is not JSON: the
// decoder says why.
func vetJSON(text []byte) *Problem {
	type level struct {
		keys  map[string]bool // nil in an array
		value bool            // the next token is a value
	}
	var open []level
	decoder := json.NewDecoder(bytes.NewReader(text))
	at := func(format string, args ...any) *Problem {
		p := positioned(text, decoder.InputOffset(), fmt.Sprintf(format, args...))
		return &p
	}
	for values := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return nil
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if values++; values > MaxDefinitionValues {
			return at("the text holds more than %d values", MaxDefinitionValues)
		}
		if n := len(open); n > 0 && open[n-1].keys != nil {
			top := &open[n-1]
			if name, isKey := token.(string); isKey && !top.value {
				// Go matches keys whatever their case, so do we.
				alike := fold.Name(name)
				if top.keys[alike] {
					return at("the key %q stands here for the second time", clipped(name))
				}
				if len(top.keys) == MaxTestFacts {
					return at("an object has more than %d keys", MaxTestFacts)
				}
				top.keys[alike], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{keys: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		}
		if len(open) > MaxDefinitionNesting {
			return at("the text nests deeper than %d levels", MaxDefinitionNesting)
		}
	}
}
