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
// It holds all that a decision needs to be repeated.
type Definition struct {
	// Fields declares the custom data that rules may read as custom.NAME, or
	// user.custom.NAME. A value that is not declared is stored but not readable.
	Fields []Field `json:"fields,omitempty" yaml:"fields,omitempty"`
	// Metrics declares what rules may read as metric.NAME.
	Metrics []Metric `json:"metrics,omitempty" yaml:"metrics,omitempty"`
	// Lists declares the lists that rules may test as "fact in list.NAME". Their
	// items are kept beside the set and change without a new version of it.
	Lists []List `json:"lists,omitempty" yaml:"lists,omitempty"`
	// Actions holds the rules per action code.
	Actions []ActionRules `json:"actions" yaml:"actions"`
	// Otherwise decides actions that Actions does not list. Its Code is ignored.
	Otherwise ActionRules `json:"otherwise" yaml:"otherwise"`
	// Tests must pass before the set is published.
	Tests []Test `json:"tests,omitempty" yaml:"tests,omitempty"`
}

// Scope says whose value a field is.
type Scope string

// The scopes of fields.
const (
	OfAction Scope = "action" // sent with each action, read as custom.NAME
	OfUser   Scope = "user"   // kept with the user, read as user.custom.NAME
)

// Field declares one custom value.
type Field struct {
	Name        string    `json:"name" yaml:"name"` // [a-zA-Z_][a-zA-Z0-9_]*, at most 64 characters
	Type        FieldType `json:"type" yaml:"type"`
	Scope       Scope     `json:"scope,omitempty" yaml:"scope,omitempty"` // empty means action
	Description string    `json:"description,omitempty" yaml:"description,omitempty"`
	Public      bool      `json:"public,omitempty" yaml:"public,omitempty"` // isPublic of the wire protocol; kept, without effect
}

// fact is the name of the field in conditions.
func (f *Field) fact() string {
	if f.Scope == OfUser {
		return userCustomPrefix + f.Name
	}
	return customPrefix + f.Name
}

// ListType is what the items of a list are.
type ListType string

// The types of lists.
const (
	ListOfStrings ListType = "string"
	ListOfNumbers ListType = "number"
	ListOfRanges  ListType = "cidr" // addresses and CIDR ranges; an address inside a range is in the list
)

// List declares a list that rules may test.
type List struct {
	Name        string   `json:"name" yaml:"name"` // [a-z][a-z0-9_]*, at most 64 characters
	Type        ListType `json:"type" yaml:"type"`
	Description string   `json:"description,omitempty" yaml:"description,omitempty"`
	Inactive    bool     `json:"inactive,omitempty" yaml:"inactive,omitempty"` // isActive: false of the wire protocol; kept, without effect, as there
}

// Function is how a metric sums up what it counts.
type Function string

// The functions of metrics. Over nothing count, sum and distinct are 0; the
// others are unknown.
const (
	Count    Function = "count"
	Sum      Function = "sum"
	Min      Function = "min"
	Max      Function = "max"
	Average  Function = "average"
	Distinct Function = "distinct"
)

// Counted says what a metric counts.
type Counted string

// What metrics count.
const (
	CountActions    Counted = "actions"    // tracked actions, each at the time of its decision
	CountChallenges Counted = "challenges" // results of step-up ceremonies, each at its own time
)

// Metric declares a value over a sliding window of what happened. The action
// that is being decided is not part of it. See Window for what is in.
type Metric struct {
	Name        string   `json:"name" yaml:"name"` // [a-zA-Z_][a-zA-Z0-9_]*, at most 64 characters
	Description string   `json:"description,omitempty" yaml:"description,omitempty"`
	Function    Function `json:"function" yaml:"function"`
	// Of is the fact that is summed up: a number, or for distinct a string or a
	// number. Count has none.
	Of string `json:"of,omitempty" yaml:"of,omitempty"`
	// Per is the fact that must be equal: what happened to the same user, from the
	// same address. A string or a number; empty means user.id.
	Per string `json:"per,omitempty" yaml:"per,omitempty"`
	// Counts says what is counted; empty means actions.
	Counts Counted `json:"counts,omitempty" yaml:"counts,omitempty"`
	// Where is a condition on what is counted, CEL over the facts that were
	// recorded with it, and besides action.outcome (what the rules said) and, for
	// challenges, challenge.result (succeeded, failed, denied or abandoned). Empty
	// means everything. It reads neither metrics nor lists.
	Where string `json:"where,omitempty" yaml:"where,omitempty"`
	// Window is the length, such as 10m, 24h or 30d: whole minutes, at least one
	// and at most 30 days.
	Window string `json:"window" yaml:"window"`
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
	// Wire is what the management API of the wire protocol was given and what no
	// other field holds.
	Wire *WireAction `json:"wire,omitempty" yaml:"wire,omitempty"`
}

