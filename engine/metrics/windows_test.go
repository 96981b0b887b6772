package metrics_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// asked are people to compare windows about, at a time.
func asked(at time.Time) []occurrence {
	var list []occurrence
	for i := range 9 {
		list = append(list, occurrence{
			at: at, user: fmt.Sprint("u", i%6), device: fmt.Sprint("d", i), address: fmt.Sprintf("192.0.2.%d", i%4), merchant: float64(i % 5),
		})
	}
	return list
}

// wantEqual compares all that two windows say.
func wantEqual(t *testing.T, what string, set *rules.Set, want, got *metrics.Windows, at time.Time) {
	t.Helper()
	for _, about := range asked(at) {
		a, p := read(want, set, about.facts())
		b, q := read(got, set, about.facts())
		if p != q || len(a) == 0 {
			t.Fatalf("%s: positions %v and %v, values %v", what, p, q, a)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("%s, about %+v (-want +got):\n%s", what, about, diff)
		}
	}
}

// fill writes and commits occurrences of a made up world.
func fill(t *testing.T, log *journal, world *world, epoch events.Epoch, n int, nodes ...*metrics.Windows) {
	t.Helper()
	for range n {
		o := world.next()
		run := log.append(epoch, o.draft(t, true))
		for _, w := range nodes {
			w.Committed(run)
		}
	}
}

func TestANewMetricIsUnknownUntilItIsBuilt(t *testing.T) {
	list := metricsOf(measures())
	old, changed := compile(t, 1, list[:5]...), compile(t, 2, append(list[3:], rules.Metric{Name: "actions", Function: rules.Count, Window: "20m"})...)
	var current atomic.Pointer[rules.Set]
	current.Store(old)
	gate := &gated{journal: &journal{}, open: make(chan struct{})}
	log, world := gate.journal, newWorld(12)
	close(gate.open)
	path := filepath.Join(t.TempDir(), "metrics.snapshot")
	w, stop := start(t, metrics.Config{Log: gate, Set: current.Load, Now: yesterday, Path: path})
	ready(t, w)
	fill(t, log, world, 7, 400, w)
	gate.shut()
	current.Store(changed)
	about := asked(world.now)[1]
	about.amount, about.outcome = 12.5, rules.Allow
	for range 3 { // while it is being built
		gate.wait(t)
		fill(t, log, world, 7, 20, w)
		about.at = world.now.Truncate(time.Microsecond)
		about.key += "x"
		w.Committed(log.append(7, about.draft(t, true)))
		before, _ := read(w, old, about.facts())
		now, at := read(w, changed, about.facts())
		head, _ := log.Head(t.Context())
		if at != head {
			t.Errorf("the position is %v, the head %v", at, head)
		}
		for _, name := range []string{"least", "most"} { // not changed
			if v, known := now[name]; !known || v != before[name] {
				t.Errorf("%s is %v, %v while another metric is built", name, v, known)
			}
		}
		for _, name := range []string{"actions", "devices", "failed"} { // changed or new
			if v, known := now[name]; known {
				t.Errorf("%s is %v before it was built", name, v)
			}
		}
		if err := w.Health(t.Context()); err == nil {
			t.Error("Health is good while a metric is being built")
		}
	}
	close(gate.open)
	ready(t, w)
	fill(t, log, world, 7, 20, w)
	built, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return changed }, Now: yesterday})
	ready(t, built)
	wantEqual(t, "after the publish", changed, built, w, world.now)

	// A snapshot of the new set serves the old one as far as it goes.
	stop()
	current.Store(old)
	w, _ = start(t, metrics.Config{Log: gate, Set: current.Load, Now: yesterday, Path: path})
	ready(t, w)
	steady, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return old }, Now: yesterday})
	ready(t, steady)
	wantEqual(t, "after the roll-back", old, steady, w, world.now)
}

