package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// maxCredentialID is the longest credential id in bytes (WebAuthn L3, section
// 4, "credential ID").
const maxCredentialID = 1023

// authenticatorStore keeps authenticators.
type authenticatorStore interface {
	// Account reads a person with their authenticators, oldest first.
	Account(ctx context.Context, user events.UserID) (ceremonies.Account, error)
	// AddAuthenticator adds one, with its user when that is not known yet. A
	// credential that exists is ceremonies.ErrCredentialExists.
	AddAuthenticator(ctx context.Context, a ceremonies.Authenticator, by string) error
	// RemoveAuthenticator removes one, or engine.ErrNotFound.
	RemoveAuthenticator(ctx context.Context, user events.UserID, id events.AuthenticatorID, by string) error
	// CredentialVerifiedAt tells when the passkey with a credential id last proved
	// something, or engine.ErrNotFound.
	CredentialVerifiedAt(ctx context.Context, credentialID []byte) (time.Time, error)
}

// authenticatorConfigurations tells which methods this server offers.
func (s *Server) authenticatorConfigurations(k *call) error {
	type configuration struct {
		VerificationMethod events.Method `json:"verificationMethod"`
		IsActive           bool          `json:"isActive"`
		RelyingParty       string        `json:"relyingParty"`
		RelyingPartyName   string        `json:"relyingPartyName"`
		ExpectedOrigins    []string      `json:"expectedOrigins"`
		UserVerification   string        `json:"userVerificationRequirement"`
	}
	return k.ok([]configuration{{
		VerificationMethod: events.MethodPasskey, IsActive: true, RelyingParty: s.config.RPID, RelyingPartyName: s.config.Name,
		ExpectedOrigins: s.config.Party.Origins(), UserVerification: "required",
	}})
}

// listAuthenticators lists a user's authenticators, none for an unknown user.
func (s *Server) listAuthenticators(k *call) error {
	user, err := k.user()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	account, err := s.config.Store.Account(ctx, user)
	if err != nil {
		return fmt.Errorf("list authenticators: %w", err)
	}
	return k.ok(authenticatorsOf(account))
}

// enrolRequest is an authenticator that the backend has verified itself
// (EnrollAttributes).
type enrolRequest struct {
	VerificationMethod  events.Method `json:"verificationMethod"`
	CredentialID        string        `json:"credentialId"`        // base64url
	CredentialPublicKey string        `json:"credentialPublicKey"` // base64url of a COSE key (RFC 9052, section 7)
	Counter             uint32        `json:"counter"`             // signature counter
	Name                string        `json:"name"`
}

// enrolAuthenticator takes over a passkey from another system.
func (s *Server) enrolAuthenticator(k *call) error {
	user, err := k.user()
	if err != nil {
		return err
	}
	var request enrolRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	authenticator, err := request.passkey()
	if err != nil {
		return err
	}
	authenticator.ID, authenticator.User, authenticator.CreatedAt = events.AuthenticatorID(rand.Text()), user, s.now().UTC()
	ctx, cancel := k.within()
	defer cancel()
	if err := s.config.Store.AddAuthenticator(ctx, authenticator, events.ByApplication); err != nil {
		return fmt.Errorf("enrol authenticator: %w", err)
	}
	account, err := s.config.Store.Account(ctx, user)
	if err != nil {
		return fmt.Errorf("enrol authenticator: %w", err)
	}
	return k.ok(struct {
		Authenticator wireAuthenticator `json:"authenticator"`
	}{authenticatorOf(authenticator, account)})
}

// passkey builds the credential record. Its backup flags are not known here;
// the first proof fills them in.
func (r enrolRequest) passkey() (ceremonies.Authenticator, error) {
	var none ceremonies.Authenticator
	switch r.VerificationMethod {
	case events.MethodPasskey:
	case "":
		return none, invalidField("verificationMethod", "is missing. This server enrols PASSKEY.")
	default:
		if !plainCode(string(r.VerificationMethod)) {
			return none, invalidField("verificationMethod", "is not a verification method.")
		}
		return none, notEnabled(r.VerificationMethod)
	}
	id, err := decodeBase64(r.CredentialID)
	if err != nil || len(id) == 0 || len(id) > maxCredentialID {
		return none, invalidField("credentialId", fmt.Sprintf("must be 1 to %d bytes in base64url.", maxCredentialID))
	}
	key, err := decodeBase64(r.CredentialPublicKey)
	if err != nil || len(key) == 0 {
		return none, invalidField("credentialPublicKey", "must be a COSE key in base64url.")
	}
	if _, err := webauthncose.ParsePublicKey(key); err != nil {
		e := invalidField("credentialPublicKey", "is not a COSE key that passkeys use.")
		e.Cause = err
		return none, e
	}
	if err := checkText("name", r.Name, maxID); err != nil {
		return none, err
	}
	credential, err := json.Marshal(webauthn.Credential{
		ID: id, PublicKey: key, AttestationType: "none",
		Authenticator: webauthn.Authenticator{SignCount: r.Counter, AAGUID: make([]byte, 16)},
	})
	if err != nil {
		return none, fmt.Errorf("write credential: %w", err)
	}
	name := r.Name
	if name == "" {
		name = "Passkey"
	}
	return ceremonies.Authenticator{
		Method: events.MethodPasskey, Name: name, CredentialID: id, Credential: credential, SignCount: r.Counter,
	}, nil
}

func notEnabled(method events.Method) *Error {
	return invalid(string(method) + " is not an enabled verification method")
}

// plainCode reports whether a text looks like a code of ours and can be repeated
// in an answer.
func plainCode(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// decodeBase64 reads base64 as SDKs of all kinds write it: base64url or standard,
// padded or not.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	if strings.ContainsAny(text, "+/") {
		return base64.RawStdEncoding.DecodeString(text)
	}
	return base64.RawURLEncoding.DecodeString(text)
}

// removeAuthenticator removes one of a user's authenticators.
func (s *Server) removeAuthenticator(k *call) error {
	user, err := k.user()
	if err != nil {
		return err
	}
	id, err := k.param("userAuthenticatorId")
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	err = s.config.Store.RemoveAuthenticator(ctx, user, events.AuthenticatorID(id), events.ByApplication)
	if errors.Is(err, engine.ErrNotFound) {
		return notFound("This user has no authenticator with this id.")
	}
	if err != nil {
		return fmt.Errorf("remove authenticator: %w", err)
	}
	return k.write(http.StatusOK, done200)
}
