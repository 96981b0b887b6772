package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FactValue is one fact of a decision, ready to be shown.
type FactValue struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Doc   string `json:"doc"`
	Known bool   `json:"known"`
	Value any    `json:"value,omitempty"` // string, float64, bool or RFC 3339 time, nil when unknown
	Sent  string `json:"sent,omitempty"`  // what was sent of a field that is unknown all the same, such as "a string"; never its content
}

// factsRecord is the stored form of facts: known ones only, by name.
type factsRecord struct {
	Version    int                `json:"v"`
	Facts      map[string]any     `json:"facts"`
	Custom     map[string]any     `json:"custom"`
	UserCustom map[string]any     `json:"userCustom"`
	Metrics    map[string]float64 `json:"metrics"`
	Lists      map[string]bool    `json:"lists"` // by the text of the test
}

func readRecord(encoded []byte) (factsRecord, error) {
	var record factsRecord
	if err := json.Unmarshal(encoded, &record); err != nil {
		return record, fmt.Errorf("read facts: %w", err)
	}
	if record.Version != codecVersion {
		return record, fmt.Errorf("read facts: version %d is not known to this build", record.Version)
	}
	return record, nil
}

// DecodeFacts reads what EncodeFacts wrote. Conditions see the same values as
// before. Facts that this build does not know are left out; those that the
// record does not hold are unknown, or false and 0 where a fact cannot be
// unknown. Nothing encoded, as after an erasure, is an error: a decision whose
// facts are gone cannot be repeated.
//
// The texts share memory with one copy of encoded: keep a clone of a text that
// outlives its Facts.
func DecodeFacts(encoded []byte) (*Facts, error) {
	if len(encoded) == 0 {
		return nil, errors.New("read facts: there are none")
	}
	r := factsReader{text: string(encoded)}
	if facts, ok := r.read(); ok {
		return facts, nil
	}
	return decodeAny(encoded)
}

// decodeAny reads any JSON that means facts, also such as no writer of ours
// makes.
func decodeAny(encoded []byte) (*Facts, error) {
	record, err := readRecord(encoded)
	if err != nil {
		return nil, err
	}
	f := &Facts{Custom: record.Custom, UserCustom: record.UserCustom, Metrics: record.Metrics, Lists: record.Lists}
	for i := range builtins() {
		b := &builtins()[i]
		v, there := record.Facts[b.Name]
		if !there {
			continue
		}
		if value, ok := scalarOf(v); !ok || !b.write(f, value) {
			return nil, fmt.Errorf("read facts: %s is not a %s", b.Name, b.Type)
		}
	}
	for _, values := range []map[string]any{f.Custom, f.UserCustom} {
		for name, v := range values {
			if _, ok := scalarOf(v); !ok {
				return nil, fmt.Errorf("read facts: the custom value %s is a %T", quoted(name), v)
			}
		}
	}
	return f, nil
}

// scalarOf takes a value out of its interface. It reports false for what no fact
// can be.
func scalarOf(v any) (scalar, bool) {
	switch v := v.(type) {
	case string:
		return scalar{kind: textScalar, text: v}, true
	case float64:
		return scalar{kind: numberScalar, number: v}, numberValue(v) != nil
	case bool:
		return scalar{kind: boolScalar, truth: v}, true
	}
	return scalar{}, false
}

// factsReader reads the form that EncodeFacts writes: no blanks, members in one
// order. When metrics are rebuilt every event of 30 days is read, and this takes
// a tenth of the time of encoding/json. It gives up on anything else, valid or
// not.
type factsReader struct {
	text string
	at   int
}

func (r *factsReader) read() (*Facts, bool) {
	if !r.skip(`{"v":1,"facts":`) {
		return nil, false
	}
	f := &Facts{}
	known, next := builtins(), 0
	ok := r.members(func(name string, v scalar) bool {
		for i := range known {
			// Facts are written in the order of the vocabulary.
			if b := &known[(next+i)%len(known)]; b.Name == name {
				next += i + 1
				return b.write(f, v)
			}
		}
		return true
	})
	ok = ok && r.custom(`,"custom":`, &f.Custom) && r.custom(`,"userCustom":`, &f.UserCustom)
	if ok && r.skip(`,"metrics":`) {
		f.Metrics = map[string]float64{}
		ok = r.members(func(name string, v scalar) bool {
			f.Metrics[name] = v.number
			return v.kind == numberScalar
		})
	}
	if ok && r.skip(`,"lists":`) {
		f.Lists = map[string]bool{}
		ok = r.members(func(name string, v scalar) bool {
			f.Lists[name] = v.truth
			return v.kind == boolScalar
		})
	}
	return f, ok && r.skip("}") && r.at == len(r.text)
}

