package metricsbench_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine/metrics/metricsbench"
)

const million = 1_000_000

func BenchmarkUpdateAndReadOfSixMetrics(b *testing.B) {
	windows, err := metricsbench.New(million, "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		w := windows.Workload(metricsbench.BatchSize)
		b.StartTimer()
		if err := windows.UpdateAndRead(w); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*metricsbench.BatchSize), "ns/action")
	if err := windows.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCommitOfOneEvent(b *testing.B) {
	windows, err := metricsbench.New(million, "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		w := windows.Workload(metricsbench.BatchSize)
		b.StartTimer()
		windows.Commit(w)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*metricsbench.BatchSize), "ns/event")
	if err := windows.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkMemoryOfAUser(b *testing.B) {
	for b.Loop() {
		bytes, err := metricsbench.BytesPerUser(million)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(bytes, "B/user")
	}
}

func BenchmarkGarbageCollection(b *testing.B) {
	for b.Loop() {
		many, err := metricsbench.Collection(million)
		if err != nil {
			b.Fatal(err)
		}
		few, err := metricsbench.Collection(1000)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(many.Microseconds()), "µs/GC-at-1M")
		b.ReportMetric(float64(few.Microseconds()), "µs/GC-at-1k")
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for b.Loop() {
		write, restore, size, err := metricsbench.Snapshot(million, b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(write.Milliseconds()), "ms/write")
		b.ReportMetric(float64(restore.Milliseconds()), "ms/restore")
		b.ReportMetric(float64(size)/(1<<20), "MiB")
	}
}

func BenchmarkStalenessAcrossNodes(b *testing.B) {
	for b.Loop() {
		median, longest, err := metricsbench.Staleness(100)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(median)/float64(time.Millisecond), "ms/median")
		b.ReportMetric(float64(longest)/float64(time.Millisecond), "ms/longest")
	}
}

func TestTheBenchmarkCountsWhatItSays(t *testing.T) {
	windows, err := metricsbench.New(50, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := windows.UpdateAndRead(windows.Workload(500)); err != nil {
		t.Fatal(err)
	}
	at := metricsbench.Begin.Add(time.Minute)
	total := 0.0
	for user := range 50 {
		facts := metricsbench.Facts(user, at.Add(time.Second))
		windows.Windows.Read(windows.Set, metricsbench.Code, facts)
		total += facts.Metrics["actions24h"]
	}
	if total != 550 {
		t.Errorf("%v actions are counted; want 550", total)
	}
	if err := windows.Close(); err != nil {
		t.Fatal(err)
	}
}
