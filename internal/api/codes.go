package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// A backend may have a code sent to an address before it knows whose it is, check
// what comes back, and claim the result for one of its users (CONTRACT 1.4, rows 6
// to 9).

// codeChallenge asks for a code (ChallengeRequest). What is not listed is accepted
// and not kept.
type codeChallenge struct {
	Method         events.Method      `json:"verificationMethod"`
	Action         string             `json:"action"`
	IdempotencyKey string             `json:"idempotencyKey"`
	UserID         events.UserID      `json:"userId"`
	Email          string             `json:"email"`
	Locale         string             `json:"locale"`
	ChallengeID    events.ChallengeID `json:"challengeId"` // send that one's code again, as a new one
	IPAddress      string             `json:"ipAddress"`   // of the person, counted against the limits of one address
	UserAgent      string             `json:"userAgent"`
	DeviceID       string             `json:"deviceId"`
}

func (r *codeChallenge) check() error {
	switch {
	case r.Method == "" && r.ChallengeID == "":
		return invalidField("verificationMethod", "is missing. This server sends codes with EMAIL_OTP.")
	case r.Method != "" && r.Method != events.MethodEmailOTP && !plainCode(string(r.Method)):
		return invalidField("verificationMethod", "is not a verification method.")
	case r.Method != "" && r.Method != events.MethodEmailOTP:
		return notEnabled(r.Method)
	case r.ChallengeID == "" && !isActionCode(r.Action):
		return invalidField("action", actionCodeText)
	}
	for field, id := range map[string]string{"idempotencyKey": r.IdempotencyKey, "userId": string(r.UserID), "challengeId": string(r.ChallengeID)} {
		if id == "" {
			continue
		}
		if err := checkID(field, id); err != nil {
			return err
		}
	}
	for field, text := range map[string]string{"locale": r.Locale, "userAgent": r.UserAgent, "deviceId": r.DeviceID} {
		if err := checkText(field, text, maxAttribute); err != nil {
			return err
		}
	}
	return nil
}

// client is the person's side, as the backend tells it. The backend's own address
// says nothing of a person: counted as one, it would bound all of them together.
func (r *codeChallenge) client() ceremonies.Client {
	address, err := netip.ParseAddr(r.IPAddress)
	if err != nil {
		address = netip.Addr{}
	}
	return ceremonies.Client{Address: address, UserAgent: r.UserAgent, DeviceID: r.DeviceID}
}

// requestCode sends a code.
func (s *Server) requestCode(k *call) error {
	var request codeChallenge
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	if request.IdempotencyKey == "" {
		request.IdempotencyKey = rand.Text()
	}
	ctx, cancel := k.within()
	defer cancel()
	if request.Email == "" && request.ChallengeID == "" {
		var err error
		if request.Email, err = s.addressOf(ctx, request.UserID); err != nil {
			return err
		}
	}
	sent, err := s.config.Party.RequestCode(ctx, ceremonies.CodeRequest{
		Action: events.ActionID{User: request.UserID, Code: request.Action, Key: request.IdempotencyKey},
		Email:  request.Email, Locale: request.Locale, Resend: request.ChallengeID,
	}, request.client())
	if isRefused(err, ceremonies.ReasonMalformed) {
		return invalidField("email", "is not an e-mail address.")
	}
	if err != nil {
		return fmt.Errorf("request code: %w", err)
	}
	return k.ok(struct {
		ChallengeID    events.ChallengeID `json:"challengeId"`
		IdempotencyKey string             `json:"idempotencyKey"`
		ExpiresAt      int64              `json:"expiresAt"` // seconds since 1970
	}{sent.ID, sent.Action.Key, sent.Expires.Unix()})
}

// addressOf is where a user has codes sent, or else the user's e-mail address.
func (s *Server) addressOf(ctx context.Context, user events.UserID) (string, error) {
	missing := invalidField("email", "is missing, and the user has no address that is known here.")
	if user == "" {
		return "", invalidField("email", "is missing.")
	}
	account, err := s.config.Store.Account(ctx, user)
	if err != nil {
		return "", fmt.Errorf("request code: %w", err)
	}
	for _, a := range account.Authenticators {
		if a.Method == events.MethodEmailOTP {
			return a.Email, nil
		}
	}
	if account.Email == "" {
		return "", missing
	}
	return account.Email, nil
}

