package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

const authenticatorColumns = `id, user_id, method, name, credential_id, credential, aaguid, synced, backed_up, attachment,
	sign_count, regressed, attested, email, secret, last_step, action, action_key, user_agent, device_id, created_at, last_verified_at
	FROM authenticators`

// authenticators reads those of a user, oldest first.
func authenticators(q querier, user events.UserID) ([]ceremonies.Authenticator, error) {
	var found []ceremonies.Authenticator
	rows, err := q.list("SELECT "+authenticatorColumns+" WHERE user_id = $1 ORDER BY created_at, id", args{string(user)})
	return found, each(rows, err, func(rows *sql.Rows) error {
		var a ceremonies.Authenticator
		var created, verified int64
		var credential []byte
		err := rows.Scan(&a.ID, &a.User, &a.Method, &a.Name, &a.CredentialID, &credential, &a.AAGUID, &a.Synced, &a.BackedUp,
			&a.Attachment, &a.SignCount, &a.Regressed, &a.Attested, &a.Email, &a.Secret, &a.LastStep,
			&a.EnrolledFor.Code, &a.EnrolledFor.Key, &a.UserAgent, &a.DeviceID, &created, &verified)
		a.Credential, a.CreatedAt, a.LastVerifiedAt = credential, instant(created), instant(verified)
		if a.EnrolledFor.Code != "" {
			a.EnrolledFor.User = a.User
		}
		found = append(found, a)
		return err
	})
}

// AddAuthenticator registers an authenticator for the backend, creating the user
// when there is none. A credential id that was ever registered, to anyone, is
// ceremonies.ErrCredentialExists, also after its removal. An address that codes go
// to takes the place of the one before.
func (s *Store) AddAuthenticator(ctx context.Context, a ceremonies.Authenticator, by string) error {
	var in input
	in.authenticator(a)
	in.name("by", by)
	if in.err != nil {
		return in.err
	}
	now := s.now()
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		added, err := addAuthenticator(t, a, micros(now))
		if err != nil {
			return err
		}
		if !added {
			answer = ceremonies.ErrCredentialExists
			return nil
		}
		draft, err := events.NewDraft(events.AuthenticatorAdded{
			ActionID: events.ActionID{User: a.User}, Authenticator: a.ID, Method: a.Method,
			AAGUID: a.AAGUID, Synced: a.Synced, By: by,
		}, nil, now)
		if err != nil {
			return err
		}
		if err := t.log(draft); err != nil || a.Method != events.MethodEmailOTP {
			return err
		}
		return dropOtherAddresses(t, a, by, now)
	})
	return ended("add authenticator", err, answer)
}

// dropOtherAddresses removes where codes went to before a new address, with the
// events of that.
func dropOtherAddresses(t *tx, added ceremonies.Authenticator, by string, at time.Time) error {
	has, err := authenticators(t, added.User)
	if err != nil {
		return err
	}
	for _, a := range has {
		if a.Method != added.Method || a.ID == added.ID {
			continue
		}
		if _, err := t.exec("DELETE FROM authenticators WHERE id = $1", string(a.ID)); err != nil {
			return err
		}
		draft, err := events.NewDraft(events.AuthenticatorRemoved{
			ActionID: events.ActionID{User: added.User}, Authenticator: a.ID, Method: a.Method, By: by,
		}, nil, at)
		if err != nil {
			return err
		}
		if err := t.log(draft); err != nil {
			return err
		}
	}
	return countMethods(t, added.User)
}

// RemoveAuthenticator takes an authenticator from its user, or returns
// engine.ErrNotFound.
func (s *Store) RemoveAuthenticator(ctx context.Context, user events.UserID, id events.AuthenticatorID, by string) error {
	var in input
	in.id("userId", string(user))
	in.id("authenticator", string(id))
	in.name("by", by)
	if in.err != nil {
		return in.err
	}
	now := s.now()
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		var method events.Method
		err := t.get("SELECT method FROM authenticators WHERE id = $1 AND user_id = $2", args{string(id), string(user)}, &method)
		if errors.Is(err, sql.ErrNoRows) {
			answer = engine.ErrNotFound
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM authenticators WHERE id = $1", string(id)); err != nil {
			return err
		}
		if err := dropCodesWithout(t, user); err != nil {
			return err
		}
		if err := countMethods(t, user); err != nil {
			return err
		}
		draft, err := events.NewDraft(events.AuthenticatorRemoved{
			ActionID: events.ActionID{User: user}, Authenticator: id, Method: method, By: by,
		}, nil, now)
		if err != nil {
			return err
		}
		return t.log(draft)
	})
	return ended("remove authenticator", err, answer)
}

