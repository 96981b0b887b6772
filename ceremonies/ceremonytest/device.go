package ceremonytest

import (
	"encoding/json"
	"testing"

	"github.com/descope/virtualwebauthn"

	"github.com/sallyport/sallyport/ceremonies"
)

// Kind of passkey that a device makes.
type Kind bool

// The two kinds: one that leaves its device and one that cannot.
const (
	Synced      Kind = true
	DeviceBound Kind = false
)

// Device is a software authenticator with one passkey. Its fields may be changed
// to make it lie.
type Device struct {
	Authenticator virtualwebauthn.Authenticator
	Credential    virtualwebauthn.Credential
	Party         virtualwebauthn.RelyingParty
}

// NewDevice makes a device that has not registered yet.
func NewDevice(kind Kind) *Device {
	return &Device{
		Authenticator: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{
			BackupEligible: bool(kind), BackupState: bool(kind),
		}),
		Credential: NewCredential(),
		Party:      virtualwebauthn.RelyingParty{ID: ID, Name: "Example Shop", Origin: Origin},
	}
}

// coseKeyBytes is the length of a P-256 key as COSE_Key with whole coordinates.
const coseKeyBytes = 77

// NewCredential makes a key whose coordinates have all their 32 bytes. The
// software authenticator drops leading zeros, which COSE does not allow.
func NewCredential() virtualwebauthn.Credential {
	for {
		if c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(c.Key.AttestationData()) == coseKeyBytes {
			return c
		}
	}
}

// Register answers a registration. The device remembers the user handle.
func (d *Device) Register(t *testing.T, options ceremonies.CreationOptions) []byte {
	t.Helper()
	raw, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	d.Authenticator.Options.UserHandle = options.User.ID
	return []byte(virtualwebauthn.CreateAttestationResponse(d.Party, d.Authenticator, d.Credential, *parsed))
}

// Answer answers an authentication.
func (d *Device) Answer(t *testing.T, options ceremonies.RequestOptions) []byte {
	t.Helper()
	raw, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(virtualwebauthn.CreateAssertionResponse(d.Party, d.Authenticator, d.Credential, *parsed))
}
