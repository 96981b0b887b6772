package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Action is what a backend reports before it carries it out. Only User and Code
// are required.
type Action struct {
	events.ActionID        // Key empty: the engine makes one
	Email           string // stored with the user when not empty; so are the next two
	PhoneNumber     string
	Username        string
	DeviceID        string
	IP              string // textual; anything else is an unknown fact
	UserAgent       string
	Locale          string
	RedirectURL     string
	Scope           string          // space separated, see ScopeAdd
	SignIn          bool            // the person proves themselves with this very action, see BySignIn; false: they are signed in already
	Custom          map[string]any  // string, bool, and any number; whole ones up to 2^53, which a float64 holds exactly
	RawCustom       json.RawMessage // Custom as it was sent, kept verbatim
}

// Scopes that a backend may ask for. The last three change who can prove
// themselves, so an enrolled person is challenged first (see Engine.Track).
const (
	ScopeRead   = "read:authenticators"
	ScopeAdd    = "add:authenticators"
	ScopeRemove = "remove:authenticators"
	ScopeUpdate = "update:authenticators"
)

// Profile is what a decision reads of a person and a device.
type Profile struct {
	Known          bool // the user exists
	CreatedAt      time.Time
	Email          string
	PhoneNumber    string
	Username       string
	Custom         map[string]any  // values kept with the user: string, float64 or bool
	Methods        []events.Method // enrolled and usable, each once, in order of enrolment
	Passkeys       []Passkey       // in order of enrolment
	LastVerifiedAt time.Time       // zero when never
	VerifiedAt     *Place          // where the person last passed a challenge, nil when not known
	Generation     int64           // generation of the user's tokens
	Devices        int             // known devices of the person

	DeviceKnown     bool      // an earlier action from it was allowed by the rules or proven
	RememberedUntil time.Time // of the device, zero when it is not remembered
	DeviceUsers     int       // people for whom the device is known
	AddressKnown    bool      // an earlier action from the address was allowed by the rules or proven
}

// Passkey is what the rules may know of a passkey.
type Passkey struct {
	AAGUID     string // of the authenticator's make, as a UUID; "" when not known
	Synced     bool   // backup eligible: it can leave its device
	CreatedAt  time.Time
	LastUsedAt time.Time // zero when never
	Regressed  bool      // its signature counter has gone back (WebAuthn L3, section 7.2, step 22)
}

// Place is a point on earth at a time.
type Place struct {
	Latitude, Longitude float64 // degrees north and east
	At                  time.Time
}

// Enrolled reports whether the person can be challenged.
func (p Profile) Enrolled() bool { return len(p.Methods) > 0 }

// Reasons that the engine adds to those of the rules.
const (
	// ByEnrolmentPolicy: the rules asked for a challenge, the person has no
	// authenticator, and the action's policy for that case decided. With the state
	// CHALLENGE_REQUIRED the person first creates a passkey.
	ByEnrolmentPolicy rules.Reason = "enrolment-policy"
	// ByManagement: the action asks to change the person's authenticators, so an
	// enrolled person is challenged whatever the rules said.
	ByManagement rules.Reason = "management"
	// BySignIn: the person proves themselves with this very action, as in signing in
	// with a passkey or claiming a code sent by e-mail, so an ALLOW asks for a proof.
	BySignIn rules.Reason = "sign-in"
)

// Decision is the recorded answer to one action. It does not change; State does.
type Decision struct {
	events.ActionID
	Outcome rules.Outcome
	State   events.ActionState // current state
	Reason  rules.Reason
	Rule    string // id of the rule that decided, "" otherwise
	Set     int
	Matches []rules.Match
	Allowed []events.Method // that a challenge accepts; empty means any
	// UserVerification is what a challenge asks of the authenticator: required,
	// preferred or discouraged (WebAuthn L3, section 5.8.6), as the deciding rule or
	// else the action has it. Empty means the server's default.
	UserVerification string
	Prompt           string // what a challenge shows, already filled in
	PromptID         string // the template it comes from: "payment@7", action code and set number
	Methods          []events.Method
	Generation       int64
	CreatedAt        time.Time
	StateChangedAt   time.Time
	Repeated         bool // this action had been decided before; nothing was recorded now
}

// Enrolled reports whether the person could be challenged when the action was decided.
func (d Decision) Enrolled() bool { return len(d.Methods) > 0 }

