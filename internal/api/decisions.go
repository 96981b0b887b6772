package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// outcomes that a page of decisions can be filtered by.
var outcomes = []string{string(rules.Allow), string(rules.Challenge), string(rules.Review), string(rules.Block)}

// wireDecision is one decision as the console shows it.
type wireDecision struct {
	Position  string             `json:"position"`
	Time      wireTime           `json:"time"`
	User      events.UserID      `json:"user"`
	Action    string             `json:"action"`
	Key       string             `json:"key"`
	Outcome   string             `json:"outcome"`
	State     events.ActionState `json:"state"`
	Reason    string             `json:"reason"`
	Rule      string             `json:"rule,omitempty"`
	RuleName  string             `json:"ruleName,omitempty"`
	Set       int                `json:"set"`
	Enrolled  bool               `json:"enrolled"`
	Country   string             `json:"country,omitempty"`
	IP        string             `json:"ip,omitempty"`
	UserAgent string             `json:"userAgent,omitempty"`
	Micros    int64              `json:"micros"`
	Matches   []rules.Match      `json:"matches"`
}

func decisionOf(d events.Decision) (wireDecision, error) {
	matches, _, err := rules.DecodeMatches(d.Matches)
	if err != nil {
		return wireDecision{}, fmt.Errorf("read decision %s: %w", d.Position, err)
	}
	return wireDecision{
		Position: d.Position.String(), Time: wireTime(d.Time), User: d.User, Action: d.Code, Key: d.Key,
		Outcome: d.Outcome, State: d.State, Reason: d.Reason, Rule: d.Rule, RuleName: d.RuleName, Set: d.Set,
		Enrolled: d.Enrolled, Country: d.Country, IP: d.IP, UserAgent: d.UserAgent, Micros: d.Micros,
		Matches: append([]rules.Match{}, matches...),
	}, nil
}

// decisions is a page of decisions, newest first.
func (s *Server) decisions(k *call) error {
	filter, err := k.decisionFilter()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	page, source, err := read(ctx, s, func(ctx context.Context, r events.Reader) (events.Page[events.Decision], error) {
		return r.Decisions(ctx, filter)
	})
	if err != nil {
		return fmt.Errorf("read decisions: %w", err)
	}
	answer := struct {
		Decisions []wireDecision `json:"decisions"`
		Next      events.Cursor  `json:"next,omitempty"`
		Source    Source         `json:"source"`
	}{make([]wireDecision, len(page.Items)), page.Next, source}
	for i, d := range page.Items {
		if answer.Decisions[i], err = decisionOf(d); err != nil {
			return err
		}
	}
	return k.ok(answer)
}

func (k *call) decisionFilter() (events.Filter, error) {
	filter := events.Filter{
		User: events.UserID(k.QueryParam("user")), Action: k.QueryParam("action"), Outcome: k.QueryParam("outcome"),
		After: events.Cursor(k.QueryParam("cursor")),
	}
	if filter.Outcome != "" && !slices.Contains(outcomes, filter.Outcome) {
		return filter, invalidField("outcome", "must be ALLOW, CHALLENGE, REVIEW or BLOCK.")
	}
	for field, target := range map[string]*time.Time{"from": &filter.From, "to": &filter.To} {
		if text := k.QueryParam(field); text != "" {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return filter, invalidField(field, "must be a time such as 2026-11-01T00:00:00Z.")
			}
			*target = at
		}
	}
	if text := k.QueryParam("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > events.MaxPage {
			return filter, invalidField("limit", fmt.Sprintf("must be a number from 1 to %d.", events.MaxPage))
		}
		filter.Limit = n
	}
	return filter, nil
}

// read asks the archive, and the log when the archive is not to be asked or
// fails: ClickHouse may be gone for a moment before anybody has noticed.
func read[T any](ctx context.Context, s *Server, ask func(context.Context, events.Reader) (T, error)) (T, Source, error) {
	if s.config.Readers != nil {
		if reader, source := s.config.Readers.Reader(ctx); source == FromArchive {
			answer, err := ask(ctx, reader)
			if err == nil || ctx.Err() != nil || errors.Is(err, events.ErrCursor) {
				return answer, FromArchive, err
			}
			s.log.WarnContext(ctx, "the archive cannot be read; the log answers", "error", err)
		}
	}
	answer, err := ask(ctx, s.config.LogReader)
	return answer, FromLog, err
}

// wireStep is one event of an action's story.
type wireStep struct {
	Position string             `json:"position"`
	Time     wireTime           `json:"time"`
	Kind     events.Kind        `json:"kind"`
	Summary  string             `json:"summary"`
	State    events.ActionState `json:"state,omitempty"`
	Reason   string             `json:"reason,omitempty"`
	Data     json.RawMessage    `json:"data,omitempty"`
}

// decision is one decision with its facts and every step since.
func (s *Server) decision(k *call) error {
	id, err := k.queriedAction()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	story, source, err := s.story(ctx, id)
	if err != nil {
		return err
	}
	decision, encoded, err := decided(story)
	if err != nil {
		return err
	}
	facts, err := s.factsOf(k, decision, encoded)
	if err != nil {
		return err
	}
	steps := make([]wireStep, len(story))
	for i, e := range story {
		if steps[i], err = stepOf(e); err != nil {
			return err
		}
	}
	return k.ok(struct {
		Decision wireDecision      `json:"decision"`
		Source   Source            `json:"source"`
		Facts    []rules.FactValue `json:"facts"`
		Steps    []wireStep        `json:"steps"`
	}{decision, source, facts, steps})
}

// decided finds the decision in a story, in its newest state, and its facts as
// they were recorded; nil once they are erased.
func decided(story []events.Event) (wireDecision, []byte, error) {
	for _, e := range story {
		if e.Kind != events.KindActionTracked {
			continue
		}
		record, err := e.Decode()
		if err != nil {
			return wireDecision{}, nil, err
		}
		personal, err := e.PersonalValues()
		if err != nil {
			return wireDecision{}, nil, err
		}
		tracked := record.(*events.ActionTracked) // what Decode makes of this kind
		decision, err := decisionOf(events.Decision{
			Position: e.Position, ActionID: tracked.ActionID, Time: e.Time, Outcome: tracked.Outcome, State: newestState(story),
			Reason: tracked.Reason, Rule: tracked.Rule, RuleName: tracked.RuleName, Set: tracked.Set, Matches: tracked.Matches,
			Enrolled: tracked.Enrolled, Country: tracked.Country, IP: personal[events.PersonalIP],
			UserAgent: personal[events.PersonalUserAgent], Micros: tracked.Micros,
		})
		return decision, []byte(personal[events.PersonalFacts]), err
	}
	return wireDecision{}, nil, notFound("There is no decision about this user, action and key, or it is older than what is kept.")
}

// factsOf shows a decision's facts by the declarations of the set that decided,
// or of the one in force when that set is not there.
func (s *Server) factsOf(k *call, d wireDecision, encoded []byte) ([]rules.FactValue, error) {
	version, err := s.version(k, d.Set)
	var gone *Error
	if errors.As(err, &gone) && gone.Code == codeNotFound {
		version, err = s.config.Rules.Current().Version(), nil
	}
	if err != nil {
		return nil, err
	}
	facts, err := rules.ListFacts(encoded, &version.Definition)
	if err != nil {
		return nil, fmt.Errorf("read facts of %s: %w", d.Position, err)
	}
	return append([]rules.FactValue{}, facts...), nil
}

func newestState(story []events.Event) events.ActionState {
	for _, e := range slices.Backward(story) {
		if e.State != "" {
			return e.State
		}
	}
	return ""
}
