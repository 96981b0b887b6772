package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
		f := finish{tx: t, Outcome: o, id: o.Action, remember: s.remember}
		if f.id == (events.ActionID{}) {
			f.id = o.Challenge.Action
		}
		refusal, err := f.closeChallenge()
		if err != nil || refusal != nil {
			answer = refusal
			return err
		}
		if f.state, f.tries, err = f.stands(); err != nil {
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
		if refusal != nil && f.Counted { // it is counted as a wrong one, of which it may be the last
			if err := f.countTry(); err != nil {
				return err
			}
		}
		result = ceremonies.Result{State: f.state, Tries: f.tries}
		moved := events.ActionState("")
		if f.state != was {
			moved = f.state
		}
		if refusal != nil {
			answer = refusal
			return f.logRefused(reason, moved)
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
	id    events.ActionID    // whose outcome it is; without a user while nobody is known
	state events.ActionState // of the action, brought up to date
	tries int
	// remember is for how long a proof makes its device remembered.
	remember time.Duration
}

// stands reads where the action stands. One that was to begin with its proof may not
// be there.
func (f *finish) stands() (events.ActionState, int, error) {
	state, tries, err := actionState(f.tx, f.id)
	if errors.Is(err, sql.ErrNoRows) && f.Challenge.Purpose == ceremonies.ForSignIn {
		return "", 0, nil
	}
	return state, tries, err
}

// closeChallenge closes the taken challenge, or says why it cannot. One that may be
// answered again is left for that.
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
	text := "UPDATE challenges SET closed = (1 = 1) WHERE id = $1 AND taken_at <> 0 AND NOT closed"
	if f.Reopen {
		text = `UPDATE challenges SET closed = (answers >= most), taken_at = CASE WHEN answers < most THEN 0 ELSE taken_at END
			WHERE id = $1 AND taken_at <> 0 AND NOT closed`
	}
	closed, err := f.exec(text, id)
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
		return "", nil, denyAction(f.tx, f.id, f.At)
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
	has, err := authenticators(f.tx, f.New.User)
	if err != nil {
		return "", nil, err
	}
	if f.OnlyFirst {
		var enrolled string // the methods that can prove something
		if err := f.get("SELECT methods FROM users WHERE id = $1", args{string(f.New.User)}, &enrolled); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return "", nil, err
		}
		if enrolled != "" {
			return ceremonies.ReasonEnrolledMeanwhile, ceremonies.ErrEnrolledMeanwhile, nil
		}
	}
	exists, err := registered(f.tx, *f.New)
	if err != nil {
		return "", nil, err
	}
	if exists {
		return ceremonies.ReasonCredentialExists, ceremonies.ErrCredentialExists, nil
	}
	if f.Permit != "" {
		first, err := redeem(f.tx, "permit:"+f.Permit, f.PermitExpires)
		if err != nil || !first {
			return ceremonies.ReasonPermitUsed, ceremonies.ErrSpent, err
		}
	}
	if f.New.Method == events.MethodEmailOTP { // codes go to one address
		for _, a := range has {
			if a.Method != events.MethodEmailOTP {
				continue
			}
			if err := f.replace(a); err != nil {
				return "", nil, err
			}
		}
	}
	_, err = addAuthenticator(f.tx, *f.New, micros(f.At))
	if err == nil {
		err = f.afterCode(f.New.Method, f.New.Email)
	}
	if err == nil {
		err = f.renewCodes()
	}
	return "", nil, err
}

// replace removes an authenticator that gives way to the new one.
func (f *finish) replace(a ceremonies.Authenticator) error {
	if _, err := f.exec("DELETE FROM authenticators WHERE id = $1", string(a.ID)); err != nil {
		return err
	}
	draft, err := events.NewDraft(events.AuthenticatorRemoved{ActionID: f.id, Authenticator: a.ID, Method: a.Method, By: events.ByPerson}, nil, f.At)
	if err != nil {
		return err
	}
	return f.log(draft)
}

