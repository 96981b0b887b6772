package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// ruleSet has an action for each outcome and policy.
const ruleSet = `
fields:
  - {name: amount, type: number}
  - {name: payee, type: string}
  - {name: code, type: string}
actions:
  - code: payment
    prompt: Pay {amount} to {payee}
    rules:
      - {id: blocked, name: Blocked, when: custom.amount > 1000, outcome: BLOCK}
      - {id: reviewed, name: Reviewed, when: custom.amount > 500, outcome: REVIEW}
      - {id: challenged, name: Challenged, when: custom.amount > 100, outcome: CHALLENGE}
      - {id: allowed, name: Allowed, when: custom.amount == 7, outcome: ALLOW}
      - {id: broken, name: Broken, when: int(custom.code) > 0, outcome: REVIEW}
  - {code: review-first, default: CHALLENGE, unenrolled: review, rules: []}
  - {code: block-first, default: CHALLENGE, unenrolled: block, rules: []}
  - {code: enrol-first, default: CHALLENGE, unenrolled: enrol, rules: []}
  - {code: fails-open, default: BLOCK, onFailure: ALLOW, rules: []}
  - {code: fails-review, default: ALLOW, onFailure: REVIEW, unenrolled: allow, rules: []}
otherwise: {rules: []}
`

func compiled(tb testing.TB) func() *rules.Set {
	tb.Helper()
	d, err := rules.ParseYAML([]byte(ruleSet))
	if err != nil {
		tb.Fatal(err)
	}
	set, err := rules.Compile(rules.Version{Number: 7, Definition: d})
	if err != nil {
		tb.Fatal(err)
	}
	return func() *rules.Set { return set }
}

// source is a signal source made of a function.
type source func(context.Context, *engine.Action, *engine.Profile, *rules.Facts) error

func (s source) Facts(ctx context.Context, a *engine.Action, p *engine.Profile, f *rules.Facts) error {
	return s(ctx, a, p, f)
}

var failing = source(func(context.Context, *engine.Action, *engine.Profile, *rules.Facts) error {
	return errors.New("the source is down")
})

var decidedAt = time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)

