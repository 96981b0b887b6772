package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/clickhouse"
	"github.com/sallyport/sallyport/events/clickhouse/embedded"
	"github.com/sallyport/sallyport/events/jetstream"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/store"
)

// The archive's pace.
const (
	retryArchive = 2 * time.Second // between attempts to reach it while starting
	// freshEnough is how many events the archive may be behind and still answer
	// the console: less than what a busy second brings. Beyond, the log answers.
	freshEnough = 2000
)

// archive is ClickHouse, beside this process or far away, and the sink that
// feeds it. It comes up by itself while the server already decides.
type archive struct {
	log     *slog.Logger
	store   *store.Store
	engine  *embedded.Config // nil for a server of its own
	running atomic.Pointer[embedded.Engine]
	client  *clickhouse.Archive
	sink    *clickhouse.Sink
	ready   atomic.Bool            // it was compared with the log
	failure atomic.Pointer[string] // why it is not ready, nil while it starts
}

// openArchive prepares the archive and fails only for what starting again later
// would not mend.
func openArchive(config Config, log *store.Store, source *jetstream.Stream, logger *slog.Logger) (*archive, error) {
	a := &archive{log: logger, store: log}
	where := clickhouse.Config{Dial: a.dial}
	if config.ClickHouse.Mode == Remote {
		where = clickhouse.Config{DSN: config.ClickHouse.URL.Reveal()}
	} else {
		engine, err := engineConfig(config, logger)
		if err != nil {
			return nil, err
		}
		a.engine = &engine
	}
	var err error
	if a.client, err = clickhouse.Open(context.Background(), where); err != nil {
		return nil, err
	}
	a.sink = clickhouse.NewSink(a.client, log, source, clickhouse.SinkConfig{Log: logger})
	return a, nil
}

// engineConfig finds ClickHouse's library.
func engineConfig(config Config, log *slog.Logger) (embedded.Config, error) {
	library := config.ClickHouseLib
	if library == "" {
		var err error
		if library, err = BesideExecutable("libchdb.so"); err != nil {
			return embedded.Config{}, err
		}
	}
	if _, err := os.Stat(library); err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return embedded.Config{}, &embedded.LibraryError{Path: library, Err: err}
	}
	return embedded.Config{
		Args: []string{engineCommand}, Library: library, Dir: filepath.Join(config.Data, "clickhouse"), Log: log,
	}, nil
}

var errStarting = errors.New("ClickHouse's engine is starting")

func (a *archive) dial(ctx context.Context) (net.Conn, error) {
	if engine := a.running.Load(); engine != nil {
		return engine.Dial(ctx)
	}
	return nil, errStarting
}

// Run starts the engine, compares the log with the archive, and feeds it until
// ctx ends. Only a log that is behind the archive is an error; everything else is
// tried again.
func (a *archive) Run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.start, a.client.Prepare, a.compare} {
		if err := a.persist(ctx, step); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	a.ready.Store(true)
	return a.sink.Run(ctx)
}

// persist repeats a step until it works, ctx ends or the log proves to be behind.
func (a *archive) persist(ctx context.Context, step func(context.Context) error) error {
	for {
		err := step(ctx)
		var behind *HeadError
		switch {
		case errors.As(err, &behind):
			return err
		case err == nil || ctx.Err() != nil:
			return nil
		}
		text := err.Error()
		if a.failure.Swap(&text) == nil {
			a.log.Warn("the archive does not start; events wait in the log", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryArchive):
		}
	}
}

func (a *archive) start(ctx context.Context) error {
	if a.engine == nil {
		return a.client.Ping(ctx)
	}
	engine, err := embedded.Start(ctx, *a.engine)
	if err != nil {
		return err
	}
	a.running.Store(engine)
	return nil
}

// compare also finds an archive of another log: its newest decision is of an
// epoch that this log never had.
func (a *archive) compare(ctx context.Context) error {
	seen, err := a.seen(ctx)
	if err != nil {
		return err
	}
	for _, position := range seen {
		if err := checkHead(ctx, a.store, "the archive", position); err != nil {
			return err
		}
	}
	return nil
}

// seen are the newest position of the log's epoch and that of the newest decision
// of all.
func (a *archive) seen(ctx context.Context) ([]events.Position, error) {
	head, err := a.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	own, err := a.client.Head(ctx, head.Epoch)
	if err != nil {
		return nil, err
	}
	newest, err := a.client.Decisions(ctx, events.Filter{Limit: 1})
	if err != nil {
		return nil, err
	}
	seen := []events.Position{own}
	for _, decision := range newest.Items {
		seen = append(seen, decision.Position)
	}
	return seen, nil
}

// Reader is the archive while it keeps up, else the log.
func (a *archive) Reader(ctx context.Context) (events.Reader, api.Source) {
	if a.ready.Load() && a.sink.Health().Status == events.StatusOK {
		if lag, err := a.sink.Lag(ctx); err == nil && lag <= freshEnough {
			return a.client, api.FromArchive
		}
	}
	return a.store, api.FromLog
}

// part is the archive's state. It is never down: decisions do not need it.
func (a *archive) part(ctx context.Context) api.Part {
	part := api.Part{Name: "archive", State: api.Degraded}
	if lag, err := a.sink.Lag(ctx); err == nil {
		part.Lag = &lag
	}
	if !a.ready.Load() {
		part.Detail = "starting"
		if failure := a.failure.Load(); failure != nil {
			part.Detail = *failure
		}
		return part
	}
	health := a.sink.Health()
	part.State, part.Detail = api.State(cmp.Or(health.Status, events.StatusOK)), health.Detail
	return part
}

// Close ends the connections and the child process.
func (a *archive) Close() error {
	err := a.client.Close()
	if engine := a.running.Load(); engine != nil {
		err = errors.Join(err, engine.Close())
	}
	if err != nil {
		return fmt.Errorf("close the archive: %w", err)
	}
	return nil
}
