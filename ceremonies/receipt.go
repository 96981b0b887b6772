package ceremonies

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/sallyport/sallyport/events"
)

// Personal fields of a ceremony's event that make up its receipt. They are kept
// beside the body, because they hold the action's data; without them nothing in
// the body lets anyone guess that data.
const (
	PersonalDocument = "document" // the canonical statement, base64url
	PersonalNonce    = "nonce"    // base64url
)

// ErrReceipt means that a receipt does not prove what it says.
var ErrReceipt = errors.New("the receipt proves nothing")

// Base64 is bytes that JSON holds as base64url without padding.
type Base64 []byte

// MarshalText implements encoding.TextMarshaler.
func (b Base64) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Base64) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("read base64url: %w", err)
	}
	*b = raw
	return nil
}

// Receipt is the bytes that prove one step-up to anyone, without Sallyport: this
// credential signed this statement. That our page showed the text, the receipt
// proves only where the statement says so, and only as our word.
type Receipt struct {
	Version           int    `json:"v"`
	Document          Base64 `json:"document,omitempty"` // the canonical statement
	Nonce             Base64 `json:"nonce,omitempty"`    // 32 bytes
	ClientDataJSON    Base64 `json:"clientDataJSON"`
	AuthenticatorData Base64 `json:"authenticatorData"`
	Signature         Base64 `json:"signature"`
	CredentialID      Base64 `json:"credentialId"`
	PublicKey         Base64 `json:"publicKey"` // COSE_Key (RFC 9052, section 7)
}

// ReceiptOf puts the receipt of a succeeded authentication together from its
// event. It fails for other events, and once the person was erased.
func ReceiptOf(event events.Draft) (Receipt, error) {
	record, err := event.Decode()
	if err != nil {
		return Receipt{}, err
	}
	ceremony, ok := record.(*events.Ceremony)
	if !ok || len(ceremony.Receipt) == 0 {
		return Receipt{}, fmt.Errorf("an event of kind %s holds no receipt", event.Kind)
	}
	var receipt Receipt
	if err := json.Unmarshal(ceremony.Receipt, &receipt); err != nil {
		return Receipt{}, fmt.Errorf("read receipt: %w", err)
	}
	values, err := event.PersonalValues()
	if err != nil {
		return Receipt{}, err
	}
	if err := errors.Join(
		receipt.Document.UnmarshalText([]byte(values[PersonalDocument])),
		receipt.Nonce.UnmarshalText([]byte(values[PersonalNonce])),
	); err != nil {
		return Receipt{}, err
	}
	if len(receipt.Document) == 0 || len(receipt.Nonce) == 0 {
		return Receipt{}, errors.New("the receipt's statement was erased with the person")
	}
	return receipt, nil
}

// Verified is what a receipt proves.
type Verified struct {
	// Statement is what was signed: the holder of the credential's private key made
	// a signature for exactly this, and somebody touched the authenticator for it.
	Statement Statement
	// UserVerified reports whether the authenticator says that it verified its user
	// too, with a PIN or a biometric (WebAuthn L3, section 6.1). False means that
	// whoever had the authenticator at hand could have signed, which is all that an
	// action whose user verification is preferred or discouraged asks for. The action's
	// record says what was asked.
	UserVerified bool
}

// VerifyReceipt checks a receipt offline and returns what was signed: the
// challenge is made of nonce and statement, the client data carries that
// challenge, the authenticator saw its user for the statement's relying party,
// and the signature is the credential's (WebAuthn L3, section 7.2, steps 10 to
// 21). Whether the public key was the person's at that time is for the log to say:
// look up where the authenticator was added.
//
// Every failure is ErrReceipt.
func VerifyReceipt(r Receipt) (Verified, error) {
	no := func(format string, args ...any) (Verified, error) {
		return Verified{}, fmt.Errorf("%w: %s", ErrReceipt, fmt.Sprintf(format, args...))
	}
	if r.Version != StatementVersion {
		return no("version %d is not known", r.Version)
	}
	var statement Statement
	if err := json.Unmarshal(r.Document, &statement); err != nil {
		return no("the statement cannot be read: %v", err)
	}
	if canonical, err := statement.Canonical(); err != nil || !bytes.Equal(canonical, r.Document) {
		return no("the statement is not canonical")
	}
	if len(r.Nonce) != nonceBytes {
		return no("the nonce has %d bytes", len(r.Nonce))
	}
	var client protocol.CollectedClientData
	if err := json.Unmarshal(r.ClientDataJSON, &client); err != nil {
		return no("the client data cannot be read: %v", err)
	}
	if client.Type != protocol.AssertCeremony {
		return no("the client data is of a %s", client.Type)
	}
	if client.Challenge != base64.RawURLEncoding.EncodeToString(challengeFor(r.Nonce, r.Document)) {
		return no("the challenge was made for another statement")
	}
	var auth protocol.AuthenticatorData
	if err := auth.Unmarshal(r.AuthenticatorData); err != nil {
		return no("the authenticator data cannot be read: %v", err)
	}
	if hash := sha256.Sum256([]byte(statement.RelyingParty)); !bytes.Equal(auth.RPIDHash, hash[:]) {
		return no("it was signed for another relying party")
	}
	if !auth.Flags.HasUserPresent() {
		return no("the authenticator did not see its user")
	}
	key, err := webauthncose.ParsePublicKey(r.PublicKey)
	if err != nil {
		return no("the public key cannot be read: %v", err)
	}
	hash := sha256.Sum256(r.ClientDataJSON)
	signed := append(bytes.Clone(r.AuthenticatorData), hash[:]...)
	if ok, err := webauthncose.VerifySignature(key, signed, r.Signature); err != nil || !ok {
		return no("the signature is not the credential's")
	}
	return Verified{Statement: statement, UserVerified: auth.Flags.HasUserVerified()}, nil
}
