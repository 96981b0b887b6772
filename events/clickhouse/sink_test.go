package clickhouse_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/clickhouse"
	"github.com/sallyport/sallyport/events/clickhouse/embedded"
	"github.com/sallyport/sallyport/events/internal/memlog"
	"github.com/sallyport/sallyport/events/jetstream"
)

// feed is a source that the test writes itself: what a stream may do in the
// worst case.
type feed chan []events.Event

func (f feed) Read(ctx context.Context, _ events.Position, handle func([]events.Event) error) error {
	for {
		select {
		case batch := <-f:
			if err := handle(batch); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run runs a sink until the returned function is called.
func run(t testing.TB, archive *clickhouse.Archive, log clickhouse.Log, source clickhouse.Source, config clickhouse.SinkConfig) (*clickhouse.Sink, func()) {
	t.Helper()
	if config.Linger == 0 {
		config.Linger = time.Millisecond
	}
	sink := clickhouse.NewSink(archive, log, source, config)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return sink, stop
}

func archived(t testing.TB, sink *clickhouse.Sink, p events.Position) {
	t.Helper()
	waitFor(t, fmt.Sprintf("archiving of %s (health %+v, at %s)", p, sink.Health(), sink.Archived()),
		func() bool { return sink.Archived() == p })
}

func whole(t testing.TB, log *memlog.Log, epoch events.Epoch) []events.Event {
	t.Helper()
	list, err := log.EventsBetween(t.Context(), epoch, 1, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sameEvent compares every byte; cmp takes minutes for what this does in a blink.
func sameEvent(a, b events.Event) bool {
	return a.Leaf() == b.Leaf() && a.Action == b.Action && a.State == b.State &&
		bytes.Equal(a.Personal, b.Personal) && bytes.Equal(a.Salt, b.Salt)
}

// exactly checks that the archive holds just the log's events of an epoch, each
// in one row.
func exactly(t testing.TB, engine *embedded.Engine, archive *clickhouse.Archive, log *memlog.Log, epoch events.Epoch) {
	t.Helper()
	got, err := archive.Events(t.Context(), epoch, 1, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	if want := whole(t, log, epoch); !slices.EqualFunc(want, got, sameEvent) {
		t.Fatal(cmp.Diff(want, got))
	}
	rows, err := archive.Rows(t.Context(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if rows != uint64(len(got)) {
		t.Errorf("%d rows for %d events", rows, len(got))
	}
	if head, err := archive.Head(t.Context(), epoch); err != nil || head.Seq != uint64(len(got)) {
		t.Errorf("the archive's head is %v, %v", head, err)
	}
}

func TestSink(t *testing.T) {
	engine := startEngine(t)

	t.Run("archives what the stream delivers", func(t *testing.T) {
		archive, log := openArchive(t, engine), memlog.New(1<<63+7)
		stream, err := jetstream.Open(t.Context(), jetstream.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		relay := jetstream.NewRelay(stream, log, jetstream.RelayConfig{Linger: time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		relayed := make(chan error, 1)
		go func() { relayed <- relay.Run(ctx) }()
		defer func() { cancel(); <-relayed }()
		sink, _ := run(t, archive, log, stream, clickhouse.SinkConfig{})
		for i := range 5 {
			archived(t, sink, log.Append(drafts(t, i*100, 100)...))
		}
		exactly(t, engine, archive, log, 1<<63+7)
		if lag, err := sink.Lag(t.Context()); err != nil || lag != 0 {
			t.Errorf("lag %d, %v", lag, err)
		}
		if health := sink.Health(); health.Status != events.StatusOK {
			t.Errorf("got %+v", health)
		}
		ranges, err := log.Ranges(t.Context(), 1<<63+7)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range ranges {
			if err := archive.Verify(t.Context(), r); err != nil || !r.Confirmed {
				t.Errorf("range %s: %v", r.Token(), err)
			}
		}
	})

	t.Run("repetitions leave no second row", func(t *testing.T) {
		archive, log, source := openArchive(t, engine), memlog.New(3), make(feed)
		log.Append(drafts(t, 0, 30)...)
		list := whole(t, log, 3)
		sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{})
		for _, batch := range [][]events.Event{list[:10], list[:10], list[5:15], list[2:4], list[15:], list[:1], list[29:]} {
			source <- batch
		}
		archived(t, sink, list[29].Position)
		source <- list
		source <- list[:5]
		exactly(t, engine, archive, log, 3)
	})

	t.Run("gaps are filled from the log", func(t *testing.T) {
		archive, log, source := openArchive(t, engine), memlog.New(3), make(feed)
		head := log.Append(drafts(t, 0, 3000)...)
		list := whole(t, log, 3)
		sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{Count: 700})
		source <- list[10:20]
		source <- list[2500:]
		archived(t, sink, head)
		exactly(t, engine, archive, log, 3)
	})

	t.Run("an event without a body is read from the log", func(t *testing.T) {
		archive, log, source := openArchive(t, engine), memlog.New(3), make(feed)
		head := log.Append(drafts(t, 0, 3)...)
		list := whole(t, log, 3)
		list[1].Body, list[1].Personal, list[1].Salt = nil, nil, nil
		sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{})
		source <- list
		archived(t, sink, head)
		exactly(t, engine, archive, log, 3)
	})

	t.Run("a new epoch begins behind the end of the old one", func(t *testing.T) {
		archive, log, source := openArchive(t, engine), memlog.New(9), make(feed)
		log.Append(drafts(t, 0, 20)...)
		old := whole(t, log, 9)
		log.Begin(4)
		head := log.Append(drafts(t, 20, 20)...)
		list := whole(t, log, 4)
		sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{})
		source <- old[:10]
		source <- list[5:] // the old epoch's end and the new one's begin are missing
		archived(t, sink, head)
		source <- old // the stream has been written anew
		source <- list
		log.Append(drafts(t, 40, 1)...)
		source <- whole(t, log, 4)[20:]
		archived(t, sink, events.Position{Epoch: 4, Seq: 21})
		exactly(t, engine, archive, log, 9)
		exactly(t, engine, archive, log, 4)
	})

	t.Run("an insert whose acknowledgement was lost is not repeated", func(t *testing.T) {
		archive, log := openArchive(t, engine), memlog.New(3)
		head := log.Append(drafts(t, 0, 50)...)
		list := whole(t, log, 3)
		r := events.RangeOf(list)
		if err := archive.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := log.BeginRange(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := archive.Insert(t.Context(), list, r.Token()); err != nil {
			t.Fatal(err)
		}
		sink, _ := run(t, archive, log, make(feed), clickhouse.SinkConfig{})
		archived(t, sink, head)
		exactly(t, engine, archive, log, 3)
		if _, open, err := log.OpenRange(t.Context()); err != nil || open {
			t.Errorf("the range is still open, %v", err)
		}
	})

	t.Run("an open range that never arrived is inserted at the start", func(t *testing.T) {
		archive, log := openArchive(t, engine), memlog.New(3)
		head := log.Append(drafts(t, 0, 50)...)
		if err := log.BeginRange(t.Context(), events.RangeOf(whole(t, log, 3))); err != nil {
			t.Fatal(err)
		}
		sink, _ := run(t, archive, log, make(feed), clickhouse.SinkConfig{})
		archived(t, sink, head)
		exactly(t, engine, archive, log, 3)
	})

	t.Run("an open range that the log does not hold any more is not invented", func(t *testing.T) {
		archive, log := openArchive(t, engine), memlog.New(3)
		log.Append(drafts(t, 0, 5)...)
		other := events.RangeOf(whole(t, log, 3))
		other.Hash = sha256.Sum256([]byte("other events"))
		if err := log.BeginRange(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		sink, _ := run(t, archive, log, make(feed), clickhouse.SinkConfig{})
		waitFor(t, "complaint", func() bool { return strings.Contains(sink.Health().Detail, "not those of the range") })
	})
}

func TestReconcile(t *testing.T) {
	engine := startEngine(t)
	// fill archives 10 ranges of 20 events and ends the sink.
	fill := func(t *testing.T) (*clickhouse.Archive, *memlog.Log) {
		t.Helper()
		archive, log, source := openArchive(t, engine), memlog.New(3), make(feed)
		sink, stop := run(t, archive, log, source, clickhouse.SinkConfig{Count: 20})
		head := log.Append(drafts(t, 0, 200)...)
		source <- whole(t, log, 3)
		archived(t, sink, head)
		stop()
		return archive, log
	}
	tests := []struct {
		name     string
		damage   string // statement on the archive's table
		reopened uint64
	}{
		{name: "nothing is missing", damage: "SELECT 1"},
		{name: "one row is missing", damage: "ALTER TABLE {table} DELETE WHERE seq = 57 SETTINGS mutations_sync = 2", reopened: 1},
		{name: "ranges are missing", damage: "ALTER TABLE {table} DELETE WHERE seq BETWEEN 30 AND 70 SETTINGS mutations_sync = 2", reopened: 3},
		{name: "everything is missing", damage: "TRUNCATE TABLE {table}", reopened: 10},
		{name: "the table is missing", damage: "DROP TABLE {table}", reopened: 10},
		{name: "a row was changed", damage: "ALTER TABLE {table} UPDATE body = '{}' WHERE seq = 57 SETTINGS mutations_sync = 2", reopened: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			archive, log := fill(t)
			if err := archive.Exec(t.Context(), test.damage); err != nil {
				t.Fatal(err)
			}
			source := make(feed)
			sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{})
			waitFor(t, "start", func() bool { return sink.Health().Status == events.StatusOK })
			got, err := archive.Events(t.Context(), 3, 1, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if want := whole(t, log, 3); !slices.EqualFunc(want, got, sameEvent) {
				t.Error(cmp.Diff(want, got))
			}
			if n := sink.Counts().Reopened; n != test.reopened {
				t.Errorf("%d ranges were opened again, want %d", n, test.reopened)
			}
			if _, open, err := log.OpenRange(t.Context()); err != nil || open {
				t.Errorf("a range is still open, %v", err)
			}
		})
	}
}

func TestDeadLetters(t *testing.T) {
	engine := startEngine(t)
	archive, log, source := openArchive(t, engine), memlog.New(3), make(feed)
	list := drafts(t, 0, 100)
	for _, i := range []int{13, 14, 77} {
		list[i].Body = []byte("this is no JSON")
	}
	head := log.Append(list...)
	sink, stop := run(t, archive, log, source, clickhouse.SinkConfig{})
	source <- whole(t, log, 3)
	archived(t, sink, head)
	dead := log.DeadLetters()
	for _, seq := range []uint64{14, 15, 78} {
		reason := dead[events.Position{Epoch: 3, Seq: seq}]
		if !strings.Contains(reason, "body_is_json") {
			t.Errorf("event %d: reason %q", seq, reason)
		}
	}
	if len(dead) != 3 || sink.Counts().Dead != 3 {
		t.Errorf("%d dead letters, %d counted, want 3", len(dead), sink.Counts().Dead)
	}
	if n, err := archive.Count(t.Context(), 3, 1, 100); err != nil || n != 97 {
		t.Errorf("%d events of 97 are archived, %v", n, err)
	}
	if health := sink.Health(); health.Status != events.StatusDegraded || !strings.Contains(health.Detail, "refused 3") {
		t.Errorf("got %+v", health)
	}
	t.Run("the next start tries them again", func(t *testing.T) {
		stop()
		sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{})
		waitFor(t, "second attempt", func() bool { return sink.Counts().Dead == 3 && sink.Counts().Reopened == 1 })
		waitFor(t, "confirmation", func() bool { _, open, err := log.OpenRange(t.Context()); return err == nil && !open })
		rows, err := archive.Rows(t.Context(), 3)
		if err != nil || rows != 97 {
			t.Errorf("%d rows for 97 events, %v", rows, err)
		}
	})
}

// The child is killed again and again while the sink inserts; every event must
// be there in one row.
func TestKilledWhileInserting(t *testing.T) {
	engine := startEngine(t)
	archive, log, source := openArchive(t, engine), memlog.New(3), make(feed)
	sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{Count: 200})
	ctx, cancel := context.WithCancel(t.Context())
	var fed sync.WaitGroup
	fed.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			before, _ := log.Head(ctx) // in memory, never fails
			head := log.Append(drafts(t, i*50, 50)...)
			batch, _ := log.EventsBetween(ctx, 3, before.Seq+1, head.Seq)
			select {
			case source <- batch:
			case <-ctx.Done():
			}
		}
	})
	for range 5 {
		inserts := sink.Counts().Inserts
		waitFor(t, "inserts", func() bool { return sink.Counts().Inserts > inserts+5 })
		pid := engine.Pid()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		waitFor(t, "a new child", func() bool { return engine.Err() == nil && engine.Pid() != pid && engine.Pid() != 0 })
	}
	cancel()
	fed.Wait()
	head := log.Append(drafts(t, 1e6, 1)...)
	source <- whole(t, log, 3)[head.Seq-1:]
	archived(t, sink, head)
	if dead := log.DeadLetters(); len(dead) > 0 {
		t.Errorf("dead letters: %v", dead)
	}
	exactly(t, engine, archive, log, 3)
	if sink.Counts().Retries == 0 {
		t.Error("no insert was ever interrupted: the test proves nothing")
	}
}

func TestArchiveThatComesLate(t *testing.T) {
	log, source := memlog.New(3), make(feed)
	archive, err := clickhouse.Open(t.Context(), clickhouse.Config{DSN: "http://127.0.0.1:1/sallyport"})
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	sink, _ := run(t, archive, log, source, clickhouse.SinkConfig{})
	waitFor(t, "complaint", func() bool { return strings.Contains(sink.Health().Detail, "connection refused") })
	if health := sink.Health(); health.Status != events.StatusDegraded {
		t.Errorf("got %+v", health)
	}
}