// WireAction keeps members of the wire protocol's action configuration as they
// were sent: JSON, byte for byte. They have no effect here.
type WireAction struct {
	Templates      string `json:"templates,omitempty" yaml:"templates,omitempty"`           // messagingTemplates
	Methods        string `json:"methods,omitempty" yaml:"methods,omitempty"`               // verificationMethods
	PromptToEnroll string `json:"promptToEnroll,omitempty" yaml:"promptToEnroll,omitempty"` // promptToEnrollVerificationMethods
	DefaultMethod  string `json:"defaultMethod,omitempty" yaml:"defaultMethod,omitempty"`   // defaultVerificationMethod
	Webhook        string `json:"webhook,omitempty" yaml:"webhook,omitempty"`               // verificationWebhookUrl
}

// Rule is one condition and what it asks for. Rules decide in the order in which
// they are listed.
type Rule struct {
	ID          string    `json:"id" yaml:"id"` // [a-z0-9-], at most 64 characters, unique in the set
	Name        string    `json:"name" yaml:"name"`
	Description string    `json:"description,omitempty" yaml:"description,omitempty"`
	When        string    `json:"when" yaml:"when"` // CEL, of type bool
	Outcome     Outcome   `json:"outcome" yaml:"outcome"`
	Mode        Mode      `json:"mode,omitempty" yaml:"mode,omitempty"`           // empty means live
	OnError     OnError   `json:"onError,omitempty" yaml:"onError,omitempty"`     // empty means fail
	OnUnknown   OnUnknown `json:"onUnknown,omitempty" yaml:"onUnknown,omitempty"` // empty means no-match
	// Position is a whole number, unique in the action and ascending from rule to
	// rule. A rule without one has that of the rule before plus one, the first 0.
	Position *int `json:"position,omitempty" yaml:"position,omitempty"`
	// Rollout is the percentage of users to whom the rule applies, 0 to 100. Nil
	// means all. Who is in depends on the rule's and the user's id alone.
	Rollout *int `json:"rollout,omitempty" yaml:"rollout,omitempty"`
	// Methods are the authenticators that a challenge of this rule accepts, in the
	// words of the wire protocol such as PASSKEY. Empty means any.
	Methods []string `json:"methods,omitempty" yaml:"methods,omitempty"`
	// OnMatch is done when the rule matches live, together with the decision.
	OnMatch *OnMatch `json:"onMatch,omitempty" yaml:"onMatch,omitempty"`
	Tags    []string `json:"tags,omitempty" yaml:"tags,omitempty"`
	// Wire is how the management API of the wire protocol wrote the rule.
	Wire *WireRule `json:"wire,omitempty" yaml:"wire,omitempty"`
}

// OnMatch adds a fact's value to a list.
type OnMatch struct {
	Add string `json:"add" yaml:"add"`                     // fact, such as ip.address
	To  string `json:"to" yaml:"to"`                       // name of a declared list of a fitting type
	For string `json:"for,omitempty" yaml:"for,omitempty"` // such as 24h; empty means for ever
}

// WireRule keeps what the management API of the wire protocol was given and what
// no other field holds. Conditions hold only while When is what they meant.
type WireRule struct {
	Conditions string `json:"conditions,omitempty" yaml:"conditions,omitempty"` // JsonLogic, byte for byte
	When       string `json:"when,omitempty" yaml:"when,omitempty"`             // the CEL they were translated to
	// Further members of the rule as it was sent, JSON, byte for byte.
	PromptToEnroll string `json:"promptToEnroll,omitempty" yaml:"promptToEnroll,omitempty"`
	DefaultMethod  string `json:"defaultMethod,omitempty" yaml:"defaultMethod,omitempty"`
}

// Test is facts and the decision they must get.
type Test struct {
	Name   string `json:"name" yaml:"name"`
	Action string `json:"action" yaml:"action"`
	// Facts by the names that conditions use, metrics (metric.NAME) and list tests
	// ("ip.address in list.suspects") among them. What is not there is unknown,
	// but for facts that are always there (user.isNew and the like): false and 0.
	Facts map[string]any `json:"facts,omitempty" yaml:"facts,omitempty"`
	Want  Outcome        `json:"want" yaml:"want"`
	// Rule is the id of the rule that must decide; "default" means that none does,
	// empty that it does not matter.
	Rule string `json:"rule,omitempty" yaml:"rule,omitempty"`
}

// Version is a published definition. Number counts from 1.
type Version struct {
	Number      int
	Definition  Definition
	Author      string
	Note        string
	PublishedAt time.Time
}
