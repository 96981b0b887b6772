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
)

// Grant is what a token says, once its signature, time and use were checked.
type Grant struct {
	ID         string // random; what makes a link one-time
	Use        Use
	Action     events.ActionID
	Scopes     string // space separated; add:authenticators allows enrolment
	Generation int64
	Expires    time.Time
}

// Allows reports whether the grant carries a scope.
func (g Grant) Allows(scope string) bool { return hasScope(g.Scopes, scope) }

func hasScope(scopes, scope string) bool {
	return slices.Contains(strings.Fields(scopes), scope)
}
