package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Recorded implements engine.Recorder.
func (s *Store) Recorded(ctx context.Context, id events.ActionID) (engine.Decision, bool, error) {
	if unstorable(string(id.User), id.Code, id.Key) {
		return engine.Decision{}, false, nil
	}
	d, err := recorded(s.quick(ctx), id)
	if errors.Is(err, sql.ErrNoRows) {
		return engine.Decision{}, false, nil
	}
	if err != nil {
		return engine.Decision{}, false, fmt.Errorf("read decision: %w", err)
	}
	return d, true, nil
}

// recorded reads a decision with the person's current methods and generation.
func recorded(q querier, id events.ActionID) (engine.Decision, error) {
	d := engine.Decision{ActionID: id}
	var created, changed int64
	var methods string
	var body []byte
	err := q.get(`SELECT a.outcome, a.state, a.created_at, a.state_changed_at, a.prompt, a.prompt_id, e.body,
			COALESCE(u.methods, ''), COALESCE(u.generation, 0)
		FROM actions a JOIN events e ON e.place = a.place LEFT JOIN users u ON u.id = a.user_id
		WHERE a.user_id = $1 AND a.action = $2 AND a.action_key = $3`,
		args{string(id.User), id.Code, id.Key},
		&d.Outcome, &d.State, &created, &changed, &d.Prompt, &d.PromptID, &body, &methods, &d.Generation)
	if err != nil {
		return engine.Decision{}, err
	}
	d.CreatedAt, d.StateChangedAt = instant(created), instant(changed)
	d.Methods = splitMethods(methods)
	_, err = decided(&d, body)
	return d, err
}

// decided fills in what the event says of a decision.
func decided(d *engine.Decision, body []byte) (events.ActionTracked, error) {
	var tracked events.ActionTracked
	if err := json.Unmarshal(body, &tracked); err != nil {
		return tracked, fmt.Errorf("read body of %s: %w", events.KindActionTracked, err)
	}
	d.Allowed, d.UserVerification = tracked.Allowed, tracked.UserVerification
	d.Reason, d.Rule, d.Set = rules.Reason(tracked.Reason), tracked.Rule, tracked.Set
	if len(tracked.Matches) > 0 {
		matches, _, err := rules.DecodeMatches(tracked.Matches)
		if err != nil {
			return tracked, err
		}
		d.Matches = matches
	}
	return tracked, nil
}

// Record implements engine.Recorder.
func (s *Store) Record(ctx context.Context, r engine.Recording) (engine.Decision, error) {
	if err := checkRecording(r); err != nil {
		return engine.Decision{}, err
	}
	custom := r.Action.RawCustom
	if bytes.Equal(custom, []byte("null")) {
		custom = nil
	}
	methods := joinMethods(r.Decision.Methods)
	at := r.Event.Time.UnixMicro()
	latitude, longitude := coordinates(r.Place)
	var d engine.Decision
	var dropped []string
	err := s.write(ctx, func(t *tx) error {
		dropped = nil
		won, err := t.exec(`INSERT INTO actions (place, user_id, action, action_key, state, outcome, created_at, state_changed_at,
				methods, scope, tries, method, proven_by, proven_at, prompt_id, prompt, redirect_url, device_id, locale, custom,
				address, latitude, longitude)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, 0, '', '', 0, $10, $11, $12, $13, $14, $15, $16, $17, $18)
			ON CONFLICT DO NOTHING`,
			t.place(), string(r.Action.User), r.Action.Code, r.Action.Key, string(r.Decision.State), string(r.Decision.Outcome), at,
			methods, r.Action.Scope, r.Decision.PromptID, r.Decision.Prompt, r.Action.RedirectURL, r.Action.DeviceID, r.Action.Locale,
			orNull(custom), r.Address, latitude, longitude)
		if err != nil {
			return fmt.Errorf("record action: %w", err)
		}
		if won == 0 {
			if d, err = recorded(t, r.Action.ActionID); err != nil {
				return fmt.Errorf("read decision: %w", err)
			}
			d.Repeated = true
			return nil
		}
		d = r.Decision
		d.ActionID = r.Action.ActionID
		d.CreatedAt, d.StateChangedAt = r.Event.Time, r.Event.Time
		if d.Generation, err = meet(t, r, at); err != nil {
			return fmt.Errorf("record user: %w", err)
		}
		// The event stands where the action's row says, so it comes before others.
		if err := t.log(r.Event); err != nil {
			return err
		}
		if len(r.Additions) > 0 {
			dropped, err = addToLists(t, r.Additions, at)
		}
		return err
	})
	if err != nil {
		return engine.Decision{}, err
	}
	s.dropped(dropped)
	return d, nil
}

