package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/engine/backtest"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// How much one replay decides again.
const (
	defaultReplayed = 10_000
	maxReplayed     = 1_000_000
	defaultPeriod   = 7 * 24 * time.Hour
	// maxReplayBytes bounds the metrics of each set in memory, beside those of the
	// server itself. Beyond it they are unknown, and the report says so.
	maxReplayBytes = 512 << 20
)

// historyStore is the log that decisions are replayed from, with logStore's Head.
type historyStore interface {
	// EventsAfter returns the events that follow a position, in order, at most
	// limit, all of one epoch.
	EventsAfter(ctx context.Context, after events.Position, limit int) ([]events.Event, error)
	// PositionBefore is a position behind which no event is older than a time.
	PositionBefore(ctx context.Context, at time.Time) (events.Position, error)
}

// period says which decisions to replay: the first ones in a time.
type period struct {
	From   time.Time `json:"from"`   // a week before To when left out
	To     time.Time `json:"to"`     // now when left out
	Action string    `json:"action"` // only these, when given
	Limit  int       `json:"limit"`
}

// periodOf reads a period from the query.
func (k *call) periodOf() (period, error) {
	p := period{Action: k.QueryParam("action")}
	for field, target := range map[string]*time.Time{"from": &p.From, "to": &p.To} {
		if text := k.QueryParam(field); text != "" {
			at, err := parseDate(text)
			if err != nil {
				return p, invalidField(field, "must be a time such as 2026-11-01T00:00:00Z.")
			}
			*target = at
		}
	}
	if text := k.QueryParam("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, invalidField("limit", fmt.Sprintf("must be a number from 1 to %d.", maxReplayed))
		}
		p.Limit = n
	}
	return p, nil
}

// within fills in what was left out.
func (p period) within(now time.Time) (period, error) {
	if p.To.IsZero() {
		p.To = now
	}
	if p.From.IsZero() {
		p.From = p.To.Add(-defaultPeriod)
	}
	if p.Limit == 0 {
		p.Limit = defaultReplayed
	}
	switch {
	case !p.From.Before(p.To):
		return p, invalidField("from", "must be before to.")
	case p.Limit < 1 || p.Limit > maxReplayed:
		return p, invalidField("limit", fmt.Sprintf("must be a number from 1 to %d.", maxReplayed))
	}
	return p, checkText("action", p.Action, maxID)
}

// wireReport is what came of a replay.
type wireReport struct {
	From      wireTime `json:"from"`
	To        wireTime `json:"to"`
	Decisions int      `json:"decisions"` // found in that time, the first of them up to the limit
	Cut       bool     `json:"cut"`       // there were more
	Replayed  int      `json:"replayed"`  // decided again
	Same      int      `json:"same"`
	Different int      `json:"different"`

	// What could not be decided again, or not be compared; see backtest.Report.
	Erased       int            `json:"erased"`
	NotAsked     int            `json:"notAsked"`
	NoSet        int            `json:"noSet"`
	Unplaced     int            `json:"unplaced"`
	Incomparable int            `json:"incomparable"`
	NoLists      int            `json:"noLists"`
	Unready      map[string]int `json:"unready"`

	LetPass  backtest.BeforeNow     `json:"letPass"`  // people who could not be challenged and got ALLOW
	Outcomes []backtest.Change      `json:"outcomes"` // what the rules said
	States   []backtest.StateChange `json:"states"`   // what people got
	Rules    []backtest.RuleReport  `json:"rules"`
	First    []wireDifference       `json:"first"`
}

// wireDifference is one decision that came out differently.
type wireDifference struct {
	Position string             `json:"position"`
	Time     wireTime           `json:"time"`
	User     events.UserID      `json:"user"`
	Action   string             `json:"action"`
	Key      string             `json:"key"`
	Set      int                `json:"set"` // that decided then
	Before   backtest.Verdict   `json:"before"`
	Now      backtest.Verdict   `json:"now"`
	Metrics  []wireMetricChange `json:"metrics,omitempty"`
	Matches  bool               `json:"matches,omitempty"` // the recorded matches are not those of now
}

// wireMetricChange is a metric that was recorded with another value than it has
// now; a value that is left out was unknown.
type wireMetricChange struct {
	Name   string   `json:"name"`
	Before *float64 `json:"before,omitempty"`
	Now    *float64 `json:"now,omitempty"`
}

