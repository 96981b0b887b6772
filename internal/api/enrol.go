package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// enrolRequest is an authenticator that the backend has verified itself
// (EnrollAttributes).
type enrolRequest struct {
	VerificationMethod  events.Method `json:"verificationMethod"`
	CredentialID        string        `json:"credentialId"`        // base64url
	CredentialPublicKey string        `json:"credentialPublicKey"` // base64url of a COSE key (RFC 9052, section 7)
	Counter             uint32        `json:"counter"`             // signature counter
	Name                string        `json:"name"`
	Transports          []string      `json:"transports"` // WebAuthn L3, section 5.8.4
	AAGUID              string        `json:"aaguid"`     // UUID
	OTPURI              string        `json:"otpUri"`     // otpauth://totp/…
	Email               string        `json:"email"`      // that codes go to
	IsDefault           bool          `json:"isDefault"`
}

// enrolAuthenticator takes over an authenticator from another system. The same one
// again, of the same user, is answered as the first time was: SDKs send a call again
// when its answer was lost.
func (s *Server) enrolAuthenticator(k *call) error {
	user, err := k.user()
	if err != nil {
		return err
	}
	var request enrolRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	authenticator, err := s.takeOver(ctx, user, request)
	if err != nil {
		return err
	}
	if request.Email != "" {
		if err := s.verifiedAddress(ctx, user, request.Email); err != nil {
			return fmt.Errorf("enrol authenticator: %w", err)
		}
	}
	if request.IsDefault {
		if err := s.config.Store.ChangeAuthenticator(ctx, user, authenticator.ID, nil, true, events.ByApplication); err != nil {
			return fmt.Errorf("enrol authenticator: %w", err)
		}
	}
	account, err := s.config.Store.Account(ctx, user)
	if err != nil {
		return fmt.Errorf("enrol authenticator: %w", err)
	}
	return k.ok(struct {
		Authenticator wireAuthenticator `json:"authenticator"`
	}{s.authenticatorOf(authenticator, account)})
}

// takeOver adds one authenticator, or finds the one that an earlier call has added.
func (s *Server) takeOver(ctx context.Context, user events.UserID, request enrolRequest) (ceremonies.Authenticator, error) {
	var none ceremonies.Authenticator
	authenticator, err := s.imported(user, request)
	if err != nil {
		return none, err
	}
	if authenticator.Method == events.MethodEmailOTP { // has no credential that could exist
		if a, found, err := s.enrolledBefore(ctx, authenticator); err != nil || found {
			return a, err
		}
	}
	err = s.config.Store.AddAuthenticator(ctx, authenticator, events.ByApplication)
	if errors.Is(err, ceremonies.ErrCredentialExists) {
		if a, found, err := s.enrolledBefore(ctx, authenticator); err != nil || found {
			return a, err
		}
	}
	if err != nil {
		return none, fmt.Errorf("enrol authenticator: %w", err)
	}
	return authenticator, nil
}

// enrolledBefore finds the user's authenticator that is the same as another one.
func (s *Server) enrolledBefore(ctx context.Context, a ceremonies.Authenticator) (ceremonies.Authenticator, bool, error) {
	account, err := s.config.Store.Account(ctx, a.User)
	if err != nil {
		return a, false, fmt.Errorf("enrol authenticator: %w", err)
	}
	i := slices.IndexFunc(account.Authenticators, func(b ceremonies.Authenticator) bool {
		if a.Method != b.Method || a.Email != b.Email || !bytes.Equal(a.CredentialID, b.CredentialID) {
			return false
		}
		return a.Method == events.MethodEmailOTP || sameKey(a.Credential, b.Credential)
	})
	if i < 0 {
		return a, false, nil
	}
	return account.Authenticators[i], true, nil
}

func sameKey(a, b json.RawMessage) bool {
	var one, other webauthn.Credential
	return json.Unmarshal(a, &one) == nil && json.Unmarshal(b, &other) == nil && bytes.Equal(one.PublicKey, other.PublicKey)
}

