package ceremonies

import (
	"bytes"
	"context"
	"crypto/sha256"
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
	Authenticator Authenticator // the one that answered, as it is stored now; zero for a code that was claimed
	Account       Account
	Action        events.ActionID
	State         events.ActionState // of the action, after the proof
	Token         string             // renewed: of the use of the grant that asked, with the scopes the proof allows
	Grant         Grant              // what Token says
	// RecoveryCodes are the new ones that a proof for ForRecoveryCodes made. They are
	// shown now or never.
	RecoveryCodes []string
}

// Ask is what a proof is asked for.
type Ask struct {
	// Method is the method that is to answer. BeginStepUp takes PASSKEY, SECURITY_KEY
	// or "", which lets either answer; FinishCode one of those by code.
	Method events.Method
	// Purpose is ForAction, or one of those that change how a person can prove
	// themselves; "" means ForAction.
	Purpose Purpose
	// Subject is what is changed: see Challenge.Subject.
	Subject string
	// Shown says that our own page displays what is approved: the action's text, and
	// Text for a change.
	Shown bool
	Text  string
}

// about is the statement's part of the question.
func (ask Ask) about(action Action) about {
	if !ask.Purpose.changes() {
		return aboutAction(action, ask.Shown)
	}
	a := about{purpose: ask.Purpose, subject: ask.Subject}
	if ask.Shown {
		a.shown = &ask.Text
	}
	return a
}

// candidates are the authenticators that may answer a question now, or why none
// may. It refuses an action that does not wait for a challenge, and one that was
// decided while the person had none of the authenticators of today: one that came
// later cannot vouch for it. A change may be proven by every authenticator of a
// method that is offered here and that the action accepts.
func (rp *RelyingParty) candidates(account Account, action Action, purpose Purpose) ([]Authenticator, *RefusedError) {
	if purpose.changes() {
		if action.blocked() {
			return nil, refuse(CodeInvalidRequest, ReasonBlocked, nil)
		}
		found := rp.Changing(account, action)
		if len(found) == 0 {
			return nil, refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
		}
		return found, nil
	}
	switch {
	case purpose != ForAction:
		return nil, refuse(CodeInvalidRequest, ReasonWrongPurpose, nil)
	case action.State == events.StateChallengeFailed && action.Tries >= rp.tries:
		return nil, refuse(CodeTooManyRequests, ReasonTriesUsedUp, nil)
	case action.State != events.StateChallengeRequired:
		return nil, refuse(CodeInvalidRequest, ReasonActionNotOpen, nil)
	case account.Outlived(action):
		return nil, refuse(CodeInvalidRequest, ReasonActionNotOpen, errEarlierLife)
	case !action.Enrolled && !action.EnrolFirst:
		return nil, refuse(CodeInvalidRequest, ReasonNotEnrolledThen, nil)
	case len(account.usable()) == 0:
		return nil, refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
	}
	found := rp.Vouching(account, action)
	if len(found) > 0 {
		return found, nil
	}
	action.Allowed = nil
	if len(account.Vouching(action)) > 0 {
		return nil, refuse(CodeInvalidRequest, ReasonMethodRefused, nil)
	}
	return nil, refuse(CodeInvalidRequest, ReasonNotEnrolledThen, nil)
}

// BeginStepUp asks the person for one of their passkeys or security keys, for what
// is asked and nothing else. See candidates for who may.
func (rp *RelyingParty) BeginStepUp(ctx context.Context, grant Grant, ask Ask) (StepUp, error) {
	account, action, err := rp.parties(ctx, grant)
	if err != nil {
		return StepUp{}, err
	}
	if ask.Purpose == "" {
		ask.Purpose = ForAction
	}
	found, refused := rp.candidates(account, action, ask.Purpose)
	if refused != nil {
		return StepUp{}, refused
	}
	account.Authenticators = nil
	others := false // that accept another method of this kind
	for _, a := range found {
		if len(a.Credential) == 0 {
			continue
		}
		if ask.Method == "" || a.Method == ask.Method {
			account.Authenticators = append(account.Authenticators, a)
		} else {
			others = true
		}
	}
	if len(account.Authenticators) == 0 {
		if others {
			return StepUp{}, refuse(CodeInvalidRequest, ReasonMethodRefused, nil)
		}
		return StepUp{}, refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
	}
	user, err := account.person()
	if err != nil {
		return StepUp{}, err
	}
	method := ask.Method
	if method == "" {
		method = account.Authenticators[0].Method
	}
	challenge, err := rp.challenge(Authentication, method, action, ask.about(action), rp.ttl)
	if err != nil {
		return StepUp{}, err
	}
	assertion, data, err := rp.library.BeginLogin(user,
		webauthn.WithChallenge(challenge.Value),
		webauthn.WithUserVerification(rp.verificationOf(action, account.Authenticators)))
	if err != nil {
		return StepUp{}, fmt.Errorf("begin authentication: %w", err)
	}
	if challenge.Session, err = session(data); err != nil {
		return StepUp{}, err
	}
	if err := rp.begin(ctx, challenge); err != nil {
		return StepUp{}, err
	}
	return StepUp{Challenge: challenge.ID, Options: rp.requestOptions(assertion.Response), Expires: challenge.Expires}, nil
}

