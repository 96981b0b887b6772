package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// codecVersion tags what EncodeFacts and EncodeMatches write. A reader of a
// later version must still read this one: decisions are kept for years.
const codecVersion = 1

// EncodeFacts writes the known facts as version-tagged JSON. Custom values are
// written whether they are declared or not, so that a rule set that declares
// them later can be tried on past decisions.
func EncodeFacts(f *Facts) ([]byte, error) {
	out := make([]byte, 0, 1536)
	out = append(out, `{"v":1,"facts":{`...)
	begin := len(out)
	for i := range builtins() {
		out = builtins()[i].append(out, f)
	}
	if len(out) > begin {
		out = slices.Delete(out, begin, begin+1) // the comma before the first member
	}
	out = append(out, '}')
	var err error
	if out, err = appendValues(out, "custom", f.Custom); err != nil {
		return nil, err
	}
	if out, err = appendValues(out, "userCustom", f.UserCustom); err != nil {
		return nil, err
	}
	if out, err = appendValues(out, "metrics", f.Metrics); err != nil {
		return nil, err
	}
	if out, err = appendValues(out, "lists", f.Lists); err != nil {
		return nil, err
	}
	return append(out, '}'), nil
}

// appendValues appends the member name with values by name, in order, unless
// there is none.
func appendValues[T any](out []byte, member string, values map[string]T) ([]byte, error) {
	if len(values) == 0 {
		return out, nil
	}
	out = append(out, ',')
	out = appendJSON(out, member)
	out = append(out, ':', '{')
	first := true
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := any(values[name])
		switch v := value.(type) {
		case string, bool:
		case float64:
			if numberValue(v) == nil {
				continue
			}
		default:
			return nil, fmt.Errorf("encode facts: %s value %q is a %T", member, name, v)
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = appendJSON(out, name)
		out = append(out, ':')
		out = appendJSON(out, value)
	}
	return append(out, '}'), nil
}

// appendJSON writes a string, a finite number or a boolean. Every decision
// encodes some twenty of them, so the usual ones do without reflection.
func appendJSON(out []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(out, v)
	case float64:
		return appendNumber(out, v)
	case string:
		return appendText(out, v)
	}
	return appendReflected(out, v)
}

func appendNumber(out []byte, v float64) []byte {
	if math.Abs(v) < 1e15 {
		return strconv.AppendFloat(out, v, 'f', -1, 64)
	}
	return appendReflected(out, v)
}

func appendText(out []byte, s string) []byte {
	if plainJSON(s) {
		out = append(out, '"')
		out = append(out, s...)
		return append(out, '"')
	}
	return appendReflected(out, s)
}

func appendReflected(out []byte, v any) []byte {
	text, _ := json.Marshal(v) // cannot fail for these types
	return append(out, text...)
}

// plainJSON tells whether a text stands for itself between quotes.
func plainJSON(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// matchesRecord is the stored form of a decision's matches.
type matchesRecord struct {
	Version int     `json:"v"`
	Count   int     `json:"count"`
	Matches []Match `json:"matches"`
}

// EncodeMatches writes the matches of a decision, and how many there were in
// all, as version-tagged JSON. It holds no value of a fact.
func EncodeMatches(matches []Match, count int) (json.RawMessage, error) {
	if matches == nil {
		matches = []Match{}
	}
	text, err := json.Marshal(matchesRecord{Version: codecVersion, Count: count, Matches: matches})
	if err != nil {
		return nil, fmt.Errorf("encode matches: %w", err)
	}
	return text, nil
}

// DecodeMatches reads what EncodeMatches wrote. Nothing encoded means none.
func DecodeMatches(encoded json.RawMessage) ([]Match, int, error) {
	if len(encoded) == 0 {
		return nil, 0, nil
	}
	var record matchesRecord
	if err := json.Unmarshal(encoded, &record); err != nil {
		return nil, 0, fmt.Errorf("read matches: %w", err)
	}
	if record.Version != codecVersion {
		return nil, 0, fmt.Errorf("read matches: version %d is not known to this build", record.Version)
	}
	return record.Matches, record.Count, nil
}
