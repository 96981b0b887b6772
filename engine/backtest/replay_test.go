package backtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/backtest"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func compiled(t *testing.T, number int, text string) *rules.Set {
	t.Helper()
	d, err := rules.ParseYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Compile(rules.Version{Number: number, Definition: d})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// only hands out one set.
func only(set *rules.Set) func(context.Context, int) (*rules.Set, error) {
	return func(_ context.Context, number int) (*rules.Set, error) {
		if number != set.Number() {
			return nil, errors.New("there is no such set")
		}
		return set, nil
	}
}

// sheet is a log of events that a test wrote.
type sheet []events.Event

func (s sheet) Head(context.Context) (events.Position, error) { return s[len(s)-1].Position, nil }

func (s sheet) EventsAfter(_ context.Context, after events.Position, limit int) ([]events.Event, error) {
	from := 0
	if after != (events.Position{}) {
		from = 1 + slices.IndexFunc(s, func(e events.Event) bool { return e.Position == after })
	}
	var run []events.Event
	for _, e := range s[from:] {
		if len(run) == limit || len(run) > 0 && e.Epoch != run[0].Epoch {
			break
		}
		run = append(run, e)
	}
	return run, nil
}

func (s sheet) PositionBefore(_ context.Context, at time.Time) (events.Position, error) {
	var p events.Position
	for _, e := range s {
		if !e.Time.Before(at) {
			break
		}
		p = e.Position
	}
	return p, nil
}

const countRules = `
metrics: [{name: actions, function: count, window: 1h}]
actions:
  - {code: pay, rules: [{id: many, name: Many, when: metric.actions >= 3.0, outcome: BLOCK}]}
otherwise: {rules: []}
`

// decided is a recorded decision by countRules that counted n actions up to a
// position.
func decided(t *testing.T, at events.Position, asOf string, n float64) events.Event {
	t.Helper()
	facts := &rules.Facts{
		User: rules.UserFacts{ID: "ann"}, Action: rules.ActionFacts{Code: "pay"}, Now: noon.Add(time.Duration(at.Seq) * time.Second),
		Metrics: map[string]float64{"actions": n},
	}
	encoded, err := rules.EncodeFacts(facts)
	if err != nil {
		t.Fatal(err)
	}
	result := compiled(t, 1, countRules).Evaluate("pay", facts)
	matches, err := rules.EncodeMatches(result.Matches, result.Count)
	if err != nil {
		t.Fatal(err)
	}
	state := map[rules.Outcome]events.ActionState{rules.Allow: events.StateAllow, rules.Block: events.StateBlock}[result.Outcome]
	d, err := events.NewDraft(events.ActionTracked{
		ActionID: events.ActionID{User: "ann", Code: "pay", Key: at.String()}, State: state, Outcome: string(result.Outcome),
		Reason: string(result.Reason), Rule: result.Rule, Set: 1, Matches: matches, AsOf: asOf,
	}, events.Personal{events.PersonalFacts: string(encoded)}, facts.Now)
	if err != nil {
		t.Fatal(err)
	}
	return d.At(at)
}

