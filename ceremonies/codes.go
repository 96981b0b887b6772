package ceremonies

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/events"
)

const (
	// codeDigits is the length of codes that are sent and of those of an app.
	codeDigits = 6
	// codeAnswers is how many answers a code that was sent survives: people mistype.
	// Each of them uses up a try of the action as well.
	codeAnswers = 3
	// maxAddress is the longest address of mail in bytes (RFC 5321, section 4.5.3.1).
	maxAddress = 320
)

// codeSession is what a ceremony by code keeps between begin and finish.
type codeSession struct {
	Authenticator events.AuthenticatorID `json:"authenticator,omitempty"` // that is being added
	Email         string                 `json:"email,omitempty"`         // where the code went
	Hash          []byte                 `json:"hash,omitempty"`          // keyed hash of the code that was sent
	Secret        []byte                 `json:"secret,omitempty"`        // encrypted, of an app that is being added
}

func (c Challenge) readCodeSession() (codeSession, error) {
	var s codeSession
	if err := json.Unmarshal(c.Session, &s); err != nil {
		return codeSession{}, fmt.Errorf("read session: %w", err)
	}
	return s, nil
}

// Sent is a code on its way.
type Sent struct {
	Challenge events.ChallengeID
	To        string // masked, for the person to recognize it: "m…@example.com"
	Expires   time.Time
}

// SendCode sends a one-time code for what is asked, to the address where the person
// has codes sent, or, where they are to enrol first, to the one that the backend
// supplied. The number of codes for a person and an address is limited.
func (rp *RelyingParty) SendCode(ctx context.Context, grant Grant, ask Ask, client Client) (Sent, error) {
	account, action, address, err := rp.addressFor(ctx, grant, &ask)
	if err != nil {
		return Sent{}, err
	}
	if err := rp.count(ctx, rp.sending(account.User, address, client)); err != nil {
		return Sent{}, err
	}
	challenge, err := rp.challenge(Authentication, events.MethodEmailOTP, action, ask.about(action), rp.codeTTL)
	if err != nil {
		return Sent{}, err
	}
	return rp.send(ctx, challenge, account, codeSession{Email: address}, ask.shownText(action), keepCode)
}

func keepCode(s codeSession) (json.RawMessage, error) { return json.Marshal(s) }

// shownText is what a code approves, "" when no page of ours says so.
func (ask Ask) shownText(action Action) string {
	switch {
	case !ask.Shown:
		return ""
	case ask.Purpose.changes():
		return ask.Text
	}
	return action.Shown()
}

