package jetstream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/events"
)

// ErrLocked means that another process runs an embedded server on the folder.
var ErrLocked = errors.New("the NATS folder is in use")

// Config says where the stream is. Either URL or Dir is required.
type Config struct {
	URL        string        // nats://… of a cluster; empty runs a server inside this process
	Dir        string        // folder of the embedded server
	Name       string        // of the stream; default SALLYPORT. Subjects are "<lower case name>.events.<epoch>"
	MaxBytes   int64         // of the stream; the oldest messages go first. 0 means 1 GiB
	MaxAge     time.Duration // of a message; 0 means seven days
	Replicas   int           // of the stream in a cluster; 0 means 1
	SyncAlways bool          // embedded: fsync each message. Default off: a lost tail is relayed again
	Log        *slog.Logger  // default: discarded
}

// metadataID is the stream's metadata field that holds its identity.
const metadataID = "sallyport-id"

// requestTime bounds each request to JetStream.
const requestTime = 5 * time.Second

// Stream is the road. It connects when it is used and connects again after a
// failure; with an embedded server that includes a new start of the server,
// which is what brings a stream back after a full disk.
type Stream struct {
	config Config
	lock   *os.File // of the embedded server's folder

	connecting sync.Mutex // held while a connection is made or ended

	mu      sync.Mutex // for the fields below, never held for long
	current *session   // nil when not connected
	failure error      // why current is nil
	since   time.Time
	closed  bool
}

// session is one connection to one life of the stream.
type session struct {
	server   *server.Server // nil with a cluster
	conn     *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	identity string
}

// Open prepares the road and tries to connect. It fails for a configuration
// that can't work and for a folder in use (ErrLocked); a server that is away or
// broken is not an error here but a matter of Health, since nothing is lost
// meanwhile.
func Open(ctx context.Context, config Config) (*Stream, error) {
	if (config.URL == "") == (config.Dir == "") {
		return nil, errors.New("open the stream: give either the URL of a NATS cluster or a folder for an embedded server")
	}
	if config.Name == "" {
		config.Name = "SALLYPORT"
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = 1 << 30
	}
	if config.MaxAge <= 0 {
		config.MaxAge = 7 * 24 * time.Hour
	}
	config.Replicas = max(config.Replicas, 1)
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stream{config: config}
	if config.URL == "" {
		var err error
		if s.lock, err = lockFolder(config.Dir); err != nil {
			return nil, fmt.Errorf("open the stream: %w", err)
		}
	}
	if _, err := s.attach(ctx); err != nil {
		config.Log.Warn("NATS is not available; events wait in the log", "error", err)
	}
	return s, nil
}

// attach returns the connection, or makes it.
func (s *Stream) attach(ctx context.Context) (*session, error) {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	s.mu.Lock()
	current, closed := s.current, s.closed
	s.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	if current != nil {
		return current, nil
	}
	session, err := connect(ctx, s.config)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed(err)
		return nil, err
	}
	s.current, s.failure = session, nil
	return session, nil
}

var errClosed = errors.New("the stream is closed")

// drop ends a connection on which something failed, so that the next attach
// makes a new one.
func (s *Stream) drop(broken *session, cause error) {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	s.mu.Lock()
	mine := s.current == broken
	if mine {
		s.current = nil
		s.failed(cause)
	}
	s.mu.Unlock()
	if mine {
		broken.close()
	}
}

// failed notes why there is no connection. The caller holds mu.
func (s *Stream) failed(cause error) {
	if s.failure == nil {
		s.since = time.Now()
	}
	s.failure = cause
}

// connect starts the embedded server or dials the cluster, and finds or makes
// the stream.
func connect(ctx context.Context, config Config) (*session, error) {
	session := &session{}
	options := []nats.Option{
		nats.Name("sallyport"), nats.Timeout(requestTime), nats.MaxReconnects(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			config.Log.Warn("nats: connection", "error", err)
		}),
	}
	url := config.URL
	if url == "" {
		var err error
		if session.server, err = startServer(config); err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(session.server))
	}
	if err := session.open(ctx, config, url, options); err != nil {
		session.close()
		return nil, err
	}
	return session, nil
}