// afterCode keeps what a right code tells: its address is verified, and the meters
// of wrong ones begin anew.
func (f *finish) afterCode(method events.Method, email string) error {
	if method == events.MethodEmailOTP {
		f.touch(f.id.User)
		if _, err := f.exec("UPDATE users SET email_verified = $1 WHERE id = $2 AND email = $3", true, string(f.id.User), email); err != nil {
			return err
		}
	}
	return resetMeters(f.tx, f.Meters)
}

// prove stores what the answer changed of the authenticator, changes what the proof
// is for, and completes the action when that is what it is for.
func (f *finish) prove() (reason string, refusal, err error) {
	completes := f.Challenge.Purpose == ceremonies.ForAction || f.Challenge.Purpose == ceremonies.ForSignIn
	if completes && !f.state.CanBecome(events.StateChallengeSucceeded, events.ByProof) {
		return ceremonies.ReasonActionNotOpen, ceremonies.ErrNotOpen, nil
	}
	at, user, p := micros(f.At), string(f.id.User), f.Proof
	f.touch(f.id.User)
	if reason, refusal, err = f.missing(); err != nil || refusal != nil {
		return reason, refusal, err
	}
	if reason, refusal, err = f.spend(); err != nil || refusal != nil {
		return reason, refusal, err
	}
	if p.ID != "" {
		if _, err := f.exec(`UPDATE authenticators SET credential = $1, synced = $2, backed_up = $3, sign_count = $4, last_verified_at = $5
			WHERE id = $6 AND user_id = $7`, orNull(p.Credential), p.Synced, p.BackedUp, int64(p.SignCount), at, string(p.ID), user); err != nil {
			return "", nil, err
		}
	}
	if f.Remove != "" {
		if _, err := f.exec("DELETE FROM authenticators WHERE id = $1 AND user_id = $2", string(f.Remove), user); err != nil {
			return "", nil, err
		}
		if err := dropCodesWithout(f.tx, f.id.User); err != nil {
			return "", nil, err
		}
	}
	if err := f.renewCodes(); err != nil {
		return "", nil, err
	}
	if f.Remove != "" || f.Code != nil {
		if err := countMethods(f.tx, f.id.User); err != nil {
			return "", nil, err
		}
	}
	if _, err := f.exec("UPDATE users SET last_verified_at = $1 WHERE id = $2", at, user); err != nil {
		return "", nil, err
	}
	if err := f.afterCode(p.Method, p.Email); err != nil || !completes {
		return "", nil, err
	}
	f.state = events.StateChallengeSucceeded
	if f.Counted && f.tries > 0 && f.Challenge.Purpose == ceremonies.ForAction {
		f.tries-- // this answer was counted before it was known to be right
	}
	if _, err := f.exec(`UPDATE actions SET state = $1, state_changed_at = $2, method = $3, proven_by = $4, proven_at = $2, tries = $5, digest = $6
		WHERE user_id = $7 AND action = $8 AND action_key = $9`,
		string(f.state), at, string(p.Method), string(p.ID), int64(f.tries), f.Digest, user, f.id.Code, f.id.Key); err != nil {
		return "", nil, err
	}
	return "", nil, f.acquaint(at)
}

// missing refuses an answer by an authenticator that was removed since, and the
// removal of one that was.
func (f *finish) missing() (reason string, refusal, err error) {
	has, err := authenticators(f.tx, f.id.User)
	if err != nil {
		return "", nil, err
	}
	there := func(id events.AuthenticatorID) bool {
		return id == "" || slices.ContainsFunc(has, func(a ceremonies.Authenticator) bool { return a.ID == id })
	}
	switch {
	case !there(f.Proof.ID):
		return ceremonies.ReasonUnknownCredential, fmt.Errorf("%w: its authenticator was removed", ceremonies.ErrNoChallenge), nil
	case !there(f.Remove):
		return ceremonies.ReasonNoAuthenticator, ceremonies.ErrRemoved, nil
	}
	return "", nil, nil
}

