package ceremonies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// Defaults and limits of ceremonies.
const (
	// DefaultChallengeTTL is how long an answer is accepted. The client is told
	// four fifths of it, so that a person who is slow hears so from the browser
	// and not from a refusal (120 s of 150 s).
	DefaultChallengeTTL = 150 * time.Second
	// DefaultTries is how many wrong answers fail an action.
	DefaultTries = 5
	// DefaultCodeTTL is how long a code that was sent is good.
	DefaultCodeTTL = 10 * time.Minute
	// maxNotices bounds notices that are being sent; one more is dropped and logged.
	maxNotices = 32
	// EnrolmentWindow is how long a proof allows enrolment.
	EnrolmentWindow = 15 * time.Minute
	// MaxAnswer is the longest answer of a client that is read, in bytes.
	MaxAnswer = 64 << 10
	// finishTime is how long verifying and recording an answer may take, also when
	// the caller has gone.
	finishTime = 3 * time.Second
	// maxDetail is how much of a refusal's cause is kept, in bytes.
	maxDetail = 1 << 10
	// idBytes is the length of a random id before it is written.
	idBytes = 16
	// maxName is the longest user or display name that is sent to an
	// authenticator, in characters.
	maxName = 256
)

// RelyingParty runs ceremonies. Its methods may be called concurrently.
type RelyingParty struct {
	id, name, tenant string
	origins          []string
	topOrigins       []string
	guardedOrigins   []string
	methods          []events.Method
	verification     protocol.UserVerificationRequirement
	attestation      Attestation
	algorithms       []protocol.CredentialParameter
	hints            []string
	ttl, codeTTL     time.Duration
	tries            int
	signCount        SignCountPolicy
	backup           BackupPolicy
	limits           Limits
	now              func() time.Time
	random           io.Reader
	library          *webauthn.WebAuthn
	providers        *Providers
	vault            vault
	store            Store
	tokens           *Tokens
	mailer           Mailer
	log              *slog.Logger
	notices          chan struct{} // holds a token for each notice that is being sent
}

// Methods are the methods that may be enrolled and prove, the strongest first.
func (rp *RelyingParty) Methods() []events.Method { return slices.Clone(rp.methods) }

// Offers reports whether a method may be enrolled and prove.
func (rp *RelyingParty) Offers(m events.Method) bool { return slices.Contains(rp.methods, m) }

// Vouching are the authenticators that may prove an action here: see
// Account.Vouching, less those of methods that are not offered any more.
func (rp *RelyingParty) Vouching(account Account, action Action) []Authenticator {
	return slices.DeleteFunc(account.Vouching(action), func(a Authenticator) bool { return !rp.Offers(a.Method) })
}

// Changing are the authenticators that may prove a change to themselves and the
// others: every one that the person has, of a method that the action accepts. While
// the action waits for the person to enrol first, only those that were added under
// it: any other could let one in under the action, which would vouch for it without
// the code to the address on file.
func (rp *RelyingParty) Changing(account Account, action Action) []Authenticator {
	if account.Outlived(action) {
		return nil
	}
	if action.EnrolFirst && action.State == events.StateChallengeRequired {
		return rp.Vouching(account, action)
	}
	return slices.DeleteFunc(account.usable(), func(a Authenticator) bool { return !rp.Offers(a.Method) || !action.accepts(a.Method) })
}

// Providers names the makes of passkeys.
func (rp *RelyingParty) Providers() *Providers { return rp.providers }

// ID is the relying party id: the domain that the passkeys belong to.
func (rp *RelyingParty) ID() string { return rp.id }

// Origins are the origins whose pages may run ceremonies.
func (rp *RelyingParty) Origins() []string { return slices.Clone(rp.origins) }

// Tries is how many wrong answers fail an action.
func (rp *RelyingParty) Tries() int { return rp.tries }

// Authorize reads a token that was made for one of the uses and checks that the
// user's tokens were not taken back since. A RefusedError with CodeExpiredToken
// or CodeInvalidToken says no; with ReasonTokenExpired the grant comes back as
// well and allows nothing.
func (rp *RelyingParty) Authorize(ctx context.Context, token string, uses ...Use) (Grant, error) {
	grant, err := rp.tokens.Verify(token, uses...)
	switch {
	case errors.Is(err, ErrTokenExpired):
		return grant, refuse(CodeExpiredToken, ReasonTokenExpired, err)
	case err != nil:
		return Grant{}, refuse(CodeInvalidToken, ReasonTokenInvalid, err)
	}
	if _, err := rp.account(ctx, grant); err != nil {
		return Grant{}, err
	}
	return grant, nil
}

