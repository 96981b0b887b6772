package rules

import "time"

// Outcome is what a rule, or the absence of one, asks for.
type Outcome string

// The outcomes, in the words of the wire protocol (CONTRACT 1.3).
const (
	Allow     Outcome = "ALLOW"
	Challenge Outcome = "CHALLENGE"
	Review    Outcome = "REVIEW"
	Block     Outcome = "BLOCK"
)

// Mode says whether a rule counts.
type Mode string

// The modes of a rule.
const (
	Live   Mode = "live"   // decides
	Shadow Mode = "shadow" // evaluated and recorded, never decides
	Off    Mode = "off"    // not evaluated
)

// OnError says what an error inside a rule's condition means.
type OnError string

// What an error means. An ALLOW rule in error never matches, whatever it says.
const (
	ErrorFails   OnError = "fail"     // the action's failure outcome decides, unless an earlier live rule matched
	ErrorMatches OnError = "match"    // as if the condition were true
	ErrorIgnored OnError = "no-match" // as if it were false; still recorded and counted
)

// OnUnknown says what a condition that ends unknown means.
type OnUnknown string

// What unknown means. An ALLOW rule that ends unknown never matches.
const (
	UnknownIgnored OnUnknown = "no-match"
	UnknownMatches OnUnknown = "match"
)

// Unenrolled says what a CHALLENGE means for a person without an authenticator.
type Unenrolled string

// The policies for people who cannot be challenged yet.
const (
	UnenrolledAllow  Unenrolled = "allow" // the wire protocol's default; only for a rule's or the default's CHALLENGE, never for a failure
	UnenrolledReview Unenrolled = "review"
	UnenrolledBlock  Unenrolled = "block"
)

// FieldType is the type of a custom field.
type FieldType string

// The types of custom fields, and the CEL types they become.
const (
	TypeString FieldType = "string"  // string
	TypeNumber FieldType = "number"  // double
	TypeBool   FieldType = "boolean" // bool
)

// Definition is a rule set as people write it: immutable once it is published.
type Definition struct {
	// Fields declares the custom data that rules may read as custom.NAME. A value
	// that is not declared is stored with the action but not readable.
	Fields []Field `json:"fields,omitempty" yaml:"fields,omitempty"`
	// Actions holds the rules per action code.
	Actions []ActionRules `json:"actions" yaml:"actions"`
	// Otherwise decides actions that Actions does not list. Its Code is ignored.
	Otherwise ActionRules `json:"otherwise" yaml:"otherwise"`
}

// Field declares one custom value, sent as custom.NAME with an action.
type Field struct {
	Name        string    `json:"name" yaml:"name"` // [a-zA-Z_][a-zA-Z0-9_]*, at most 64 characters
	Type        FieldType `json:"type" yaml:"type"`
	Description string    `json:"description,omitempty" yaml:"description,omitempty"`
}

// ActionRules is everything that decides one kind of action.
type ActionRules struct {
	Code string `json:"code" yaml:"code"`
	// Default is the outcome when no live rule matches. Empty means ALLOW.
	Default Outcome `json:"default,omitempty" yaml:"default,omitempty"`
	// OnFailure is the outcome when a decision cannot be made: a rule in error, a
	// signal source that is late. Empty means CHALLENGE.
	OnFailure Outcome `json:"onFailure,omitempty" yaml:"onFailure,omitempty"`
	// Unenrolled says what a challenge means for a person who has no
	// authenticator. Empty means allow, as the wire protocol has it.
	Unenrolled Unenrolled `json:"unenrolled,omitempty" yaml:"unenrolled,omitempty"`
	// Prompt is the text a person approves, with {name} for custom values, such as
	// "Pay {amount} to {payee}". Empty means a plain sentence with the action's code.
	Prompt string `json:"prompt,omitempty" yaml:"prompt,omitempty"`
	Rules  []Rule `json:"rules" yaml:"rules"` // the first live match decides
}

// Rule is one condition and what it asks for. Its position is its index.
type Rule struct {
	ID          string    `json:"id" yaml:"id"` // [a-z0-9-], at most 64 characters, unique in the set
	Name        string    `json:"name" yaml:"name"`
	Description string    `json:"description,omitempty" yaml:"description,omitempty"`
	When        string    `json:"when" yaml:"when"` // CEL, of type bool
	Outcome     Outcome   `json:"outcome" yaml:"outcome"`
	Mode        Mode      `json:"mode,omitempty" yaml:"mode,omitempty"`           // empty means live
	OnError     OnError   `json:"onError,omitempty" yaml:"onError,omitempty"`     // empty means fail
	OnUnknown   OnUnknown `json:"onUnknown,omitempty" yaml:"onUnknown,omitempty"` // empty means no-match
	Tags        []string  `json:"tags,omitempty" yaml:"tags,omitempty"`
}

// Version is a published definition. Number counts from 1.
type Version struct {
	Number      int
	Definition  Definition
	Author      string
	Note        string
	PublishedAt time.Time
}