// checkCode checks what came back for a code.
func (s *Server) checkCode(k *call) error {
	var request struct {
		ChallengeID events.ChallengeID `json:"challengeId"`
		Code        string             `json:"verificationCode"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := checkID("challengeId", string(request.ChallengeID)); err != nil {
		return err
	}
	if request.Code == "" {
		return invalidField("verificationCode", "is missing.")
	}
	var answer struct {
		IsVerified    bool          `json:"isVerified"`
		Email         string        `json:"email,omitempty"`
		Method        events.Method `json:"verificationMethod,omitempty"`
		FailureReason string        `json:"failureReason,omitempty"`
	}
	ctx, cancel := k.within()
	defer cancel()
	email, err := s.config.Party.CheckCode(ctx, request.ChallengeID, request.Code, ceremonies.Client{})
	answer.FailureReason = failureOf(err)
	switch {
	case answer.FailureReason != "":
		k.retryAfter(err)
	case err != nil:
		return fmt.Errorf("check code: %w", err)
	default:
		answer.IsVerified, answer.Email, answer.Method = true, email, events.MethodEmailOTP
	}
	return k.ok(answer)
}

// claim completes an action of a user with a code that was right. Rules decide the
// action; where they do not let it go on, state says so and validating the token
// answers isValid false.
func (s *Server) claim(k *call) error {
	var request struct {
		ChallengeID events.ChallengeID `json:"challengeId"`
		UserID      events.UserID      `json:"userId"`
		Unverified  bool               `json:"skipVerificationCheck"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	for field, id := range map[string]string{"challengeId": string(request.ChallengeID), "userId": string(request.UserID)} {
		if err := checkID(field, id); err != nil {
			return err
		}
	}
	if request.Unverified {
		return invalidField("skipVerificationCheck", "is not available here: a challenge is claimed once its code was right.")
	}
	ctx, cancel := k.within()
	defer cancel()
	action := engine.Action{}
	// A user who had no address has this one from now on: the code proves it.
	if _, email, err := s.config.Party.CodeInForce(ctx, request.ChallengeID); err == nil {
		account, err := s.config.Store.Account(ctx, request.UserID)
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		if account.Email == "" {
			action.Email = email
		}
	}
	proof, err := s.config.Party.Claim(ctx, request.ChallengeID, request.UserID, ceremonies.Client{}, s.tracking(k, action))
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	return k.ok(struct {
		Token  string             `json:"token"`
		Method events.Method      `json:"verificationMethod"`
		State  events.ActionState `json:"state"` // our own
	}{proof.Token, events.MethodEmailOTP, proof.State})
}

// wireChallenge is a code that was sent and is still good.
type wireChallenge struct {
	ChallengeID events.ChallengeID `json:"challengeId,omitempty"`
	ExpiresAt   int64              `json:"expiresAt,omitempty"` // seconds since 1970
	Method      events.Method      `json:"verificationMethod,omitempty"`
	Email       string             `json:"email,omitempty"`
	Action      string             `json:"action,omitempty"`
}

// getChallenge finds a code that was sent: the one with an id, or the newest for a
// user's newest open action. None is an empty object.
func (s *Server) getChallenge(k *call) error {
	id, user, code := events.ChallengeID(k.QueryParam("challengeId")), events.UserID(k.QueryParam("userId")), k.QueryParam("action")
	if method := events.Method(k.QueryParam("verificationMethod")); method != "" && method != events.MethodEmailOTP {
		return k.ok(wireChallenge{})
	}
	ctx, cancel := k.within()
	defer cancel()
	switch {
	case id != "":
	case user == "":
		return invalid("Name challengeId or userId.")
	default:
		var err error
		if id, err = s.codeOf(ctx, user, code); err != nil {
			return fmt.Errorf("get challenge: %w", err)
		}
	}
	challenge, email, err := s.config.Party.CodeInForce(ctx, id)
	switch {
	case isRefused(err, ceremonies.ReasonChallengeUnknown),
		err == nil && (user != "" && challenge.Action.User != "" && challenge.Action.User != user || code != "" && challenge.Action.Code != code):
		return k.ok(wireChallenge{})
	case err != nil:
		return fmt.Errorf("get challenge: %w", err)
	}
	return k.ok(wireChallenge{challenge.ID, challenge.Expires.Unix(), challenge.Method, email, challenge.Action.Code})
}

// codeOf is the newest code that was sent for a user's newest open action, "" when
// there is none.
func (s *Server) codeOf(ctx context.Context, user events.UserID, code string) (events.ChallengeID, error) {
	filter := engine.ActionFilter{User: user, State: events.StateChallengeRequired, From: s.now().Add(-lookBack)}
	if code != "" {
		filter.Codes = []string{code}
	}
	open, err := s.config.Store.TrackedActions(ctx, filter)
	if err != nil || len(open) == 0 {
		return "", err
	}
	challenge, err := s.config.Store.Pending(ctx, open[0].ActionID, ceremonies.Authentication, events.MethodEmailOTP, s.now())
	if errors.Is(err, ceremonies.ErrNoChallenge) {
		return "", nil
	}
	return challenge.ID, err
}