// meet keeps what an action tells of its user, device and address, and writes only
// what changed. It returns the generation of the user's tokens.
func meet(t *tx, r engine.Recording, at int64) (generation int64, err error) {
	a := &r.Action
	p, err := acquainted(t, a.User, a.DeviceID, r.Address)
	switch {
	case err != nil:
	case !p.Known:
		p.Generation, err = addUser(t, engine.User{
			ID: a.User, Email: a.Email, PhoneNumber: a.PhoneNumber, Username: a.Username, CreatedAt: r.Event.Time,
		})
	case a.Email != "" && a.Email != p.Email, a.PhoneNumber != "" && a.PhoneNumber != p.PhoneNumber,
		a.Username != "" && a.Username != p.Username:
		err = updateContact(t, a, p.Profile)
	}
	if err == nil && r.EstablishDevice {
		err = p.establish(t, a.User, a.DeviceID, r.Address, at, 0)
	}
	return p.Generation, err
}

// updateContact replaces what the action says. A new address is not verified.
func updateContact(t *tx, a *engine.Action, p engine.Profile) error {
	t.touch(a.User)
	_, err := t.exec(`UPDATE users SET
			email_verified = email_verified AND email = $1, email = $1,
			phone_verified = phone_verified AND phone = $2, phone = $2, username = $3
		WHERE id = $4`, or(a.Email, p.Email), or(a.PhoneNumber, p.PhoneNumber), or(a.Username, p.Username), string(a.User))
	return err
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// addUser creates a user and returns the first generation of its tokens.
func addUser(t *tx, u engine.User) (generation int64, err error) {
	t.touch(u.ID)
	random := make([]byte, 40)
	rand.Read(random)
	// Less than 2^52, so that a reader with floating point numbers keeps it exact.
	generation = int64(binary.BigEndian.Uint64(random[32:])>>12) | 1
	_, err = t.exec(`INSERT INTO users (id, handle, generation, email, email_verified, phone, phone_verified, username,
			display_name, locale, custom, methods, passkeys, last_verified_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', 0, 0, $12)`,
		string(u.ID), random[:32], generation, u.Email, u.EmailVerified, u.PhoneNumber, u.PhoneNumberVerified, u.Username,
		u.DisplayName, u.Locale, orNull(u.Custom), micros(u.CreatedAt))
	return generation, err
}

// coordinates are what to store of a place that may be unknown.
func coordinates(p *engine.Place) (latitude, longitude any) {
	if p == nil {
		return nil, nil
	}
	return p.Latitude, p.Longitude
}

func checkRecording(r engine.Recording) error {
	var in input
	in.action(r.Action.ActionID)
	in.name("email", r.Action.Email)
	in.name("phoneNumber", r.Action.PhoneNumber)
	in.name("username", r.Action.Username)
	in.name("deviceId", r.Action.DeviceID)
	in.name("address", r.Address)
	in.place(r.Place)
	in.name("locale", r.Action.Locale)
	in.name("scope", r.Action.Scope)
	in.text("redirectUrl", r.Action.RedirectURL, maxText)
	in.bytes("custom", r.Action.RawCustom)
	in.text("prompt", r.Decision.Prompt, maxText)
	in.name("prompt", r.Decision.PromptID)
	in.draft(r.Event)
	if r.Event.Kind != events.KindActionTracked || r.Event.Action != r.Action.ActionID {
		in.refuse("event", "is not about this action")
	}
	return in.err
}

// joinMethods and splitMethods keep methods as text, in order of enrolment.
func joinMethods(methods []events.Method) string {
	if len(methods) == 1 {
		return string(methods[0])
	}
	var b strings.Builder
	for i, m := range methods {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(m))
	}
	return b.String()
}

func splitMethods(text string) []events.Method {
	if text == "" {
		return nil
	}
	var methods []events.Method
	for m := range strings.SplitSeq(text, ",") {
		methods = append(methods, events.Method(m))
	}
	return methods
}
