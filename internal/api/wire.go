package api

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// timeFormat is ISO 8601 in UTC with milliseconds, as JavaScript writes times.
const timeFormat = "2006-01-02T15:04:05.000Z"

// wireTime is a time on the wire. The zero time is left out with omitzero.
type wireTime time.Time

// IsZero lets omitzero leave it out.
func (t wireTime) IsZero() bool { return time.Time(t).IsZero() }

// MarshalJSON implements json.Marshaler.
func (t wireTime) MarshalJSON() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, `"`+timeFormat+`"`), nil
}

// wireTrack is the answer to a track (CONTRACT 1.5, TrackResponse). It is
// written by hand: this is the one answer whose time everybody waits for.
type wireTrack struct {
	key, url, token string
	state           events.ActionState
	enrolled        []events.Method // the preferred one first
	allowed         []events.Method // that prove the action
	rules           []string        // ids of the rules that matched, in their order
}

func (w *wireTrack) append(out []byte) []byte {
	out = appendString(append(out, `{"idempotencyKey":`...), w.key)
	out = appendString(append(out, `,"state":`...), string(w.state))
	out = appendString(append(out, `,"url":`...), w.url)
	out = appendString(append(out, `,"token":`...), w.token)
	out = strconv.AppendBool(append(out, `,"isEnrolled":`...), len(w.enrolled) > 0)
	out = appendStrings(append(out, `,"enrolledVerificationMethods":`...), w.enrolled)
	out = appendStrings(append(out, `,"allowedVerificationMethods":`...), w.allowed)
	for _, method := range w.enrolled {
		if slices.Contains(w.allowed, method) {
			out = appendString(append(out, `,"defaultVerificationMethod":`...), string(method))
			break
		}
	}
	out = appendStrings(append(out, `,"ruleIds":`...), w.rules)
	return append(out, '}', '\n')
}

func appendStrings[T ~string](out []byte, list []T) []byte {
	out = append(out, '[')
	for i, s := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, string(s))
	}
	return append(out, ']')
}

// appendString writes a JSON string; the usual ones stand for themselves.
func appendString(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always encodes
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"')
}

// matchedRules are the ids of the rules that a backend is told about: live ones
// that matched. Shadow rules are the analysts' own business.
func matchedRules(matches []rules.Match) []string {
	ids := make([]string, 0, len(matches))
	for i := range matches {
		if told(&matches[i]) {
			ids = append(ids, matches[i].ID)
		}
	}
	return ids
}

func told(m *rules.Match) bool {
	return m.Mode == rules.Live && (m.Result == rules.Matched || m.Decides)
}

// wireAction is one action as the backend reads it (GetActionResponse).
type wireAction struct {
	State              events.ActionState `json:"state"`
	CreatedAt          wireTime           `json:"createdAt"`
	StateUpdatedAt     wireTime           `json:"stateUpdatedAt"`
	VerificationMethod events.Method      `json:"verificationMethod,omitempty"`
	Rules              []wireRule         `json:"rules"`
	RuleIDs            []string           `json:"ruleIds"`
	PriorityRuleID     string             `json:"priorityRuleId,omitempty"`
	Output             wireOutput         `json:"output"`
}

// wireRule is a rule that matched, as it was named then.
type wireRule struct {
	RuleID string `json:"ruleId"`
	Name   string `json:"name"`
}

// wireOutput is what the rules said, before any ceremony.
type wireOutput struct {
	Outcome rules.Outcome `json:"outcome"`
	Reason  rules.Reason  `json:"reason"`
	RuleSet int           `json:"ruleSet"`
}

func actionOf(a engine.TrackedAction) wireAction {
	out := wireAction{
		State: a.State, CreatedAt: wireTime(a.CreatedAt), StateUpdatedAt: wireTime(a.StateChangedAt),
		VerificationMethod: a.Method, Rules: []wireRule{}, RuleIDs: matchedRules(a.Matches), PriorityRuleID: a.Rule,
		Output: wireOutput{Outcome: a.Outcome, Reason: a.Reason, RuleSet: a.Set},
	}
	for i := range a.Matches {
		if m := &a.Matches[i]; told(m) {
			out.Rules = append(out.Rules, wireRule{RuleID: m.ID, Name: m.Name})
		}
	}
	return out
}

// wireActionItem is one of a user's actions (query actions).
type wireActionItem struct {
	ActionCode     string                 `json:"actionCode"`
	IdempotencyKey string                 `json:"idempotencyKey"`
	CreatedAt      wireTime               `json:"createdAt"`
	UpdatedAt      wireTime               `json:"updatedAt"`
	State          events.ActionState     `json:"state"`
	StateUpdatedAt wireTime               `json:"stateUpdatedAt"`
	Method         events.Method          `json:"verificationMethod,omitempty"`
	VerifiedBy     events.AuthenticatorID `json:"verifiedByAuthenticatorId,omitempty"`
	UserAgent      string                 `json:"userAgent,omitempty"`
	IPAddress      string                 `json:"ipAddress,omitempty"`
	CountryCode    string                 `json:"countryCode,omitempty"`
}