// custom reads an optional member of values by name.
func (r *factsReader) custom(member string, into *map[string]any) bool {
	if !r.skip(member) {
		return true
	}
	values := map[string]any{}
	*into = values
	return r.members(func(name string, v scalar) bool {
		switch v.kind {
		case textScalar:
			values[name] = v.text
		case numberScalar:
			values[name] = v.number
		case boolScalar:
			values[name] = v.truth
		}
		return true
	})
}

// skip passes over a text that must stand here.
func (r *factsReader) skip(text string) bool {
	if !strings.HasPrefix(r.text[r.at:], text) {
		return false
	}
	r.at += len(text)
	return true
}

// members reads an object of plain values.
func (r *factsReader) members(member func(name string, v scalar) bool) bool {
	if !r.skip("{") {
		return false
	}
	if r.skip("}") {
		return true
	}
	for {
		name, ok := r.string()
		if !ok || !r.skip(":") {
			return false
		}
		value, ok := r.value()
		if !ok || !member(name, value) {
			return false
		}
		if !r.skip(",") {
			return r.skip("}")
		}
	}
}

func (r *factsReader) value() (scalar, bool) {
	switch {
	case r.skip("true"):
		return scalar{kind: boolScalar, truth: true}, true
	case r.skip("false"):
		return scalar{kind: boolScalar}, true
	case strings.HasPrefix(r.text[r.at:], `"`):
		s, ok := r.string()
		return scalar{kind: textScalar, text: s}, ok
	}
	n, ok := r.number()
	return scalar{kind: numberScalar, number: n}, ok
}

// string reads a quoted text.
func (r *factsReader) string() (string, bool) {
	if !r.skip(`"`) {
		return "", false
	}
	start, ascii := r.at, true
	for i := start; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			r.at = i + 1
			s := r.text[start:i]
			return s, ascii || utf8.ValidString(s)
		case c == '\\':
			return r.escaped(start - 1)
		case c < ' ':
			return "", false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// escaped reads a quoted text with escapes, which begins at start.
func (r *factsReader) escaped(start int) (string, bool) {
	for i := start + 1; i < len(r.text); i++ {
		switch r.text[i] {
		case '\\':
			i++
		case '"':
			r.at = i + 1
			var s string
			return s, json.Unmarshal([]byte(r.text[start:r.at]), &s) == nil
		}
	}
	return "", false
}

// number reads a number as JSON writes it (RFC 8259, section 6).
func (r *factsReader) number() (float64, bool) {
	start := r.at
	r.skip("-")
	if !r.skip("0") && !r.digits() {
		return 0, false
	}
	if r.skip(".") && !r.digits() {
		return 0, false
	}
	if r.skip("e") || r.skip("E") {
		if !r.skip("+") {
			r.skip("-")
		}
		if !r.digits() {
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(r.text[start:r.at], 64)
	return n, err == nil
}

func (r *factsReader) digits() bool {
	start := r.at
	for r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at > start
}

// ListFacts shows what EncodeFacts wrote: every built-in fact in the order of
// the vocabulary, every field and metric that d declares, unknown ones without a
// value, and the list tests that were answered. Nothing encoded, as after an
// erasure, gives an empty list.
func ListFacts(encoded []byte, d *Definition) ([]FactValue, error) {
	if len(encoded) == 0 {
		return []FactValue{}, nil
	}
	record, err := readRecord(encoded)
	if err != nil {
		return nil, err
	}
	list := make([]FactValue, 0, len(builtins())+len(d.Fields)+len(d.Metrics)+len(record.Lists))
	for i := range builtins() {
		b := &builtins()[i]
		value, ok := record.Facts[b.Name]
		list = append(list, FactValue{Name: b.Name, Type: b.Type, Doc: b.Doc, Known: ok, Value: value})
	}
	facts := Facts{Custom: record.Custom, UserCustom: record.UserCustom}
	for i := range d.Fields {
		f := &d.Fields[i]
		value := FactValue{Name: f.fact(), Type: string(f.Type), Doc: f.Description}
		if v := customValue(&facts, f); v != nil {
			value.Known, value.Value = true, v.Value()
		} else {
			value.Sent = sentAs(&facts, f)
		}
		list = append(list, value)
	}
	for i := range d.Metrics {
		m := &d.Metrics[i]
		value := FactValue{Name: metricPrefix + m.Name, Type: string(TypeNumber), Doc: m.Description}
		if v, known := record.Metrics[m.Name]; known {
			value.Known, value.Value = true, v
		}
		list = append(list, value)
	}
	for _, test := range slices.Sorted(maps.Keys(record.Lists)) {
		fact, name, _ := strings.Cut(test, " in ")
		list = append(list, FactValue{
			Name: test, Type: string(TypeBool), Known: true, Value: record.Lists[test],
			Doc: fmt.Sprintf("Whether %s was in the list %s.", fact, strings.TrimPrefix(name, listPrefix)),
		})
	}
	return list, nil
}
