package engine

import (
	"encoding/json"
	"time"

	"github.com/sallyport/sallyport/events"
)

// User is what is kept of a person apart from authenticators.
type User struct {
	ID                  events.UserID
	Email               string
	EmailVerified       bool
	PhoneNumber         string
	PhoneNumberVerified bool
	Username            string
	DisplayName         string
	Locale              string
	Custom              json.RawMessage // object or nil
	CreatedAt           time.Time
	Methods             []events.Method // enrolled, each once; filled in on reading
}

// UserChanges are the attributes to set; nil leaves one as it is and a pointer
// to the zero value clears it.
type UserChanges struct {
	Email               *string
	EmailVerified       *bool
	PhoneNumber         *string
	PhoneNumberVerified *bool
	Username            *string
	DisplayName         *string
	Locale              *string
	Custom              *json.RawMessage
}

// UserFilter selects users; empty fields select everything. Results come in
// order of id, after After.
type UserFilter struct {
	Username, Email, PhoneNumber string // exact
	After                        events.UserID
	Limit                        int // 1 to 200; 0 means 50
}

// TrackedAction is a decision together with what was reported and what became
// of it.
type TrackedAction struct {
	Decision
	RuleNames   map[string]string // id to name, of Matches
	Method      events.Method     // that proved it, "" otherwise
	ProvenBy    events.AuthenticatorID
	ProvenAt    time.Time
	Digest      string // base64url of SHA-256 of the statement that was proven, "" when none was
	UserAgent   string
	IP          string
	Country     string
	RedirectURL string
	Scope       string
	Custom      json.RawMessage
}

// Device is a device that is known of a person: an action from it was allowed by the
// rules or proven.
type Device struct {
	ID              string
	KnownAt         time.Time // when that happened last, to a day
	RememberedUntil time.Time // zero when it is not remembered
}

// ActionFilter selects actions of one user, newest first, at most 200.
type ActionFilter struct {
	User  events.UserID
	Codes []string           // empty: all
	State events.ActionState // "": all
	From  time.Time
}
