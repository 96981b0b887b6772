package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// maxExplained is how many rules one explanation covers: each condition is
// evaluated again, part by part, which takes 0.3 ms or so.
const maxExplained = 500

// wireExplained tells how each rule saw a decision's facts. It is computed from
// the recorded facts and the set that decided, when it is asked for.
type wireExplained struct {
	Decision wireDecision        `json:"decision"`
	Source   Source              `json:"source"`
	Default  rules.Outcome       `json:"default"` // what decides when no rule does
	Erased   bool                `json:"erased"`  // the facts are gone, with the person
	Rules    []rules.Explanation `json:"rules"`   // in the order in which they are asked; those that were asked for, or the first maxExplained and those that matched
	Count    int                 `json:"count"`   // of the action's rules
}

// explain answers why a decision came out as it did.
func (s *Server) explain(k *call, id events.ActionID) error {
	ctx, cancel := k.withinCostly()
	defer cancel()
	story, source, err := s.story(ctx, id)
	if err != nil {
		return err
	}
	decision, facts, err := decided(story)
	if err != nil {
		return err
	}
	set, err := s.config.Rules.Set(ctx, decision.Set)
	if err != nil {
		return missing(fmt.Errorf("explain: %w", err), fmt.Sprintf("The rule set of this decision, number %d, is not there.", decision.Set))
	}
	action := set.Action(id.Code)
	answer := wireExplained{
		Decision: decision, Source: source, Default: action.Default, Erased: len(facts) == 0,
		Rules: []rules.Explanation{}, Count: len(action.Rules),
	}
	if answer.Erased {
		return k.ok(answer)
	}
	seen, err := rules.DecodeFacts(facts)
	if err != nil {
		return fmt.Errorf("explain: read facts of %s: %w", decision.Position, err)
	}
	ids := k.QueryParams()["rule"]
	if len(ids) == 0 {
		ids = explained(action.Rules, decision.Matches)
	}
	if len(ids) > maxExplained+rules.MaxMatches {
		return invalidField("rule", fmt.Sprintf("must name at most %d rules.", maxExplained))
	}
	answer.Rules = append(answer.Rules, set.Explain(id.Code, seen, ids...)...)
	return k.ok(answer)
}

// explained names the rules to explain, or none when all of them are few enough.
func explained(list []rules.Rule, matches []rules.Match) []string {
	if len(list) <= maxExplained {
		return nil
	}
	var ids []string
	for i, r := range list {
		if i < maxExplained || slices.ContainsFunc(matches, func(m rules.Match) bool { return m.ID == r.ID }) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// story reads everything that happened to an action: from the archive, or from
// the log when the archive is not to be asked or too young for it.
func (s *Server) story(ctx context.Context, id events.ActionID) ([]events.Event, Source, error) {
	ask := func(ctx context.Context, r events.Reader) ([]events.Event, error) { return r.Story(ctx, id) }
	story, source, err := read(ctx, s, ask)
	if err == nil && len(story) == 0 && source == FromArchive {
		source = FromLog
		story, err = ask(ctx, s.config.LogReader)
	}
	if err != nil {
		return nil, source, fmt.Errorf("read decision: %w", err)
	}
	return story, source, nil
}

// explainDecision explains the decision that the path names.
func (s *Server) explainDecision(k *call) error {
	id, err := k.action()
	if err != nil {
		return err
	}
	return s.explain(k, id)
}

// decisionExplain explains one decision for the console.
func (s *Server) decisionExplain(k *call) error {
	id, err := k.queriedAction()
	if err != nil {
		return err
	}
	return s.explain(k, id)
}

// queriedAction is the action that the query names.
func (k *call) queriedAction() (events.ActionID, error) {
	id := events.ActionID{User: events.UserID(k.QueryParam("user")), Code: k.QueryParam("action"), Key: k.QueryParam("key")}
	for field, value := range map[string]string{"user": string(id.User), "action": id.Code, "key": id.Key} {
		if err := checkID(field, value); err != nil {
			return id, err
		}
	}
	return id, nil
}

// missing puts a plain sentence to an engine.ErrNotFound and leaves other errors
// as they are.
func missing(err error, sentence string) error {
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	e := notFound(sentence)
	e.Cause = err
	return e
}