// CredentialVerifiedAt tells when the passkey with a credential id last proved
// something, its enrolment included. It returns engine.ErrNotFound when there is
// no such passkey.
func (s *Store) CredentialVerifiedAt(ctx context.Context, credentialID []byte) (time.Time, error) {
	var created, verified int64
	err := s.read(ctx).get("SELECT created_at, last_verified_at FROM authenticators WHERE credential_id = $1",
		args{credentialID}, &created, &verified)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, engine.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("find credential: %w", err)
	}
	return instant(max(created, verified)), nil
}

// addAuthenticator reports false, having written nothing, when the credential id
// or the authenticator's own id is taken.
func addAuthenticator(t *tx, a ceremonies.Authenticator, at int64) (bool, error) {
	if exists, err := registered(t, a); err != nil || exists {
		return false, err
	}
	if len(a.CredentialID) > 0 {
		hash := sha256.Sum256(a.CredentialID)
		if _, err := t.exec("INSERT INTO credentials_seen (hash) VALUES ($1)", hash[:]); err != nil {
			return false, err
		}
	}
	if err := t.get("SELECT 1 FROM users WHERE id = $1", args{string(a.User)}, new(int)); errors.Is(err, sql.ErrNoRows) {
		if _, err := addUser(t, engine.User{ID: a.User, CreatedAt: instant(at)}); err != nil {
			return false, err
		}
	} else if err != nil {
		return false, err
	}
	created := micros(a.CreatedAt)
	if created == 0 {
		created = at
	}
	_, err := t.exec(`INSERT INTO authenticators (id, user_id, method, name, credential_id, credential, aaguid, synced, backed_up,
			attachment, sign_count, attested, email, secret, last_step, action, action_key, user_agent, device_id, created_at, last_verified_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
		string(a.ID), string(a.User), string(a.Method), a.Name, orNull(a.CredentialID), orNull(a.Credential), a.AAGUID,
		a.Synced, a.BackedUp, a.Attachment, int64(a.SignCount), a.Attested, a.Email, orNull(a.Secret), a.LastStep,
		a.EnrolledFor.Code, a.EnrolledFor.Key, a.UserAgent, a.DeviceID, created, micros(a.LastVerifiedAt))
	if err != nil {
		return false, err
	}
	return true, countMethods(t, a.User)
}

// registered reports whether an authenticator's credential id or its own id is taken.
func registered(t *tx, a ceremonies.Authenticator) (bool, error) {
	err := t.get("SELECT 1 FROM authenticators WHERE id = $1", args{string(a.ID)}, new(int))
	if errors.Is(err, sql.ErrNoRows) && len(a.CredentialID) > 0 {
		hash := sha256.Sum256(a.CredentialID)
		err = t.get("SELECT 1 FROM credentials_seen WHERE hash = $1", args{hash[:]}, new(int))
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// countMethods brings the user's row in line with the authenticators.
func countMethods(t *tx, user events.UserID) error {
	has, err := authenticators(t, user)
	if err != nil {
		return err
	}
	var preferred events.AuthenticatorID
	var codes int
	if err := t.get("SELECT default_authenticator, (SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1) FROM users WHERE id = $1",
		args{string(user)}, &preferred, &codes); err != nil {
		return err
	}
	var methods []events.Method
	passkeys, first := 0, events.Method("")
	for _, a := range has {
		if a.Method == events.MethodRecoveryCode && codes == 0 {
			continue // nothing is left to prove with
		}
		if !slices.Contains(methods, a.Method) {
			methods = append(methods, a.Method)
		}
		if a.ID == preferred {
			first = a.Method
		}
		if a.Method == events.MethodPasskey {
			passkeys++
		}
	}
	// As a page offers them: the default's, then the stronger ones.
	slices.SortStableFunc(methods, func(x, y events.Method) int {
		switch first {
		case x:
			return -1
		case y:
			return 1
		}
		return ceremonies.Strength(x) - ceremonies.Strength(y)
	})
	t.touch(user)
	_, err = t.exec("UPDATE users SET methods = $1, passkeys = $2 WHERE id = $3", joinMethods(methods), int64(passkeys), string(user))
	return err
}

func (in *input) authenticator(a ceremonies.Authenticator) {
	in.id("authenticator", string(a.ID))
	in.id("userId", string(a.User))
	in.id("verificationMethod", string(a.Method))
	in.name("name", a.Name)
	in.bytes("credential", a.Credential)
	if len(a.CredentialID) > maxName {
		in.refuse("credentialId", "is longer than %d bytes", maxName)
	}
	in.name("aaguid", a.AAGUID)
	in.name("attachment", a.Attachment)
	in.name("email", a.Email)
	in.bytes("secret", a.Secret)
	in.text("userAgent", a.UserAgent, maxText)
	in.name("deviceId", a.DeviceID)
}
