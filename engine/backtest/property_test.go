package backtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/backtest"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// first is a set whose rules depend on everything that changes while many decide
// at once: metrics of people, devices and addresses, of actions and of challenges,
// and a list to which a rule adds.
const first = `
fields: [{name: amount, type: number}, {name: payee, type: string}]
lists: [{name: suspects, type: cidr}]
metrics:
  - {name: actions, function: count, window: 1m}
  - {name: spent, function: sum, of: custom.amount, per: device.id, window: 1h, where: "action.outcome != 'BLOCK'"}
  - {name: usual, function: average, of: custom.amount, window: 30d}
  - {name: most, function: max, of: custom.amount, per: custom.payee, window: 24h}
  - {name: people, function: distinct, of: user.id, per: ip.address, window: 10m}
  - {name: failed, function: count, counts: challenges, window: 1h, where: "challenge.result != 'succeeded'"}
  - {name: proven, function: sum, of: custom.amount, counts: challenges, per: device.id, window: 7d, where: "challenge.result == 'succeeded'"}
actions:
  - code: pay
    onFailure: REVIEW
    rules:
      - {id: suspect, name: Suspect, when: ip.address in list.suspects && custom.amount > 20.0, outcome: BLOCK}
      - {id: crowd, name: Crowd, when: metric.people >= 5.0 && custom.amount > 97.0, outcome: REVIEW, onMatch: {add: ip.address, to: suspects, for: 1m}}
      - {id: refused, name: Refused, when: metric.failed >= 3.0 && custom.amount > 90.0, outcome: BLOCK}
      - {id: odd, name: Odd, when: custom.amount > 2.0 * metric.usual || metric.spent > 900.0, outcome: CHALLENGE}
      - {id: often, name: Often, when: metric.actions > 30.0, outcome: REVIEW, rollout: 50}
      - {id: shadow, name: Shadow, when: "metric.proven / (metric.spent - metric.proven) > 0.25 || metric.most == custom.amount", outcome: BLOCK, mode: shadow}
  - code: look
    rules:
      - {id: listed, name: Listed, when: ip.address in list.suspects, outcome: REVIEW}
otherwise: {rules: []}
`

// next is the definition that the n-th publish makes of it: one more metric, one
// with another window, and rules that read them.
func next(t *testing.T, n int) rules.Definition {
	t.Helper()
	d, err := rules.ParseYAML([]byte(first))
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return d
	}
	d.Metrics[0].Window = fmt.Sprintf("%dm", n+1)
	d.Metrics = append(d.Metrics, rules.Metric{
		Name: fmt.Sprintf("extra%d", n), Function: rules.Distinct, Of: "custom.payee", Per: "device.id", Window: fmt.Sprintf("%dh", n),
	})
	d.Actions[0].Rules = append(d.Actions[0].Rules, rules.Rule{
		ID: fmt.Sprintf("extra-%d", n), Name: "Extra", Outcome: rules.Review, Mode: rules.Shadow, When: fmt.Sprintf("metric.extra%d > 2.0", n),
	})
	return d
}

// node is one process with everything that decides.
type node struct {
	store   *store.Store
	windows *metrics.Windows
	engine  *engine.Engine
	stop    func()
}