func TestARecoveredLogGoesOnInItsNewEpoch(t *testing.T) {
	set := compile(t, 1, metricsOf(measures())...)
	inForce := func() *rules.Set { return set }
	log, world := &journal{}, newWorld(8)
	w, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
	ready(t, w)
	fill(t, log, world, 7, 200, w)
	fill(t, log, world, 9, 200, w)
	fill(t, log, world, 3, 1, w)
	built, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
	ready(t, built)
	_, at := read(built, set, (&occurrence{user: "u1", at: world.now}).facts())
	if want := (events.Position{Epoch: 3, Seq: 1}); at != want {
		t.Errorf("position %v; want %v", at, want)
	}
	wantEqual(t, "after two recoveries", set, built, w, world.now)
}

func TestEventsOfOtherNodesAreCountedBeforeAReaderGetsAnAnswer(t *testing.T) {
	set := compile(t, 1, metricsOf(measures())...)
	inForce := func() *rules.Set { return set }
	log, world := &journal{}, newWorld(21)
	one, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
	two, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
	ready(t, one)
	ready(t, two)
	for i := range 300 {
		writer, other := one, two
		if i%3 == 0 {
			writer, other = two, one
		}
		fill(t, log, world, 7, 1, writer)
		head, _ := log.Head(t.Context())
		about := world.somebody()
		if _, at := read(writer, set, about.facts()); at != head {
			t.Fatalf("after %v the writer reads as of %v", head, at)
		}
		if i%50 == 0 {
			for give := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				if _, at := read(other, set, about.facts()); at == head {
					break
				}
				if time.Now().After(give) {
					t.Fatal("the other node does not follow")
				}
			}
			wantEqual(t, "on the other node", set, writer, other, world.now)
		}
	}
}

func TestWhoIsTooFarBehindAnswersNothing(t *testing.T) {
	set := compile(t, 1, metricsOf(measures())...)
	log, world := &journal{}, newWorld(22)
	w, _ := start(t, metrics.Config{
		Log: log, Set: func() *rules.Set { return set }, Now: yesterday, MaxStale: 300 * time.Millisecond, Patience: time.Millisecond,
	})
	ready(t, w)
	fill(t, log, world, 7, 10, w)
	about := world.somebody()
	// A gap: an event of another node before our own, and the log cannot be read.
	log.mu.Lock()
	log.deaf = errors.New("the network is down")
	log.mu.Unlock()
	fill(t, log, world, 7, 1)
	fill(t, log, world, 7, 1, w)
	if got, at := read(w, set, about.facts()); len(got) != 0 || at != (events.Position{}) {
		t.Errorf("with a gap before what this node wrote the answer is %v as of %v", got, at)
	}
	for give := time.Now().Add(10 * time.Second); w.Health(t.Context()) == nil && time.Now().Before(give); {
		time.Sleep(time.Millisecond)
	}
	if err := w.Health(t.Context()); err == nil {
		t.Error("Health is good although the log cannot be read")
	}
	log.mu.Lock()
	log.deaf = nil
	log.mu.Unlock()
	ready(t, w)
	if got, at := read(w, set, about.facts()); len(got) == 0 || at.Seq != 12 {
		t.Errorf("afterwards the answer is %v as of %v", got, at)
	}
}

func TestWithoutMemoryAMetricIsUnknownAndNeverTooSmall(t *testing.T) {
	list := measures()
	set := compile(t, 1, metricsOf(list)...)
	log, reference := &journal{}, &reference{}
	w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday, MaxBytes: 3 << 20})
	ready(t, w)
	const people = 20_000
	var drafts []events.Draft
	for i := range people {
		o := occurrence{
			at: base.Add(time.Duration(i) * time.Millisecond), user: fmt.Sprint("u", i), device: fmt.Sprint("d", i%100), address: "192.0.2.1",
			merchant: 3, amount: 60.0, outcome: rules.Allow, key: "k",
		}
		if i == people-1 {
			o.user = "u7" // was there before memory ran out
		}
		reference.happened = append(reference.happened, o)
		drafts = append(drafts, o.draft(t, true))
	}
	for i := 0; i < len(drafts); i += 100 {
		w.Committed(log.append(7, drafts[i:i+100]...))
	}
	s := w.Stats()
	if !s.Lost || s.Bytes > 4<<20 {
		t.Errorf("figures %+v; want less than 4 MiB, and a loss", s)
	}
	known, unknown := 0, 0
	for i := 0; i < people; i += 1999 {
		about := reference.happened[i]
		about.at = base.Add(time.Minute)
		got, _ := read(w, set, about.facts())
		want := reference.read(list, &about)
		for name, v := range got {
			known++
			if v != want[name] {
				t.Errorf("%s of %s is %v; want %v or unknown", name, about.user, v, want[name])
			}
		}
		unknown += len(want) - len(got)
	}
	if known == 0 || unknown == 0 {
		t.Errorf("%d values are known and %d unknown; want some of each", known, unknown)
	}
}

