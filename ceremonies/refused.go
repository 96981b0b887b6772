package ceremonies

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Codes of a RefusedError, those of the wire protocol (CONTRACT 1.2).
const (
	CodeInvalidCredential = "invalid_credential"
	CodeUnknownCredential = "unknown_credential"
	CodeInvalidRequest    = "invalid_request"
	CodeExpiredToken      = "expired_token"
	CodeInvalidToken      = "invalid_token"
	CodeTooManyRequests   = "too_many_requests"
)

// Reasons of a RefusedError: stable codes for the audit trail and for the page's
// choice of words. They never change their meaning; new ones join.
const (
	// Of tokens.
	ReasonTokenExpired    = "token_expired"
	ReasonTokenInvalid    = "token_invalid"
	ReasonTokenGeneration = "token_generation" // the user's tokens were all taken back
	ReasonUserUnknown     = "user_unknown"
	ReasonLinkUsed        = "link_used"

	// Of beginning.
	ReasonActionUnknown    = "action_unknown"
	ReasonActionNotOpen    = "action_not_open"        // it does not wait for a challenge
	ReasonTriesUsedUp      = "tries_used_up"          // the action failed after too many wrong answers
	ReasonNoAuthenticator  = "no_authenticator"       // nothing to prove it with
	ReasonNotEnrolledThen  = "not_enrolled_then"      // there was no authenticator when the action was decided
	ReasonMethodRefused    = "method_refused"         // the action's rule accepts none of the person's authenticators
	ReasonScopeMissing     = "scope_missing"          // the token does not allow enrolment
	ReasonProofMissing     = "proof_missing"          // an enrolled person must prove this very action first
	ReasonProofStale       = "proof_stale"            // the proof is older than EnrolmentWindow
	ReasonBlocked          = "action_blocked"         // a blocked or failed action enrols nobody
	ReasonBadAttachment    = "attachment_unsupported" // neither platform nor cross-platform
	ReasonMalformed        = "malformed"              // the answer cannot be read
	ReasonChallengeUnknown = "challenge_unknown"
	ReasonChallengeTaken   = "challenge_taken"
	ReasonChallengeExpired = "challenge_expired"
	ReasonWrongKind        = "wrong_kind"    // a registration where a proof was asked for, or the other way round
	ReasonWrongPurpose     = "wrong_purpose" // the challenge was begun for something else

	// Of codes and of changes.
	ReasonLocked         = "locked"          // too many codes were wrong or sent; RefusedError.Until says how long
	ReasonMethodDisabled = "method_disabled" // this server does not offer the method
	ReasonWrongCode      = "wrong_code"      // or one that is over
	ReasonCodeUsed       = "code_used"       // a recovery code or a time step that has proven something already
	ReasonPermitUsed     = "permit_used"     // the proof allowed one change, which was made
	ReasonNoAddress      = "no_address"      // there is no address to send a code to
	ReasonSendFailed     = "send_failed"     // the mail could not be handed over
	ReasonUnattested     = "unattested"      // the attestation policy does not trust the authenticator
	ReasonNotVerified    = "not_verified"    // the code to be claimed was not answered yet

	// Of verifying (WebAuthn L3, sections 7.1 and 7.2).
	ReasonWrongType          = "wrong_type"
	ReasonChallengeMismatch  = "challenge_mismatch"
	ReasonOriginMismatch     = "origin_mismatch"
	ReasonCrossOrigin        = "cross_origin"
	ReasonRelyingParty       = "relying_party_mismatch"
	ReasonUserNotPresent     = "user_not_present"
	ReasonUserNotVerified    = "user_not_verified"
	ReasonBadSignature       = "bad_signature"
	ReasonForeignCredential  = "foreign_credential" // a passkey of somebody else
	ReasonUnknownCredential  = "unknown_credential" // this person's passkey, but removed here
	ReasonNotOffered         = "not_offered"        // a passkey that came after the challenge
	ReasonUserHandle         = "user_handle_mismatch"
	ReasonBackupFlags        = "backup_flags"       // a synced passkey that says it is bound to its device
	ReasonSignCountRegress   = "sign_count_regress" // the counter of a device-bound passkey went back
	ReasonUnusableKey        = "unusable_key"       // the new passkey's public key proves nothing, or is too weak to
	ReasonCredentialExists   = "credential_exists"
	ReasonVerificationFailed = "verification_failed" // any other check of the library
	ReasonEnrolledMeanwhile  = "enrolled_meanwhile"  // somebody enrolled between begin and finish

	// Of ceremonies that end without an answer: by Sweep, and with what they were for.
	ReasonTimeout     = "timeout"
	ReasonInterrupted = "interrupted"
	ReasonDenied      = "denied"       // the person denied the action while the ceremony was open
	ReasonUserDeleted = "user_deleted" // the person was deleted while it was open

	// Of Report: the browser said why nobody answered.
	ReasonBrowser = "browser"
)

