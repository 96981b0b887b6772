package ceremonies

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Recovery codes are for the day on which nothing else is at hand.
const (
	// RecoveryCodes is how many a person gets.
	RecoveryCodes = 10
	// recoveryBytes of randomness are in each: 80 bits, which nobody guesses, also not
	// behind a stolen hash.
	recoveryBytes = 10
)

// recoveryAlphabet is Crockford's base32: no letter is taken for a digit.
var recoveryAlphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newCodes makes recovery codes, which replace the ones before, as part of an
// outcome.
func (rp *RelyingParty) newCodes(outcome *Outcome, user events.UserID, action events.ActionID, now time.Time) ([]string, error) {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		b := make([]byte, recoveryBytes)
		if _, err := io.ReadFull(rp.random, b); err != nil {
			return nil, fmt.Errorf("read random bytes: %w", err)
		}
		plain := recoveryAlphabet.EncodeToString(b)
		outcome.Codes = append(outcome.Codes, rp.recoveryHash(user, plain))
		codes[i] = plain[:4] + "-" + plain[4:8] + "-" + plain[8:12] + "-" + plain[12:]
	}
	id := make([]byte, idBytes)
	if _, err := io.ReadFull(rp.random, id); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	outcome.CodesAuthenticator = Authenticator{
		ID: events.AuthenticatorID(randomName(id)), User: user, Method: events.MethodRecoveryCode, Name: "Recovery codes",
		CreatedAt: now, EnrolledFor: action,
	}
	return codes, nil
}

// recoveryHash is what is kept of a recovery code.
func (rp *RelyingParty) recoveryHash(user events.UserID, plain string) []byte {
	return rp.vault.hash("recovery", string(user), plain)
}

// normalRecovery is a recovery code as it was made, from how people copy it: in
// either case, with or without dashes, O for 0 and I or L for 1. "" is none.
func normalRecovery(code string) string {
	code = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\u00a0', '-', '–':
			return -1
		case 'o', 'O':
			return '0'
		case 'i', 'I', 'l', 'L':
			return '1'
		}
		return r
	}, code)
	code = strings.ToUpper(code)
	if len(code) != recoveryAlphabet.EncodedLen(recoveryBytes) { // else the decoder drops a last letter and line breaks
		return ""
	}
	if raw, err := recoveryAlphabet.DecodeString(code); err != nil || len(raw) != recoveryBytes {
		return ""
	}
	return code
}

// change adds to an outcome what a proof for its purpose changes at once, and
// returns the event of that, nil for none. What the proof only allows is in its
// permit.
func (rp *RelyingParty) change(outcome *Outcome, proof *Proof) (events.Record, error) {
	action := proof.Action
	switch outcome.Challenge.Purpose {
	case ForRemoving:
		outcome.Remove = events.AuthenticatorID(outcome.Challenge.Subject)
		for _, a := range proof.Account.Authenticators {
			if a.ID == outcome.Remove {
				return &events.AuthenticatorRemoved{ActionID: action, Authenticator: a.ID, Method: a.Method, By: events.ByPerson}, nil
			}
		}
		return nil, refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
	case ForRecoveryCodes:
		var err error
		proof.RecoveryCodes, err = rp.newCodes(outcome, action.User, action, outcome.At)
		return &events.RecoveryCodesRenewed{ActionID: action, Count: len(outcome.Codes), By: events.ByPerson}, err
	}
	return nil, nil
}

// Rename gives one of the person's authenticators another name.
func (rp *RelyingParty) Rename(ctx context.Context, grant Grant, id events.AuthenticatorID, name string) error {
	name = strings.TrimSpace(clip(strings.Map(visible, name)))
	if name == "" {
		return refuse(CodeInvalidRequest, ReasonMalformed, nil)
	}
	return rp.changeAuthenticator(ctx, grant, id, &name, false)
}

// Prefer makes one of the person's authenticators the one that is offered first.
func (rp *RelyingParty) Prefer(ctx context.Context, grant Grant, id events.AuthenticatorID) error {
	return rp.changeAuthenticator(ctx, grant, id, nil, true)
}

func (rp *RelyingParty) changeAuthenticator(ctx context.Context, grant Grant, id events.AuthenticatorID, name *string, preferred bool) error {
	account, err := rp.account(ctx, grant)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(account.Authenticators, func(a Authenticator) bool { return a.ID == id }) {
		return refuse(CodeInvalidRequest, ReasonNoAuthenticator, nil)
	}
	if err := rp.store.ChangeAuthenticator(ctx, grant.Action.User, id, name, preferred, events.ByPerson); err != nil {
		return fmt.Errorf("change authenticator: %w", refusal(err))
	}
	return nil
}

// PutOff keeps that the person did not want the passkey that was offered.
func (rp *RelyingParty) PutOff(ctx context.Context, grant Grant) error {
	if _, err := rp.account(ctx, grant); err != nil {
		return err
	}
	if err := rp.store.Prompted(ctx, grant.Action.User, rp.now()); err != nil {
		return fmt.Errorf("keep that a passkey was put off: %w", err)
	}
	return nil
}
