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
	Custom          map[string]any  // string, float64 or bool
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
	Methods        []events.Method // enrolled and usable, each once, in order of enrolment
	Passkeys       int
	LastVerifiedAt time.Time // zero when never
	Generation     int64     // generation of the user's tokens
	DeviceKnown    bool      // an earlier action from it was allowed by the rules or proven
}

// Enrolled reports whether the person can be challenged.
func (p Profile) Enrolled() bool { return len(p.Methods) > 0 }

// Reasons that the engine adds to those of the rules.
const (
	// ByEnrolmentPolicy: the rules asked for a challenge, the person has no
	// authenticator, and the action's policy for that case decided.
	ByEnrolmentPolicy rules.Reason = "enrolment-policy"
	// ByManagement: the action asks to change the person's authenticators, so an
	// enrolled person is challenged whatever the rules said.
	ByManagement rules.Reason = "management"
)

// Decision is the recorded answer to one action. It does not change; State does.
type Decision struct {
	events.ActionID
	Outcome        rules.Outcome
	State          events.ActionState // current state
	Reason         rules.Reason
	Rule           string // id of the rule that decided, "" otherwise
	Set            int
	Matches        []rules.Match
	Prompt         string // what a challenge shows, already filled in
	PromptID       string // the template it comes from: "payment@7", action code and set number
	Methods        []events.Method
	Generation     int64
	CreatedAt      time.Time
	StateChangedAt time.Time
	Repeated       bool // this action had been decided before; nothing was recorded now
}

// Enrolled reports whether the person could be challenged when the action was decided.
func (d Decision) Enrolled() bool { return len(d.Methods) > 0 }

// Recording is one decision on its way into the log.
type Recording struct {
	Action          Action
	Decision        Decision
	Country         string       // ISO 3166-1 alpha-2, "" when unknown
	EstablishDevice bool         // the rules allowed it: the device is known from now on
	Event           events.Draft // an ActionTracked
}

// Recorder keeps decisions. internal/store keeps them in SQL, engine/memory in
// memory.
type Recorder interface {
	// Recorded returns the stored decision of an action, with its current state,
	// current methods and token generation. It reports false when there is none.
	Recorded(ctx context.Context, id events.ActionID) (Decision, bool, error)
	// Profile reads the person and the device. A person who is not known yet is
	// an empty profile, not an error.
	Profile(ctx context.Context, user events.UserID, device string) (Profile, error)
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

// Immediate is implemented by Signals that only compute: they wait for nothing
// and are done in microseconds. When all sources are of this kind the engine
// asks them in the caller's goroutine, which saves waking another thread for
// each decision; otherwise it asks them in one of their own that it can leave.
type Immediate interface {
	Signals
	// Immediate does nothing.
	Immediate()
}
