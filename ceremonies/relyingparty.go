package ceremonies

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
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

// SignCountPolicy says what to do when the signature counter of a device-bound
// passkey does not rise, which may mean that its key was copied (WebAuthn L3,
// section 7.2, step 22). Passkeys without a counter, and synced ones, whose
// devices do not share one, are accepted under both and recorded when it falls.
type SignCountPolicy int

const (
	// RefuseSignCountRegress refuses the proof. It is the default.
	RefuseSignCountRegress SignCountPolicy = iota
	// AcceptSignCountRegress accepts the proof and records the regress.
	AcceptSignCountRegress
)

// Config describes the relying party. ID, Name, Origins and Tenant are required.
type Config struct {
	ID           string           // relying party id: the domain that passkeys belong to; changing it loses them all
	Name         string           // what a person's device shows
	Origins      []string         // exact origins whose pages may run ceremonies, scheme and port included
	Tenant       string           // goes into every statement
	ChallengeTTL time.Duration    // 0 means DefaultChallengeTTL
	Tries        int              // 0 means DefaultTries
	SignCount    SignCountPolicy  // zero refuses a regress
	Now          func() time.Time // nil means time.Now
	Rand         io.Reader        // nonces and ids; nil means crypto/rand
}

// RelyingParty runs ceremonies. Its methods may be called concurrently.
type RelyingParty struct {
	id, name, tenant string
	origins          []string
	ttl              time.Duration
	tries            int
	signCount        SignCountPolicy
	now              func() time.Time
	random           io.Reader
	library          *webauthn.WebAuthn
	providers        providers
	store            Store
	tokens           *Tokens
}

// New checks the configuration.
func New(config Config, store Store, tokens *Tokens) (*RelyingParty, error) {
	switch {
	case store == nil || tokens == nil:
		return nil, errors.New("relying party: it needs a store and tokens")
	case config.ID == "" || config.Name == "" || config.Tenant == "":
		return nil, errors.New("relying party: id, name and tenant are required")
	case len(config.Origins) == 0:
		return nil, errors.New("relying party: there is no origin")
	case config.ChallengeTTL < 0 || config.Tries < 0:
		return nil, errors.New("relying party: challenge time and tries cannot be negative")
	}
	rp := &RelyingParty{
		id: config.ID, name: config.Name, tenant: config.Tenant, origins: slices.Clone(config.Origins),
		ttl: config.ChallengeTTL, tries: config.Tries, signCount: config.SignCount,
		now: config.Now, random: config.Rand, store: store, tokens: tokens,
	}
	if rp.ttl == 0 {
		rp.ttl = DefaultChallengeTTL
	}
	if rp.tries == 0 {
		rp.tries = DefaultTries
	}
	if rp.now == nil {
		rp.now = time.Now
	}
	if rp.random == nil {
		rp.random = rand.Reader
	}
	timeout := webauthn.TimeoutConfig{Timeout: rp.ttl / 5 * 4, TimeoutUVD: rp.ttl / 5 * 4}
	var err error
	rp.library, err = webauthn.New(&webauthn.Config{
		RPID: config.ID, RPDisplayName: config.Name, RPOrigins: rp.origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   protocol.VerificationRequired,
		},
		// The library's clock is never asked: a challenge ends by our own.
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Password managers answer extensions that nobody asked for.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("relying party: %w", err)
	}
	if rp.providers, err = loadProviders(); err != nil {
		return nil, err
	}
	return rp, nil
}

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

// begin stores a challenge and its event.
func (rp *RelyingParty) begin(ctx context.Context, challenge Challenge) error {
	event, err := events.NewDraft(challenge.record(events.KindCeremonyBegun), nil, challenge.BegunAt)
	if err != nil {
		return err
	}
	if err := rp.store.Begin(ctx, challenge, event); err != nil {
		return fmt.Errorf("begin ceremony: %w", refusal(err))
	}
	return nil
}

// errEarlierLife is why an action is closed although its state is open or proven.
var errEarlierLife = errors.New("the action is of an earlier life of this user")

// lasting is a context that outlives the caller's, so that a challenge which was
// taken is also finished, and ends by itself.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTime)
}

