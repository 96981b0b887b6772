package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// trackRequest is what a backend reports (CONTRACT 1.5, TrackAttributes). The
// attributes that are not listed here are accepted and not kept.
type trackRequest struct {
	IdempotencyKey string          `json:"idempotencyKey"`
	RedirectURL    string          `json:"redirectUrl"`
	Settings       bool            `json:"redirectToSettings"` // the address opens the account page; null is false
	IPAddress      string          `json:"ipAddress"`
	UserAgent      string          `json:"userAgent"`
	DeviceID       string          `json:"deviceId"`
	Scope          string          `json:"scope"`
	Email          string          `json:"email"`
	PhoneNumber    string          `json:"phoneNumber"`
	Username       string          `json:"username"`
	Locale         string          `json:"locale"`
	Custom         json.RawMessage `json:"custom"`
}

// track decides about an action before the backend carries it out, and answers
// with what the backend needs to go on: the state, a token for its client and
// the address of the hosted page.
//
// Tracking the same user, action and idempotencyKey again returns the recorded
// decision with its current state and fresh tokens.
func (s *Server) track(k *call) error {
	id, err := k.action()
	if err != nil {
		return err
	}
	var request trackRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	custom, raw, err := customValues(request.Custom)
	if err != nil {
		return err
	}
	if err := s.checkRedirect(request.RedirectURL); err != nil {
		return err
	}
	id.Key = request.IdempotencyKey
	// Bounds what is read before the decision; the engine bounds the rest itself.
	ctx, cancel := context.WithTimeout(k.Request().Context(), engine.CommitDeadline)
	defer cancel()
	decision, err := s.config.Engine.Track(ctx, engine.Action{
		ActionID: id, Email: request.Email, PhoneNumber: request.PhoneNumber, Username: request.Username,
		DeviceID: request.DeviceID, IP: request.IPAddress, UserAgent: request.UserAgent, Locale: request.Locale,
		RedirectURL: request.RedirectURL, Scope: request.Scope, Custom: custom, RawCustom: raw,
	})
	var input *engine.InputError
	switch {
	case errors.As(err, &input):
		return err
	case err != nil:
		// Whatever broke, nothing was decided and the same call may be made again:
		// that is what a backend needs to know. The log has the cause.
		return fmt.Errorf("track: %w: %w", engine.ErrUnavailable, err)
	}
	if decision.State == events.StateChallengeSucceeded {
		outlived, err := s.outlived(ctx, decision.ActionID, decision.CreatedAt)
		if err != nil {
			return fmt.Errorf("track: %w: %w", engine.ErrUnavailable, err)
		}
		if outlived {
			decision.State = events.StateChallengeFailed
		}
	}
	k.outcome = string(decision.Outcome)
	s.metrics.decided(&decision)

	grant := ceremonies.Grant{
		Use: ceremonies.UseAccess, Action: decision.ActionID, Scopes: scopesFor(&decision), Generation: decision.Generation,
	}
	answer := wireTrack{
		key: decision.Key, state: decision.State, enrolled: decision.Methods, allowed: s.allowed(&decision), rules: matchedRules(decision.Matches),
	}
	if answer.token, err = s.config.Tokens.Sign(grant); err != nil {
		return fmt.Errorf("track: %w", err)
	}
	grant.Use = ceremonies.UseLink
	if request.Settings {
		grant.Scopes += " " + ceremonies.ScopeAccount
	}
	link, err := s.config.Tokens.Sign(grant)
	if err != nil {
		return fmt.Errorf("track: %w", err)
	}
	// The address must have a query already: SDKs append to it (CONTRACT 0.13). A
	// token needs no escaping in it (RFC 7519, section 1).
	answer.url = s.config.PublicURL + "/challenge?c=" + link

	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	b.Write(answer.append(b.AvailableBuffer()))
	return k.write(http.StatusOK, b.Bytes())
}

// allowed are the methods that prove an action: those that are offered and that the
// rule accepts.
func (s *Server) allowed(d *engine.Decision) []events.Method {
	if len(d.Allowed) == 0 {
		return s.methods
	}
	return slices.DeleteFunc(slices.Clone(s.methods), func(m events.Method) bool { return !slices.Contains(d.Allowed, m) })
}

// scopesFor are the scopes of a track's token. It lets a person add a first
// authenticator while the action is neither refused nor waiting for a proof.
// Everybody else gets the scopes that the backend asked for with the token that
// follows a proof: enrolling never replaces proving.
func scopesFor(d *engine.Decision) string {
	if !d.Enrolled() {
		switch d.State {
		case events.StateAllow, events.StateReviewRequired, events.StateReviewSucceeded:
			return ceremonies.ScopeRead + " " + ceremonies.ScopeAdd
		}
	}
	return ceremonies.ScopeRead
}

// customValues reads custom data: an object whose values are strings, numbers
// and booleans. A null value is a value that is not known.
func customValues(raw json.RawMessage) (map[string]any, json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil, nil
	}
	if raw[0] != '{' {
		return nil, nil, invalidField("custom", "must be an object.")
	}
	var custom map[string]any
	if err := json.Unmarshal(raw, &custom); err != nil {
		if name, found := numberTooLarge(raw); found {
			return nil, nil, invalidField("custom."+name, "is a number that is too large for 64 bits.")
		}
		return nil, nil, jsonError(raw, err)
	}
	for name, value := range custom {
		switch value.(type) {
		case string, float64, bool:
		case nil:
			delete(custom, name)
		default:
			return nil, nil, invalidField("custom."+name, "must be a string, a number or a boolean.")
		}
	}
	return custom, raw, nil
}

// numberTooLarge names a custom value that no floating point number holds, such
// as 1e999.
func numberTooLarge(raw json.RawMessage) (name string, found bool) {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return "", false
	}
	for name, value := range values {
		var number *json.UnmarshalTypeError
		if errors.As(json.Unmarshal(value, new(any)), &number) && number.Type.Kind() == reflect.Float64 {
			return name, true
		}
	}
	return "", false
}
