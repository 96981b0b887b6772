package ceremonies

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Purpose is what a proof may be used for. A proof for one purpose never serves
// another.
type Purpose string

// The purposes of a ceremony.
const (
	ForAction    Purpose = "action"    // completes the action it was begun for
	ForEnrolment Purpose = "enrolment" // registers a new authenticator
)

// Kind is the WebAuthn ceremony: registration (WebAuthn L3, section 7.1) or
// authentication (section 7.2).
type Kind string

// The two ceremonies.
const (
	Registration   Kind = "registration"
	Authentication Kind = "authentication"
)

// Account is a person as the relying party sees them.
type Account struct {
	User           events.UserID
	Known          bool   // false for a user that does not exist yet
	Handle         []byte // WebAuthn user handle: 32 random bytes, fixed for the user's life
	Username       string // "" when the application sent none
	DisplayName    string
	Email          string
	Generation     int64 // tokens of another generation are refused
	Authenticators []Authenticator
	CreatedAt      time.Time // when the user's present life began, see Outlived
}

// Outlived reports whether an action is of an earlier life of its user: somebody was
// deleted since, and the id given out again. Such an action is neither open nor
// proven for the person who has the id now. Nobody has it when the user is not
// known.
func (a Account) Outlived(action Action) bool {
	return !a.Known || action.CreatedAt.Before(a.CreatedAt)
}

// Vouching are the passkeys that may prove an action: those that the person had
// when it was decided, of a method that its rule accepts. One that came later
// vouches for nothing that is older.
func (a Account) Vouching(action Action) []Authenticator {
	if a.Outlived(action) {
		return nil
	}
	var vouching []Authenticator
	for _, authenticator := range a.Authenticators {
		if len(authenticator.Credential) > 0 && !authenticator.CreatedAt.After(action.CreatedAt) && action.accepts(authenticator.Method) {
			vouching = append(vouching, authenticator)
		}
	}
	return vouching
}

// accepts reports whether a method may prove the action.
func (a Action) accepts(method events.Method) bool {
	return len(a.Allowed) == 0 || slices.Contains(a.Allowed, method)
}

// Authenticator is one registered way to prove it is you.
type Authenticator struct {
	ID             events.AuthenticatorID
	User           events.UserID
	Method         events.Method
	Name           string // from the AAGUID list or the person
	CredentialID   []byte
	Credential     json.RawMessage // webauthn.Credential, verbatim
	AAGUID         string          // canonical UUID text
	Synced         bool            // backup eligible
	BackedUp       bool
	Attachment     string // "platform", "cross-platform" or ""
	SignCount      uint32
	Regressed      bool   // its signature counter has gone back, in any answer so far; filled in on reading
	UserAgent      string // at enrolment
	DeviceID       string
	CreatedAt      time.Time
	LastVerifiedAt time.Time // zero when never used since
}

// Action is a tracked action as a ceremony sees it.
type Action struct {
	events.ActionID
	State       events.ActionState
	Scope       string          // scopes that the backend asked for
	RedirectURL string          // already checked against the allowed origins; "" when none
	Data        json.RawMessage // custom data as the backend sent it, or null
	Prompt      string          // what our page shows
	PromptID    string
	DeviceID    string
	Locale      string
	Tries       int             // ceremonies answered wrongly so far
	Enrolled    bool            // when it was decided
	Allowed     []events.Method // that a challenge accepts; empty means any
	CreatedAt   time.Time
	ProvenAt    time.Time // when a proof completed it; zero otherwise
	ProvenBy    events.AuthenticatorID
}

// Challenge is one ceremony that was begun. Its session is stored verbatim.
type Challenge struct {
	ID      events.ChallengeID
	Kind    Kind
	Purpose Purpose
	Action  events.ActionID // the action it is bound to; always set
	Session json.RawMessage // webauthn.SessionData, verbatim
	Nonce   []byte          // 32 random bytes
	Digest  []byte          // the canonical JSON that the challenge commits to
	Shown   bool            // our page displayed the text
	BegunAt time.Time
	Expires time.Time // by our own clock
}

