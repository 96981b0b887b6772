package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

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
	// Action reads one tracked action, or ceremonies.ErrNoAction.
	Action(ctx context.Context, id events.ActionID) (ceremonies.Action, error)
	// Pending is the newest open challenge of an action with this method and kind, or
	// ceremonies.ErrNoChallenge.
	Pending(ctx context.Context, action events.ActionID, kind ceremonies.Kind, method events.Method, now time.Time) (ceremonies.Challenge, error)
	// ChallengeByValue is the id of the challenge whose value a browser signed, or
	// ceremonies.ErrNoChallenge.
	ChallengeByValue(ctx context.Context, value []byte) (events.ChallengeID, error)
	// AddAuthenticator adds one, with its user when that is not known yet. A
	// credential that exists is ceremonies.ErrCredentialExists. An address that codes
	// go to takes the place of the one before.
	AddAuthenticator(ctx context.Context, a ceremonies.Authenticator, by string) error
	// ChangeAuthenticator makes one the default, or returns ceremonies.ErrNoChallenge.
	ChangeAuthenticator(ctx context.Context, user events.UserID, id events.AuthenticatorID, name *string, preferred bool, by string) error
	// RemoveAuthenticator removes one, or engine.ErrNotFound.
	RemoveAuthenticator(ctx context.Context, user events.UserID, id events.AuthenticatorID, by string) error
	// CredentialVerifiedAt tells when the passkey with a credential id last proved
	// something, or engine.ErrNotFound.
	CredentialVerifiedAt(ctx context.Context, credentialID []byte) (time.Time, error)
}

// wireConfiguration is one method that this server offers. What is about WebAuthn is
// left out of the others.
type wireConfiguration struct {
	VerificationMethod events.Method `json:"verificationMethod"`
	IsActive           bool          `json:"isActive"`
	RelyingParty       string        `json:"relyingParty,omitempty"`
	RelyingPartyName   string        `json:"relyingPartyName,omitempty"`
	ExpectedOrigins    []string      `json:"expectedOrigins,omitempty"`
	UserVerification   string        `json:"userVerificationRequirement,omitempty"`
}

// authenticatorConfigurations tells which methods this server offers, the strongest
// first.
func (s *Server) authenticatorConfigurations(k *call) error {
	list := make([]wireConfiguration, len(s.methods))
	for i, method := range s.methods {
		list[i] = wireConfiguration{VerificationMethod: method, IsActive: true}
		switch method {
		case events.MethodPasskey, events.MethodSecurityKey:
			list[i].RelyingParty, list[i].RelyingPartyName = s.config.RPID, s.config.Name
			list[i].ExpectedOrigins, list[i].UserVerification = s.config.Party.Origins(), s.config.Party.UserVerification(method)
		}
	}
	return k.ok(list)
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
	return k.ok(s.authenticatorsOf(account))
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
