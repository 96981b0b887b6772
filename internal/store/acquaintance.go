package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

const (
	// MaxKnown is how many devices are known of a person, and how many addresses.
	// Beyond, those that were established longest ago are forgotten.
	MaxKnown = 50
	// MaxDeviceUsers is how far the users of a device are counted: an id that a
	// thousand people send is counted with each of them.
	MaxDeviceUsers = 100
	// establishedAnew is how old the time of something known may be before it is
	// brought up to date. So what is in use is not forgotten, and costs one write a
	// day.
	establishedAnew = 24 * time.Hour
)

// Profile implements engine.Recorder. Devices are at most MaxKnown, and
// DeviceUsers at most MaxDeviceUsers.
func (s *Store) Profile(ctx context.Context, user events.UserID, device, address string) (engine.Profile, error) {
	if unstorable(string(user), device, address) {
		return engine.Profile{}, &engine.InputError{Field: "userId", Message: "contains a zero byte or is not UTF-8, or the device id or the address does"}
	}
	profile, before, found := s.profiles.get(user, device, address)
	if found {
		return profile, nil
	}
	a, err := readProfile(s.quick(ctx), user, device, address)
	if err == nil && device != "" {
		a.DeviceUsers, err = s.deviceUsers(ctx, device)
	}
	if err != nil {
		return engine.Profile{}, fmt.Errorf("read profile: %w", err)
	}
	s.profiles.put(user, device, address, a, before)
	return a.Profile, nil
}

// deviceUsers counts the people for whom a device is known.
func (s *Store) deviceUsers(ctx context.Context, device string) (n int, err error) {
	if n, found := s.profiles.usersOf(device); found {
		return n, nil
	}
	err = s.quick(ctx).get("SELECT COUNT(*) FROM (SELECT 1 FROM devices WHERE id = $1 LIMIT $2) users", args{device, int64(MaxDeviceUsers)}, &n)
	return n, err
}

// readProfile reads a profile but for the users of the device.
func readProfile(q querier, user events.UserID, device, address string) (acquaintance, error) {
	a, err := readPerson(q, user, device, address)
	if err == nil && a.Enrolled() {
		a.Passkeys, err = passkeys(q, user)
	}
	return a, err
}

// readPerson reads a profile but for passkeys and the users of the device. A
// person who is not known is an empty one.
func readPerson(q querier, user events.UserID, device, address string) (acquaintance, error) {
	a := acquaintance{Profile: engine.Profile{Known: true}}
	var created, verified, placeAt, remembered int64
	var latitude, longitude sql.NullFloat64
	var methods string
	var custom []byte
	err := q.get(`SELECT u.email, u.phone, u.username, u.custom, u.methods, u.last_verified_at, u.place_latitude, u.place_longitude,
			u.place_at, u.generation, u.created_at, COALESCE(d.known_at, 0), COALESCE(d.remembered_until, 0), COALESCE(a.known_at, 0),
			(SELECT COUNT(*) FROM devices WHERE user_id = $1), (SELECT COUNT(*) FROM addresses WHERE user_id = $1)
		FROM users u LEFT JOIN devices d ON d.user_id = u.id AND d.id = $2
			LEFT JOIN addresses a ON a.user_id = u.id AND a.address = $3
		WHERE u.id = $1`, args{string(user), device, address},
		&a.Email, &a.PhoneNumber, &a.Username, &custom, &methods, &verified, &latitude, &longitude,
		&placeAt, &a.Generation, &created, &a.deviceAt, &remembered, &a.addressAt, &a.Devices, &a.addresses)
	if errors.Is(err, sql.ErrNoRows) {
		return acquaintance{}, nil
	}
	if err != nil {
		return acquaintance{}, err
	}
	a.Methods, a.LastVerifiedAt, a.CreatedAt = splitMethods(methods), instant(verified), instant(created)
	a.DeviceKnown, a.AddressKnown, a.RememberedUntil = a.deviceAt != 0, a.addressAt != 0, instant(remembered)
	if latitude.Valid && longitude.Valid {
		a.VerifiedAt = &engine.Place{Latitude: latitude.Float64, Longitude: longitude.Float64, At: instant(placeAt)}
	}
	a.Custom, a.custom = customValues(custom), len(custom)
	return a, nil
}

