package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// maxCredentialIDs is how many passkeys one anonymous look-up may name.
const maxCredentialIDs = 20

// firstFactor is the answer to calls that would sign somebody in without a
// token.
var firstFactor = invalid("This server proves actions that a backend has tracked: send the token of the track answer as a Bearer token. Signing in without a token is not available.")

// wireOptions are the options of a ceremony and the id that goes back with the
// answer.
type wireOptions struct {
	ChallengeID events.ChallengeID `json:"challengeId"`
	Options     any                `json:"options"`
}

// wireVerified says that a ceremony succeeded. The access token is a new one.
type wireVerified struct {
	IsVerified          bool                   `json:"isVerified"`
	AccessToken         string                 `json:"accessToken"`
	UserID              events.UserID          `json:"userId"`
	UserAuthenticatorID events.AuthenticatorID `json:"userAuthenticatorId"`
	Username            string                 `json:"username,omitempty"`
	UserDisplayName     string                 `json:"userDisplayName,omitempty"`
	CredentialID        string                 `json:"credentialId,omitempty"`
	UserAuthenticator   *wireAuthenticator     `json:"userAuthenticator,omitempty"`
}

func verified(token string, a ceremonies.Authenticator, account ceremonies.Account) wireVerified {
	return wireVerified{
		IsVerified: true, AccessToken: token, UserID: account.User, UserAuthenticatorID: a.ID,
		Username: account.Username, UserDisplayName: account.DisplayName,
	}
}

// clientAuthenticators lists the authenticators of the token's user.
func (s *Server) clientAuthenticators(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	account, err := s.config.Store.Account(ctx, k.grant.Action.User)
	if err != nil {
		return fmt.Errorf("list authenticators: %w", err)
	}
	return k.ok(authenticatorsOf(account))
}

// clientPasskey tells whether one of some passkeys is known here. It answers
// everybody who names the tenant, and says no more than that.
func (s *Server) clientPasskey(k *call) error {
	sent := k.QueryParam("credentialIds")
	if sent == "" {
		sent = k.QueryParam("credentialId")
	}
	ids := strings.Split(sent, ",")
	if sent == "" || len(ids) > maxCredentialIDs {
		return invalidField("credentialIds", fmt.Sprintf("must name 1 to %d passkeys, separated by commas.", maxCredentialIDs))
	}
	ctx, cancel := k.within()
	defer cancel()
	for _, id := range ids {
		raw, err := decodeBase64(id)
		if err != nil || len(raw) == 0 || len(raw) > maxCredentialID {
			return invalidField("credentialIds", "must be credential ids in base64url.")
		}
		at, err := s.config.Store.CredentialVerifiedAt(ctx, raw)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("find passkey: %w", err)
		}
		return k.ok(struct {
			CredentialID string   `json:"credentialId"`
			VerifiedAt   wireTime `json:"verifiedAt"`
		}{id, wireTime(at)})
	}
	return &Error{Status: http.StatusNotFound, Code: ceremonies.CodeUnknownCredential, Description: "None of these passkeys is registered here."}
}

