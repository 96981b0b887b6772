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
	UnenrolledAllow  Unenrolled = "allow"  // the person goes on, as the wire protocol has it; not after a failure, and not where the rule names methods
	UnenrolledEnrol  Unenrolled = "enrol"  // the person types a one-time code from an e-mail, creates a passkey and proves themselves with it; refused where no code can be sent, after a failure, and where the rule accepts no passkey
	UnenrolledReview Unenrolled = "review" // somebody looks at it
	UnenrolledBlock  Unenrolled = "block"  // the person is refused
)

// UserVerification says whether an authenticator must verify the person, by a
// fingerprint, a face or a PIN, and not only that somebody is there.
type UserVerification string

// The requirements of user verification (WebAuthn L3, section 5.8.6).
const (
	VerificationRequired    UserVerification = "required"    // an answer without it is refused
	VerificationPreferred   UserVerification = "preferred"   // asked for where the authenticator can do it; an answer without it counts
	VerificationDiscouraged UserVerification = "discouraged" // not asked for; that somebody is there is enough
)

// FieldType is the type of a custom field.
type FieldType string

// The types of custom fields.
const (
	TypeString FieldType = "string"  // texts
	TypeNumber FieldType = "number"  // numbers
	TypeBool   FieldType = "boolean" // true or false
)

// Definition is a rule set as people write it: immutable once it is published.
// It holds all that a decision needs to be repeated.
type Definition struct {
	// Values of your own that rules may read as custom.NAME, or as user.custom.NAME
	// with scope user. A value that is not declared is stored but not readable.
	Fields []Field `json:"fields,omitempty" yaml:"fields,omitempty"`
	// Values over a sliding window of what happened before, which rules read as
	// metric.NAME.
	Metrics []Metric `json:"metrics,omitempty" yaml:"metrics,omitempty"`
	// Lists that rules may test as "fact in list.NAME". Their items are kept beside
	// the set and change without a new version of it.
	Lists []List `json:"lists,omitempty" yaml:"lists,omitempty"`
	// The rules of each kind of action.
	Actions []ActionRules `json:"actions" yaml:"actions"`
	// What decides actions that are not listed under actions. A code has no effect
	// here.
	Otherwise ActionRules `json:"otherwise" yaml:"otherwise"`
	// Facts and the decisions that they must get. All tests must pass before the set
	// is published.
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
	// What rules call it: custom.NAME, or user.custom.NAME. 1 to 64 letters, digits and
	// underscores; the first is no digit.
	Name string `json:"name" yaml:"name"`
	// What its values are. A value of another type is unknown to rules.
	Type FieldType `json:"type" yaml:"type"`
	// Whose value it is; action when left out.
	Scope Scope `json:"scope,omitempty" yaml:"scope,omitempty"`
	// What it means, for people who write rules.
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	// The member isPublic of the wire protocol. It is kept and has no effect.
	Public bool `json:"public,omitempty" yaml:"public,omitempty"`
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
	ListOfStrings ListType = "string" // texts, compared exactly
	ListOfNumbers ListType = "number" // numbers
	ListOfRanges  ListType = "cidr"   // addresses and CIDR ranges; an address inside a range is in the list
)

// List declares a list that rules may test.
type List struct {
	// What rules call it: list.NAME. 1 to 64 lower-case letters, digits and
	// underscores; the first is a letter.
	Name string `json:"name" yaml:"name"`
	// What its items are.
	Type ListType `json:"type" yaml:"type"`
	// What is on it, for people who write rules.
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	// The opposite of isActive of the wire protocol. It is kept and has no effect, as
	// there.
	Inactive bool `json:"inactive,omitempty" yaml:"inactive,omitempty"`
}

// Function is how a metric sums up what it counts.
type Function string