func TestMetricsCountExactlyUpToTheRecordedPosition(t *testing.T) {
	// Decisions are made side by side: what one counted may end long before another
	// that was recorded earlier, and before the log was recovered.
	at := func(epoch events.Epoch, seq uint64) events.Position { return events.Position{Epoch: epoch, Seq: seq} }
	log := sheet{
		decided(t, at(5, 1), at(5, 0).String(), 0),
		decided(t, at(5, 2), at(5, 1).String(), 1),
		decided(t, at(5, 3), at(5, 2).String(), 2),
		decided(t, at(5, 4), at(5, 1).String(), 1),
		decided(t, at(5, 5), at(5, 4).String(), 4),
		decided(t, at(5, 6), at(5, 0).String(), 0),
		decided(t, at(9, 1), at(5, 6).String(), 6),
		decided(t, at(9, 2), at(5, 5).String(), 5),
		decided(t, at(9, 3), at(9, 2).String(), 8),
	}
	set := compiled(t, 1, countRules)
	report, err := backtest.Replay(t.Context(), backtest.Config{Log: log, Sets: only(set)})
	if err != nil {
		t.Fatal(err)
	}
	if report.Same != len(log) {
		t.Errorf("not all %d decisions are the same:\n%s", len(log), show(report))
	}
	for _, tt := range []struct {
		name string
		asOf string
		n    float64
		want func(backtest.Report) int
	}{
		{"one too few", at(9, 3).String(), 8, func(r backtest.Report) int { return r.Different }},
		{"a position that is not in the log", at(77, 3).String(), 9, func(r backtest.Report) int { return r.Unplaced }},
		{"a position after its own", at(9, 9).String(), 9, func(r backtest.Report) int { return r.Unplaced }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report, err := backtest.Replay(t.Context(), backtest.Config{Log: append(slices.Clone(log), decided(t, at(9, 4), tt.asOf, tt.n)), Sets: only(set)})
			if err != nil {
				t.Fatal(err)
			}
			if report.Same != len(log) || tt.want(report) != 1 {
				t.Errorf("got\n%s", show(report))
			}
		})
	}
}

func TestWhatCannotBeRepeatedIsSaid(t *testing.T) {
	at := func(seq uint64) events.Position { return events.Position{Epoch: 5, Seq: seq} }
	log := sheet{}
	for seq := range uint64(6) {
		log = append(log, decided(t, at(seq+1), at(seq).String(), float64(seq)))
	}
	erased := slices.Clone(log)
	erased[1].Personal, erased[1].Salt = nil, nil
	old := slices.Clone(log[2:]) // the first two are too old to be kept
	set := compiled(t, 1, countRules)
	tests := []struct {
		name string
		log  sheet
		sets func(context.Context, int) (*rules.Set, error)
		want backtest.Report
	}{
		{"a person was erased", erased, only(set), backtest.Report{Decisions: 6, Replayed: 5, Same: 1, Incomparable: 4, Erased: 1}},
		{"the log does not reach back", old, only(set), backtest.Report{Decisions: 4, Replayed: 4, Incomparable: 4}},
		{"the set is gone", log, only(compiled(t, 2, countRules)), backtest.Report{Decisions: 6, NoSet: 6}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := backtest.Replay(t.Context(), backtest.Config{Log: tt.log, Sets: tt.sets})
			if err != nil {
				t.Fatal(err)
			}
			full := got
			got.Outcomes, got.States, got.Rules, got.First, got.Unready = nil, nil, nil, nil, nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, show(full))
			}
		})
	}
}

// failing is a source of signals that is out of order at times.
type failing struct{ err error }

func (f *failing) Facts(context.Context, *engine.Action, *engine.Profile, *rules.Facts) error {
	return f.err
}

const liveRules = `
fields: [{name: amount, type: number}]
actions:
  - code: pay
    unenrolled: block
    rules:
      - {id: large, name: Large, when: custom.amount > 50.0, outcome: CHALLENGE}
otherwise: {rules: []}
`

const draftRules = `
fields: [{name: amount, type: number}]
metrics: [{name: spent, function: sum, of: custom.amount, window: 1h, where: "action.outcome == 'ALLOW'"}]
lists: [{name: friends, type: string}]
actions:
  - code: pay
    unenrolled: block
    rules:
      - {id: friend, name: Friend, when: user.id in list.friends, outcome: ALLOW}
      - {id: spent, name: Spent, when: metric.spent >= 60.0, outcome: REVIEW}
      - {id: large, name: Large, when: custom.amount > 80.0, outcome: CHALLENGE}
otherwise: {rules: []}
`

