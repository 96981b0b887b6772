package ceremonytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// COSE numbers of the algorithms that a KeyPair can have (RFC 9053, RFC 8812).
const (
	ES256 int64 = -7
	EdDSA int64 = -8
	ES384 int64 = -35
	ES512 int64 = -36
	RS256 int64 = -257
)

// rsaBits is the size of the RSA keys that authenticators make.
const rsaBits = 2048

// KeyPair is a credential's key pair.
type KeyPair struct {
	Algorithm int64
	Signer    crypto.Signer
}

// NewKeyPair makes a key of one of ES256, EdDSA and RS256.
func NewKeyPair(t testing.TB, algorithm int64) KeyPair {
	t.Helper()
	var signer crypto.Signer
	var err error
	switch algorithm {
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		signer, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		t.Fatalf("there is no key of algorithm %d", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return KeyPair{Algorithm: algorithm, Signer: signer}
}

// Parameters are the members of the public key as COSE_Key (WebAuthn L3, section
// 6.5.1.1), for a test to change.
func (k KeyPair) Parameters() map[int64]any {
	switch public := k.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		return map[int64]any{1: 2, 3: k.Algorithm, -1: 1, -2: point[1:33], -3: point[33:]}
	case ed25519.PublicKey:
		return map[int64]any{1: 1, 3: k.Algorithm, -1: 6, -2: []byte(public)}
	case *rsa.PublicKey:
		return map[int64]any{1: 3, 3: k.Algorithm, -1: public.N.Bytes(), -2: []byte{1, 0, 1}}
	}
	panic("a key of another kind")
}

// COSE is the public key as COSE_Key.
func (k KeyPair) COSE() []byte { return CBOR(k.Parameters()) }

// Sign signs as an authenticator does (WebAuthn L3, section 6.5.5).
func (k KeyPair) Sign(data []byte) []byte {
	var options crypto.SignerOpts = crypto.SHA256
	message := data
	if k.Algorithm == EdDSA {
		options = crypto.Hash(0)
	} else {
		sum := sha256.Sum256(data)
		message = sum[:]
	}
	signature, err := k.Signer.Sign(rand.Reader, message, options)
	if err != nil {
		panic(err)
	}
	return signature
}

// CBOR is a value in the canonical form that authenticators write (CTAP 2.1,
// section 6).
func CBOR(value any) []byte {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	raw, err := mode.Marshal(value)
	if err != nil {
		panic(err)
	}
	return raw
}
