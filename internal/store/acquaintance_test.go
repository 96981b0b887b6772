package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// visit records an action that the rules allowed, from a device and an address.
func visit(tb testing.TB, s *store.Store, id events.ActionID, device, address string, at time.Time) {
	tb.Helper()
	r := recording(tb, id, events.StateAllow)
	r.Action.DeviceID, r.Address, r.EstablishDevice, r.Event.Time = device, address, true, at
	if _, err := s.Record(tb.Context(), r); err != nil {
		tb.Fatal(err)
	}
}

func profileOf(tb testing.TB, s *store.Store, user, device, address string) engine.Profile {
	tb.Helper()
	p, err := s.Profile(tb.Context(), events.UserID(user), device, address)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// prove passes the n-th challenge of an action with a passkey.
func prove(tb testing.TB, s *store.Store, id events.ActionID, n int) {
	tb.Helper()
	a := passkey(string(id.User), 1)
	o := outcome(tb, taken(tb, s, challenge(id, n)), events.KindCeremonySucceeded)
	o.Proof = &a
	if _, err := s.Finish(tb.Context(), o); err != nil {
		tb.Fatalf("finish: %v", err)
	}
}

func TestAProfileIsComplete(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		config.RememberDevice = 30 * 24 * time.Hour
		s := storetest.Open(t, config)
		r := recording(t, action("jane", 1), events.StateChallengeRequired)
		r.Address, r.Place = "192.0.2.7", &engine.Place{Latitude: -36.85, Longitude: 174.76}
		if _, err := s.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		custom := json.RawMessage(`{"tier":"gold","limit":250.5,"vip":true,"nothing":null,"list":[1],"object":{"a":1},"huge":1e999}`)
		if _, err := s.UpdateUser(t.Context(), "jane", engine.UserChanges{Custom: &custom}, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		enrol(t, s, "jane", 1)
		second := passkey("jane", 2)
		second.AAGUID, second.Synced = "00000000-0000-0000-0000-000000000000", false
		if err := s.AddAuthenticator(t.Context(), second, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		mail := passkey("jane", 3)
		mail.Method, mail.CredentialID, mail.Credential, mail.AAGUID = events.MethodEmailOTP, nil, nil, ""
		if err := s.AddAuthenticator(t.Context(), mail, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		before := profileOf(t, s, "jane", "phone", "192.0.2.7")
		if before.DeviceKnown || before.AddressKnown || before.VerifiedAt != nil || !before.RememberedUntil.IsZero() {
			t.Errorf("before the proof: %+v", before)
		}
		prove(t, s, action("jane", 1), 1)
		at := base.Add(2 * time.Second)
		want := engine.Profile{
			Known: true, CreatedAt: base, Email: "jane@example.com",
			Custom:  map[string]any{"tier": "gold", "limit": 250.5, "vip": true},
			Methods: []events.Method{events.MethodPasskey, events.MethodEmailOTP},
			Passkeys: []engine.Passkey{
				{AAGUID: "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", Synced: true, CreatedAt: base.Add(time.Second), LastUsedAt: at},
				{CreatedAt: base.Add(2 * time.Second)},
			},
			LastVerifiedAt: at, VerifiedAt: &engine.Place{Latitude: -36.85, Longitude: 174.76, At: at}, Generation: before.Generation,
			Devices: 1, DeviceKnown: true, RememberedUntil: at.Add(config.RememberDevice), DeviceUsers: 1, AddressKnown: true,
		}
		for range 2 { // from the database and from memory
			if diff := cmp.Diff(want, profileOf(t, s, "jane", "phone", "192.0.2.7")); diff != "" {
				t.Errorf("profile (-want +got):\n%s", diff)
			}
		}
		want.DeviceKnown, want.RememberedUntil, want.DeviceUsers, want.AddressKnown = false, time.Time{}, 0, false
		if diff := cmp.Diff(want, profileOf(t, s, "jane", "laptop", "192.0.2.8")); diff != "" {
			t.Errorf("profile elsewhere (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(engine.Profile{DeviceUsers: 1}, profileOf(t, s, "joe", "phone", "192.0.2.7")); diff != "" {
			t.Errorf("profile of somebody unknown on the device (-want +got):\n%s", diff)
		}
		// One who changes what was returned changes nobody else's.
		p := profileOf(t, s, "jane", "phone", "192.0.2.7")
		p.Custom["tier"], p.Passkeys[0].Regressed, p.VerifiedAt.Latitude = "lead", true, 90
		if again := profileOf(t, s, "jane", "phone", "192.0.2.7"); again.Custom["tier"] != "gold" || again.Passkeys[0].Regressed || again.VerifiedAt.Latitude > 0 {
			t.Errorf("a caller changed the profile to %+v", again)
		}
	})
}

func TestAProofWithoutAPlaceKeepsTheOneBefore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		enrol(t, s, "jane", 1)
		for n, place := range []*engine.Place{{Latitude: 48.2, Longitude: 16.4}, nil} {
			r := recording(t, action("jane", n), events.StateChallengeRequired)
			r.Place, r.Action.DeviceID = place, ""
			if _, err := s.Record(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			prove(t, s, action("jane", n), 1)
		}
		p := profileOf(t, s, "jane", "phone", "")
		want := &engine.Place{Latitude: 48.2, Longitude: 16.4, At: base.Add(2 * time.Second)}
		if diff := cmp.Diff(want, p.VerifiedAt); diff != "" {
			t.Error(diff)
		}
		if p.DeviceKnown || p.Devices != 0 || !p.RememberedUntil.IsZero() {
			t.Errorf("a proof without a device, and a store that remembers none: %+v", p)
		}
	})
}

// TestOthersChangeADevicesUsers sees what a kept profile must learn of other
// people.
func TestOthersChangeADevicesUsers(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		visit(t, s, action("jane", 1), "phone", "", base)
		want := func(t *testing.T, users int) {
			t.Helper()
			for range 2 {
				if p := profileOf(t, s, "jane", "phone", "192.0.2.7"); p.DeviceUsers != users {
					t.Errorf("the device has %d users, want %d", p.DeviceUsers, users)
				}
			}
		}
		want(t, 1)
		visit(t, s, action("joe", 1), "phone", "", base)
		want(t, 2)
		visit(t, s, action("joe", 2), "phone", "", base)
		want(t, 2)
		if err := s.DeleteUser(t.Context(), "joe", events.ByApplication); err != nil {
			t.Fatal(err)
		}
		want(t, 1)
		track(t, s, action("amy", 1), events.StateChallengeRequired)
		enrol(t, s, "amy", 1)
		want(t, 1)
		prove(t, s, action("amy", 1), 1)
		want(t, 2)
		// Amy uses so many devices that hers is forgotten.
		for i := range store.MaxKnown {
			visit(t, s, action("amy", 10+i), fmt.Sprintf("device-%d", i), "", base.Add(time.Hour+time.Duration(i)*time.Second))
		}
		want(t, 1)
	})
}

