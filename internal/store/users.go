package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// Limits of a page of users.
const (
	defaultUsers = 50
	maxUsers     = 200
)

const userColumns = `id, email, email_verified, phone, phone_verified, username, display_name, locale, custom, methods, created_at
	FROM users`

// User reads one user and reports whether there is one.
func (s *Store) User(ctx context.Context, id events.UserID) (engine.User, bool, error) {
	if unstorable(string(id)) {
		return engine.User{}, false, nil
	}
	u, err := user(s.read(ctx), id)
	if errors.Is(err, sql.ErrNoRows) {
		return engine.User{}, false, nil
	}
	if err != nil {
		return engine.User{}, false, fmt.Errorf("read user: %w", err)
	}
	return u, true, nil
}

func user(q querier, id events.UserID) (u engine.User, err error) {
	return scanUser(func(into ...any) error {
		return q.get("SELECT "+userColumns+" WHERE id = $1", args{string(id)}, into...)
	})
}

func scanUser(scan func(...any) error) (u engine.User, err error) {
	var created int64
	var methods string
	var custom []byte
	err = scan(&u.ID, &u.Email, &u.EmailVerified, &u.PhoneNumber, &u.PhoneNumberVerified, &u.Username, &u.DisplayName, &u.Locale,
		&custom, &methods, &created)
	u.Custom, u.Methods, u.CreatedAt = custom, splitMethods(methods), instant(created)
	return u, err
}

