package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// factSet has rules that read a metric and lists.
const factSet = `
fields:
  - {name: amount, type: number}
  - {name: payee, type: string}
metrics:
  - {name: payments, function: count, window: 10m}
lists:
  - {name: suspects, type: cidr}
  - {name: payees, type: string}
  - {name: amounts, type: number}
actions:
  - code: payment
    rules:
      - {id: suspect, name: From a suspect, when: ip.address in list.suspects, outcome: BLOCK}
      - {id: many, name: Many payments, when: metric.payments >= 2.0, outcome: REVIEW}
      - {id: shady, name: Shady payee, when: custom.payee in list.payees, outcome: REVIEW, onMatch: {add: ip.address, to: suspects, for: 1h}}
      - {id: odd, name: Odd amount, when: custom.amount == 13.0, outcome: REVIEW, onMatch: {add: custom.amount, to: amounts}}
      - {id: tried, name: Tried only, when: custom.amount > 0.0, outcome: BLOCK, mode: shadow, onMatch: {add: custom.payee, to: payees}}
      - {id: noted, name: Noted, when: custom.amount == 14.0, outcome: REVIEW, onMatch: {add: custom.payee, to: payees}}
      - {id: claimed, name: Claimed address, when: custom.amount == 15.0, outcome: REVIEW, onMatch: {add: custom.payee, to: suspects}}
  - code: sign-in
    rules:
      - {id: suspect-2, name: From a suspect, when: ip.address in list.suspects, outcome: BLOCK}
  - code: strict
    onFailure: BLOCK
    rules:
      - {id: many-2, name: Many payments, when: metric.payments >= 100.0 || ip.address in list.suspects, outcome: BLOCK}
otherwise: {rules: []}
`

