package ceremonies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// Track decides an action that begins with its proof: a sign-in, or a code that is
// claimed. The engine decides it as any other, so that rules can block it, and
// leaves it waiting for the proof otherwise.
type Track func(ctx context.Context, id events.ActionID) error

// errTrackedBefore is why a sign-in does not complete an action that is open.
var errTrackedBefore = errors.New("the action was tracked before its sign-in ended")

// BeginSignIn asks for any passkey of this relying party, of whoever it is. The
// action is what the sign-in is to be called; it has no user yet. Nothing is written
// to the trail until somebody answers: a page with autofill begins one for each
// visitor.
func (rp *RelyingParty) BeginSignIn(ctx context.Context, code, key string) (StepUp, error) {
	action := Action{ActionID: events.ActionID{Code: code, Key: key}}
	challenge, err := rp.challenge(Authentication, events.MethodPasskey, action, about{purpose: ForSignIn}, rp.ttl)
	if err != nil {
		return StepUp{}, err
	}
	assertion, data, err := rp.library.BeginDiscoverableLogin(
		webauthn.WithChallenge(challenge.Value), webauthn.WithUserVerification(rp.verification))
	if err != nil {
		return StepUp{}, fmt.Errorf("begin sign-in: %w", err)
	}
	if challenge.Session, err = session(data); err != nil {
		return StepUp{}, err
	}
	if err := rp.begin(ctx, challenge); err != nil {
		return StepUp{}, err
	}
	return StepUp{Challenge: challenge.ID, Options: rp.requestOptions(assertion.Response), Expires: challenge.Expires}, nil
}

// FinishSignIn verifies the answer, finds whose passkey it is, has the action
// tracked for that person and completes it. Where the rules do not let the action
// go on, the proof's State says so and nothing is completed. An action that is there
// already is refused with ReasonActionNotOpen: what a person signed was a sign-in,
// and who began it needed no token to name the action.
func (rp *RelyingParty) FinishSignIn(ctx context.Context, id events.ChallengeID, response []byte, client Client, track Track) (Proof, error) {
	answer, refused := parseAssertion(response)
	if refused != nil {
		return Proof{}, refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	challenge, err := rp.take(ctx, Grant{}, id)
	if err != nil {
		return Proof{}, err
	}
	if refused := challenge.isSigned(Authentication, ForSignIn); refused != nil {
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}
	owner, err := rp.store.Owner(ctx, answer.RawID)
	switch {
	case errors.Is(err, ErrNoChallenge):
		return Proof{}, rp.fail(ctx, challenge, client, refuse(CodeUnknownCredential, ReasonUnknownCredential, nil))
	case err != nil:
		return Proof{}, fmt.Errorf("find passkey: %w", err)
	}
	account, err := rp.store.Account(ctx, owner)
	if err != nil {
		return Proof{}, fmt.Errorf("read account: %w", err)
	}
	user, err := account.person()
	if err != nil {
		return Proof{}, err
	}
	data, err := challenge.readSession()
	if err != nil {
		return Proof{}, err
	}
	verified, refused := rp.verifyAssertion(data, user, answer)
	if refused != nil {
		if refused.Reason == ReasonSignCountRegress {
			refused.regressed = account.holding(answer.RawID)
		}
		refused.user = owner
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}
	answered := answered{userVerified: answer.Response.AuthenticatorData.Flags.HasUserVerified()}
	for _, a := range account.Authenticators {
		if bytes.Equal(a.CredentialID, answer.RawID) {
			answered.method = a.Method
		}
	}
	return rp.complete(ctx, challenge, account, client, track, answered, func(now time.Time) (evidence, error) {
		return rp.assertionEvidence(account, challenge, answer, verified, now)
	})
}

// answered is what proved a ceremony that was begun for nobody.
type answered struct {
	method       events.Method
	userVerified bool // of a passkey or a security key
}

// signs reports whether a method signs its answers.
func signs(m events.Method) bool { return m == events.MethodPasskey || m == events.MethodSecurityKey }

// complete has the action of a challenge that was begun for nobody tracked for a
// person, and completes it with what was proven. Who it is, and so what the action
// asks for, is known only now. An action that is there already is not completed:
// what was proven was asked for before anybody knew of it.
func (rp *RelyingParty) complete(ctx context.Context, challenge Challenge, account Account, client Client, track Track, by answered,
	collect func(time.Time) (evidence, error),
) (Proof, error) {
	id := events.ActionID{User: account.User, Code: challenge.Action.Code, Key: challenge.Action.Key}
	if _, err := rp.store.Action(ctx, id); !errors.Is(err, ErrNoAction) {
		if err != nil {
			return Proof{}, fmt.Errorf("read action: %w", err)
		}
		refused := refuse(CodeInvalidRequest, ReasonActionNotOpen, errTrackedBefore)
		refused.user = account.User
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}
	if err := track(ctx, id); err != nil {
		return Proof{}, fmt.Errorf("track sign-in: %w", err)
	}
	account, err := rp.store.Account(ctx, account.User) // tracking may have made it
	if err != nil {
		return Proof{}, fmt.Errorf("read account: %w", err)
	}
	action, err := rp.store.Action(ctx, id)
	if err != nil {
		return Proof{}, fmt.Errorf("read action: %w", refusal(err))
	}
	grant := Grant{Use: UseAccess, Action: id, Scopes: ScopeRead, Generation: account.Generation}
	var refused *RefusedError
	switch {
	case action.State != events.StateChallengeRequired || account.Outlived(action):
		refused = refuse(CodeInvalidRequest, ReasonActionNotOpen, nil)
	case !rp.Offers(by.method) || !action.accepts(by.method):
		refused = refuse(CodeInvalidRequest, ReasonMethodRefused, nil)
	case signs(by.method) && !by.userVerified && rp.verificationFor(action, by.method) == protocol.VerificationRequired:
		refused = refuse(CodeInvalidCredential, ReasonUserNotVerified, nil)
	}
	if refused == nil {
		return rp.prove(ctx, grant, account, action, challenge, client, collect)
	}
	refused.user = account.User
	if err := rp.fail(ctx, challenge, client, refused); !isRefused(err, refused.Reason) {
		return Proof{}, err
	}
	switch action.State {
	case events.StateBlock, events.StateReviewRequired:
		proof := Proof{Account: account, Action: id, State: action.State}
		proof.Token, proof.Grant, err = rp.renew(grant, account, action, Permit{})
		return proof, err
	}
	return Proof{}, refused
}