// spend uses up what proves only once. Only one of the two is ever there.
func (f *finish) spend() (reason string, refusal, err error) {
	if f.Step != 0 {
		newer, err := f.exec("UPDATE authenticators SET last_step = $1 WHERE id = $2 AND user_id = $3 AND last_step < $1",
			f.Step, string(f.Proof.ID), string(f.id.User))
		if err != nil || newer == 0 {
			return ceremonies.ReasonCodeUsed, ceremonies.ErrSpent, err
		}
	}
	if f.Code != nil {
		left, err := f.exec("DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2", string(f.id.User), f.Code)
		if err != nil || left == 0 {
			return ceremonies.ReasonCodeUsed, ceremonies.ErrSpent, err
		}
	}
	return "", nil, nil
}

// renewCodes puts new recovery codes in the place of the old ones.
func (f *finish) renewCodes() error {
	if len(f.Codes) == 0 {
		return nil
	}
	user := f.id.User
	if _, err := f.exec("DELETE FROM recovery_codes WHERE user_id = $1", string(user)); err != nil {
		return err
	}
	for _, hash := range f.Codes {
		if _, err := f.exec("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)", string(user), hash); err != nil {
			return err
		}
	}
	err := f.get("SELECT 1 FROM authenticators WHERE user_id = $1 AND method = $2", args{string(user), string(events.MethodRecoveryCode)}, new(int))
	if errors.Is(err, sql.ErrNoRows) {
		_, err = addAuthenticator(f.tx, f.CodesAuthenticator, micros(f.At))
		return err
	}
	if err != nil {
		return err
	}
	return countMethods(f.tx, user)
}

// acquaint keeps what a proof tells of the device, the address and the place that
// its action came from.
func (f *finish) acquaint(at int64) error {
	id := f.id
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
	f.touch(f.id.User)
	_, err := f.exec("UPDATE authenticators SET regressed = $1 WHERE id = $2 AND user_id = $3",
		true, string(f.Regressed), string(f.id.User))
	return err
}

// countTry counts a wrong answer to an open action, and fails the action at the
// last one.
func (f *finish) countTry() error {
	if f.Challenge.Purpose != ceremonies.ForAction || f.Uncounted || f.state != events.StateChallengeRequired {
		return nil
	}
	id := f.id
	if !f.Counted {
		f.tries++
		if _, err := f.exec("UPDATE actions SET tries = $1 WHERE user_id = $2 AND action = $3 AND action_key = $4",
			int64(f.tries), string(id.User), id.Code, id.Key); err != nil {
			return err
		}
	}
	if f.tries < f.Tries || !f.state.CanBecome(events.StateChallengeFailed, events.ByRefusal) {
		return nil
	}
	f.state = events.StateChallengeFailed
	return moveAction(f.tx, id, f.state, micros(f.At))
}

// logAll writes the events of the outcome.
func (f *finish) logAll(moved events.ActionState) error {
	if f.id.User == "" {
		return nil // of nobody there is nothing to tell
	}
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
func (f *finish) logRefused(reason string, moved events.ActionState) error {
	c := f.Challenge
	if f.id.User == "" {
		return nil
	}
	draft, err := events.NewDraft(events.Ceremony{
		Step: events.KindCeremonyFailed, ActionID: f.id, State: moved, Challenge: c.ID, Ceremony: string(c.Kind),
		Purpose: string(c.Purpose), Method: c.Method, Reason: reason, Tries: f.tries, Shown: c.Shown,
	}, nil, f.At)
	if err != nil {
		return err
	}
	return f.log(draft)
}

func checkOutcome(o ceremonies.Outcome) error {
	var in input
	in.id("challenge", string(o.Challenge.ID))
	if o.Challenge.Purpose != ceremonies.ForSignIn {
		in.action(o.Challenge.Action)
	}
	if o.New != nil {
		in.authenticator(*o.New)
		if o.New.User != o.Challenge.Action.User {
			in.refuse("authenticator", "belongs to another user")
		}
	}
	if o.Proof != nil && o.Proof.ID != "" {
		in.authenticator(*o.Proof)
	}
	in.name("authenticator", string(o.Regressed))
	if o.Events == nil {
		in.refuse("events", "are missing")
	}
	return in.err
}