func TestADraftIsTriedOnWhatHappened(t *testing.T) {
	recorder := memory.New()
	set, draft := compiled(t, 1, liveRules), compiled(t, 2, draftRules)
	source, now := &failing{}, noon
	e, err := engine.New(engine.Config{
		Recorder: recorder, Rules: func() *rules.Set { return set }, Signals: []engine.Signals{source}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	recorder.Enrol("bob", events.MethodPasskey, now)
	steps := []struct {
		user   events.UserID
		amount float64
		broken bool
	}{
		{user: "ann", amount: 30},
		{user: "ann", amount: 40},
		{user: "ann", amount: 10},               // spent 70 before: would be reviewed
		{user: "ann", amount: 60},               // blocked: nothing to challenge with; would be reviewed
		{user: "bob", amount: 60},               // challenged; would be allowed
		{user: "bob", amount: 90},               // challenged, and would be again
		{user: "bob", amount: 20, broken: true}, // nobody asked the rules
	}
	for i, s := range steps {
		now = now.Add(time.Minute)
		source.err = nil
		if s.broken {
			source.err = errors.New("out of order")
		}
		if _, err := e.Track(t.Context(), engine.Action{
			ActionID: events.ActionID{User: s.user, Code: "pay", Key: fmt.Sprint(i)}, Custom: map[string]any{"amount": s.amount},
		}); err != nil {
			t.Fatal(err)
		}
	}
	proof, err := backtest.Replay(t.Context(), backtest.Config{Log: recorder, Sets: only(set)})
	if err != nil {
		t.Fatal(err)
	}
	if proof.Same != 6 || proof.NotAsked != 1 || proof.Replayed != 6 {
		t.Errorf("with its own set:\n%s", show(proof))
	}
	got, err := backtest.Replay(t.Context(), backtest.Config{Log: recorder, Draft: draft})
	if err != nil {
		t.Fatal(err)
	}
	first := got.First
	got.First = nil
	want := backtest.Report{
		Decisions: 7, Replayed: 6, Same: 3, Different: 3, NotAsked: 1, NoLists: 6, Unready: map[string]int{},
		Outcomes: []backtest.Change{
			{From: rules.Allow, To: rules.Allow, Count: 2},
			{From: rules.Allow, To: rules.Review, Count: 1},
			{From: rules.Challenge, To: rules.Allow, Count: 1},
			{From: rules.Challenge, To: rules.Challenge, Count: 1},
			{From: rules.Challenge, To: rules.Review, Count: 1},
		},
		States: []backtest.StateChange{
			{From: events.StateAllow, To: events.StateAllow, Count: 2},
			{From: events.StateAllow, To: events.StateReviewRequired, Count: 1},
			{From: events.StateBlock, To: events.StateReviewRequired, Count: 1},
			{From: events.StateChallengeRequired, To: events.StateAllow, Count: 1},
			{From: events.StateChallengeRequired, To: events.StateChallengeRequired, Count: 1},
		},
		Rules: []backtest.RuleReport{
			{ID: "large", Name: "Large", Before: 3, Now: 1, Decided: 1},
			{ID: "spent", Name: "Spent", Now: 2, Decided: 2},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(first) != 3 {
		t.Fatalf("the decisions that differ: %+v", first)
	}
	wantFirst := backtest.Difference{
		Position: first[1].Position, Time: noon.Add(4 * time.Minute), Action: events.ActionID{User: "ann", Code: "pay", Key: "3"}, Set: 1,
		Before: backtest.Verdict{Outcome: rules.Challenge, State: events.StateBlock, Reason: engine.ByEnrolmentPolicy, Rule: "large"},
		Now:    backtest.Verdict{Outcome: rules.Review, State: events.StateReviewRequired, Reason: rules.ByRule, Rule: "spent"},
	}
	if diff := cmp.Diff(wantFirst, first[1]); diff != "" {
		t.Errorf("the second decision that differs (-want +got):\n%s", diff)
	}
	if head, _ := recorder.Head(t.Context()); head.Seq != 7 {
		t.Errorf("the replay has written to the log: %v", head)
	}
}

// TestWhatPeopleGot tries a draft that asks everyone for a challenge, by a value
// that is missing, and lets those pass who have nothing to prove themselves with.
func TestWhatPeopleGot(t *testing.T) {
	const asking = `
fields: [{name: amount, type: number}, {name: other, type: number}]
actions:
  - code: pay
    unenrolled: POLICY
    rules:
      - {id: missing, name: Missing, when: custom.other > 1.0, outcome: CHALLENGE, onUnknown: match}
otherwise: {rules: []}
`
	recorder := memory.New()
	set := compiled(t, 1, strings.Replace(asking, "POLICY", "allow", 1))
	e, err := engine.New(engine.Config{Recorder: recorder, Rules: func() *rules.Set { return set }, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	recorder.Enrol("bob", events.MethodPasskey, noon)
	for i, user := range []events.UserID{"ann", "ann", "bob"} {
		if _, err := e.Track(t.Context(), engine.Action{ActionID: events.ActionID{User: user, Code: "pay", Key: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := backtest.Replay(t.Context(), backtest.Config{Log: recorder, Draft: compiled(t, 2, strings.Replace(asking, "POLICY", "block", 1))})
	if err != nil {
		t.Fatal(err)
	}
	got.First = nil
	want := backtest.Report{
		Decisions: 3, Replayed: 3, Same: 1, Different: 2, Unready: map[string]int{}, LetPass: backtest.BeforeNow{Before: 2},
		Outcomes: []backtest.Change{{From: rules.Challenge, To: rules.Challenge, Count: 3}},
		States: []backtest.StateChange{
			{From: events.StateAllow, To: events.StateBlock, Count: 2},
			{From: events.StateChallengeRequired, To: events.StateChallengeRequired, Count: 1},
		},
		Rules: []backtest.RuleReport{{ID: "missing", Name: "Missing", Before: 3, Now: 3, Decided: 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// reporting is a source that knows people's e-mail addresses.
type reporting struct{}

func (reporting) Facts(_ context.Context, a *engine.Action, _ *engine.Profile, f *rules.Facts) error {
	if a.Email != "" {
		f.User.Email = rules.Known(a.Email)
	}
	return nil
}

func TestEnrollingAndSigningInAreRepeated(t *testing.T) {
	set := compiled(t, 1, `
actions:
  - {code: pay, default: CHALLENGE, unenrolled: enrol, rules: []}
  - {code: sign-in, rules: []}
otherwise: {rules: []}
`)
	recorder := memory.New()
	e, err := engine.New(engine.Config{
		Recorder: recorder, Rules: func() *rules.Set { return set }, Signals: []engine.Signals{reporting{}}, Now: func() time.Time { return noon },
		EnrolByEmail: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []engine.Action{
		{ActionID: events.ActionID{User: "ann", Code: "pay"}, Email: "ann@example.com"}, // enrols
		{ActionID: events.ActionID{User: "joe", Code: "pay"}},                           // cannot
		{ActionID: events.ActionID{User: "ann", Code: "sign-in"}, SignIn: true},
		{ActionID: events.ActionID{User: "joe", Code: "sign-in"}},
	} {
		if _, err := e.Track(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name         string
		enrolByEmail bool
		same         int
	}{
		{"as it was configured", true, 4},
		{"without a way to send codes", false, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := backtest.Replay(t.Context(), backtest.Config{Log: recorder, Sets: only(set), EnrolByEmail: tt.enrolByEmail})
			if err != nil {
				t.Fatal(err)
			}
			if got.Replayed != 4 || got.Same != tt.same {
				t.Errorf("want %d of 4 the same, got\n%s", tt.same, show(got))
			}
		})
	}
}

func TestAReplayNeedsALogAndSets(t *testing.T) {
	if _, err := backtest.Replay(t.Context(), backtest.Config{}); err == nil {
		t.Error("a replay of nothing is no error")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	log := sheet{decided(t, events.Position{Epoch: 5, Seq: 1}, "", 0)}
	_, err := backtest.Replay(ended, backtest.Config{Log: log, Sets: func(ctx context.Context, _ int) (*rules.Set, error) { return nil, ctx.Err() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	// Not only between two reads of the log: a decision may take long.
	inTheMiddle, stop := context.WithCancel(t.Context())
	set := compiled(t, 1, countRules)
	log = append(log, decided(t, events.Position{Epoch: 5, Seq: 2}, "", 0), decided(t, events.Position{Epoch: 5, Seq: 3}, "", 0))
	_, err = backtest.Replay(inTheMiddle, backtest.Config{Log: log, Sets: func(context.Context, int) (*rules.Set, error) {
		stop()
		return set, nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after the first decision: %v", err)
	}
}
