package ceremonies

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Use is what a token is good for. A token for one use never serves another.
type Use string

// The uses of a token.
const (
	// UseAccess calls the client API for one action (the token of a track
	// answer, and the renewed one of a finished ceremony), and /v1/validate.
	UseAccess Use = "access"
	// UseResult is good for /v1/validate only: the token that a redirect carries.
	UseResult Use = "result"
	// UseLink opens the hosted page once: the handle in the challenge address.
	UseLink Use = "link"
	// UsePage is the hosted page's cookie after the link was swapped.
	UsePage Use = "page"
)

func (u Use) valid() bool {
	return u == UseAccess || u == UseResult || u == UseLink || u == UsePage
}

// The scopes that a grant can carry. They are the wire protocol's
// (CONTRACT 1.3); a grant holds them separated by spaces.
const (
	ScopeRead = "read:authenticators"
	ScopeAdd  = "add:authenticators"
	// ScopeAccount is our own: the hosted page shows the person's account, where each
	// change asks for a proof of its own (redirectToSettings of the wire protocol).
	ScopeAccount = "account"
)

// Grant is what a token says, once its signature, time and use were checked.
type Grant struct {
	ID         string // random; what makes a link one-time
	Use        Use
	Action     events.ActionID
	Scopes     string // space separated; add:authenticators allows enrolment
	Generation int64
	Expires    time.Time
	Permit     Permit // what the last proof allows, zero for nothing
}

// PermitTTL is how long a proof allows the one change that it was for.
const PermitTTL = 5 * time.Minute

// Permit allows one change to how a person can prove themselves, once. It comes
// from a proof for exactly that.
type Permit struct {
	ID      string    `json:"id"`
	Purpose Purpose   `json:"purpose"`
	Subject string    `json:"subject"`
	Expires time.Time `json:"exp"`
}

// allows reports whether the permit is for a purpose and subject, and not over.
func (p Permit) allows(purpose Purpose, subject string, now time.Time) bool {
	return p.ID != "" && p.Purpose == purpose && p.Subject == subject && now.Before(p.Expires)
}

// Allows reports whether the grant carries a scope.
func (g Grant) Allows(scope string) bool { return hasScope(g.Scopes, scope) }

func hasScope(scopes, scope string) bool {
	return slices.Contains(strings.Fields(scopes), scope)
}
