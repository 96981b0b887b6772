package recordertest

import (
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// allowed records an action that the rules allowed, from a device and an address.
func allowed(t *testing.T, r engine.Recorder, id events.ActionID, device, address string) {
	t.Helper()
	a := recording(t, id)
	a.Action.DeviceID, a.Address, a.EstablishDevice = device, address, true
	record(t, r, a)
}

func profileAt(t *testing.T, r engine.Recorder, user events.UserID, device, address string) engine.Profile {
	t.Helper()
	p, err := r.Profile(t.Context(), user, device, address)
	if err != nil {
		t.Fatalf("Profile: %v", err)
	}
	return p
}

func deviceUsers(t *testing.T, r engine.Recorder) {
	want := func(what string, user events.UserID, device string, users, devices int) {
		t.Helper()
		for range 2 {
			if p := profileAt(t, r, user, device, ""); p.DeviceUsers != users || p.Devices != devices {
				t.Errorf("%s: the device of %s has %d users and %s has %d devices; want %d and %d",
					what, user, p.DeviceUsers, user, p.Devices, users, devices)
			}
		}
	}
	want("before anybody came", "jane", "phone", 0, 0)
	allowed(t, r, events.ActionID{User: "jane", Code: "payment", Key: "1"}, "phone", "")
	want("jane came", "jane", "phone", 1, 1)
	want("jane came", "joe", "phone", 1, 0)
	allowed(t, r, events.ActionID{User: "joe", Code: "payment", Key: "1"}, "phone", "")
	want("joe came", "jane", "phone", 2, 1)
	allowed(t, r, events.ActionID{User: "jane", Code: "payment", Key: "2"}, "laptop", "")
	want("jane came with another", "jane", "phone", 2, 2)
	want("jane came with another", "jane", "laptop", 1, 2)
	want("without a device", "jane", "", 0, 2)
}

func address(t *testing.T, r engine.Recorder) {
	challenged := recording(t, payment)
	challenged.Address = "192.0.2.7"
	record(t, r, challenged)
	if profileAt(t, r, payment.User, "", "192.0.2.7").AddressKnown {
		t.Error("a challenged action made the address known")
	}
	allowed(t, r, events.ActionID{User: payment.User, Code: "payment", Key: "k2"}, "", "192.0.2.7")
	if !profileAt(t, r, payment.User, "", "192.0.2.7").AddressKnown {
		t.Error("an allowed action did not make the address known")
	}
	for _, other := range []string{"192.0.2.8", ""} {
		if profileAt(t, r, payment.User, "", other).AddressKnown {
			t.Errorf("the address %q became known", other)
		}
	}
	if profileAt(t, r, "joe", "", "192.0.2.7").AddressKnown {
		t.Error("the address became known for another person")
	}
}

func halves(t *testing.T, r engine.Recorder) {
	allowed(t, r, events.ActionID{User: "jane", Code: "payment", Key: "1"}, "", "192.0.2.7")
	if p := profileAt(t, r, "jane", "phone", "192.0.2.7"); p.DeviceKnown || !p.AddressKnown || p.Devices != 0 {
		t.Errorf("after an action without a device: %+v", p)
	}
	allowed(t, r, events.ActionID{User: "joe", Code: "payment", Key: "1"}, "phone", "")
	if p := profileAt(t, r, "joe", "phone", "192.0.2.7"); !p.DeviceKnown || p.AddressKnown || p.Devices != 1 {
		t.Errorf("after an action without an address: %+v", p)
	}
}
