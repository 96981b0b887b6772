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
	ForSignIn    Purpose = "sign-in"   // tells who somebody is, and completes the action that this begins

	// The purposes that change how a person can prove themselves. Each asks for a
	// proof of its own, and the proof says what it changes (see Challenge.Subject).
	ForAdding        Purpose = "add-authenticator"    // allows to add one, of the method that is its subject
	ForRemoving      Purpose = "remove-authenticator" // removes the authenticator that is its subject
	ForRecoveryCodes Purpose = "recovery-codes"       // replaces the recovery codes
	ForEmail         Purpose = "email"                // allows to have codes sent to the address that is its subject
)

// changes reports whether a proof for the purpose changes how a person can prove
// themselves, and completes no action.
func (p Purpose) changes() bool {
	return p == ForAdding || p == ForRemoving || p == ForRecoveryCodes || p == ForEmail
}

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
	EmailVerified  bool
	Locale         string
	Generation     int64 // tokens of another generation are refused
	Authenticators []Authenticator
	Default        events.AuthenticatorID // the one that is offered first; "" leaves it to Strength
	Codes          int                    // recovery codes that are left
	PromptedAt     time.Time              // when the person last put off a passkey that was offered; zero when never
	CreatedAt      time.Time              // when the user's present life began, see Outlived
}

// Outlived reports whether an action is of an earlier life of its user: somebody was
// deleted since, and the id given out again. Such an action is neither open nor
// proven for the person who has the id now. Nobody has it when the user is not
// known.
func (a Account) Outlived(action Action) bool {
	return !a.Known || action.CreatedAt.Before(a.CreatedAt)
}

// Vouching are the authenticators that may prove an action: those that the person
// had when it was decided, of a method that its rule accepts. One that came later
// vouches for nothing that is older, except where the action waits for the person
// to enrol first: then those do that were added under this very action, after a
// code that went to the address the backend had supplied.
func (a Account) Vouching(action Action) []Authenticator {
	if a.Outlived(action) {
		return nil
	}
	var vouching []Authenticator
	for _, authenticator := range a.usable() {
		had := !authenticator.CreatedAt.After(action.CreatedAt)
		if action.EnrolFirst {
			had = authenticator.EnrolledFor == action.ActionID
		}
		if had && action.accepts(authenticator.Method) {
			vouching = append(vouching, authenticator)
		}
	}
	return vouching
}

// usable are the authenticators that can answer at all: the person's default first,
// then the stronger ones, then the older ones.
func (a Account) usable() []Authenticator {
	usable := slices.DeleteFunc(slices.Clone(a.Authenticators), func(authenticator Authenticator) bool {
		return authenticator.Method == events.MethodRecoveryCode && a.Codes == 0
	})
	slices.SortStableFunc(usable, func(x, y Authenticator) int {
		if (x.ID == a.Default) != (y.ID == a.Default) {
			if x.ID == a.Default {
				return -1
			}
			return 1
		}
		return Strength(x.Method) - Strength(y.Method)
	})
	return usable
}

// Preferred is the authenticator that is offered first, the zero value when the
// person has none.
func (a Account) Preferred() Authenticator {
	if usable := a.usable(); len(usable) > 0 {
		return usable[0]
	}
	return Authenticator{}
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
	Attested       bool            // its make is proven by an attestation that the metadata file vouches for
	Email          string          // that codes go to; of the method EMAIL_OTP only
	Secret         []byte          // of an authenticator app, encrypted; never leaves the package in the clear but once, at enrolment
	LastStep       int64           // of an authenticator app: the newest time step that proved something; older ones prove nothing
	EnrolledFor    events.ActionID // the action under which it was added; zero for those of the backend
	Regressed      bool            // its signature counter has gone back, in any answer so far; filled in on reading
	UserAgent      string          // at enrolment
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
	// EnrolFirst says that the person had no authenticator, and that the action's
	// policy has them enrol before they prove it.
	EnrolFirst bool
	// UserVerification is what the rule or the action asks of a passkey: required,
	// preferred or discouraged. "" is the relying party's own.
	UserVerification string
}

