package ceremonies

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// assertion is a verified answer: the credential to store back, and a note for
// the audit trail when something was accepted that is worth knowing.
type assertion struct {
	credential *webauthn.Credential
	note       string
	regressed  bool // the signature counter went back
}

// parseAssertion reads an answer without verifying anything. What cannot be read
// is refused before the challenge is taken: it is a broken client, not a try.
func parseAssertion(response []byte) (*protocol.ParsedCredentialAssertionData, *RefusedError) {
	if len(response) > MaxAnswer {
		return nil, refuse(CodeInvalidRequest, ReasonMalformed, fmt.Errorf("the answer has more than %d bytes", MaxAnswer))
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, refuse(CodeInvalidRequest, ReasonMalformed, err)
	}
	return answer, nil
}

// verifyAssertion is WebAuthn L3, section 7.2, plus what the library leaves to
// the relying party: whose passkey it is, and what a counter or a backup flag that
// went the wrong way means. A session of nobody in particular takes any passkey of
// the user.
func (rp *RelyingParty) verifyAssertion(data webauthn.SessionData, user *person, answer *protocol.ParsedCredentialAssertionData) (assertion, *RefusedError) {
	index := slices.IndexFunc(user.credentials, func(c webauthn.Credential) bool { return bytes.Equal(c.ID, answer.RawID) })
	if index < 0 {
		// A browser forgets a passkey that it hears is unknown. So say so only of a
		// passkey that names this very person, never of somebody else's.
		if bytes.Equal(answer.Response.UserHandle, user.handle) {
			return assertion{}, refuse(CodeUnknownCredential, ReasonUnknownCredential, nil)
		}
		return assertion{}, refuse(CodeInvalidCredential, ReasonForeignCredential, nil)
	}
	// Asked here, because the library takes an empty list for "any passkey".
	if len(data.UserID) > 0 && !slices.ContainsFunc(data.AllowedCredentialIDs, func(id []byte) bool { return bytes.Equal(id, answer.RawID) }) {
		return assertion{}, refuse(CodeInvalidCredential, ReasonNotOffered, nil)
	}
	stored := user.credentials[index]
	flags := answer.Response.AuthenticatorData.Flags
	var note string
	if flags.HasBackupEligible() && !stored.Flags.BackupEligible && (rp.backup == AcceptNewlySynced || imported(stored)) {
		// The flag must not change (step 17), but providers that begin to sync do
		// change it, and an imported passkey comes without it. Becoming synced
		// lowers what the passkey is worth, and rules can see it, so it is let
		// through and recorded. The other way round would raise it: the library
		// refuses that.
		note = "the passkey became synced"
		stored.Flags.BackupEligible = true
	}
	owner := *user
	owner.credentials = slices.Clone(user.credentials)
	owner.credentials[index] = stored
	// A passkey that was offered and has been removed since must not spoil the
	// answer of another one.
	data.AllowedCredentialIDs = slices.DeleteFunc(slices.Clone(data.AllowedCredentialIDs), func(id []byte) bool {
		return !slices.ContainsFunc(user.credentials, func(c webauthn.Credential) bool { return bytes.Equal(c.ID, id) })
	})

	var credential *webauthn.Credential
	var err error
	if len(data.UserID) == 0 {
		credential, err = rp.library.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return &owner, nil }, data, answer)
	} else {
		credential, err = rp.library.ValidateLogin(&owner, data, answer)
	}
	if err != nil {
		return assertion{}, refuse(CodeInvalidCredential, rp.assertionReason(data, user, stored, answer, err), err)
	}
	if reason := rp.ceremonyReason(protocol.AssertCeremony, data, answer.Response.CollectedClientData, answer.Response.AuthenticatorData); reason != "" {
		return assertion{}, refuse(CodeInvalidCredential, reason, errStricter)
	}
	regressed := false
	if credential.Authenticator.CloneWarning {
		regress := fmt.Sprintf("%s: %d after %d", ReasonSignCountRegress,
			answer.Response.AuthenticatorData.Counter, stored.Authenticator.SignCount)
		if !credential.Flags.BackupEligible && rp.signCount == RefuseSignCountRegress {
			return assertion{}, refuse(CodeInvalidCredential, ReasonSignCountRegress, errors.New(regress))
		}
		note, regressed = join(note, regress), true
		// The warning is about this answer. Kept, it would taint every later one.
		credential.Authenticator.CloneWarning = false
	}
	return assertion{credential: credential, note: note, regressed: regressed}, nil
}

// The sizes of RSA keys that are registered, in bits. Smaller ones can be broken
// (NIST SP 800-131A), and reckoning with larger ones is work that a stranger gives us.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// rsaAlgorithms are the signatures that an RSA key can make.
var rsaAlgorithms = []webauthncose.COSEAlgorithmIdentifier{
	webauthncose.AlgRS256, webauthncose.AlgRS384, webauthncose.AlgRS512, webauthncose.AlgPS256, webauthncose.AlgPS384, webauthncose.AlgPS512,
}

