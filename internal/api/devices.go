package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// deviceStore keeps the devices that are known of people.
type deviceStore interface {
	// Devices reads the devices of a person, the most recent first.
	Devices(ctx context.Context, user events.UserID) ([]engine.Device, error)
	// RememberDevice says until when a device is remembered, zero for not at all, and
	// returns it, or engine.ErrNotFound.
	RememberDevice(ctx context.Context, user events.UserID, device string, until time.Time, by string) (engine.Device, error)
	// ForgetDevice makes a device unknown and returns it as it was, or
	// engine.ErrNotFound.
	ForgetDevice(ctx context.Context, user events.UserID, device, by string) (engine.Device, error)
}

// wireKnownDevice is one device of a person (CONTRACT 1.4, row 19). What is kept is
// when the device last became known, which stands for both times.
type wireKnownDevice struct {
	UserID          events.UserID `json:"userId"`
	DeviceID        string        `json:"deviceId"`
	CreatedAt       wireTime      `json:"createdAt"`
	AuthenticatedAt wireTime      `json:"authenticatedAt"`
	InvalidatedAt   wireTime      `json:"invalidatedAt,omitzero"`
	RememberedUntil wireTime      `json:"rememberedUntil,omitzero"`
}

func deviceOf(user events.UserID, d engine.Device) wireKnownDevice {
	return wireKnownDevice{
		UserID: user, DeviceID: d.ID, CreatedAt: wireTime(d.KnownAt), AuthenticatedAt: wireTime(d.KnownAt),
		RememberedUntil: wireTime(d.RememberedUntil),
	}
}

// listDevices lists the devices that are known of a user.
func (s *Server) listDevices(k *call) error {
	user, err := k.user()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	devices, err := s.config.Store.Devices(ctx, user)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	list := make([]wireKnownDevice, len(devices))
	for i, d := range devices {
		list[i] = deviceOf(user, d)
	}
	return k.ok(list)
}

// noDevice is told about a device that is not known of its user.
const noDevice = "This user has no device with this id."

// rememberDevice says until when a device is remembered; null ends it.
func (s *Server) rememberDevice(k *call) error {
	user, device, err := k.device()
	if err != nil {
		return err
	}
	var sent map[string]json.RawMessage
	if err := k.decode(&sent); err != nil {
		return err
	}
	const must = "must be a time such as 2026-11-01T00:00:00.000Z, or null."
	text, err := attribute[string](sent, "rememberedUntil", must)
	switch {
	case err != nil:
		return err
	case text == nil:
		return invalidField("rememberedUntil", "is missing.")
	}
	var until time.Time
	if string(sent["rememberedUntil"]) != "null" {
		if until, err = parseDate(*text); err != nil {
			return invalidField("rememberedUntil", must)
		}
	}
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.config.Store.RememberDevice(ctx, user, device, until, events.ByApplication)
	if errors.Is(err, engine.ErrNotFound) {
		return notFound(noDevice)
	}
	if err != nil {
		return fmt.Errorf("remember device: %w", err)
	}
	return k.ok(deviceOf(user, d))
}

// invalidateDevice makes a device one that is not known of the user.
func (s *Server) invalidateDevice(k *call) error {
	user, device, err := k.device()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.config.Store.ForgetDevice(ctx, user, device, events.ByApplication)
	if errors.Is(err, engine.ErrNotFound) {
		return notFound(noDevice)
	}
	if err != nil {
		return fmt.Errorf("invalidate device: %w", err)
	}
	out := deviceOf(user, d)
	out.InvalidatedAt, out.RememberedUntil = wireTime(s.now()), wireTime{}
	return k.ok(out)
}

// device is the user and the device that the path names.
func (k *call) device() (events.UserID, string, error) {
	user, err := k.user()
	if err != nil {
		return "", "", err
	}
	device, err := k.param("deviceId")
	return user, device, err
}