// The functions of metrics. Over nothing count, sum and distinct are 0; the
// others are unknown.
const (
	Count    Function = "count"    // how many there are
	Sum      Function = "sum"      // all values together
	Min      Function = "min"      // the smallest value
	Max      Function = "max"      // the largest value
	Average  Function = "average"  // the mean of the values
	Distinct Function = "distinct" // how many different values there are, at most 1,000
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
	// What rules call it: metric.NAME. 1 to 64 letters, digits and underscores; the
	// first is no digit.
	Name string `json:"name" yaml:"name"`
	// What it tells, for people who write rules.
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	// How it sums up what it counts.
	Function Function `json:"function" yaml:"function"`
	// The fact that is summed up: a number, or for distinct a string or a number. The
	// function count has none.
	Of string `json:"of,omitempty" yaml:"of,omitempty"`
	// The fact that must be equal for something to be counted: user.id for the same
	// user, ip.address for the same address. A string or a number; user.id when left
	// out.
	Per string `json:"per,omitempty" yaml:"per,omitempty"`
	// What is counted; actions when left out.
	Counts Counted `json:"counts,omitempty" yaml:"counts,omitempty"`
	// A condition on what is counted, CEL over the facts that were recorded with it,
	// and besides action.outcome (what the rules said) and, for challenges,
	// challenge.result: succeeded, failed (a wrong answer), denied (the person had not
	// asked for it) or abandoned (no answer came in time, or the browser gave an error
	// instead of one). Everything counts when it is left out. It reads neither metrics
	// nor lists.
	Where string `json:"where,omitempty" yaml:"where,omitempty"`
	// How far back it reaches, such as 10m, 24h or 30d: at least a minute and at most
	// 30 days.
	Window string `json:"window" yaml:"window"`
}

// ActionRules is everything that decides one kind of action.
type ActionRules struct {
	// What the application calls the action, such as payment: 1 to 64 letters, digits,
	// dashes and underscores.
	Code string `json:"code" yaml:"code"`
	// The outcome when no live rule matches; ALLOW when left out.
	Default Outcome `json:"default,omitempty" yaml:"default,omitempty"`
	// The outcome when a decision cannot be made, since a rule is in error or facts
	// did not come in time; CHALLENGE when left out.
	OnFailure Outcome `json:"onFailure,omitempty" yaml:"onFailure,omitempty"`
	// What a challenge means for a person who has nothing to prove themselves with;
	// allow when left out.
	Unenrolled Unenrolled `json:"unenrolled,omitempty" yaml:"unenrolled,omitempty"`
	// Whether the authenticator must verify the person in a challenge of the action; as
	// the server is configured when left out. A rule may ask for something else.
	UserVerification UserVerification `json:"userVerification,omitempty" yaml:"userVerification,omitempty"`
	// The text that a person approves, with {name} for custom values, such as
	// "Pay {amount} to {payee}". A plain sentence with the code when left out.
	Prompt string `json:"prompt,omitempty" yaml:"prompt,omitempty"`
	// All rules of the action. The first live one that matches decides.
	Rules []Rule `json:"rules" yaml:"rules"`
	// What a program sent that manages actions over the wire protocol and what no
	// other key holds. Do not write it yourself.
	Wire *WireAction `json:"wire,omitempty" yaml:"wire,omitempty"`
}

// WireAction keeps members of the wire protocol's action configuration as they
// were sent: JSON, byte for byte. They have no effect here.
type WireAction struct {
	Templates      string `json:"templates,omitempty" yaml:"templates,omitempty"`           // The member messagingTemplates, as JSON; without effect.
	Methods        string `json:"methods,omitempty" yaml:"methods,omitempty"`               // The member verificationMethods, as JSON; without effect.
	PromptToEnroll string `json:"promptToEnroll,omitempty" yaml:"promptToEnroll,omitempty"` // The member promptToEnrollVerificationMethods, as JSON; without effect.
	DefaultMethod  string `json:"defaultMethod,omitempty" yaml:"defaultMethod,omitempty"`   // The member defaultVerificationMethod, as JSON; without effect.
	Webhook        string `json:"webhook,omitempty" yaml:"webhook,omitempty"`               // The member verificationWebhookUrl, as JSON; without effect.
}