func newEngine(tb testing.TB, recorder engine.Recorder, sources ...engine.Signals) *engine.Engine {
	tb.Helper()
	e, err := engine.New(engine.Config{
		Recorder: recorder, Signals: sources, Rules: compiled(tb), Now: func() time.Time { return decidedAt }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func openSignals(tb testing.TB) *signals.Source {
	tb.Helper()
	s, err := signals.Open(signals.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func action(code string, custom map[string]any) engine.Action {
	return engine.Action{ActionID: events.ActionID{User: "jane", Code: code, Key: "k"}, DeviceID: "phone", Custom: custom}
}

func track(t *testing.T, e *engine.Engine, a engine.Action) engine.Decision {
	t.Helper()
	d, err := e.Track(t.Context(), a)
	if err != nil {
		t.Fatalf("Track: %v", err)
	}
	return d
}

func TestTrackSettles(t *testing.T) {
	amount := func(v float64) map[string]any { return map[string]any{"amount": v, "code": "1"} }
	tests := []struct {
		name     string
		code     string
		custom   map[string]any
		scope    string
		signIn   bool
		enrolled bool
		source   engine.Signals
		want     string // outcome, state, reason, rule
		device   bool   // the device is known afterwards
	}{
		{name: "default", code: "sign-in", want: "ALLOW ALLOW default", device: true},
		{name: "allowed by a rule", code: "payment", custom: map[string]any{"amount": 7.0, "code": "0"}, want: "ALLOW ALLOW rule allowed", device: true},
		{name: "challenge of an enrolled person", code: "payment", custom: amount(200), enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED rule challenged"},
		{name: "review", code: "payment", custom: amount(600), enrolled: true, want: "REVIEW REVIEW_REQUIRED rule reviewed"},
		{name: "review of a person who is not enrolled", code: "payment", custom: amount(600), want: "REVIEW REVIEW_REQUIRED rule reviewed"},
		{name: "block", code: "payment", custom: amount(2000), enrolled: true, want: "BLOCK BLOCK rule blocked"},
		{name: "block of a person who is not enrolled", code: "payment", custom: amount(2000), want: "BLOCK BLOCK rule blocked"},

		{name: "challenge without an authenticator, allowed by policy", code: "payment", custom: amount(200), want: "CHALLENGE ALLOW enrolment-policy challenged"},
		{name: "challenge without an authenticator, reviewed by policy", code: "review-first", want: "CHALLENGE REVIEW_REQUIRED enrolment-policy"},
		{name: "challenge without an authenticator, blocked by policy", code: "block-first", want: "CHALLENGE BLOCK enrolment-policy"},

		{name: "a rule in error challenges", code: "payment", custom: map[string]any{"amount": 1.0, "code": "x"}, enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED fail-mode"},
		{name: "a rule in error blocks without an authenticator", code: "payment", custom: map[string]any{"amount": 1.0, "code": "x"}, want: "BLOCK BLOCK fail-mode"},
		{name: "a failing source challenges", code: "sign-in", enrolled: true, source: failing, want: "CHALLENGE CHALLENGE_REQUIRED fail-mode"},
		{name: "a failing source blocks without an authenticator", code: "sign-in", source: failing, want: "BLOCK BLOCK fail-mode"},
		{name: "a failing source has the action's own outcome", code: "fails-review", source: failing, want: "REVIEW REVIEW_REQUIRED fail-mode"},
		{name: "a failure may allow by explicit choice, which makes no device known", code: "fails-open", source: failing, want: "ALLOW ALLOW fail-mode"},

		{name: "management of an enrolled person", code: "sign-in", scope: engine.ScopeAdd, enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED management"},
		{name: "management by removal", code: "sign-in", scope: "read:authenticators remove:authenticators", enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED management"},
		{name: "management by update", code: "sign-in", scope: engine.ScopeUpdate, enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED management"},
		{name: "management after an allowing rule", code: "payment", custom: map[string]any{"amount": 7.0, "code": "0"}, scope: engine.ScopeAdd, enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED management"},
		{name: "management after an allowing failure", code: "fails-open", scope: engine.ScopeAdd, enrolled: true, source: failing, want: "CHALLENGE CHALLENGE_REQUIRED management"},
		{name: "management that is blocked stays blocked", code: "payment", custom: amount(2000), scope: engine.ScopeAdd, enrolled: true, want: "BLOCK BLOCK rule blocked"},
		{name: "management of a person without an authenticator", code: "sign-in", scope: engine.ScopeAdd, want: "ALLOW ALLOW default", device: true},
		{name: "signing in after the default", code: "sign-in", signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED sign-in"},
		{name: "signing in of an enrolled person", code: "sign-in", signIn: true, enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED sign-in"},
		{name: "signing in after an allowing rule", code: "payment", custom: map[string]any{"amount": 7.0, "code": "0"}, signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED sign-in"},
		{name: "signing in after a challenging rule", code: "payment", custom: amount(200), signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED rule challenged"},
		{name: "signing in where newcomers are blocked", code: "block-first", signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED default"},
		{name: "signing in where newcomers are reviewed", code: "review-first", signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED default"},
		{name: "signing in where newcomers enrol", code: "enrol-first", signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED default"},
		{name: "signing in that is reviewed", code: "payment", custom: amount(600), signIn: true, want: "REVIEW REVIEW_REQUIRED rule reviewed"},
		{name: "signing in that is blocked", code: "payment", custom: amount(2000), signIn: true, want: "BLOCK BLOCK rule blocked"},
		{name: "signing in after a failure", code: "sign-in", signIn: true, enrolled: true, source: failing, want: "CHALLENGE CHALLENGE_REQUIRED fail-mode"},
		{name: "signing in after a failure without an authenticator", code: "sign-in", signIn: true, source: failing, want: "BLOCK BLOCK fail-mode"},
		{name: "signing in after an allowing failure", code: "fails-open", signIn: true, source: failing, want: "CHALLENGE CHALLENGE_REQUIRED sign-in"},
		{name: "signing in to manage", code: "sign-in", scope: engine.ScopeAdd, signIn: true, enrolled: true, want: "CHALLENGE CHALLENGE_REQUIRED management"},
		{name: "reading is no management", code: "sign-in", scope: engine.ScopeRead, enrolled: true, want: "ALLOW ALLOW default", device: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := memory.New()
			if tt.enrolled {
				recorder.Enrol("jane", events.MethodPasskey, decidedAt.Add(-time.Hour))
			}
			from := tt.source
			if from == nil {
				from = openSignals(t)
			}
			a := action(tt.code, tt.custom)
			a.Scope, a.SignIn = tt.scope, tt.signIn
			d := track(t, newEngine(t, recorder, from), a)
			if got := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", d.Outcome, d.State, d.Reason, d.Rule)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			p, err := recorder.Profile(t.Context(), "jane", "phone", "")
			if err != nil || p.DeviceKnown != tt.device {
				t.Errorf("device known %v, want %v (error %v)", p.DeviceKnown, tt.device, err)
			}
			if d.Enrolled() != tt.enrolled {
				t.Errorf("enrolled %v", d.Enrolled())
			}
		})
	}
}

func TestTrackRecords(t *testing.T) {
	recorder := memory.New()
	recorder.Enrol("jane", events.MethodPasskey, decidedAt.Add(-48*time.Hour))
	a := engine.Action{
		ActionID: events.ActionID{User: "jane", Code: "payment", Key: "order-1"},
		Email:    "Jane@Example.com", DeviceID: "phone", IP: "::ffff:192.0.2.7", UserAgent: "Mozilla/5.0\x00",
		Custom: map[string]any{"amount": 250.0, "payee": "Jo", "code": "1"},
	}
	got := track(t, newEngine(t, recorder, openSignals(t)), a)
	when := decidedAt.Truncate(time.Microsecond)
	want := engine.Decision{
		ActionID: a.ActionID, Outcome: rules.Challenge, State: events.StateChallengeRequired, Reason: rules.ByRule, Rule: "challenged", Set: 7,
		Matches: []rules.Match{
			{ID: "challenged", Name: "Challenged", Outcome: rules.Challenge, Mode: rules.Live, Result: rules.Matched, Decides: true},
			{ID: "broken", Name: "Broken", Outcome: rules.Review, Mode: rules.Live, Result: rules.Matched},
		},
		Prompt: "Pay 250 to Jo", PromptID: "payment@7", Methods: []events.Method{events.MethodPasskey}, CreatedAt: when, StateChangedAt: when,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}

	log := recorder.Events()
	if len(log) != 1 {
		t.Fatalf("%d events", len(log))
	}
	event := log[0]
	record, err := event.Decode()
	if err != nil {
		t.Fatal(err)
	}
	wantRecord := &events.ActionTracked{
		ActionID: a.ActionID, State: want.State, Outcome: "CHALLENGE", Reason: "rule", Rule: "challenged", RuleName: "Challenged", Set: 7,
		Enrolled: true, Shown: "payment@7",
	}
	if diff := cmp.Diff(wantRecord, record, cmpopts.IgnoreFields(events.ActionTracked{}, "Matches")); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if !event.Time.Equal(when) {
		t.Errorf("event at %v, decision at %v", event.Time, when)
	}
	matches, count, err := rules.DecodeMatches(record.(*events.ActionTracked).Matches)
	if err != nil || count != 2 || !cmp.Equal(matches, want.Matches) {
		t.Errorf("matches of the event: %+v, count %d, error %v", matches, count, err)
	}

	personal, err := event.PersonalValues()
	if err != nil {
		t.Fatal(err)
	}
	definition := compiled(t)().Version().Definition
	facts, err := rules.ListFacts([]byte(personal[events.PersonalFacts]), &definition)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]any{}
	for _, f := range facts {
		known[f.Name] = f.Value
	}
	for name, value := range map[string]any{
		"user.id": "jane", "user.email": "Jane@Example.com", "user.emailDomain": "example.com", "user.ageHours": 48.0,
		"device.isNew": true, "ip.address": "192.0.2.7", "ip.countryCode": nil, "custom.amount": 250.0, "now": "2026-11-22T10:00:00.123456789Z",
	} {
		if known[name] != value {
			t.Errorf("%s is %v, want %v", name, known[name], value)
		}
	}
	delete(personal, events.PersonalFacts)
	if diff := cmp.Diff(events.Personal{"ip": "::ffff:192.0.2.7", "userAgent": "Mozilla/5.0", "device": "phone", "email": "Jane@Example.com"}, personal); diff != "" {
		t.Errorf("personal values (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"Jane@Example.com", "192.0.2.7", "Mozilla", "phone", "Jo"} {
		if strings.Contains(string(event.Body), `"`+secret) {
			t.Errorf("the body holds %q: %s", secret, event.Body)
		}
	}
}

func TestTrackAgain(t *testing.T) {
	recorder := memory.New()
	e := newEngine(t, recorder, openSignals(t))
	first := track(t, e, action("payment", map[string]any{"amount": 600.0}))
	if _, err := recorder.MoveAction(t.Context(), first.ActionID, events.StateReviewSucceeded, events.ByApplication); err != nil {
		t.Fatal(err)
	}
	again := track(t, e, action("payment", map[string]any{"amount": 5000.0}))
	if !again.Repeated || again.Outcome != rules.Review || again.State != events.StateReviewSucceeded {
		t.Errorf("got %+v; want the first decision in its present state", again)
	}
	if n := len(recorder.Events()); n != 2 { // tracked and moved
		t.Errorf("%d events", n)
	}
}

func TestTrackMakesAKey(t *testing.T) {
	recorder := memory.New()
	e := newEngine(t, recorder)
	a := action("sign-in", nil)
	a.Key = ""
	first, second := track(t, e, a), track(t, e, a)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !uuid.MatchString(first.Key) || first.Key == second.Key || first.Repeated || second.Repeated {
		t.Errorf("keys %q and %q", first.Key, second.Key)
	}
}

func TestTrackConcurrentDuplicates(t *testing.T) {
	recorder := memory.New()
	e := newEngine(t, recorder, openSignals(t))
	var wait sync.WaitGroup
	var mu sync.Mutex
	firsts := 0
	for range 32 {
		wait.Go(func() {
			d, err := e.Track(context.Background(), action("payment", map[string]any{"amount": 200.0}))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if !d.Repeated {
				firsts++
			}
		})
	}
	wait.Wait()
	if n := len(recorder.Events()); n != 1 || firsts != 1 {
		t.Errorf("%d events, %d first answers", n, firsts)
	}
}

func TestTrackWhenSourcesMisbehave(t *testing.T) {
	tests := []struct {
		name   string
		source source
	}{
		{"error", source(failing)},
		{"panic", func(context.Context, *engine.Action, *engine.Profile, *rules.Facts) error { panic("oops") }},
		{"late and heeding its context", func(ctx context.Context, _ *engine.Action, _ *engine.Profile, _ *rules.Facts) error {
			<-ctx.Done()
			return ctx.Err()
		}},
		{"late and silent about it", func(ctx context.Context, _ *engine.Action, _ *engine.Profile, _ *rules.Facts) error {
			<-ctx.Done()
			return nil
		}},
		{"deaf to its context", func(_ context.Context, _ *engine.Action, _ *engine.Profile, f *rules.Facts) error {
			time.Sleep(time.Hour)
			f.User.ID = "written late"
			return nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := memory.New()
				e := newEngine(t, recorder, tt.source)
				start := time.Now()
				d := track(t, e, action("sign-in", nil))
				if d.Outcome != rules.Block || d.Reason != rules.ByFailure {
					t.Errorf("got %s by %s", d.Outcome, d.Reason)
				}
				if took := time.Since(start); took > engine.DefaultDeadline {
					t.Errorf("it took %v", took)
				}
				time.Sleep(2 * time.Hour) // a deaf source comes back to nobody
			})
		})
	}
}

// TestTrackIsNotStoppedByItsCaller cancels the request while facts are being
// gathered: were that a failure, a caller could choose the failure outcome.
func TestTrackIsNotStoppedByItsCaller(t *testing.T) {
	recorder := memory.New()
	ctx, cancel := context.WithCancel(t.Context())
	hangsUp := source(func(inner context.Context, _ *engine.Action, _ *engine.Profile, _ *rules.Facts) error {
		cancel()
		return inner.Err()
	})
	d, err := newEngine(t, recorder, hangsUp).Track(ctx, action("fails-open", nil))
	if err != nil || d.Outcome != rules.Block || d.Reason != rules.ByDefault {
		t.Errorf("got %+v, %v; want the default, as if the caller had waited", d, err)
	}
	if n := len(recorder.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
	t.Run("a request that is over before it begins records nothing", func(t *testing.T) {
		if _, err := newEngine(t, recorder).Track(ctx, action("sign-in", nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if n := len(recorder.Events()); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// full is a recorder whose log takes nothing more.
type full struct{ *memory.Recorder }

func (full) Record(context.Context, engine.Recording) (engine.Decision, error) {
	return engine.Decision{}, fmt.Errorf("disk full: %w", engine.ErrUnavailable)
}

func TestTrackWhenItCannotRecord(t *testing.T) {
	d, err := newEngine(t, full{memory.New()}).Track(t.Context(), action("sign-in", nil))
	if !errors.Is(err, engine.ErrUnavailable) || !cmp.Equal(d, engine.Decision{}) {
		t.Errorf("got %+v, %v; want no decision and ErrUnavailable", d, err)
	}
}

func TestTrackWithoutRules(t *testing.T) {
	e, err := engine.New(engine.Config{Recorder: memory.New(), Rules: func() *rules.Set { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Track(t.Context(), action("sign-in", nil)); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}

func TestNewChecksItsConfiguration(t *testing.T) {
	_, err := engine.New(engine.Config{Deadline: -1, Signals: []engine.Signals{nil}})
	for _, want := range []string{"Recorder", "Rules", "Deadline", "signal source"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}
