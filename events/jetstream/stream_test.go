package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/internal/memlog"
	"github.com/sallyport/sallyport/events/jetstream"
)

func open(t testing.TB, config jetstream.Config) *jetstream.Stream {
	t.Helper()
	if config.Dir == "" && config.URL == "" {
		config.Dir = t.TempDir()
	}
	stream, err := jetstream.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	})
	return stream
}

// relay runs a relay until the returned function is called.
func relay(t testing.TB, stream *jetstream.Stream, log jetstream.Log, config jetstream.RelayConfig) (r *jetstream.Relay, stop func()) {
	t.Helper()
	if config.Linger == 0 {
		config.Linger = time.Millisecond
	}
	r = jetstream.NewRelay(stream, log, config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return r, stop
}

func drafts(t testing.TB, n, size int) []events.Draft {
	t.Helper()
	list := make([]events.Draft, n)
	for i := range list {
		var err error
		list[i], err = events.NewDraft(events.ActionTracked{
			ActionID: events.ActionID{User: "u", Code: "payment", Key: fmt.Sprint(i)}, State: events.StateAllow,
			Outcome: "ALLOW", Reason: strings.Repeat("x", size),
		}, events.Personal{events.PersonalIP: "192.0.2.1"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// take reads from the stream until it has n events that are new to it. The
// stream may repeat events; it must not reorder or change them.
func take(t testing.TB, stream *jetstream.Stream, after events.Position, n int) []events.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []events.Event
	enough := errors.New("enough")
	for len(got) < n {
		err := stream.Read(ctx, after, func(batch []events.Event) error {
			for _, e := range batch {
				if e.Epoch == after.Epoch && e.Seq <= after.Seq {
					continue
				}
				got, after = append(got, e), e.Position
			}
			if len(got) >= n {
				return enough
			}
			return nil
		})
		if ctx.Err() != nil {
			t.Fatalf("%d of %d events arrived; the last error is %v", len(got), n, err)
		}
	}
	return got
}

func all(t testing.TB, log *memlog.Log, after events.Position) []events.Event {
	t.Helper()
	var list []events.Event
	for {
		more, err := log.EventsAfter(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(more) == 0 {
			return list
		}
		list = append(list, more...)
		after = more[len(more)-1].Position
	}
}

func TestEventsTravelUnchangedAndInOrder(t *testing.T) {
	stream, log := open(t, jetstream.Config{}), memlog.New(1<<63+5)
	r, _ := relay(t, stream, log, jetstream.RelayConfig{Count: 7})
	log.Append(drafts(t, 100, 10)...)
	first := take(t, stream, events.Position{}, 100)
	head := log.Append(drafts(t, 50, 10)...)
	rest := take(t, stream, first[99].Position, 50)
	if diff := cmp.Diff(all(t, log, events.Position{}), append(first, rest...)); diff != "" {
		t.Error(diff)
	}
	if got, err := stream.Head(t.Context()); err != nil || got != head {
		t.Errorf("the head is %v, %v; want %v", got, err, head)
	}
	if health := r.Health(); health.Status != events.StatusOK {
		t.Errorf("got %+v", health)
	}
}

func TestReadBeginsBehindAnyPosition(t *testing.T) {
	stream, log := open(t, jetstream.Config{}), memlog.New(9)
	relay(t, stream, log, jetstream.RelayConfig{Count: 10})
	log.Append(drafts(t, 95, 10)...)
	log.Begin(4)
	log.Append(drafts(t, 42, 10)...)
	whole := take(t, stream, events.Position{}, 95+42)
	for _, i := range []int{0, 1, 9, 10, 11, 50, 93, 94, 95, 100, 135} {
		got := take(t, stream, whole[i].Position, len(whole)-i-1)
		if diff := cmp.Diff(whole[i+1:], got); diff != "" {
			t.Errorf("after %s: %s", whole[i].Position, diff)
		}
	}
	t.Run("an unknown position begins with the oldest", func(t *testing.T) {
		got := take(t, stream, events.Position{Epoch: 77, Seq: 5}, 1)
		if got[0].Position != whole[0].Position {
			t.Errorf("began with %s", got[0].Position)
		}
	})
}

func TestRelayGoesOnWhereItStopped(t *testing.T) {
	dir := t.TempDir()
	log := memlog.New(3)
	stream := open(t, jetstream.Config{Dir: dir})
	_, stop := relay(t, stream, log, jetstream.RelayConfig{})
	log.Append(drafts(t, 30, 10)...)
	take(t, stream, events.Position{}, 30)
	stop()
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	log.Append(drafts(t, 30, 10)...)

	again := open(t, jetstream.Config{Dir: dir})
	r, _ := relay(t, again, log, jetstream.RelayConfig{})
	got := take(t, again, events.Position{}, 60)
	if diff := cmp.Diff(all(t, log, events.Position{}), got); diff != "" {
		t.Error(diff)
	}
	waitFor(t, "count of the relay", func() bool { return r.Count() >= 30 })
	if r.Count() != 30 {
		t.Errorf("%d events were published, 30 were new", r.Count())
	}
	if lag, err := r.Lag(t.Context()); err != nil || lag != 0 {
		t.Errorf("lag %d, %v", lag, err)
	}
}

func TestLostFolderMeansRelayingAgain(t *testing.T) {
	dir := t.TempDir()
	log := memlog.New(3)
	stream := open(t, jetstream.Config{Dir: dir})
	_, stop := relay(t, stream, log, jetstream.RelayConfig{})
	log.Append(drafts(t, 30, 10)...)
	take(t, stream, events.Position{}, 30)
	stop()
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}

	again := open(t, jetstream.Config{Dir: dir})
	relay(t, again, log, jetstream.RelayConfig{})
	got := take(t, again, events.Position{}, 30)
	if diff := cmp.Diff(all(t, log, events.Position{}), got); diff != "" {
		t.Error(diff)
	}
}

func TestOldEventsLeaveAFullStream(t *testing.T) {
	stream, log := open(t, jetstream.Config{MaxBytes: 256 << 10}), memlog.New(3)
	r, _ := relay(t, stream, log, jetstream.RelayConfig{Count: 10})
	for range 20 {
		log.Append(drafts(t, 100, 1000)...)
	}
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "end of relaying", func() bool { return r.Relayed() == head })
	if first := take(t, stream, events.Position{}, 1)[0]; first.Seq == 1 {
		t.Error("the stream holds 2 MB, its limit is 256 KiB")
	}
	if health := r.Health(); health.Status != events.StatusOK {
		t.Errorf("got %+v", health)
	}
}

func TestLargeEventTravelsWithoutItsBytes(t *testing.T) {
	stream, log := open(t, jetstream.Config{}), memlog.New(3)
	relay(t, stream, log, jetstream.RelayConfig{})
	log.Append(drafts(t, 1, 10)...)
	log.Append(drafts(t, 1, 3<<20)...)
	log.Append(drafts(t, 1, 10)...)
	got := take(t, stream, events.Position{}, 3)
	for i, hollow := range []bool{false, true, false} {
		if (got[i].Body == nil) != hollow {
			t.Errorf("event %d: body of %d bytes", i, len(got[i].Body))
		}
	}
}

func TestStreamOfAnotherLog(t *testing.T) {
	stream := open(t, jetstream.Config{})
	_, stop := relay(t, stream, memlog.New(1), jetstream.RelayConfig{})
	stop()
	other := memlog.New(2)
	other.Append(drafts(t, 3, 10)...)
	_, stop = relay(t, stream, other, jetstream.RelayConfig{})
	take(t, stream, events.Position{}, 3)
	stop()

	log := memlog.New(3)
	log.Append(drafts(t, 5, 10)...)
	r, _ := relay(t, stream, log, jetstream.RelayConfig{})
	waitFor(t, "the new log's events", func() bool { return r.Count() == 5 })
	got := take(t, stream, events.Position{}, 8)
	if diff := cmp.Diff(append(all(t, other, events.Position{}), all(t, log, events.Position{})...), got); diff != "" {
		t.Error(diff)
	}
}

func TestLogBehindItsStream(t *testing.T) {
	stream := open(t, jetstream.Config{})
	whole := memlog.New(2)
	whole.Append(drafts(t, 10, 10)...)
	_, stop := relay(t, stream, whole, jetstream.RelayConfig{})
	take(t, stream, events.Position{}, 10)
	stop()
	lost := memlog.New(2)
	lost.Append(drafts(t, 6, 10)...)
	r, _ := relay(t, stream, lost, jetstream.RelayConfig{})
	waitFor(t, "complaint", func() bool { return r.Health().Status == events.StatusDegraded })
	for _, want := range []string{"0000000000000002-10", "0000000000000002-6"} {
		if detail := r.Health().Detail; !strings.Contains(detail, want) {
			t.Errorf("%q does not name %s", detail, want)
		}
	}
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, jetstream.Config{Dir: dir})
	if _, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir}); !errors.Is(err, jetstream.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

func TestOpenNeedsOnePlace(t *testing.T) {
	for _, config := range []jetstream.Config{{}, {URL: "nats://127.0.0.1:1", Dir: t.TempDir()}} {
		if _, err := jetstream.Open(t.Context(), config); err == nil {
			t.Errorf("%+v was accepted", config)
		}
	}
}

// startCluster runs a nats-server that listens, as a cluster would.
func startCluster(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server did not start")
	}
	return s
}

func TestClusterThatComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	cluster := startCluster(t, dir, server.RANDOM_PORT)
	stop := func(s *server.Server) { s.Shutdown(); s.WaitForShutdown() }
	url := cluster.ClientURL()
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "nats://"), ":")
	stop(cluster)

	stream, log := open(t, jetstream.Config{URL: url}), memlog.New(3)
	if health := stream.Health(); health.Status != events.StatusDegraded {
		t.Errorf("without a cluster: %+v", health)
	}
	if _, err := stream.Head(t.Context()); err == nil {
		t.Error("a cluster that is away told its head")
	}
	r, _ := relay(t, stream, log, jetstream.RelayConfig{})
	log.Append(drafts(t, 10, 10)...)
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	cluster = startCluster(t, dir, number)
	take(t, stream, events.Position{}, 10)
	stop(cluster)
	log.Append(drafts(t, 10, 10)...)
	waitFor(t, "complaint", func() bool { return r.Health().Status == events.StatusDegraded })
	cluster = startCluster(t, dir, number)
	defer stop(cluster)
	got := take(t, stream, events.Position{}, 20)
	if diff := cmp.Diff(all(t, log, events.Position{}), got); diff != "" {
		t.Error(diff)
	}
	waitFor(t, "recovery", func() bool { return r.Health().Status == events.StatusOK })
}