func openNode(t *testing.T, config store.Config, snapshot string, inForce func() *rules.Set) *node {
	t.Helper()
	s, err := store.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{store: s}
	n.windows, err = metrics.New(metrics.Config{
		Log: s, Set: inForce, Path: snapshot, MaxStale: time.Minute, Patience: 30 * time.Second, SnapshotEvery: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Observe(n.windows.Committed)
	keeper := lists.NewKeeper(s, nil)
	if err := keeper.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	source, err := signals.Open(signals.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n.engine, err = engine.New(engine.Config{
		Recorder: s, Rules: inForce, Lists: keeper, Metrics: n.windows, Deadline: time.Minute,
		Signals: []engine.Signals{source},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{n.windows.Run, keeper.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	n.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(n.stop)
	healthy(t, n.windows)
	return n
}

func healthy(t *testing.T, w *metrics.Windows) {
	t.Helper()
	for give := time.Now().Add(time.Minute); w.Health(t.Context()) != nil; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(give) {
			t.Fatal(w.Health(t.Context()))
		}
	}
}

// act tracks one action of somebody, and ends its challenge if there is one.
func act(ctx context.Context, n *node, r *rand.Rand, person int, key string) error {
	amount := float64(r.IntN(10_000)) / 100
	a := engine.Action{
		ActionID: events.ActionID{User: events.UserID(fmt.Sprint("user-", person)), Code: "pay", Key: key},
		IP:       fmt.Sprintf("192.0.2.%d", r.IntN(6)), Custom: map[string]any{"amount": amount, "payee": fmt.Sprint("p", r.IntN(5))},
	}
	if r.IntN(10) > 0 {
		a.DeviceID = fmt.Sprint("device-", r.IntN(10))
	}
	switch r.IntN(12) {
	case 0:
		a.Code = "look"
	case 1:
		a.Code = "other"
	case 2:
		delete(a.Custom, "amount")
	}
	d, err := n.engine.Track(ctx, a)
	if err != nil || d.State != events.StateChallengeRequired {
		return err
	}
	for try := range 1 + r.IntN(3) {
		if err := challenge(ctx, n.store, r, d.ActionID, try); err != nil {
			return fmt.Errorf("challenge: %w", err)
		}
	}
	return nil
}

// challenge begins and ends a ceremony; some are left to the sweeper.
func challenge(ctx context.Context, s *store.Store, r *rand.Rand, id events.ActionID, try int) error {
	now := time.Now()
	c := ceremonies.Challenge{
		ID: events.ChallengeID(fmt.Sprintf("c-%s-%s-%d", id.User, id.Key, try)), Kind: ceremonies.Authentication, Purpose: ceremonies.ForAction,
		Action: id, Session: json.RawMessage(`{"challenge":"AA"}`), Nonce: []byte("nonce"), Digest: []byte(`{"v":1}`),
		BegunAt: now, Expires: now.Add(time.Minute),
	}
	begun, err := step(events.KindCeremonyBegun, c, "")
	if err != nil {
		return err
	}
	switch err := s.Begin(ctx, c, begun); {
	case errors.Is(err, ceremonies.ErrNotOpen): // the one before has closed the action
		return nil
	case err != nil:
		return err
	}
	if c, err = s.Take(ctx, c.ID, id, now); err != nil {
		return err
	}
	o := ceremonies.Outcome{Challenge: c, Tries: 100, At: now}
	kind := events.KindCeremonyFailed
	switch r.IntN(5) {
	case 0, 1:
		kind = events.KindCeremonySucceeded
		proof := passkey(id.User)
		o.Proof = &proof
	case 2:
		kind, o.Denied = events.KindCeremonyDenied, true
	case 3:
		return nil // abandoned
	}
	o.Events = func(state events.ActionState, _ int) ([]events.Draft, error) {
		d, err := step(kind, c, state)
		return []events.Draft{d}, err
	}
	_, err = s.Finish(ctx, o)
	return err
}

func step(kind events.Kind, c ceremonies.Challenge, state events.ActionState) (events.Draft, error) {
	return events.NewDraft(events.Ceremony{
		Step: kind, ActionID: c.Action, State: state, Challenge: c.ID, Ceremony: string(c.Kind), Purpose: string(c.Purpose),
	}, nil, time.Now())
}

func passkey(user events.UserID) ceremonies.Authenticator {
	return ceremonies.Authenticator{
		ID: events.AuthenticatorID("passkey-" + user), User: user, Method: events.MethodPasskey, Name: "Phone",
		CredentialID: []byte("credential-" + user), Credential: json.RawMessage(`{"id":"AA"}`), CreatedAt: time.Now(),
	}
}

// TestReplayGivesEveryDecisionAgain has many callers decide about the same few
// people, devices and addresses at once, while challenges end, rule sets are
// published and everything restarts. Every recorded decision must follow again
// from the log: the same metrics to the last bit, the same matches, the same
// outcome.
func TestReplayGivesEveryDecisionAgain(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		const callers, people, each, lives = 40, 8, 10, 3
		folder := t.TempDir()
		var prepared uint64
		var current atomic.Pointer[rules.Set]
		publish := func(s *store.Store, n int) {
			v, err := s.PublishRules(t.Context(), n, rules.Version{Definition: next(t, n), Author: "ann", Note: "n"}, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			set, err := rules.Compile(v)
			if err != nil {
				t.Fatal(err)
			}
			current.Store(set)
		}
		setUp, err := store.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		publish(setUp, 0)
		for i := range people - 2 { // two have no authenticator
			if err := setUp.AddAuthenticator(t.Context(), passkey(events.UserID(fmt.Sprint("user-", i))), events.ByApplication); err != nil {
				t.Fatal(err)
			}
		}
		if err := setUp.Close(); err != nil {
			t.Fatal(err)
		}
		nodes := 1
		if config.PostgreSQL != "" {
			nodes = 2
		}
		published := 0
		var open []*node
		for life := range lives {
			open = nil
			for i := range nodes {
				open = append(open, openNode(t, config, filepath.Join(folder, fmt.Sprint("metrics.snapshot.", i)), current.Load))
			}
			var calling sync.WaitGroup
			var done atomic.Int64
			for caller := range callers {
				calling.Go(func() {
					r := rand.New(rand.NewPCG(uint64(life), uint64(caller)))
					for i := range each {
						key := fmt.Sprintf("%d-%d-%d", life, caller, i)
						if err := act(context.Background(), open[caller%nodes], r, r.IntN(people), key); err != nil {
							t.Error(err)
						}
						done.Add(1)
					}
				})
			}
			for part := range 2 {
				for done.Load() < int64((part+1)*callers*each/3) {
					time.Sleep(time.Millisecond)
				}
				published++
				publish(open[0].store, published)
			}
			calling.Wait()
			for _, n := range open {
				// Decisions were prepared by those who asked for them, but for those under way
				// while windows were replaced. What follows from the bytes is the same.
				prepared += n.windows.Stats().Prepared
			}
			abandon := func(c ceremonies.Challenge, _ string) (events.Draft, error) {
				return step(events.KindCeremonyAbandoned, c, "")
			}
			if _, err := open[0].store.Sweep(t.Context(), time.Now().Add(time.Hour), abandon); err != nil {
				t.Fatal(err)
			}
			if life == lives-1 {
				break
			}
			for _, n := range open {
				n.stop()
			}
		}
		wantAll := callers * each * lives
		if prepared < uint64(wantAll)/2 {
			t.Errorf("of %d decisions only %d were prepared for the metrics", wantAll, prepared)
		}
		compiled := func(ctx context.Context, number int) (*rules.Set, error) {
			v, err := open[0].store.RulesVersion(ctx, number)
			if err != nil {
				return nil, err
			}
			return rules.Compile(v)
		}
		report, err := backtest.Replay(t.Context(), backtest.Config{Log: open[0].store, Sets: compiled})
		if err != nil {
			t.Fatal(err)
		}
		if report.Decisions != wantAll || report.Replayed != wantAll || report.Same != wantAll {
			t.Errorf("%d decisions, %d replayed, %d the same; want %d\n%s", report.Decisions, report.Replayed, report.Same, wantAll, show(report))
		}
		for name, n := range report.Unready {
			if n > wantAll*2/3 || !slices.Contains(changing(published), name) {
				t.Errorf("%s was not known in time for %d decisions", name, n)
			}
		}
		if len(report.Outcomes) < 3 {
			t.Errorf("the outcomes are %v; the test does not try enough", report.Outcomes)
		}

		// Part of the log, and one action, in the middle of everything.
		var between []time.Time
		for after := (events.Position{}); ; {
			run, err := open[0].store.EventsAfter(t.Context(), after, 500)
			if err != nil {
				t.Fatal(err)
			}
			if len(run) == 0 {
				break
			}
			for _, e := range run {
				if e.Kind == events.KindActionTracked && e.Action.Code == "pay" {
					between = append(between, e.Time)
				}
			}
			after = run[len(run)-1].Position
		}
		slices.SortFunc(between, time.Time.Compare)
		middle := between[len(between)/2]
		part, err := backtest.Replay(t.Context(), backtest.Config{Log: open[0].store, Sets: compiled, From: middle, Action: "pay", Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		if part.Decisions != 50 || part.Same != 50 || !part.Cut {
			t.Errorf("of a part of the log:\n%s", show(part))
		}

		// The proof would notice: with another window, metrics differ.
		other := func(ctx context.Context, number int) (*rules.Set, error) {
			v, err := open[0].store.RulesVersion(ctx, number)
			if err != nil {
				return nil, err
			}
			v.Definition.Metrics = slices.Clone(v.Definition.Metrics)
			v.Definition.Metrics[1].Where = ""
			return rules.Compile(v)
		}
		wrong, err := backtest.Replay(t.Context(), backtest.Config{Log: open[0].store, Sets: other})
		if err != nil {
			t.Fatal(err)
		}
		if wrong.Different == 0 || len(wrong.First) == 0 || len(wrong.First[0].Metrics) == 0 || wrong.First[0].Metrics[0].Name != "spent" {
			t.Errorf("a metric that counts something else is not noticed:\n%s", show(wrong))
		}
	})
}

// changing are the metrics that are new in some set.
func changing(published int) []string {
	names := []string{"actions"}
	for n := range published {
		names = append(names, fmt.Sprint("extra", n+1))
	}
	return names
}

func show(r backtest.Report) string {
	text, err := json.MarshalIndent(struct {
		backtest.Report
		First []backtest.Difference
	}{r, r.First[:min(3, len(r.First))]}, "", " ")
	if err != nil {
		return fmt.Sprint(err, slices.Sorted(maps.Keys(r.Unready)))
	}
	return string(text)
}
