package backtest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// decision is a recorded decision.
type decision struct {
	event      events.Event
	tracked    *events.ActionTracked
	asOf       events.Position   // zero when it read no metric
	occurrence *rules.Occurrence // nil when the facts were erased
	matches    []rules.Match
	count      int
}

func newDecision(e *events.Event) (*decision, error) {
	record, err := e.Decode()
	if err != nil {
		return nil, err
	}
	d := &decision{event: *e, tracked: record.(*events.ActionTracked)}
	if d.tracked.AsOf != "" {
		if d.asOf, err = events.ParsePosition(d.tracked.AsOf); err != nil {
			return nil, fmt.Errorf("read decision %v: %w", e.Position, err)
		}
	}
	if d.matches, d.count, err = rules.DecodeMatches(d.tracked.Matches); err != nil {
		return nil, fmt.Errorf("read decision %v: %w", e.Position, err)
	}
	d.occurrence, err = metrics.OccurrenceOf(e)
	return d, err
}

// asked tells whether the rules were asked: a failure that no rule explains came
// before them.
func (d *decision) asked() bool {
	if rules.Reason(d.tracked.Reason) != rules.ByFailure {
		return true
	}
	return slices.ContainsFunc(d.matches, func(m rules.Match) bool { return m.Decides })
}

// methods are those that the person had, as the facts tell. A person who had some
// and of whom no fact tells which had any that is asked for.
func (d *decision) methods() []events.Method {
	if !d.tracked.Enrolled {
		return nil
	}
	u := &d.occurrence.Facts.User
	var list []events.Method
	for _, m := range []struct {
		has    bool
		method events.Method
	}{
		{u.HasPasskey, events.MethodPasskey},
		{u.HasSecurityKey, events.MethodSecurityKey},
		{u.HasAuthenticatorApp, events.MethodAuthenticatorApp},
		{u.HasEmailOtp, events.MethodEmailOTP},
		{u.HasRecoveryCode, events.MethodRecoveryCode},
	} {
		if m.has {
			list = append(list, m.method)
		}
	}
	if list == nil {
		return []events.Method{
			events.MethodPasskey, events.MethodSecurityKey, events.MethodAuthenticatorApp, events.MethodEmailOTP, events.MethodRecoveryCode,
		}
	}
	return list
}

// scope is what the backend asked for, as far as the decision tells: its effect.
func (d *decision) scope() string {
	if rules.Reason(d.tracked.Reason) == engine.ByManagement {
		return engine.ScopeAdd
	}
	return ""
}

// before is what the decision came to.
func (d *decision) before() Verdict {
	return Verdict{
		Outcome: rules.Outcome(d.tracked.Outcome), State: d.tracked.State, Reason: rules.Reason(d.tracked.Reason), Rule: d.tracked.Rule,
	}
}

// decide repeats a decision, once its metrics are as it saw them.
func (r *replay) decide(ctx context.Context, d *decision) error {
	set, err := r.set(ctx, d.tracked.Set)
	if err != nil {
		return err
	}
	switch {
	case d.occurrence == nil:
		r.report.Erased++
		return nil
	case set == nil:
		r.report.NoSet++
		return nil
	case !d.asked():
		r.report.NotAsked++
		return nil
	}
	code := d.event.Action.Code
	facts := *d.occurrence.Facts // its copy is counted by metrics, so it stays as it is
	recorded := facts.Metrics
	facts.Metrics = nil
	if w := r.windowsOf(set); w != nil {
		w.Read(set, code, &facts)
	}
	difference := Difference{Position: d.event.Position, Time: d.event.Time, Action: d.event.Action, Set: d.tracked.Set, Before: d.before()}
	if r.config.Draft == nil {
		difference.Metrics = r.compare(set, code, recorded, &facts)
		facts.Metrics = recorded
	} else if r.lacksLists(set, code, &facts) {
		r.report.NoLists++
	}
	result := set.Evaluate(code, &facts)
	_, address := facts.User.Email.Get()
	settled := engine.Settle(set, code, result, engine.Circumstances{
		Methods: d.methods(), Scope: d.scope(), SignIn: d.tracked.SignIn, CodeByEmail: r.config.EnrolByEmail && address,
	})
	difference.Now = Verdict{Outcome: settled.Outcome, State: settled.State, Reason: settled.Reason, Rule: settled.Rule}
	difference.Matches = r.config.Draft == nil && (!slices.Equal(d.matches, result.Matches) || d.count != result.Count)
	r.count(d, result, settled.Rule)
	r.judge(difference)
	return nil
}

