package ceremonies

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// Client is what is known of the browser or app that answered.
type Client struct {
	Address   netip.Addr // zero when it is not known; counted against limits and not kept
	UserAgent string
	DeviceID  string
}

// personal are the client's values beside an event's body.
func (c Client) personal() events.Personal {
	p := events.Personal{}
	if c.UserAgent != "" {
		p[events.PersonalUserAgent] = c.UserAgent
	}
	if c.DeviceID != "" {
		p[events.PersonalDevice] = c.DeviceID
	}
	return p
}

// person is an account as the library sees it.
type person struct {
	handle        []byte
	name, display string
	credentials   []webauthn.Credential
}

// person reads the account's passkeys and security keys. Other authenticators have
// no credential.
func (a Account) person() (*person, error) {
	p := &person{handle: a.Handle, name: first(a.Username, a.Email, string(a.User))}
	p.display = first(a.DisplayName, p.name)
	for _, authenticator := range a.Authenticators {
		if len(authenticator.Credential) == 0 {
			continue
		}
		var credential webauthn.Credential
		if err := json.Unmarshal(authenticator.Credential, &credential); err != nil {
			return nil, fmt.Errorf("read credential of authenticator %s: %w", authenticator.ID, err)
		}
		p.credentials = append(p.credentials, credential)
	}
	return p, nil
}

// holding is the account's authenticator with a credential id, "" when none is.
func (a Account) holding(credentialID []byte) events.AuthenticatorID {
	for _, authenticator := range a.Authenticators {
		if bytes.Equal(authenticator.CredentialID, credentialID) {
			return authenticator.ID
		}
	}
	return ""
}

func (p *person) WebAuthnID() []byte                         { return p.handle }
func (p *person) WebAuthnName() string                       { return p.name }
func (p *person) WebAuthnDisplayName() string                { return p.display }
func (p *person) WebAuthnCredentials() []webauthn.Credential { return p.credentials }

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// clip cuts a name to a length that authenticators can be expected to take.
func clip(name string) string {
	runes := []rune(name)
	return string(runes[:min(len(runes), maxName)])
}

// detail is the text of a cause for the audit trail. It repeats what the client
// sent, so its length is bounded.
func detail(err error) string {
	if err == nil {
		return ""
	}
	var library *protocol.Error
	text := err.Error()
	if errors.As(err, &library) && library.DevInfo != "" {
		text = library.Details + ": " + library.DevInfo
	}
	// Cut before what is broken goes, so that no half character is left.
	return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "")
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
