package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Log is the SQL log and its table of ranges, as the sink uses them.
type Log interface {
	// Head is the newest event's position.
	Head(ctx context.Context) (events.Position, error)
	// EventsAfter returns the events behind a position in the log's order, at
	// most limit; it goes on with the next epoch where one ends. They are shared.
	EventsAfter(ctx context.Context, after events.Position, limit int) ([]events.Event, error)
	// EventsBetween returns the events of an epoch, both ends inclusive, that the
	// log still has.
	EventsBetween(ctx context.Context, epoch events.Epoch, from, to uint64) ([]events.Event, error)
	// OpenRange is the range that was begun and not confirmed, if there is one.
	OpenRange(ctx context.Context) (events.Range, bool, error)
	// LastRange is the newest range, open or confirmed.
	LastRange(ctx context.Context) (events.Range, bool, error)
	// Ranges are all ranges of an epoch in order.
	Ranges(ctx context.Context, epoch events.Epoch) ([]events.Range, error)
	BeginRange(ctx context.Context, r events.Range) error
	ConfirmRange(ctx context.Context, r events.Range) error
	// ReopenRange makes a confirmed range an open one.
	ReopenRange(ctx context.Context, r events.Range) error
	// DeadLetter notes an event that the archive refuses. Noting it again is no
	// error.
	DeadLetter(ctx context.Context, p events.Position, reason string) error
}

// Source delivers the events behind a position in batches of neighbours, until
// ctx ends or something fails; jetstream.Stream is one. It may repeat events and
// leave gaps. An event without a body is to be read from the log.
type Source interface {
	Read(ctx context.Context, after events.Position, handle func(batch []events.Event) error) error
}

// SinkConfig tunes a sink. The zero value is good.
type SinkConfig struct {
	Count  int           // events in one insert; 0 means 10,000
	Bytes  int           // of bodies and personal values in one insert; 0 means 4 MiB
	Linger time.Duration // how long an event waits for others; 0 means 500 ms
	Log    *slog.Logger  // default: discarded
}

// The pauses between attempts.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// readAhead is how many batches wait between the source and the sink.
const readAhead = 4

// fillEvents is how many events the sink reads from the log at a time.
const fillEvents = 1000

// Sink archives the log. At most one runs at a time.
type Sink struct {
	archive *Archive
	log     Log
	source  Source
	config  SinkConfig

	// at is the last event taken, pending those not yet archived, refused those
	// that the archive does not take. Only Run's goroutine touches them.
	at      events.Position
	pending []events.Event
	bytes   int
	through map[events.Epoch]uint64 // last seq archived of epochs other than at's
	refused map[events.Position]bool

	archived atomic.Pointer[events.Position]
	counts   counters

	mu      sync.Mutex
	failure error // why the archive is not fed, nil while it is
	since   time.Time
	started bool // what an earlier run left is in order
}

type counters struct{ rows, inserts, retries, dead, missing, reopened atomic.Uint64 }

// Counts are a sink's numbers since its start.
type Counts struct {
	Rows     uint64 // events archived
	Inserts  uint64 // ranges confirmed
	Retries  uint64 // attempts that failed
	Dead     uint64 // events that the archive refused
	Missing  uint64 // events that neither the stream nor the log has any more
	Reopened uint64 // confirmed ranges that the archive had lost
}

