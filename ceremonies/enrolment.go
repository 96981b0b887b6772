package ceremonies

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// EnrolOptions are the wishes of the client that registers a passkey.
type EnrolOptions struct {
	// Method is PASSKEY or SECURITY_KEY; "" means PASSKEY.
	Method events.Method
	// Username and DisplayName are shown by the person's device; empty means what
	// the application told with its actions.
	Username, DisplayName string
	// Attachment is "platform" or "cross-platform"; nil means any.
	Attachment *string
	// Conditional is set where the browser may create the passkey without asking,
	// straight after a sign-in (WebAuthn L3, section 5.1.3.1). Nobody needs to be
	// present then.
	Conditional bool
}

// Enrolment is a begun registration.
type Enrolment struct {
	Challenge events.ChallengeID
	Options   CreationOptions
	Expires   time.Time // an answer after this time is refused
}

// Enrolled is a new authenticator.
type Enrolled struct {
	Authenticator Authenticator
	Account       Account // with the new authenticator
	Action        events.ActionID
	State         events.ActionState // of the action: enrolling does not change it
	Token         string             // renewed, see Proof
	Grant         Grant              // what Token says
	// RecoveryCodes are the person's first ones, where FinishEnrolment was asked for
	// them. They are shown now or never.
	RecoveryCodes []string
}

