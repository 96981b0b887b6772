package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/ceremonies"
)

// maxCredential is the longest Authorization header that is looked at, in bytes.
// Tokens are a few hundred bytes long.
const maxCredential = 4 << 10

var (
	errNoCredential    = errors.New("no usable Authorization header")
	errWrongCredential = errors.New("wrong credential")
)

// open admits everyone.
func open(*call) error { return nil }

// backend admits callers with one of the server secrets.
func backend(k *call) error {
	return k.secret(k.server.secrets)
}

// management admits callers with the management secret. A server secret does
// not open it, nor does this one open the server API.
func management(k *call) error {
	return k.secret(k.server.management)
}

// bearer admits client calls with an access token.
func bearer(k *call) error {
	token, found := cutScheme(k.Request().Header.Get("Authorization"), "Bearer")
	if !found || token == "" {
		return unauthorized(errNoCredential)
	}
	ctx, cancel := k.within()
	defer cancel()
	grant, err := k.server.config.Party.Authorize(ctx, token, ceremonies.UseAccess)
	k.grant = grant
	return err
}

// bearerReading admits client calls whose token may read authenticators.
func bearerReading(k *call) error {
	if err := bearer(k); err != nil {
		return err
	}
	if !k.grant.Allows(ceremonies.ScopeRead) {
		return &Error{Status: http.StatusUnauthorized, Code: codeInvalidToken, Description: "The token does not allow reading authenticators."}
	}
	return nil
}

// anonymous admits client calls that name the tenant, as long as they are few.
func anonymous(k *call) error {
	user, err := basicUser(k.Request().Header.Get("Authorization"))
	if err != nil {
		return unauthorized(err)
	}
	// Mobile SDKs send the id as it is, the browser SDK percent-encodes it.
	plain, err := url.QueryUnescape(user)
	if err != nil {
		return unauthorized(err)
	}
	tenant := k.server.config.Tenant
	if user != tenant && plain != tenant {
		return unauthorized(errWrongCredential)
	}
	return k.server.limits.anonymous(k.clientAddress())
}

// bearerOrAnonymous admits both; the handler sees by the grant which it was.
func bearerOrAnonymous(k *call) error {
	if _, found := cutScheme(k.Request().Header.Get("Authorization"), "Bearer"); found {
		return bearer(k)
	}
	return anonymous(k)
}

// secret compares the Basic user name with hashes of the accepted secrets. Every
// one is compared, and hashes rather than texts, so that the time taken tells
// neither which one is close nor how long it is. The password is not looked at:
// SDKs leave it empty (CONTRACT 1.1).
func (k *call) secret(accepted [][sha256.Size]byte) error {
	user, err := basicUser(k.Request().Header.Get("Authorization"))
	if err == nil {
		got := hashSecret(user)
		match := 0
		for i := range accepted {
			match |= subtle.ConstantTimeCompare(got[:], accepted[i][:])
		}
		if match == 1 {
			return nil
		}
		err = errWrongCredential
	}
	k.Response().Header().Set("WWW-Authenticate", challengeBasic)
	return unauthorized(err)
}

func hashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// basicUser is the user name of a Basic Authorization header (RFC 7617), read
// more kindly than net/http does: the browser SDK sends no colon and iOS sends
// unpadded base64url (CONTRACT 0.1).
func basicUser(header string) (string, error) {
	encoded, found := cutScheme(header, "Basic")
	if !found || encoded == "" || len(encoded) > maxCredential {
		return "", errNoCredential
	}
	encoded = strings.TrimRight(encoded, "=")
	alphabet := base64.RawStdEncoding
	if strings.ContainsAny(encoded, "-_") {
		alphabet = base64.RawURLEncoding
	}
	plain, err := alphabet.DecodeString(encoded)
	if err != nil {
		return "", errNoCredential
	}
	user, _, _ := strings.Cut(string(plain), ":")
	return user, nil
}

// cutScheme takes the scheme from an Authorization header; schemes ignore case
// (RFC 9110, section 11.1).
func cutScheme(header, scheme string) (string, bool) {
	n := len(scheme)
	if len(header) <= n || header[n] != ' ' || !strings.EqualFold(header[:n], scheme) {
		return "", false
	}
	return strings.TrimSpace(header[n+1:]), true
}
