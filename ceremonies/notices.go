package ceremonies

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/events"
)

// noticeTime is how long a notice may take to be handed over.
const noticeTime = 30 * time.Second

// notify tells a person by mail what a proof has changed.
func (rp *RelyingParty) notify(ctx context.Context, challenge Challenge, action Action, proof Proof) {
	switch challenge.Purpose {
	case ForRemoving:
		for _, a := range proof.Account.Authenticators {
			if string(a.ID) == challenge.Subject {
				rp.notice(ctx, proof.Account, action, Mail{Occasion: MailRemoved, Method: a.Method, Name: a.Name})
			}
		}
	case ForRecoveryCodes:
		rp.notice(ctx, proof.Account, action, Mail{Occasion: MailRecoveryCodes, Method: events.MethodRecoveryCode})
	}
}

// notifyAdded tells a person by mail of a new authenticator.
func (rp *RelyingParty) notifyAdded(ctx context.Context, account Account, action Action, added Authenticator) {
	rp.notice(ctx, account, action, Mail{Occasion: MailAdded, Method: added.Method, Name: added.Name})
}

// notice sends a mail without keeping anybody waiting. The change stands whatever
// becomes of it, and the log has what went wrong.
func (rp *RelyingParty) notice(ctx context.Context, account Account, action Action, m Mail) {
	if rp.mailer == nil || account.Email == "" {
		return
	}
	m.To, m.Locale, m.User, m.Action = account.Email, first(action.Locale, account.Locale), account.User, action.ActionID
	select {
	case rp.notices <- struct{}{}:
	default:
		rp.log.WarnContext(ctx, "a notice was not sent: too many are on their way", "occasion", m.Occasion)
		return
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer func() { <-rp.notices }()
		ctx, cancel := context.WithTimeout(ctx, noticeTime)
		defer cancel()
		if err := rp.mailer.Send(ctx, m); err != nil {
			rp.log.WarnContext(ctx, "a notice could not be sent", "occasion", m.Occasion, "error", err)
		}
	}()
}

// isRefused reports whether an error is a refusal for a reason.
func isRefused(err error, reason string) bool {
	var refused *RefusedError
	return errors.As(err, &refused) && refused.Reason == reason
}
