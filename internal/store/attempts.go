package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// Attempt implements ceremonies.Store.
func (s *Store) Attempt(ctx context.Context, a ceremonies.Attempt) (ceremonies.Challenge, error) {
	var in input
	if a.New {
		in.challenge(a.Challenge)
		in.draft(a.Begun)
	}
	in.id("challenge", string(a.Challenge.ID))
	in.meters(a.Meters)
	if in.err != nil {
		return ceremonies.Challenge{}, in.err
	}
	var c ceremonies.Challenge
	var answer error
	err := s.write(ctx, func(t *tx) (err error) {
		c, answer, err = attempt(t, a)
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

// attempt counts first, then takes. What is refused for the challenge's sake is
// counted in the meters too: somebody guessed.
func attempt(t *tx, a ceremonies.Attempt) (c ceremonies.Challenge, refusal, err error) {
	if refusal, err = count(t, a.Meters, a.At); err != nil || refusal != nil {
		return c, refusal, err
	}
	if a.New { // it begins only when its answer is looked at
		if refusal, err = countTry(t, a.Challenge, a.Tries); err != nil || refusal != nil {
			return c, refusal, err
		}
		if refusal, err = begin(t, a.Challenge, a.Begun); err != nil || refusal != nil {
			return c, refusal, err
		}
		return take(t, a.Challenge.ID, a.Challenge.Action, a.At)
	}
	if c, refusal, err = take(t, a.Challenge.ID, a.Challenge.Action, a.At); err != nil || refusal != nil {
		return c, refusal, err
	}
	refusal, err = countTry(t, c, a.Tries)
	if err != nil || refusal == nil {
		return c, nil, err
	}
	// Nobody will answer it any more.
	reason := ceremonies.ReasonTriesUsedUp
	if errors.Is(refusal, ceremonies.ErrNotOpen) {
		reason = ceremonies.ReasonActionNotOpen
	}
	return c, refusal, closeWith(t, c, events.KindCeremonyFailed, reason, a.At)
}

// countTry counts an answer in the tries of the action that it is to complete.
func countTry(t *tx, c ceremonies.Challenge, tries int) (refusal, err error) {
	if c.Purpose != ceremonies.ForAction {
		return nil, nil
	}
	id := c.Action
	left, err := t.exec("UPDATE actions SET tries = tries + 1 WHERE user_id = $1 AND action = $2 AND action_key = $3 AND state = $4 AND tries < $5",
		string(id.User), id.Code, id.Key, string(events.StateChallengeRequired), int64(tries))
	if err != nil || left == 1 {
		return nil, err
	}
	state, _, err := actionState(t, id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ceremonies.ErrNoAction, nil
	case err != nil:
		return nil, err
	case state != events.StateChallengeRequired:
		return ceremonies.ErrNotOpen, nil
	}
	return ceremonies.ErrTries, nil
}

// CountIn implements ceremonies.Store.
func (s *Store) CountIn(ctx context.Context, meters []ceremonies.Meter, at time.Time) error {
	var in input
	if in.meters(meters); in.err != nil {
		return in.err
	}
	var answer error
	err := s.write(ctx, func(t *tx) (err error) {
		answer, err = count(t, meters, at)
		return err
	})
	return ended("count", err, answer)
}

// count counts one in each meter. The first that is locked, or locks now, refuses.
func count(t *tx, meters []ceremonies.Meter, at time.Time) (refusal, err error) {
	for _, m := range meters {
		refusal, err := countOne(t, m, at)
		if err != nil || refusal != nil {
			return refusal, err
		}
	}
	return nil, nil
}

func countOne(t *tx, m ceremonies.Meter, at time.Time) (refusal, err error) {
	now := micros(at)
	var used, ends, locked, locks int64
	err = t.get("SELECT used, ends_at, locked_until, locks FROM meters WHERE name = $1", args{m.Name}, &used, &ends, &locked, &locks)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	case locked > now:
		return &ceremonies.LockedError{Until: instant(locked)}, nil
	}
	if ends <= now { // a new window
		if locked == 0 || now-locked > micros(at.Add(m.Window))-now {
			locks = 0 // it was quiet for long enough
		}
		used, ends = 0, micros(at.Add(m.Window))
	}
	used++
	locked = 0
	if used > int64(m.Most) {
		lock := ceremonies.MaxLock
		switch {
		case m.Flat:
			lock = m.Lock
		case locks < 10: // twice as long each time, without running over
			lock = min(m.Lock<<locks, ceremonies.MaxLock)
		}
		locked, locks, used = micros(at.Add(lock)), locks+1, 0
		ends = locked
		refusal = &ceremonies.LockedError{Until: instant(locked)}
	}
	_, err = t.exec(`INSERT INTO meters (name, used, ends_at, locked_until, locks) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO UPDATE SET used = $2, ends_at = $3, locked_until = $4, locks = $5`, m.Name, used, ends, locked, locks)
	return refusal, err
}

// resetMeters takes a right answer back: the meters of one alone begin anew.
func resetMeters(t *tx, meters []ceremonies.Meter) error {
	for _, m := range meters {
		text := "DELETE FROM meters WHERE name = $1"
		if m.Shared {
			text = "UPDATE meters SET used = used - 1 WHERE name = $1 AND used > 0"
		}
		if _, err := t.exec(text, m.Name); err != nil {
			return err
		}
	}
	return nil
}

func (in *input) meters(meters []ceremonies.Meter) {
	for _, m := range meters {
		in.id("meter", m.Name)
	}
}

// Pending implements ceremonies.Store.
func (s *Store) Pending(ctx context.Context, action events.ActionID, kind ceremonies.Kind, method events.Method, now time.Time) (ceremonies.Challenge, error) {
	if unstorable(string(action.User), action.Code, action.Key) {
		return ceremonies.Challenge{}, ceremonies.ErrNoChallenge
	}
	return s.oneChallenge(ctx, ` WHERE user_id = $1 AND action = $2 AND action_key = $3 AND kind = $4 AND method = $5
		AND NOT closed AND expires_at > $6 ORDER BY begun_at DESC, id DESC LIMIT 1`,
		args{string(action.User), action.Code, action.Key, string(kind), string(method), micros(now)})
}

// Challenge implements ceremonies.Store.
func (s *Store) Challenge(ctx context.Context, id events.ChallengeID) (ceremonies.Challenge, error) {
	if unstorable(string(id)) {
		return ceremonies.Challenge{}, ceremonies.ErrNoChallenge
	}
	return s.oneChallenge(ctx, " WHERE id = $1", args{string(id)})
}

func (s *Store) oneChallenge(ctx context.Context, rest string, values args) (ceremonies.Challenge, error) {
	c, err := scanChallenge(func(into ...any) error {
		return s.read(ctx).get("SELECT "+challengeColumns+rest, values, into...)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ceremonies.Challenge{}, ceremonies.ErrNoChallenge
	}
	if err != nil {
		return ceremonies.Challenge{}, fmt.Errorf("read challenge: %w", err)
	}
	return c, nil
}

// ChallengeByValue implements ceremonies.Store.
func (s *Store) ChallengeByValue(ctx context.Context, value []byte) (events.ChallengeID, error) {
	c, err := s.oneChallenge(ctx, " WHERE value = $1", args{value})
	return c.ID, err
}

// Verified implements ceremonies.Store.
func (s *Store) Verified(ctx context.Context, id events.ChallengeID, at, expires time.Time, meters []ceremonies.Meter) error {
	var in input
	in.id("challenge", string(id))
	if in.meters(meters); in.err != nil {
		return in.err
	}
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		kept, err := t.exec("UPDATE challenges SET verified_at = $1, taken_at = 0, expires_at = $2 WHERE id = $3 AND taken_at <> 0 AND verified_at = 0 AND NOT closed",
			micros(at), micros(expires), string(id))
		if err == nil && kept == 0 {
			answer = ceremonies.ErrTaken
		}
		if err == nil && kept == 1 {
			err = resetMeters(t, meters)
		}
		return err
	})
	return ended("keep that a code was right", err, answer)
}

// Claim implements ceremonies.Store.
func (s *Store) Claim(ctx context.Context, id events.ChallengeID, now time.Time) (ceremonies.Challenge, error) {
	var in input
	if in.id("challenge", string(id)); in.err != nil {
		return ceremonies.Challenge{}, in.err
	}
	var c ceremonies.Challenge
	var answer error
	err := s.write(ctx, func(t *tx) (err error) {
		answer = nil
		c, err = scanChallenge(func(into ...any) error {
			return t.get("UPDATE challenges SET taken_at = $1 WHERE id = $2 AND verified_at <> 0 AND taken_at = 0 AND NOT closed AND expires_at > $1 RETURNING "+challengeFields,
				args{micros(now), string(id)}, into...)
		})
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var verified, expires int64
		err = t.get("SELECT verified_at, expires_at FROM challenges WHERE id = $1", args{string(id)}, &verified, &expires)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			answer = ceremonies.ErrNoChallenge
		case err != nil:
			return err
		case expires <= micros(now):
			answer = ceremonies.ErrExpired
		case verified == 0:
			answer = ceremonies.ErrNotVerified
		default:
			answer = ceremonies.ErrTaken
		}
		return nil
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return ceremonies.Challenge{}, fmt.Errorf("claim challenge: %w", err)
	}
	return c, nil
}

// Owner implements ceremonies.Store.
func (s *Store) Owner(ctx context.Context, credentialID []byte) (user events.UserID, err error) {
	err = s.read(ctx).get("SELECT user_id FROM authenticators WHERE credential_id = $1", args{credentialID}, &user)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ceremonies.ErrNoChallenge
	}
	if err != nil {
		return "", fmt.Errorf("find credential: %w", err)
	}
	return user, nil
}

