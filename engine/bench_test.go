package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

func benchmarkTrack(b *testing.B, e *engine.Engine) {
	b.Helper()
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

// BenchmarkTrack decides and records in memory: everything but the commit. The
// first rule set reads neither metrics nor lists: with lists and metrics there,
// it should take no longer. The second one reads a metric and a list.
func BenchmarkTrack(b *testing.B) {
	b.Run("no metrics and lists", func(b *testing.B) {
		benchmarkTrack(b, newEngine(b, memory.New(), openSignals(b)))
	})
	b.Run("metrics and lists that no rule reads", func(b *testing.B) {
		w := newWorldOf(b, compiled(b), func(c *engine.Config) { c.Signals = []engine.Signals{openSignals(b)} })
		benchmarkTrack(b, w.Engine)
	})
	b.Run("a metric and two list tests", func(b *testing.B) {
		w := newWorld(b, func(c *engine.Config) { c.Signals = []engine.Signals{openSignals(b)} })
		if err := w.recorder.CreateList(b.Context(), lists.Head{Name: "suspects", Type: rules.ListOfRanges}, "test"); err != nil {
			b.Fatal(err)
		}
		if err := w.recorder.CreateList(b.Context(), lists.Head{Name: "payees", Type: rules.ListOfStrings}, "test"); err != nil {
			b.Fatal(err)
		}
		if err := w.lists.Refresh(b.Context()); err != nil {
			b.Fatal(err)
		}
		benchmarkTrack(b, w.Engine)
	})
}
