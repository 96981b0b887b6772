package ceremonytest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
)

// Flags of authenticator data (WebAuthn L3, section 6.1).
const (
	UserPresent    byte = 1 << 0
	UserVerified   byte = 1 << 2
	BackupEligible byte = 1 << 3
	BackupState    byte = 1 << 4
	AttestedData   byte = 1 << 6
	ExtensionData  byte = 1 << 7
)

// Software is an authenticator that builds its answers part by part. Create and
// Get give right answers; a test changes the part that it is about, and what
// depends on it, signatures too, follows.
type Software struct {
	Key          KeyPair
	CredentialID []byte
	AAGUID       []byte
	UserHandle   []byte // known from Create on
	Flags        byte   // of both answers, without AttestedData
	Counter      uint32
}

// NewSoftware makes an authenticator of a device-bound passkey, which verifies its
// user.
func NewSoftware(t testing.TB, algorithm int64) *Software {
	t.Helper()
	id := make([]byte, 32)
	rand.Read(id)
	return &Software{
		Key: NewKeyPair(t, algorithm), CredentialID: id, AAGUID: make([]byte, 16), Flags: UserPresent | UserVerified,
	}
}

// AuthData is authenticator data (WebAuthn L3, section 6.1). Attested credential
// data and extensions stand in it where the flags say so.
type AuthData struct {
	RPIDHash     []byte
	Flags        byte
	Counter      uint32
	AAGUID       []byte
	CredentialID []byte
	PublicKey    []byte // COSE_Key
	Extensions   []byte // CBOR
	Trailing     []byte // nothing in a right answer
}

// Bytes is the authenticator data as it is signed.
func (a AuthData) Bytes() []byte {
	b := append(bytes.Clone(a.RPIDHash), a.Flags)
	b = binary.BigEndian.AppendUint32(b, a.Counter)
	if a.Flags&AttestedData != 0 {
		b = append(b, a.AAGUID...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(a.CredentialID)))
		b = append(b, a.CredentialID...)
		b = append(b, a.PublicKey...)
	}
	if a.Flags&ExtensionData != 0 {
		b = append(b, a.Extensions...)
	}
	return append(b, a.Trailing...)
}

// Client is what a browser adds: the client data, and the JSON around the answer.
type Client struct {
	Data map[string]any // members of the client data
	JSON []byte         // instead of Data, where it is not nil
	// Answer changes the JSON form of the answer, after everything was signed. Its
	// "response" is a map too.
	Answer func(answer map[string]any)
}

// Bytes is the client data as it is sent.
func (c Client) Bytes() []byte {
	if c.JSON != nil {
		return c.JSON
	}
	raw, err := json.Marshal(c.Data)
	if err != nil {
		panic(err)
	}
	return raw
}

// write is the answer as browsers send it (WebAuthn L3, section 5.1.10).
func (c Client) write(id []byte, response map[string]any) []byte {
	answer := map[string]any{
		"id": encode(id), "rawId": encode(id), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{}, "response": response,
	}
	if c.Answer != nil {
		c.Answer(answer)
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return raw
}

// Creation is the answer to a registration.
type Creation struct {
	Client Client
	Auth   AuthData
	Format string // of the attestation
	// Statement makes the attestation statement. nil makes that of "none".
	Statement func(authData, clientDataHash []byte) any
	// Object changes the bytes of the attestation object. nil leaves them.
	Object func(object []byte) []byte
	ID     []byte // that the client tells
}

// Create answers a registration rightly, with the attestation "none".
func (s *Software) Create(options ceremonies.CreationOptions) *Creation {
	s.UserHandle = options.User.ID
	return &Creation{
		Client: Client{Data: map[string]any{
			"type": "webauthn.create", "challenge": encode(options.Challenge), "origin": Origin, "crossOrigin": false,
		}},
		Auth: AuthData{
			RPIDHash: Hash([]byte(options.RelyingParty.ID)), Flags: s.Flags | AttestedData, Counter: s.Counter,
			AAGUID: s.AAGUID, CredentialID: s.CredentialID, PublicKey: s.Key.COSE(),
		},
		Format: "none", ID: s.CredentialID,
	}
}

// Write is the answer as it is sent.
func (c *Creation) Write() []byte {
	client, auth := c.Client.Bytes(), c.Auth.Bytes()
	var statement any = map[string]any{}
	if c.Statement != nil {
		statement = c.Statement(auth, Hash(client))
	}
	object := CBOR(map[string]any{"fmt": c.Format, "attStmt": statement, "authData": auth})
	if c.Object != nil {
		object = c.Object(object)
	}
	return c.Client.write(c.ID, map[string]any{
		"clientDataJSON": encode(client), "attestationObject": encode(object), "transports": []string{"internal"},
	})
}

// SelfAttested makes the attestation that of the credential's own key (WebAuthn
// L3, section 8.2). Unlike "none" it signs the client data.
func (c *Creation) SelfAttested(key KeyPair) *Creation {
	c.Format = "packed"
	c.Statement = func(authData, clientDataHash []byte) any {
		return map[string]any{"alg": key.Algorithm, "sig": key.Sign(append(bytes.Clone(authData), clientDataHash...))}
	}
	return c
}

// Assertion is the answer to an authentication.
type Assertion struct {
	Client     Client
	Auth       AuthData
	Key        KeyPair
	ID         []byte
	UserHandle []byte // nil sends none
	// Signed changes the bytes that are signed, and not those that are sent. nil
	// leaves them.
	Signed func(signed []byte) []byte
	// Signature changes the signature. nil leaves it.
	Signature func(signature []byte) []byte
}

// Get answers an authentication rightly.
func (s *Software) Get(options ceremonies.RequestOptions) *Assertion {
	return &Assertion{
		Client: Client{Data: map[string]any{
			"type": "webauthn.get", "challenge": encode(options.Challenge), "origin": Origin, "crossOrigin": false,
		}},
		Auth: AuthData{RPIDHash: Hash([]byte(options.RelyingPartyID)), Flags: s.Flags, Counter: s.Counter},
		Key:  s.Key, ID: s.CredentialID, UserHandle: s.UserHandle,
	}
}

// Write is the answer as it is sent.
func (a *Assertion) Write() []byte {
	client, auth := a.Client.Bytes(), a.Auth.Bytes()
	signed := append(bytes.Clone(auth), Hash(client)...)
	if a.Signed != nil {
		signed = a.Signed(signed)
	}
	signature := a.Key.Sign(signed)
	if a.Signature != nil {
		signature = a.Signature(signature)
	}
	response := map[string]any{
		"clientDataJSON": encode(client), "authenticatorData": encode(auth), "signature": encode(signature),
	}
	if a.UserHandle != nil {
		response["userHandle"] = encode(a.UserHandle)
	}
	return a.Client.write(a.ID, response)
}

// Hash is SHA-256.
func Hash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
