package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// Account implements ceremonies.Store.
func (s *Store) Account(ctx context.Context, user events.UserID) (ceremonies.Account, error) {
	if unstorable(string(user)) {
		return ceremonies.Account{User: user}, nil
	}
	q := s.read(ctx)
	a := ceremonies.Account{User: user, Known: true}
	var created, prompted int64
	err := q.get(`SELECT handle, username, display_name, email, email_verified, locale, generation, default_authenticator, prompted_at, created_at,
			(SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1)
		FROM users WHERE id = $1`, args{string(user)},
		&a.Handle, &a.Username, &a.DisplayName, &a.Email, &a.EmailVerified, &a.Locale, &a.Generation, &a.Default, &prompted, &created, &a.Codes)
	if errors.Is(err, sql.ErrNoRows) {
		return ceremonies.Account{User: user}, nil
	}
	if err == nil {
		a.CreatedAt, a.PromptedAt = instant(created), instant(prompted)
		a.Authenticators, err = authenticators(q, user)
	}
	if err != nil {
		return ceremonies.Account{}, fmt.Errorf("read account: %w", err)
	}
	return a, nil
}

// Action implements ceremonies.Store.
func (s *Store) Action(ctx context.Context, id events.ActionID) (ceremonies.Action, error) {
	if unstorable(string(id.User), id.Code, id.Key) {
		return ceremonies.Action{}, ceremonies.ErrNoAction
	}
	a := ceremonies.Action{ActionID: id}
	var created, proven int64
	var data, body []byte
	err := s.read(ctx).get(`SELECT a.state, a.scope, a.redirect_url, a.custom, a.prompt, a.prompt_id, a.device_id, a.locale, a.tries,
			a.methods <> '', a.created_at, a.proven_at, a.proven_by, e.body
		FROM actions a JOIN events e ON e.place = a.place WHERE a.user_id = $1 AND a.action = $2 AND a.action_key = $3`,
		args{string(id.User), id.Code, id.Key},
		&a.State, &a.Scope, &a.RedirectURL, &data, &a.Prompt, &a.PromptID, &a.DeviceID, &a.Locale, &a.Tries, &a.Enrolled,
		&created, &proven, &a.ProvenBy, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return ceremonies.Action{}, ceremonies.ErrNoAction
	}
	if err != nil {
		return ceremonies.Action{}, fmt.Errorf("read action: %w", err)
	}
	// What the decision asks for stands in its event, which nothing can change.
	var tracked events.ActionTracked
	if err := json.Unmarshal(body, &tracked); err != nil {
		return ceremonies.Action{}, fmt.Errorf("read body of %s: %w", events.KindActionTracked, err)
	}
	a.Allowed, a.UserVerification = tracked.Allowed, tracked.UserVerification
	a.EnrolFirst = !a.Enrolled && tracked.State == events.StateChallengeRequired && tracked.Reason == string(engine.ByEnrolmentPolicy)
	a.Data, a.CreatedAt, a.ProvenAt = data, instant(created), instant(proven)
	return a, nil
}

// Begin implements ceremonies.Store.
func (s *Store) Begin(ctx context.Context, c ceremonies.Challenge, event events.Draft) error {
	var in input
	in.challenge(c)
	in.draft(event)
	if in.err != nil {
		return in.err
	}
	var answer error
	err := s.write(ctx, func(t *tx) error {
		var err error
		answer, err = begin(t, c, event)
		return err
	})
	return ended("begin ceremony", err, answer)
}

// begin stores a challenge and its event. One that is for nobody yet leaves none.
func begin(t *tx, c ceremonies.Challenge, event events.Draft) (refusal, err error) {
	if c.Action.User != "" {
		state, _, err := actionState(t, c.Action)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ceremonies.ErrNoAction, nil
		case err != nil:
			return nil, err
		case c.Purpose == ceremonies.ForAction && state != events.StateChallengeRequired:
			return ceremonies.ErrNotOpen, nil
		}
	}
	if _, err := t.exec(`INSERT INTO challenges (id, kind, purpose, method, subject, user_id, action, action_key, session, value, nonce, digest,
			shown, most, begun_at, expires_at, taken_at, closed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, $17)`,
		string(c.ID), string(c.Kind), string(c.Purpose), string(c.Method), c.Subject, string(c.Action.User), c.Action.Code, c.Action.Key,
		[]byte(c.Session), orNull(c.Value), c.Nonce, c.Digest, c.Shown, int64(max(c.Most, 1)), micros(c.BegunAt), micros(c.Expires), false); err != nil {
		return nil, err
	}
	if c.Action.User == "" {
		return nil, nil
	}
	return nil, t.log(event)
}