// Users reads a page of users in order of id. Next is the id to continue after,
// or "" at the end.
func (s *Store) Users(ctx context.Context, filter engine.UserFilter) (users []engine.User, next events.UserID, err error) {
	limit := filter.Limit
	switch {
	case limit == 0:
		limit = defaultUsers
	case limit < 0 || limit > maxUsers:
		return nil, "", &engine.InputError{Field: "limit", Message: fmt.Sprintf("must be between 1 and %d", maxUsers)}
	}
	if unstorable(filter.Email, filter.PhoneNumber, filter.Username) {
		return []engine.User{}, "", nil
	}
	if unstorable(string(filter.After)) {
		return nil, "", &engine.InputError{Field: "lastEvaluatedUserId", Message: "is not one that an earlier page returned"}
	}
	var c conditions
	for _, f := range []struct{ column, value string }{
		{"email", filter.Email}, {"phone", filter.PhoneNumber}, {"username", filter.Username},
	} {
		if f.value != "" {
			c.and(f.column+" = ? AND "+f.column+" <> ''", f.value) // the second half is what the partial index asks for
		}
	}
	if filter.After != "" {
		c.and("id > ?", string(filter.After))
	}
	users = []engine.User{}
	rows, err := s.read(ctx).list("SELECT "+userColumns+c.text.String()+" ORDER BY id LIMIT "+c.value(int64(limit+1)), c.values)
	err = each(rows, err, func(rows *sql.Rows) error {
		u, err := scanUser(rows.Scan)
		users = append(users, u)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("read users: %w", err)
	}
	if len(users) > limit {
		users = users[:limit]
		next = users[limit-1].ID
	}
	return users, next, nil
}

// UpdateUser sets attributes, creating the user when there is none, and returns
// the user as it then is. Values that do not change leave no event.
func (s *Store) UpdateUser(ctx context.Context, id events.UserID, changes engine.UserChanges, by string) (engine.User, error) {
	if err := checkUser(id, changes, by); err != nil {
		return engine.User{}, err
	}
	now := s.now()
	var u engine.User
	err := s.write(ctx, func(t *tx) error {
		var err error
		u, err = user(t, id)
		missing := errors.Is(err, sql.ErrNoRows)
		if err != nil && !missing {
			return err
		}
		if missing {
			u = engine.User{ID: id, CreatedAt: instant(micros(now))}
		}
		changed, personal := apply(&u, changes)
		if len(changed) == 0 && !missing {
			return nil
		}
		t.touch(id)
		if missing {
			_, err = addUser(t, u)
		} else {
			_, err = t.exec(`UPDATE users SET email = $1, email_verified = $2, phone = $3, phone_verified = $4, username = $5,
				display_name = $6, locale = $7, custom = $8 WHERE id = $9`,
				u.Email, u.EmailVerified, u.PhoneNumber, u.PhoneNumberVerified, u.Username, u.DisplayName, u.Locale,
				orNull(u.Custom), string(id))
		}
		if err != nil {
			return err
		}
		draft, err := events.NewDraft(events.UserUpdated{ActionID: events.ActionID{User: id}, Fields: changed, By: by}, personal, now)
		if err != nil {
			return err
		}
		return t.log(draft)
	})
	if err != nil {
		return engine.User{}, fmt.Errorf("update user: %w", err)
	}
	return u, nil
}

// apply sets what differs and returns the names of the changed fields with their
// new values. A new address is not verified unless the same change says so.
func apply(u *engine.User, c engine.UserChanges) (changed []string, personal events.Personal) {
	changed, personal = []string{}, events.Personal{}
	text := func(name string, field, to *string, verified *bool) {
		if to == nil || *field == *to {
			return
		}
		*field = *to
		changed = append(changed, name)
		personal[name] = *to
		if verified != nil {
			*verified = false
		}
	}
	flag := func(name string, field, to *bool) {
		if to != nil && *field != *to {
			*field = *to
			changed = append(changed, name)
		}
	}
	text(events.PersonalEmail, &u.Email, c.Email, &u.EmailVerified)
	flag("emailVerified", &u.EmailVerified, c.EmailVerified)
	text("phoneNumber", &u.PhoneNumber, c.PhoneNumber, &u.PhoneNumberVerified)
	flag("phoneNumberVerified", &u.PhoneNumberVerified, c.PhoneNumberVerified)
	text("username", &u.Username, c.Username, nil)
	text("displayName", &u.DisplayName, c.DisplayName, nil)
	text("locale", &u.Locale, c.Locale, nil)
	if c.Custom != nil && !bytes.Equal(u.Custom, cleared(*c.Custom)) {
		u.Custom = cleared(*c.Custom)
		changed = append(changed, "custom")
		personal["custom"] = string(u.Custom)
	}
	return changed, personal
}

// cleared is nil for JSON's null.
func cleared(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

func checkUser(id events.UserID, c engine.UserChanges, by string) error {
	var in input
	in.id("userId", string(id))
	in.name("by", by)
	for _, f := range []struct {
		field string
		value *string
	}{
		{"email", c.Email},
		{"phoneNumber", c.PhoneNumber},
		{"username", c.Username},
		{"displayName", c.DisplayName},
		{"locale", c.Locale},
	} {
		if f.value != nil {
			in.name(f.field, *f.value)
		}
	}
	if c.Custom != nil {
		in.bytes("custom", *c.Custom)
		if len(*c.Custom) > 0 && !json.Valid(*c.Custom) {
			in.refuse("custom", "is not JSON")
		}
	}
	return in.err
}

// DeleteUser ends a user: authenticators, devices, addresses and challenges go,
// actions lose what is personal, and the personal values of the user's events are
// erased with their salts. Decisions stay, and so do the proofs over the log. A
// user who comes back under the same id begins anew; old tokens are refused.
// Deleting an unknown user is no error and leaves no event.
func (s *Store) DeleteUser(ctx context.Context, id events.UserID, by string) error {
	var in input
	in.id("userId", string(id))
	in.name("by", by)
	if in.err != nil {
		return in.err
	}
	now := s.now()
	err := s.write(ctx, func(t *tx) error {
		t.touch(id)
		found, err := t.exec("DELETE FROM users WHERE id = $1", string(id))
		if err != nil || found == 0 {
			return err
		}
		if err := abandon(t, "user_id = $1", args{string(id)}, ceremonies.ReasonUserDeleted, now); err != nil {
			return err
		}
		if err := forgetDevices(t, "DELETE FROM devices WHERE user_id = $1 RETURNING id", string(id)); err != nil {
			return err
		}
		for _, text := range []string{
			"DELETE FROM authenticators WHERE user_id = $1",
			"DELETE FROM addresses WHERE user_id = $1",
			"DELETE FROM recovery_codes WHERE user_id = $1",
			"DELETE FROM meters WHERE name IN ('wrong:user:' || $1, 'recovery:user:' || $1, 'sent:user:' || $1)",
			"DELETE FROM challenges WHERE user_id = $1",
			`UPDATE actions SET prompt = '', redirect_url = '', device_id = '', locale = '', custom = NULL, digest = '',
				address = '', latitude = NULL, longitude = NULL WHERE user_id = $1`,
			"UPDATE events SET personal = NULL, salt = NULL WHERE place IN (SELECT place FROM actions WHERE user_id = $1)",
			"UPDATE events SET personal = NULL, salt = NULL WHERE user_id = $1 AND kind <> 'action.tracked' AND personal IS NOT NULL",
		} {
			if _, err := t.exec(text, string(id)); err != nil {
				return err
			}
		}
		t.erased = true
		draft, err := events.NewDraft(events.UserDeleted{ActionID: events.ActionID{User: id}, By: by}, nil, now)
		if err != nil {
			return err
		}
		return t.log(draft)
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
