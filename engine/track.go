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
	Lists    Lists             // nil: every list test is unknown
	Metrics  Metrics           // nil: every metric is unknown
	Now      func() time.Time  // nil: time.Now
	Deadline time.Duration     // for waiting for the person's turn, signals and rules together; 0: DefaultDeadline
	Log      *slog.Logger      // told about failing signals; nil: nothing is logged
	// EnrolByEmail says that the server can send one-time codes by e-mail. While it is
	// false, the policy rules.UnenrolledEnrol blocks.
	EnrolByEmail bool
}

// Engine decides actions. It is safe for concurrent use.
type Engine struct {
	config    Config
	immediate bool          // signals, lists and metrics are Instant; also when there are none
	undecided chan struct{} // holds one token per decision in the making
	turns     *turns
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
	e := &Engine{config: config, immediate: true, undecided: make(chan struct{}, maxUndecided), turns: newTurns()}
	asked := []any{}
	for _, source := range config.Signals {
		asked = append(asked, source)
	}
	if config.Lists != nil {
		asked = append(asked, config.Lists)
	}
	if config.Metrics != nil {
		asked = append(asked, config.Metrics)
	}
	for _, part := range asked {
		if _, ok := part.(Instant); !ok {
			e.immediate = false
		}
	}
	return e, nil
}

// Track decides an action and records the decision. An action that was decided
// before, by the same user, code and key, gets the recorded decision with its
// current state; nothing is recorded then.
//
// Actions of one person whose rules read metrics are decided one after another,
// each once the one before is recorded, so that the second counts the first. An
// action that would wait for longer than the deadline gets its failure outcome.
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
	set := e.config.Rules()
	if set == nil {
		return Decision{}, fmt.Errorf("decide action: there is no rule set: %w", ErrUnavailable)
	}
	c := decision{set: set, policy: set.Action(a.Code), action: a, address: canonicalAddress(a.IP), limit: e.config.Deadline}
	if e.config.Metrics != nil && len(set.MetersOf(a.Code)) > 0 {
		began := time.Now()
		end, err := e.turns.take(ctx, a.User, c.limit)
		switch {
		case err == nil:
			defer end()
			c.limit -= time.Since(began)
		case errors.Is(err, errTurn):
			c.late = err
		default:
			return Decision{}, err
		}
	}
	var err error
	if c.profile, err = e.config.Recorder.Profile(ctx, a.User, a.DeviceID, c.address); err != nil {
		return Decision{}, fmt.Errorf("read profile: %w", err)
	}
	recording, err := e.decide(ctx, &c)
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
		if len(recording.Additions) > 0 && !d.Repeated {
			e.refreshLists(ctx)
		}
		return d, nil
	}
	if stored, found, lookup := e.config.Recorder.Recorded(ctx, a.ActionID); lookup == nil && found {
		stored.Repeated = true // what cannot be written now may be there from an earlier call
		return stored, nil
	}
	return Decision{}, fmt.Errorf("record decision: %w", err)
}

// refreshLists lets the lists read what a decision has just added. The decision
// stands whatever comes of it.
func (e *Engine) refreshLists(ctx context.Context) {
	lists, ok := e.config.Lists.(Refreshing)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.Deadline)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			e.config.Log.WarnContext(ctx, "lists panicked while they were refreshed", "panic", r)
		}
	}()
	if err := lists.Refresh(ctx); err != nil {
		e.config.Log.WarnContext(ctx, "what a rule added to a list is not in force yet; it is looked for again soon", "error", err)
	}
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
