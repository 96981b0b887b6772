package metrics_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// measure is a metric, and what it means in plain Go.
type measure struct {
	rules.Metric
	per   func(*occurrence) any // nil: unknown
	of    func(*occurrence) any
	where func(*occurrence) bool
}

func user(o *occurrence) any     { return o.user }
func amount(o *occurrence) any   { return o.amount }
func merchant(o *occurrence) any { return o.merchant }
func device(o *occurrence) any   { return orNil(o.device) }
func address(o *occurrence) any  { return orNil(o.address) }
func always(*occurrence) bool    { return true }

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func measures() []measure {
	const challenges = rules.CountChallenges
	return []measure{
		{rules.Metric{Name: "actions", Function: rules.Count, Window: "10m"}, user, nil, always},
		{
			rules.Metric{Name: "spent", Function: rules.Sum, Of: "custom.amount", Window: "24h", Where: "action.outcome == 'ALLOW'"},
			user, amount, func(o *occurrence) bool { return o.outcome == rules.Allow },
		},
		{rules.Metric{Name: "usual", Function: rules.Average, Of: "custom.amount", Per: "device.id", Window: "1h"}, device, amount, always},
		{rules.Metric{Name: "least", Function: rules.Min, Of: "custom.amount", Per: "device.id", Window: "1h"}, device, amount, always},
		{rules.Metric{Name: "most", Function: rules.Max, Of: "custom.amount", Per: "device.id", Window: "2h"}, device, amount, always},
		{rules.Metric{Name: "devices", Function: rules.Distinct, Of: "device.id", Window: "30d"}, user, device, always},
		{rules.Metric{Name: "people", Function: rules.Distinct, Of: "user.id", Per: "ip.address", Window: "1m"}, address, user, always},
		{rules.Metric{Name: "merchants", Function: rules.Distinct, Of: "custom.merchant", Window: "7d"}, user, merchant, always},
		{
			rules.Metric{Name: "traffic", Function: rules.Count, Per: "custom.merchant", Window: "1m", Where: "custom.amount > 50"},
			merchant, nil, func(o *occurrence) bool { v, ok := o.amount.(float64); return ok && v > 50 },
		},
		{
			rules.Metric{Name: "failed", Function: rules.Count, Counts: challenges, Window: "1h", Where: "challenge.result == 'failed'"},
			user, nil, func(o *occurrence) bool { return o.result == rules.ChallengeFailed },
		},
		{
			rules.Metric{
				Name: "proven", Function: rules.Sum, Of: "custom.amount", Per: "device.id", Counts: challenges, Window: "3d",
				Where: "challenge.result == 'succeeded' && action.outcome == 'CHALLENGE' || challenge.result == 'denied'",
			},
			device, amount, func(o *occurrence) bool {
				return o.result == rules.ChallengeSucceeded || o.result == rules.ChallengeDenied
			},
		},
	}
}

func metricsOf(list []measure) []rules.Metric {
	var out []rules.Metric
	for _, m := range list {
		out = append(out, m.Metric)
	}
	return out
}

// reference computes metrics from everything that happened, by the definition of
// rules.Window, and forgets nothing.
type reference struct{ happened []occurrence }

func (r *reference) value(m *measure, about *occurrence) (float64, bool) {
	key := m.per(about)
	if key == nil {
		return 0, false
	}
	window, err := rules.ParseWindow(m.Window)
	if err != nil {
		panic(err)
	}
	steps := map[int64][]float64{}
	latest := map[any]int64{}
	var recent []any // distinct values, the most recently seen last
	tracked := map[events.ActionID]occurrence{}
	var challenged []occurrence // in order of the log
	for _, o := range r.happened {
		for len(challenged) > 0 && o.at.Sub(challenged[0].at) > 24*time.Hour {
			delete(tracked, challenged[0].id())
			challenged = challenged[1:]
		}
		counted := o
		if o.result == "" {
			if o.outcome == rules.Challenge {
				tracked[o.id()] = o
				challenged = append(challenged, o)
			}
		} else {
			action, found := tracked[o.id()]
			if !found || o.at.Sub(action.at) > 24*time.Hour {
				continue
			}
			counted = action
			counted.result = o.result
		}
		if (m.Counts == rules.CountChallenges) != (o.result != "") || m.per(&counted) != key || !m.where(&counted) {
			continue
		}
		step := window.Step(o.at)
		value := any(1.0)
		if m.of != nil {
			if value = m.of(&counted); value == nil {
				continue
			}
		}
		if m.Function == rules.Distinct {
			if was, seen := latest[value]; !seen || step > was {
				latest[value] = step
			}
			recent = append(slices.DeleteFunc(recent, func(v any) bool { return v == value }), value)
			if len(recent) > metrics.MaxDistinct {
				delete(latest, recent[0])
				recent = recent[1:]
			}
			continue
		}
		steps[step] = append(steps[step], value.(float64))
	}
	from, to := window.From(about.at), window.Step(about.at)
	if m.Function == rules.Distinct {
		n := 0
		for _, v := range recent {
			if latest[v] >= from && latest[v] <= to+rules.WindowSteps {
				n++
			}
		}
		return float64(n), true
	}
	var in []int64
	for step := range steps {
		if step >= from && step <= to {
			in = append(in, step)
		}
	}
	slices.Sort(in)
	return sumUp(m.Function, in, steps)
}

