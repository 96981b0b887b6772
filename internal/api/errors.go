package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// The error codes of answers. Those of the wire protocol come first (CONTRACT
// 1.2); SDKs branch on them.
const (
	codeUnauthorized = "unauthorized"
	codeInvalid      = "invalid_request"
	codeInvalidToken = "invalid_token"
	codeTooMany      = "too_many_requests"
	codeConflict     = "conflict"

	codeNotFound    = "not_found"
	codeMethod      = "method_not_allowed"
	codeTooLarge    = "payload_too_large"
	codeMediaType   = "unsupported_media_type"
	codeForbidden   = "forbidden"
	codeApproval    = "approval_required"
	codeTestsFailed = "tests_failed"
	codeUnavailable = "unavailable"
	codeInternal    = "internal_error"
)

// Sentences that several answers share. The first is asserted, word for word, by
// the test suites of four SDKs (CONTRACT 1.2).
const (
	unauthorizedText  = "The request is unauthorized. Check that your API key and region base URL are correctly configured."
	unavailableText   = "Sallyport cannot answer at the moment. Try again in a second, with the same idempotencyKey where you sent one."
	internalErrorText = "Something went wrong in Sallyport. Its log has the cause under this request id."
)

// Error is an answer that is not a success.
type Error struct {
	Status      int
	Code        string
	Description string // a sentence for the developer who reads it
	Details     []rules.Problem
	RetryAfter  time.Duration // 0: no such header
	RetryAt     time.Time     // the same as a time of the server's clock; zero: RetryAfter counts
	Cause       error         // for the log only
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Description
}

func (e *Error) Unwrap() error { return e.Cause }

// wireError is the body of an error. All of the first three keys must be there:
// some SDKs read error, others errorCode (CONTRACT 0.2).
type wireError struct {
	Error            string          `json:"error"`
	ErrorCode        string          `json:"errorCode"`
	ErrorDescription string          `json:"errorDescription"`
	RequestID        string          `json:"requestId,omitempty"`
	Details          []rules.Problem `json:"details,omitempty"`
}

// invalid is a 400 that says what to do.
func invalid(description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: codeInvalid, Description: description}
}

// invalidField is a 400 about one field.
func invalidField(field, message string) *Error {
	e := invalid(field + ": " + strings.TrimSuffix(message, ".") + ".")
	e.Details = []rules.Problem{{Field: field, Message: message}}
	return e
}

func unauthorized(cause error) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: codeUnauthorized, Description: unauthorizedText, Cause: cause}
}

func notFound(description string) *Error {
	return &Error{Status: http.StatusNotFound, Code: codeNotFound, Description: description}
}

// asError turns what a handler returned into an answer. It is the only place
// that knows which error has which status; an error that is not listed is a 500
// whose text stays in the log.
func asError(err error) *Error {
	var (
		answer  *Error
		http4   *echo.HTTPError
		refused *ceremonies.RefusedError
		input   *engine.InputError
		move    *engine.MoveError
		compile *rules.CompileError
		tests   *ruleset.TestsError
		since   *ruleset.ConflictError
		old     *ruleset.UnreadableError
	)
	switch {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &http4):
		return routingError(http4)
	case errors.As(err, &refused):
		return refusal(refused)
	case errors.As(err, &input):
		e := invalidField(input.Field, input.Message)
		e.Cause = err
		return e
	case errors.As(err, &move):
		return &Error{
			Status: http.StatusBadRequest, Code: codeInvalid, Cause: err,
			Description: "An action in state " + string(move.From) + " cannot become " + string(move.To) + ".",
		}
	case errors.As(err, &compile):
		return &Error{
			Status: http.StatusBadRequest, Code: codeInvalid, Cause: err, Details: compile.Problems,
			Description: "The rule set does not compile: " + firstProblem(compile.Problems),
		}
	case errors.As(err, &tests):
		return failedTests(tests)
	case errors.As(err, &since):
		return overtaken(since)
	case errors.As(err, &old):
		return &Error{
			Status: http.StatusConflict, Code: codeConflict, Cause: err, Details: old.Err.Problems,
			Description: "Rule set " + strconv.Itoa(old.Number) + " cannot be used by this version of Sallyport any more: " + firstProblem(old.Err.Problems),
		}
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{
			Status: http.StatusServiceUnavailable, Code: codeUnavailable, Description: unavailableText,
			RetryAfter: time.Second, Cause: err,
		}
	}
	for _, row := range sentinels {
		if errors.Is(err, row.is) {
			return &Error{Status: row.status, Code: row.code, Description: row.text, Cause: err}
		}
	}
	return &Error{Status: http.StatusInternalServerError, Code: codeInternal, Description: internalErrorText, Cause: err}
}