// verifiedAddress keeps what the backend says with an address that codes go to: it
// is verified, and it is the user's where there was none.
func (s *Server) verifiedAddress(ctx context.Context, user events.UserID, email string) error {
	account, err := s.config.Store.Account(ctx, user)
	if err != nil || account.Email != "" && account.Email != email {
		return err
	}
	yes := true
	_, err = s.config.Store.UpdateUser(ctx, user, engine.UserChanges{Email: &email, EmailVerified: &yes}, events.ByApplication)
	return err
}

// imported is the record of an authenticator to take over.
func (s *Server) imported(user events.UserID, r enrolRequest) (ceremonies.Authenticator, error) {
	var none ceremonies.Authenticator
	if r.VerificationMethod == "" {
		return none, invalidField("verificationMethod", "is missing.")
	}
	if !plainCode(string(r.VerificationMethod)) {
		return none, invalidField("verificationMethod", "is not a verification method.")
	}
	if !s.config.Party.Offers(r.VerificationMethod) {
		return none, notEnabled(r.VerificationMethod)
	}
	if err := checkName("name", r.Name); err != nil {
		return none, err
	}
	id := events.AuthenticatorID(rand.Text())
	var a ceremonies.Authenticator
	var err error
	field := "otpUri"
	switch r.VerificationMethod {
	case events.MethodPasskey, events.MethodSecurityKey:
		a, err = s.credential(r)
	case events.MethodAuthenticatorApp:
		a, err = s.config.Party.ImportApp(user, id, r.OTPURI)
	case events.MethodEmailOTP:
		field = "email"
		a, err = s.config.Party.ImportEmail(user, id, r.Email)
	default: // recovery codes are made here
		return none, invalidField("verificationMethod", string(r.VerificationMethod)+" cannot be taken over.")
	}
	var refused *ceremonies.RefusedError
	if errors.As(err, &refused) && refused.Reason == ceremonies.ReasonMalformed && refused.Err != nil {
		message := refused.Err.Error()
		if field == "email" {
			message = "is not an e-mail address"
		}
		return none, invalidField(field, message+".")
	}
	if err != nil {
		return none, err
	}
	a.ID, a.User, a.CreatedAt = id, user, s.now().UTC()
	if r.Name != "" {
		a.Name = r.Name
	}
	return a, nil
}

// transports are the ways to reach an authenticator (WebAuthn L3, section 5.8.4).
var transports = []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}

// credential is the record of a passkey or security key. Its backup flags are not
// known here; the first proof fills them in.
func (s *Server) credential(r enrolRequest) (ceremonies.Authenticator, error) {
	var none ceremonies.Authenticator
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
	aaguid, text := make([]byte, 16), ""
	if r.AAGUID != "" {
		text = strings.ToLower(r.AAGUID)
		plain := strings.ReplaceAll(text, "-", "")
		if raw, err := hex.DecodeString(plain); err != nil || len(raw) != 16 || len(text) != 36 {
			return none, invalidField("aaguid", "must be a UUID, such as fbfc3007-154e-4ecc-8c0b-6e020557d7bd.")
		} else {
			aaguid = raw
		}
	}
	credential := webauthn.Credential{
		ID: id, PublicKey: key, AttestationType: "none",
		Authenticator: webauthn.Authenticator{SignCount: r.Counter, AAGUID: aaguid},
	}
	for _, t := range r.Transports {
		if slices.Contains(transports, t) && len(credential.Transport) < len(transports) { // browsers come up with others
			credential.Transport = append(credential.Transport, protocol.AuthenticatorTransport(t))
		}
	}
	raw, err := json.Marshal(credential)
	if err != nil {
		return none, fmt.Errorf("write credential: %w", err)
	}
	name := s.config.Party.Providers().Name(text)
	switch {
	case name != "":
	case r.VerificationMethod == events.MethodSecurityKey:
		name = "Security key"
	default:
		name = "Passkey"
	}
	return ceremonies.Authenticator{
		Method: r.VerificationMethod, Name: name, CredentialID: id, Credential: raw, SignCount: r.Counter, AAGUID: text,
	}, nil
}
