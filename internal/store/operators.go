package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
)

// OperatorCount implements operators.Store.
func (s *Store) OperatorCount(ctx context.Context) (int, error) {
	var n int
	if err := s.read(ctx).get("SELECT COUNT(*) FROM operators", nil, &n); err != nil {
		return 0, fmt.Errorf("count operators: %w", err)
	}
	return n, nil
}

// OperatorNames implements operators.Store.
func (s *Store) OperatorNames(ctx context.Context) (map[string]string, error) {
	names := map[string]string{}
	rows, err := s.read(ctx).list("SELECT id, name FROM operators", nil)
	err = each(rows, err, func(rows *sql.Rows) error {
		var id, name string
		err := rows.Scan(&id, &name)
		names[id] = name
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read names of operators: %w", err)
	}
	return names, nil
}

// SaveInvite implements operators.Store.
func (s *Store) SaveInvite(ctx context.Context, i operators.Invite, event events.Draft) error {
	var in input
	in.name("role", string(i.Role))
	in.name("by", i.By)
	in.bytes("hash", i.Hash)
	in.draft(event)
	if in.err != nil {
		return in.err
	}
	err := s.write(ctx, func(t *tx) error {
		if i.By == events.BySallyport {
			if _, err := t.exec("DELETE FROM operator_invites WHERE author = $1", i.By); err != nil {
				return err
			}
		}
		if _, err := t.exec("INSERT INTO operator_invites (hash, role, author, expires_at) VALUES ($1, $2, $3, $4)",
			i.Hash, string(i.Role), i.By, micros(i.Expires)); err != nil {
			return err
		}
		return t.log(event)
	})
	if err != nil {
		return fmt.Errorf("save invite: %w", err)
	}
	return nil
}

// inviteHolds is false for an invite of Sallyport itself, $2, once somebody is registered.
const inviteHolds = "(author <> $2 OR NOT EXISTS (SELECT 1 FROM operators))"

// Invite implements operators.Store.
func (s *Store) Invite(ctx context.Context, hash []byte, now time.Time) (operators.Invite, error) {
	i := operators.Invite{Hash: hash}
	var expires int64
	err := s.read(ctx).get("SELECT role, author, expires_at FROM operator_invites WHERE hash = $1 AND "+inviteHolds+" AND expires_at > $3",
		args{hash, events.BySallyport, micros(now)}, &i.Role, &i.By, &expires)
	if err := found(err); err != nil {
		return operators.Invite{}, fmt.Errorf("read invite: %w", err)
	}
	i.Expires = instant(expires)
	return i, nil
}

// SaveCeremony implements operators.Store.
func (s *Store) SaveCeremony(ctx context.Context, c operators.Ceremony) error {
	var in input
	in.id("ceremony", c.ID)
	in.name("ceremony", c.Kind)
	in.name("name", c.Name)
	in.bytes("session", c.Session)
	if in.err != nil {
		return in.err
	}
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO operator_ceremonies (id, kind, session, invite, name, handle, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			c.ID, c.Kind, []byte(c.Session), orNull(c.Invite), c.Name, orNull(c.Handle), micros(c.Expires))
		return err
	})
	if err != nil {
		return fmt.Errorf("save ceremony: %w", err)
	}
	return nil
}

// TakeCeremony implements operators.Store.
func (s *Store) TakeCeremony(ctx context.Context, id string, now time.Time) (operators.Ceremony, error) {
	var in input
	in.id("ceremony", id)
	if in.err != nil {
		return operators.Ceremony{}, in.err
	}
	c := operators.Ceremony{ID: id}
	var expires int64
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		var session []byte
		err := t.get("DELETE FROM operator_ceremonies WHERE id = $1 RETURNING kind, session, invite, name, handle, expires_at",
			args{id}, &c.Kind, &session, &c.Invite, &c.Name, &c.Handle, &expires)
		c.Session = session
		if errors.Is(err, sql.ErrNoRows) || err == nil && expires <= micros(now) {
			answer = operators.ErrNotFound
			return nil
		}
		return err
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return operators.Ceremony{}, fmt.Errorf("take ceremony: %w", err)
	}
	c.Expires = instant(expires)
	return c, nil
}

