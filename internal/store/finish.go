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

// Finish implements ceremonies.Store. A challenge that was not taken, or closed
// already, is ceremonies.ErrNoChallenge or ErrTaken and changes nothing. A proof
// by an authenticator that was removed since the challenge was taken is
// ErrNoChallenge as well and leaves a failure event.
func (s *Store) Finish(ctx context.Context, o ceremonies.Outcome) (ceremonies.Result, error) {
	if err := checkOutcome(o); err != nil {
		return ceremonies.Result{}, err
	}
	var result ceremonies.Result
	var answer error
	err := s.write(ctx, func(t *tx) error {
		result, answer = ceremonies.Result{}, nil
		f := finish{tx: t, Outcome: o, remember: s.remember}
		refusal, err := f.closeChallenge()
		if err != nil || refusal != nil {
			answer = refusal
			return err
		}
		if f.state, f.tries, err = actionState(t, o.Challenge.Action); err != nil {
			return fmt.Errorf("read action: %w", err)
		}
		if err := f.regress(); err != nil {
			return err
		}
		was := f.state
		reason, refusal, err := f.apply()
		if err != nil {
			return err
		}
		result = ceremonies.Result{State: f.state, Tries: f.tries}
		if refusal != nil {
			answer = refusal
			return f.logRefused(reason)
		}
		moved := events.ActionState("")
		if f.state != was {
			moved = f.state
		}
		return f.logAll(moved)
	})
	if err != nil {
		return ceremonies.Result{}, fmt.Errorf("finish ceremony: %w", err)
	}
	if answer != nil {
		return result, fmt.Errorf("finish ceremony: %w", answer)
	}
	return result, nil
}

// finish is one outcome on its way into the database.
type finish struct {
	*tx
	ceremonies.Outcome
	state events.ActionState // of the action, brought up to date
	tries int
	// remember is for how long a proof makes its device remembered.
	remember time.Duration
}