// addressFor finds where a code for a question may go.
func (rp *RelyingParty) addressFor(ctx context.Context, grant Grant, ask *Ask) (Account, Action, string, error) {
	account, action, err := rp.parties(ctx, grant)
	if err != nil {
		return Account{}, Action{}, "", err
	}
	if ask.Purpose == "" {
		ask.Purpose = ForAction
	}
	if !rp.Offers(events.MethodEmailOTP) {
		return Account{}, Action{}, "", refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	if rp.MustEnrolFirst(account, action) && ask.Purpose == ForAdding && ask.Subject == string(events.MethodPasskey) {
		if account.Email == "" {
			return Account{}, Action{}, "", refuse(CodeInvalidRequest, ReasonNoAddress, nil)
		}
		return account, action, account.Email, nil
	}
	found, refused := rp.candidates(account, action, ask.Purpose)
	if refused != nil {
		return Account{}, Action{}, "", refused
	}
	i := slices.IndexFunc(found, func(a Authenticator) bool { return a.Method == events.MethodEmailOTP })
	if i < 0 {
		return Account{}, Action{}, "", refuse(CodeInvalidRequest, ReasonNoAddress, nil)
	}
	return account, action, found[i].Email, nil
}

// MustEnrolFirst reports whether an open action waits for its person to enrol: with
// a code to the address that the backend supplied, and then a passkey.
func (rp *RelyingParty) MustEnrolFirst(account Account, action Action) bool {
	return action.EnrolFirst && action.State == events.StateChallengeRequired && len(account.usable()) == 0 && !account.Outlived(action)
}

// send begins a ceremony by a code and hands the mail over. When that fails the
// ceremony stands, ends by time, and nobody knows its code.
func (rp *RelyingParty) send(ctx context.Context, challenge Challenge, account Account, s codeSession, shown string, keep func(codeSession) (json.RawMessage, error)) (Sent, error) {
	number, err := rand.Int(rp.random, big.NewInt(1_000_000))
	if err != nil {
		return Sent{}, fmt.Errorf("read random bytes: %w", err)
	}
	code := fmt.Sprintf("%0*d", codeDigits, number)
	s.Hash = rp.vault.hash("code", string(challenge.ID), code)
	if challenge.Session, err = keep(s); err != nil {
		return Sent{}, fmt.Errorf("write session: %w", err)
	}
	challenge.Most = codeAnswers
	if err := rp.follow(ctx, &challenge); err != nil {
		return Sent{}, err
	}
	if err := rp.begin(ctx, challenge); err != nil {
		return Sent{}, err
	}
	err = rp.mailer.Send(ctx, Mail{
		Occasion: MailCode, To: s.Email, Locale: account.Locale, User: challenge.Action.User, Action: challenge.Action,
		Method: events.MethodEmailOTP, Code: code, Purpose: challenge.Purpose, Shown: shown, Expires: challenge.Expires,
	})
	if err != nil {
		rp.log.WarnContext(ctx, "a code could not be sent", "error", err)
		return Sent{}, refuse(CodeInvalidRequest, ReasonSendFailed, err)
	}
	return Sent{Challenge: challenge.ID, To: Masked(s.Email), Expires: challenge.Expires}, nil
}

// follow makes a challenge the newest one of its action, method and kind, also where
// this node's clock is behind that of the node that began the one before: an answer
// without an id is for the newest.
func (rp *RelyingParty) follow(ctx context.Context, challenge *Challenge) error {
	if challenge.Action.User == "" {
		return nil // its answer names it
	}
	before, err := rp.store.Pending(ctx, challenge.Action, challenge.Kind, challenge.Method, rp.now())
	switch {
	case errors.Is(err, ErrNoChallenge):
	case err != nil:
		return fmt.Errorf("find challenge: %w", refusal(err))
	case !before.BegunAt.Before(challenge.BegunAt.Truncate(time.Microsecond)): // stores keep no more of it
		challenge.BegunAt = before.BegunAt.Add(time.Microsecond)
	}
	return nil
}

// FinishCode checks a code: one that was sent, under the challenge of SendCode or,
// with id "", the newest one; one of an authenticator app; or a recovery code. It is
// counted against the limits of user, address and action before it is checked, and
// a right one proves once. See FinishProof for what follows.
func (rp *RelyingParty) FinishCode(ctx context.Context, grant Grant, ask Ask, id events.ChallengeID, code string, client Client) (Proof, error) {
	code, refused := normal(ask.Method, code)
	if refused != nil {
		return Proof{}, refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	account, action, err := rp.parties(ctx, grant)
	if err != nil {
		return Proof{}, err
	}
	if ask.Purpose == "" {
		ask.Purpose = ForAction
	}
	found, refused := rp.answering(account, action, ask)
	if refused != nil {
		return Proof{}, refused
	}
	attempt := Attempt{Meters: rp.guessing(account.User, ask.Method, client), Tries: rp.tries, At: rp.now()}
	if ask.Method == events.MethodEmailOTP {
		attempt.Challenge, err = rp.sent(ctx, grant, Authentication, id)
	} else {
		attempt.New = true
		attempt.Challenge, attempt.Begun, err = rp.immediate(action, ask)
	}
	if err != nil {
		return Proof{}, err
	}
	challenge, err := rp.store.Attempt(ctx, attempt)
	if err != nil {
		return Proof{}, fmt.Errorf("take challenge: %w", rp.afterTries(ctx, grant, refusal(err)))
	}
	if refused := challenge.is(Authentication, ask.Purpose); refused != nil {
		return Proof{}, rp.failCounted(ctx, challenge, client, refused)
	}
	e, refused := rp.check(ctx, challenge, account, found, code)
	if refused != nil {
		return Proof{}, rp.failCounted(ctx, challenge, client, refused)
	}
	e.counted, e.meters = true, attempt.Meters
	proof, err := rp.prove(ctx, grant, account, action, challenge, client, func(now time.Time) (evidence, error) {
		e.authenticator.LastVerifiedAt = now
		return e, nil
	})
	return proof, err
}

// answering are the authenticators of the asked method that may answer.
func (rp *RelyingParty) answering(account Account, action Action, ask Ask) ([]Authenticator, *RefusedError) {
	if !rp.Offers(ask.Method) {
		return nil, refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
	}
	if ask.Method == events.MethodEmailOTP && ask.Purpose == ForAdding && rp.MustEnrolFirst(account, action) {
		return nil, nil // the code went to the address that the backend supplied
	}
	found, refused := rp.candidates(account, action, ask.Purpose)
	if refused != nil {
		return nil, refused
	}
	found = slices.DeleteFunc(found, func(a Authenticator) bool { return a.Method != ask.Method })
	if len(found) == 0 {
		return nil, refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
	}
	return found, nil
}

// sent is the challenge of a code that was sent: the one with the id, or the newest.
func (rp *RelyingParty) sent(ctx context.Context, grant Grant, kind Kind, id events.ChallengeID) (Challenge, error) {
	if id != "" {
		if len(id) != len(randomName(make([]byte, idBytes))) {
			return Challenge{}, refuse(CodeInvalidRequest, ReasonChallengeUnknown, nil)
		}
		return Challenge{ID: id, Action: grant.Action, Method: events.MethodEmailOTP}, nil
	}
	c, err := rp.store.Pending(ctx, grant.Action, kind, events.MethodEmailOTP, rp.now())
	if err != nil {
		return Challenge{}, fmt.Errorf("find challenge: %w", refusal(err))
	}
	return c, nil
}

// immediate is the ceremony of a method that needs no challenge: it begins with its
// answer.
func (rp *RelyingParty) immediate(action Action, ask Ask) (Challenge, events.Draft, error) {
	challenge, err := rp.challenge(Authentication, ask.Method, action, ask.about(action), rp.ttl)
	if err != nil {
		return Challenge{}, events.Draft{}, err
	}
	challenge.Session = json.RawMessage("{}")
	event, err := events.NewDraft(challenge.record(events.KindCeremonyBegun), nil, challenge.BegunAt)
	return challenge, event, err
}

// check compares a code with what its method expects.
func (rp *RelyingParty) check(ctx context.Context, challenge Challenge, account Account, found []Authenticator, code string) (evidence, *RefusedError) {
	wrong := refuse(CodeInvalidCredential, ReasonWrongCode, nil)
	switch challenge.Method {
	case events.MethodEmailOTP:
		s, err := challenge.readCodeSession()
		if err != nil || len(s.Hash) == 0 || !hmac.Equal(s.Hash, rp.vault.hash("code", string(challenge.ID), code)) {
			return evidence{}, wrong
		}
		for _, a := range found {
			if a.Email == s.Email {
				return evidence{authenticator: a}, nil
			}
		}
		if len(found) > 0 || s.Email != account.Email { // it went to an address that is not the person's any more
			return evidence{}, wrong
		}
		return evidence{authenticator: Authenticator{User: account.User, Method: events.MethodEmailOTP, Email: s.Email}}, nil
	case events.MethodAuthenticatorApp:
		return rp.checkApp(found, code)
	case events.MethodRecoveryCode:
		hash := rp.recoveryHash(account.User, code)
		has, err := rp.store.HasCode(ctx, account.User, hash)
		if err != nil || !has {
			wrong.Err = err
			return evidence{}, wrong
		}
		return evidence{authenticator: found[0], code: hash}, nil
	}
	return evidence{}, refuse(CodeInvalidRequest, ReasonMethodDisabled, nil)
}

// failCounted is fail for an answer that an Attempt has counted.
func (rp *RelyingParty) failCounted(ctx context.Context, challenge Challenge, client Client, refused *RefusedError) error {
	refused.counted = true
	return rp.fail(ctx, challenge, client, refused)
}

// afterTries says of an action whose tries are used up whether it has failed. One of
// the answers that used them up may still be on its way, and right.
func (rp *RelyingParty) afterTries(ctx context.Context, grant Grant, err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Reason == ReasonTriesUsedUp {
		if action, err := rp.store.Action(ctx, grant.Action); err == nil && action.State == events.StateChallengeFailed {
			refused.State = action.State
		}
	}
	return err
}

// normal is a code without what people type around it. What cannot be one is
// refused before it counts.
func normal(method events.Method, code string) (string, *RefusedError) {
	malformed := refuse(CodeInvalidRequest, ReasonMalformed, errors.New("it is no code of this method"))
	if len(code) > 64 {
		return "", malformed
	}
	if method == events.MethodRecoveryCode {
		code = normalRecovery(code)
		if code == "" {
			return "", malformed
		}
		return code, nil
	}
	code = strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\u00a0' || r == '-':
			return -1
		case r >= '٠' && r <= '٩': // Arabic-Indic digits
			return r - '٠' + '0'
		case r >= '۰' && r <= '۹': // their Persian forms
			return r - '۰' + '0'
		}
		return r
	}, code)
	if len(code) != codeDigits || strings.Trim(code, "0123456789") != "" {
		return "", malformed
	}
	return code, nil
}

// address checks an address of mail: one, without a name beside it.
func address(text string) (string, *RefusedError) {
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || len(text) > maxAddress || strings.ContainsAny(text, "\x00\r\n") || !utf8.ValidString(text) {
		return "", refuse(CodeInvalidRequest, ReasonMalformed, errors.New("it is no address of mail"))
	}
	return text, nil
}

// Masked shows an address of mail to who knows it already: "m…@example.com".
func Masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return ""
	}
	_, size := utf8.DecodeRuneInString(address)
	return address[:size] + "…" + address[at:]
}
