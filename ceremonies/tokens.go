package ceremonies

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/events"
)

// TokenTTL is the life of a token whose grant names no end, and the wire
// protocol's default (CONTRACT 7).
const TokenTTL = 10 * time.Minute

// MinKeyBytes is the shortest secret that signs tokens, the output of the hash (RFC
// 7518, section 3.2), and that keys of codes are made of.
const MinKeyBytes = 32

// Errors of Tokens.Verify. ErrTokenExpired means that everything but the time is
// right; ErrTokenInvalid covers all else.
var (
	ErrTokenExpired = errors.New("the token has expired")
	ErrTokenInvalid = errors.New("the token is not valid")
)

// Key signs tokens. ID goes into the token's header as kid, so that keys can be
// replaced while tokens of the old one live on.
type Key struct {
	ID     string
	Secret []byte // at least MinKeyBytes
}

// String keeps the secret out of logs.
func (k Key) String() string { return "key " + k.ID + " [redacted]" }

// GoString keeps the secret out of %#v.
func (k Key) GoString() string { return k.String() }

// TokenConfig says how tokens are made.
type TokenConfig struct {
	Tenant string           // part of every token; a token of another tenant is refused
	Keys   []Key            // the first one signs, all of them verify
	Now    func() time.Time // nil means time.Now
	TTL    time.Duration    // life of a token whose grant names no end; 0 means TokenTTL
}

// Tokens makes and reads the bearer tokens of people: JSON Web Tokens signed
// with HMAC-SHA-256. They are stateless; what can take one back before its time
// is the user's token generation (see RelyingParty.Authorize).
type Tokens struct {
	tenant string
	keys   []Key
	now    func() time.Time
	ttl    time.Duration
	header string // of every token that is signed, encoded once: two are made for each decision
	parser *jwt.Parser
}

// claims is the body of a token. The action's three names stand at the top
// level because a mobile SDK reads idempotencyKey from there (CONTRACT 0.14).
type claims struct {
	Tenant         string `json:"tenant"`
	User           string `json:"sub"`
	Action         string `json:"action"`
	IdempotencyKey string `json:"idempotencyKey"`
	Use            Use    `json:"use"`
	Scopes         string `json:"scopes,omitempty"`
	Generation     int64  `json:"gen"`
	ID             string `json:"jti"`
	IssuedAt       int64  `json:"iat"` // seconds since 1970
	ExpiresAt      int64  `json:"exp"` // seconds since 1970
	Permit         Permit `json:"permit,omitzero"`
}

// NewTokens checks the keys: at least one, each with an id of its own and a
// secret that is long enough.
func NewTokens(config TokenConfig) (*Tokens, error) {
	if config.Tenant == "" {
		return nil, errors.New("tokens: the tenant is empty")
	}
	if len(config.Keys) == 0 {
		return nil, errors.New("tokens: there is no key")
	}
	seen := map[string]bool{}
	for _, key := range config.Keys {
		switch {
		case key.ID == "":
			return nil, errors.New("tokens: a key has no id")
		case seen[key.ID]:
			return nil, fmt.Errorf("tokens: two keys have the id %q", key.ID)
		case len(key.Secret) < MinKeyBytes:
			return nil, fmt.Errorf("tokens: the secret of key %q is shorter than %d bytes", key.ID, MinKeyBytes)
		}
		seen[key.ID] = true
	}
	t := &Tokens{
		tenant: config.Tenant,
		keys:   slices.Clone(config.Keys),
		now:    config.Now,
		ttl:    config.TTL,
		// Time is checked in Verify, after everything else, so that "expired"
		// always means "and otherwise right".
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
	}
	header, err := json.Marshal(map[string]string{"alg": jwt.SigningMethodHS256.Alg(), "kid": t.keys[0].ID, "typ": "JWT"})
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	t.header = base64.RawURLEncoding.EncodeToString(header)
	if t.now == nil {
		t.now = time.Now
	}
	if t.ttl <= 0 {
		t.ttl = TokenTTL
	}
	return t, nil
}

// Sign makes the token that says what grant says. An empty ID becomes a random
// one, and zero Expires means the default life from now; the caller's grant is
// not changed.
func (t *Tokens) Sign(grant Grant) (string, error) {
	token, _, err := t.sign(grant)
	return token, err
}

func (t *Tokens) sign(grant Grant) (string, Grant, error) {
	switch {
	case !grant.Use.valid():
		return "", Grant{}, fmt.Errorf("sign token: %q is no use of a token", grant.Use)
	case grant.Action.User == "" || grant.Action.Code == "" || grant.Action.Key == "":
		return "", Grant{}, errors.New("sign token: it names no action")
	}
	if grant.ID == "" {
		var id [16]byte
		rand.Read(id[:])
		grant.ID = base64.RawURLEncoding.EncodeToString(id[:])
	}
	now := t.now()
	if grant.Expires.IsZero() {
		grant.Expires = now.Add(t.ttl)
	}
	grant.Expires = grant.Expires.UTC().Truncate(time.Second)
	payload, err := json.Marshal(&claims{
		Tenant: t.tenant, User: string(grant.Action.User), Action: grant.Action.Code, IdempotencyKey: grant.Action.Key,
		Use: grant.Use, Scopes: grant.Scopes, Generation: grant.Generation, ID: grant.ID,
		IssuedAt: now.Unix(), ExpiresAt: grant.Expires.Unix(), Permit: grant.Permit,
	})
	if err != nil {
		return "", Grant{}, fmt.Errorf("sign token: %w", err)
	}
	signed := t.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := jwt.SigningMethodHS256.Sign(signed, t.keys[0].Secret)
	if err != nil {
		return "", Grant{}, fmt.Errorf("sign token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), grant, nil
}

// Verify reads a token that was made for one of the uses. There is no leeway: a
// token is over in the very second it names.
//
// With ErrTokenExpired the grant comes back as well, so that a page can say
// which request has run out. It allows nothing any more.
func (t *Tokens) Verify(token string, uses ...Use) (Grant, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.key); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrTokenInvalid, err)
	}
	switch {
	case c.Tenant != t.tenant:
		return Grant{}, fmt.Errorf("%w: it is of another tenant", ErrTokenInvalid)
	case !slices.Contains(uses, c.Use):
		return Grant{}, fmt.Errorf("%w: its use is %q", ErrTokenInvalid, c.Use)
	case c.User == "" || c.Action == "" || c.IdempotencyKey == "" || c.ID == "":
		return Grant{}, fmt.Errorf("%w: it names no action", ErrTokenInvalid)
	}
	grant := Grant{
		ID: c.ID, Use: c.Use, Scopes: c.Scopes, Generation: c.Generation,
		Action:  events.ActionID{User: events.UserID(c.User), Code: c.Action, Key: c.IdempotencyKey},
		Expires: time.Unix(c.ExpiresAt, 0).UTC(), Permit: c.Permit,
	}
	if !t.now().Before(grant.Expires) {
		return grant, ErrTokenExpired
	}
	return grant, nil
}

// key finds the secret that the token's header names. A token without a kid, or
// with one that is not configured, is refused.
func (t *Tokens) key(token *jwt.Token) (any, error) {
	for _, key := range t.keys {
		if token.Header["kid"] == key.ID {
			return key.Secret, nil
		}
	}
	return nil, errors.New("its key is not known")
}

// The jwt package reads the claims through these; times were left to Verify.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.ExpiresAt, 0)), nil
}

func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)), nil
}
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }
func (c *claims) GetIssuer() (string, error)              { return "", nil }
func (c *claims) GetSubject() (string, error)             { return c.User, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)  { return nil, nil }
