package ceremonies

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/events"
)

// BeginEmail begins to have codes sent to an address: it sends the first one there.
// With later, nothing is sent until SendEnrolmentCode. See MayEnrol for who may. The
// address that codes went to before gives way to the new one.
func (rp *RelyingParty) BeginEmail(ctx context.Context, grant Grant, to string, later bool, client Client) (Sent, error) {
	to, refused := address(to)
	if refused != nil {
		return Sent{}, refused
	}
	account, action, err := rp.mayEnrol(ctx, grant, events.MethodEmailOTP, to)
	if err != nil {
		return Sent{}, err
	}
	challenge, err := rp.challenge(Registration, events.MethodEmailOTP, action, about{purpose: ForEnrolment}, rp.codeTTL)
	if err != nil {
		return Sent{}, err
	}
	s := codeSession{Email: to}
	if later {
		if challenge.Session, err = json.Marshal(s); err != nil {
			return Sent{}, fmt.Errorf("write session: %w", err)
		}
		if err := rp.begin(ctx, challenge); err != nil {
			return Sent{}, err
		}
		return Sent{Challenge: challenge.ID, To: Masked(to), Expires: challenge.Expires}, nil
	}
	if err := rp.count(ctx, rp.sending(account.User, to, client)); err != nil {
		return Sent{}, err
	}
	return rp.send(ctx, challenge, account, s, "", keepCode)
}

// SendEnrolmentCode sends a code to the address of the newest BeginEmail of the
// action. ReasonChallengeUnknown says that there is none.
func (rp *RelyingParty) SendEnrolmentCode(ctx context.Context, grant Grant, client Client) (Sent, error) {
	pending, err := rp.store.Pending(ctx, grant.Action, Registration, events.MethodEmailOTP, rp.now())
	if err != nil {
		return Sent{}, fmt.Errorf("find challenge: %w", refusal(err))
	}
	s, err := pending.readCodeSession()
	if err != nil {
		return Sent{}, err
	}
	return rp.BeginEmail(ctx, grant, s.Email, false, client)
}

// EnrolsByCode reports whether an authenticator of a method is being added with the
// action and waits for its code.
func (rp *RelyingParty) EnrolsByCode(ctx context.Context, grant Grant, method events.Method) (bool, error) {
	_, err := rp.store.Pending(ctx, grant.Action, Registration, method, rp.now())
	switch {
	case err == nil:
		return true, nil
	case isRefused(refusal(err), ReasonChallengeUnknown):
		return false, nil
	}
	return false, fmt.Errorf("find challenge: %w", err)
}

// FinishEmail adds the address once its code has come back.
func (rp *RelyingParty) FinishEmail(ctx context.Context, grant Grant, id events.ChallengeID, code string, client Client) (Enrolled, error) {
	return rp.finishCodeEnrolment(ctx, grant, events.MethodEmailOTP, id, code, client,
		func(challenge Challenge, s codeSession, code string, a *Authenticator) *RefusedError {
			if len(s.Hash) == 0 || !hmac.Equal(s.Hash, rp.vault.hash("code", string(challenge.ID), code)) {
				return refuse(CodeInvalidCredential, ReasonWrongCode, nil)
			}
			a.Name, a.Email = Masked(s.Email), s.Email
			return nil
		})
}
