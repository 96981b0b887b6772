package operators

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// maxName is the longest name of an operator in characters.
const maxName = 64

// The kinds of a Ceremony.
const (
	kindRegistration = "registration"
	kindSignIn       = "sign-in"
)

// BeginRegistration begins the registration of the person who holds an invite.
// The options are PublicKeyCredentialCreationOptionsJSON (WebAuthn L3, section
// 5.1.8), not wrapped; the ceremony's id comes back with the answer. The invite
// stays valid until the registration is finished.
// It returns ErrInvite and ErrName.
func (d *Desk) BeginRegistration(ctx context.Context, invite, name string) (ceremony string, options json.RawMessage, err error) {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || strings.ContainsFunc(name, disguises) {
		return "", nil, ErrName
	}
	hash := hashSecret(invite)
	if _, err := d.store.Invite(ctx, hash, d.now()); err != nil {
		return "", nil, inviteError(err)
	}
	handle := make([]byte, secretBytes)
	rand.Read(handle)

	creation, session, err := d.web.BeginRegistration(party{Operator: Operator{Name: name, Handle: handle}})
	if err != nil {
		return "", nil, fmt.Errorf("begin registration: %w", err)
	}
	begun := Ceremony{Kind: kindRegistration, Invite: hash, Name: name, Handle: handle}
	return d.begin(ctx, begun, session, creation.Response)
}

// disguises reports whether a character would break or turn the line that shows
// a name: a control character or one for the direction of text.
func disguises(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// FinishRegistration takes the ceremony, verifies the answer, creates the
// operator and signs the browser in. It returns ErrCeremony, ErrInvite and
// ErrRefused; after any of them nothing was created.
func (d *Desk) FinishRegistration(ctx context.Context, ceremony string, answer json.RawMessage) (SignedIn, error) {
	begun, session, err := d.take(ctx, ceremony, kindRegistration)
	if err != nil {
		return SignedIn{}, err
	}
	now := d.now()
	invite, err := d.store.Invite(ctx, begun.Invite, now)
	if err != nil {
		return SignedIn{}, inviteError(err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return SignedIn{}, refused(err)
	}
	if err := d.fromHere(parsed.Response.CollectedClientData); err != nil {
		return SignedIn{}, err
	}
	operator := Operator{ID: rand.Text(), Name: begun.Name, Role: invite.Role, Handle: begun.Handle, CreatedAt: now.UTC()}
	verified, err := d.web.CreateCredential(party{Operator: operator}, session, parsed)
	if err != nil {
		return SignedIn{}, refused(err)
	}
	credential, err := kept(verified, Credential{Operator: operator.ID, CreatedAt: now.UTC(), LastUsedAt: now.UTC()})
	if err != nil {
		return SignedIn{}, err
	}
	event, err := change(events.KindOperatorRegistered, operator, invite.By, now)
	if err != nil {
		return SignedIn{}, err
	}
	if err := d.store.Register(ctx, begun.Invite, operator, credential, event); err != nil {
		return SignedIn{}, inviteError(err)
	}
	return d.signIn(ctx, operator, credential)
}

// begin keeps a ceremony with the session verbatim and writes its options.
func (d *Desk) begin(ctx context.Context, c Ceremony, session *webauthn.SessionData, options any) (string, json.RawMessage, error) {
	var err error
	if c.Session, err = json.Marshal(session); err != nil {
		return "", nil, fmt.Errorf("write %s session: %w", c.Kind, err)
	}
	c.ID = rand.Text()
	c.Expires = d.now().Add(CeremonyTTL)
	if err := d.store.SaveCeremony(ctx, c); err != nil {
		return "", nil, fmt.Errorf("save %s: %w", c.Kind, err)
	}
	written, err := json.Marshal(options)
	if err != nil {
		return "", nil, fmt.Errorf("write %s options: %w", c.Kind, err)
	}
	return c.ID, written, nil
}

// take claims a ceremony before anything is verified. One that was begun for the
// other purpose is used up and refused.
func (d *Desk) take(ctx context.Context, id, kind string) (Ceremony, webauthn.SessionData, error) {
	var session webauthn.SessionData
	c, err := d.store.TakeCeremony(ctx, id, d.now())
	if errors.Is(err, ErrNotFound) {
		return c, session, ErrCeremony
	}
	if err != nil {
		return c, session, fmt.Errorf("take %s: %w", kind, err)
	}
	if c.Kind != kind {
		return c, session, ErrCeremony
	}
	if err := json.Unmarshal(c.Session, &session); err != nil {
		return c, session, fmt.Errorf("read %s session: %w", kind, err)
	}
	return c, session, nil
}

// kept is the credential as the store keeps it.
func kept(verified *webauthn.Credential, c Credential) (Credential, error) {
	var err error
	c.ID = verified.ID
	if c.Credential, err = json.Marshal(verified); err != nil {
		return c, fmt.Errorf("write credential: %w", err)
	}
	return c, nil
}

func inviteError(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUsed) {
		return ErrInvite
	}
	return fmt.Errorf("read invite: %w", err)
}

// refused keeps what the library said for the log. Its errors hide the reason in
// a field that Error does not print.
func refused(err error) error {
	var detail *protocol.Error
	if errors.As(err, &detail) {
		return fmt.Errorf("%w: %s: %s", ErrRefused, detail.Details, detail.DevInfo)
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}
