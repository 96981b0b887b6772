package api_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
)

func TestDevicesAreListedRememberedAndInvalidated(t *testing.T) {
	w := startMethods(t)
	if a := w.call("GET", "/v1/users/nobody/devices", nil).ok(); a.text != "[]\n" {
		t.Errorf("nobody: %s", a.text)
	}
	w.act("ann", "payment", object{"deviceId": "phone/1", "custom": object{"amount": 1}})
	list := w.call("GET", "/v1/users/ann/devices", nil).ok().list()
	if len(list) != 1 || list[0]["deviceId"] != "phone/1" || list[0]["userId"] != "ann" || list[0]["createdAt"] == nil || list[0]["rememberedUntil"] != nil {
		t.Fatalf("devices %v", list)
	}
	w.newEvents()
	const path = "/v1/users/ann/devices/phone%2F1"
	until := w.clock().Add(24 * time.Hour).Format("2006-01-02T15:04:05.000Z")
	if a := w.call("PATCH", path, object{"rememberedUntil": until}).ok(); a.str("rememberedUntil") != until {
		t.Errorf("remembered: %s", a.text)
	}
	w.wantEvents(events.KindUserUpdated)
	if a := w.call("PATCH", path, `{"rememberedUntil":null}`).ok(); a.get("rememberedUntil") != nil {
		t.Errorf("not remembered: %s", a.text)
	}
	for _, body := range []any{object{}, object{"rememberedUntil": 7}, object{"rememberedUntil": "tomorrow"}} {
		w.call("PATCH", path, body).refused(400, "invalid_request")
	}
	w.call("PATCH", "/v1/users/ann/devices/other", object{"rememberedUntil": until}).refused(404, "not_found")
	w.call("PATCH", "/v1/users/bob/devices/phone%2F1", object{"rememberedUntil": until}).refused(404, "not_found")
	w.newEvents()
	if a := w.call("POST", path+"/invalidate", nil).ok(); a.str("invalidatedAt") == "" {
		t.Errorf("invalidated: %s", a.text)
	}
	w.wantEvents(events.KindUserUpdated)
	if a := w.call("GET", "/v1/users/ann/devices", nil).ok(); a.text != "[]\n" {
		t.Errorf("devices: %s", a.text)
	}
	w.call("POST", path+"/invalidate", nil).refused(404, "not_found")
	w.wantEvents()
}
