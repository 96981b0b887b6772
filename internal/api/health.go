package api

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/events"
)

// State is how well a part works.
type State string

// The states of a part.
const (
	OK       State = State(events.StatusOK)
	Degraded State = State(events.StatusDegraded) // works later or with less; nothing is lost
	Down     State = State(events.StatusDown)
	Off      State = "off" // not configured
)

func (s State) level() float64 {
	switch s {
	case OK:
		return 1
	case Degraded:
		return 0.5
	}
	return 0
}

// LogPart is the name of the one part that decides whether the server is ready:
// without a log that commits there is no decision.
const LogPart = "log"

// Part is one part of the running server.
type Part struct {
	Name   string  `json:"name"` // log, nats, archive, lists, metrics, ipdata
	State  State   `json:"state"`
	Detail string  `json:"detail,omitempty"`
	Lag    *uint64 `json:"lag,omitempty"` // events that the part has not seen yet
}

type wireStatus struct {
	Ready   bool   `json:"ready"`
	Version string `json:"version"`
	Parts   []Part `json:"parts"`
}

// logStore tells how the log is.
type logStore interface {
	// Head is the position of the last event.
	Head(ctx context.Context) (events.Position, error)
	// Ready returns why nothing can be committed, or nil.
	Ready(ctx context.Context) error
}

// parts asks every part how it is.
func (s *Server) parts(ctx context.Context) []Part {
	if s.config.Parts != nil {
		return s.config.Parts(ctx)
	}
	log := Part{Name: LogPart, State: OK}
	if err := s.config.Store.Ready(ctx); err != nil {
		log.State, log.Detail = Down, err.Error()
	}
	return []Part{log}
}

func (s *Server) statusNow(ctx context.Context) wireStatus {
	status := wireStatus{Ready: true, Version: s.config.Version, Parts: s.parts(ctx)}
	for _, part := range status.Parts {
		if part.Name == LogPart && part.State == Down {
			status.Ready = false
		}
	}
	return status
}

// healthz says that the process answers, and nothing else.
func (s *Server) healthz(k *call) error {
	return k.ok(struct {
		Status string `json:"status"`
	}{"ok"})
}

// readyz is 503 only while nothing can be committed. NATS and the archive may
// lag without a decision being lost.
func (s *Server) readyz(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	status := s.statusNow(ctx)
	if !status.Ready {
		return k.answer(http.StatusServiceUnavailable, status)
	}
	return k.ok(status)
}

// prometheus writes the metrics.
func (s *Server) prometheus(k *call) error {
	s.metrics.handler().ServeHTTP(k.Response(), k.Request())
	return nil
}