// The files of the stream vanish under the running server, as a broken disk has
// it: writing fails until the server is started anew.
func TestServerStartsAgainWhenItsStorageFails(t *testing.T) {
	dir := t.TempDir()
	stream, log := open(t, jetstream.Config{Dir: dir, SyncAlways: true}), memlog.New(3)
	r, _ := relay(t, stream, log, jetstream.RelayConfig{})
	log.Append(drafts(t, 10, 10)...)
	take(t, stream, events.Position{}, 10)
	if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	for range 100 { // large enough to need a new file
		log.Append(drafts(t, 100, 1000)...)
	}
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "end of relaying", func() bool { return r.Relayed() == head })
	if got, err := stream.Head(t.Context()); err != nil || got != head {
		t.Errorf("the head is %v, %v; want %v", got, err, head)
	}
}

func BenchmarkRelay(b *testing.B) {
	stream, log := open(b, jetstream.Config{}), memlog.New(3)
	list := drafts(b, 2000, 600)
	for n := 0; n < b.N; n += len(list) {
		log.Append(list...)
	}
	head, err := log.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	r, _ := relay(b, stream, log, jetstream.RelayConfig{Linger: 50 * time.Millisecond})
	waitFor(b, "end of relaying", func() bool { return r.Relayed() == head })
}

// waitFor looks until a condition holds that another goroutine brings about and
// does not announce.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 60 s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
