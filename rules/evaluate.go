package rules

// Result is what a set says about one action. It is complete: every rule that
// matched, in shadow too, and every one that erred or ended unknown.
type Result struct {
	Outcome Outcome
	Reason  Reason
	Rule    string  // id of the rule that decided, "" otherwise
	Matches []Match // in the order of the rules, at most MaxMatches
	Count   int     // of all matches, also beyond MaxMatches
	// Erred is true when the condition of the rule that decided was in error and the
	// rule counts that as a match.
	Erred bool
	// Methods are the authenticators that a challenge accepts, as the rule that
	// decided has it; empty means any. The caller must not change it.
	Methods []string
	// UserVerification is what a challenge asks of the authenticator, as the rule that
	// decided has it; empty means as the action says.
	UserVerification UserVerification
	// Additions is what the live rules that match add to lists, in the order of the
	// rules, whether they decide or not.
	Additions []Addition
}

// Reason says why an outcome is what it is.
type Reason string

// The reasons that a rule set gives.
const (
	ByRule    Reason = "rule"
	ByDefault Reason = "default"
	ByFailure Reason = "fail-mode"
)

// MaxMatches is how many matches a decision records.
const MaxMatches = 100

// Match is one rule that did not simply end false.
type Match struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Mode    Mode    `json:"mode"`
	Result  Verdict `json:"result"`
	Error   string  `json:"error,omitempty"` // for Result error: what went wrong and where, never a value of a fact
	Decides bool    `json:"decides,omitempty"`
}

// Verdict is how a rule's condition ended.
type Verdict string

// The verdicts that are recorded; a plain false is not.
const (
	Matched Verdict = "matched"
	Unknown Verdict = "unknown"
	Erred   Verdict = "error"
)