func (s *session) open(ctx context.Context, config Config, url string, options []nats.Option) error {
	var err error
	if s.conn, err = nats.Connect(url, options...); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	s.js, err = jetstream.New(s.conn,
		jetstream.WithDefaultTimeout(requestTime),
		jetstream.WithPublishAsyncTimeout(requestTime), // a lost acknowledgement must not wait for ever
	)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	s.stream, err = s.js.Stream(ctx, config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.stream, err = s.js.CreateStream(ctx, streamConfig(config))
	}
	if err != nil {
		return fmt.Errorf("open stream %s: %w", config.Name, err)
	}
	info := s.stream.CachedInfo()
	s.identity = info.Config.Metadata[metadataID]
	if s.identity == "" { // somebody made the stream by hand; its birth tells it apart
		s.identity = fmt.Sprintf("created-%d", info.Created.UnixNano())
	}
	return nil
}

// streamConfig describes a new stream with a new identity. An existing stream is
// left as its owner has set it.
func streamConfig(config Config) jetstream.StreamConfig {
	id := make([]byte, 16)
	rand.Read(id)
	return jetstream.StreamConfig{
		Name:        config.Name,
		Description: "Sallyport's audit events, in batches, as the relay takes them from the log.",
		Subjects:    []string{subjectOf(config.Name) + "*"},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		Storage:     jetstream.FileStorage,
		MaxBytes:    config.MaxBytes,
		MaxAge:      config.MaxAge,
		Replicas:    config.Replicas,
		Metadata:    map[string]string{metadataID: hex.EncodeToString(id)},
	}
}

// subjectOf is the prefix of the stream's subjects; the epoch follows.
func subjectOf(name string) string { return strings.ToLower(name) + ".events." }

// close ends the connection and the embedded server.
func (s *session) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		stopServer(s.server)
	}
}

// head is the position of the newest event in the stream, the zero position
// when the stream holds none.
func (s *session) head(ctx context.Context) (events.Position, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return events.Position{}, fmt.Errorf("ask for the stream's head: %w", err)
	}
	if info.State.Msgs == 0 {
		return events.Position{}, nil
	}
	message, err := s.stream.GetMsg(ctx, info.State.LastSeq)
	if err != nil {
		return events.Position{}, fmt.Errorf("read the stream's head: %w", err)
	}
	batch, err := decode(message.Data)
	if err != nil || len(batch) == 0 {
		return events.Position{}, fmt.Errorf("read the stream's head: %w", errors.Join(errMessage, err))
	}
	return batch[len(batch)-1].Position, nil
}

// Head is the position of the newest event in the stream, the zero position
// when the stream holds none: what the log must not be behind.
func (s *Stream) Head(ctx context.Context) (events.Position, error) {
	session, err := s.attach(ctx)
	if err != nil {
		return events.Position{}, err
	}
	return session.head(ctx)
}

// Health is ok while the stream is connected and degraded while it is not:
// events are safe in the log and travel later.
func (s *Stream) Health() events.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return events.Health{Status: events.StatusDown, Detail: "NATS is closed."}
	case s.failure != nil:
		return events.Health{Status: events.StatusDegraded, Detail: fmt.Sprintf(
			"NATS does not work since %s (%v); events wait in the log.", s.since.UTC().Format(time.RFC3339), s.failure)}
	default:
		return events.Health{Status: events.StatusOK}
	}
}

// Close ends the connection; an embedded server writes its files first.
func (s *Stream) Close() error {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	s.mu.Lock()
	current, closed := s.current, s.closed
	s.current, s.closed = nil, true
	s.mu.Unlock()
	if current != nil {
		current.close()
	}
	if closed || s.lock == nil {
		return nil
	}
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("give the NATS folder back: %w", err)
	}
	return nil
}
