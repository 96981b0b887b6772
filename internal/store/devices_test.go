package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestDevicesAreReadRememberedAndForgotten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s, ctx := storetest.Open(t, config), t.Context()
		r := recording(t, action("jane", 1), events.StateAllow)
		r.EstablishDevice = true
		if _, err := s.Record(ctx, r); err != nil {
			t.Fatal(err)
		}
		found, err := s.Devices(ctx, "jane")
		if err != nil || len(found) != 1 || found[0].ID != "phone" || found[0].KnownAt.IsZero() || !found[0].RememberedUntil.IsZero() {
			t.Fatalf("devices %+v, %v", found, err)
		}
		until := base.Add(24 * time.Hour)
		d, err := s.RememberDevice(ctx, "jane", "phone", until, events.ByApplication)
		if err != nil || !d.RememberedUntil.Equal(until) {
			t.Fatalf("remembered %+v, %v", d, err)
		}
		if p, err := s.Profile(ctx, "jane", "phone", ""); err != nil || !p.RememberedUntil.Equal(until) || !p.DeviceKnown || p.DeviceUsers != 1 {
			t.Errorf("profile %+v, %v", p, err)
		}
		for _, user := range []events.UserID{"john", "nobody"} {
			if _, err := s.ForgetDevice(ctx, user, "phone", events.ByApplication); !errors.Is(err, engine.ErrNotFound) {
				t.Errorf("somebody else's: %v", err)
			}
		}
		if d, err := s.ForgetDevice(ctx, "jane", "phone", events.ByApplication); err != nil || d.ID != "phone" {
			t.Fatalf("forgotten %+v, %v", d, err)
		}
		if p, err := s.Profile(ctx, "jane", "phone", ""); err != nil || p.DeviceKnown || p.DeviceUsers != 0 || p.Devices != 0 {
			t.Errorf("profile %+v, %v", p, err)
		}
		if _, err := s.RememberDevice(ctx, "jane", "phone", until, events.ByApplication); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("one that is gone: %v", err)
		}
		if found, err := s.Devices(ctx, "jane\x00"); err != nil || len(found) != 0 {
			t.Errorf("what cannot be stored: %v, %v", found, err)
		}
	})
}