func compile(tb testing.TB, yaml string) *rules.Set {
	tb.Helper()
	d, err := rules.ParseYAML([]byte(yaml))
	if err != nil {
		tb.Fatal(err)
	}
	set, err := rules.Compile(rules.Version{Number: 7, Definition: d})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// world is an engine with everything that it can have, in memory.
type world struct {
	*engine.Engine
	recorder *memory.Recorder
	lists    *lists.Keeper
	metrics  *metrics.Windows
}

// newWorld makes one with the set above; change may alter the configuration.
func newWorld(tb testing.TB, change func(*engine.Config)) *world {
	tb.Helper()
	set := compile(tb, factSet)
	return newWorldOf(tb, func() *rules.Set { return set }, change)
}

func newWorldOf(tb testing.TB, inForce func() *rules.Set, change func(*engine.Config)) *world {
	tb.Helper()
	w := &world{recorder: memory.New()}
	w.lists = lists.NewKeeper(w.recorder, nil)
	var err error
	if w.metrics, err = metrics.New(metrics.Config{Log: w.recorder, Set: inForce}); err != nil {
		tb.Fatal(err)
	}
	w.recorder.Observe(w.metrics.Committed)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.metrics.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	for w.metrics.Health(ctx) != nil {
		time.Sleep(time.Millisecond)
	}
	config := engine.Config{Recorder: w.recorder, Rules: inForce, Lists: w.lists, Metrics: w.metrics}
	if change != nil {
		change(&config)
	}
	if w.Engine, err = engine.New(config); err != nil {
		tb.Fatal(err)
	}
	return w
}

// pay is one payment. Keys count up, so that each is a new action.
func (w *world) pay(user string, change func(*engine.Action)) engine.Action {
	a := engine.Action{ActionID: events.ActionID{User: events.UserID(user), Code: "payment"}, IP: "192.0.2.7"}
	if change != nil {
		change(&a)
	}
	return a
}

// tracked is the last event of the log, which is that of a decision, and its
// recorded facts.
func (w *world) tracked(t *testing.T) (*events.ActionTracked, *rules.Facts, events.Event) {
	t.Helper()
	log := w.recorder.Events()
	event := log[len(log)-1]
	record, err := event.Decode()
	if err != nil {
		t.Fatal(err)
	}
	personal, err := event.PersonalValues()
	if err != nil {
		t.Fatal(err)
	}
	facts, err := rules.DecodeFacts([]byte(personal[events.PersonalFacts]))
	if err != nil {
		t.Fatal(err)
	}
	return record.(*events.ActionTracked), facts, event
}

func TestTrackCounts(t *testing.T) {
	w := newWorld(t, nil)
	for i, want := range []string{"ALLOW default", "ALLOW default", "REVIEW rule many", "REVIEW rule many"} {
		d := track(t, w.Engine, w.pay("jane", nil))
		if got := strings.TrimSpace(fmt.Sprint(d.Outcome, " ", d.Reason, " ", d.Rule)); got != want {
			t.Errorf("payment %d: %s, want %s", i+1, got, want)
		}
		record, facts, event := w.tracked(t)
		if got, known := facts.Metrics["payments"]; !known || got != float64(i) {
			t.Errorf("payment %d: the recorded metric is %v, known %v", i+1, got, known)
		}
		if want := (events.Position{Epoch: event.Epoch, Seq: uint64(i)}).String(); record.AsOf != want {
			t.Errorf("payment %d counts up to %s, want %s", i+1, record.AsOf, want)
		}
	}
	if d := track(t, w.Engine, w.pay("joe", nil)); d.Outcome != rules.Allow {
		t.Errorf("another person's first payment: %s", d.Outcome)
	}
	sign := w.pay("jane", func(a *engine.Action) { a.Code = "sign-in" })
	track(t, w.Engine, sign)
	if record, facts, _ := w.tracked(t); record.AsOf != "" || facts.Metrics != nil {
		t.Errorf("an action whose rules read no metric recorded %v as of %q", facts.Metrics, record.AsOf)
	}
}

func TestTrackWithoutMetricsAndLists(t *testing.T) {
	w := newWorld(t, func(c *engine.Config) { c.Lists, c.Metrics = nil, nil })
	for range 3 {
		track(t, w.Engine, w.pay("jane", nil))
	}
	record, facts, _ := w.tracked(t)
	if facts.Metrics != nil || facts.Lists != nil || record.AsOf != "" || record.Lists != 0 {
		t.Errorf("recorded metrics %v as of %q, lists %v of version %d", facts.Metrics, record.AsOf, facts.Lists, record.Lists)
	}
	matches, _, err := rules.DecodeMatches(record.Matches)
	if err != nil || len(matches) == 0 {
		t.Fatalf("matches %v, error %v", matches, err)
	}
	for _, m := range matches {
		if m.Result != rules.Unknown {
			t.Errorf("rule %s ended %s, want unknown", m.ID, m.Result)
		}
	}
}

func TestTrackTestsLists(t *testing.T) {
	w := newWorld(t, nil)
	signIn := func(ip string) (engine.Decision, map[string]bool, int64) {
		d := track(t, w.Engine, w.pay("jane", func(a *engine.Action) { a.Code, a.IP = "sign-in", ip }))
		record, facts, _ := w.tracked(t)
		return d, facts.Lists, record.Lists
	}
	if d, tests, version := signIn("192.0.2.7"); d.Outcome != rules.Allow || tests != nil || version != 0 {
		t.Errorf("before the lists were read: %s, tests %v by version %d", d.Outcome, tests, version)
	}
	if err := w.recorder.CreateList(t.Context(), lists.Head{Name: "suspects", Type: rules.ListOfRanges}, "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.recorder.ChangeList(t.Context(), "suspects", []lists.Item{{Value: "192.0.2.0/28"}}, nil, "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.lists.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ip    string
		want  rules.Outcome
		tests map[string]bool
	}{
		{"192.0.2.7", rules.Block, map[string]bool{"ip.address in list.suspects": true}},
		{"::ffff:192.0.2.7", rules.Block, map[string]bool{"ip.address in list.suspects": true}},
		{"192.0.2.17", rules.Allow, map[string]bool{"ip.address in list.suspects": false}},
		{"", rules.Allow, nil},
		{"nonsense", rules.Allow, nil},
	} {
		d, tests, version := signIn(tt.ip)
		if diff := cmp.Diff(tt.tests, tests); d.Outcome != tt.want || diff != "" || version != 2 {
			t.Errorf("from %q: %s by version %d, want %s by 2; tests (-want +got):\n%s", tt.ip, d.Outcome, version, tt.want, diff)
		}
	}
}

func TestTrackAddsToLists(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.recorder.CreateList(t.Context(), lists.Head{Name: "payees", Type: rules.ListOfStrings}, "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.recorder.ChangeList(t.Context(), "payees", []lists.Item{{Value: "Mallory"}}, nil, "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.lists.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	amount := func(user string, amount float64, payee string) engine.Action {
		return w.pay(user, func(a *engine.Action) { a.Custom = map[string]any{"amount": amount, "payee": payee} })
	}
	has := func(list string, value any, now time.Time) bool {
		found, known := w.lists.Test(list, value, now).Get()
		return found && known
	}
	added := func(want ...string) {
		t.Helper()
		record, _, _ := w.tracked(t)
		if diff := cmp.Diff(want, record.Added, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("lists that were added to (-want +got):\n%s", diff)
		}
	}

	d := track(t, w.Engine, amount("ann", 1, "Mallory"))
	if d.Rule != "shady" {
		t.Fatalf("decided by %q", d.Rule)
	}
	added("suspects")
	if !has("suspects", "192.0.2.7", d.CreatedAt.Add(time.Hour-time.Millisecond)) || has("suspects", "192.0.2.7", d.CreatedAt.Add(time.Hour+time.Second)) {
		t.Error("the address is not in the list for an hour")
	}
	if d = track(t, w.Engine, amount("ben", 1, "Carol")); d.Outcome != rules.Block || d.Rule != "suspect" {
		t.Errorf("the very next action from the address: %s by %q, want a block", d.Outcome, d.Rule)
	}
	added()
	if has("payees", "Carol", d.CreatedAt) {
		t.Error("a rule in shadow added to a list")
	}

	d = track(t, w.Engine, amount("cid", 13, "Carol"))
	added("amounts")
	if d.Rule != "suspect" || !has("amounts", 13.0, d.CreatedAt.AddDate(100, 0, 0)) {
		t.Errorf("decided by %q; a live match that does not decide must add, for ever", d.Rule)
	}

	for payee, what := range map[string]string{"a\nb": "a text with a line break", strings.Repeat("x", 2000): "a text that is too long"} {
		track(t, w.Engine, amount("dan", 14, payee))
		added()
		if has("payees", payee, time.Now()) {
			t.Errorf("%s was added", what)
		}
	}
	track(t, w.Engine, amount("eve", 15, "0.0.0.0/0"))
	added()
	if has("suspects", "198.51.100.1", time.Now()) {
		t.Error("a fact put the whole internet on a list")
	}
	track(t, w.Engine, amount("eve", 15, "198.51.100.1"))
	added("suspects")

	again := amount("fay", 13, "Carol")
	again.Key = "same"
	track(t, w.Engine, again)
	before, err := w.recorder.ListVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	track(t, w.Engine, again)
	if after, err := w.recorder.ListVersion(t.Context()); err != nil || after != before {
		t.Errorf("an action that was decided before added to a list: version %d, then %d, error %v", before, after, err)
	}
}

// located is a source that knows where every address is and names its data.
type located struct {
	source
	version string
}

func (l located) Version() string { return l.version }

// watched keeps the recordings that it passes on.
type watched struct {
	*memory.Recorder
	recordings []engine.Recording
}

func (w *watched) Record(ctx context.Context, r engine.Recording) (engine.Decision, error) {
	w.recordings = append(w.recordings, r)
	return w.Recorder.Record(ctx, r)
}

func TestTrackRecordsWhereAnActionCameFrom(t *testing.T) {
	place := source(func(_ context.Context, _ *engine.Action, _ *engine.Profile, f *rules.Facts) error {
		f.IP.Latitude, f.IP.Longitude = rules.Known(-41.3), rules.Known(174.8)
		return nil
	})
	nothing := source(func(context.Context, *engine.Action, *engine.Profile, *rules.Facts) error { return nil })
	recorder := &watched{Recorder: memory.New()}
	e := newEngine(t, recorder, located{place, "cities 2026-11-01"}, nothing, located{nothing, ""}, located{nothing, "tor 2026-11-20"})
	a := action("sign-in", nil)
	a.IP, a.DeviceID = " ::FFFF:192.0.2.7%eth0 ", ""
	track(t, e, a)
	r := recorder.recordings[0]
	if r.Address != "192.0.2.7" || !r.EstablishDevice {
		t.Errorf("address %q, established %v", r.Address, r.EstablishDevice)
	}
	if diff := cmp.Diff(&engine.Place{Latitude: -41.3, Longitude: 174.8, At: r.Event.Time}, r.Place); diff != "" {
		t.Errorf("place (-want +got):\n%s", diff)
	}
	record, err := r.Event.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if got := record.(*events.ActionTracked).IPData; got != "cities 2026-11-01; tor 2026-11-20" {
		t.Errorf("data %q", got)
	}
	p, err := recorder.Profile(t.Context(), "jane", "", "192.0.2.7")
	if err != nil || !p.AddressKnown {
		t.Errorf("the address is not known: %+v, %v", p, err)
	}
	if r.Event.Local != nil {
		t.Error("an engine without metrics makes occurrences for nobody")
	}
	b := a
	b.Key, b.IP = "k2", "no address"
	track(t, e, b)
	if r := recorder.recordings[1]; r.Address != "" || r.EstablishDevice {
		t.Errorf("address %q, established %v", r.Address, r.EstablishDevice)
	}
}

// TestOccurrenceIsWhatWasRecorded compares what observers are given with what
// the log keeps.
func TestOccurrenceIsWhatWasRecorded(t *testing.T) {
	w := newWorld(t, nil)
	var seen []events.Event
	w.recorder.Observe(func(run []events.Event) { seen = append(seen, run...) })
	custom := map[string]any{"amount": 12.5, "payee": "Zoë"}
	d := track(t, w.Engine, w.pay("jane", func(a *engine.Action) { a.Custom = custom }))
	custom["amount"] = 0.0 // the caller's map, which it may use again
	_, facts, _ := w.tracked(t)
	_, plain := seen[0].Local.(*rules.Occurrence)
	seen[0].Personal = nil // what observers are given must do
	got, err := metrics.OccurrenceOf(&seen[0])
	if err != nil || got == nil || plain {
		t.Fatalf("observers got %T, %v; want it prepared", seen[0].Local, err)
	}
	want := &rules.Occurrence{Facts: facts, Outcome: d.Outcome}
	equateTimes := cmpopts.EquateApproxTime(0)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), equateTimes, cmp.AllowUnexported(rules.Value[string]{}, rules.Value[bool]{}, rules.Value[float64]{}, rules.Value[time.Time]{})); diff != "" {
		t.Errorf("occurrence (-recorded +given):\n%s", diff)
	}
}
