package ceremonies

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// StepUp is a begun authentication.
type StepUp struct {
	Challenge events.ChallengeID
	Options   RequestOptions
	Expires   time.Time // an answer after this time is refused
}

// Proof is a verified answer.
type Proof struct {
	Authenticator Authenticator // the one that answered, as it is stored now
	Account       Account
	Action        events.ActionID
	State         events.ActionState // of the action, after the proof
	Token         string             // renewed: of the use of the grant that asked, with the scopes the proof allows
	Grant         Grant              // what Token says
}

// BeginStepUp asks the person for one of their passkeys, for the grant's action
// and nothing else. Shown says that our own page displays the action's text.
//
// It refuses an action that does not wait for a challenge, a person without
// passkeys, and an action that was decided while the person had none of the
// passkeys of today: one that came later cannot vouch for it, and is not offered.
func (rp *RelyingParty) BeginStepUp(ctx context.Context, grant Grant, shown bool) (StepUp, error) {
	account, err := rp.account(ctx, grant)
	if err != nil {
		return StepUp{}, err
	}
	action, err := rp.action(ctx, grant)
	if err != nil {
		return StepUp{}, err
	}
	switch {
	case action.State == events.StateChallengeFailed && action.Tries >= rp.tries:
		return StepUp{}, refuse(CodeTooManyRequests, ReasonTriesUsedUp, nil)
	case action.State != events.StateChallengeRequired:
		return StepUp{}, refuse(CodeInvalidRequest, ReasonActionNotOpen, nil)
	case account.Outlived(action):
		return StepUp{}, refuse(CodeInvalidRequest, ReasonActionNotOpen, errEarlierLife)
	case !action.Enrolled:
		return StepUp{}, refuse(CodeInvalidRequest, ReasonNotEnrolledThen, nil)
	}
	user, err := account.person()
	if err != nil {
		return StepUp{}, err
	}
	if len(user.credentials) == 0 {
		return StepUp{}, refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
	}
	anyMethod := action
	anyMethod.Allowed = nil
	reason := ReasonNotEnrolledThen
	if len(account.Vouching(anyMethod)) > 0 {
		reason = ReasonMethodRefused
	}
	account.Authenticators = account.Vouching(action)
	if user, err = account.person(); err != nil {
		return StepUp{}, err
	}
	if len(user.credentials) == 0 {
		return StepUp{}, refuse(CodeInvalidRequest, reason, nil)
	}
	challenge, err := rp.challenge(Authentication, ForAction, action, shown)
	if err != nil {
		return StepUp{}, err
	}
	assertion, data, err := rp.library.BeginLogin(user,
		webauthn.WithChallenge(challengeFor(challenge.Nonce, challenge.Digest)),
		webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return StepUp{}, fmt.Errorf("begin authentication: %w", err)
	}
	if challenge.Session, err = session(data); err != nil {
		return StepUp{}, err
	}
	if err := rp.begin(ctx, challenge); err != nil {
		return StepUp{}, err
	}
	return StepUp{Challenge: challenge.ID, Options: requestOptions(assertion.Response), Expires: challenge.Expires}, nil
}

