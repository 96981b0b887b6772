package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// BenchmarkImport imports and then reads a million items while actions are
// recorded. s/import and s/read are seconds; p50-ms and p99-ms are how long an
// action waited meanwhile, idle-p50-ms and idle-p99-ms before, milliseconds.
func BenchmarkImport(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		benchmarkImport(b, func() store.Config { return store.Config{Dir: filepath.Join(b.TempDir(), "data")} })
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		benchmarkImport(b, func() store.Config { return store.Config{PostgreSQL: storetest.Postgres(b)} })
	})
}

func benchmarkImport(b *testing.B, config func() store.Config) {
	const million = 1_000_000
	all := make([]lists.Item, million)
	for i := range all {
		all[i] = lists.Item{Value: fmt.Sprintf("account-%08d", i*7919%million), Note: "from the file"}
	}
	for b.Loop() {
		s, err := store.Open(context.Background(), config())
		if err != nil {
			b.Fatal(err)
		}
		makeList(b, s, "accounts", rules.ListOfStrings)
		idle := waits(b, s, "idle", time.After(2*time.Second))
		done := make(chan time.Time)
		var importing, reading time.Duration
		var work sync.WaitGroup
		work.Go(func() {
			defer close(done)
			begun := time.Now()
			change(b, s, "accounts", all, nil, true)
			importing = time.Since(begun)
			begun = time.Now()
			var after int64
			for n := 0; n < million; {
				changes, upTo, err := s.ListChanges(context.Background(), after, 10_000)
				if err != nil {
					b.Error(err)
					return
				}
				n, after = n+len(changes), upTo
			}
			reading = time.Since(begun)
		})
		busy := waits(b, s, "busy", done)
		work.Wait()
		b.ReportMetric(importing.Seconds(), "s/import")
		b.ReportMetric(reading.Seconds(), "s/read")
		b.ReportMetric(percentile(idle, 50), "idle-p50-ms")
		b.ReportMetric(percentile(idle, 99), "idle-p99-ms")
		b.ReportMetric(percentile(busy, 50), "p50-ms")
		b.ReportMetric(percentile(busy, 99), "p99-ms")
		b.ReportMetric(percentile(busy, 100), "max-ms")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// waits records actions of four callers until the end, and tells how long each
// took.
func waits(b *testing.B, s *store.Store, user string, end <-chan time.Time) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r := recording(b, action(fmt.Sprintf("%s-%d", user, caller), n), events.StateAllow)
				begun := time.Now()
				if _, err := s.Record(context.Background(), r); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				all = append(all, time.Since(begun))
				mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	<-end
	close(stop)
	callers.Wait()
	slices.Sort(all)
	return all
}

// percentile is one of sorted durations, milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[(len(sorted)-1)*p/100].Microseconds()) / 1e3
}
