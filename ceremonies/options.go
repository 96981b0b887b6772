package ceremonies

import (
	"github.com/go-webauthn/webauthn/protocol"
)

// The option types below are what clients get. go-webauthn's own types leave out
// empty arrays and fields that mobile SDKs cannot do without (CONTRACT 0.6), so
// nothing here has omitempty but what must be absent when it is not set.

// CreationOptions is PublicKeyCredentialCreationOptionsJSON (WebAuthn L3,
// section 5.1.8).
type CreationOptions struct {
	RelyingParty       RelyingPartyEntity     `json:"rp"`
	User               UserEntity             `json:"user"`
	Challenge          Base64                 `json:"challenge"`
	Parameters         []CredentialParameter  `json:"pubKeyCredParams"`
	Timeout            int64                  `json:"timeout"` // milliseconds
	ExcludeCredentials []CredentialDescriptor `json:"excludeCredentials"`
	Selection          AuthenticatorSelection `json:"authenticatorSelection"`
	Hints              []string               `json:"hints"`
	Attestation        string                 `json:"attestation"`
	Extensions         map[string]any         `json:"extensions"`
}

// RequestOptions is PublicKeyCredentialRequestOptionsJSON (WebAuthn L3, section
// 5.1.9).
type RequestOptions struct {
	Challenge        Base64                 `json:"challenge"`
	Timeout          int64                  `json:"timeout"` // milliseconds
	RelyingPartyID   string                 `json:"rpId"`
	AllowCredentials []CredentialDescriptor `json:"allowCredentials"`
	UserVerification string                 `json:"userVerification"`
	Hints            []string               `json:"hints"`
	Extensions       map[string]any         `json:"extensions"`
}

// RelyingPartyEntity names us to the authenticator.
type RelyingPartyEntity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// UserEntity names the person to the authenticator. ID is the user handle: random
// and without meaning (WebAuthn L3, section 14.6.1).
type UserEntity struct {
	ID          Base64 `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

// CredentialParameter is one signature algorithm, a COSE number.
type CredentialParameter struct {
	Type      string `json:"type"`
	Algorithm int64  `json:"alg"`
}

// CredentialDescriptor names one passkey and the ways to reach it.
type CredentialDescriptor struct {
	ID         Base64   `json:"id"`
	Type       string   `json:"type"`
	Transports []string `json:"transports"`
}

// AuthenticatorSelection says which authenticators may register.
type AuthenticatorSelection struct {
	Attachment         string `json:"authenticatorAttachment,omitempty"` // absent means any
	RequireResidentKey bool   `json:"requireResidentKey"`
	ResidentKey        string `json:"residentKey"`
	UserVerification   string `json:"userVerification"`
}

func (rp *RelyingParty) creationOptions(o protocol.PublicKeyCredentialCreationOptions, handle []byte) CreationOptions {
	parameters := make([]CredentialParameter, len(o.Parameters))
	for i, p := range o.Parameters {
		parameters[i] = CredentialParameter{Type: string(p.Type), Algorithm: int64(p.Algorithm)}
	}
	return CreationOptions{
		RelyingParty: RelyingPartyEntity{ID: o.RelyingParty.ID, Name: o.RelyingParty.Name},
		User:         UserEntity{ID: handle, Name: o.User.Name, DisplayName: o.User.DisplayName},
		Challenge:    Base64(o.Challenge),
		Parameters:   parameters, Timeout: int64(o.Timeout),
		ExcludeCredentials: descriptors(o.CredentialExcludeList),
		Selection: AuthenticatorSelection{
			Attachment:         string(o.AuthenticatorSelection.AuthenticatorAttachment),
			RequireResidentKey: o.AuthenticatorSelection.ResidentKey == protocol.ResidentKeyRequirementRequired,
			ResidentKey:        string(o.AuthenticatorSelection.ResidentKey),
			UserVerification:   string(o.AuthenticatorSelection.UserVerification),
		},
		Hints: rp.hints, Attestation: string(o.Attestation), Extensions: map[string]any{"credProps": true},
	}
}

func (rp *RelyingParty) requestOptions(o protocol.PublicKeyCredentialRequestOptions) RequestOptions {
	return RequestOptions{
		Challenge: Base64(o.Challenge), Timeout: int64(o.Timeout), RelyingPartyID: o.RelyingPartyID,
		AllowCredentials: descriptors(o.AllowedCredentials), UserVerification: string(o.UserVerification),
		Hints: rp.hints, Extensions: map[string]any{},
	}
}

func descriptors(list []protocol.CredentialDescriptor) []CredentialDescriptor {
	out := make([]CredentialDescriptor, len(list))
	for i, d := range list {
		transports := make([]string, len(d.Transport))
		for j, t := range d.Transport {
			transports[j] = string(t)
		}
		out[i] = CredentialDescriptor{ID: Base64(d.CredentialID), Type: string(d.Type), Transports: transports}
	}
	return out
}