// sentinels are the plain errors of the domain packages.
var sentinels = []struct {
	is     error
	status int
	code   string
	text   string
}{
	{engine.ErrNotFound, http.StatusNotFound, codeNotFound, "There is no such object."},
	{engine.ErrConflict, http.StatusConflict, codeConflict, "Somebody else changed this in the meantime. Load it again and repeat your change."},
	{ruleset.ErrApprovalRequired, http.StatusConflict, codeApproval, "Somebody who did not work on it must approve this rule set first. Save it as a draft and let another operator approve it in the console."},
	{ruleset.ErrOwnDraft, http.StatusForbidden, codeForbidden, "You have worked on this draft. Somebody else must approve it."},
	{ruleset.ErrNoPerson, http.StatusForbidden, codeForbidden, "Only an operator can approve a draft, in the console."},
	{ruleset.ErrInForce, http.StatusConflict, codeConflict, "This rule set is in force already."},
	{ceremonies.ErrNoAction, http.StatusNotFound, codeNotFound, "There is no such action."},
	{ceremonies.ErrCredentialExists, http.StatusConflict, codeConflict, "A passkey with this credentialId is, or was, registered already."},
	{events.ErrCursor, http.StatusBadRequest, codeInvalid, "The cursor is not one that an earlier page returned. Leave it out to begin with the first page."},
	{operators.ErrNotFound, http.StatusUnauthorized, codeUnauthorized, "Nobody is signed in here. Sign in and try again."},
	{operators.ErrInvite, http.StatusBadRequest, codeInvalid, "This invite is not valid any more. Ask for a new one: sallyport operator invite."},
	{operators.ErrCeremony, http.StatusBadRequest, codeInvalid, "This took too long or was answered before. Start again."},
	{operators.ErrRefused, http.StatusBadRequest, ceremonies.CodeInvalidCredential, "This passkey was not accepted here. Use the passkey that you registered for this console."},
	{operators.ErrName, http.StatusBadRequest, codeInvalid, "A name has 1 to 64 characters, none of them a control character or a mark that turns the direction of text."},
	{operators.ErrRole, http.StatusBadRequest, codeInvalid, "role must be administrator, analyst or reviewer."},
}

// routingError is what Echo says before a handler is found.
func routingError(e *echo.HTTPError) *Error {
	switch e.Code {
	case http.StatusNotFound:
		return notFound("There is no such endpoint. Check the method, the path and the base URL.")
	case http.StatusMethodNotAllowed:
		return &Error{Status: e.Code, Code: codeMethod, Description: "This endpoint has another method. The Allow header names those it has."}
	}
	return &Error{Status: http.StatusInternalServerError, Code: codeInternal, Description: internalErrorText, Cause: e}
}

// refusal is a ceremony that was refused. The code is the ceremonies' own, which
// SDKs branch on; the sentence tells the reason in plain words.
func refusal(e *ceremonies.RefusedError) *Error {
	answer := &Error{Status: http.StatusBadRequest, Code: e.Code, Description: refusalTexts[e.Reason], RetryAt: e.Until, Cause: e}
	switch {
	case e.Reason == ceremonies.ReasonSendFailed: // nobody's mistake who called
		answer.Status, answer.Code, answer.RetryAfter = http.StatusServiceUnavailable, codeUnavailable, sendAgain
	case e.Code == ceremonies.CodeExpiredToken, e.Code == ceremonies.CodeInvalidToken:
		answer.Status = http.StatusUnauthorized
	case e.Code == ceremonies.CodeTooManyRequests:
		answer.Status = http.StatusTooManyRequests
	}
	if answer.Description == "" {
		answer.Description = refusalCodeTexts[e.Code]
	}
	if answer.Description == "" {
		answer.Description = "The answer was not accepted."
	}
	return answer
}

// sendAgain is when a mail that could not be handed over may be tried again.
const sendAgain = 5 * time.Second

var refusalCodeTexts = map[string]string{
	ceremonies.CodeExpiredToken:      "The token has expired. Track the action again to get a new one.",
	ceremonies.CodeInvalidToken:      "The token is not valid here. Track the action again to get one.",
	ceremonies.CodeInvalidCredential: "The passkey's answer could not be verified. Begin again.",
	ceremonies.CodeUnknownCredential: "This passkey is not registered here.",
	ceremonies.CodeTooManyRequests:   "Too many attempts. Wait a moment and try again.",
}