func TestTooManyOpenChallengesMakeTheirMetricsUnknown(t *testing.T) {
	set := compile(
		t, 1,
		rules.Metric{Name: "actions", Function: rules.Count, Window: "1h"},
		rules.Metric{Name: "failed", Function: rules.Count, Counts: rules.CountChallenges, Window: "1h", Where: "challenge.result == 'failed'"},
	)
	log := &journal{}
	var now atomic.Int64
	now.Store(base.UnixNano())
	w, _ := start(t, metrics.Config{
		Log: log, Set: func() *rules.Set { return set }, Now: func() time.Time { return time.Unix(0, now.Load()) }, MaxBytes: 3 << 20,
	})
	ready(t, w)
	var all []occurrence
	for i := range 4000 {
		o := occurrence{at: base, user: fmt.Sprint("u", i%50), outcome: rules.Challenge, key: fmt.Sprint(i)}
		all = append(all, o)
		w.Committed(log.append(7, o.draft(t, true)))
	}
	fail := func(o occurrence, at time.Time) map[string]float64 {
		o.at, o.result = at, rules.ChallengeFailed
		w.Committed(log.append(7, o.draft(t, true)))
		got, _ := read(w, set, o.facts())
		return got
	}
	for _, o := range []occurrence{all[0], all[3999]} { // forgotten, and remembered
		got := fail(o, base.Add(time.Minute))
		if v, known := got["failed"]; known || got["actions"] != 80 {
			t.Errorf("failed is %v, actions %v; want unknown and 80", v, got["actions"])
		}
	}
	if !w.Stats().Lost {
		t.Error("nobody is told")
	}
	// A day later no challenge that was forgotten can end any more.
	later := base.Add(26 * time.Hour)
	fresh := occurrence{at: later, user: "u1", outcome: rules.Challenge, key: "later"}
	w.Committed(log.append(7, fresh.draft(t, true)))
	if got := fail(fresh, later.Add(time.Minute)); got["failed"] != 1 {
		t.Errorf("a day later failed is %v; want 1", got["failed"])
	}
}

