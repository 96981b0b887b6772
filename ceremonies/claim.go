package ceremonies

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/events"
)

// A backend may have a code sent to an address before it knows whose it is, or for
// somebody whom it knows, check what comes back, and then claim the result for one
// of its users (CONTRACT 1.4, rows 6 to 8).

// CodeRequest is a code that a backend asks for.
type CodeRequest struct {
	Action events.ActionID // User may be empty: the claim names it
	Email  string
	Locale string
	Resend events.ChallengeID // send the code of this one again, as a new one; "" for a first
}

// claimSession is a codeSession of a backend's challenge.
type claimSession struct {
	codeSession
	User events.UserID `json:"user,omitempty"` // who alone may claim it
}

// RequestCode sends a code for a backend.
func (rp *RelyingParty) RequestCode(ctx context.Context, request CodeRequest, client Client) (Challenge, error) {
	if !rp.Offers(events.MethodEmailOTP) {
		return Challenge{}, refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	if request.Resend != "" {
		before, err := rp.store.Challenge(ctx, request.Resend)
		if err != nil {
			return Challenge{}, fmt.Errorf("find challenge: %w", refusal(err))
		}
		if before.Purpose != ForSignIn || before.Method != events.MethodEmailOTP {
			return Challenge{}, refuse(CodeInvalidRequest, ReasonChallengeUnknown, nil)
		}
		var s claimSession
		if err := json.Unmarshal(before.Session, &s); err != nil {
			return Challenge{}, fmt.Errorf("read session: %w", err)
		}
		request.Email, request.Action = s.Email, before.Action
		request.Action.User = s.User
	}
	to, refused := address(request.Email)
	if refused != nil {
		return Challenge{}, refused
	}
	if err := rp.count(ctx, rp.sending("", to, client)); err != nil {
		return Challenge{}, err
	}
	user := request.Action.User
	action := Action{ActionID: events.ActionID{Code: request.Action.Code, Key: request.Action.Key}}
	challenge, err := rp.challenge(Authentication, events.MethodEmailOTP, action, about{purpose: ForSignIn}, rp.codeTTL)
	if err != nil {
		return Challenge{}, err
	}
	_, err = rp.sendClaim(ctx, challenge, claimSession{codeSession{Email: to}, user}, request.Locale)
	return challenge, err
}

func (rp *RelyingParty) sendClaim(ctx context.Context, challenge Challenge, s claimSession, locale string) (Sent, error) {
	return rp.send(ctx, challenge, Account{User: s.User, Locale: locale}, s.codeSession, "", func(sent codeSession) (json.RawMessage, error) {
		s.codeSession = sent
		return json.Marshal(s)
	})
}

// mailName is a keyed hash of an address of mail, for the meters of nobody.
func (rp *RelyingParty) mailName(address string) string {
	return base64URL(rp.vault.hash("mail", address)[:16])
}

// CheckCode checks what came back for a code of RequestCode, and returns where the
// code had gone. A right one waits for its Claim for as long as a code lasts.
func (rp *RelyingParty) CheckCode(ctx context.Context, id events.ChallengeID, code string, client Client) (email string, err error) {
	code, refused := normal(events.MethodEmailOTP, code)
	if refused != nil {
		return "", refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	before, err := rp.store.Challenge(ctx, id)
	if err != nil {
		return "", fmt.Errorf("find challenge: %w", refusal(err))
	}
	var s claimSession
	if err := json.Unmarshal(before.Session, &s); err != nil {
		return "", fmt.Errorf("read session: %w", err)
	}
	meters := rp.guessing(events.UserID("mail:"+rp.mailName(s.Email)), events.MethodEmailOTP, client)
	challenge, err := rp.store.Attempt(ctx, Attempt{Challenge: Challenge{ID: id}, Meters: meters, At: rp.now()})
	if err != nil {
		return "", fmt.Errorf("take challenge: %w", refusal(err))
	}
	refused = challenge.is(Authentication, ForSignIn)
	if refused == nil && (challenge.Method != events.MethodEmailOTP || !hmac.Equal(s.Hash, rp.vault.hash("code", string(id), code))) {
		refused = refuse(CodeInvalidCredential, ReasonWrongCode, nil)
	}
	if refused != nil {
		refused.user = s.User
		return "", rp.failCounted(ctx, challenge, client, refused)
	}
	now := rp.now()
	if err := rp.store.Verified(ctx, id, now, now.Add(rp.codeTTL), meters); err != nil {
		return "", fmt.Errorf("keep that a code was right: %w", refusal(err))
	}
	return s.Email, nil
}

// Claim completes an action of a user with a code that CheckCode found right. It
// can be claimed once.
func (rp *RelyingParty) Claim(ctx context.Context, id events.ChallengeID, user events.UserID, client Client, track Track) (Proof, error) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	challenge, err := rp.store.Claim(ctx, id, rp.now())
	if err != nil {
		return Proof{}, fmt.Errorf("claim challenge: %w", refusal(err))
	}
	var s claimSession
	if err := json.Unmarshal(challenge.Session, &s); err != nil {
		return Proof{}, fmt.Errorf("read session: %w", err)
	}
	if s.User != "" && s.User != user {
		refused := refuse(CodeInvalidRequest, ReasonForeignCredential, nil)
		refused.user = s.User
		return Proof{}, rp.fail(ctx, challenge, client, refused)
	}
	return rp.complete(ctx, challenge, Account{User: user}, client, track, answered{method: events.MethodEmailOTP}, func(time.Time) (evidence, error) {
		return evidence{authenticator: Authenticator{User: user, Method: events.MethodEmailOTP, Email: s.Email}}, nil
	})
}

// CodeInForce is the challenge of a code that was sent, and where it went. One whose
// time is over is refused as unknown.
func (rp *RelyingParty) CodeInForce(ctx context.Context, id events.ChallengeID) (challenge Challenge, email string, err error) {
	challenge, err = rp.store.Challenge(ctx, id)
	if err != nil {
		return Challenge{}, "", fmt.Errorf("find challenge: %w", refusal(err))
	}
	if challenge.Method != events.MethodEmailOTP || !rp.now().Before(challenge.Expires) {
		return Challenge{}, "", refuse(CodeInvalidRequest, ReasonChallengeUnknown, nil)
	}
	s, err := challenge.readCodeSession()
	return challenge, s.Email, err
}