func TestUsersOfADeviceAreCountedWhileItSpreads(t *testing.T) {
	s := storetest.Open(t, store.Config{Dir: t.TempDir()})
	visit(t, s, action("jane", 1), "shared", "", base)
	const people = 30
	var readers sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() { // fills what is kept at any moment
		for {
			select {
			case <-done:
				return
			default:
				_, _ = s.Profile(t.Context(), "jane", "shared", "")
			}
		}
	})
	errs := together(people, func(i int) error {
		r := recording(t, action(fmt.Sprintf("user-%d", i), 1), events.StateAllow)
		r.Action.DeviceID, r.EstablishDevice = "shared", true
		if _, err := s.Record(t.Context(), r); err != nil {
			return err
		}
		p, err := s.Profile(t.Context(), "jane", "shared", "")
		if err != nil || p.DeviceUsers < 2 {
			return fmt.Errorf("after user %d came, the device has %d users: %w", i, p.DeviceUsers, err)
		}
		return nil
	})
	close(done)
	readers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if p := profileOf(t, s, "jane", "shared", ""); p.DeviceUsers != people+1 {
		t.Errorf("the device has %d users, want %d", p.DeviceUsers, people+1)
	}
}

func TestWhatIsKnownOfAPersonIsBounded(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		const more = 7
		for i := range store.MaxKnown + more {
			visit(t, s, action("jane", i), fmt.Sprintf("device-%d", i), fmt.Sprintf("2001:db8::%x", i+1), base.Add(time.Duration(i)*time.Minute))
		}
		for i := range store.MaxKnown + more {
			p := profileOf(t, s, "jane", fmt.Sprintf("device-%d", i), fmt.Sprintf("2001:db8::%x", i+1))
			if want := i >= more; p.DeviceKnown != want || p.AddressKnown != want || p.Devices != store.MaxKnown {
				t.Errorf("visit %d: device known %v, address known %v, %d devices; want %v", i, p.DeviceKnown, p.AddressKnown, p.Devices, want)
			}
		}
	})
}

func TestWhatIsInUseIsNotForgotten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		// Every other visit is from home; the others are from ever new places, each a day later.
		at, n := base, 0
		for i := range store.MaxKnown + 5 {
			at = at.Add(25 * time.Hour)
			n += 2
			visit(t, s, action("jane", n), "home", "192.0.2.1", at)
			visit(t, s, action("jane", n+1), fmt.Sprintf("hotel-%d", i), fmt.Sprintf("2001:db8::%x", i+1), at)
		}
		if p := profileOf(t, s, "jane", "home", "192.0.2.1"); !p.DeviceKnown || !p.AddressKnown {
			t.Errorf("home is forgotten: %+v", p)
		}
		if p := profileOf(t, s, "jane", "hotel-0", "2001:db8::1"); p.DeviceKnown || p.AddressKnown {
			t.Errorf("the first hotel is still known: %+v", p)
		}
	})
}