// verificationOf is the strictest of what the methods that may answer ask for:
// where a passkey may, a security key must not be the easier way.
func (rp *RelyingParty) verificationOf(action Action, answering []Authenticator) protocol.UserVerificationRequirement {
	order := []protocol.UserVerificationRequirement{protocol.VerificationDiscouraged, protocol.VerificationPreferred, protocol.VerificationRequired}
	strictest := 0
	for _, a := range answering {
		for i, r := range order {
			if rp.verificationFor(action, a.Method) == r {
				strictest = max(strictest, i)
			}
		}
	}
	return order[strictest]
}

// FinishStepUp verifies the answer to a challenge of BeginStepUp and completes
// the action. The challenge is taken before anything is verified, so each is
// answered once. A wrong answer uses up the challenge and one try; the last try
// fails the action, and the RefusedError carries its new state. It goes on when ctx
// is cancelled: hanging up hides no wrong answer and loses no right one.
func (rp *RelyingParty) FinishStepUp(ctx context.Context, grant Grant, id events.ChallengeID, response []byte, client Client) (Proof, error) {
	return rp.FinishProof(ctx, grant, ForAction, id, response, client)
}

// FinishProof is FinishStepUp for any purpose that BeginStepUp takes. A challenge
// that was begun for another one is used up and proves nothing. What a proof for
// the purpose changes is changed in the same transaction; what it allows is in the
// new token.
func (rp *RelyingParty) FinishProof(ctx context.Context, grant Grant, purpose Purpose, id events.ChallengeID, response []byte, client Client) (Proof, error) {
	answer, refused := parseAssertion(response)
	if refused != nil {
		return Proof{}, refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	account, action, err := rp.parties(ctx, grant)
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
	if refused := challenge.isSigned(Authentication, purpose); refused != nil {
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}
	if purpose.changes() && action.blocked() { // since it began
		return Proof{}, rp.fail(ctx, challenge, client, refuse(CodeInvalidRequest, ReasonBlocked, nil))
	}
	data, err := challenge.readSession()
	if err != nil {
		return Proof{}, err
	}
	user, err := account.person()
	if err != nil {
		return Proof{}, err
	}
	verified, refused := rp.verifyAssertion(data, user, answer)
	if refused != nil {
		if refused.Reason == ReasonSignCountRegress { // found in an answer that is right but for that
			refused.regressed = account.holding(answer.RawID)
		}
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}
	return rp.prove(ctx, grant, account, action, challenge, client, func(now time.Time) (evidence, error) {
		return rp.assertionEvidence(account, challenge, answer, verified, now)
	})
}

// evidence is what a right answer leaves behind.
type evidence struct {
	authenticator Authenticator // as it is from now on
	receipt       json.RawMessage
	note          string
	regressed     bool
	step          int64  // of an authenticator app
	code          []byte // keyed hash of a recovery code
	counted       bool
	meters        []Meter
}

// assertionEvidence updates the authenticator that answered and writes the receipt.
func (rp *RelyingParty) assertionEvidence(account Account, challenge Challenge, answer *protocol.ParsedCredentialAssertionData, verified assertion, now time.Time) (evidence, error) {
	e := evidence{note: verified.note, regressed: verified.regressed}
	for _, a := range account.Authenticators {
		if bytes.Equal(a.CredentialID, answer.RawID) {
			e.authenticator = a
		}
	}
	a := &e.authenticator
	if a.ID == "" {
		return evidence{}, errors.New("no authenticator of the account has the verified credential's id")
	}
	var err error
	if a.Credential, err = json.Marshal(verified.credential); err != nil {
		return evidence{}, fmt.Errorf("write credential: %w", err)
	}
	a.Synced = verified.credential.Flags.BackupEligible
	a.BackedUp = verified.credential.Flags.BackupState
	a.SignCount = verified.credential.Authenticator.SignCount
	a.LastVerifiedAt = now
	e.receipt, err = json.Marshal(Receipt{
		Version: StatementVersion, ClientDataJSON: Base64(answer.Raw.AssertionResponse.ClientDataJSON),
		AuthenticatorData: Base64(answer.Raw.AssertionResponse.AuthenticatorData), Signature: answer.Response.Signature,
		CredentialID: answer.RawID, PublicKey: verified.credential.PublicKey,
	})
	if err != nil {
		return evidence{}, fmt.Errorf("write receipt: %w", err)
	}
	return e, nil
}

// prove records a right answer to a challenge that was taken, with all that it
// changes, in one transaction, and makes the token that follows.
func (rp *RelyingParty) prove(ctx context.Context, grant Grant, account Account, action Action, challenge Challenge, client Client,
	collect func(now time.Time) (evidence, error),
) (Proof, error) {
	now := rp.now()
	e, err := collect(now)
	if err != nil {
		return Proof{}, err
	}
	a := e.authenticator
	proof := Proof{Authenticator: a, Account: account, Action: action.ActionID}
	for i := range proof.Account.Authenticators {
		if proof.Account.Authenticators[i].ID == a.ID {
			proof.Account.Authenticators[i] = a
		}
	}
	sum := sha256.Sum256(challenge.Digest)
	outcome := Outcome{
		Challenge: challenge, Action: action.ActionID, Proof: &a, Tries: rp.tries, At: now, Step: e.step, Code: e.code,
		Counted: e.counted, Meters: e.meters, Digest: base64URL(sum[:]),
	}
	change, err := rp.change(&outcome, &proof)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		refused.counted = e.counted
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	case err != nil:
		return Proof{}, err
	}
	outcome.Events = func(state events.ActionState, tries int) ([]events.Draft, error) {
		drafts, err := proofEvents(challenge, action.ActionID, e, client, state, tries, now)
		if err != nil || change == nil {
			return drafts, err
		}
		draft, err := events.NewDraft(change, nil, now)
		return append(drafts, draft), err
	}
	if e.regressed {
		outcome.Regressed, proof.Authenticator.Regressed = a.ID, true
	}
	result, err := rp.store.Finish(ctx, outcome)
	switch {
	case errors.Is(err, ErrNoChallenge): // removed while the answer was verified
		return Proof{}, refuse(CodeUnknownCredential, ReasonUnknownCredential, err)
	case err != nil:
		err = refusal(err)
		if errors.As(err, &refused) && challenge.Purpose == ForAction && result.State == events.StateChallengeFailed {
			refused.State = result.State // it was the last try
		}
		return Proof{}, fmt.Errorf("record proof: %w", err)
	}
	proof.State = result.State
	if challenge.Purpose == ForAction || challenge.Purpose == ForSignIn {
		action.State, action.ProvenAt = result.State, now
	}
	rp.notify(ctx, challenge, action, proof)
	proof.Token, proof.Grant, err = rp.renew(grant, account, action, rp.permit(challenge, now))
	return proof, err
}