// Recording is one decision on its way into the log.
type Recording struct {
	Action          Action
	Decision        Decision
	Address         string         // IP address in canonical form, "" when unknown
	Country         string         // ISO 3166-1 alpha-2, "" when unknown
	Place           *Place         // where the address is, nil when unknown
	EstablishDevice bool           // the rules allowed it: device and address, if it has them, are known from now on
	Additions       []ListAddition // what live matches add to lists, in the order of the rules
	Event           events.Draft   // an ActionTracked
}

// ListAddition is an item that a rule adds to a list. An item that is there
// already stays, until the later of both times.
type ListAddition struct {
	List  string
	Type  rules.ListType // of the list as the set declares it; a list that is not there yet becomes one of it
	Value string         // canonical, see lists.Canonical
	Until time.Time      // zero: for ever
	Rule  string         // id of the rule
}

// Lists answers which values are on the lists that rules test. Answers come from
// memory. One that is Instant is asked in the caller's goroutine.
type Lists interface {
	// Test looks for a value, a string or a float64. The answer is unknown while
	// the list cannot be read, and for a value that no such list could hold.
	Test(list string, value any, now time.Time) rules.Value[bool]
	// Version is the number of the last change that answers take into account.
	Version() int64
}

// Refreshing is implemented by Lists whose items are kept by the Recorder. After
// a decision that added to lists the engine asks them to read what is new, so
// that the next action is decided with it.
type Refreshing interface {
	Lists
	// Refresh reads every change that was committed before it was called. An error
	// does no harm: the lists find the changes by themselves, later.
	Refresh(ctx context.Context) error
}

// Metrics reads sliding windows over the log. Answers come from memory. One that
// is Instant is asked in the caller's goroutine.
type Metrics interface {
	// Read fills facts.Metrics with the metrics that the rules of an action may
	// read, from exactly the events up to the position that it returns. The windows
	// end at facts.Now. What cannot be known now stays out.
	Read(set *rules.Set, code string, facts *rules.Facts) events.Position
}

// Preparer is implemented by Metrics that can work out what a decision adds to
// them before the log has it. Then only the decision's caller waits for that, and
// not everybody whose decisions are committed with it or after it.
type Preparer interface {
	Metrics
	// Prepare gets the event of a decision, whose Local is a *rules.Occurrence, as
	// it goes to the log. It may put something else into Local, from which the
	// observers of the log learn the same.
	Prepare(d *events.Draft)
}

// Recorder keeps decisions. internal/store keeps them in SQL, engine/memory in
// memory.
type Recorder interface {
	// Recorded returns the stored decision of an action, with its current state,
	// current methods and token generation. It reports false when there is none.
	Recorded(ctx context.Context, id events.ActionID) (Decision, bool, error)
	// Profile reads the person and what is known of the device and the address
	// (canonical, "" for none) with the person. A person who is not known yet is
	// an empty profile but for DeviceUsers, not an error.
	Profile(ctx context.Context, user events.UserID, device, address string) (Profile, error)
	// Record keeps the decision and its event in one transaction, creating or
	// updating user and device. If the action was recorded before, it writes
	// nothing and returns the stored decision with Repeated set.
	// It returns ErrUnavailable when it cannot commit in time.
	Record(ctx context.Context, recording Recording) (Decision, error)
}

// Signals turn what is known about an action into facts.
type Signals interface {
	// Facts fills in the facts that this source knows; what it does not know
	// stays unknown. It returns an error only when it could not do its work, and
	// then the action's failure outcome decides. It must not change action or
	// profile, and should return soon after ctx ends.
	Facts(ctx context.Context, action *Action, profile *Profile, facts *rules.Facts) error
}

// Versioned is implemented by Signals that look things up in data.
type Versioned interface {
	Signals
	// Version names the data in use, such as "ip-city 2026-11-01"; a decision
	// records it.
	Version() string
}

// Instant is implemented by Signals, Lists and Metrics that only compute: they
// wait for nothing and are done in microseconds. When all of an engine's are of
// this kind it asks them in the caller's goroutine, which saves waking another
// thread for each decision; otherwise it asks them in one of their own that it
// can leave.
type Instant interface {
	// Immediate does nothing.
	Immediate()
}

// Immediate is an Instant source of signals.
type Immediate interface {
	Signals
	Instant
}