// RefusedError is a refusal: the person or the client did not get what they
// asked for, and nothing is broken. Any other error of this package is a fault.
type RefusedError struct {
	// Code is for the wire.
	Code string
	// Reason is for the audit trail.
	Reason string
	// State is the action's new state when the refusal changed it, "" otherwise.
	State events.ActionState
	// Until is when a locked account opens, with ReasonLocked; zero otherwise.
	Until time.Time
	// Err is the cause, possibly nil. Its text is the library's and not for people.
	Err error

	regressed events.AuthenticatorID // whose counter went back, see Outcome.Regressed
	counted   bool                   // an Attempt counted the answer, see Outcome.Counted
	user      events.UserID          // whose it turned out to be, of a challenge that was begun for nobody
	browser   string                 // name of the browser's own error
}

// Error names the reason, and the cause for logs.
func (e *RefusedError) Error() string {
	if e.Err == nil {
		return "refused: " + e.Reason
	}
	return fmt.Sprintf("refused: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(code, reason string, err error) *RefusedError {
	return &RefusedError{Code: code, Reason: reason, Err: err}
}

// refusal turns the errors that a Store documents into refusals. Others are
// faults and come back as they are.
func refusal(err error) error {
	var locked *LockedError
	switch {
	case errors.As(err, &locked):
		refused := refuse(CodeTooManyRequests, ReasonLocked, err)
		refused.Until = locked.Until
		return refused
	case errors.Is(err, ErrTries):
		return refuse(CodeTooManyRequests, ReasonTriesUsedUp, err)
	case errors.Is(err, ErrSpent):
		return refuse(CodeInvalidRequest, ReasonCodeUsed, err)
	case errors.Is(err, ErrRemoved):
		return refuse(CodeInvalidRequest, ReasonNoAuthenticator, err)
	case errors.Is(err, ErrNotVerified):
		return refuse(CodeInvalidRequest, ReasonNotVerified, err)
	case errors.Is(err, ErrNoAction):
		return refuse(CodeInvalidToken, ReasonActionUnknown, err)
	case errors.Is(err, ErrNotOpen):
		return refuse(CodeInvalidRequest, ReasonActionNotOpen, err)
	case errors.Is(err, ErrNoChallenge):
		return refuse(CodeInvalidRequest, ReasonChallengeUnknown, err)
	case errors.Is(err, ErrTaken):
		return refuse(CodeInvalidRequest, ReasonChallengeTaken, err)
	case errors.Is(err, ErrExpired):
		return refuse(CodeInvalidRequest, ReasonChallengeExpired, err)
	case errors.Is(err, ErrCredentialExists):
		return refuse(CodeInvalidCredential, ReasonCredentialExists, err)
	case errors.Is(err, ErrEnrolledMeanwhile):
		return refuse(CodeInvalidRequest, ReasonEnrolledMeanwhile, err)
	}
	return err
}