// HasCode implements ceremonies.Store.
func (s *Store) HasCode(ctx context.Context, user events.UserID, hash []byte) (bool, error) {
	if unstorable(string(user)) {
		return false, nil
	}
	err := s.read(ctx).get("SELECT 1 FROM recovery_codes WHERE user_id = $1 AND hash = $2", args{string(user), hash}, new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for recovery code: %w", err)
	}
	return true, nil
}

// dropCodesWithout takes the recovery codes of a person whose authenticator that
// stands for them was removed.
func dropCodesWithout(t *tx, user events.UserID) error {
	_, err := t.exec(`DELETE FROM recovery_codes WHERE user_id = $1
		AND NOT EXISTS (SELECT 1 FROM authenticators WHERE user_id = $1 AND method = $2)`, string(user), string(events.MethodRecoveryCode))
	return err
}

// ChangeAuthenticator implements ceremonies.Store.
func (s *Store) ChangeAuthenticator(ctx context.Context, user events.UserID, id events.AuthenticatorID, name *string, preferred bool, by string) error {
	var in input
	in.id("userId", string(user))
	in.id("authenticator", string(id))
	in.name("by", by)
	if name != nil {
		in.id("name", *name)
	}
	if in.err != nil {
		return in.err
	}
	now := s.now()
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		var method events.Method
		var before string
		var was events.AuthenticatorID
		err := t.get(`SELECT a.method, a.name, u.default_authenticator FROM authenticators a JOIN users u ON u.id = a.user_id
			WHERE a.id = $1 AND a.user_id = $2`, args{string(id), string(user)}, &method, &before, &was)
		if errors.Is(err, sql.ErrNoRows) {
			answer = ceremonies.ErrNoChallenge
			return nil
		}
		if err != nil {
			return err
		}
		var changed []string
		if name != nil && *name != before {
			changed = append(changed, "name")
			if _, err := t.exec("UPDATE authenticators SET name = $1 WHERE id = $2", *name, string(id)); err != nil {
				return err
			}
		}
		if preferred && was != id {
			changed = append(changed, "default")
			if _, err := t.exec("UPDATE users SET default_authenticator = $1 WHERE id = $2", string(id), string(user)); err != nil {
				return err
			}
			if err := countMethods(t, user); err != nil {
				return err
			}
		}
		if len(changed) == 0 {
			return nil
		}
		draft, err := events.NewDraft(events.AuthenticatorChanged{
			ActionID: events.ActionID{User: user}, Authenticator: id, Method: method, Fields: changed, By: by,
		}, nil, now)
		if err != nil {
			return err
		}
		return t.log(draft)
	})
	return ended("change authenticator", err, answer)
}

// Prompted implements ceremonies.Store.
func (s *Store) Prompted(ctx context.Context, user events.UserID, at time.Time) error {
	var in input
	if in.id("userId", string(user)); in.err != nil {
		return in.err
	}
	err := s.write(ctx, func(t *tx) error {
		n, err := t.exec("UPDATE users SET prompted_at = $1 WHERE id = $2", micros(at), string(user))
		if err == nil && n == 0 {
			return nil // deleted meanwhile
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keep that a passkey was put off: %w", err)
	}
	return nil
}
