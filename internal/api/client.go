package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// maxCredentialIDs is how many passkeys one anonymous look-up may name.
const maxCredentialIDs = 20

// wireOptions are the options of a ceremony and the id that goes back with the
// answer.
type wireOptions struct {
	ChallengeID events.ChallengeID `json:"challengeId"`
	Options     any                `json:"options"`
}

// wireVerified says how a ceremony ended. A success has a new access token. It must
// never get a key named error: the browser SDK takes that for a failure (CONTRACT
// 0.3).
type wireVerified struct {
	IsVerified          bool                   `json:"isVerified"`
	FailureReason       string                 `json:"failureReason,omitempty"` // of a wrong code
	AccessToken         string                 `json:"accessToken,omitempty"`
	UserID              events.UserID          `json:"userId,omitempty"`
	UserAuthenticatorID events.AuthenticatorID `json:"userAuthenticatorId,omitempty"` // none of a code that enrols
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

// enrolled is the answer to an enrolment.
func (s *Server) enrolled(e ceremonies.Enrolled) wireVerified {
	answer := verified(e.Token, e.Authenticator, e.Account)
	authenticator := s.authenticatorOf(e.Authenticator, e.Account)
	answer.UserAuthenticator = &authenticator
	if authenticator.WebauthnCredential != nil {
		answer.CredentialID = authenticator.WebauthnCredential.CredentialID
	}
	return answer
}

// client is what is known of the browser or app that calls.
func (k *call) client(device string) (ceremonies.Client, error) {
	if err := checkText("deviceId", device, maxID); err != nil {
		return ceremonies.Client{}, err
	}
	if strings.ContainsFunc(device, unicode.IsControl) {
		return ceremonies.Client{}, invalidField("deviceId", "must not contain control characters.")
	}
	agent := k.Request().UserAgent() // net/http lets no NUL in a header through
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxAttribute)], "")
	return ceremonies.Client{Address: k.clientAddress(), UserAgent: agent, DeviceID: device}, nil
}

// begins counts a ceremony that the token's user begins.
func (k *call) begins() error { return k.server.config.Ceremonies.Begin(k.grant.Action.User) }

// clientAuthenticators lists the authenticators of the token's user.
func (s *Server) clientAuthenticators(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	account, err := s.config.Store.Account(ctx, k.grant.Action.User)
	if err != nil {
		return fmt.Errorf("list authenticators: %w", err)
	}
	return k.ok(s.authenticatorsOf(account))
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

// clientInit tells a page what it can offer for the token's action. The React
// package begins with it and takes any refusal for a token that has expired.
func (s *Server) clientInit(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	account, action, err := s.standing(ctx, k.grant)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	type user struct {
		Email       string `json:"email,omitempty"`
		PhoneNumber string `json:"phoneNumber,omitempty"`
	}
	var options struct {
		Token   string          `json:"token"`
		Default events.Method   `json:"defaultVerificationMethod,omitempty"`
		Methods []events.Method `json:"verificationMethods"`
		User    user            `json:"user"`
	}
	options.Token, _ = cutScheme(k.Request().Header.Get("Authorization"), "Bearer")
	options.Methods, options.User.Email = s.answering(account, action), account.Email
	if len(options.Methods) > 0 {
		options.Default = options.Methods[0]
	}
	return k.ok(struct {
		ChallengeOptions any `json:"challengeOptions"`
	}{options})
}

// otherMethod refuses the client calls of a method that is not offered.
func otherMethod(method events.Method) handler {
	return func(*call) error { return notEnabled(method) }
}

// otherMethods are the client calls of methods that are not offered, by path.
var otherMethods = map[string]events.Method{
	"/v1/client/user-authenticators/email-magic-link": "EMAIL_MAGIC_LINK",
	"/v1/client/challenge/email-magic-link":           "EMAIL_MAGIC_LINK",
	"/v1/client/verify/email-magic-link/finalize":     "EMAIL_MAGIC_LINK",
	"/v1/client/user-authenticators/sms":              "SMS",
	"/v1/client/challenge/sms":                        "SMS",
	"/v1/client/verify/sms":                           "SMS",
	"/v1/client/challenge/whatsapp":                   "WHATSAPP",
	"/v1/client/verify/whatsapp":                      "WHATSAPP",
	"/v1/client/challenge/push":                       "PUSH",
	"/v1/client/verify/push":                          "PUSH",
	"/v1/client/challenge/qr-code":                    "QR_CODE",
	"/v1/client/verify/qr-code":                       "QR_CODE",
}
