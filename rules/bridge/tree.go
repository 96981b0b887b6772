package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/internal/fold"
)

// Limits on trees and JsonLogic, checked before anything is parsed.
const (
	// MaxBytes is the size of a tree or of JsonLogic as JSON.
	MaxBytes = 64 << 10
	// MaxDepth is how deep groups may nest. Deeper parts of a condition are locked.
	MaxDepth = 32
	// MaxNodes is how many groups and rules a tree may hold.
	MaxNodes = 1000
	// maxJSONDepth bounds braces and brackets: a group is an object and an array.
	maxJSONDepth = 2*MaxDepth + 8
)

// Locked is the field of a leaf that only a text editor can change. Its operator
// is LockedOperator, its value the text.
const (
	Locked         = "@cel"
	LockedOperator = "expression"
)

// The operators of rules. Their names are those of react-querybuilder where it
// has them. A value is one literal, or the name of a field of the same type when
// ValueSource says so; in and notIn have a list of literals, between and
// notBetween a list of two.
const (
	Equals           = "="
	NotEquals        = "!="
	Less             = "<"
	LessOrEqual      = "<="
	Greater          = ">"
	GreaterOrEqual   = ">="
	Between          = "between" // both ends included
	NotBetween       = "notBetween"
	In               = "in"
	NotIn            = "notIn"
	InList           = "inList" // the value is the name of a declared list
	NotInList        = "notInList"
	Contains         = "contains"
	DoesNotContain   = "doesNotContain"
	BeginsWith       = "beginsWith"
	DoesNotBeginWith = "doesNotBeginWith"
	EndsWith         = "endsWith"
	DoesNotEndWith   = "doesNotEndWith"
	Matches          = "matches" // RE2, a literal
	DoesNotMatch     = "doesNotMatch"
	IsTrue           = "isTrue"
	IsFalse          = "isFalse"
	IsKnown          = "isKnown"
	IsUnknown        = "isUnknown"
)

// How a group joins its rules.
const (
	And = "and"
	Or  = "or"
)

// Where a value comes from; empty means FromValue.
const (
	FromValue = "value"
	FromField = "field" // the value is a field's name
)

// Node is a group when Rules is not nil, and a rule otherwise. A group without
// rules may only be the whole tree, and always matches.
type Node struct {
	ID       string // the builder's own, kept as it came
	Disabled bool   // the builder's own

	Combinator string // And or Or
	Not        bool
	Rules      []Node

	Field       string
	Operator    string
	Value       any // string, bool, float64, json.Number, or []any of them
	ValueSource string
}

// IsGroup tells whether the node joins others.
func (n *Node) IsGroup() bool { return n.Rules != nil }

type groupJSON struct {
	ID         string `json:"id,omitempty"`
	Disabled   bool   `json:"disabled,omitempty"`
	Combinator string `json:"combinator"`
	Not        bool   `json:"not,omitempty"`
	Rules      []Node `json:"rules"`
}

type ruleJSON struct {
	ID          string `json:"id,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
	Field       string `json:"field"`
	Operator    string `json:"operator"`
	Value       any    `json:"value,omitempty"`
	ValueSource string `json:"valueSource,omitempty"`
}

// MarshalJSON writes a group or a rule.
func (n Node) MarshalJSON() ([]byte, error) {
	if n.IsGroup() {
		return marshal(groupJSON{ID: n.ID, Disabled: n.Disabled, Combinator: n.Combinator, Not: n.Not, Rules: n.Rules})
	}
	return marshal(ruleJSON{ID: n.ID, Disabled: n.Disabled, Field: n.Field, Operator: n.Operator, Value: n.Value, ValueSource: n.ValueSource})
}

func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("write tree: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// groupMembers and ruleMembers are all that a group and a rule may have.
var (
	groupMembers = []string{"id", "disabled", "combinator", "not", "rules"}
	ruleMembers  = []string{"id", "disabled", "field", "operator", "value", "valueSource"}
)

// UnmarshalJSON reads a group or a rule. It refuses members that it does not
// know: one that means something to the builder must not be dropped here. Their
// names must be spelled exactly, while encoding/json would let Rules replace
// rules.
func (n *Node) UnmarshalJSON(text []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	if members == nil {
		return fmt.Errorf("a group or a rule stands here as null")
	}
	rules, isGroup := members["rules"]
	known := ruleMembers
	if isGroup {
		known = groupMembers
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no member %s here; use %s", shown(name), strings.Join(known, ", "))
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if isGroup {
		if bytes.Equal(rules, []byte("null")) {
			return fmt.Errorf("the rules of a group are null")
		}
		var g groupJSON
		if err := decoder.Decode(&g); err != nil {
			return err
		}
		*n = Node{ID: g.ID, Disabled: g.Disabled, Combinator: g.Combinator, Not: g.Not, Rules: g.Rules}
		return nil
	}
	var r ruleJSON
	if err := decoder.Decode(&r); err != nil {
		return err
	}
	*n = Node{ID: r.ID, Disabled: r.Disabled, Field: r.Field, Operator: r.Operator, Value: r.Value, ValueSource: r.ValueSource}
	return nil
}

// Decode reads a tree from JSON within the limits of this package.
func Decode(text []byte) (Node, []rules.Problem) {
	if problem := boundJSON(text); problem != "" {
		return Node{}, []rules.Problem{{Message: problem}}
	}
	var n Node
	if err := json.Unmarshal(text, &n); err != nil {
		return Node{}, []rules.Problem{{Message: "the tree cannot be read: " + err.Error()}}
	}
	if !n.IsGroup() {
		n = Node{Combinator: And, Rules: []Node{n}}
	}
	return n, nil
}

// boundJSON says what is wrong with a text that is too large, nests too deep, is
// no single JSON value, or has an object with a member twice.
func boundJSON(text []byte) string {
	if len(text) > MaxBytes {
		return fmt.Sprintf("there are %d bytes; at most %d are allowed", len(text), MaxBytes)
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxJSONDepth {
				return fmt.Sprintf("this nests deeper than %d groups", MaxDepth)
			}
		case c == '}', c == ']':
			depth--
		}
	}
	if !json.Valid(text) {
		return "this is not JSON"
	}
	if name := memberTwice(text); name != "" {
		return fmt.Sprintf("the member %s stands twice in one object", shown(name))
	}
	return ""
}

// memberTwice names a member that an object of valid JSON holds twice, whatever
// its case is. encoding/json would keep the last one silently.
func memberTwice(text []byte) string {
	type level struct {
		members map[string]bool // nil in an array
		value   bool            // the next token is a value
	}
	var open []level
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if err == io.EOF || err != nil {
			return ""
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 && open[n-1].members != nil {
			top := &open[n-1]
			if name, ok := token.(string); ok && !top.value {
				alike := fold.Name(name)
				if top.members[alike] {
					return name
				}
				top.members[alike], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{members: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		}
	}
}

// shown puts a value into a message, cut so that no message grows with it.
func shown(v any) string {
	const most = 80
	text := fmt.Sprint(v)
	if s, ok := v.(string); ok {
		if len(s) > most {
			s = s[:most] + "…"
		}
		return fmt.Sprintf("%q", s)
	}
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