// usableKey refuses a public key that no signature will ever verify with, or that
// anybody can sign for. The library reads the key only when it first verifies with
// it, and without an attestation that is long after the person was told that the
// passkey is good.
func usableKey(raw []byte) error {
	parsed, err := webauthncose.ParsePublicKey(raw)
	if err != nil {
		return fmt.Errorf("read public key: %w", err)
	}
	key, ok := parsed.(webauthncose.RSAPublicKeyData)
	if !ok {
		return nil // the library has checked type, curve, size and point
	}
	modulus := new(big.Int).SetBytes(key.Modulus)
	exponent, err := webauthncose.ParseRSAPublicKeyDataExponent(&key)
	switch bits := modulus.BitLen(); {
	case err != nil:
		return fmt.Errorf("read public key: %w", err)
	case !slices.Contains(rsaAlgorithms, webauthncose.COSEAlgorithmIdentifier(key.Algorithm)):
		return fmt.Errorf("a key of RSA makes no signatures of algorithm %d", key.Algorithm)
	case bits < minRSABits || bits > maxRSABits || modulus.Bit(0) == 0:
		return fmt.Errorf("a modulus of %d bits", bits)
	case exponent < 3 || exponent%2 == 0 || exponent > math.MaxInt32:
		return fmt.Errorf("the exponent %d", exponent)
	}
	return nil
}

// imported reports whether a credential came from another system, whose flags are
// not known before its first answer.
func imported(c webauthn.Credential) bool {
	return len(c.Attestation.Object) == 0 && !c.Flags.UserPresent
}

// isSigned refuses a challenge that was begun for something else, or has nothing to
// sign, like that of a code.
func (c Challenge) isSigned(kind Kind, purpose Purpose) *RefusedError {
	if c.Method != events.MethodPasskey && c.Method != events.MethodSecurityKey {
		return refuse(CodeInvalidRequest, ReasonWrongKind, nil)
	}
	return c.is(kind, purpose)
}

// is refuses a challenge that was begun for something else.
func (c Challenge) is(kind Kind, purpose Purpose) *RefusedError {
	switch {
	case c.Kind != kind:
		return refuse(CodeInvalidRequest, ReasonWrongKind, nil)
	case c.Purpose != purpose:
		return refuse(CodeInvalidRequest, ReasonWrongPurpose, nil)
	}
	return nil
}

// assertionReason finds the stable reason of a failed authentication from the
// answer itself, since the library's texts are free to change.
func (rp *RelyingParty) assertionReason(data webauthn.SessionData, user *person, stored webauthn.Credential,
	answer *protocol.ParsedCredentialAssertionData, err error,
) string {
	if handle := answer.Response.UserHandle; len(handle) > 0 && !bytes.Equal(handle, user.handle) {
		return ReasonUserHandle
	}
	auth := answer.Response.AuthenticatorData
	if reason := rp.ceremonyReason(protocol.AssertCeremony, data, answer.Response.CollectedClientData, auth); reason != "" {
		return reason
	}
	var library *protocol.Error
	switch {
	case errors.As(err, &library) && library.Type == protocol.ErrAssertionSignature.Type:
		return ReasonBadSignature
	case auth.Flags.HasBackupEligible() != stored.Flags.BackupEligible,
		auth.Flags.HasBackupState() && !auth.Flags.HasBackupEligible():
		return ReasonBackupFlags
	}
	return ReasonVerificationFailed
}

// errStricter is the cause where the library accepted what ceremonyReason does not.
var errStricter = errors.New("the library accepts it, and this relying party does not")

// ceremonyReason finds what is wrong with the parts that both ceremonies share,
// "" when they are right. It is asked about answers too that the library accepts,
// because the library is kinder to origins than we promise: it compares neither
// path nor letter case, and takes a frame whose top origin the browser does not
// name for one of a page that may.
func (rp *RelyingParty) ceremonyReason(want protocol.CeremonyType, data webauthn.SessionData,
	client protocol.CollectedClientData, auth protocol.AuthenticatorData,
) string {
	hash := sha256.Sum256([]byte(rp.id))
	switch {
	case client.Type != want:
		return ReasonWrongType
	case client.Challenge != data.Challenge:
		return ReasonChallengeMismatch
	case !rp.isOrigin(client.Origin):
		return ReasonOriginMismatch
	case (client.CrossOrigin || client.TopOrigin != "") && !rp.mayFrame(client):
		return ReasonCrossOrigin
	case !bytes.Equal(auth.RPIDHash, hash[:]):
		return ReasonRelyingParty
	case !auth.Flags.HasUserPresent() && data.Mediation != protocol.MediationConditional:
		return ReasonUserNotPresent
	case data.UserVerification == protocol.VerificationRequired && !auth.Flags.HasUserVerified():
		return ReasonUserNotVerified
	}
	return ""
}

// mayFrame reports whether the page around a frame may have the ceremony in it.
func (rp *RelyingParty) mayFrame(client protocol.CollectedClientData) bool {
	if client.TopOrigin == "" {
		return len(rp.topOrigins) > 0 && slices.Contains(rp.guardedOrigins, client.Origin)
	}
	return slices.Contains(rp.topOrigins, client.TopOrigin)
}

// isOrigin reports whether an answer may come from an origin. It is compared as it is
// (WebAuthn L3, section 13.4.9), where the library passes over what stands before and
// behind the host.
func (rp *RelyingParty) isOrigin(origin string) bool {
	return slices.Contains(rp.origins, origin) || slices.Contains(rp.library.Config.RPOpaqueOrigins, origin)
}

// join puts two notes together.
func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