// letsPass tells whether a person who could not be challenged was let pass.
func (v *Verdict) letsPass() bool {
	return v.Outcome == rules.Challenge && v.State == events.StateAllow
}

// matched tells whether a rule matched. Of one that ended unknown or in error only
// the decision tells: it decides when that counts as a match. One that decides by
// failing is not the decider.
func matched(m *rules.Match, decider string) bool {
	return m.Result == rules.Matched || m.Decides && m.ID == decider
}

// judge files a decision that was repeated.
func (r *replay) judge(d Difference) {
	r.report.Replayed++
	r.changes[[2]rules.Outcome{d.Before.Outcome, d.Now.Outcome}]++
	r.states[[2]events.ActionState{d.Before.State, d.Now.State}]++
	if d.Before.letsPass() {
		r.report.LetPass.Before++
	}
	if d.Now.letsPass() {
		r.report.LetPass.Now++
	}
	sameVerdict := d.Before == d.Now && !d.Matches
	switch {
	case sameVerdict && len(d.Metrics) == 0:
		r.report.Same++
		return
	case sameVerdict && (r.erased || !r.begins.IsZero() && d.Time.Add(-rules.MaxWindow).Before(r.begins)):
		r.report.Incomparable++
	default:
		r.report.Different++
	}
	if len(r.report.First) < MaxDifferences {
		r.report.First = append(r.report.First, d)
	}
}

// compare finds the metrics that were recorded with other values. One that was
// not known in time is no difference: it is counted apart.
func (r *replay) compare(set *rules.Set, code string, recorded map[string]float64, facts *rules.Facts) []MetricChange {
	var changes []MetricChange
	for _, m := range set.MetersOf(code) {
		before, known := recorded[m.Name()]
		now, knownNow := facts.Metrics[m.Name()]
		switch {
		case !known && knownNow:
			r.report.Unready[m.Name()]++
		case known && (!knownNow || math.Float64bits(before) != math.Float64bits(now)):
			change := MetricChange{Name: m.Name(), Before: &before}
			if knownNow {
				change.Now = &now
			}
			changes = append(changes, change)
		}
	}
	return changes
}

// lacksLists tells whether the set tests a list of which the decision recorded
// nothing, although the fact that is looked for is known.
func (r *replay) lacksLists(set *rules.Set, code string, facts *rules.Facts) bool {
	lacks := false
	probe := *facts
	probe.Lists = nil
	set.TestLists(code, &probe, func(string, any) rules.Value[bool] { return rules.Known(true) })
	for _, test := range set.ListTests(code) {
		_, could := probe.Lists[test.Name]
		_, did := facts.Lists[test.Name]
		lacks = lacks || could && !did
	}
	return lacks
}

// count counts the matches of before and now.
func (r *replay) count(d *decision, result rules.Result, decider string) {
	rule := func(m *rules.Match) *RuleReport {
		if r.rules[m.ID] == nil {
			r.rules[m.ID] = &RuleReport{ID: m.ID, Name: m.Name}
		}
		return r.rules[m.ID]
	}
	for i := range d.matches {
		if matched(&d.matches[i], d.tracked.Rule) {
			rule(&d.matches[i]).Before++
		}
	}
	for i := range result.Matches {
		m := &result.Matches[i]
		if matched(m, decider) {
			rule(m).Now++
		}
		if m.ID == decider {
			rule(m).Decided++
		}
	}
}
