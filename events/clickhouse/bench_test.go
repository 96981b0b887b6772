package clickhouse_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/clickhouse"
	"github.com/sallyport/sallyport/events/internal/memlog"
	"github.com/sallyport/sallyport/events/jetstream"
)

// BenchmarkRoad carries decisions from the log through NATS into ClickHouse and
// reports the CPU time of this process for each (relaying, nats-server,
// consuming, encoding) and that of the engine's. Run it with -benchtime 200000x.
func BenchmarkRoad(b *testing.B) {
	engine := startEngine(b)
	archive, log := openArchive(b, engine), memlog.New(7)
	stream, err := jetstream.Open(b.Context(), jetstream.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer stream.Close()
	list := drafts(b, 0, min(b.N, 20_000))
	var head events.Position
	for n := 0; n < b.N; n += len(list) {
		for i := range list { // as the log does it: each event at its own time
			list[i].Time = list[i].Time.Add(time.Second)
		}
		head = log.Append(list...)
	}
	sink, _ := run(b, archive, log, stream, clickhouse.SinkConfig{Linger: 500 * time.Millisecond})
	waitFor(b, "table", func() bool { return sink.Health().Status == events.StatusOK })
	ctx, cancel := context.WithCancel(b.Context())
	relayed := make(chan error, 1)
	b.ResetTimer()
	before, engineBefore := cpu(b), engineCPU(b, engine.Pid())
	go func() { relayed <- jetstream.NewRelay(stream, log, jetstream.RelayConfig{}).Run(ctx) }()
	archived(b, sink, head)
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
	b.ReportMetric(float64((engineCPU(b, engine.Pid())-engineBefore).Nanoseconds())/float64(b.N), "engine-cpu-ns/event")
	cancel()
	<-relayed
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// engineCPU is the CPU time that a child has used, in hundredths of a second
// (proc(5), fields 14 and 15 of stat).
func engineCPU(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var user, system int64
	fields := strings.Fields(rest)
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
