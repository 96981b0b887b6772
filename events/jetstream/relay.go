package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/events"
)

// Log is the SQL log, as the relay reads it.
type Log interface {
	// Head is the newest event's position, the zero position of an empty log.
	Head(ctx context.Context) (events.Position, error)
	// EventsAfter returns the events behind a position in the log's order, at
	// most limit; it goes on with the next epoch where one ends. They are shared.
	EventsAfter(ctx context.Context, after events.Position, limit int) ([]events.Event, error)
	// Wait returns once the head is beyond a position.
	Wait(ctx context.Context, after events.Position) error
	// Cursor is how far the stream of that identity has been written, the zero
	// position when it is not known.
	Cursor(ctx context.Context, stream string) (events.Position, error)
	// SaveCursor remembers it.
	SaveCursor(ctx context.Context, stream string, p events.Position) error
}

// RelayConfig tunes a relay. The zero value is good.
type RelayConfig struct {
	// Linger is how long the relay lets events gather once it has caught up, so
	// that one message and one read of the log carry many. 0 means 50 ms.
	Linger time.Duration
	Count  int // events in a message; 0 means 500
	Bytes  int // of a message; 0 means 512 KiB
}

// The relay's pace.
const (
	readEvents  = 2000        // events in one read of the log
	inFlight    = 16          // messages published and not yet acknowledged
	saveEvery   = time.Second // between two writes of the cursor
	firstPause  = 100 * time.Millisecond
	longestWait = 15 * time.Second
)

// Relay writes the log into the stream. At most one runs at a time; a second
// one is held off by the stream, which accepts a message only behind the one
// that its writer has seen last.
type Relay struct {
	stream  *Stream
	log     Log
	config  RelayConfig
	relayed atomic.Pointer[events.Position]
	count   atomic.Uint64
	failure atomic.Pointer[error] // of the last attempt, nil while it goes well
}

// NewRelay makes a relay. Run starts it.
func NewRelay(stream *Stream, log Log, config RelayConfig) *Relay {
	if config.Linger <= 0 {
		config.Linger = 50 * time.Millisecond
	}
	if config.Count <= 0 {
		config.Count = 500
	}
	if config.Bytes <= 0 {
		config.Bytes = 512 << 10
	}
	return &Relay{stream: stream, log: log, config: config}
}