// challenge checks one that is about to be stored.
func (in *input) challenge(c ceremonies.Challenge) {
	in.id("challenge", string(c.ID))
	if c.Action.User != "" || c.Purpose != ceremonies.ForSignIn {
		in.id("userId", string(c.Action.User))
	}
	in.name("userId", string(c.Action.User))
	in.id("action", c.Action.Code)
	in.id("idempotencyKey", c.Action.Key)
	in.name("challenge", string(c.Kind))
	in.name("challenge", string(c.Purpose))
	in.name("challenge", string(c.Method))
	in.name("challenge", c.Subject)
	in.bytes("challenge", c.Session)
	in.bytes("challenge", c.Nonce)
	in.bytes("challenge", c.Digest)
	if len(c.Session) == 0 || len(c.Nonce) == 0 || len(c.Digest) == 0 {
		in.refuse("challenge", "has no session, nonce or digest")
	}
}

const (
	challengeFields = `id, kind, purpose, method, subject, user_id, action, action_key, session, value, nonce, digest, shown, most,
		begun_at, expires_at`
	challengeColumns = challengeFields + " FROM challenges"
)

func scanChallenge(scan func(...any) error) (c ceremonies.Challenge, err error) {
	var begun, expires int64
	var session []byte
	err = scan(&c.ID, &c.Kind, &c.Purpose, &c.Method, &c.Subject, &c.Action.User, &c.Action.Code, &c.Action.Key, &session, &c.Value, &c.Nonce,
		&c.Digest, &c.Shown, &c.Most, &begun, &expires)
	c.Session, c.BegunAt, c.Expires = session, instant(begun), instant(expires)
	return c, err
}

// Take implements ceremonies.Store. A challenge is expired from the very moment
// that it names.
func (s *Store) Take(ctx context.Context, id events.ChallengeID, action events.ActionID, now time.Time) (ceremonies.Challenge, error) {
	var in input
	in.id("challenge", string(id))
	if action != (events.ActionID{}) {
		in.action(action)
	}
	if in.err != nil {
		return ceremonies.Challenge{}, in.err
	}
	var c ceremonies.Challenge
	var answer error
	err := s.write(ctx, func(t *tx) (err error) {
		c, answer, err = take(t, id, action, now)
		return err
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return ceremonies.Challenge{}, fmt.Errorf("take challenge: %w", err)
	}
	return c, nil
}

// take claims a challenge for one answer. No action takes one that was begun for
// nobody.
func take(t *tx, id events.ChallengeID, action events.ActionID, now time.Time) (c ceremonies.Challenge, refusal, err error) {
	const claim = "UPDATE challenges SET taken_at = $1, answers = answers + 1 WHERE id = $2 AND taken_at = 0 AND NOT closed AND answers < most AND expires_at > $1"
	values := args{micros(now), string(id)}
	whose := " AND user_id = '' AND purpose = '" + string(ceremonies.ForSignIn) + "' AND verified_at = 0"
	if action != (events.ActionID{}) {
		whose = " AND user_id = $3 AND action = $4 AND action_key = $5"
		values = append(values, string(action.User), action.Code, action.Key)
	}
	c, err = scanChallenge(func(into ...any) error {
		return t.get(claim+whose+" RETURNING "+challengeFields, values, into...)
	})
	if !errors.Is(err, sql.ErrNoRows) {
		return c, nil, err
	}
	var takenAt int64
	c, err = scanChallenge(func(into ...any) error {
		return t.get("SELECT taken_at, "+challengeColumns+" WHERE id = $1", args{string(id)},
			append([]any{&takenAt}, into...)...)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && !belongs(c, action):
		return ceremonies.Challenge{}, ceremonies.ErrNoChallenge, nil
	case err != nil:
		return ceremonies.Challenge{}, nil, err
	case takenAt == 0 && micros(c.Expires) <= micros(now):
		return ceremonies.Challenge{}, ceremonies.ErrExpired, nil
	}
	// taken, or closed by a denial, or answered as often as it may be
	return ceremonies.Challenge{}, ceremonies.ErrTaken, nil
}

// belongs reports whether a challenge was begun for an action, or, without one, for
// nobody.
func belongs(c ceremonies.Challenge, action events.ActionID) bool {
	if action == (events.ActionID{}) {
		return c.Action.User == "" && c.Purpose == ceremonies.ForSignIn
	}
	return c.Action == action
}

// Redeem implements ceremonies.Store.
func (s *Store) Redeem(ctx context.Context, link string, expires time.Time) (bool, error) {
	var in input
	in.id("link", link)
	if in.err != nil {
		return false, in.err
	}
	var first bool
	err := s.write(ctx, func(t *tx) (err error) {
		first, err = redeem(t, link, expires)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("redeem link: %w", err)
	}
	return first, nil
}

// redeem reports whether this was the first time.
func redeem(t *tx, id string, expires time.Time) (bool, error) {
	n, err := t.exec("INSERT INTO links_redeemed (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", id, micros(expires))
	return n == 1, err
}

// Deny implements ceremonies.Store.
func (s *Store) Deny(ctx context.Context, id events.ActionID, at time.Time, event events.Draft) error {
	var in input
	in.action(id)
	in.draft(event)
	if in.err != nil {
		return in.err
	}
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		state, _, err := actionState(t, id)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			answer = ceremonies.ErrNoAction
			return nil
		case err != nil:
			return err
		case !state.CanBecome(events.StateChallengeFailed, events.ByRefusal):
			answer = ceremonies.ErrNotOpen
			return nil
		}
		if err := denyAction(t, id, at); err != nil {
			return err
		}
		return t.log(event)
	})
	return ended("deny action", err, answer)
}

