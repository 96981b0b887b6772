package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// strangers are the keys of a text that belong to no part of a definition. The
// decoders know of them without a place, or of the first one only.
type strangers struct {
	problems []Problem // at most MaxProblems
	// meant are the paths of the keys that were probably meant: that these are
	// missing is no problem of its own.
	meant []string
	// astray means that something is missing which other parts name, so that what a
	// check finds of these would mislead.
	astray bool
	seen   map[*yaml.Node]bool // keys that aliases repeat
}

// keysOf are the keys of a struct in a file, and their types.
func keysOf(typ reflect.Type) map[string]reflect.Type {
	keys := make(map[string]reflect.Type, typ.NumField())
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
		keys[name] = typ.Field(i).Type
	}
	return keys
}

// add reports a key beside others.
func (s *strangers) add(p Problem, path, name string, keys map[string]reflect.Type, present []string) {
	if len(s.problems) == MaxProblems {
		return
	}
	var free []string
	for key := range keys {
		if !slices.Contains(present, key) {
			free = append(free, key)
		}
	}
	meant := closest(name, free)
	p.Message = quoted(name) + unknownKey + didYouMean(meant)
	s.problems = append(s.problems, p)
	if meant == "" {
		return
	}
	s.meant = append(s.meant, under(path, meant))
	typ := keys[meant]
	s.astray = s.astray || meant == "id" || meant == "code" || typ.Kind() == reflect.Struct ||
		typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct ||
		strings.HasPrefix(path, "fields[") || strings.HasPrefix(path, "metrics[") || strings.HasPrefix(path, "lists[")
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// yaml looks through a part of a text that measure has found small enough.
func (s *strangers) yaml(n *yaml.Node, typ reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case len(s.problems) == MaxProblems:
	case n.Kind == yaml.SequenceNode && typ.Kind() == reflect.Slice:
		for i, item := range n.Content {
			s.yaml(item, typ.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case n.Kind == yaml.MappingNode && typ.Kind() == reflect.Struct:
		s.mapping(n, typ, path)
	}
}

func (s *strangers) mapping(n *yaml.Node, typ reflect.Type, path string) {
	keys := keysOf(typ)
	var present []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		present = append(present, n.Content[i].Value)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch child, known := keys[key.Value]; {
		case key.ShortTag() == "!!merge" && value.Kind == yaml.SequenceNode:
			for _, part := range value.Content {
				s.yaml(part, typ, path)
			}
		case key.ShortTag() == "!!merge":
			s.yaml(value, typ, path)
		case known:
			s.yaml(value, child, under(path, key.Value))
		case key.Kind == yaml.ScalarNode && !s.seen[key]:
			s.seen[key] = true
			s.add(Problem{Line: key.Line, Column: key.Column}, path, key.Value, keys, present)
		}
	}
}

// json looks through the next value of a text that vetJSON has accepted; a nil
// type passes over it.
func (s *strangers) json(decoder *json.Decoder, text []byte, typ reflect.Type, path string) error {
	for typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		var element reflect.Type
		if typ != nil && typ.Kind() == reflect.Slice {
			element = typ.Elem()
		}
		for i := 0; decoder.More(); i++ {
			if err := s.json(decoder, text, element, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := s.object(decoder, text, typ, path); err != nil {
			return err
		}
	default:
		return nil
	}
	_, err = decoder.Token() // the closing bracket
	return err
}

func (s *strangers) object(decoder *json.Decoder, text []byte, typ reflect.Type, path string) error {
	var keys map[string]reflect.Type
	if typ != nil && typ.Kind() == reflect.Struct {
		keys = keysOf(typ)
	}
	type stranger struct {
		name   string
		offset int64
	}
	var present []string
	var found []stranger
	for decoder.More() {
		offset := decoder.InputOffset()
		for int(offset) < len(text) && bytes.IndexByte([]byte(" \t\r\n,"), text[offset]) >= 0 {
			offset++
		}
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		var child reflect.Type
		known := false
		for key, typ := range keys {
			if strings.EqualFold(key, name) { // as encoding/json has it
				child, known, present = typ, true, append(present, key)
				name = key
			}
		}
		if keys != nil && !known && len(s.problems)+len(found) < MaxProblems {
			found = append(found, stranger{name, offset})
		}
		if err := s.json(decoder, text, child, under(path, name)); err != nil {
			return err
		}
	}
	for _, f := range found {
		s.add(positioned(text, f.offset+1, ""), path, f.name, keys, present)
	}
	return nil
}

// besides is what else is wrong with a definition that was read but for these
// keys, so that all of it can be mended at once.
func (s *strangers) besides(d Definition) []Problem {
	if s.astray {
		return nil
	}
	_, problems := compile(Version{Definition: d}, nil, runtime.Gosched)
	return slices.DeleteFunc(problems, func(p Problem) bool { return slices.Contains(s.meant, p.Field) })
}

// closest is the name that was probably meant, "" when none is near. Names that
// are equally near count in their order.
func closest(name string, names []string) string {
	best, distance := "", 3
	if len(name) < 4 {
		distance = 2 // half of it may be wrong, not more
	}
	slices.Sort(names)
	for _, candidate := range names {
		if d := editDistance(strings.ToLower(name), strings.ToLower(candidate), distance); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// didYouMean is the end of a message that suggests a name; "" suggests none.
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}