func TestAChallengeThatTheBrowserDidNotAnswerIsAbandoned(t *testing.T) {
	var list []rules.Metric
	for _, result := range rules.ChallengeResults {
		list = append(list, rules.Metric{
			Name: string(result), Function: rules.Count, Counts: rules.CountChallenges, Window: "1h", Where: fmt.Sprintf("challenge.result == '%s'", result),
		})
	}
	tests := []struct {
		name    string
		result  rules.ChallengeResult
		browser string
		counts  rules.ChallengeResult
	}{
		{"a wrong answer", rules.ChallengeFailed, "", rules.ChallengeFailed},
		{"an error of the browser", rules.ChallengeFailed, "NotAllowedError", rules.ChallengeAbandoned},
		{"no answer in time", rules.ChallengeAbandoned, "", rules.ChallengeAbandoned},
		{"a denial after an error of the browser", rules.ChallengeDenied, "AbortError", rules.ChallengeDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, log := compile(t, 1, list...), &journal{}
			w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday})
			ready(t, w)
			o := occurrence{at: base, user: "u", outcome: rules.Challenge, key: "k"}
			w.Committed(log.append(7, o.draft(t, true)))
			o.at, o.result, o.browser = base.Add(time.Minute), tt.result, tt.browser
			w.Committed(log.append(7, o.draft(t, true)))
			want := map[string]float64{}
			for _, result := range rules.ChallengeResults {
				want[string(result)] = 0
			}
			want[string(tt.counts)] = 1
			got, _ := read(w, set, o.facts())
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadersSeeOnePositionWhileFoldingGoesOn(t *testing.T) {
	// Each action adds one to every metric of its user, so equal values prove that
	// they are of one position; and the position says how many there must be.
	set := compile(
		t, 1,
		rules.Metric{Name: "a", Function: rules.Count, Window: "30d"},
		rules.Metric{Name: "b", Function: rules.Sum, Of: "custom.amount", Window: "7d"},
		rules.Metric{Name: "c", Function: rules.Distinct, Of: "user.id", Per: "device.id", Window: "30d"},
		rules.Metric{Name: "d", Function: rules.Count, Per: "device.id", Window: "24h"},
	)
	log := &journal{}
	path := filepath.Join(t.TempDir(), "metrics.snapshot")
	w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday, Path: path, SnapshotEvery: time.Nanosecond})
	ready(t, w)
	var readers sync.WaitGroup
	var done atomic.Bool
	for range 8 {
		readers.Go(func() {
			for !done.Load() {
				about := occurrence{user: "u", device: "d", at: base}
				got, at := read(w, set, about.facts())
				n := float64(at.Seq)
				want := map[string]float64{"a": n, "b": n, "c": min(n, 1), "d": n}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("as of %v (-want +got):\n%s", at, diff)
					return
				}
			}
		})
	}
	for i := range 2000 {
		o := occurrence{user: "u", device: "d", amount: 1.0, at: base, outcome: rules.Allow, key: fmt.Sprint(i)}
		other := o.draft(t, true)
		w.Committed(log.append(7, other))
	}
	done.Store(true)
	readers.Wait()
}

func TestWhatHasLeftEveryWindowGivesItsMemoryBack(t *testing.T) {
	list := measures()
	set := compile(t, 1, metricsOf(list)...)
	log, reference := &journal{}, &reference{}
	var now atomic.Int64
	now.Store(base.UnixNano())
	w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: func() time.Time { return time.Unix(0, now.Load()) }})
	ready(t, w)
	for i := range 3000 {
		o := occurrence{
			at: base.Add(time.Duration(i) * time.Second), user: fmt.Sprint("u", i%500), device: fmt.Sprint("d", i%300), merchant: float64(i % 7),
			amount: float64(i), outcome: rules.Allow, key: fmt.Sprint(i),
		}
		reference.happened = append(reference.happened, o)
		w.Committed(log.append(7, o.draft(t, true)))
	}
	all := w.Stats().Keys
	wait := func(after time.Duration, gone func(keys int) bool) {
		now.Store(base.Add(after).UnixNano())
		for give := time.Now().Add(20 * time.Second); !gone(w.Stats().Keys); time.Sleep(time.Millisecond) {
			if time.Now().After(give) {
				t.Fatalf("%v later there are %d keys", after, w.Stats().Keys)
			}
		}
	}
	wait(30*time.Hour, func(keys int) bool { return keys < all }) // devices and merchants
	if keys := w.Stats().Keys; keys != 500 {
		t.Errorf("%d keys are left; want those of 500 people", keys)
	}
	for i := range 20 {
		about := reference.happened[i]
		about.at = base.Add(30 * time.Hour)
		got, _ := read(w, set, about.facts())
		if diff := cmp.Diff(reference.read(list, &about), got); diff != "" {
			t.Errorf("about %+v (-reference +windows):\n%s", about, diff)
		}
	}
	before := w.Stats().Bytes
	wait(70*24*time.Hour, func(keys int) bool { return keys == 0 })
	var drafts []events.Draft
	for i := range 500 { // takes the memory that came back
		o := occurrence{at: base.Add(70 * 24 * time.Hour), user: fmt.Sprint("v", i), outcome: rules.Allow, key: fmt.Sprint(i)}
		drafts = append(drafts, o.draft(t, true))
	}
	w.Committed(log.append(7, drafts...))
	if s := w.Stats(); s.Keys != 500 || s.Bytes > before+4096 { // the index may have grown
		t.Errorf("figures %+v; want 500 keys in about %d bytes", s, before)
	}
	past := reference.happened[0]
	if got, _ := read(w, set, past.facts()); len(got) != 0 {
		t.Errorf("a window that ends long ago is %v; want unknown", got)
	}
}

