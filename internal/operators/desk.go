package operators

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// How long each secret lives.
const (
	InviteTTL   = 24 * time.Hour
	SessionTTL  = 12 * time.Hour
	CeremonyTTL = 5 * time.Minute
)

// secretBytes is the length of an invite's and a session's secret.
const secretBytes = 32

// Errors that a caller tells apart. Each stands for a sentence that a person can
// act on; what the library said is wrapped for the log and never shown.
var (
	// ErrInvite: the invite was used, has expired or never existed.
	ErrInvite = errors.New("the invite is not valid any more")
	// ErrCeremony: the ceremony was answered before, has expired, never existed
	// or was begun for the other purpose.
	ErrCeremony = errors.New("the ceremony is not open any more")
	// ErrRefused: the passkey's answer did not prove what it must.
	ErrRefused = errors.New("the passkey was not accepted")
	// ErrName: the name is empty or too long.
	ErrName = errors.New("a name has 1 to 64 characters")
	// ErrRole: the role is not one of the three.
	ErrRole = errors.New("the role is administrator, analyst or reviewer")
)

// Config says where operators sign in.
type Config struct {
	// RPID is the relying party's id (WebAuthn L3, section 5.1.2): the console's
	// host or a registrable suffix of it. Required.
	RPID string
	// Origins are those of the console. At least one.
	Origins []string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Desk is where operators register, sign in and sign out. It is safe for
// concurrent use.
type Desk struct {
	store   Store
	web     *webauthn.WebAuthn
	origins []string
	now     func() time.Time
}

// fromHere refuses an answer of another origin. The library passes over what stands
// before and behind the host; here the origin is compared as it is (WebAuthn L3,
// section 13.4.9).
func (d *Desk) fromHere(client protocol.CollectedClientData) error {
	if !slices.Contains(d.origins, client.Origin) {
		return fmt.Errorf("%w: the origin is %q", ErrRefused, client.Origin)
	}
	return nil
}

// New opens a desk. It fails when the configuration is no relying party.
func New(config Config, store Store) (*Desk, error) {
	web, err := webauthn.New(&webauthn.Config{
		RPID:          config.RPID,
		RPDisplayName: "Sallyport console",
		RPOrigins:     config.Origins,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification:   protocol.VerificationRequired,
		},
		AttestationPreference: protocol.PreferNoAttestation,
		// Password managers answer extensions that nobody asked for; that says
		// nothing about the proof.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the operators' relying party: %w", err)
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	return &Desk{store: store, web: web, origins: slices.Clone(config.Origins), now: now}, nil
}

// newSecret makes a secret that is shown once and the hash that is kept.
func newSecret() (secret string, hash []byte) {
	raw := make([]byte, secretBytes)
	rand.Read(raw)
	secret = base64.RawURLEncoding.EncodeToString(raw)
	return secret, hashSecret(secret)
}

// hashSecret needs no salt and no stretching: the secret is random and long.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// party is an operator as go-webauthn sees one.
type party struct {
	Operator
	credentials []webauthn.Credential
}

func (p party) WebAuthnID() []byte                         { return p.Handle }
func (p party) WebAuthnName() string                       { return p.Name }
func (p party) WebAuthnDisplayName() string                { return p.Name }
func (p party) WebAuthnCredentials() []webauthn.Credential { return p.credentials }