// noMake is the AAGUID of an authenticator that does not tell its make.
const noMake = "00000000-0000-0000-0000-000000000000"

func passkeys(q querier, user events.UserID) (found []engine.Passkey, err error) {
	rows, err := q.list(`SELECT aaguid, synced, created_at, last_verified_at, regressed FROM authenticators
		WHERE user_id = $1 AND method = $2 ORDER BY created_at, id`, args{string(user), string(events.MethodPasskey)})
	return found, each(rows, err, func(rows *sql.Rows) error {
		var p engine.Passkey
		var created, used int64
		err := rows.Scan(&p.AAGUID, &p.Synced, &created, &used, &p.Regressed)
		if p.AAGUID == noMake {
			p.AAGUID = ""
		}
		p.CreatedAt, p.LastUsedAt = instant(created), instant(used)
		found = append(found, p)
		return err
	})
}

// customValues are the texts, numbers and booleans of a JSON object, by name.
// Anything else in it is not for rules.
func customValues(raw []byte) map[string]any {
	if len(raw) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil // it is no object
	}
	values := make(map[string]any, len(members))
	for name, member := range members {
		var value any
		if bytes.ContainsRune([]byte(`{[`), rune(member[0])) || json.Unmarshal(member, &value) != nil || value == nil {
			continue // also a number that no float64 can hold
		}
		values[name] = value
	}
	return values
}

// acquainted reads what Record may change of a person.
func acquainted(t *tx, user events.UserID, device, address string) (acquaintance, error) {
	if !t.touched[user] {
		if a, found := t.profiles.known(user, device, address); found {
			return a, nil
		}
	}
	return readPerson(t, user, device, address)
}

// establish makes a device and an address, "" for none, known from now on, and
// remembers the device until a time, 0 for not. It writes nothing when that is so
// already.
func (a *acquaintance) establish(t *tx, user events.UserID, device, address string, at, remember int64) error {
	stale := at - establishedAnew.Microseconds()
	if device != "" && (a.deviceAt <= stale || remember > micros(a.RememberedUntil)) {
		if err := knowDevice(t, user, device, at, remember, a.deviceAt == 0, a.Devices); err != nil {
			return err
		}
	}
	if address != "" && a.addressAt <= stale {
		return knowAddress(t, user, address, at, a.addressAt == 0, a.addresses)
	}
	return nil
}

func knowDevice(t *tx, user events.UserID, device string, at, remember int64, fresh bool, known int) error {
	t.touch(user)
	_, err := t.exec(`INSERT INTO devices (user_id, id, known_at, remembered_until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, id) DO UPDATE SET known_at = excluded.known_at,
			remembered_until = CASE WHEN excluded.remembered_until > devices.remembered_until
				THEN excluded.remembered_until ELSE devices.remembered_until END`, string(user), device, at, remember)
	if err != nil || !fresh {
		return err
	}
	t.touchDevice(device)
	if known < MaxKnown {
		return nil
	}
	return forgetDevices(t, `DELETE FROM devices WHERE user_id = $1 AND id IN
		(SELECT id FROM devices WHERE user_id = $1 ORDER BY known_at DESC, id LIMIT $2 OFFSET $3) RETURNING id`,
		string(user), int64(MaxKnown), int64(MaxKnown))
}

// forgetDevices runs a statement that deletes devices and returns their ids.
func forgetDevices(t *tx, text string, values ...any) error {
	rows, err := t.list(text, values)
	return each(rows, err, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		t.touchDevice(id)
		return err
	})
}

func knowAddress(t *tx, user events.UserID, address string, at int64, fresh bool, known int) error {
	t.touch(user)
	_, err := t.exec(`INSERT INTO addresses (user_id, address, known_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, address) DO UPDATE SET known_at = excluded.known_at`, string(user), address, at)
	if err != nil || !fresh || known < MaxKnown {
		return err
	}
	_, err = t.exec(`DELETE FROM addresses WHERE user_id = $1 AND address IN
		(SELECT address FROM addresses WHERE user_id = $1 ORDER BY known_at DESC, address LIMIT $2 OFFSET $3)`,
		string(user), int64(MaxKnown), int64(MaxKnown))
	return err
}