// registrationOptions begins to add a passkey.
func (s *Server) registrationOptions(k *call) error {
	var request struct {
		Username    string  `json:"username"`
		DisplayName string  `json:"displayName"`
		Attachment  *string `json:"authenticatorAttachment"` // null and absent mean any (CONTRACT 0.10)
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	for field, value := range map[string]string{"username": request.Username, "displayName": request.DisplayName} {
		if err := checkText(field, value, maxAttribute); err != nil {
			return err
		}
	}
	if err := s.config.Ceremonies.Begin(k.grant.Action.User); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginEnrolment(ctx, k.grant, ceremonies.EnrolOptions{
		Username: request.Username, DisplayName: request.DisplayName, Attachment: request.Attachment,
	})
	if err != nil {
		return fmt.Errorf("registration options: %w", err)
	}
	return k.ok(wireOptions{ChallengeID: begun.Challenge, Options: begun.Options})
}

// addPasskey finishes to add a passkey.
func (s *Server) addPasskey(k *call) error {
	var request struct {
		Credential  json.RawMessage    `json:"registrationCredential"`
		ChallengeID events.ChallengeID `json:"challengeId"`
		DeviceID    string             `json:"deviceId"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	client, err := k.answered("registrationCredential", request.Credential, request.ChallengeID, request.DeviceID)
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	enrolled, err := s.config.Party.FinishEnrolment(ctx, k.grant, request.ChallengeID, request.Credential, client)
	if err != nil {
		return fmt.Errorf("add passkey: %w", err)
	}
	authenticator := authenticatorOf(enrolled.Authenticator, enrolled.Account)
	answer := verified(enrolled.Token, enrolled.Authenticator, enrolled.Account)
	answer.UserAuthenticator, answer.CredentialID = &authenticator, authenticator.WebauthnCredential.CredentialID
	return k.ok(answer)
}

// authenticationOptions begins to prove the token's action.
func (s *Server) authenticationOptions(k *call) error {
	if k.grant.Use == "" {
		return firstFactor
	}
	var request struct {
		ChallengeID events.ChallengeID `json:"challengeId"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := s.config.Ceremonies.Begin(k.grant.Action.User); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginStepUp(ctx, k.grant, ceremonies.Ask{})
	if err != nil {
		return fmt.Errorf("authentication options: %w", err)
	}
	return k.ok(wireOptions{ChallengeID: begun.Challenge, Options: begun.Options})
}

// verifyPasskey finishes to prove the token's action.
func (s *Server) verifyPasskey(k *call) error {
	if k.grant.Use == "" {
		return firstFactor
	}
	var request struct {
		Credential  json.RawMessage    `json:"authenticationCredential"`
		ChallengeID events.ChallengeID `json:"challengeId"`
		DeviceID    string             `json:"deviceId"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	client, err := k.answered("authenticationCredential", request.Credential, request.ChallengeID, request.DeviceID)
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	proof, err := s.config.Party.FinishStepUp(ctx, k.grant, request.ChallengeID, request.Credential, client)
	if err != nil {
		return fmt.Errorf("verify passkey: %w", err)
	}
	return k.ok(verified(proof.Token, proof.Authenticator, proof.Account))
}

// answered checks the parts that both answers share.
func (k *call) answered(field string, credential json.RawMessage, challenge events.ChallengeID, device string) (ceremonies.Client, error) {
	if len(credential) == 0 || credential[0] != '{' {
		return ceremonies.Client{}, invalidField(field, "is missing. Send what navigator.credentials returned, as JSON.")
	}
	if err := checkID("challengeId", string(challenge)); err != nil {
		return ceremonies.Client{}, err
	}
	if err := checkText("deviceId", device, maxID); err != nil {
		return ceremonies.Client{}, err
	}
	agent := k.Request().UserAgent() // net/http lets no NUL in a header through
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxAttribute)], "")
	return ceremonies.Client{UserAgent: agent, DeviceID: device}, nil
}

// beginAnonymous refuses to begin a sign-in.
func (s *Server) beginAnonymous(*call) error { return firstFactor }

// otherMethod refuses the client calls of a method that is not offered.
func otherMethod(method events.Method) handler {
	return func(*call) error { return notEnabled(method) }
}

// otherMethods are the client calls of methods that are not offered, by path.
var otherMethods = map[string]events.Method{
	"/v1/client/user-authenticators/totp":                                "AUTHENTICATOR_APP",
	"/v1/client/verify/totp":                                             "AUTHENTICATOR_APP",
	"/v1/client/user-authenticators/email-otp":                           "EMAIL_OTP",
	"/v1/client/challenge/email-otp":                                     "EMAIL_OTP",
	"/v1/client/verify/email-otp":                                        "EMAIL_OTP",
	"/v1/client/user-authenticators/email-magic-link":                    "EMAIL_MAGIC_LINK",
	"/v1/client/challenge/email-magic-link":                              "EMAIL_MAGIC_LINK",
	"/v1/client/verify/email-magic-link/finalize":                        "EMAIL_MAGIC_LINK",
	"/v1/client/user-authenticators/sms":                                 "SMS",
	"/v1/client/challenge/sms":                                           "SMS",
	"/v1/client/verify/sms":                                              "SMS",
	"/v1/client/challenge/whatsapp":                                      "WHATSAPP",
	"/v1/client/verify/whatsapp":                                         "WHATSAPP",
	"/v1/client/user-authenticators/security-key/registration-options":   "SECURITY_KEY",
	"/v1/client/user-authenticators/security-key":                        "SECURITY_KEY",
	"/v1/client/user-authenticators/security-key/authentication-options": "SECURITY_KEY",
	"/v1/client/verify/security-key":                                     "SECURITY_KEY",
	"/v1/client/challenge/push":                                          "PUSH",
	"/v1/client/verify/push":                                             "PUSH",
}
