package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// The client calls for codes: of an authenticator app, sent by e-mail, and recovery
// codes. A wrong code is an answer and not an error (CONTRACT 1.3).

// The two ways in which a code can be wrong.
const (
	codeWrong    = "CODE_INVALID_OR_EXPIRED"
	codeTooOften = "MAX_ATTEMPTS_EXCEEDED"
)

// standing reads the person of a grant and the grant's action.
func (s *Server) standing(ctx context.Context, grant ceremonies.Grant) (ceremonies.Account, ceremonies.Action, error) {
	account, err := s.config.Store.Account(ctx, grant.Action.User)
	if err != nil {
		return ceremonies.Account{}, ceremonies.Action{}, err
	}
	action, err := s.config.Store.Action(ctx, grant.Action)
	return account, action, err
}

// answering are the methods that can prove an action, each once, the preferred one
// first. Who must enrol first can have a code sent.
func (s *Server) answering(account ceremonies.Account, action ceremonies.Action) []events.Method {
	methods := []events.Method{}
	if s.config.Party.MustEnrolFirst(account, action) {
		return append(methods, events.MethodEmailOTP)
	}
	for _, a := range s.config.Party.Vouching(account, action) {
		if !slices.Contains(methods, a.Method) {
			methods = append(methods, a.Method)
		}
	}
	return methods
}

// addApp begins to add an authenticator app. The secret is told this once.
func (s *Server) addApp(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	if err := k.begins(); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginApp(ctx, k.grant)
	if err != nil {
		return fmt.Errorf("add authenticator app: %w", err)
	}
	return k.ok(struct {
		UserAuthenticatorID events.AuthenticatorID `json:"userAuthenticatorId"`
		UserID              events.UserID          `json:"userId"`
		URI                 string                 `json:"uri"`
		Secret              string                 `json:"secret"`
	}{begun.Authenticator, k.grant.Action.User, begun.URI, begun.Secret})
}

// verifyApp finishes to add the app that was begun, or proves the token's action.
func (s *Server) verifyApp(k *call) error {
	return s.verifyCode(k, events.MethodAuthenticatorApp, s.config.Party.FinishApp)
}

