package ceremonies

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// vault hashes what must be recognized and encrypts what must be read again. Its
// two keys are made of one secret (HKDF, RFC 5869), so that a copy of the database
// alone gives neither a code nor the secret of an authenticator app away: a code of
// six digits would be found behind an unkeyed hash at once.
type vault struct {
	hashing []byte
	sealing cipher.AEAD
}

func newVault(secret []byte) (vault, error) {
	if len(secret) < MinKeyBytes {
		return vault{}, fmt.Errorf("the key of codes is shorter than %d bytes", MinKeyBytes)
	}
	hashing, err := hkdf.Key(sha256.New, secret, nil, "sallyport/codes/hash/v1", sha256.Size)
	if err != nil {
		return vault{}, fmt.Errorf("derive key: %w", err)
	}
	sealing, err := hkdf.Key(sha256.New, secret, nil, "sallyport/codes/seal/v1", 32)
	if err != nil {
		return vault{}, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return vault{}, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return vault{}, fmt.Errorf("make cipher: %w", err)
	}
	return vault{hashing: hashing, sealing: aead}, nil
}

// hash is HMAC-SHA-256 over the parts, each with its length before it, so that no
// two lists of parts run into each other.
func (v vault) hash(parts ...string) []byte {
	h := hmac.New(sha256.New, v.hashing)
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return h.Sum(nil)
}

// seal encrypts a secret (AES-256-GCM) for one owner; only with the same owner it
// opens.
func (v vault) seal(secret []byte, owner string) ([]byte, error) {
	nonce := make([]byte, v.sealing.NonceSize())
	if _, err := io.ReadFull(rand.Reader, nonce); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return v.sealing.Seal(nonce, nonce, secret, []byte(owner)), nil
}

func (v vault) open(sealed []byte, owner string) ([]byte, error) {
	size := v.sealing.NonceSize()
	if len(sealed) < size {
		return nil, errors.New("open secret: it is too short")
	}
	secret, err := v.sealing.Open(nil, sealed[:size], sealed[size:], []byte(owner))
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	return secret, nil
}