// Errors of a Store. Each is a refusal that a caller tells apart.
var (
	// ErrNoChallenge: no such challenge, or it belongs to another user or action.
	ErrNoChallenge = errors.New("no such challenge")
	// ErrTaken: the challenge was answered before.
	ErrTaken = errors.New("the challenge was answered before")
	// ErrExpired: the challenge's time is over.
	ErrExpired = errors.New("the challenge has expired")
	// ErrNoAction: no such action.
	ErrNoAction = errors.New("no such action")
	// ErrNotOpen: the action is not waiting for a challenge any more.
	ErrNotOpen = errors.New("the action is not waiting for a challenge")
	// ErrEnrolledMeanwhile: the person was to get their first authenticator, and
	// has one by now (see Outcome.OnlyFirst).
	ErrEnrolledMeanwhile = errors.New("the person has an authenticator by now")
	// ErrCredentialExists: the credential id is registered already, to anyone.
	ErrCredentialExists = errors.New("the passkey is registered already")
)

// Outcome is how a taken challenge ended.
type Outcome struct {
	Challenge Challenge
	// Proof is the authenticator that answered, with its updated counters; nil on
	// failure and for registrations.
	Proof *Authenticator
	// New is the authenticator to add; nil on failure and for authentications.
	New *Authenticator
	// OnlyFirst is set when New was allowed because the person had no
	// authenticator. Finish must find that still true inside its transaction:
	// otherwise it is ErrEnrolledMeanwhile, like ErrCredentialExists.
	OnlyFirst bool
	// Regressed is the person's authenticator whose verified answer had a signature
	// counter that went back, "" when none had. It may have been refused for it.
	Regressed events.AuthenticatorID
	// Denied is set when the person said "I didn't ask for this". The action
	// fails, the user's token generation is raised.
	Denied bool
	// Tries is how many wrong answers an action survives; at the last one the
	// action becomes CHALLENGE_FAILED.
	Tries int
	At    time.Time
	// Events builds the events to write, given the action's state and tries after
	// the outcome was applied ("" when the outcome did not change the state).
	Events func(state events.ActionState, tries int) ([]events.Draft, error)
}

// Result is what an outcome did.
type Result struct {
	State events.ActionState // current state of the action
	Tries int
}

// Store keeps accounts and challenges. internal/store implements it.
type Store interface {
	// Account reads a person and their authenticators, oldest first. A person
	// who is not known is an account with Known false.
	Account(ctx context.Context, user events.UserID) (Account, error)
	// Action reads one tracked action, or ErrNoAction.
	Action(ctx context.Context, id events.ActionID) (Action, error)
	// Begin stores a challenge and its event. For purpose action it returns
	// ErrNotOpen unless the action's state is CHALLENGE_REQUIRED.
	Begin(ctx context.Context, challenge Challenge, event events.Draft) error
	// Take claims a challenge with one conditional update, before anything is
	// verified: ErrNoChallenge, ErrExpired or ErrTaken. The challenge must have
	// been begun for this action.
	Take(ctx context.Context, id events.ChallengeID, action events.ActionID, now time.Time) (Challenge, error)
	// Finish applies an outcome in one transaction: the challenge is closed, the
	// action moves by the states table, credential and device are updated, the
	// events are written. A proof for an action that is no longer open is
	// ErrNotOpen; a credential that exists is ErrCredentialExists; both leave
	// nothing but the closed challenge and a failure event.
	Finish(ctx context.Context, outcome Outcome) (Result, error)
	// Deny fails an open action without a ceremony ("I didn't ask for this"),
	// raises the user's token generation, abandons open challenges of the action
	// and writes the event. ErrNotOpen when the action is not open.
	Deny(ctx context.Context, id events.ActionID, at time.Time, event events.Draft) error
	// Redeem marks a one-time link as used and reports whether this was the first
	// time. Its id is remembered until expires.
	Redeem(ctx context.Context, link string, expires time.Time) (bool, error)
	// Sweep ends challenges that ran out (timeout) and those that were taken and
	// never finished (interrupted), each with the event that build makes.
	// It returns how many it ended.
	Sweep(ctx context.Context, now time.Time, build func(c Challenge, reason string) (events.Draft, error)) (int, error)
}
