package operators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// SignedIn is a browser that was just signed in. Secret belongs into its cookie
// and nowhere else.
type SignedIn struct {
	Operator Operator
	Secret   string
	Expires  time.Time
}

// BeginSignIn begins a sign-in without a name: the passkey says whose it is. The
// options are PublicKeyCredentialRequestOptionsJSON, not wrapped.
func (d *Desk) BeginSignIn(ctx context.Context) (ceremony string, options json.RawMessage, err error) {
	assertion, session, err := d.web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return "", nil, fmt.Errorf("begin sign-in: %w", err)
	}
	return d.begin(ctx, Ceremony{Kind: kindSignIn}, session, assertion.Response)
}

// FinishSignIn takes the ceremony and verifies the answer. It returns ErrCeremony
// and ErrRefused, the latter also for a passkey that belongs to no operator and
// for one whose signature counter went back (WebAuthn L3, section 6.1.1).
func (d *Desk) FinishSignIn(ctx context.Context, ceremony string, answer json.RawMessage) (SignedIn, error) {
	_, session, err := d.take(ctx, ceremony, kindSignIn)
	if err != nil {
		return SignedIn{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return SignedIn{}, refused(err)
	}
	if err := d.fromHere(parsed.Response.CollectedClientData); err != nil {
		return SignedIn{}, err
	}
	var (
		owner  party
		stored []Credential
		broken error // a failing store is no wrong passkey
	)
	find := func(_, handle []byte) (webauthn.User, error) {
		owner, stored, broken = d.owner(ctx, handle)
		return owner, broken
	}
	_, verified, err := d.web.ValidatePasskeyLogin(find, session, parsed)
	if broken != nil && !errors.Is(broken, ErrNotFound) {
		return SignedIn{}, broken
	}
	if err != nil {
		return SignedIn{}, refused(err)
	}
	if verified.Authenticator.CloneWarning {
		return SignedIn{}, fmt.Errorf("%w: the signature counter went back", ErrRefused)
	}
	now := d.now().UTC()
	for _, c := range stored {
		if string(c.ID) != string(verified.ID) {
			continue
		}
		c.LastUsedAt = now
		if c, err = kept(verified, c); err != nil {
			return SignedIn{}, err
		}
		return d.signIn(ctx, owner.Operator, c)
	}
	return SignedIn{}, fmt.Errorf("%w: no such credential", ErrRefused)
}

// owner reads the operator that a user handle names.
func (d *Desk) owner(ctx context.Context, handle []byte) (party, []Credential, error) {
	operator, stored, err := d.store.OperatorByHandle(ctx, handle)
	if err != nil {
		return party{}, nil, fmt.Errorf("read operator: %w", err)
	}
	owner := party{Operator: operator}
	for _, c := range stored {
		var credential webauthn.Credential
		if err := json.Unmarshal(c.Credential, &credential); err != nil {
			return party{}, nil, fmt.Errorf("read credential of operator %s: %w", operator.ID, err)
		}
		owner.credentials = append(owner.credentials, credential)
	}
	return owner, stored, nil
}

// signIn opens a session and writes its event.
func (d *Desk) signIn(ctx context.Context, operator Operator, credential Credential) (SignedIn, error) {
	now := d.now()
	secret, hash := newSecret()
	session := Session{Hash: hash, Operator: operator.ID, Expires: now.Add(SessionTTL)}
	event, err := change(events.KindOperatorSignedIn, operator, "operator:"+operator.ID, now)
	if err != nil {
		return SignedIn{}, err
	}
	if err := d.store.SignIn(ctx, credential, session, event); err != nil {
		return SignedIn{}, fmt.Errorf("save session: %w", err)
	}
	return SignedIn{Operator: operator, Secret: secret, Expires: session.Expires}, nil
}

// Session finds who holds a session's secret. It returns ErrNotFound when nobody
// does or the session has ended.
func (d *Desk) Session(ctx context.Context, secret string) (Operator, error) {
	operator, err := d.store.OperatorBySession(ctx, hashSecret(secret), d.now())
	if err != nil {
		return Operator{}, fmt.Errorf("read session: %w", err)
	}
	return operator, nil
}

// SignOut ends a session; ending one that does not exist is no error.
func (d *Desk) SignOut(ctx context.Context, secret string) error {
	if err := d.store.EndSession(ctx, hashSecret(secret)); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// Names tells what operators are called, by id: colleagues see each other's names
// beside what they publish and approve.
func (d *Desk) Names(ctx context.Context) (map[string]string, error) {
	names, err := d.store.OperatorNames(ctx)
	if err != nil {
		return nil, fmt.Errorf("read names of operators: %w", err)
	}
	return names, nil
}