func sumUp(f rules.Function, in []int64, steps map[int64][]float64) (float64, bool) {
	total, n := 0.0, 0
	for _, step := range in {
		part := 0.0
		for i, v := range steps[step] {
			switch {
			case i == 0:
				part = v
			case f == rules.Min:
				part = min(part, v)
			case f == rules.Max:
				part = max(part, v)
			default:
				part += v
			}
		}
		switch {
		case n == 0:
			total = part
		case f == rules.Min:
			total = min(total, part)
		case f == rules.Max:
			total = max(total, part)
		default:
			total += part
		}
		n += len(steps[step])
	}
	switch {
	case f == rules.Count:
		return float64(n), true
	case f == rules.Sum:
		return total, true
	case n == 0:
		return 0, false
	case f == rules.Average:
		return total / float64(n), true
	}
	return total, true
}

func (r *reference) read(list []measure, about *occurrence) map[string]float64 {
	values := map[string]float64{}
	for i := range list {
		if v, known := r.value(&list[i], about); known {
			values[list[i].Name] = v
		}
	}
	return values
}

// world makes up what happens.
type world struct {
	*rand.Rand
	now  time.Time
	open []occurrence // actions whose challenge may end
	n    int
}

func newWorld(seed uint64) *world {
	return &world{Rand: rand.New(rand.NewPCG(seed, 1)), now: base}
}

// next is one more occurrence. Clocks mostly go on, by anything from nothing to
// hours, and sometimes back.
func (w *world) next() occurrence {
	switch w.IntN(20) {
	case 0:
		w.now = w.now.Add(-time.Duration(w.Int64N(int64(20 * time.Minute))))
	case 1:
		w.now = w.now.Add(time.Duration(w.Int64N(int64(4 * time.Hour))))
	case 2:
		w.now = w.now.Truncate(time.Minute).Add(time.Minute) // the edge of a step
	default:
		w.now = w.now.Add(time.Duration(w.Int64N(int64(20 * time.Second))))
	}
	if len(w.open) > 0 && w.IntN(3) == 0 {
		o := w.open[w.IntN(len(w.open))]
		o.result = rules.ChallengeResults[w.IntN(len(rules.ChallengeResults))]
		o.at = w.now.Truncate(time.Microsecond)
		return o
	}
	w.n++
	o := w.somebody()
	o.key = fmt.Sprintf("k%d", w.n)
	o.outcome = []rules.Outcome{rules.Allow, rules.Allow, rules.Challenge, rules.Review, rules.Block}[w.IntN(5)]
	if o.outcome == rules.Challenge {
		w.open = append(w.open, o)
	}
	return o
}

// somebody is an action without an outcome.
func (w *world) somebody() occurrence {
	o := occurrence{at: w.now.Truncate(time.Microsecond), user: fmt.Sprintf("u%d", w.IntN(6)), merchant: float64(w.IntN(5))}
	if w.IntN(8) > 0 {
		o.device = fmt.Sprintf("d%d", w.IntN(9))
	}
	if w.IntN(8) > 0 {
		o.address = fmt.Sprintf("192.0.2.%d", w.IntN(4))
	}
	if w.IntN(5) > 0 {
		o.amount = float64(w.IntN(100_000)) / 1000
	}
	return o
}