// FinishStepUp verifies the answer to a challenge of BeginStepUp and completes
// the action. The challenge is taken before anything is verified, so each is
// answered once. A wrong answer uses up the challenge and one try; the last try
// fails the action, and the RefusedError carries its new state. It goes on when ctx
// is cancelled: hanging up hides no wrong answer and loses no right one.
func (rp *RelyingParty) FinishStepUp(ctx context.Context, grant Grant, id events.ChallengeID, response []byte, client Client) (Proof, error) {
	answer, refused := parseAssertion(response)
	if refused != nil {
		return Proof{}, refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	account, err := rp.account(ctx, grant)
	if err != nil {
		return Proof{}, err
	}
	action, err := rp.action(ctx, grant)
	if err != nil {
		return Proof{}, err
	}
	if account.Outlived(action) {
		return Proof{}, refuse(CodeInvalidRequest, ReasonActionNotOpen, errEarlierLife)
	}
	challenge, err := rp.take(ctx, grant, id)
	if err != nil {
		return Proof{}, err
	}
	data, err := challenge.readSession()
	if err != nil {
		return Proof{}, err
	}
	user, err := account.person()
	if err != nil {
		return Proof{}, err
	}
	verified, refused := rp.verifyAssertion(challenge, data, user, answer)
	if refused != nil {
		if refused.Reason == ReasonSignCountRegress { // found in an answer that is right but for that
			refused.regressed = account.holding(answer.RawID)
		}
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}

	now := rp.now()
	proof := Proof{Account: account, Action: grant.Action}
	for i := range account.Authenticators {
		authenticator := &account.Authenticators[i]
		if !bytes.Equal(authenticator.CredentialID, answer.RawID) {
			continue
		}
		if authenticator.Credential, err = json.Marshal(verified.credential); err != nil {
			return Proof{}, fmt.Errorf("write credential: %w", err)
		}
		authenticator.Synced = verified.credential.Flags.BackupEligible
		authenticator.BackedUp = verified.credential.Flags.BackupState
		authenticator.SignCount = verified.credential.Authenticator.SignCount
		authenticator.LastVerifiedAt = now
		proof.Authenticator = *authenticator
	}
	if proof.Authenticator.ID == "" {
		return Proof{}, errors.New("no authenticator of the account has the verified credential's id")
	}
	outcome := Outcome{
		Challenge: challenge, Proof: &proof.Authenticator, Tries: rp.tries, At: now,
		Events: func(state events.ActionState, tries int) ([]events.Draft, error) {
			return rp.proofEvents(challenge, proof.Authenticator, answer, verified, client, state, tries, now)
		},
	}
	if verified.regressed {
		outcome.Regressed, proof.Authenticator.Regressed = proof.Authenticator.ID, true
	}
	result, err := rp.store.Finish(ctx, outcome)
	switch {
	case errors.Is(err, ErrNoChallenge): // removed while the answer was verified
		return Proof{}, refuse(CodeUnknownCredential, ReasonUnknownCredential, err)
	case err != nil:
		return Proof{}, fmt.Errorf("record proof: %w", refusal(err))
	}
	proof.State = result.State
	action.State, action.ProvenAt = result.State, now
	proof.Token, proof.Grant, err = rp.renew(grant, account, action)
	return proof, err
}

// proofEvents is the event of a success: what was verified, and the receipt.
func (rp *RelyingParty) proofEvents(challenge Challenge, authenticator Authenticator, answer *protocol.ParsedCredentialAssertionData,
	verified assertion, client Client, state events.ActionState, tries int, now time.Time,
) ([]events.Draft, error) {
	receipt, err := json.Marshal(Receipt{
		Version: StatementVersion, ClientDataJSON: Base64(answer.Raw.AssertionResponse.ClientDataJSON),
		AuthenticatorData: Base64(answer.Raw.AssertionResponse.AuthenticatorData), Signature: answer.Response.Signature,
		CredentialID: answer.RawID, PublicKey: verified.credential.PublicKey,
	})
	if err != nil {
		return nil, fmt.Errorf("write receipt: %w", err)
	}
	record := challenge.record(events.KindCeremonySucceeded)
	record.State, record.Tries = state, tries
	record.Authenticator, record.Method = authenticator.ID, authenticator.Method
	record.Detail, record.Receipt = verified.note, receipt
	personal := client.personal()
	personal[PersonalDocument] = base64URL(challenge.Digest)
	personal[PersonalNonce] = base64URL(challenge.Nonce)
	draft, err := events.NewDraft(record, personal, now)
	return []events.Draft{draft}, err
}

// renew makes the token that follows a finished ceremony. It may enrol only
// where the backend asked for that with the action, and the person has proven
// this very action.
func (rp *RelyingParty) renew(grant Grant, account Account, action Action) (string, Grant, error) {
	scopes := ScopeRead
	if hasScope(action.Scope, ScopeAdd) && rp.proven(account, action) == nil {
		scopes += " " + ScopeAdd
	}
	use := UseAccess
	if grant.Use == UsePage {
		use = UsePage
	}
	return rp.tokens.sign(Grant{Use: use, Action: grant.Action, Scopes: scopes, Generation: account.Generation})
}