// addEmail begins to have codes sent to an address. The SDKs ask for the code with
// another call.
func (s *Server) addEmail(k *call) error {
	var request struct {
		Email string `json:"email"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if request.Email == "" {
		return invalidField("email", "is missing.")
	}
	client, err := k.client("")
	if err != nil {
		return err
	}
	if err := k.begins(); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginEmail(ctx, k.grant, request.Email, true, client)
	if isRefused(err, ceremonies.ReasonMalformed) {
		return invalidField("email", "is not an e-mail address.")
	}
	if err != nil {
		return fmt.Errorf("add e-mail address: %w", err)
	}
	return k.ok(struct {
		// The address has no id before its code came back; this one names the
		// ceremony.
		UserAuthenticatorID events.ChallengeID `json:"userAuthenticatorId"`
		UserID              events.UserID      `json:"userId"`
	}{begun.Challenge, k.grant.Action.User})
}

// sendCode sends a code by e-mail: to the address that is being added, or to the
// person's own for the token's action. Who must enrol first gets it at the address
// that the backend supplied, and it allows to add a passkey.
func (s *Server) sendCode(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	client, err := k.client("")
	if err != nil {
		return err
	}
	if err := k.begins(); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	enrols, err := s.config.Party.EnrolsByCode(ctx, k.grant, events.MethodEmailOTP)
	if err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	var sent ceremonies.Sent
	if enrols {
		sent, err = s.config.Party.SendEnrolmentCode(ctx, k.grant, client)
	} else {
		var ask ceremonies.Ask
		if ask, err = s.asking(ctx, k.grant, events.MethodEmailOTP); err == nil {
			sent, err = s.config.Party.SendCode(ctx, k.grant, ask, client)
		}
	}
	if err != nil {
		return fmt.Errorf("send code: %w", err)
	}
	return k.ok(struct {
		ChallengeID events.ChallengeID `json:"challengeId"`
	}{sent.Challenge})
}

// asking is what a code of the token's user is for: the action, or, where the person
// must enrol first, adding a passkey.
func (s *Server) asking(ctx context.Context, grant ceremonies.Grant, method events.Method) (ceremonies.Ask, error) {
	ask := ceremonies.Ask{Method: method}
	if method != events.MethodEmailOTP {
		return ask, nil
	}
	account, action, err := s.standing(ctx, grant)
	if err == nil && s.config.Party.MustEnrolFirst(account, action) {
		ask.Purpose, ask.Subject = ceremonies.ForAdding, string(events.MethodPasskey)
	}
	return ask, err
}

// verifyEmail finishes to add the address that was begun, or proves the token's
// action.
func (s *Server) verifyEmail(k *call) error {
	return s.verifyCode(k, events.MethodEmailOTP, s.config.Party.FinishEmail)
}

// verifyRecoveryCode proves the token's action with a recovery code. It is our own:
// the wire protocol has no client call for them.
func (s *Server) verifyRecoveryCode(k *call) error {
	return s.verifyCode(k, events.MethodRecoveryCode, nil)
}

// finishEnrolment adds what has shown a right code.
type finishEnrolment func(context.Context, ceremonies.Grant, events.ChallengeID, string, ceremonies.Client) (ceremonies.Enrolled, error)

// verifyCode checks a code of a method: for the enrolment that waits for it, if
// there is one and the method has enrolments by code, else for the token's action.
func (s *Server) verifyCode(k *call, method events.Method, enrol finishEnrolment) error {
	var request struct {
		Code string `json:"verificationCode"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if request.Code == "" {
		return invalidField("verificationCode", "is missing.")
	}
	client, err := k.client("")
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	if enrol != nil {
		enrols, err := s.config.Party.EnrolsByCode(ctx, k.grant, method)
		if err != nil {
			return fmt.Errorf("verify code: %w", err)
		}
		if enrols {
			enrolled, err := enrol(ctx, k.grant, "", request.Code, client)
			if err != nil {
				return k.wrongCode(fmt.Errorf("verify code: %w", err))
			}
			return k.ok(s.enrolled(enrolled))
		}
	}
	ask, err := s.asking(ctx, k.grant, method)
	if err != nil {
		return fmt.Errorf("verify code: %w", err)
	}
	proof, err := s.config.Party.FinishCode(ctx, k.grant, ask, "", request.Code, client)
	if err != nil {
		return k.wrongCode(fmt.Errorf("verify code: %w", err))
	}
	return k.ok(verified(proof.Token, proof.Authenticator, proof.Account))
}

// wrongCode answers that a code is wrong, or returns the error where something else
// is.
func (k *call) wrongCode(err error) error {
	why := failureOf(err)
	if why == "" {
		return err
	}
	k.retryAfter(err)
	return k.ok(wireVerified{FailureReason: why})
}

// retryAfter says when somebody who is locked out may try again.
func (k *call) retryAfter(err error) {
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) || refused.Until.IsZero() {
		return
	}
	wait := max(refused.Until.Sub(k.server.now()), time.Second)
	k.Response().Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
}

// failureOf is the failureReason of a refused code, "" where it was refused for
// something else.
func failureOf(err error) string {
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) {
		return ""
	}
	if refused.State == events.StateChallengeFailed {
		return codeTooOften
	}
	switch refused.Reason {
	case ceremonies.ReasonLocked, ceremonies.ReasonTriesUsedUp:
		return codeTooOften
	case ceremonies.ReasonWrongCode, ceremonies.ReasonCodeUsed, ceremonies.ReasonMalformed,
		ceremonies.ReasonChallengeUnknown, ceremonies.ReasonChallengeTaken, ceremonies.ReasonChallengeExpired:
		return codeWrong
	}
	return ""
}

// isRefused reports whether an error is a refusal for a reason.
func isRefused(err error, reason string) bool {
	var refused *ceremonies.RefusedError
	return errors.As(err, &refused) && refused.Reason == reason
}