func TestValuesAreThoseOfTheWrittenDefinition(t *testing.T) {
	list := measures()
	set := compile(t, 1, metricsOf(list)...)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("log ", seed), func(t *testing.T) {
			log, world, reference := &journal{}, newWorld(seed), &reference{}
			w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday})
			ready(t, w)
			foreign, _ := start(t, metrics.Config{Log: &journal{}, Set: func() *rules.Set { return set }, Now: yesterday})
			ready(t, foreign)
			for i := range 1500 {
				o := world.next()
				// What is folded comes from the bytes, from the writer, or was prepared, for
				// these windows or for others with other keys.
				d := o.draft(t, i%4 > 0)
				switch i % 4 {
				case 2:
					w.Prepare(&d)
				case 3:
					foreign.Prepare(&d)
				}
				w.Committed(log.append(7, d))
				reference.happened = append(reference.happened, o)
				if i%13 != 0 {
					continue
				}
				about := world.somebody()
				about.at = world.now.Add(time.Duration(world.Int64N(int64(time.Minute))) - 30*time.Second)
				got, at := read(w, set, about.facts())
				if at.Seq != uint64(i)+1 {
					t.Fatalf("after event %d the position is %v", i+1, at)
				}
				if diff := cmp.Diff(reference.read(list, &about), got); diff != "" {
					t.Fatalf("after event %d, about %+v (-reference +windows):\n%s", i+1, about, diff)
				}
			}
		})
	}
}

// yesterday is the clock of windows whose memory must reach back to all that a
// test makes up.
func yesterday() time.Time { return base.Add(-24 * time.Hour) }

func TestABusyKeyCountsEverything(t *testing.T) {
	list := measures()
	set := compile(t, 1, metricsOf(list)...)
	log, reference := &journal{}, &reference{}
	w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday})
	ready(t, w)
	random := rand.New(rand.NewPCG(1, 2))
	var drafts []events.Draft
	at := base
	for i := range 3000 {
		at = at.Add(time.Duration(random.Int64N(int64(5 * time.Second))))
		o := occurrence{
			at: at.Truncate(time.Microsecond), user: "busy", device: fmt.Sprint("d", random.IntN(1300)), address: "192.0.2.1",
			merchant: float64(random.IntN(2000)), amount: random.Float64() * 100, outcome: rules.Allow, key: fmt.Sprint(i),
		}
		reference.happened = append(reference.happened, o)
		drafts = append(drafts, o.draft(t, true))
	}
	w.Committed(log.append(7, drafts...))
	about := reference.happened[len(reference.happened)-1]
	for _, after := range []time.Duration{0, time.Second, 30 * time.Second, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour} {
		about.at = at.Add(after)
		got, _ := read(w, set, about.facts())
		if diff := cmp.Diff(reference.read(list, &about), got); diff != "" {
			t.Errorf("%v later (-reference +windows):\n%s", after, diff)
		}
	}
	about.at = at
	if got, _ := read(w, set, about.facts()); got["devices"] != metrics.MaxDistinct || got["merchants"] != metrics.MaxDistinct {
		t.Errorf("%v devices and %v merchants; want %d of each", got["devices"], got["merchants"], metrics.MaxDistinct)
	}
}

func TestAWindowThatIsNotAllKeptIsUnknown(t *testing.T) {
	set := compile(t, 1, rules.Metric{Name: "actions", Function: rules.Count, Window: "1m"})
	log := &journal{}
	w, _ := start(t, metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday})
	ready(t, w)
	for i := range 120 { // fills all steps that are kept
		o := occurrence{at: base.Add(time.Duration(i) * time.Second), user: "u", outcome: rules.Allow, key: fmt.Sprint(i)}
		w.Committed(log.append(7, o.draft(t, true)))
	}
	about := occurrence{user: "u"}
	for _, tt := range []struct {
		end   int // seconds after base
		known bool
		want  float64
	}{{119, true, 60}, {59, true, 60}, {58, false, 0}, {200, true, 0}, {178, true, 1}} {
		about.at = base.Add(time.Duration(tt.end) * time.Second)
		got, _ := read(w, set, about.facts())
		if v, known := got["actions"]; known != tt.known || v != tt.want {
			t.Errorf("a window that ends after %d s has %v, %v; want %v, %v", tt.end, v, known, tt.want, tt.known)
		}
	}
}