// blocked reports whether nothing may be changed in the action's name.
func (a Action) blocked() bool {
	return a.State == events.StateBlock || a.State == events.StateChallengeFailed || a.State == events.StateReviewFailed
}

// Challenge is one ceremony that was begun. Its session is stored verbatim.
type Challenge struct {
	ID      events.ChallengeID
	Kind    Kind
	Purpose Purpose
	Method  events.Method
	// Subject is what the proof is to change, "" for the purposes that change
	// nothing: a method, the id of an authenticator, or an address.
	Subject string
	Action  events.ActionID // the action it is bound to; without a user where the ceremony is to tell who it is
	Session json.RawMessage // what the method keeps between begin and finish, verbatim: webauthn.SessionData, or a codeSession
	Value   []byte          // the challenge that a browser signs; nil for codes
	Most    int             // answers that it survives; 0 means 1
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
	// ErrSpent: what proves only once has done so before: a recovery code, a time
	// step of an authenticator app, a permit to enrol.
	ErrSpent = errors.New("it was used before")
	// ErrTries: the action's tries are used up.
	ErrTries = errors.New("the action's tries are used up")
	// ErrRemoved: the authenticator that was to be removed is not there any more.
	ErrRemoved = errors.New("the authenticator was removed already")
	// ErrNotVerified: nobody has answered the challenge rightly that is to be claimed.
	ErrNotVerified = errors.New("the challenge was not answered yet")
)

// LockedError says that somebody got too many codes wrong, or had too many sent.
type LockedError struct{ Until time.Time }

// Error says until when.
func (e *LockedError) Error() string { return "locked until " + e.Until.UTC().Format(time.RFC3339) }

// Meter counts something against a limit.
type Meter struct {
	Name   string        // whose: a user's, or an address's as a keyed hash
	Most   int           // that are allowed in a window; the next one locks
	Window time.Duration // from the first one that counts
	Lock   time.Duration // of the first lock; each that follows within a window is twice as long, up to MaxLock
	Flat   bool          // no lock is longer than the first: what somebody else can bring about must not last
	// Shared says that others count in it too. A right answer takes back only its own
	// count then; the meter of one alone it begins anew.
	Shared bool
}

// MaxLock is the longest lock of a Meter.
const MaxLock = 24 * time.Hour

