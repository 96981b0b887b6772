package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// decision is one decision in the making.
type decision struct {
	set     *rules.Set
	policy  rules.ActionRules
	action  Action
	address string // IP address in canonical form, "" when unknown
	profile Profile
	limit   time.Duration // for signals and rules
	late    error         // why the rules are not even asked, nil when they are
}

// decide makes the recording of an action.
func (e *Engine) decide(ctx context.Context, c *decision) (Recording, error) {
	// The clock is read once the person's turn has come: the windows of metrics end
	// at this time, and what was recorded before must not be after it.
	start := e.config.Now()
	verdict, err := e.evaluate(ctx, c, start)
	if err != nil {
		e.config.Log.WarnContext(ctx, "decision failed, the action's failure outcome decides", "action", c.action.Code, "error", err)
		verdict = evaluation{
			facts:  *baseFacts(c, start), // what the sources had filled in is theirs until they come back
			Result: rules.Result{Outcome: c.policy.OnFailure, Reason: rules.ByFailure},
		}
	}
	s := settle(verdict.Result, c.policy, Circumstances{
		Methods: c.profile.Methods, Scope: c.action.Scope, SignIn: c.action.SignIn,
		CodeByEmail: e.config.EnrolByEmail && (c.action.Email != "" || c.profile.Email != ""),
	})
	if s.overruled() {
		verdict.Rule = ""
	}
	now := e.config.Now()
	a, facts := &c.action, &verdict.facts
	country, _ := facts.IP.CountryCode.Get()
	d := Decision{
		ActionID: a.ActionID, Outcome: s.outcome, State: s.state, Reason: s.reason, Rule: verdict.Rule, Set: c.set.Number(),
		Matches: verdict.Matches, Allowed: s.allowed, UserVerification: string(s.verification), Prompt: rules.FillPrompt(c.policy.Prompt, a.Code, a.Custom),
		PromptID: a.Code + "@" + strconv.Itoa(c.set.Number()), Methods: slices.Clone(c.profile.Methods), Generation: c.profile.Generation,
	}
	additions := e.additions(ctx, c, verdict.Additions, start)
	event, err := draft(c, &d, &verdict, country, additions, start, now.Sub(start))
	if err != nil {
		return Recording{}, err
	}
	if e.config.Metrics != nil && len(c.set.Meters()) > 0 {
		event.Local = occurrence(facts, d.Outcome)
		if preparer, ok := e.config.Metrics.(Preparer); ok {
			preparer.Prepare(&event)
		}
	}
	d.CreatedAt, d.StateChangedAt = event.Time, event.Time // as exact as the log is
	return Recording{
		Action: *a, Decision: d, Address: c.address, Country: country, Place: place(facts, event.Time), Event: event,
		EstablishDevice: s.state == events.StateAllow && s.earned() && (a.DeviceID != "" || c.address != ""),
		Additions:       additions,
	}, nil
}

// additions are the items that live matches add to lists. A value that cannot be
// an item, such as a text with a line break, is left out: whoever sent it must
// not be able to spoil the decision.
func (e *Engine) additions(ctx context.Context, c *decision, wanted []rules.Addition, now time.Time) []ListAddition {
	if len(wanted) == 0 {
		return nil
	}
	var additions []ListAddition
	declared := c.set.Version().Definition.Lists
	for _, w := range wanted {
		i := slices.IndexFunc(declared, func(l rules.List) bool { return l.Name == w.List })
		if i < 0 {
			continue // the set would not have compiled
		}
		value, err := lists.CanonicalAddition(declared[i].Type, w.Value)
		if err != nil {
			e.config.Log.WarnContext(ctx, "a rule could not add to a list: the value "+err.Error(), "rule", w.Rule, "list", w.List)
			continue
		}
		addition := ListAddition{List: w.List, Type: declared[i].Type, Value: value, Rule: w.Rule}
		if w.For > 0 {
			// Up to a whole second, so that the many actions of one attack do not each
			// make the same item last a little longer.
			addition.Until = now.Add(w.For + time.Second - 1).UTC().Truncate(time.Second)
		}
		additions = append(additions, addition)
	}
	return additions
}

// draft writes the event of a decision. What belongs to the person stands
// beside the body.
func draft(c *decision, d *Decision, v *evaluation, country string, additions []ListAddition, now time.Time, took time.Duration) (events.Draft, error) {
	matches, err := rules.EncodeMatches(d.Matches, v.Count)
	if err != nil {
		return events.Draft{}, fmt.Errorf("write decision: %w", err)
	}
	facts, err := rules.EncodeFacts(&v.facts)
	if err != nil {
		return events.Draft{}, fmt.Errorf("write decision: %w", err)
	}
	personal := events.Personal{events.PersonalFacts: string(facts)}
	sent := func(name, value string) {
		if value != "" {
			personal[name] = value
		}
	}
	sent(events.PersonalIP, c.action.IP)
	sent(events.PersonalUserAgent, c.action.UserAgent)
	sent(events.PersonalDevice, c.action.DeviceID)
	sent(events.PersonalEmail, c.action.Email)
	record := events.ActionTracked{
		ActionID: d.ActionID, State: d.State, Outcome: string(d.Outcome), Reason: string(d.Reason), Rule: d.Rule, Set: d.Set,
		Matches: matches, Enrolled: c.profile.Enrolled(), Country: country, Shown: d.PromptID, Allowed: d.Allowed,
		UserVerification: d.UserVerification, SignIn: c.action.SignIn, Lists: v.lists, IPData: v.data, Micros: took.Microseconds(),
	}
	if v.asOf != (events.Position{}) {
		record.AsOf = v.asOf.String()
	}
	for _, m := range d.Matches {
		if m.ID == d.Rule {
			record.RuleName = m.Name
		}
	}
	for _, addition := range additions {
		if !slices.Contains(record.Added, addition.List) {
			record.Added = append(record.Added, addition.List)
		}
	}
	event, err := events.NewDraft(record, personal, now)
	if err != nil {
		return events.Draft{}, fmt.Errorf("write decision: %w", err)
	}
	return event, nil
}

// occurrence is what the metrics count. Whoever called Track may change the map
// of custom values once it has an answer, which can be before the log has the
// event.
func occurrence(facts *rules.Facts, outcome rules.Outcome) *rules.Occurrence {
	copied := *facts
	copied.Custom = maps.Clone(facts.Custom)
	return &rules.Occurrence{Facts: &copied, Outcome: outcome}
}

// place is where the address is, nil when that is not known.
func place(facts *rules.Facts, at time.Time) *Place {
	latitude, known := facts.IP.Latitude.Get()
	longitude, also := facts.IP.Longitude.Get()
	if !known || !also {
		return nil
	}
	return &Place{Latitude: latitude, Longitude: longitude, At: at}
}
