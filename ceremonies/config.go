package ceremonies

import (
	"cmp"
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
	for _, origin := range config.GuardedOrigins {
		if !slices.Contains(config.Origins, origin) {
			return nil, fmt.Errorf("relying party: the guarded origin %q is none of the origins", origin)
		}
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

// Strength is the place of a method among all of them, 0 for the strongest. One that
// is not known comes last.
func Strength(m events.Method) int {
	if i := slices.Index(known, m); i >= 0 {
		return i
	}
	return len(known)
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
