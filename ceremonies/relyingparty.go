package ceremonies

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// BackupPolicy says what to do when a passkey that was bound to its device says
// that it can be synced now. The specification does not let the flag change
// (WebAuthn L3, section 7.2, step 17), but providers that begin to sync do change it.
type BackupPolicy int

const (
	// AcceptNewlySynced accepts the proof, records it, and the passkey is a synced one
	// to rules from then on. It is the default.
	AcceptNewlySynced BackupPolicy = iota
	// RefuseNewlySynced refuses the proof.
	RefuseNewlySynced
)

// Config describes the relying party. ID, Name, Origins, Tenant and Key are required.
type Config struct {
	ID      string   // relying party id: the domain that passkeys belong to; changing it loses them all
	Name    string   // what a person's device shows
	Origins []string // exact origins whose pages may run ceremonies, as browsers write them: https://shop.example
	// AppOrigins are those of native apps, such as android:apk-key-hash:…, compared
	// exactly.
	AppOrigins []string
	// TopOrigins are the origins whose pages may run a ceremony in a frame of another
	// origin. Empty refuses every such ceremony.
	TopOrigins []string
	// GuardedOrigins are those of Origins whose pages let nobody but TopOrigins frame
	// them, by frame-ancestors, as our hosted page does. There a browser is believed
	// that says nothing of the page around (topOrigin is new in WebAuthn L3); anywhere
	// else it is refused.
	GuardedOrigins []string
	Tenant         string // goes into every statement
	// Key makes the keys of codes and secrets, at least MinKeyBytes. Another key makes
	// recovery codes and authenticator apps useless.
	Key []byte
	// Methods are the methods that may be enrolled and prove; nil means all that work
	// here: MethodEmailOTP needs a Mailer.
	Methods []events.Method
	// UserVerification is what passkeys are asked for where neither the action nor its
	// rule says: required, preferred or discouraged. "" means required. Security keys
	// are asked for no more than preferred unless an action or a rule says required.
	UserVerification string
	// Attestation says which makes of authenticators may register.
	Attestation Attestation
	// Algorithms are the signatures that may register, as COSE numbers, the preferred
	// one first. nil means ES256, EdDSA and RS256.
	Algorithms []int
	Hints      []string        // which authenticators browsers should suggest: security-key, client-device, hybrid
	SignCount  SignCountPolicy // zero refuses a regress
	Backup     BackupPolicy    // zero accepts a passkey that became synced
	Limits     Limits          // zero means DefaultLimits
	Providers  *Providers      // names and icons of passkeys; nil means LoadProviders
	Mailer     Mailer          // nil: no codes and no notices by mail
	Log        *slog.Logger    // told about mails that could not be sent; nil discards

	ChallengeTTL time.Duration    // 0 means DefaultChallengeTTL
	CodeTTL      time.Duration    // of codes that are sent; 0 means DefaultCodeTTL
	Tries        int              // 0 means DefaultTries
	Now          func() time.Time // nil means time.Now
	Rand         io.Reader        // nonces, ids and codes; nil means crypto/rand
}

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

