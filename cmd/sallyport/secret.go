package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Secret is a text that must not reach a log, an error or a screen by accident:
// every way of printing it gives [redacted]. Reveal is the one way to read it.
type Secret string

const redacted = "[redacted]"

// codeKeyBytes is the length of the key of codes.
const codeKeyBytes = 32

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String, GoString, MarshalText and LogValue hide the text from fmt, from
// encoders and from slog.
func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }

// Secrets are what a server needs to know its callers and its own tokens.
type Secrets struct {
	// Server authenticates backends. Several may be active while one replaces
	// another; the first is the newest. It stays readable, because the wire
	// protocol signs webhooks with it (CONTRACT 1.6).
	Server []Secret
	// ManagementHash is the SHA-256 of the secret that publishes rules and invites
	// operators. The secret itself is not kept.
	ManagementHash [sha256.Size]byte
	// TokenKeys sign access tokens; the first signs, all verify.
	TokenKeys []TokenKey
	// CodeKey hashes recovery codes and codes that are sent, and encrypts the secrets of
	// authenticator apps. With another one they are all useless.
	CodeKey []byte // 32 bytes

	// NewServer and NewManagement are set when this start made them, so that they
	// can be shown once.
	NewServer, NewManagement Secret
}

// TokenKey is one key for HS256; ID is the token's kid.
type TokenKey struct {
	ID     string
	Secret []byte // 32 bytes
}

// secretsFile is DATA/secrets.json.
type secretsFile struct {
	Server         []string       `json:"server,omitempty"`
	ManagementHash string         `json:"managementSha256,omitempty"`
	TokenKeys      []tokenKeyFile `json:"tokenKeys"`
	CodeKey        string         `json:"codeKey"` // base64url
}

type tokenKeyFile struct {
	ID     string `json:"kid"`
	Secret string `json:"secret"` // base64url
}

// OpenSecrets reads DATA/secrets.json, creates what is missing in it, and lets
// the configuration's own secrets win over it. A file that others may read is
// refused. The data folder must exist.
func OpenSecrets(config Config) (Secrets, error) {
	path := secretsPath(config.Data)
	stored, err := readSecrets(path)
	if err != nil {
		return Secrets{}, err
	}
	var secrets Secrets
	changed := false

	secrets.Server = config.Secrets
	if len(secrets.Server) == 0 {
		if len(stored.Server) == 0 {
			secrets.NewServer = newSecret("sp_")
			stored.Server = []string{secrets.NewServer.Reveal()}
			changed = true
		}
		for _, s := range stored.Server {
			secrets.Server = append(secrets.Server, Secret(s))
		}
	}

	switch {
	case config.ManagementSecret != "":
		secrets.ManagementHash = sha256.Sum256([]byte(config.ManagementSecret.Reveal()))
	case stored.ManagementHash == "":
		secrets.NewManagement = newSecret("spm_")
		stored.setManagement(secrets.NewManagement)
		changed = true
		fallthrough
	default:
		raw, err := hex.DecodeString(stored.ManagementHash)
		if err != nil || len(raw) != sha256.Size {
			return Secrets{}, fmt.Errorf("%s: managementSha256 must be 64 hexadecimal digits", path)
		}
		copy(secrets.ManagementHash[:], raw)
	}

	if len(stored.TokenKeys) == 0 {
		stored.TokenKeys = []tokenKeyFile{newTokenKey()}
		changed = true
	}
	for _, k := range stored.TokenKeys {
		raw, err := base64.RawURLEncoding.DecodeString(k.Secret)
		if err != nil || len(raw) < 32 || k.ID == "" {
			return Secrets{}, fmt.Errorf("%s: token key %q must have a kid and a base64url secret of 32 bytes", path, k.ID)
		}
		secrets.TokenKeys = append(secrets.TokenKeys, TokenKey{ID: k.ID, Secret: raw})
	}

	if stored.CodeKey == "" {
		key := make([]byte, codeKeyBytes)
		rand.Read(key)
		stored.CodeKey = base64.RawURLEncoding.EncodeToString(key)
		changed = true
	}
	secrets.CodeKey, err = base64.RawURLEncoding.DecodeString(stored.CodeKey)
	if err != nil || len(secrets.CodeKey) != codeKeyBytes {
		return Secrets{}, fmt.Errorf("%s: codeKey must be %d bytes in base64url", path, codeKeyBytes)
	}

	if changed {
		if err := writeSecrets(path, stored); err != nil {
			return Secrets{}, err
		}
	}
	return secrets, nil
}

// RenewManagement replaces the stored management secret and returns the new
// one, which cannot be read again. A running server goes on with the old one
// until it is started again.
func RenewManagement(data string) (Secret, error) {
	path := secretsPath(data)
	stored, err := readSecrets(path)
	if err != nil {
		return "", err
	}
	secret := newSecret("spm_")
	stored.setManagement(secret)
	return secret, writeSecrets(path, stored)
}

// ServerSecrets reads the active server secrets without creating any.
func ServerSecrets(config Config) ([]Secret, error) {
	if len(config.Secrets) > 0 {
		return config.Secrets, nil
	}
	path := secretsPath(config.Data)
	stored, err := readSecrets(path)
	if err != nil {
		return nil, err
	}
	if len(stored.Server) == 0 {
		return nil, fmt.Errorf("no server secret in %s: start the server once, or set SALLYPORT_SECRET", path)
	}
	var secrets []Secret
	for _, s := range stored.Server {
		secrets = append(secrets, Secret(s))
	}
	return secrets, nil
}

func secretsPath(data string) string { return filepath.Join(data, "secrets.json") }

func (f *secretsFile) setManagement(secret Secret) {
	hash := sha256.Sum256([]byte(secret.Reveal()))
	f.ManagementHash = hex.EncodeToString(hash[:])
}

// readSecrets returns an empty file when there is none.
func readSecrets(path string) (secretsFile, error) {
	var stored secretsFile
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stored, nil
	}
	if err != nil {
		return stored, fmt.Errorf("open secrets: %w", err)
	}
	if others := info.Mode().Perm() & 0o077; others != 0 {
		return stored, fmt.Errorf("%s can be read by others (mode %04o): run `chmod 600 %s`, and change the secrets if someone may have seen them",
			path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return stored, fmt.Errorf("read secrets: %w", err)
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		return stored, fmt.Errorf("read secrets: %s: %w", path, err)
	}
	return stored, nil
}

// writeSecrets replaces the file in one step, so that a crash leaves the old
// file or the new one.
func writeSecrets(path string, stored secretsFile) error {
	text, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".secrets-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	defer os.Remove(temp.Name()) // gone already after a successful rename
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	return nil
}

// newSecret is 32 random bytes behind a prefix that secret scanners can find.
func newSecret(prefix string) Secret {
	raw := make([]byte, 32)
	rand.Read(raw)
	return Secret(prefix + base64.RawURLEncoding.EncodeToString(raw))
}

func newTokenKey() tokenKeyFile {
	id := strings.ToLower(rand.Text()[:8])
	raw := make([]byte, 32)
	rand.Read(raw)
	return tokenKeyFile{ID: id, Secret: base64.RawURLEncoding.EncodeToString(raw)}
}