func reportOf(r *backtest.Report) wireReport {
	out := wireReport{
		From: wireTime(r.From), To: wireTime(r.To), Decisions: r.Decisions, Cut: r.Cut, Replayed: r.Replayed, Same: r.Same,
		Different: r.Different, Erased: r.Erased, NotAsked: r.NotAsked, NoSet: r.NoSet, Unplaced: r.Unplaced,
		Incomparable: r.Incomparable, NoLists: r.NoLists, Unready: r.Unready,
		LetPass: r.LetPass, States: append([]backtest.StateChange{}, r.States...),
		Outcomes: append([]backtest.Change{}, r.Outcomes...), Rules: append([]backtest.RuleReport{}, r.Rules...),
		First: make([]wireDifference, len(r.First)),
	}
	if out.Unready == nil {
		out.Unready = map[string]int{}
	}
	for i, d := range r.First {
		w := wireDifference{
			Position: d.Position.String(), Time: wireTime(d.Time), User: d.Action.User, Action: d.Action.Code, Key: d.Action.Key,
			Set: d.Set, Before: d.Before, Now: d.Now, Matches: d.Matches,
		}
		for _, m := range d.Metrics {
			w.Metrics = append(w.Metrics, wireMetricChange(m))
		}
		out.First[i] = w
	}
	return out
}

// replay decides again what was decided in a period: with the sets that were in
// force, or with a draft.
func (s *Server) replay(k *call, p period, draft *rules.Set) error {
	p, err := p.within(s.now())
	if err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	report, err := backtest.Replay(ctx, backtest.Config{
		Log: s.config.Store, Sets: s.config.Rules.Set, Draft: draft, From: p.From, To: p.To, Action: p.Action, Limit: p.Limit,
		MaxBytes: maxReplayBytes, EnrolByEmail: s.config.EnrolByEmail,
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{
			Status: http.StatusServiceUnavailable, Code: codeUnavailable, RetryAfter: time.Minute, Cause: err,
			Description: "There is too much to replay in " + MaxCostly.String() + ". Choose a shorter time or a smaller limit.",
		}
	}
	if err != nil {
		return fmt.Errorf("replay decisions: %w", err)
	}
	return k.ok(reportOf(&report))
}

// backtestDefinition decides again with a definition.
func (s *Server) backtestDefinition(k *call, p period, d rules.Definition) error {
	set, err := rules.Compile(rules.Version{Number: s.config.Rules.Current().Number() + 1, Definition: d})
	if err != nil {
		return fmt.Errorf("backtest: %w", err)
	}
	return s.replay(k, p, set)
}

// backtestRules decides again with the definition in the body, or a draft.
func (s *Server) backtestRules(k *call) error {
	p, err := k.periodOf()
	if err != nil {
		return err
	}
	if id := k.QueryParam("draft"); id != "" {
		return s.ofDraft(k, id, func(k *call, d rules.Definition) error { return s.backtestDefinition(k, p, d) })
	}
	definition, err := k.definition()
	if err != nil {
		return err
	}
	return s.backtestDefinition(k, p, definition)
}

// replayDecisions decides again with the sets that were in force.
func (s *Server) replayDecisions(k *call) error {
	p, err := k.periodOf()
	if err != nil {
		return err
	}
	return s.replay(k, p, nil)
}

// rulesBacktest decides again with a definition or a draft, for the console.
func (s *Server) rulesBacktest(k *call) error {
	var request struct {
		period
		Draft      string          `json:"draft"`
		Definition json.RawMessage `json:"definition"`
	}
	if err := k.decodeLarge(&request); err != nil {
		return err
	}
	if request.Draft != "" {
		return s.ofDraft(k, request.Draft, func(k *call, d rules.Definition) error { return s.backtestDefinition(k, request.period, d) })
	}
	if len(request.Definition) == 0 {
		return invalidField("definition", "is missing. Send a definition, or the id of a draft.")
	}
	definition, err := rules.ParseJSON(request.Definition)
	if err != nil {
		return err
	}
	return s.backtestDefinition(k, request.period, definition)
}

// decisionsReplay decides again with the sets that were in force, for the console.
func (s *Server) decisionsReplay(k *call) error {
	var p period
	if err := k.decodeExactly(&p); err != nil {
		return err
	}
	return s.replay(k, p, nil)
}
