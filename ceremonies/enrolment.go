package ceremonies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// EnrolOptions are the wishes of the client that registers a passkey.
type EnrolOptions struct {
	// Username and DisplayName are shown by the person's device; empty means what
	// the application told with its actions.
	Username, DisplayName string
	// Attachment is "platform" or "cross-platform"; nil means any.
	Attachment *string
}

// Enrolment is a begun registration.
type Enrolment struct {
	Challenge events.ChallengeID
	Options   CreationOptions
	Expires   time.Time // an answer after this time is refused
}

// Enrolled is a registered passkey.
type Enrolled struct {
	Authenticator Authenticator
	Account       Account // with the new authenticator
	Action        events.ActionID
	State         events.ActionState // of the action: enrolling does not change it
	Token         string             // renewed, see Proof
	Grant         Grant              // what Token says
}

// MayEnrol says whether the person may register a passkey now, nil or a
// RefusedError. Enrolling never replaces proving: the grant must carry
// add:authenticators, and beyond that
//
//   - a person without any authenticator may, unless the action was blocked,
//     failed, or waits for a proof;
//   - everybody else must have proven this very action within EnrolmentWindow,
//     and the backend must have tracked it with the scope add:authenticators.
func (rp *RelyingParty) MayEnrol(grant Grant, account Account, action Action) error {
	if !grant.Allows(ScopeAdd) {
		return refuse(CodeInvalidToken, ReasonScopeMissing, nil)
	}
	switch action.State {
	case events.StateBlock, events.StateChallengeFailed, events.StateReviewFailed:
		return refuse(CodeInvalidRequest, ReasonBlocked, nil)
	case events.StateChallengeRequired:
		return refuse(CodeInvalidRequest, ReasonProofMissing, nil)
	}
	if len(account.Authenticators) == 0 {
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

// BeginEnrolment asks the person's device for a new passkey. See MayEnrol for
// who may.
func (rp *RelyingParty) BeginEnrolment(ctx context.Context, grant Grant, options EnrolOptions) (Enrolment, error) {
	account, action, err := rp.mayEnrol(ctx, grant)
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
	if options.Attachment != nil {
		selection.AuthenticatorAttachment = protocol.AuthenticatorAttachment(*options.Attachment)
		if selection.AuthenticatorAttachment != protocol.Platform && selection.AuthenticatorAttachment != protocol.CrossPlatform {
			return Enrolment{}, refuse(CodeInvalidRequest, ReasonBadAttachment, nil)
		}
	}
	challenge, err := rp.challenge(Registration, ForEnrolment, action, false)
	if err != nil {
		return Enrolment{}, err
	}
	creation, data, err := rp.library.BeginRegistration(user,
		webauthn.WithAuthenticatorSelection(selection),
		webauthn.WithCredentialParameters(algorithms()),
		webauthn.WithExclusions(webauthn.Credentials(user.credentials).CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = challengeFor(challenge.Nonce, challenge.Digest)
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
		Options: creationOptions(creation.Response, account.Handle),
	}, nil
}

// FinishEnrolment verifies the answer to a challenge of BeginEnrolment and adds
// the passkey, after asking MayEnrol once more. The action stays as it is. A
// wrong answer uses up the challenge and nothing else. Like FinishStepUp it goes
// on when ctx is cancelled.
func (rp *RelyingParty) FinishEnrolment(ctx context.Context, grant Grant, id events.ChallengeID, response []byte, client Client) (Enrolled, error) {
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
	account, action, err := rp.mayEnrol(ctx, grant)
	if err != nil {
		if errors.As(err, &refused) {
			return Enrolled{}, rp.fail(ctx, challenge, client, refused)
		}
		return Enrolled{}, err
	}
	data, err := challenge.readSession()
	if err != nil {
		return Enrolled{}, err
	}
	user, err := account.person()
	if err != nil {
		return Enrolled{}, err
	}
	credential, refused := rp.verifyAttestation(challenge, data, user, answer)
	if refused != nil {
		return Enrolled{}, rp.fail(ctx, challenge, client, refused)
	}
	now := rp.now()
	authenticator, err := rp.authenticator(account, credential, client, now)
	if err != nil {
		return Enrolled{}, err
	}
	result, err := rp.store.Finish(ctx, Outcome{
		Challenge: challenge, New: &authenticator, OnlyFirst: len(account.Authenticators) == 0, At: now,
		Events: func(state events.ActionState, tries int) ([]events.Draft, error) {
			return enrolmentEvents(challenge, authenticator, client, state, now)
		},
	})
	if err != nil {
		return Enrolled{}, fmt.Errorf("record enrolment: %w", refusal(err))
	}
	account.Authenticators = append(account.Authenticators, authenticator)
	enrolled := Enrolled{Authenticator: authenticator, Account: account, Action: grant.Action, State: result.State}
	enrolled.Token, enrolled.Grant, err = rp.renew(grant, account, action)
	return enrolled, err
}

// mayEnrol reads what MayEnrol needs and asks it.
func (rp *RelyingParty) mayEnrol(ctx context.Context, grant Grant) (Account, Action, error) {
	account, err := rp.account(ctx, grant)
	if err != nil {
		return Account{}, Action{}, err
	}
	action, err := rp.action(ctx, grant)
	if err != nil {
		return Account{}, Action{}, err
	}
	return account, action, rp.MayEnrol(grant, account, action)
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

// verifyAttestation is WebAuthn L3, section 7.1. Attestation statements are
// neither asked for nor believed.
func (rp *RelyingParty) verifyAttestation(challenge Challenge, data webauthn.SessionData, user *person,
	answer *protocol.ParsedCredentialCreationData,
) (*webauthn.Credential, *RefusedError) {
	if refused := challenge.is(Registration, ForEnrolment); refused != nil {
		return nil, refused
	}
	credential, err := rp.library.CreateCredential(user, data, answer)
	if err == nil {
		return credential, nil
	}
	auth := answer.Response.AttestationObject.AuthData
	reason := rp.ceremonyReason(protocol.CreateCeremony, data, answer.Response.CollectedClientData, auth)
	switch {
	case reason != "":
	case auth.Flags.HasBackupState() && !auth.Flags.HasBackupEligible():
		reason = ReasonBackupFlags
	default:
		reason = ReasonVerificationFailed
	}
	return nil, refuse(CodeInvalidCredential, reason, err)
}

// authenticator is the record of a new passkey.
func (rp *RelyingParty) authenticator(account Account, credential *webauthn.Credential, client Client, now time.Time) (Authenticator, error) {
	raw, err := json.Marshal(credential)
	if err != nil {
		return Authenticator{}, fmt.Errorf("write credential: %w", err)
	}
	id := make([]byte, idBytes)
	if _, err := io.ReadFull(rp.random, id); err != nil {
		return Authenticator{}, fmt.Errorf("read random bytes: %w", err)
	}
	aaguid := uuidText(credential.Authenticator.AAGUID)
	attachment := string(credential.Authenticator.Attachment)
	return Authenticator{
		ID: events.AuthenticatorID(randomName(id)), User: account.User, Method: events.MethodPasskey,
		Name: rp.providers.name(aaguid, attachment), CredentialID: credential.ID, Credential: raw, AAGUID: aaguid,
		Synced: credential.Flags.BackupEligible, BackedUp: credential.Flags.BackupState, Attachment: attachment,
		SignCount: credential.Authenticator.SignCount, UserAgent: client.UserAgent, DeviceID: client.DeviceID, CreatedAt: now,
	}, nil
}

// enrolmentEvents are the end of the ceremony and the new authenticator.
func enrolmentEvents(challenge Challenge, authenticator Authenticator, client Client, state events.ActionState, now time.Time) ([]events.Draft, error) {
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
	return []events.Draft{finished, added}, nil
}
