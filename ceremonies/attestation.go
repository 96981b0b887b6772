package ceremonies

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Attestation says which makes of authenticators may register. Without Metadata no
// make is ever trusted: an attestation alone proves nothing, since anybody can sign
// one.
type Attestation struct {
	// Conveyance is what browsers are asked for: none, indirect, direct or enterprise
	// (WebAuthn L3, section 5.4.7). "" means none, or direct with Required.
	Conveyance string
	// Required refuses authenticators whose make the metadata does not vouch for. It
	// needs Metadata. Synced passkeys have no attestation and are refused by it.
	Required bool
	// Metadata vouches for makes. nil vouches for none.
	Metadata *Metadata
}

func (a Attestation) check() error {
	switch a.preference() {
	case protocol.PreferNoAttestation, protocol.PreferIndirectAttestation, protocol.PreferDirectAttestation, protocol.PreferEnterpriseAttestation:
	default:
		return fmt.Errorf("relying party: attestation is none, indirect, direct or enterprise, not %q", a.Conveyance)
	}
	switch {
	case a.Required && a.Metadata == nil:
		return errors.New("relying party: to require attestation, a metadata file must say which makes are trusted")
	case a.Required && a.preference() == protocol.PreferNoAttestation:
		return errors.New("relying party: attestation cannot be required and not asked for")
	}
	return nil
}

func (a Attestation) preference() protocol.ConveyancePreference {
	switch {
	case a.Conveyance != "":
		return protocol.ConveyancePreference(a.Conveyance)
	case a.Required:
		return protocol.PreferDirectAttestation
	}
	return protocol.PreferNoAttestation
}

// trusts reports whether the metadata vouches for the make of a new credential: it
// has an entry, the entry's status is good, and the attestation's certificates lead
// to the maker's. Self attestation proves nothing of the make, and neither do formats
// that do not sign the AAGUID by which the metadata are looked up: the models of a
// maker often share a root, so any of its keys could pass for the best of them.
func (a Attestation) trusts(credential webauthn.Credential, policy *webauthn.Config) error {
	certified := []metadata.AuthenticatorAttestationType{metadata.BasicFull, metadata.AttCA, metadata.AnonCA}
	switch {
	case a.Metadata == nil:
		return errors.New("there is no metadata")
	case !slices.Contains(certified, metadata.AuthenticatorAttestationType(credential.AttestationType)):
		return fmt.Errorf("an attestation of type %q proves no make", credential.AttestationType)
	}
	switch protocol.AttestationFormat(credential.AttestationFormat) {
	case protocol.AttestationFormatFIDOUniversalSecondFactor, // signs no authenticator data (section 8.6)
		protocol.AttestationFormatCompound: // may be made of the former
		return fmt.Errorf("an attestation of format %q proves no make", credential.AttestationFormat)
	}
	if err := credential.Verify(a.Metadata.provider, policy.Attestation, policy.Signature); err != nil {
		return fmt.Errorf("look the make up: %w", err)
	}
	return nil
}

// Metadata is what the FIDO Alliance's metadata service says about authenticators
// (FIDO Metadata Service 3.0).
type Metadata struct {
	provider metadata.Provider
	entries  int
}

// maxMetadata is the largest metadata file in bytes; the published one has 8 MB.
const maxMetadata = 64 << 20

// ReadMetadata reads the service's BLOB, a signed JSON Web Token, and checks its
// signature up to the service's own root certificate. Root is another certificate
// to check against, base64 of its DER form; "" is that of the service.
func ReadMetadata(r io.Reader, root string) (*Metadata, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxMetadata+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read metadata: %w", err)
	case len(raw) > maxMetadata:
		return nil, fmt.Errorf("read metadata: it has more than %d bytes", maxMetadata)
	}
	options := []metadata.DecoderOption{metadata.WithIgnoreEntryParsingErrors()}
	if root != "" {
		options = append(options, metadata.WithRootCertificate(root))
	}
	decoder, err := metadata.NewDecoder(options...)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	payload, err := decoder.DecodeBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	parsed, err := decoder.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	entries := parsed.ToMap()
	provider, err := memory.New(memory.WithMetadata(entries))
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return &Metadata{provider: provider, entries: len(entries)}, nil
}

// Len is how many makes the metadata knows.
func (m *Metadata) Len() int { return m.entries }