// NewSink makes a sink. Run starts it.
func NewSink(archive *Archive, log Log, source Source, config SinkConfig) *Sink {
	if config.Count <= 0 {
		config.Count = 10_000
	}
	if config.Bytes <= 0 {
		config.Bytes = 4 << 20
	}
	if config.Linger <= 0 {
		config.Linger = 500 * time.Millisecond
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Sink{
		archive: archive, log: log, source: source, config: config, through: map[events.Epoch]uint64{},
		refused: map[events.Position]bool{},
		failure: errors.New("it is starting"), since: time.Now(),
	}
}

// Run prepares the table, finishes what an earlier run left open, checks what it
// confirmed, and then archives events as they come, until ctx ends. It tries
// again for ever while the archive is away, and returns nil.
func (s *Sink) Run(ctx context.Context) error {
	start := []func(context.Context) error{s.archive.Prepare, s.finish, s.reconcile}
	for _, step := range start {
		if !s.persist(ctx, func() error { return step(ctx) }) {
			return nil
		}
	}
	s.mu.Lock()
	s.started, s.failure = true, nil
	s.mu.Unlock()
	batches := make(chan []events.Event, readAhead)
	var reader sync.WaitGroup
	defer reader.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reader.Go(func() { s.read(ctx, s.at, batches) })
	var due <-chan time.Time
	for {
		if len(s.pending) == 0 {
			due = nil
		} else if due == nil {
			due = time.After(s.config.Linger)
		}
		select {
		case batch := <-batches:
			if !s.persist(ctx, func() error { return s.take(ctx, batch) }) {
				return nil
			}
		case <-due:
			if !s.flush(ctx) {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// read brings batches from the source, again and again, each time from where it
// was. Running dry is no failure of the archive's: the relay reports NATS.
func (s *Sink) read(ctx context.Context, after events.Position, batches chan<- []events.Event) {
	pause := firstPause
	for {
		err := s.source.Read(ctx, after, func(batch []events.Event) error {
			select {
			case batches <- batch:
				after, pause = batch[len(batch)-1].Position, firstPause
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() != nil {
			return
		}
		s.config.Log.Warn("reading the stream ended and is tried again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// persist repeats step until it succeeds. It returns false when ctx ends first.
func (s *Sink) persist(ctx context.Context, step func() error) bool {
	pause := firstPause
	for {
		err := step()
		if err == nil {
			return ctx.Err() == nil
		}
		if ctx.Err() != nil {
			return false
		}
		s.failed(err)
		s.config.Log.Warn("archiving events failed and is tried again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
		pause = min(2*pause, longestPause)
	}
}

// take adds a batch behind what was taken before: without what is known, and
// with what is missing in between. It may be called again after an error.
func (s *Sink) take(ctx context.Context, batch []events.Event) error {
	batch, err := s.fresh(ctx, batch)
	if err != nil || len(batch) == 0 {
		return err
	}
	if !follows(s.at, batch[0].Position) {
		if err := s.fill(ctx, batch[0].Position); err != nil {
			return err
		}
	}
	for _, e := range batch {
		if e.Body == nil {
			whole, err := s.log.EventsBetween(ctx, e.Epoch, e.Seq, e.Seq)
			if err != nil {
				return fmt.Errorf("read event %s: %w", e.Position, err)
			}
			if len(whole) == 0 {
				s.lost(e.Position, 1)
				continue
			}
			e = whole[0]
		}
		if !s.add(ctx, e) {
			return ctx.Err()
		}
	}
	return nil
}

func follows(a, b events.Position) bool { return a.Epoch == b.Epoch && a.Seq+1 == b.Seq }

// fresh leaves out the events of a batch that were taken before.
func (s *Sink) fresh(ctx context.Context, batch []events.Event) ([]events.Event, error) {
	first := batch[0].Position
	through := s.at.Seq
	if first.Epoch != s.at.Epoch {
		var known bool
		if through, known = s.through[first.Epoch]; !known {
			ranges, err := s.log.Ranges(ctx, first.Epoch)
			if err != nil {
				return nil, fmt.Errorf("read the ranges of epoch %s: %w", first.Epoch, err)
			}
			for _, r := range ranges {
				through = max(through, r.To)
			}
			if len(ranges) == 0 {
				through = 0
			}
			s.through[first.Epoch] = through
		}
	}
	if through < first.Seq {
		return batch, nil
	}
	return batch[min(uint64(len(batch)), through-first.Seq+1):], nil
}

// fill takes from the log what lies between the last event taken and next. What
// the log does not have any more is counted as missing.
func (s *Sink) fill(ctx context.Context, next events.Position) error {
	for {
		list, err := s.log.EventsAfter(ctx, s.at, fillEvents)
		if err != nil {
			return fmt.Errorf("read the log after %s: %w", s.at, err)
		}
		for _, e := range list {
			if e.Epoch == next.Epoch && e.Seq >= next.Seq {
				list = nil
				break
			}
			if !s.add(ctx, e) {
				return ctx.Err()
			}
		}
		if len(list) > 0 {
			continue
		}
		if s.at.Epoch == next.Epoch && s.at.Seq+1 < next.Seq {
			s.lost(events.Position{Epoch: next.Epoch, Seq: s.at.Seq + 1}, next.Seq-s.at.Seq-1)
		}
		return nil
	}
}

// lost counts events that neither the stream nor the log has.
func (s *Sink) lost(from events.Position, n uint64) {
	s.counts.missing.Add(n)
	s.config.Log.Error("events are in neither the stream nor the log and can't be archived", "from", from, "events", n)
}

// add takes one event, archiving what is pending when it is enough or when the
// event does not continue it. It returns false when ctx ends.
func (s *Sink) add(ctx context.Context, e events.Event) bool {
	size := len(e.Body) + len(e.Personal)
	if n := len(s.pending); n > 0 && (n >= s.config.Count || s.bytes+size > s.config.Bytes ||
		!follows(s.pending[n-1].Position, e.Position)) {
		if !s.flush(ctx) {
			return false
		}
	}
	if s.at.Epoch != e.Epoch {
		s.through[s.at.Epoch] = s.at.Seq
	}
	s.pending = append(s.pending, e)
	s.bytes += size
	s.at = e.Position
	return true
}

// flush archives what is pending, however long it takes. It returns false when
// ctx ends first.
func (s *Sink) flush(ctx context.Context) bool {
	if len(s.pending) == 0 {
		return true
	}
	r := events.RangeOf(s.pending)
	done := s.persist(ctx, func() error { return s.begin(ctx, r) }) &&
		s.persist(ctx, func() error { return s.insert(ctx, s.pending, r.Token()) }) &&
		s.persist(ctx, func() error { return s.confirm(ctx, r) })
	if done {
		clear(s.pending) // lets go of the events' memory
		s.pending, s.bytes = s.pending[:0], 0
	}
	return done
}

// begin writes the range before anything of it reaches the archive. It may find
// that an attempt which seemed to fail has done so.
func (s *Sink) begin(ctx context.Context, r events.Range) error {
	open, found, err := s.log.OpenRange(ctx)
	if err != nil {
		return fmt.Errorf("look for an open range: %w", err)
	}
	if found {
		if open != r {
			return fmt.Errorf("range %s is open while %s is to begin", open.Token(), r.Token())
		}
		return nil
	}
	if err := s.log.BeginRange(ctx, r); err != nil {
		return fmt.Errorf("begin range %s: %w", r.Token(), err)
	}
	return nil
}

func (s *Sink) confirm(ctx context.Context, r events.Range) error {
	if err := s.log.ConfirmRange(ctx, r); err != nil {
		return fmt.Errorf("confirm range %s: %w", r.Token(), err)
	}
	s.archived.Store(&events.Position{Epoch: r.Epoch, Seq: r.To})
	s.counts.rows.Add(r.To - r.From + 1)
	s.counts.inserts.Add(1)
	s.well()
	return nil
}

// insert archives a run. When the archive refuses it, the run is halved until
// the rows that it refuses stand alone; they become dead letters. The halves are
// always the same ones, so their tokens are good for every further attempt.
func (s *Sink) insert(ctx context.Context, run []events.Event, token string) error {
	err := s.archive.Insert(ctx, run, token)
	if err == nil {
		return nil
	}
	s.counts.retries.Add(1)
	if !refused(err) {
		return err
	}
	if len(run) == 1 {
		if err := s.log.DeadLetter(ctx, run[0].Position, reasonOf(err)); err != nil {
			return fmt.Errorf("note dead letter %s: %w", run[0].Position, err)
		}
		if !s.refused[run[0].Position] {
			s.refused[run[0].Position] = true
			s.counts.dead.Add(1)
		}
		s.config.Log.Error("the archive refuses an event", "event", run[0].Position, "error", err)
		return nil
	}
	half := len(run) / 2
	if err := s.insert(ctx, run[:half], token+"-l"); err != nil {
		return err
	}
	return s.insert(ctx, run[half:], token+"-r")
}

// reasonOf is an exception's text without most of what it quotes of the row.
func reasonOf(err error) string {
	text := strings.ReplaceAll(err.Error(), "\x00", "")
	return strings.ToValidUTF8(text[:min(len(text), 500)], "")
}

func (s *Sink) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.since = time.Now()
	}
	s.failure = err
}

func (s *Sink) well() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		s.failure = nil
	}
}

// Health is degraded while the archive can't be fed, and once it has refused or
// missed an event.
func (s *Sink) Health() events.Health {
	s.mu.Lock()
	failure, since := s.failure, s.since
	s.mu.Unlock()
	health := events.Health{Status: events.StatusDegraded}
	dead, missing := s.counts.dead.Load(), s.counts.missing.Load()
	switch {
	case failure != nil:
		health.Detail = fmt.Sprintf("Events are not archived since %s (%v); they wait in the log.",
			since.UTC().Format(time.RFC3339), failure)
	case dead > 0:
		health.Detail = fmt.Sprintf("The archive has refused %d events; they are in the table of dead letters.", dead)
	case missing > 0:
		health.Detail = fmt.Sprintf("%d events were in neither the stream nor the log when the archive came back.", missing)
	default:
		health.Status = events.StatusOK
	}
	return health
}

// Archived is the position of the newest event that this sink has archived, or
// found archived at its start.
func (s *Sink) Archived() events.Position {
	if p := s.archived.Load(); p != nil {
		return *p
	}
	return events.Position{}
}

// Lag is the number of events in the log that are not archived. After a change
// of epoch it counts those of the new epoch alone.
func (s *Sink) Lag(ctx context.Context) (uint64, error) {
	head, err := s.log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the log's head: %w", err)
	}
	at := s.Archived()
	if at.Epoch != head.Epoch {
		return head.Seq, nil
	}
	return head.Seq - min(at.Seq, head.Seq), nil
}

// Counts are the numbers since the start.
func (s *Sink) Counts() Counts {
	return Counts{
		Rows: s.counts.rows.Load(), Inserts: s.counts.inserts.Load(), Retries: s.counts.retries.Load(),
		Dead: s.counts.dead.Load(), Missing: s.counts.missing.Load(), Reopened: s.counts.reopened.Load(),
	}
}
