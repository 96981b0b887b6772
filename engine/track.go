package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

const (
	// DefaultDeadline is the time that signals and rules may take together.
	DefaultDeadline = 250 * time.Millisecond
	// CommitDeadline is the time that recording may take. The callers' SDKs give
	// up after two seconds.
	CommitDeadline = 1500 * time.Millisecond
	// maxUndecided bounds decisions that are being made or were given up on
	// because a signal source does not come back.
	maxUndecided = 4096
)

// Config is what an engine needs. Recorder and Rules are required.
type Config struct {
	Recorder Recorder
	Signals  []Signals         // asked one after another; a later one sees what an earlier one filled in
	Rules    func() *rules.Set // the set in force, never nil; called once per decision
	Now      func() time.Time  // nil: time.Now
	Deadline time.Duration     // for signals and rules together; 0: DefaultDeadline
	Log      *slog.Logger      // told about failing signals; nil: nothing is logged
}

// Engine decides actions. It is safe for concurrent use.
type Engine struct {
	config    Config
	immediate bool          // all sources are; also when there is none
	undecided chan struct{} // holds one token per decision in the making
}

// New checks the configuration and makes an engine.
func New(config Config) (*Engine, error) {
	var problems []error
	if config.Recorder == nil {
		problems = append(problems, errors.New("a Recorder is missing"))
	}
	if config.Rules == nil {
		problems = append(problems, errors.New("the function Rules is missing"))
	}
	if config.Deadline < 0 {
		problems = append(problems, fmt.Errorf("the Deadline %v is negative", config.Deadline))
	}
	if slices.Contains(config.Signals, nil) {
		problems = append(problems, errors.New("a signal source is nil"))
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("configure engine: %w", errors.Join(problems...))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Deadline == 0 {
		config.Deadline = DefaultDeadline
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{config: config, immediate: true, undecided: make(chan struct{}, maxUndecided)}
	for _, source := range config.Signals {
		if _, ok := source.(Immediate); !ok {
			e.immediate = false
		}
	}
	return e, nil
}

// Track decides an action and records the decision. An action that was decided
// before, by the same user, code and key, gets the recorded decision with its
// current state; nothing is recorded then.
//
// It returns an *InputError for values that cannot be used, and an error that
// wraps ErrUnavailable when the decision could not be kept: then there is none.
// Once it has begun to decide, the end of ctx does not stop it: whether an
// action is allowed never depends on the caller's patience.
func (e *Engine) Track(ctx context.Context, a Action) (Decision, error) {
	if err := check(&a); err != nil {
		return Decision{}, err
	}
	if a.Key == "" {
		a.Key = newKey()
	}
	profile, err := e.config.Recorder.Profile(ctx, a.User, a.DeviceID, "")
	if err != nil {
		return Decision{}, fmt.Errorf("read profile: %w", err)
	}
	recording, err := e.decide(ctx, a, profile)
	if err != nil {
		return Decision{}, err
	}
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), CommitDeadline)
	defer cancel()
	// An action that was decided before loses here and gets the recorded decision.
	// Looking first would cost every new action a read to spare the few repeated
	// ones an evaluation.
	d, err := e.config.Recorder.Record(commit, recording)
	if err == nil {
		return d, nil
	}
	if stored, found, lookup := e.config.Recorder.Recorded(ctx, a.ActionID); lookup == nil && found {
		stored.Repeated = true // what cannot be written now may be there from an earlier call
		return stored, nil
	}
	return Decision{}, fmt.Errorf("record decision: %w", err)
}

// decide makes the recording of an action that was not decided before.
func (e *Engine) decide(ctx context.Context, a Action, profile Profile) (Recording, error) {
	start := e.config.Now()
	set := e.config.Rules()
	if set == nil {
		return Recording{}, fmt.Errorf("decide action: there is no rule set: %w", ErrUnavailable)
	}
	policy := set.Action(a.Code)
	verdict, err := e.evaluate(ctx, set, a, profile, start)
	if err != nil {
		e.config.Log.WarnContext(ctx, "decision failed, the action's failure outcome decides", "action", a.Code, "error", err)
		verdict = evaluation{
			facts:  *baseFacts(&a, start), // what the sources had filled in is theirs until they come back
			Result: rules.Result{Outcome: policy.OnFailure, Reason: rules.ByFailure},
		}
	}
	s := settle(verdict.Result, policy, profile, a.Scope)
	if s.reason == ByManagement {
		verdict.Rule = "" // what it said no longer decides
	}
	now := e.config.Now()
	country, _ := verdict.facts.IP.CountryCode.Get()
	d := Decision{
		ActionID: a.ActionID, Outcome: s.outcome, State: s.state, Reason: s.reason, Rule: verdict.Rule, Set: set.Number(),
		Matches: verdict.Matches, Prompt: rules.FillPrompt(policy.Prompt, a.Code, a.Custom),
		PromptID: fmt.Sprintf("%s@%d", a.Code, set.Number()), Methods: slices.Clone(profile.Methods),
		Generation: profile.Generation,
	}
	event, err := draft(&a, &d, &verdict, profile, country, start, now.Sub(start))
	if err != nil {
		return Recording{}, err
	}
	d.CreatedAt, d.StateChangedAt = event.Time, event.Time // as exact as the log is
	return Recording{
		Action: a, Decision: d, Country: country, Event: event,
		EstablishDevice: a.DeviceID != "" && s.state == events.StateAllow && s.earned(),
	}, nil
}

// draft writes the event of a decision. What belongs to the person stands
// beside the body.
func draft(a *Action, d *Decision, v *evaluation, profile Profile, country string, now time.Time, took time.Duration) (events.Draft, error) {
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
	sent(events.PersonalIP, a.IP)
	sent(events.PersonalUserAgent, a.UserAgent)
	sent(events.PersonalDevice, a.DeviceID)
	sent(events.PersonalEmail, a.Email)
	record := events.ActionTracked{
		ActionID: a.ActionID, State: d.State, Outcome: string(d.Outcome), Reason: string(d.Reason), Rule: d.Rule, Set: d.Set,
		Matches: matches, Enrolled: profile.Enrolled(), Country: country, Shown: d.PromptID, Micros: took.Microseconds(),
	}
	for _, m := range d.Matches {
		if m.ID == d.Rule {
			record.RuleName = m.Name
		}
	}
	event, err := events.NewDraft(record, personal, now)
	if err != nil {
		return events.Draft{}, fmt.Errorf("write decision: %w", err)
	}
	return event, nil
}

// newKey makes a random UUID (RFC 9562, version 4).
func newKey() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// asksToManage tells whether a scope would let the token's holder change who
// can prove to be this person.
func asksToManage(scope string) bool {
	for _, word := range strings.Fields(scope) {
		if word != ScopeRead {
			return true
		}
	}
	return false
}