// Register implements operators.Store.
func (s *Store) Register(ctx context.Context, invite []byte, o operators.Operator, c operators.Credential, event events.Draft) error {
	var in input
	in.id("operator", o.ID)
	in.name("name", o.Name)
	in.name("role", string(o.Role))
	in.bytes("credential", c.Credential)
	in.bytes("credential", c.ID)
	in.draft(event)
	if in.err != nil {
		return in.err
	}
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		var expires int64
		switch err := t.get("SELECT expires_at FROM operator_invites WHERE hash = $1 AND "+inviteHolds,
			args{invite, events.BySallyport}, &expires); {
		case errors.Is(err, sql.ErrNoRows) || err == nil && expires <= micros(event.Time):
			answer = operators.ErrUsed
			return nil
		case err != nil:
			return err
		}
		switch err := t.get("SELECT 1 FROM operator_credentials WHERE id = $1", args{c.ID}, new(int)); {
		case err == nil:
			answer = operators.ErrUsed
			return nil
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if _, err := t.exec("DELETE FROM operator_invites WHERE hash = $1", invite); err != nil {
			return err
		}
		if _, err := t.exec("INSERT INTO operators (id, name, role, handle, created_at) VALUES ($1, $2, $3, $4, $5)",
			o.ID, o.Name, string(o.Role), o.Handle, micros(o.CreatedAt)); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO operator_credentials (id, operator, credential, created_at, last_used_at)
			VALUES ($1, $2, $3, $4, $5)`, c.ID, o.ID, []byte(c.Credential), micros(c.CreatedAt), micros(c.LastUsedAt)); err != nil {
			return err
		}
		return t.log(event)
	})
	return ended("register operator", err, answer)
}

const operatorColumns = "o.id, o.name, o.role, o.handle, o.created_at FROM operators o"

func scanOperator(scan func(...any) error) (o operators.Operator, err error) {
	var created int64
	err = scan(&o.ID, &o.Name, &o.Role, &o.Handle, &created)
	o.CreatedAt = instant(created)
	return o, err
}

// OperatorByHandle implements operators.Store.
func (s *Store) OperatorByHandle(ctx context.Context, handle []byte) (operators.Operator, []operators.Credential, error) {
	q := s.read(ctx)
	o, err := scanOperator(func(into ...any) error {
		return q.get("SELECT "+operatorColumns+" WHERE o.handle = $1", args{handle}, into...)
	})
	if err := found(err); err != nil {
		return operators.Operator{}, nil, fmt.Errorf("read operator: %w", err)
	}
	var credentials []operators.Credential
	rows, err := q.list("SELECT id, credential, created_at, last_used_at FROM operator_credentials WHERE operator = $1 ORDER BY created_at, id",
		args{o.ID})
	err = each(rows, err, func(rows *sql.Rows) error {
		c := operators.Credential{Operator: o.ID}
		var created, used int64
		var credential []byte
		err := rows.Scan(&c.ID, &credential, &created, &used)
		c.Credential, c.CreatedAt, c.LastUsedAt = credential, instant(created), instant(used)
		credentials = append(credentials, c)
		return err
	})
	if err != nil {
		return operators.Operator{}, nil, fmt.Errorf("read operator: %w", err)
	}
	return o, credentials, nil
}

// SignIn implements operators.Store. A credential that is not the operator's any
// more is operators.ErrNotFound.
func (s *Store) SignIn(ctx context.Context, c operators.Credential, session operators.Session, event events.Draft) error {
	var in input
	in.id("operator", session.Operator)
	in.bytes("credential", c.Credential)
	in.bytes("session", session.Hash)
	in.draft(event)
	if in.err != nil {
		return in.err
	}
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		n, err := t.exec("UPDATE operator_credentials SET credential = $1, last_used_at = $2 WHERE id = $3 AND operator = $4",
			[]byte(c.Credential), micros(c.LastUsedAt), c.ID, session.Operator)
		if err != nil {
			return err
		}
		if n == 0 {
			answer = operators.ErrNotFound
			return nil
		}
		if _, err := t.exec("INSERT INTO operator_sessions (hash, operator, expires_at) VALUES ($1, $2, $3)",
			session.Hash, session.Operator, micros(session.Expires)); err != nil {
			return err
		}
		return t.log(event)
	})
	return ended("sign operator in", err, answer)
}

// OperatorBySession implements operators.Store.
func (s *Store) OperatorBySession(ctx context.Context, hash []byte, now time.Time) (operators.Operator, error) {
	o, err := scanOperator(func(into ...any) error {
		return s.read(ctx).get("SELECT "+operatorColumns+` JOIN operator_sessions s ON s.operator = o.id
			WHERE s.hash = $1 AND s.expires_at > $2`, args{hash, micros(now)}, into...)
	})
	if err := found(err); err != nil {
		return operators.Operator{}, fmt.Errorf("read operator's session: %w", err)
	}
	return o, nil
}

// EndSession implements operators.Store.
func (s *Store) EndSession(ctx context.Context, hash []byte) error {
	err := s.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM operator_sessions WHERE hash = $1", hash)
		return err
	})
	if err != nil {
		return fmt.Errorf("end operator's session: %w", err)
	}
	return nil
}

// found turns a missing row into operators.ErrNotFound.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return operators.ErrNotFound
	}
	return err
}