// Attempt is an answer that is about to be checked.
type Attempt struct {
	// Challenge is the ceremony. With New it is begun and taken in one step, as for
	// methods that need no challenge; else its ID and Action name one that was begun.
	Challenge Challenge
	New       bool
	Begun     events.Draft // the event of beginning, with New
	Meters    []Meter
	Tries     int // wrong answers that the action survives; counted for purpose action only
	At        time.Time
}

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
	// Action is the challenge's, or, when that was begun for nobody, the one of whom it
	// turned out to be. Zero means the challenge's. An outcome of nobody leaves no event.
	Action events.ActionID
	// Counted says that an Attempt has counted this answer already. A right one is
	// taken back from the action's tries and from Meters.
	Counted bool
	Meters  []Meter
	// Uncounted says that nobody answered wrongly, so that no try is used up.
	Uncounted bool
	// Reopen lets a ceremony that was answered wrongly take another answer while it
	// has some left.
	Reopen bool
	// Step is the time step of the authenticator app that answered. One that is not
	// newer than the last is ErrSpent.
	Step int64
	// Code is the keyed hash of the recovery code that answered. One that is not
	// there any more is ErrSpent.
	Code []byte
	// Permit is the id of the permit that allowed New. A second use is ErrSpent.
	Permit        string
	PermitExpires time.Time
	// Remove is the authenticator that the proof removes. One that is not there is
	// ErrRemoved.
	Remove events.AuthenticatorID
	// Codes are the keyed hashes of new recovery codes, which replace the old ones.
	// CodesAuthenticator is what stands for them where the person had none.
	Codes              [][]byte
	CodesAuthenticator Authenticator
	// Digest is SHA-256 of the statement, for those who ask how the action was proven.
	Digest string
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
	// been begun for this action. An action without a user takes one that was begun
	// to tell who somebody is, whatever its action.
	Take(ctx context.Context, id events.ChallengeID, action events.ActionID, now time.Time) (Challenge, error)
	// Finish applies an outcome in one transaction: the challenge is closed, the
	// action moves by the states table, credential and device are updated, the
	// events are written. A proof for an action that is no longer open is
	// ErrNotOpen; a credential that exists is ErrCredentialExists; these and the
	// others that Outcome names leave nothing but the closed challenge and a failure
	// event. A refused answer that was Counted stays counted, and may fail the action.
	Finish(ctx context.Context, outcome Outcome) (Result, error)
	// Attempt counts an answer in the meters and the action's tries and takes its
	// ceremony, before anything is checked and in one transaction: *LockedError,
	// ErrTries, ErrNotOpen, or what Take returns. The meters count what is refused
	// too. Nothing else is left of a refusal, but that a ceremony which was begun
	// before and whose action takes no answer any more ends with its event.
	Attempt(ctx context.Context, attempt Attempt) (Challenge, error)
	// CountIn counts in meters without a ceremony, for what is sent, or returns a
	// *LockedError.
	CountIn(ctx context.Context, meters []Meter, at time.Time) error
	// Pending is the newest open challenge of an action with this method and kind
	// that is not over, or ErrNoChallenge. It changes nothing.
	Pending(ctx context.Context, action events.ActionID, kind Kind, method events.Method, now time.Time) (Challenge, error)
	// ChallengeByValue is the id of the challenge whose value a browser signed, or
	// ErrNoChallenge.
	ChallengeByValue(ctx context.Context, value []byte) (events.ChallengeID, error)
	// Verified keeps that a taken challenge was answered rightly, for Claim to take,
	// and takes the answer back from the meters.
	Verified(ctx context.Context, id events.ChallengeID, at, expires time.Time, meters []Meter) error
	// Claim takes a challenge that was answered rightly, once: ErrNotVerified, or what
	// Take returns.
	Claim(ctx context.Context, id events.ChallengeID, now time.Time) (Challenge, error)
	// Challenge reads one, or ErrNoChallenge.
	Challenge(ctx context.Context, id events.ChallengeID) (Challenge, error)
	// Owner is the user who has the credential id, or ErrNoChallenge.
	Owner(ctx context.Context, credentialID []byte) (events.UserID, error)
	// HasCode reports whether a recovery code with this keyed hash is left.
	HasCode(ctx context.Context, user events.UserID, hash []byte) (bool, error)
	// ChangeAuthenticator gives an authenticator another name, nil leaves it, and makes
	// it the default, each with its event. ErrNoChallenge when there is none.
	ChangeAuthenticator(ctx context.Context, user events.UserID, id events.AuthenticatorID, name *string, preferred bool, by string) error
	// Prompted keeps when a person put off a passkey.
	Prompted(ctx context.Context, user events.UserID, at time.Time) error
	// Deny fails an open action without a ceremony ("I didn't ask for this"),
	// raises the user's token generation, abandons open challenges of the action,
	// each with its event, and writes the event. ErrNotOpen when the action is not
	// open.
	Deny(ctx context.Context, id events.ActionID, at time.Time, event events.Draft) error
	// Redeem marks a one-time link as used and reports whether this was the first
	// time. Its id is remembered until expires.
	Redeem(ctx context.Context, link string, expires time.Time) (bool, error)
	// Sweep ends challenges that ran out (timeout) and those that were taken and
	// never finished (interrupted), each with the event that build makes.
	// It returns how many it ended.
	Sweep(ctx context.Context, now time.Time, build func(c Challenge, reason string) (events.Draft, error)) (int, error)
}
