package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
)

// BenchmarkTrack decides and records in memory: everything but the commit.
func BenchmarkTrack(b *testing.B) {
	e := newEngine(b, memory.New(), openSignals(b))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, err := e.Track(context.Background(), engine.Action{
			ActionID: events.ActionID{User: events.UserID(fmt.Sprintf("user-%d", i%100)), Code: "payment", Key: fmt.Sprint(i)},
			Email:    "jane@example.com", DeviceID: "phone", IP: "192.0.2.7",
			UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
			Custom:    map[string]any{"amount": 250.0, "payee": "Jo", "code": "1"},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