// Rule is one condition and what it asks for. Rules decide in the order in which
// they are listed.
type Rule struct {
	// What decisions and tests call the rule, the same for ever: 1 to 64 lower-case
	// letters, digits and dashes, unique in the rule set.
	ID string `json:"id" yaml:"id"`
	// What people call the rule.
	Name string `json:"name" yaml:"name"`
	// Why the rule is there, for people who read it.
	Description string `json:"description,omitempty" yaml:"description,omitempty"`
	// The condition, CEL that is true or false, such as
	// custom.amount > 200 && device.isNew.
	When string `json:"when" yaml:"when"`
	// What happens when the rule decides: ALLOW goes on, CHALLENGE asks the person to
	// prove themselves, REVIEW has somebody look at it, BLOCK refuses.
	Outcome Outcome `json:"outcome" yaml:"outcome"`
	// Whether the rule counts; live when left out.
	Mode Mode `json:"mode,omitempty" yaml:"mode,omitempty"`
	// What an error inside the condition means; fail when left out. A rule with
	// outcome ALLOW never matches in error.
	OnError OnError `json:"onError,omitempty" yaml:"onError,omitempty"`
	// What it means that the condition cannot be decided since a value is missing;
	// no-match when left out. A rule with outcome ALLOW never matches then.
	OnUnknown OnUnknown `json:"onUnknown,omitempty" yaml:"onUnknown,omitempty"`
	// A number for programs that need one: whole, unique in the action and ascending
	// from rule to rule. A rule without it has that of the rule before plus one, the
	// first 0.
	Position *int `json:"position,omitempty" yaml:"position,omitempty"`
	// The percentage of users to whom the rule applies, a whole number from 0 to 100;
	// all of them when left out. Who is in depends on the rule's and the user's id
	// alone.
	Rollout *int `json:"rollout,omitempty" yaml:"rollout,omitempty"`
	// The authenticators that a challenge of this rule accepts, such as PASSKEY; any
	// when left out.
	Methods []string `json:"methods,omitempty" yaml:"methods,omitempty"`
	// Whether the authenticator must verify the person in a challenge of this rule; as
	// the action says when left out. It has no effect with another outcome than
	// CHALLENGE.
	UserVerification UserVerification `json:"userVerification,omitempty" yaml:"userVerification,omitempty"`
	// What is done when the live rule matches, together with the decision, also when an
	// earlier rule decides.
	OnMatch *OnMatch `json:"onMatch,omitempty" yaml:"onMatch,omitempty"`
	// Words by which people find the rule.
	Tags []string `json:"tags,omitempty" yaml:"tags,omitempty"`
	// How a program wrote the rule that manages rules over the wire protocol. Do not
	// write it yourself.
	Wire *WireRule `json:"wire,omitempty" yaml:"wire,omitempty"`
}

// OnMatch adds a fact's value to a list.
type OnMatch struct {
	// The fact whose value is added, such as ip.address.
	Add string `json:"add" yaml:"add"`
	// The name of a declared list whose type the fact fits.
	To string `json:"to" yaml:"to"`
	// How long the item stays, such as 24h: 1m to 3650d; for ever when left out.
	For string `json:"for,omitempty" yaml:"for,omitempty"`
}

// WireRule keeps what the management API of the wire protocol was given and what
// no other field holds. Conditions hold only while When is what they meant.
type WireRule struct {
	// The condition as JsonLogic, as it was sent.
	Conditions string `json:"conditions,omitempty" yaml:"conditions,omitempty"`
	// The CEL that the JsonLogic was translated to. The program gets its JsonLogic back
	// while the rule's condition is this.
	When string `json:"when,omitempty" yaml:"when,omitempty"`
	// The member promptToEnrollVerificationMethods, as JSON; without effect.
	PromptToEnroll string `json:"promptToEnroll,omitempty" yaml:"promptToEnroll,omitempty"`
	// The member defaultVerificationMethod, as JSON; without effect.
	DefaultMethod string `json:"defaultMethod,omitempty" yaml:"defaultMethod,omitempty"`
}

// Test is facts and the decision they must get.
type Test struct {
	// What the test shows. No two tests have the same name.
	Name string `json:"name" yaml:"name"`
	// The code of the action that is decided. One that is not listed under actions is
	// decided by otherwise.
	Action string `json:"action" yaml:"action"`
	// Values by the names that conditions use, metrics (metric.NAME) and list tests
	// ("ip.address in list.suspects") among them. What is not there is unknown, but for
	// facts that are always there (user.isNew and the like): false, 0 or empty.
	Facts map[string]any `json:"facts,omitempty" yaml:"facts,omitempty"`
	// The outcome that the facts must get.
	Want Outcome `json:"want" yaml:"want"`
	// The id of the rule that must decide; default means that none does. It does not
	// matter when left out.
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
