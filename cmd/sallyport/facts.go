package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/rules"
)

// sweepListsEvery is the time between two looks for items of lists that have
// expired. They count no more from the moment they expire; sweeping only tidies.
const sweepListsEvery = time.Minute

// openMetrics comes before anything writes, since the windows must be told of
// every event. They are filled during Run, from the snapshot and the log.
func (s *Server) openMetrics(context.Context) (err error) {
	s.metrics, err = metrics.New(metrics.Config{
		Log: s.store, Set: func() *rules.Set { return s.rules.Current() },
		Path: filepath.Join(s.config.Data, "metrics.snapshot"), Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.store.Observe(s.metrics.Committed)
	return nil
}

// metricsWait is how long the first request waits for metrics at most. A snapshot
// is read in less than a second; counting a long log anew goes on beside requests.
const metricsWait = 10 * time.Second

// awaitMetrics returns once the metrics are known, or after metricsWait. Without
// it, the rules that limit somebody would be blind for the first requests of each
// start.
func (s *Server) awaitMetrics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, metricsWait)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for s.metrics.Health(ctx) != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// openLists reads every list. No decision is made before: a list of what is to
// be blocked that is not there yet would let through what is on it.
func (s *Server) openLists(ctx context.Context) error {
	s.lists = lists.NewKeeper(s.store, s.log)
	return s.lists.Refresh(ctx)
}

// sweepLists removes items of lists that have expired.
func (s *Server) sweepLists(ctx context.Context) error {
	tick := time.NewTicker(sweepListsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.store.SweepLists(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("items of lists that have expired were not swept; tried again soon", "error", err)
		}
	}
}

// listsPart is the state of the lists in memory, and whether there is room in
// those that are stored.
func (s *Server) listsPart(ctx context.Context) api.Part {
	health := s.lists.Health()
	if health.Status == events.StatusOK {
		health = s.store.ListHealth(ctx)
	}
	return api.Part{Name: "lists", State: api.State(health.Status), Detail: health.Detail}
}

// metricsPart is the state of the metrics, and how many events they have not
// counted yet.
func (s *Server) metricsPart(ctx context.Context) api.Part {
	part := api.Part{Name: "metrics", State: api.State(events.StatusOK)}
	folded := s.metrics.Stats().Position // first, since the head moves on
	if head, err := s.store.Head(ctx); err == nil && head.Epoch == folded.Epoch {
		lag := head.Seq - min(folded.Seq, head.Seq)
		part.Lag = &lag
	}
	if err := s.metrics.Health(ctx); err != nil {
		part.State = api.Degraded
		part.Detail = sentence(err) + " Decisions are made; metrics that are missing are unknown."
	}
	return part
}

// sentence makes a sentence of an error's text.
func sentence(err error) string {
	text := err.Error()
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