// proofEvents is the event of a success: what was verified, and the receipt.
func proofEvents(challenge Challenge, action events.ActionID, e evidence, client Client, state events.ActionState, tries int, now time.Time) ([]events.Draft, error) {
	record := challenge.record(events.KindCeremonySucceeded)
	record.ActionID, record.State, record.Tries = action, state, tries
	record.Detail, record.Receipt = e.note, e.receipt
	if e.authenticator.ID != "" {
		record.Authenticator, record.Method = e.authenticator.ID, e.authenticator.Method
	}
	personal := client.personal()
	personal[PersonalDocument] = base64URL(challenge.Digest)
	personal[PersonalNonce] = base64URL(challenge.Nonce)
	draft, err := events.NewDraft(record, personal, now)
	return []events.Draft{draft}, err
}

// permit is what a proof allows to change afterwards, zero for nothing.
func (rp *RelyingParty) permit(challenge Challenge, now time.Time) Permit {
	if challenge.Purpose != ForAdding && challenge.Purpose != ForEmail {
		return Permit{}
	}
	// The challenge's id is random and was used once, and so is the permit.
	return Permit{ID: string(challenge.ID), Purpose: challenge.Purpose, Subject: challenge.Subject, Expires: now.Add(PermitTTL).UTC().Truncate(time.Second)}
}

// renew makes the token that follows a finished ceremony. It may enrol only
// where the backend asked for that with the action, and the person has proven
// this very action, or where the proof was for that very change. That a page shows
// the account stays as it was.
func (rp *RelyingParty) renew(grant Grant, account Account, action Action, permit Permit) (string, Grant, error) {
	scopes := ScopeRead
	if hasScope(action.Scope, ScopeAdd) && rp.proven(account, action) == nil {
		scopes += " " + ScopeAdd
	}
	use := UseAccess
	if grant.Use == UsePage {
		use = UsePage
		if grant.Allows(ScopeAccount) {
			scopes += " " + ScopeAccount
		}
	}
	return rp.tokens.sign(Grant{Use: use, Action: action.ActionID, Scopes: scopes, Generation: account.Generation, Permit: permit})
}

// Report closes a ceremony that the browser did not answer, with the name of the
// browser's own error for the audit trail. It is no wrong answer and uses up no try.
func (rp *RelyingParty) Report(ctx context.Context, grant Grant, id events.ChallengeID, browserError string, client Client) error {
	if _, err := rp.account(ctx, grant); err != nil {
		return err
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	challenge, err := rp.take(ctx, grant, id)
	if err != nil {
		return err
	}
	refused := refuse(CodeInvalidRequest, ReasonBrowser, nil)
	refused.browser = errorName(browserError)
	err = rp.fail(ctx, challenge, client, refused)
	if errors.As(err, &refused) && refused.Reason == ReasonBrowser {
		return nil
	}
	return err
}

// errorName is the name of a DOMException (WebIDL, section 2.8.1), or "other": what
// a browser sends must not become a text in the trail.
func errorName(name string) string {
	if len(name) == 0 || len(name) > 40 {
		return "other"
	}
	for _, c := range []byte(name) {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "other"
		}
	}
	return name
}