func TestADeviceIsRememberedUntilTheLatestProof(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		config.RememberDevice = time.Hour
		s := storetest.Open(t, config)
		enrol(t, s, "jane", 1)
		track(t, s, action("jane", 1), events.StateChallengeRequired)
		prove(t, s, action("jane", 1), 1)
		until := base.Add(2*time.Second + time.Hour)
		if p := profileOf(t, s, "jane", "phone", ""); !p.RememberedUntil.Equal(until) {
			t.Errorf("remembered until %v, want %v", p.RememberedUntil, until)
		}
		// An action that the rules allow establishes the device and remembers nothing.
		visit(t, s, action("jane", 2), "phone", "", base.Add(26*time.Hour))
		if p := profileOf(t, s, "jane", "phone", ""); !p.RememberedUntil.Equal(until) {
			t.Errorf("after a visit remembered until %v, want %v", p.RememberedUntil, until)
		}
		track(t, s, action("jane", 3), events.StateChallengeRequired)
		a := passkey("jane", 1)
		o := outcome(t, taken(t, s, challenge(action("jane", 3), 1)), events.KindCeremonySucceeded)
		o.Proof, o.At = &a, base.Add(time.Minute)
		if _, err := s.Finish(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if p := profileOf(t, s, "jane", "phone", ""); !p.RememberedUntil.Equal(o.At.Add(time.Hour)) {
			t.Errorf("after another proof remembered until %v, want %v", p.RememberedUntil, o.At.Add(time.Hour))
		}
		if p := profileOf(t, s, "jane", "laptop", ""); !p.RememberedUntil.IsZero() {
			t.Errorf("another device is remembered until %v", p.RememberedUntil)
		}
	})
}

func TestACounterThatWentBackStaysOnThePasskey(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		for _, user := range []string{"refused", "accepted"} {
			id := action(user, 1)
			track(t, s, id, events.StateChallengeRequired)
			a := enrol(t, s, user, 1)
			if profileOf(t, s, user, "phone", "").Passkeys[0].Regressed {
				t.Errorf("%s: a new passkey has a counter that went back", user)
			}
			o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonyFailed)
			o.Regressed = a.ID
			if user == "accepted" {
				o = outcome(t, o.Challenge, events.KindCeremonySucceeded)
				o.Proof, o.Regressed = &a, a.ID
			}
			if _, err := s.Finish(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			// A later answer that is right does not clear it.
			track(t, s, action(user, 2), events.StateChallengeRequired)
			prove(t, s, action(user, 2), 1)
			account, err := s.Account(t.Context(), events.UserID(user))
			if err != nil || !account.Authenticators[0].Regressed || !profileOf(t, s, user, "phone", "").Passkeys[0].Regressed {
				t.Errorf("%s: account %+v, %v", user, account, err)
			}
		}
		// Nobody flags a passkey of somebody else.
		other := enrol(t, s, "other", 1)
		track(t, s, action("refused", 3), events.StateChallengeRequired)
		o := outcome(t, taken(t, s, challenge(action("refused", 3), 1)), events.KindCeremonyFailed)
		o.Regressed = other.ID
		if _, err := s.Finish(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if profileOf(t, s, "other", "phone", "").Passkeys[0].Regressed {
			t.Error("another person's answer flagged the passkey")
		}
	})
}

func TestADeletedPersonLeavesNoDevicesAddressesOrPlaces(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		config.RememberDevice = time.Hour
		s := storetest.Open(t, config)
		enrol(t, s, "jane", 1)
		r := recording(t, action("jane", 1), events.StateChallengeRequired)
		r.Address, r.Place = "192.0.2.7", &engine.Place{Latitude: 1, Longitude: 2}
		if _, err := s.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		prove(t, s, action("jane", 1), 1)
		if err := s.DeleteUser(t.Context(), "jane", events.ByApplication); err != nil {
			t.Fatal(err)
		}
		visit(t, s, action("jane", 2), "", "", base)
		p := profileOf(t, s, "jane", "phone", "192.0.2.7")
		if p.DeviceKnown || p.AddressKnown || p.VerifiedAt != nil || !p.RememberedUntil.IsZero() || p.DeviceUsers != 0 || p.Devices != 0 {
			t.Errorf("the next life knows %+v", p)
		}
		// Nor does an action of the life before bring them back.
		var left int
		if err := s.Count(t.Context(), &left, "SELECT COUNT(*) FROM actions WHERE address <> '' OR latitude IS NOT NULL OR longitude IS NOT NULL"); err != nil || left != 0 {
			t.Errorf("%d actions still tell where they came from, %v", left, err)
		}
	})
}
