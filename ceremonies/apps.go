package ceremonies

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/events"
)

// Authenticator apps compute a code from a secret and the time (RFC 6238).
const (
	// appStep is the length of a time step.
	appStep = 30 * time.Second
	// appDrift is how many steps a code may be early or late, for clocks that are
	// wrong and people who are slow (RFC 6238, section 5.2).
	appDrift = 1
	// appSecret is the length of a secret in bytes (RFC 4226, section 4, R6).
	appSecret = 20
	// qrSize is the width of the QR code's image in pixels.
	qrSize = 220
)

// AppEnrolment is an authenticator app that is being added. The secret is shown
// once and leaves the program in no other way.
type AppEnrolment struct {
	Challenge     events.ChallengeID
	Authenticator events.AuthenticatorID // that it will be
	Secret        string                 // base32, for typing
	URI           string                 // otpauth://, for apps on this device
	QR            []byte                 // PNG image of the URI
	Expires       time.Time
}

// BeginApp makes the secret of a new authenticator app. See MayEnrol for who may.
func (rp *RelyingParty) BeginApp(ctx context.Context, grant Grant) (AppEnrolment, error) {
	method := events.MethodAuthenticatorApp
	account, action, err := rp.mayEnrol(ctx, grant, method, string(method))
	if err != nil {
		return AppEnrolment{}, err
	}
	challenge, err := rp.challenge(Registration, method, action, about{purpose: ForEnrolment}, rp.codeTTL)
	if err != nil {
		return AppEnrolment{}, err
	}
	id, secret := make([]byte, idBytes), make([]byte, appSecret)
	for _, b := range [][]byte{id, secret} {
		if _, err := io.ReadFull(rp.random, b); err != nil {
			return AppEnrolment{}, fmt.Errorf("read random bytes: %w", err)
		}
	}
	s := codeSession{Authenticator: events.AuthenticatorID(randomName(id))}
	if s.Secret, err = rp.vault.seal(secret, string(account.User)); err != nil {
		return AppEnrolment{}, err
	}
	if challenge.Session, err = json.Marshal(s); err != nil {
		return AppEnrolment{}, fmt.Errorf("write session: %w", err)
	}
	challenge.Most = codeAnswers
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: rp.name, AccountName: clip(first(account.Username, account.Email, string(account.User))), Secret: secret,
		Period: uint(appStep / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return AppEnrolment{}, fmt.Errorf("write the app's address: %w", err)
	}
	picture, err := key.Image(qrSize, qrSize)
	if err != nil {
		return AppEnrolment{}, fmt.Errorf("draw QR code: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return AppEnrolment{}, fmt.Errorf("draw QR code: %w", err)
	}
	if err := rp.begin(ctx, challenge); err != nil {
		return AppEnrolment{}, err
	}
	return AppEnrolment{
		Challenge: challenge.ID, Authenticator: s.Authenticator, Secret: key.Secret(), URI: key.URL(), QR: out.Bytes(),
		Expires: challenge.Expires,
	}, nil
}

// FinishApp adds the authenticator app once it has shown a right code, under the
// challenge of BeginApp or, with id "", the newest one. That code proves nothing
// else any more.
func (rp *RelyingParty) FinishApp(ctx context.Context, grant Grant, id events.ChallengeID, code string, client Client) (Enrolled, error) {
	return rp.finishCodeEnrolment(ctx, grant, events.MethodAuthenticatorApp, id, code, client,
		func(challenge Challenge, s codeSession, code string, a *Authenticator) *RefusedError {
			secret, err := rp.vault.open(s.Secret, string(challenge.Action.User))
			if err != nil {
				return refuse(CodeInvalidRequest, ReasonMalformed, err)
			}
			step, right := appStepOf(secret, code, rp.now())
			if !right {
				return refuse(CodeInvalidCredential, ReasonWrongCode, nil)
			}
			a.ID, a.Name, a.LastStep = s.Authenticator, "Authenticator app", step
			a.Secret, err = rp.vault.seal(secret, string(a.User)+"/"+string(a.ID))
			if err != nil {
				return refuse(CodeInvalidRequest, ReasonMalformed, err)
			}
			return nil
		})
}

// checkApp looks for the app that shows a code now, or a moment ago, and whose step
// has proven nothing yet. A person may have one secret twice, as when it was taken
// over twice from another system: what was proven with one is used for the other.
func (rp *RelyingParty) checkApp(found []Authenticator, code string) (evidence, *RefusedError) {
	refused := refuse(CodeInvalidCredential, ReasonWrongCode, nil)
	var e evidence
	for _, a := range found {
		secret, err := rp.vault.open(a.Secret, string(a.User)+"/"+string(a.ID))
		if err != nil {
			refused.Err = errors.Join(refused.Err, err)
			continue
		}
		step, right := appStepOf(secret, code, rp.now())
		switch {
		case !right:
		case step <= a.LastStep:
			return evidence{}, refuse(CodeInvalidCredential, ReasonCodeUsed, nil)
		case e.step == 0:
			a.LastStep = step
			e = evidence{authenticator: a, step: step}
		}
	}
	if e.step == 0 {
		return evidence{}, refused
	}
	return e, nil
}

// appStepOf is the time step whose code it is. Every step that may be is compared,
// and each in the same time.
func appStepOf(secret []byte, code string, now time.Time) (step int64, right bool) {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	middle := now.Unix() / int64(appStep/time.Second)
	for at := middle - appDrift; at <= middle+appDrift; at++ {
		want, err := hotp.GenerateCodeCustom(text, uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, right = at, true
		}
	}
	return step, right
}

// finishCodeEnrolment adds an authenticator that has shown a right code.
func (rp *RelyingParty) finishCodeEnrolment(ctx context.Context, grant Grant, method events.Method, id events.ChallengeID, code string, client Client,
	check func(Challenge, codeSession, string, *Authenticator) *RefusedError,
) (Enrolled, error) {
	code, refused := normal(method, code)
	if refused != nil {
		return Enrolled{}, refused
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	if id == "" {
		pending, err := rp.store.Pending(ctx, grant.Action, Registration, method, rp.now())
		if err != nil {
			return Enrolled{}, fmt.Errorf("find challenge: %w", refusal(err))
		}
		id = pending.ID
	}
	challenge, err := rp.store.Attempt(ctx, Attempt{
		Challenge: Challenge{ID: id, Action: grant.Action}, Meters: rp.guessing(grant.Action.User, method, client), Tries: math.MaxInt32, At: rp.now(),
	})
	if err != nil {
		return Enrolled{}, fmt.Errorf("take challenge: %w", refusal(err))
	}
	s, err := challenge.readCodeSession()
	if err != nil {
		return Enrolled{}, err
	}
	account, action, err := rp.mayEnrol(ctx, grant, method, first(s.Email, string(method)))
	if err != nil {
		if errors.As(err, &refused) {
			return Enrolled{}, rp.failCounted(ctx, challenge, client, refused)
		}
		return Enrolled{}, err
	}
	refused = challenge.is(Registration, ForEnrolment)
	if refused == nil && challenge.Method != method {
		refused = refuse(CodeInvalidRequest, ReasonWrongKind, nil)
	}
	authenticator, err := rp.newAuthenticator(challenge, client)
	if err != nil {
		return Enrolled{}, err
	}
	if refused == nil {
		refused = check(challenge, s, code, &authenticator)
	}
	if refused != nil {
		return Enrolled{}, rp.failCounted(ctx, challenge, client, refused)
	}
	return rp.enrol(ctx, grant, account, action, challenge, authenticator, client)
}