// New checks the configuration.
func New(config Config, store Store, tokens *Tokens) (*RelyingParty, error) {
	switch {
	case store == nil || tokens == nil:
		return nil, errors.New("relying party: it needs a store and tokens")
	case config.ID == "" || config.Name == "" || config.Tenant == "":
		return nil, errors.New("relying party: id, name and tenant are required")
	case len(config.Origins) == 0:
		return nil, errors.New("relying party: there is no origin")
	case config.ChallengeTTL < 0 || config.CodeTTL < 0 || config.Tries < 0:
		return nil, errors.New("relying party: times of challenges and tries cannot be negative")
	}
	if err := checkOrigins(slices.Concat(config.Origins, config.TopOrigins)); err != nil {
		return nil, err
	}
	rp := &RelyingParty{
		id: config.ID, name: config.Name, tenant: config.Tenant, origins: slices.Clone(config.Origins),
		topOrigins: slices.Clone(config.TopOrigins), guardedOrigins: slices.Clone(config.GuardedOrigins), attestation: config.Attestation, hints: append([]string{}, config.Hints...),
		ttl: cmp.Or(config.ChallengeTTL, DefaultChallengeTTL), codeTTL: cmp.Or(config.CodeTTL, DefaultCodeTTL),
		tries: cmp.Or(config.Tries, DefaultTries), signCount: config.SignCount, backup: config.Backup,
		limits: cmp.Or(config.Limits, DefaultLimits), now: config.Now, random: config.Rand, store: store, tokens: tokens,
		mailer: config.Mailer, log: config.Log, notices: make(chan struct{}, maxNotices),
	}
	if rp.now == nil {
		rp.now = time.Now
	}
	if rp.random == nil {
		rp.random = rand.Reader
	}
	if rp.log == nil {
		rp.log = slog.New(slog.DiscardHandler)
	}
	if err := rp.limits.check(); err != nil {
		return nil, err
	}
	var err error
	if rp.verification, err = verification(cmp.Or(config.UserVerification, string(protocol.VerificationRequired))); err != nil {
		return nil, err
	}
	if rp.methods, err = enabled(config.Methods, config.Mailer); err != nil {
		return nil, err
	}
	if rp.algorithms, err = algorithms(config.Algorithms); err != nil {
		return nil, err
	}
	if rp.vault, err = newVault(config.Key); err != nil {
		return nil, fmt.Errorf("relying party: %w", err)
	}
	if err := rp.attestation.check(); err != nil {
		return nil, err
	}
	timeout := webauthn.TimeoutConfig{Timeout: rp.ttl / 5 * 4, TimeoutUVD: rp.ttl / 5 * 4}
	rp.library, err = webauthn.New(&webauthn.Config{
		RPID: config.ID, RPDisplayName: config.Name, RPOrigins: rp.origins, RPOpaqueOrigins: config.AppOrigins,
		RPTopOrigins: rp.topOrigins, RPAllowCrossOrigin: len(rp.topOrigins) > 0,
		AttestationPreference: rp.attestation.preference(),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   rp.verification,
		},
		// The library's clock is never asked: a challenge ends by our own.
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Password managers answer extensions that nobody asked for.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("relying party: %w", err)
	}
	if rp.providers = config.Providers; rp.providers == nil {
		if rp.providers, err = LoadProviders(); err != nil {
			return nil, err
		}
	}
	return rp, nil
}

// verification reads a requirement of user verification (WebAuthn L3, section 5.8.6).
func verification(word string) (protocol.UserVerificationRequirement, error) {
	switch r := protocol.UserVerificationRequirement(word); r {
	case protocol.VerificationRequired, protocol.VerificationPreferred, protocol.VerificationDiscouraged:
		return r, nil
	}
	return "", fmt.Errorf("relying party: user verification is required, preferred or discouraged, not %q", word)
}

// verificationFor is what a ceremony asks for. An action's word that this version
// does not know is taken for the strictest.
func (rp *RelyingParty) verificationFor(action Action, method events.Method) protocol.UserVerificationRequirement {
	if action.UserVerification != "" {
		if r, err := verification(action.UserVerification); err == nil {
			return r
		}
		return protocol.VerificationRequired
	}
	if method == events.MethodSecurityKey && rp.verification == protocol.VerificationRequired {
		return protocol.VerificationPreferred // many have no PIN; they prove possession
	}
	return rp.verification
}

// known are the methods that this package proves, the strongest first.
var known = []events.Method{
	events.MethodPasskey, events.MethodSecurityKey, events.MethodAuthenticatorApp, events.MethodEmailOTP, events.MethodRecoveryCode,
}

// enabled checks a list of methods. Nil is all that work.
func enabled(wanted []events.Method, mailer Mailer) ([]events.Method, error) {
	if wanted == nil {
		return slices.DeleteFunc(slices.Clone(known), func(m events.Method) bool { return m == events.MethodEmailOTP && mailer == nil }), nil
	}
	for _, m := range wanted {
		switch {
		case !slices.Contains(known, m):
			return nil, fmt.Errorf("relying party: %q is no method", m)
		case m == events.MethodEmailOTP && mailer == nil:
			return nil, errors.New("relying party: codes by e-mail need a way to send them")
		}
	}
	if !slices.Contains(wanted, events.MethodPasskey) {
		return nil, errors.New("relying party: passkeys cannot be left out")
	}
	return slices.DeleteFunc(slices.Clone(known), func(m events.Method) bool { return !slices.Contains(wanted, m) }), nil
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

// algorithms are the signatures that may register. Nil is the three that the
// specification recommends for reaching every authenticator (WebAuthn L3, section
// 5.4).
func algorithms(wanted []int) ([]protocol.CredentialParameter, error) {
	numbers := []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}
	if wanted != nil {
		numbers = nil
		for _, n := range wanted {
			numbers = append(numbers, webauthncose.COSEAlgorithmIdentifier(n))
		}
	}
	if len(numbers) == 0 {
		return nil, errors.New("relying party: there is no signature algorithm")
	}
	parameters := make([]protocol.CredentialParameter, len(numbers))
	for i, n := range numbers {
		parameters[i] = protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: n}
	}
	return parameters, nil
}
