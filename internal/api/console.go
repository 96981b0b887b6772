package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/operators"
)

// SessionCookie is the name of the cookie of a signed-in operator.
const SessionCookie = "sallyport_console"

// csrfHeader carries the proof that a change comes from the console's own page.
const csrfHeader = "X-Sallyport-CSRF"

// operator admits signed-in operators with a role. A change must also carry the
// CSRF token of the session.
func operator(role operators.Role) guard {
	return func(k *call) error {
		cookie, err := k.Cookie(SessionCookie)
		if err != nil {
			return operators.ErrNotFound
		}
		ctx, cancel := k.within()
		defer cancel()
		who, err := k.server.config.Operators.Session(ctx, cookie.Value)
		if err != nil {
			return err
		}
		if k.Request().Method != http.MethodGet {
			if err := k.sameOrigin(); err != nil {
				return err
			}
			if !hmac.Equal([]byte(k.Request().Header.Get(csrfHeader)), []byte(csrfToken(cookie.Value))) {
				return forbidden("The header " + csrfHeader + " is missing or wrong. Load the page again.")
			}
		}
		if !who.Role.Includes(role) {
			return forbidden("This needs the role " + string(role) + "; yours is " + string(who.Role) + ".")
		}
		k.operator = who
		return nil
	}
}

// stranger admits the few steps that come before a session, as long as they are
// few and come from the console's own pages.
func stranger(k *call) error {
	if err := k.sameOrigin(); err != nil {
		return err
	}
	return k.server.limits.signIn(k.clientAddress())
}

// sameOrigin refuses what a page of another origin sent: without a session there
// is no CSRF token yet, and nobody should be signed in as somebody else.
func (k *call) sameOrigin() error {
	if err := k.server.crossOrigin.Check(k.Request()); err != nil {
		e := forbidden("This request came from a page of another origin. Open the console at its own address.")
		e.Cause = err
		return e
	}
	return nil
}

func forbidden(description string) *Error {
	return &Error{Status: http.StatusForbidden, Code: codeForbidden, Description: description}
}

// csrfToken derives from the session's secret, so nothing more has to be kept.
func csrfToken(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("sallyport/console/csrf/v1"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

type wireSession struct {
	Operator wireOperator `json:"operator"`
	CSRF     string       `json:"csrf"`
}

type wireOperator struct {
	ID   string         `json:"id"`
	Name string         `json:"name"`
	Role operators.Role `json:"role"`
}

func sessionOf(o operators.Operator, secret string) wireSession {
	return wireSession{Operator: wireOperator{ID: o.ID, Name: o.Name, Role: o.Role}, CSRF: csrfToken(secret)}
}

// session tells who is signed in.
func (s *Server) session(k *call) error {
	cookie, err := k.Cookie(SessionCookie)
	if err != nil {
		return operators.ErrNotFound
	}
	return k.ok(sessionOf(k.operator, cookie.Value))
}

// wireCeremony is a begun ceremony of an operator.
type wireCeremony struct {
	Ceremony string          `json:"ceremony"`
	Options  json.RawMessage `json:"options"`
}

// wireAnswer is what the browser answers to one.
type wireAnswer struct {
	Ceremony   string          `json:"ceremony"`
	Credential json.RawMessage `json:"credential"`
}

// registerBegin begins the registration of an invited operator.
func (s *Server) registerBegin(k *call) error {
	var request struct {
		Invite string `json:"invite"`
		Name   string `json:"name"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	id, options, err := s.config.Operators.BeginRegistration(ctx, request.Invite, request.Name)
	if err != nil {
		return fmt.Errorf("begin registration: %w", err)
	}
	return k.ok(wireCeremony{Ceremony: id, Options: options})
}

// registerFinish creates the operator and signs the browser in.
func (s *Server) registerFinish(k *call) error {
	answer, err := k.consoleAnswer()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	signedIn, err := s.config.Operators.FinishRegistration(ctx, answer.Ceremony, answer.Credential)
	if err != nil {
		return fmt.Errorf("finish registration: %w", err)
	}
	return k.signedIn(signedIn)
}

// signInBegin begins a sign-in by passkey; the passkey says whose it is.
func (s *Server) signInBegin(k *call) error {
	if err := k.decodeExactly(&struct{}{}); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	id, options, err := s.config.Operators.BeginSignIn(ctx)
	if err != nil {
		return fmt.Errorf("begin sign-in: %w", err)
	}
	return k.ok(wireCeremony{Ceremony: id, Options: options})
}

// signInFinish signs the browser in.
func (s *Server) signInFinish(k *call) error {
	answer, err := k.consoleAnswer()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	signedIn, err := s.config.Operators.FinishSignIn(ctx, answer.Ceremony, answer.Credential)
	if err != nil {
		return fmt.Errorf("finish sign-in: %w", err)
	}
	return k.signedIn(signedIn)
}

func (k *call) consoleAnswer() (wireAnswer, error) {
	var answer wireAnswer
	if err := k.decodeExactly(&answer); err != nil {
		return answer, err
	}
	if err := checkID("ceremony", answer.Ceremony); err != nil {
		return answer, err
	}
	if len(answer.Credential) == 0 {
		return answer, invalidField("credential", "is missing.")
	}
	return answer, nil
}

// signedIn sets the cookie and answers with the session.
func (k *call) signedIn(in operators.SignedIn) error {
	k.SetCookie(k.server.sessionCookie(in.Secret, in.Expires))
	return k.ok(sessionOf(in.Operator, in.Secret))
}

// signOut ends the session.
func (s *Server) signOut(k *call) error {
	cookie, err := k.Cookie(SessionCookie)
	if err != nil {
		return errors.Join(operators.ErrNotFound, err)
	}
	ctx, cancel := k.within()
	defer cancel()
	if err := s.config.Operators.SignOut(ctx, cookie.Value); err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	k.SetCookie(s.sessionCookie("", time.Unix(1, 0)))
	return k.ok(struct{}{})
}

// operatorNames tells what colleagues are called.
func (s *Server) operatorNames(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	names, err := s.config.Operators.Names(ctx)
	if err != nil {
		return fmt.Errorf("list operators: %w", err)
	}
	type named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	answer := struct {
		Operators []named `json:"operators"`
	}{[]named{}}
	for _, id := range slices.Sorted(maps.Keys(names)) {
		answer.Operators = append(answer.Operators, named{id, names[id]})
	}
	return k.ok(answer)
}

// sessionCookie carries a session's secret; an empty one ends it.
func (s *Server) sessionCookie(secret string, expires time.Time) *http.Cookie {
	cookie := &http.Cookie{
		Name: SessionCookie, Value: secret, Path: "/console", Expires: expires,
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode,
	}
	if secret == "" {
		cookie.MaxAge = -1
	}
	return cookie
}

// status is what /readyz tells, for the console.
func (s *Server) status(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	return k.ok(s.statusNow(ctx))
}

// noSuchEndpoint keeps unknown addresses of the console's API from being
// answered with its page.
func (s *Server) noSuchEndpoint(*call) error {
	return notFound("There is no such endpoint in the console's API.")
}