// denyAction fails an open action, takes the user's tokens back and closes the
// action's challenges, so that none is answered later.
func denyAction(t *tx, id events.ActionID, at time.Time) error {
	if err := moveAction(t, id, events.StateChallengeFailed, micros(at)); err != nil {
		return err
	}
	t.touch(id.User)
	if _, err := t.exec("UPDATE users SET generation = generation + 1 WHERE id = $1", string(id.User)); err != nil {
		return err
	}
	return abandon(t, "user_id = $1 AND action = $2 AND action_key = $3", args{string(id.User), id.Code, id.Key}, ceremonies.ReasonDenied, at)
}

// abandon closes the open challenges of a person that a condition selects, taken
// ones too, each with its event: whatever was begun also ends in the trail.
func abandon(t *tx, condition string, values args, reason string, at time.Time) error {
	var open []ceremonies.Challenge
	rows, err := t.list("SELECT "+challengeColumns+" WHERE NOT closed AND user_id <> '' AND "+condition+" ORDER BY begun_at, id", values)
	err = each(rows, err, func(rows *sql.Rows) error {
		c, err := scanChallenge(rows.Scan)
		open = append(open, c)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range open {
		if err := closeWith(t, c, events.KindCeremonyAbandoned, reason, at); err != nil {
			return err
		}
	}
	return nil
}

// closeWith closes an open challenge with an event that has nothing to say of an
// answer.
func closeWith(t *tx, c ceremonies.Challenge, step events.Kind, reason string, at time.Time) error {
	if _, err := t.exec("UPDATE challenges SET closed = $1 WHERE id = $2", true, string(c.ID)); err != nil {
		return err
	}
	draft, err := events.NewDraft(events.Ceremony{
		Step: step, ActionID: c.Action, Challenge: c.ID, Ceremony: string(c.Kind), Purpose: string(c.Purpose),
		Method: c.Method, Reason: reason, Shown: c.Shown,
	}, nil, at)
	if err != nil {
		return err
	}
	return t.log(draft)
}

// sameChallenge guards against an outcome for a challenge that was not the one
// that was taken.
func sameChallenge(a, b ceremonies.Challenge) bool {
	return a.Action == b.Action && a.Purpose == b.Purpose && a.Kind == b.Kind && bytes.Equal(a.Nonce, b.Nonce)
}