// refusalTexts are the sentences for the reasons that a caller can do something
// about. Of the others the audit trail alone tells which it was: they would help
// somebody who tries.
var refusalTexts = map[string]string{
	ceremonies.ReasonTokenGeneration:   "The token was taken back. Track the action again to get a new one.",
	ceremonies.ReasonActionUnknown:     "The token's action is not known here any more. Track it again.",
	ceremonies.ReasonActionNotOpen:     "The action is not waiting for a challenge.",
	ceremonies.ReasonTriesUsedUp:       "There were too many wrong answers; the action has failed.",
	ceremonies.ReasonLocked:            "There were too many codes. Wait for as long as Retry-After says, or use a passkey.",
	ceremonies.ReasonNoAuthenticator:   "The user has nothing of this method to prove it with.",
	ceremonies.ReasonNotEnrolledThen:   "The user had nothing to prove it with when the action was decided. Track a new action.",
	ceremonies.ReasonMethodRefused:     "The action does not accept this verification method. allowedVerificationMethods of the track answer names those that it does.",
	ceremonies.ReasonMethodDisabled:    "This is not an enabled verification method.",
	ceremonies.ReasonScopeMissing:      "The token does not allow adding an authenticator. Track an action with the scope add:authenticators and let the user prove it first.",
	ceremonies.ReasonProofMissing:      "The user must prove this action before an authenticator is added.",
	ceremonies.ReasonProofStale:        "The proof is too old to add an authenticator. Track the action again and let the user prove it.",
	ceremonies.ReasonPermitUsed:        "The proof allowed one authenticator, which was added. Let the user prove it again.",
	ceremonies.ReasonEnrolledMeanwhile: "The user has an authenticator by now, and must prove that before another one is added.",
	ceremonies.ReasonBlocked:           "The action was blocked, so no authenticator can be added with its token.",
	ceremonies.ReasonBadAttachment:     "authenticatorAttachment must be platform, cross-platform or null.",
	ceremonies.ReasonMalformed:         "The answer cannot be read. Send what navigator.credentials returned, as JSON, or the code as it was shown.",
	ceremonies.ReasonChallengeUnknown:  "There is no such challenge of this user and action. Ask for options or for a code first.",
	ceremonies.ReasonChallengeTaken:    "This challenge was answered before. Ask for a new one.",
	ceremonies.ReasonChallengeExpired:  "This challenge has expired. Ask for a new one.",
	ceremonies.ReasonWrongKind:         "This challenge was begun for something else. Ask for a new one.",
	ceremonies.ReasonWrongPurpose:      "This challenge was begun for something else. Ask for a new one.",
	ceremonies.ReasonUserNotVerified:   "The passkey did not verify the user. Screen lock, fingerprint, face or PIN is required.",
	ceremonies.ReasonUnattested:        "Authenticators of this make are not accepted here.",
	ceremonies.ReasonCredentialExists:  "This passkey is registered already.",
	ceremonies.ReasonForeignCredential: "This passkey or code belongs to somebody else.",
	ceremonies.ReasonWrongCode:         "The code is wrong, or its time is over.",
	ceremonies.ReasonCodeUsed:          "This code was used before.",
	ceremonies.ReasonNoAddress:         "The user has no address that a code can be sent to.",
	ceremonies.ReasonSendFailed:        "The mail with the code could not be handed over. Try again in a few seconds.",
	ceremonies.ReasonNotVerified:       "The code of this challenge was not answered yet. Verify it first.",
}

// failedTests names the tests that keep a rule set from being published.
func failedTests(e *ruleset.TestsError) *Error {
	answer := &Error{
		Status: http.StatusBadRequest, Code: codeTestsFailed, Cause: e,
		Description: "The rule set was not published because " + strconv.Itoa(len(e.Failed)) + " of its " + plural(e.Of, "test") + " failed.",
	}
	for _, t := range e.Failed[:min(len(e.Failed), rules.MaxProblems)] {
		answer.Details = append(answer.Details, rules.Problem{Field: "tests", Rule: t.WantRule, Message: strconv.Quote(t.Name) + ": " + t.Message})
	}
	return answer
}

// overtaken says who published what since the set that was edited.
func overtaken(e *ruleset.ConflictError) *Error {
	answer := &Error{
		Status: http.StatusConflict, Code: codeConflict, Cause: e,
		Description: "The rules have changed: set " + strconv.Itoa(e.Current.Number) + " by " + e.Current.Author +
			" has come into force since set " + strconv.Itoa(e.Base) + ", which was edited. Look at what is in force and try again.",
	}
	for _, c := range e.Changes[:min(len(e.Changes), rules.MaxProblems)] {
		p := rules.Problem{Field: c.Part, Message: c.String()}
		if c.Part == "rule" {
			p.Rule = c.Name
		}
		answer.Details = append(answer.Details, p)
	}
	return answer
}

func firstProblem(problems []rules.Problem) string {
	if len(problems) == 0 {
		return "no problem was named."
	}
	p := problems[0]
	text := strings.TrimSuffix(p.Message, ".") + "."
	if p.Line > 0 {
		text = "line " + strconv.Itoa(p.Line) + ": " + text
	}
	if p.Field != "" {
		text = p.Field + ", " + text
	}
	return text
}
