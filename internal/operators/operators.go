package operators

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Role is what an operator may do.
type Role string

// The roles, each with all rights of those after it.
const (
	Administrator Role = "administrator" // invites operators
	Analyst       Role = "analyst"       // publishes rules
	Reviewer      Role = "reviewer"      // reads decisions and rules
)

// Valid reports whether r is one of the three roles.
func (r Role) Valid() bool { return r.rank() > 0 }

// Includes reports whether r has every right of other.
func (r Role) Includes(other Role) bool { return other.Valid() && r.rank() >= other.rank() }

func (r Role) rank() int {
	switch r {
	case Administrator:
		return 3
	case Analyst:
		return 2
	case Reviewer:
		return 1
	}
	return 0
}

// Operator is one person who uses the console. Operators share nothing with the
// applications' users: neither tables nor credentials nor sessions.
type Operator struct {
	ID        string
	Name      string
	Role      Role
	Handle    []byte // WebAuthn user handle: 32 random bytes
	CreatedAt time.Time
}

// Credential is one passkey of an operator.
type Credential struct {
	ID         []byte
	Operator   string
	Credential json.RawMessage // webauthn.Credential, verbatim
	CreatedAt  time.Time
	LastUsedAt time.Time
}

// Invite lets one person register once. Only the hash of its secret is kept.
type Invite struct {
	Hash    []byte // SHA-256 of the secret
	Role    Role
	By      string
	Expires time.Time
}

// Ceremony is one registration or sign-in that was begun; taken once.
type Ceremony struct {
	ID      string
	Kind    string          // "registration" or "sign-in"
	Session json.RawMessage // webauthn.SessionData, verbatim
	Invite  []byte          // hash of the invite, for registrations
	Name    string          // for registrations
	Handle  []byte          // for registrations
	Expires time.Time
}

// Session is one signed-in browser. Only the hash of its secret is kept.
type Session struct {
	Hash     []byte // SHA-256 of the cookie's secret
	Operator string
	Expires  time.Time
}

// Errors of a Store and of the ceremonies.
var (
	ErrNotFound = errors.New("no such invite, ceremony, credential or session")
	ErrUsed     = errors.New("used before")
)

// Store keeps operators. internal/store implements it.
type Store interface {
	// OperatorCount is the number of operators.
	OperatorCount(ctx context.Context) (int, error)
	// OperatorNames reads what operators are called, by id.
	OperatorNames(ctx context.Context) (map[string]string, error)
	// SaveInvite keeps an invite and its event. One by events.BySallyport, which is
	// for the first operator, replaces earlier ones by it and holds only while
	// nobody is registered.
	SaveInvite(ctx context.Context, invite Invite, event events.Draft) error
	// Invite reads an unused, unexpired invite without taking it; ErrNotFound.
	Invite(ctx context.Context, hash []byte, now time.Time) (Invite, error)
	// SaveCeremony keeps a begun ceremony; TakeCeremony takes it once: ErrNotFound
	// when it is unknown, taken or expired.
	SaveCeremony(ctx context.Context, c Ceremony) error
	TakeCeremony(ctx context.Context, id string, now time.Time) (Ceremony, error)
	// Register takes the invite and creates operator, credential and event, all or
	// nothing: ErrUsed when the invite is gone or the credential exists.
	Register(ctx context.Context, inviteHash []byte, operator Operator, credential Credential, event events.Draft) error
	// OperatorByHandle finds the operator and their credentials; ErrNotFound.
	OperatorByHandle(ctx context.Context, handle []byte) (Operator, []Credential, error)
	// SignIn stores the credential after use, the new session and the event.
	SignIn(ctx context.Context, credential Credential, session Session, event events.Draft) error
	// OperatorBySession finds who is signed in; ErrNotFound also when expired.
	OperatorBySession(ctx context.Context, hash []byte, now time.Time) (Operator, error)
	// EndSession signs a browser out; ending an unknown session is no error.
	EndSession(ctx context.Context, hash []byte) error
}