// account reads the person of a grant. A person who is gone, or whose tokens
// were taken back since the grant was made, is refused.
func (rp *RelyingParty) account(ctx context.Context, grant Grant) (Account, error) {
	account, err := rp.store.Account(ctx, grant.Action.User)
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("read account: %w", err)
	case !account.Known:
		return Account{}, refuse(CodeInvalidToken, ReasonUserUnknown, nil)
	case account.Generation != grant.Generation:
		return Account{}, refuse(CodeInvalidToken, ReasonTokenGeneration, nil)
	}
	return account, nil
}

// action reads the action of a grant.
func (rp *RelyingParty) action(ctx context.Context, grant Grant) (Action, error) {
	action, err := rp.store.Action(ctx, grant.Action)
	if err != nil {
		return Action{}, fmt.Errorf("read action: %w", refusal(err))
	}
	return action, nil
}

// parties reads the person and the action of a grant.
func (rp *RelyingParty) parties(ctx context.Context, grant Grant) (Account, Action, error) {
	account, err := rp.account(ctx, grant)
	if err != nil {
		return Account{}, Action{}, err
	}
	action, err := rp.action(ctx, grant)
	return account, action, err
}

// Open swaps the one-time token of a challenge link for a page token, which the
// hosted page keeps in a cookie. A link opens once: the second time is refused
// with ReasonLinkUsed. The grant comes back with that refusal and with
// ReasonTokenExpired, for the page to say what has happened.
func (rp *RelyingParty) Open(ctx context.Context, link string) (grant Grant, page string, err error) {
	grant, err = rp.Authorize(ctx, link, UseLink)
	if err != nil {
		return grant, "", err
	}
	first, err := rp.store.Redeem(ctx, grant.ID, grant.Expires)
	if err != nil {
		return Grant{}, "", fmt.Errorf("redeem link: %w", err)
	}
	if !first {
		return grant, "", refuse(CodeInvalidToken, ReasonLinkUsed, nil)
	}
	page, grant, err = rp.tokens.sign(Grant{
		Use: UsePage, Action: grant.Action, Scopes: grant.Scopes, Generation: grant.Generation,
	})
	if err != nil {
		return Grant{}, "", err
	}
	return grant, page, nil
}

// ResultToken makes the token that a redirect carries back to the application:
// good for asking how the action ended and for nothing else. The grant must have
// been authorized in the same request; the token is of the user's newest
// generation, so that an application can also ask after a denial.
func (rp *RelyingParty) ResultToken(ctx context.Context, grant Grant) (string, error) {
	account, err := rp.store.Account(ctx, grant.Action.User)
	if err != nil {
		return "", fmt.Errorf("read account: %w", err)
	}
	return rp.tokens.Sign(Grant{Use: UseResult, Action: grant.Action, Generation: account.Generation})
}

// Deny is "I didn't ask for this": the open action fails, and every token of the
// user ends, the grant's own too. An action that is not open any more is refused.
func (rp *RelyingParty) Deny(ctx context.Context, grant Grant) error {
	if _, err := rp.account(ctx, grant); err != nil {
		return err
	}
	now := rp.now()
	event, err := events.NewDraft(&events.Ceremony{
		Step: events.KindCeremonyDenied, ActionID: grant.Action, State: events.StateChallengeFailed,
		Purpose: string(ForAction),
	}, nil, now)
	if err != nil {
		return err
	}
	if err := rp.store.Deny(ctx, grant.Action, now, event); err != nil {
		return fmt.Errorf("deny action: %w", refusal(err))
	}
	return nil
}

// Sweep ends the ceremonies that ran out of time or were interrupted and returns
// how many. Run it every few seconds.
func (rp *RelyingParty) Sweep(ctx context.Context) (int, error) {
	now := rp.now()
	n, err := rp.store.Sweep(ctx, now, func(c Challenge, reason string) (events.Draft, error) {
		record := c.record(events.KindCeremonyAbandoned)
		record.Reason = reason
		return events.NewDraft(record, nil, now)
	})
	if err != nil {
		return n, fmt.Errorf("sweep ceremonies: %w", err)
	}
	return n, nil
}
