package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// BenchmarkTrack is what one tracked action costs the store, the disk's
// acknowledgement included: read the profile, record. The metric cpu-us/op is
// the process's CPU time for each, in microseconds.
func BenchmarkTrack(b *testing.B) {
	for _, callers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("SQLite/callers=%d", callers), func(b *testing.B) {
			benchmarkTrack(b, store.Config{Dir: filepath.Join(b.TempDir(), "data")}, callers)
		})
	}
	b.Run("PostgreSQL/callers=32", func(b *testing.B) {
		benchmarkTrack(b, store.Config{PostgreSQL: storetest.Postgres(b)}, 32)
	})
}

func benchmarkTrack(b *testing.B, config store.Config, callers int) {
	const users = 20_000
	s := storetest.Open(b, config)
	ctx := context.Background()
	event, err := events.NewDraft(events.ActionTracked{
		ActionID: events.ActionID{User: "user-0000000", Code: "payment", Key: strings.Repeat("0", 36)},
		State:    events.StateAllow, Outcome: "ALLOW", Reason: "rule", Rule: "small-amounts", RuleName: "Small amounts pass", Set: 7,
		Matches: []byte(`{"v":1,"count":1,"matches":[{"id":"small-amounts","name":"Small amounts pass","outcome":"ALLOW"}]}`),
		Country: "NZ", Micros: 40,
	}, events.Personal{
		events.PersonalFacts: strings.Repeat(`"custom.amount":12.5,`, 25), events.PersonalIP: "203.0.113.7",
		events.PersonalUserAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", events.PersonalDevice: "device-1",
	}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	track := func(i int64) error {
		id := events.ActionID{
			User: events.UserID(fmt.Sprintf("user-%07d", i*7919%users)), Code: "payment",
			Key: fmt.Sprintf("%08x-0000-4000-8000-%012d", uint32(i*2654435761), i),
		}
		p, err := s.Profile(ctx, id.User, "device-1", "")
		if err != nil {
			return err
		}
		r := engine.Recording{
			Action: engine.Action{
				ActionID: id, Email: string(id.User) + "@example.com", DeviceID: "device-1",
				RawCustom: []byte(`{"amount":12.5,"payee":"acct-7","currency":"NZD"}`),
			},
			Decision:        engine.Decision{Outcome: "ALLOW", State: events.StateAllow, Generation: p.Generation, PromptID: "payment@7"},
			EstablishDevice: true, Event: event,
		}
		r.Event.Action = id
		_, err = s.Record(ctx, r)
		return err
	}
	var next atomic.Int64
	run := func(n int64) {
		end := next.Load() + n
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for i := next.Add(1); i <= end; i = next.Add(1) {
					if err := track(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
		next.Store(end)
	}
	run(users) // the users exist
	before := cpuTime(b)
	b.ResetTimer()
	run(int64(b.N))
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}

// cpuTime is the process's user and system time.
func cpuTime(tb testing.TB) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