// Run relays until ctx ends. Failures of NATS or of the log are logged and
// tried again, at most 15 s apart; only the end of ctx ends it, with nil.
func (r *Relay) Run(ctx context.Context) error {
	pause := firstPause
	for {
		before := r.count.Load()
		err := r.attempt(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if r.count.Load() > before {
			pause = firstPause
		}
		r.failure.Store(&err)
		r.stream.config.Log.Warn("relaying events to NATS failed and is tried again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, longestWait)
	}
}

// logError is a failure of the log, for which NATS is not to blame.
type logError struct{ error }

func (e logError) Unwrap() error { return e.error }

// attempt relays over one connection until something fails.
func (r *Relay) attempt(ctx context.Context) error {
	session, err := r.stream.attach(ctx)
	if err != nil {
		return err
	}
	run := &run{Relay: r, session: session}
	if err = run.resume(ctx); err == nil {
		err = run.relay(ctx)
	}
	var ours logError
	if ctx.Err() == nil && !errors.As(err, &ours) {
		r.stream.drop(session, err)
	}
	return errors.Join(err, run.save(context.WithoutCancel(ctx)))
}

// run is the relay over one connection.
type run struct {
	*Relay
	session *session
	read    events.Position // up to here events are read from the log
	acked   events.Position // up to here they are in the stream
	saved   events.Position // up to here the log knows it
	savedAt time.Time
	last    uint64 // stream sequence of the newest message, if all in flight arrive
	flight  []flying
}

// flying is a message without its acknowledgement.
type flying struct {
	ack    jetstream.PubAckFuture
	to     events.Position
	events int
}

// resume finds where to go on. The stream itself knows best; the cursor counts
// when the stream's messages have aged away. A stream without either, or with
// another identity, gets the whole log again.
func (r *run) resume(ctx context.Context) error {
	info, err := r.session.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask for the stream's state: %w", err)
	}
	r.last = info.State.LastSeq
	cursor, err := r.log.Cursor(ctx, r.session.identity)
	if err != nil {
		return logError{fmt.Errorf("read the relay's cursor: %w", err)}
	}
	at := cursor
	if info.State.Msgs > 0 {
		switch head, err := r.session.head(ctx); {
		case errors.Is(err, errMessage): // damaged; the cursor is as far as we know
		case err != nil:
			return err
		default:
			at = head
		}
	} else if info.State.LastSeq == 0 {
		at = events.Position{} // never written, or written anew
	}
	if _, err := r.log.EventsAfter(ctx, at, 1); err != nil && at != cursor {
		// The stream ends in an epoch that this log does not know: another log
		// wrote it. What this log has written is what its cursor says.
		r.stream.config.Log.Warn("the stream ends with events of another log", "at", at, "error", err)
		at = cursor
	}
	logHead, err := r.log.Head(ctx)
	if err != nil {
		return logError{fmt.Errorf("read the log's head: %w", err)}
	}
	if at.Epoch == logHead.Epoch && at.Seq > logHead.Seq {
		return logError{fmt.Errorf("the stream holds %s and the log ends at %s: the log has lost events", at, logHead)}
	}
	r.read, r.acked, r.saved = at, at, cursor
	r.relayed.Store(&at)
	return nil
}

func (r *run) relay(ctx context.Context) error {
	limit := min(r.config.Bytes, int(r.session.conn.MaxPayload())-1<<10)
	for {
		list, err := r.log.EventsAfter(ctx, r.read, readEvents)
		if err != nil {
			return logError{fmt.Errorf("read the log: %w", err)}
		}
		full := len(list) == readEvents
		for _, batch := range cut(list, r.config.Count, limit) {
			if len(r.flight) == inFlight {
				if err := r.await(ctx, 1); err != nil {
					return err
				}
			}
			if err := r.publish(batch); err != nil {
				return err
			}
		}
		if full {
			continue
		}
		if err := r.await(ctx, len(r.flight)); err != nil {
			return err
		}
		if err := r.rest(ctx, len(list) == 0); err != nil {
			return err
		}
	}
}

// publish sends one message without waiting for its acknowledgement. Each names
// the one before it, so that none can overtake or follow a lost one.
func (r *run) publish(batch []events.Event) error {
	last := batch[len(batch)-1].Position
	ack, err := r.session.js.PublishAsync(subjectOf(r.stream.config.Name)+last.Epoch.String(), encode(batch),
		jetstream.WithMsgID(messageID(batch)), jetstream.WithExpectStream(r.stream.config.Name),
		jetstream.WithExpectLastSequence(r.last), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("publish events up to %s: %w", last, err)
	}
	r.last++
	r.read = last
	r.flight = append(r.flight, flying{ack: ack, to: last, events: len(batch)})
	return nil
}

// await waits for the acknowledgements of the n oldest messages in flight.
func (r *run) await(ctx context.Context, n int) error {
	for _, f := range r.flight[:n] {
		select {
		case <-f.ack.Ok():
		case err := <-f.ack.Err():
			return fmt.Errorf("publish events up to %s: %w", f.to, err)
		case <-ctx.Done():
			return ctx.Err()
		}
		r.acked = f.to
		r.relayed.Store(&f.to)
		r.count.Add(uint64(f.events))
		r.failure.Store(nil)
	}
	r.flight = append(r.flight[:0], r.flight[n:]...)
	if time.Since(r.savedAt) < saveEvery {
		return nil
	}
	return r.save(ctx)
}

// rest waits: for more events to gather while there are some, else for the next
// one.
func (r *run) rest(ctx context.Context, idle bool) error {
	if !idle {
		select {
		case <-time.After(r.config.Linger):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.failure.Store(nil) // nothing is left to relay
	for {
		wait, cancel := context.WithTimeout(ctx, saveEvery)
		err := r.log.Wait(wait, r.read)
		late := wait.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			return nil
		case late: // quiet: a good time to write the cursor
			if err := r.save(ctx); err != nil {
				return err
			}
		default:
			return logError{fmt.Errorf("wait for the log: %w", err)}
		}
		if r.session.conn.IsClosed() {
			return errors.New("the connection to NATS is closed")
		}
		if r.session.server != nil && !r.session.server.JetStreamEnabled() {
			return errors.New("the embedded nats-server has given up its storage")
		}
	}
}

// save writes the cursor when it has moved.
func (r *run) save(ctx context.Context) error {
	if r.acked == r.saved {
		return nil
	}
	if err := r.log.SaveCursor(ctx, r.session.identity, r.acked); err != nil {
		return logError{fmt.Errorf("write the relay's cursor: %w", err)}
	}
	r.saved, r.savedAt = r.acked, time.Now()
	return nil
}

// Relayed is the position of the newest event that the stream has taken, as far
// as this relay knows; the zero position before it has begun.
func (r *Relay) Relayed() events.Position {
	if p := r.relayed.Load(); p != nil {
		return *p
	}
	return events.Position{}
}

// Health is that of the stream, or degraded with the reason for which relaying
// fails.
func (r *Relay) Health() events.Health {
	health := r.stream.Health()
	if failure := r.failure.Load(); failure != nil && health.Status == events.StatusOK {
		health = events.Health{
			Status: events.StatusDegraded,
			Detail: fmt.Sprintf("Events are not relayed (%v); they wait in the log.", *failure),
		}
	}
	return health
}

// Count is the number of events that this relay has published.
func (r *Relay) Count() uint64 { return r.count.Load() }

// Lag is the number of events in the log that the stream does not have. After a
// change of epoch it counts those of the new epoch alone.
func (r *Relay) Lag(ctx context.Context) (uint64, error) {
	head, err := r.log.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the log's head: %w", err)
	}
	at := r.Relayed()
	if at.Epoch != head.Epoch {
		return head.Seq, nil
	}
	return head.Seq - min(at.Seq, head.Seq), nil
}