func actionItemOf(a engine.TrackedAction) wireActionItem {
	return wireActionItem{
		ActionCode: a.Code, IdempotencyKey: a.Key, CreatedAt: wireTime(a.CreatedAt), UpdatedAt: wireTime(a.StateChangedAt),
		State: a.State, StateUpdatedAt: wireTime(a.StateChangedAt), Method: a.Method, VerifiedBy: a.ProvenBy,
		UserAgent: a.UserAgent, IPAddress: a.IP, CountryCode: a.Country,
	}
}

// wireAuthenticator is one authenticator (UserAuthenticator). Keys without a
// value are left out.
type wireAuthenticator struct {
	UserID              events.UserID          `json:"userId"`
	UserAuthenticatorID events.AuthenticatorID `json:"userAuthenticatorId"`
	VerificationMethod  events.Method          `json:"verificationMethod"`
	CreatedAt           wireTime               `json:"createdAt"`
	VerifiedAt          wireTime               `json:"verifiedAt"`
	LastVerifiedAt      wireTime               `json:"lastVerifiedAt,omitzero"`
	IsDefault           bool                   `json:"isDefault"`
	Email               string                 `json:"email,omitempty"` // that codes go to
	Username            string                 `json:"username,omitempty"`
	DisplayName         string                 `json:"displayName,omitempty"`
	WebauthnCredential  *wireCredential        `json:"webauthnCredential,omitempty"`
}

type wireCredential struct {
	CredentialID            string         `json:"credentialId"` // base64url
	DeviceID                string         `json:"deviceId,omitempty"`
	Name                    string         `json:"name,omitempty"`
	AAGUID                  string         `json:"aaguid,omitempty"`
	AAGUIDMapping           *wireAAGUID    `json:"aaguidMapping,omitempty"`
	CredentialBackedUp      bool           `json:"credentialBackedUp"`
	CredentialDeviceType    string         `json:"credentialDeviceType"`
	AuthenticatorAttachment string         `json:"authenticatorAttachment,omitempty"`
	VerifiedAt              wireTime       `json:"verifiedAt"`
	ParsedUserAgent         *wireUserAgent `json:"parsedUserAgent,omitempty"`
}

type wireAAGUID struct {
	Name  string `json:"name"`
	Light string `json:"svgIconLight"` // image as a data address
	Dark  string `json:"svgIconDark"`
}

// authenticatorOf writes one authenticator of an account. Enrolment is itself a
// verification, which is why verifiedAt is the time of enrolment.
func (s *Server) authenticatorOf(a ceremonies.Authenticator, account ceremonies.Account) wireAuthenticator {
	out := wireAuthenticator{
		UserID: a.User, UserAuthenticatorID: a.ID, VerificationMethod: a.Method,
		CreatedAt: wireTime(a.CreatedAt), VerifiedAt: wireTime(a.CreatedAt), LastVerifiedAt: wireTime(a.LastVerifiedAt),
		IsDefault: account.Preferred().ID == a.ID, Email: a.Email,
		Username: account.Username, DisplayName: account.DisplayName,
	}
	if len(a.CredentialID) == 0 {
		return out
	}
	verified := a.LastVerifiedAt
	if verified.IsZero() {
		verified = a.CreatedAt
	}
	out.WebauthnCredential = &wireCredential{
		CredentialID: base64.RawURLEncoding.EncodeToString(a.CredentialID), DeviceID: a.DeviceID, Name: a.Name, AAGUID: a.AAGUID,
		CredentialBackedUp: a.BackedUp, CredentialDeviceType: "singleDevice",
		AuthenticatorAttachment: a.Attachment, VerifiedAt: wireTime(verified), ParsedUserAgent: userAgentOf(a.UserAgent),
	}
	if a.Synced {
		out.WebauthnCredential.CredentialDeviceType = "multiDevice"
	}
	providers := s.config.Party.Providers()
	if name := providers.Name(a.AAGUID); name != "" {
		out.WebauthnCredential.AAGUIDMapping = &wireAAGUID{
			Name: name, Light: providers.Icon(a.AAGUID, false), Dark: providers.Icon(a.AAGUID, true),
		}
	}
	return out
}

func (s *Server) authenticatorsOf(account ceremonies.Account) []wireAuthenticator {
	list := make([]wireAuthenticator, len(account.Authenticators))
	for i, a := range account.Authenticators {
		list[i] = s.authenticatorOf(a, account)
	}
	return list
}
