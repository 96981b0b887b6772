package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// MaxActions is how many actions TrackedActions returns at most.
const MaxActions = 200

const trackedColumns = `a.user_id, a.action, a.action_key, a.outcome, a.state, a.created_at, a.state_changed_at,
	a.methods, a.scope, a.method, a.proven_by, a.proven_at, a.digest, a.prompt_id, a.prompt, a.redirect_url, a.custom,
	e.body, e.personal, COALESCE(u.generation, 0)
	FROM actions a JOIN events e ON e.place = a.place LEFT JOIN users u ON u.id = a.user_id`

// TrackedAction reads one action, or engine.ErrNotFound. Methods are those that
// the person had when it was decided, the generation is the current one.
func (s *Store) TrackedAction(ctx context.Context, id events.ActionID) (engine.TrackedAction, error) {
	if unstorable(string(id.User), id.Code, id.Key) {
		return engine.TrackedAction{}, fmt.Errorf("read action: %w", engine.ErrNotFound)
	}
	var c conditions
	c.and("a.user_id = ? AND a.action = ? AND a.action_key = ?", string(id.User), id.Code, id.Key)
	found, err := s.tracked(ctx, c.text.String(), c.values)
	if err != nil {
		return engine.TrackedAction{}, fmt.Errorf("read action: %w", err)
	}
	if len(found) == 0 {
		return engine.TrackedAction{}, fmt.Errorf("read action: %w", engine.ErrNotFound)
	}
	return found[0], nil
}

// TrackedActions reads actions of one user, newest first, at most MaxActions.
func (s *Store) TrackedActions(ctx context.Context, filter engine.ActionFilter) ([]engine.TrackedAction, error) {
	if unstorable(string(filter.User), string(filter.State)) || unstorable(filter.Codes...) {
		return []engine.TrackedAction{}, nil
	}
	var c conditions
	c.and("a.user_id = ?", string(filter.User))
	if len(filter.Codes) > 0 {
		names := ""
		for i, code := range filter.Codes {
			if i > 0 {
				names += ", "
			}
			names += c.value(code)
		}
		c.and("a.action IN (" + names + ")")
	}
	if filter.State != "" {
		c.and("a.state = ?", string(filter.State))
	}
	if !filter.From.IsZero() {
		c.and("a.created_at >= ?", filter.From.UnixMicro())
	}
	found, err := s.tracked(ctx, c.text.String()+" ORDER BY a.created_at DESC, a.place DESC LIMIT "+c.value(int64(MaxActions)), c.values)
	if err != nil {
		return nil, fmt.Errorf("read actions: %w", err)
	}
	return found, nil
}

func (s *Store) tracked(ctx context.Context, rest string, values args) ([]engine.TrackedAction, error) {
	found := []engine.TrackedAction{}
	rows, err := s.read(ctx).list("SELECT "+trackedColumns+rest, values)
	return found, each(rows, err, func(rows *sql.Rows) error {
		var a engine.TrackedAction
		var created, changed, proven int64
		var methods string
		var custom, body, personal []byte
		if err := rows.Scan(&a.User, &a.Code, &a.Key, &a.Outcome, &a.State, &created, &changed,
			&methods, &a.Scope, &a.Method, &a.ProvenBy, &proven, &a.Digest, &a.PromptID, &a.Prompt, &a.RedirectURL, &custom,
			&body, &personal, &a.Generation); err != nil {
			return err
		}
		a.CreatedAt, a.StateChangedAt, a.ProvenAt = instant(created), instant(changed), instant(proven)
		a.Methods, a.Custom = splitMethods(methods), custom
		event, err := decided(&a.Decision, body)
		if err != nil {
			return err
		}
		a.Country = event.Country
		values, err := events.Draft{Kind: events.KindActionTracked, Personal: personal}.PersonalValues()
		if err != nil {
			return err
		}
		a.IP, a.UserAgent = values[events.PersonalIP], values[events.PersonalUserAgent]
		a.RuleNames = make(map[string]string, len(a.Matches))
		for _, m := range a.Matches {
			a.RuleNames[m.ID] = m.Name
		}
		found = append(found, a)
		return nil
	})
}

// MoveAction changes an action's state for the backend or a reviewer and returns
// the state it then has. Staying in the same state writes nothing. A move that
// the states table refuses is an *engine.MoveError; an unknown action is
// engine.ErrNotFound.
func (s *Store) MoveAction(ctx context.Context, id events.ActionID, to events.ActionState, by string) (events.ActionState, error) {
	var in input
	in.action(id)
	in.id("state", string(to))
	in.name("by", by)
	if in.err != nil {
		return "", in.err
	}
	now := s.now()
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		state, _, err := actionState(t, id)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			answer = engine.ErrNotFound
			return nil
		case err != nil || state == to:
			return err
		case !state.CanBecome(to, events.ByBackend):
			answer = &engine.MoveError{From: state, To: to}
			return nil
		}
		draft, err := events.NewDraft(events.ActionUpdated{ActionID: id, State: to, From: state, By: by}, nil, now)
		if err != nil {
			return err
		}
		if err := moveAction(t, id, to, micros(now)); err != nil {
			return err
		}
		return t.log(draft)
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return "", fmt.Errorf("move action to %s: %w", to, err)
	}
	return to, nil
}

// actionState reads where an action stands, or sql.ErrNoRows.
func actionState(q querier, id events.ActionID) (state events.ActionState, tries int, err error) {
	err = q.get("SELECT state, tries FROM actions WHERE user_id = $1 AND action = $2 AND action_key = $3",
		args{string(id.User), id.Code, id.Key}, &state, &tries)
	return state, tries, err
}

func moveAction(t *tx, id events.ActionID, to events.ActionState, at int64) error {
	_, err := t.exec(`UPDATE actions SET state = $1, state_changed_at = $2
		WHERE user_id = $3 AND action = $4 AND action_key = $5`, string(to), at, string(id.User), id.Code, id.Key)
	return err
}