// MayEnrol says whether the person may add an authenticator of a method now, nil or
// a RefusedError. Enrolling never replaces proving:
//
//   - a proof for exactly that allows it once, for PermitTTL;
//   - a person without any authenticator may, with a token for that, unless the
//     action was blocked, failed, or waits for a proof;
//   - everybody else must have proven this very action within EnrolmentWindow,
//     and the backend must have tracked it with the scope add:authenticators.
//
// Subject is what the permit must be for: the method, or for EMAIL_OTP the address.
func (rp *RelyingParty) MayEnrol(grant Grant, account Account, action Action, method events.Method, subject string) error {
	if !rp.Offers(method) || method == events.MethodRecoveryCode {
		return refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	permitted := rp.permitted(grant, method, subject) && !account.Outlived(action)
	if !permitted && !grant.Allows(ScopeAdd) {
		return refuse(CodeInvalidToken, ReasonScopeMissing, nil)
	}
	if action.blocked() {
		return refuse(CodeInvalidRequest, ReasonBlocked, nil)
	}
	if permitted {
		return nil
	}
	if action.State == events.StateChallengeRequired {
		return refuse(CodeInvalidRequest, ReasonProofMissing, nil)
	}
	if len(account.usable()) == 0 {
		return nil
	}
	if !hasScope(action.Scope, ScopeAdd) {
		return refuse(CodeInvalidRequest, ReasonProofMissing, errors.New("the action was not tracked for adding an authenticator"))
	}
	if refused := rp.proven(account, action); refused != nil {
		return refused
	}
	return nil
}

// permitted reports whether the grant's last proof was for this enrolment.
func (rp *RelyingParty) permitted(grant Grant, method events.Method, subject string) bool {
	if method == events.MethodEmailOTP {
		return grant.Permit.allows(ForEmail, subject, rp.now())
	}
	return grant.Permit.allows(ForAdding, string(method), rp.now())
}

// proven refuses an action that was not proven, or by somebody who had the user's
// id before, or too long ago.
func (rp *RelyingParty) proven(account Account, action Action) *RefusedError {
	switch {
	case account.Outlived(action):
		return refuse(CodeInvalidRequest, ReasonProofMissing, errEarlierLife)
	case action.State != events.StateChallengeSucceeded || action.ProvenAt.IsZero():
		return refuse(CodeInvalidRequest, ReasonProofMissing, nil)
	case rp.now().Sub(action.ProvenAt) > EnrolmentWindow:
		return refuse(CodeInvalidRequest, ReasonProofStale, nil)
	}
	return nil
}

// BeginEnrolment asks the person's device for a new passkey or security key. See
// MayEnrol for who may.
func (rp *RelyingParty) BeginEnrolment(ctx context.Context, grant Grant, options EnrolOptions) (Enrolment, error) {
	method := cmp.Or(options.Method, events.MethodPasskey)
	if !signs(method) { // others have a beginning of their own
		return Enrolment{}, refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	account, action, err := rp.mayEnrol(ctx, grant, method, string(method))
	if err != nil {
		return Enrolment{}, err
	}
	user, err := account.person()
	if err != nil {
		return Enrolment{}, err
	}
	user.name = clip(first(options.Username, user.name))
	user.display = clip(first(options.DisplayName, account.DisplayName, user.name))
	selection := rp.library.Config.AuthenticatorSelection
	selection.UserVerification = rp.verificationFor(action, method)
	if options.Attachment != nil {
		selection.AuthenticatorAttachment = protocol.AuthenticatorAttachment(*options.Attachment)
		if selection.AuthenticatorAttachment != protocol.Platform && selection.AuthenticatorAttachment != protocol.CrossPlatform {
			return Enrolment{}, refuse(CodeInvalidRequest, ReasonBadAttachment, nil)
		}
	}
	if method == events.MethodSecurityKey {
		// A second factor needs no place on the key, of which it has few.
		selection.AuthenticatorAttachment = protocol.CrossPlatform
		selection.RequireResidentKey, selection.ResidentKey = protocol.ResidentKeyNotRequired(), protocol.ResidentKeyRequirementDiscouraged
	}
	challenge, err := rp.challenge(Registration, method, action, about{purpose: ForEnrolment}, rp.ttl)
	if err != nil {
		return Enrolment{}, err
	}
	mediation := protocol.MediationDefault
	if options.Conditional {
		mediation = protocol.MediationConditional
	}
	creation, data, err := rp.library.BeginMediatedRegistration(user, mediation,
		webauthn.WithAuthenticatorSelection(selection),
		webauthn.WithCredentialParameters(rp.algorithms),
		webauthn.WithExclusions(webauthn.Credentials(user.credentials).CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = challenge.Value
			return nil
		})
	if err != nil {
		return Enrolment{}, fmt.Errorf("begin registration: %w", err)
	}
	if challenge.Session, err = session(data); err != nil {
		return Enrolment{}, err
	}
	if err := rp.begin(ctx, challenge); err != nil {
		return Enrolment{}, err
	}
	return Enrolment{
		Challenge: challenge.ID, Expires: challenge.Expires,
		Options: rp.creationOptions(creation.Response, account.Handle),
	}, nil
}

// FinishEnrolment verifies the answer to a challenge of BeginEnrolment and adds
// the passkey, after asking MayEnrol once more. The action stays as it is. A
// wrong answer uses up the challenge and nothing else. Like FinishStepUp it goes
// on when ctx is cancelled.
func (rp *RelyingParty) FinishEnrolment(ctx context.Context, grant Grant, id events.ChallengeID, response []byte, client Client) (Enrolled, error) {
	return rp.finishEnrolment(ctx, grant, id, response, client, false)
}

// FinishConditionalEnrolment is FinishEnrolment for a client that says only with its
// answer that the browser has created the passkey without asking: see
// EnrolOptions.Conditional. To say so at the end allows nothing that saying so at
// the beginning does not.
func (rp *RelyingParty) FinishConditionalEnrolment(ctx context.Context, grant Grant, id events.ChallengeID, response []byte, client Client) (Enrolled, error) {
	return rp.finishEnrolment(ctx, grant, id, response, client, true)
}

func (rp *RelyingParty) finishEnrolment(ctx context.Context, grant Grant, id events.ChallengeID, response []byte, client Client, conditional bool) (Enrolled, error) {
	answer, refused := parseAttestation(response)
	if refused != nil {
		return Enrolled{}, refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	challenge, err := rp.take(ctx, grant, id)
	if err != nil {
		return Enrolled{}, err
	}
	account, action, err := rp.mayEnrol(ctx, grant, challenge.Method, string(challenge.Method))
	if err != nil {
		if errors.As(err, &refused) {
			return Enrolled{}, rp.fail(ctx, challenge, client, refused)
		}
		return Enrolled{}, err
	}
	if refused := challenge.isSigned(Registration, ForEnrolment); refused != nil {
		return Enrolled{}, rp.fail(ctx, challenge, client, refused)
	}
	data, err := challenge.readSession()
	if err != nil {
		return Enrolled{}, err
	}
	user, err := account.person()
	if err != nil {
		return Enrolled{}, err
	}
	if conditional && challenge.Method == events.MethodPasskey {
		// Nobody was asked, so nobody showed who they are (WebAuthn L3, section 7.1,
		// step 15). What the passkey proves later is asked for then.
		data.Mediation, data.UserVerification = protocol.MediationConditional, protocol.VerificationPreferred
	}
	credential, refused := rp.verifyAttestation(data, user, answer)
	if refused != nil {
		return Enrolled{}, rp.fail(ctx, challenge, client, refused)
	}
	attested := rp.attestation.trusts(*credential, rp.library.Config)
	if rp.attestation.Required && attested != nil {
		return Enrolled{}, rp.fail(ctx, challenge, client, refuse(CodeInvalidCredential, ReasonUnattested, attested))
	}
	authenticator, err := rp.passkey(challenge, credential, client)
	if err != nil {
		return Enrolled{}, err
	}
	authenticator.Attested = attested == nil
	return rp.enrol(ctx, grant, account, action, challenge, authenticator, client)
}

// enrol adds a new authenticator under a challenge that was taken and answered
// rightly. The person's first one is added only while it is the first.
func (rp *RelyingParty) enrol(ctx context.Context, grant Grant, account Account, action Action, challenge Challenge, authenticator Authenticator, client Client) (Enrolled, error) {
	now := rp.now()
	outcome := Outcome{
		Challenge: challenge, New: &authenticator, OnlyFirst: len(account.usable()) == 0, At: now, Tries: math.MaxInt32,
		Counted: challenge.Method != events.MethodPasskey && challenge.Method != events.MethodSecurityKey,
	}
	if outcome.Counted {
		outcome.Meters = rp.guessing(account.User, challenge.Method, client)
	}
	enrolled := Enrolled{Action: grant.Action}
	if rp.permitted(grant, authenticator.Method, first(authenticator.Email, string(authenticator.Method))) {
		outcome.Permit, outcome.PermitExpires = grant.Permit.ID, grant.Permit.Expires
	} else if !outcome.OnlyFirst {
		// The action was tracked for this, and its proof allows it once as well.
		outcome.Permit = "action:" + base64URL(rp.vault.hash("enrolment", string(action.User), action.Code, action.Key)[:16])
		outcome.PermitExpires = action.ProvenAt.Add(EnrolmentWindow)
	}
	if grant.Use == UsePage && outcome.OnlyFirst && rp.Offers(events.MethodRecoveryCode) {
		// Whoever loses their first and only way needs another, so they come with it.
		// Apps' own pages, which would not show them, ask for them on the account page.
		var err error
		if enrolled.RecoveryCodes, err = rp.newCodes(&outcome, account.User, action.ActionID, now); err != nil {
			return Enrolled{}, err
		}
	}
	outcome.Events = func(state events.ActionState, _ int) ([]events.Draft, error) {
		return enrolmentEvents(challenge, authenticator, client, state, now, len(outcome.Codes))
	}
	result, err := rp.store.Finish(ctx, outcome)
	switch {
	case errors.Is(err, ErrSpent):
		return Enrolled{}, refuse(CodeInvalidRequest, ReasonPermitUsed, err)
	case err != nil:
		return Enrolled{}, fmt.Errorf("record enrolment: %w", refusal(err))
	}
	account, err = rp.store.Account(ctx, account.User)
	if err != nil {
		return Enrolled{}, fmt.Errorf("read account: %w", err)
	}
	enrolled.Authenticator, enrolled.Account, enrolled.State = authenticator, account, result.State
	rp.notifyAdded(ctx, account, action, authenticator)
	enrolled.Token, enrolled.Grant, err = rp.renew(grant, account, action, Permit{})
	return enrolled, err
}

// mayEnrol reads what MayEnrol needs and asks it.
func (rp *RelyingParty) mayEnrol(ctx context.Context, grant Grant, method events.Method, subject string) (Account, Action, error) {
	account, action, err := rp.parties(ctx, grant)
	if err != nil {
		return Account{}, Action{}, err
	}
	return account, action, rp.MayEnrol(grant, account, action, method, subject)
}

func parseAttestation(response []byte) (*protocol.ParsedCredentialCreationData, *RefusedError) {
	if len(response) > MaxAnswer {
		return nil, refuse(CodeInvalidRequest, ReasonMalformed, fmt.Errorf("the answer has more than %d bytes", MaxAnswer))
	}
	answer, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, refuse(CodeInvalidRequest, ReasonMalformed, err)
	}
	return answer, nil
}

// verifyAttestation is WebAuthn L3, section 7.1, but for what the attestation is
// worth: see Attestation.
func (rp *RelyingParty) verifyAttestation(data webauthn.SessionData, user *person,
	answer *protocol.ParsedCredentialCreationData,
) (*webauthn.Credential, *RefusedError) {
	credential, err := rp.library.CreateCredential(user, data, answer)
	auth := answer.Response.AttestationObject.AuthData
	reason := rp.ceremonyReason(protocol.CreateCeremony, data, answer.Response.CollectedClientData, auth)
	switch {
	case err == nil && reason == "":
		if err := usableKey(credential.PublicKey); err != nil {
			return nil, refuse(CodeInvalidCredential, ReasonUnusableKey, err)
		}
		return credential, nil
	case err == nil:
		err = errStricter
	case reason != "":
	case auth.Flags.HasBackupState() && !auth.Flags.HasBackupEligible():
		reason = ReasonBackupFlags
	default:
		reason = ReasonVerificationFailed
	}
	return nil, refuse(CodeInvalidCredential, reason, err)
}

// passkey is the record of a new passkey or security key.
func (rp *RelyingParty) passkey(challenge Challenge, credential *webauthn.Credential, client Client) (Authenticator, error) {
	raw, err := json.Marshal(credential)
	if err != nil {
		return Authenticator{}, fmt.Errorf("write credential: %w", err)
	}
	a, err := rp.newAuthenticator(challenge, client)
	if err != nil {
		return Authenticator{}, err
	}
	a.CredentialID, a.Credential, a.AAGUID = credential.ID, raw, uuidText(credential.Authenticator.AAGUID)
	a.Synced, a.BackedUp = credential.Flags.BackupEligible, credential.Flags.BackupState
	a.Attachment, a.SignCount = string(credential.Authenticator.Attachment), credential.Authenticator.SignCount
	a.Name = rp.providers.nameFor(a.AAGUID, a.Attachment, a.Method)
	return a, nil
}

// newAuthenticator is what every new authenticator has.
func (rp *RelyingParty) newAuthenticator(challenge Challenge, client Client) (Authenticator, error) {
	id := make([]byte, idBytes)
	if _, err := io.ReadFull(rp.random, id); err != nil {
		return Authenticator{}, fmt.Errorf("read random bytes: %w", err)
	}
	return Authenticator{
		ID: events.AuthenticatorID(randomName(id)), User: challenge.Action.User, Method: challenge.Method,
		UserAgent: client.UserAgent, DeviceID: client.DeviceID, CreatedAt: rp.now(), EnrolledFor: challenge.Action,
	}, nil
}

// enrolmentEvents are the end of the ceremony and the new authenticator.
func enrolmentEvents(challenge Challenge, authenticator Authenticator, client Client, state events.ActionState, now time.Time, codes int) ([]events.Draft, error) {
	record := challenge.record(events.KindCeremonySucceeded)
	record.State, record.Authenticator = state, authenticator.ID
	finished, err := events.NewDraft(record, client.personal(), now)
	if err != nil {
		return nil, err
	}
	added, err := events.NewDraft(&events.AuthenticatorAdded{
		ActionID: challenge.Action, Authenticator: authenticator.ID, Method: authenticator.Method,
		AAGUID: authenticator.AAGUID, Synced: authenticator.Synced, By: events.ByPerson,
	}, nil, now)
	if err != nil {
		return nil, err
	}
	drafts := []events.Draft{finished, added}
	if codes > 0 {
		renewed, err := events.NewDraft(&events.RecoveryCodesRenewed{ActionID: challenge.Action, Count: codes, By: events.ByPerson}, nil, now)
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, renewed)
	}
	return drafts, nil
}