func TestPeopleWhoseDataWereErasedAreNotCounted(t *testing.T) {
	set := compile(t, 1, rules.Metric{Name: "actions", Function: rules.Count, Window: "1h"})
	log := &journal{}
	for i := range 5 {
		o := occurrence{at: base, user: "u", outcome: rules.Allow, key: fmt.Sprint(i)}
		d := o.draft(t, false)
		if i < 2 {
			d.Personal, d.Salt = nil, nil
		}
		log.append(7, d)
	}
	w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday})
	ready(t, w)
	if got, _ := read(w, set, (&occurrence{user: "u", at: base}).facts()); got["actions"] != 3 {
		t.Errorf("%v actions are counted; want 3", got["actions"])
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	_, err := metrics.New(metrics.Config{MaxBytes: -1})
	for _, part := range []string{"Log", "Set", "MaxBytes"} {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(part)) {
			t.Errorf("the error %v does not name %s", err, part)
		}
	}
}

// TestWhatWasPreparedIsNotAskedAgain counts what the committer, for whom everybody
// waits, has to ask.
func TestWhatWasPreparedIsNotAskedAgain(t *testing.T) {
	count := func(name string, counts rules.Counted, where string) rules.Metric {
		return rules.Metric{Name: name, Function: rules.Count, Counts: counts, Window: "1h", Where: where}
	}
	set := compile(
		t, 1,
		count("large", rules.CountActions, "custom.amount > 5.0"),
		count("small", rules.CountActions, "custom.amount <= 5.0"),
		count("failed", rules.CountChallenges, "challenge.result == 'failed'"),
		count("ended", rules.CountChallenges, "custom.amount > 7.0"),
		rules.Metric{Name: "often", Function: rules.Count, Counts: rules.CountChallenges, Window: "2h", Where: "custom.amount > 7.0"},
	)
	tests := []struct {
		name     string
		outcome  rules.Outcome
		prepare  int // so many windows prepare the event
		asked    uint64
		prepared uint64
	}{
		{"an allowed action", rules.Allow, 0, 2, 0},
		{"an allowed action, prepared", rules.Allow, 1, 0, 1},
		{"a challenge is asked for each result only where it is read", rules.Challenge, 0, 2 + 4 + 1, 0},
		{"a challenge, prepared", rules.Challenge, 1, 0, 1},
		{"a challenge, prepared for another layout", rules.Challenge, -1, 2 + 4 + 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := &journal{}
			config := metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday}
			w, _ := start(t, config)
			ready(t, w)
			o := occurrence{at: base, user: "u", amount: 8.0, outcome: tt.outcome, key: "k"}
			d := o.draft(t, true)
			switch tt.prepare {
			case 1:
				w.Prepare(&d)
			case -1:
				other, _ := start(t, config)
				ready(t, other)
				other.Prepare(&d)
			}
			run := log.append(7, d)
			before, err := metrics.OccurrenceOf(&run[0])
			if err != nil || before.Facts.User.ID != "u" || before.Outcome != tt.outcome {
				t.Errorf("the occurrence is %+v, %v", before, err)
			}
			w.Committed(run)
			want := map[string]float64{"large": 1, "small": 0, "failed": 0, "ended": 0, "often": 0}
			if tt.outcome == rules.Challenge {
				o.result = rules.ChallengeFailed
				w.Committed(log.append(7, o.draft(t, true)))
				want["failed"], want["ended"], want["often"] = 1, 1, 1
			}
			if s := w.Stats(); s.Asked != tt.asked || s.Prepared != tt.prepared {
				t.Errorf("%d questions were asked and %d events were prepared; want %d and %d", s.Asked, s.Prepared, tt.asked, tt.prepared)
			}
			if got, _ := read(w, set, o.facts()); !cmp.Equal(got, want) {
				t.Errorf("metrics %v; want %v", got, want)
			}
		})
	}
}
