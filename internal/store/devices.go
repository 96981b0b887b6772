package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// Devices reads the devices that are known of a person, the most recent first, at
// most MaxKnown.
func (s *Store) Devices(ctx context.Context, user events.UserID) ([]engine.Device, error) {
	found := []engine.Device{}
	if unstorable(string(user)) {
		return found, nil
	}
	rows, err := s.read(ctx).list("SELECT id, known_at, remembered_until FROM devices WHERE user_id = $1 ORDER BY known_at DESC, id LIMIT $2",
		args{string(user), int64(MaxKnown)})
	err = each(rows, err, func(rows *sql.Rows) error {
		d, err := scanDevice(rows.Scan)
		found = append(found, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read devices: %w", err)
	}
	return found, nil
}

func scanDevice(scan func(...any) error) (d engine.Device, err error) {
	var known, remembered int64
	err = scan(&d.ID, &known, &remembered)
	d.KnownAt, d.RememberedUntil = instant(known), instant(remembered)
	return d, err
}

// RememberDevice says until when a known device is remembered, zero for not at all,
// and returns it. A device that is not known is engine.ErrNotFound.
func (s *Store) RememberDevice(ctx context.Context, user events.UserID, device string, until time.Time, by string) (engine.Device, error) {
	return s.changeDevice(ctx, user, device, by, "rememberedUntil", func(t *tx) error {
		_, err := t.exec("UPDATE devices SET remembered_until = $1 WHERE user_id = $2 AND id = $3", micros(until), string(user), device)
		return err
	})
}

// ForgetDevice makes a device one that is not known of the person, and returns it as
// it was. A device that is not known is engine.ErrNotFound.
func (s *Store) ForgetDevice(ctx context.Context, user events.UserID, device, by string) (engine.Device, error) {
	return s.changeDevice(ctx, user, device, by, "device", func(t *tx) error {
		return forgetDevices(t, "DELETE FROM devices WHERE user_id = $1 AND id = $2 RETURNING id", string(user), device)
	})
}

// changeDevice changes a device that is known, with the event of that.
func (s *Store) changeDevice(ctx context.Context, user events.UserID, device, by, what string, change func(*tx) error) (engine.Device, error) {
	var in input
	in.id("userId", string(user))
	in.id("deviceId", device)
	in.name("by", by)
	if in.err != nil {
		return engine.Device{}, in.err
	}
	now := s.now()
	var d engine.Device
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		const read = "SELECT id, known_at, remembered_until FROM devices WHERE user_id = $1 AND id = $2"
		scan := func(into ...any) error { return t.get(read, args{string(user), device}, into...) }
		var err error
		if d, err = scanDevice(scan); errors.Is(err, sql.ErrNoRows) {
			answer = engine.ErrNotFound
			return nil
		} else if err != nil {
			return err
		}
		t.touch(user)
		if err := change(t); err != nil {
			return err
		}
		if after, err := scanDevice(scan); err == nil {
			d = after
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		draft, err := events.NewDraft(events.UserUpdated{ActionID: events.ActionID{User: user}, Fields: []string{what}, By: by},
			events.Personal{events.PersonalDevice: device}, now)
		if err != nil {
			return err
		}
		return t.log(draft)
	})
	return d, ended("change device", err, answer)
}
