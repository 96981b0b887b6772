package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// lookBack is how far a query of actions reaches, by default and at most
// (CONTRACT 7).
const lookBack = 30 * 24 * time.Hour

// actionStore keeps tracked actions.
type actionStore interface {
	// TrackedAction reads one action, or engine.ErrNotFound.
	TrackedAction(ctx context.Context, id events.ActionID) (engine.TrackedAction, error)
	// TrackedActions reads a user's actions, newest first.
	TrackedActions(ctx context.Context, filter engine.ActionFilter) ([]engine.TrackedAction, error)
	// MoveAction changes a state for the backend and returns the state the action
	// is in afterwards. Moving to the same state writes nothing; a refused move is
	// a *engine.MoveError.
	MoveAction(ctx context.Context, id events.ActionID, to events.ActionState, by string) (events.ActionState, error)
}

// queryActions lists a user's actions of the last 30 days.
func (s *Server) queryActions(k *call) error {
	user, err := k.user()
	if err != nil {
		return err
	}
	filter := engine.ActionFilter{User: user, State: events.ActionState(k.QueryParam("state")), From: s.now().Add(-lookBack)}
	if filter.State != "" && !filter.State.Valid() {
		return invalidField("state", "is not a state of an action.")
	}
	if from := k.QueryParam("fromDate"); from != "" {
		at, err := parseDate(from)
		if err != nil {
			return invalidField("fromDate", "must be an ISO 8601 time, such as 2026-11-01T00:00:00.000Z.")
		}
		if at.After(filter.From) {
			filter.From = at
		}
	}
	for code := range strings.SplitSeq(k.QueryParam("codes"), ",") {
		if code = strings.TrimSpace(code); code != "" {
			filter.Codes = append(filter.Codes, code)
		}
	}
	// Each number of codes is a statement of its own, and statements are kept.
	if len(filter.Codes) > maxCodes {
		return invalidField("codes", fmt.Sprintf("must name at most %d actions.", maxCodes))
	}
	ctx, cancel := k.within()
	defer cancel()
	actions, err := s.config.Store.TrackedActions(ctx, filter)
	if err != nil {
		return fmt.Errorf("query actions: %w", err)
	}
	items := make([]wireActionItem, len(actions))
	for i, a := range actions {
		items[i] = actionItemOf(a)
	}
	return k.ok(items)
}

// maxCodes is how many action codes one query may name.
const maxCodes = 50

// parseDate reads a time or a day.
func parseDate(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
	}
	return at, err
}

// getAction reads one action.
func (s *Server) getAction(k *call) error {
	id, err := k.action()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	action, err := s.config.Store.TrackedAction(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return notFound("This user has no action with this code and idempotencyKey.")
	}
	if err != nil {
		return fmt.Errorf("get action: %w", err)
	}
	return k.ok(actionOf(action))
}

// updateAction moves an action to another state, as a reviewer's decision does.
// A challenge can be failed this way and never passed.
func (s *Server) updateAction(k *call) error {
	id, err := k.action()
	if err != nil {
		return err
	}
	var request struct {
		State events.ActionState `json:"state"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if !request.State.Valid() {
		return invalidField("state", "is not a state of an action.")
	}
	ctx, cancel := k.within()
	defer cancel()
	state, err := s.config.Store.MoveAction(ctx, id, request.State, events.ByApplication)
	if errors.Is(err, engine.ErrNotFound) {
		return notFound("This user has no action with this code and idempotencyKey.")
	}
	if err != nil {
		return fmt.Errorf("update action: %w", err)
	}
	return k.ok(struct {
		State events.ActionState `json:"state"`
	}{state})
}

// wireValidation answers whether an action was proven. Both action and
// actionCode are there: SDKs read one or the other (CONTRACT 0.7).
type wireValidation struct {
	IsValid            bool               `json:"isValid"`
	State              events.ActionState `json:"state,omitempty"`
	StateUpdatedAt     wireTime           `json:"stateUpdatedAt,omitzero"`
	UserID             events.UserID      `json:"userId,omitempty"`
	Action             string             `json:"action,omitempty"`
	ActionCode         string             `json:"actionCode,omitempty"`
	IdempotencyKey     string             `json:"idempotencyKey,omitempty"`
	VerificationMethod events.Method      `json:"verificationMethod,omitempty"`
	Digest             string             `json:"digest,omitempty"` // our own: base64url of SHA-256 of the statement that was proven
	Error              string             `json:"error,omitempty"`  // only for a bad token
}

// validate tells a backend what became of the action that a token is about. It
// is a read: the same token gets the same answer for its whole life, because
// SDKs send the request again after a lost connection. A bad token is an answer
// and not an error (CONTRACT 1.5).
func (s *Server) validate(k *call) error {
	var request struct {
		Token  string        `json:"token"`
		Action string        `json:"action"`
		UserID events.UserID `json:"userId"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if request.Token == "" {
		return invalidField("token", "is missing. Send the token that the client got, or the one in the redirect.")
	}
	ctx, cancel := k.within()
	defer cancel()
	grant, err := s.config.Party.Authorize(ctx, request.Token, ceremonies.UseAccess, ceremonies.UseResult)
	var refused *ceremonies.RefusedError
	if errors.As(err, &refused) {
		return k.ok(wireValidation{Error: refused.Code})
	}
	if err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	if request.UserID != "" && request.UserID != grant.Action.User || request.Action != "" && request.Action != grant.Action.Code {
		return k.ok(wireValidation{Error: codeInvalidToken})
	}
	action, err := s.config.Store.TrackedAction(ctx, grant.Action)
	if errors.Is(err, engine.ErrNotFound) {
		return k.ok(wireValidation{Error: codeInvalidToken})
	}
	if err != nil {
		return fmt.Errorf("validate: %w", err)
	}
	if action.State == events.StateChallengeSucceeded {
		if outlived, err := s.outlived(ctx, action.ActionID, action.CreatedAt); err != nil {
			return fmt.Errorf("validate: %w", err)
		} else if outlived {
			return k.ok(wireValidation{Error: codeInvalidToken})
		}
	}
	return k.ok(wireValidation{
		IsValid: action.State == events.StateChallengeSucceeded,
		State:   action.State, StateUpdatedAt: wireTime(action.StateChangedAt), UserID: action.User,
		Action: action.Code, ActionCode: action.Code, IdempotencyKey: action.Key, VerificationMethod: action.Method,
		Digest: action.Digest,
	})
}

// outlived reports whether a proven action belongs to somebody who had the user's
// id before: their proof says nothing of the person who has it now.
func (s *Server) outlived(ctx context.Context, id events.ActionID, decided time.Time) (bool, error) {
	account, err := s.config.Store.Account(ctx, id.User)
	if err != nil {
		return false, err
	}
	return account.Outlived(ceremonies.Action{ActionID: id, CreatedAt: decided}), nil
}