// closeChallenge closes the taken challenge, or says why it cannot.
func (f *finish) closeChallenge() (refusal, err error) {
	id := string(f.Challenge.ID)
	stored, err := scanChallenge(func(into ...any) error {
		return f.get("SELECT "+challengeColumns+" WHERE id = $1", args{id}, into...)
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !sameChallenge(stored, f.Challenge) {
		return ceremonies.ErrNoChallenge, nil
	}
	if err != nil {
		return nil, err
	}
	closed, err := f.exec("UPDATE challenges SET closed = $1 WHERE id = $2 AND taken_at <> 0 AND NOT closed", true, id)
	if err == nil && closed == 0 {
		refusal = ceremonies.ErrTaken
	}
	return refusal, err
}

// apply changes what the outcome changes. A refusal has changed nothing.
func (f *finish) apply() (reason string, refusal, err error) {
	switch {
	case f.Denied:
		if !f.state.CanBecome(events.StateChallengeFailed, events.ByRefusal) {
			return ceremonies.ReasonActionNotOpen, ceremonies.ErrNotOpen, nil
		}
		f.state = events.StateChallengeFailed
		return "", nil, denyAction(f.tx, f.Challenge.Action, micros(f.At))
	case f.New != nil:
		return f.enrol()
	case f.Proof != nil:
		return f.prove()
	default:
		return "", nil, f.countTry()
	}
}

// enrol adds the new authenticator.
func (f *finish) enrol() (reason string, refusal, err error) {
	if f.OnlyFirst {
		has, err := authenticators(f.tx, f.New.User)
		if err != nil {
			return "", nil, err
		}
		if len(has) > 0 {
			return ceremonies.ReasonEnrolledMeanwhile, ceremonies.ErrEnrolledMeanwhile, nil
		}
	}
	added, err := addAuthenticator(f.tx, *f.New, micros(f.At))
	if err == nil && !added {
		return ceremonies.ReasonCredentialExists, ceremonies.ErrCredentialExists, nil
	}
	return "", nil, err
}

// prove stores what the answer changed of the credential, and completes the
// action when the proof is for it.
func (f *finish) prove() (reason string, refusal, err error) {
	forAction := f.Challenge.Purpose == ceremonies.ForAction
	if forAction && !f.state.CanBecome(events.StateChallengeSucceeded, events.ByProof) {
		return ceremonies.ReasonActionNotOpen, ceremonies.ErrNotOpen, nil
	}
	at, user, p := micros(f.At), string(f.Challenge.Action.User), f.Proof
	f.touch(f.Challenge.Action.User)
	found, err := f.exec(`UPDATE authenticators SET credential = $1, synced = $2, backed_up = $3, sign_count = $4, last_verified_at = $5
		WHERE id = $6 AND user_id = $7`, orNull(p.Credential), p.Synced, p.BackedUp, int64(p.SignCount), at, string(p.ID), user)
	if err != nil {
		return "", nil, err
	}
	if found == 0 {
		return ceremonies.ReasonUnknownCredential, fmt.Errorf("%w: its authenticator was removed", ceremonies.ErrNoChallenge), nil
	}
	if _, err := f.exec("UPDATE users SET last_verified_at = $1 WHERE id = $2", at, user); err != nil {
		return "", nil, err
	}
	if !forAction {
		return "", nil, nil
	}
	f.state = events.StateChallengeSucceeded
	id := f.Challenge.Action
	if _, err := f.exec(`UPDATE actions SET state = $1, state_changed_at = $2, method = $3, proven_by = $4, proven_at = $2
		WHERE user_id = $5 AND action = $6 AND action_key = $7`,
		string(f.state), at, string(p.Method), string(p.ID), user, id.Code, id.Key); err != nil {
		return "", nil, err
	}
	return "", nil, f.acquaint(at)
}

// acquaint keeps what a proof tells of the device, the address and the place that
// its action came from.
func (f *finish) acquaint(at int64) error {
	id := f.Challenge.Action
	var device, address string
	var latitude, longitude sql.NullFloat64
	if err := f.get("SELECT device_id, address, latitude, longitude FROM actions WHERE user_id = $1 AND action = $2 AND action_key = $3",
		args{string(id.User), id.Code, id.Key}, &device, &address, &latitude, &longitude); err != nil {
		return err
	}
	if latitude.Valid && longitude.Valid {
		if _, err := f.exec("UPDATE users SET place_latitude = $1, place_longitude = $2, place_at = $3 WHERE id = $4",
			latitude.Float64, longitude.Float64, at, string(id.User)); err != nil {
			return err
		}
	}
	a, err := acquainted(f.tx, id.User, device, address)
	if err != nil || !a.Known {
		return err
	}
	remember := int64(0)
	if f.remember > 0 {
		remember = at + f.remember.Microseconds()
	}
	return a.establish(f.tx, id.User, device, address, at, remember)
}

// regress flags the authenticator whose signature counter went back.
func (f *finish) regress() error {
	if f.Regressed == "" {
		return nil
	}
	f.touch(f.Challenge.Action.User)
	_, err := f.exec("UPDATE authenticators SET regressed = $1 WHERE id = $2 AND user_id = $3",
		true, string(f.Regressed), string(f.Challenge.Action.User))
	return err
}

// countTry counts a wrong answer to an open action, and fails the action at the
// last one.
func (f *finish) countTry() error {
	if f.Challenge.Purpose != ceremonies.ForAction || f.state != events.StateChallengeRequired {
		return nil
	}
	f.tries++
	id := f.Challenge.Action
	if _, err := f.exec("UPDATE actions SET tries = $1 WHERE user_id = $2 AND action = $3 AND action_key = $4",
		int64(f.tries), string(id.User), id.Code, id.Key); err != nil {
		return err
	}
	if f.tries < f.Tries || !f.state.CanBecome(events.StateChallengeFailed, events.ByRefusal) {
		return nil
	}
	f.state = events.StateChallengeFailed
	return moveAction(f.tx, id, f.state, micros(f.At))
}

// logAll writes the events of the outcome.
func (f *finish) logAll(moved events.ActionState) error {
	drafts, err := f.Events(moved, f.tries)
	if err != nil {
		return err
	}
	for _, draft := range drafts {
		var in input
		if in.draft(draft); in.err != nil {
			return in.err
		}
		if err := f.log(draft); err != nil {
			return err
		}
	}
	return nil
}

// logRefused writes the event of an answer that was right and came too late.
func (f *finish) logRefused(reason string) error {
	c := f.Challenge
	method := events.MethodPasskey
	if f.Proof != nil {
		method = f.Proof.Method
	} else if f.New != nil {
		method = f.New.Method
	}
	draft, err := events.NewDraft(events.Ceremony{
		Step: events.KindCeremonyFailed, ActionID: c.Action, Challenge: c.ID, Ceremony: string(c.Kind),
		Purpose: string(c.Purpose), Method: method, Reason: reason, Tries: f.tries, Shown: c.Shown,
	}, nil, f.At)
	if err != nil {
		return err
	}
	return f.log(draft)
}

func checkOutcome(o ceremonies.Outcome) error {
	var in input
	in.id("challenge", string(o.Challenge.ID))
	in.action(o.Challenge.Action)
	if o.New != nil {
		in.authenticator(*o.New)
		if o.New.User != o.Challenge.Action.User {
			in.refuse("authenticator", "belongs to another user")
		}
	}
	if o.Proof != nil {
		in.authenticator(*o.Proof)
	}
	in.name("authenticator", string(o.Regressed))
	if o.Events == nil {
		in.refuse("events", "are missing")
	}
	return in.err
}