// take claims a challenge, before anything of the answer is verified.
func (rp *RelyingParty) take(ctx context.Context, grant Grant, id events.ChallengeID) (Challenge, error) {
	if len(id) != len(randomName(make([]byte, idBytes))) {
		return Challenge{}, refuse(CodeInvalidRequest, ReasonChallengeUnknown, nil)
	}
	challenge, err := rp.store.Take(ctx, id, grant.Action, rp.now())
	if err != nil {
		return Challenge{}, fmt.Errorf("take challenge: %w", refusal(err))
	}
	return challenge, nil
}

// fail closes a taken challenge with a refusal and returns the refusal. A wrong
// proof counts against the action; a wrong registration does not.
func (rp *RelyingParty) fail(ctx context.Context, challenge Challenge, client Client, refused *RefusedError) error {
	tries := rp.tries
	if challenge.Purpose != ForAction {
		tries = math.MaxInt32
	}
	now := rp.now()
	result, err := rp.store.Finish(ctx, Outcome{
		Challenge: challenge, Tries: tries, Regressed: refused.regressed, At: now,
		Events: func(state events.ActionState, tries int) ([]events.Draft, error) {
			record := challenge.record(events.KindCeremonyFailed)
			record.State, record.Tries = state, tries
			record.Reason, record.Detail = refused.Reason, detail(refused.Err)
			draft, err := events.NewDraft(record, client.personal(), now)
			return []events.Draft{draft}, err
		},
	})
	if err != nil {
		return fmt.Errorf("record refused ceremony: %w", errors.Join(err, refused))
	}
	if challenge.Purpose == ForAction && result.State == events.StateChallengeFailed {
		refused.State = result.State
	}
	return refused
}

// record is the start of every event about a challenge. Digest is the challenge
// itself: blinded by the nonce, so that it tells nothing once that is erased.
func (c Challenge) record(step events.Kind) *events.Ceremony {
	return &events.Ceremony{
		Step: step, ActionID: c.Action, Challenge: c.ID, Ceremony: string(c.Kind), Purpose: string(c.Purpose),
		Method: events.MethodPasskey, Digest: base64URL(challengeFor(c.Nonce, c.Digest)), Shown: c.Shown,
	}
}

// challenge freezes what a ceremony is about. Session is still empty.
func (rp *RelyingParty) challenge(kind Kind, purpose Purpose, action Action, shown bool) (Challenge, error) {
	now := rp.now().UTC()
	// Whole seconds, because the statement says the end in whole seconds.
	expires := now.Add(rp.ttl).Truncate(time.Second)
	document, err := rp.statement(purpose, action, shown, expires).Canonical()
	if err != nil {
		return Challenge{}, err
	}
	id, nonce := make([]byte, idBytes), make([]byte, nonceBytes)
	for _, b := range [][]byte{id, nonce} {
		if _, err := io.ReadFull(rp.random, b); err != nil {
			return Challenge{}, fmt.Errorf("read random bytes: %w", err)
		}
	}
	return Challenge{
		ID: events.ChallengeID(randomName(id)), Kind: kind, Purpose: purpose, Action: action.ActionID,
		Nonce: nonce, Digest: document, Shown: shown, BegunAt: now, Expires: expires,
	}, nil
}

// randomName writes random bytes so that people can read them out: a support
// call starts with the first characters of a challenge's id.
func randomName(b []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

// algorithms are the signatures that may register, the preferred one first: the
// three that the specification recommends for reaching every authenticator
// (WebAuthn L3, section 5.4).
func algorithms() []protocol.CredentialParameter {
	return []protocol.CredentialParameter{
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
		{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
	}
}

// session keeps the library's session verbatim.
func session(data *webauthn.SessionData) (json.RawMessage, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("write session: %w", err)
	}
	return raw, nil
}

// readSession gives the library back its own session.
func (c Challenge) readSession() (webauthn.SessionData, error) {
	var data webauthn.SessionData
	if err := json.Unmarshal(c.Session, &data); err != nil {
		return webauthn.SessionData{}, fmt.Errorf("read session: %w", err)
	}
	return data, nil
}
