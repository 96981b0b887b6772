package ceremonies

import (
	"crypto/hmac"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/pquerna/otp"

	"github.com/sallyport/sallyport/events"
)

// minImportedSecret is the shortest secret of an app that is taken over, in bytes.
// RFC 4226 asks for 16 (section 4, R6), but many systems have given people 10.
const minImportedSecret = 10

// ImportApp is the authenticator app that a person has used with another system. Its
// otpauth:// address must be of a code as this package makes them: by time, six
// digits every 30 seconds, SHA-1. The record has neither id nor time yet but for
// what its secret is sealed with: id is the one that it must get.
//
// A RefusedError with ReasonMalformed says what is wrong in its cause, which holds
// nothing of the secret.
func (rp *RelyingParty) ImportApp(user events.UserID, id events.AuthenticatorID, uri string) (Authenticator, error) {
	malformed := func(what string) (Authenticator, error) {
		return Authenticator{}, refuse(CodeInvalidRequest, ReasonMalformed, errors.New(what))
	}
	if !rp.Offers(events.MethodAuthenticatorApp) {
		return Authenticator{}, refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	key, err := otp.NewKeyFromURL(uri)
	if err != nil || !strings.HasPrefix(uri, "otpauth://") {
		return malformed("must be an address that begins with otpauth://totp/")
	}
	switch {
	case key.Type() != "totp":
		return malformed("must be of a code that changes with the time: otpauth://totp/")
	case key.Digits() != otp.DigitsSix, key.Period() != uint64(appStep.Seconds()), key.Algorithm() != otp.AlgorithmSHA1:
		return malformed("must be of codes of 6 digits, a period of 30 seconds and the algorithm SHA1")
	}
	text := strings.TrimRight(strings.ToUpper(strings.ReplaceAll(key.Secret(), " ", "")), "=")
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil || len(secret) < minImportedSecret || len(secret) > 128 {
		return malformed(fmt.Sprintf("must have a secret of %d to 128 bytes in base32", minImportedSecret))
	}
	a := Authenticator{ID: id, User: user, Method: events.MethodAuthenticatorApp, Name: "Authenticator app"}
	if a.Secret, err = rp.vault.seal(secret, string(user)+"/"+string(id)); err != nil {
		return Authenticator{}, err
	}
	return a, nil
}

// CheckPublicKey refuses a public key (COSE_Key, RFC 9052, section 7) of a passkey to
// take over that no signature will ever verify with, or that anybody can sign for.
func CheckPublicKey(key []byte) error { return usableKey(key) }

// SameApp reports whether two authenticator apps have the same secret.
func (rp *RelyingParty) SameApp(a, b Authenticator) bool {
	one, err := rp.vault.open(a.Secret, string(a.User)+"/"+string(a.ID))
	if err != nil {
		return false
	}
	other, err := rp.vault.open(b.Secret, string(b.User)+"/"+string(b.ID))
	return err == nil && hmac.Equal(one, other)
}

// ImportEmail is the address that a person has codes sent to, which the application
// has verified. See ImportApp for the record and the error.
func (rp *RelyingParty) ImportEmail(user events.UserID, id events.AuthenticatorID, to string) (Authenticator, error) {
	if !rp.Offers(events.MethodEmailOTP) {
		return Authenticator{}, refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	to, refused := address(to)
	if refused != nil {
		return Authenticator{}, refused
	}
	return Authenticator{ID: id, User: user, Method: events.MethodEmailOTP, Name: Masked(to), Email: to}, nil
}

// UserVerification is what passkeys, or security keys, are asked for where neither the
// action nor its rule says: required, preferred or discouraged.
func (rp *RelyingParty) UserVerification(method events.Method) string {
	return string(rp.verificationFor(Action{}, method))
}
