package backtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Config says what to replay.
type Config struct {
	Log metrics.Log
	// Sets finds and compiles a published set. An error means that there is none.
	Sets func(ctx context.Context, number int) (*rules.Set, error)
	// Draft decides instead of the sets that were in force. Nil means these.
	Draft *rules.Set
	// From and To bound the time of the decisions: From is in, To is out. The zero To
	// means everything from From on.
	From, To time.Time
	Action   string // only decisions with this action code; "" means all
	Limit    int    // of decisions; 0 means no limit
	MaxBytes int64  // of the metrics in memory; 0: metrics.DefaultMaxBytes
	// EnrolByEmail is what the engine is configured with now, see engine.Config. Whether
	// an address was known is what the facts say.
	EnrolByEmail bool
}

const (
	// batch is how many events are read at once.
	batch = 512
	// reach is how far before the first decision its metrics may count; clocks differ.
	reach = rules.MaxWindow + 24*time.Hour
	// forgetEvery is after how many events what has left every window is dropped, and
	// forgetAfter how much older than them it must be.
	forgetEvery = 100_000
	forgetAfter = time.Hour
	// minLag is how far events are read ahead at least.
	minLag = 256
)

// Replay decides again. It reads the log twice: once to find the decisions and how
// far before themselves they looked, and once to repeat them.
func Replay(ctx context.Context, config Config) (Report, error) {
	r := &replay{config: config, sets: map[int]*rules.Set{}, changes: map[[2]rules.Outcome]int{}, states: map[[2]events.ActionState]int{}, rules: map[string]*RuleReport{}}
	r.report = Report{From: config.From, To: config.To, Unready: map[string]int{}}
	if config.Log == nil || config.Draft == nil && config.Sets == nil {
		return Report{}, errors.New("replay: a Log, and Sets or a Draft, are needed")
	}
	if err := r.survey(ctx); err != nil {
		return Report{}, fmt.Errorf("replay: %w", err)
	}
	if err := r.repeat(ctx); err != nil {
		return Report{}, fmt.Errorf("replay: %w", err)
	}
	return r.finish(), nil
}

type replay struct {
	config  Config
	report  Report
	sets    map[int]*rules.Set // nil where there is none
	windows []*shared
	first   events.Position // of the first decision to be repeated
	last    events.Position // of the last one
	lag     uint64          // how many events a decision did not count that stand before it, at most
	begins  time.Time       // of the log, when what is older is gone; zero when it is whole
	erased  bool            // facts of some event that was folded are gone
	changes map[[2]rules.Outcome]int
	states  map[[2]events.ActionState]int
	rules   map[string]*RuleReport
}

// shared are the metrics of several sets.
type shared struct {
	*metrics.Replay
	meters map[string]*rules.Meter
}

// index numbers the events that a reader sees, across epochs.
type index struct {
	next  uint64
	bases map[events.Epoch]uint64 // number of an epoch's event minus its seq
}

// see gives the next event its number.
func (x *index) see(p events.Position) uint64 {
	if x.bases == nil {
		x.bases, x.next = map[events.Epoch]uint64{}, 1<<62
	}
	if _, seen := x.bases[p.Epoch]; !seen {
		x.bases[p.Epoch] = x.next - p.Seq
	}
	n := x.bases[p.Epoch] + p.Seq
	x.next = n + 1
	return n
}

// of is the number of a position, if the reader has seen its epoch.
func (x *index) of(p events.Position) (uint64, bool) {
	base, seen := x.bases[p.Epoch]
	return base + p.Seq, seen
}

// read calls see for each event after a position, in order, until it returns
// false.
func (r *replay) read(ctx context.Context, after events.Position, see func(*events.Event) (bool, error)) error {
	for {
		run, err := r.config.Log.EventsAfter(ctx, after, batch)
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if len(run) == 0 {
			return nil
		}
		for i := range run {
			if err := ctx.Err(); err != nil { // what follows may take milliseconds for each
				return fmt.Errorf("read the log: %w", context.Cause(ctx))
			}
			if more, err := see(&run[i]); err != nil || !more {
				return err
			}
		}
		after = run[len(run)-1].Position
	}
}

// wanted tells whether an event is a decision that is asked for.
func (r *replay) wanted(e *events.Event) bool {
	return e.Kind == events.KindActionTracked && !e.Time.Before(r.config.From) &&
		(r.config.To.IsZero() || e.Time.Before(r.config.To)) && (r.config.Action == "" || e.Action.Code == r.config.Action)
}

// past tells whether no decision that is asked for can follow; clocks may go back
// by less than a day.
func (r *replay) past(e *events.Event) bool {
	return !r.config.To.IsZero() && e.Time.After(r.config.To.Add(24*time.Hour))
}

// survey finds the decisions, their sets, and how far back they looked.
func (r *replay) survey(ctx context.Context) error {
	r.lag = minLag
	from, err := r.config.Log.PositionBefore(ctx, r.config.From.Add(-24*time.Hour))
	if err != nil {
		return fmt.Errorf("find the first decision: %w", err)
	}
	var seen index
	return r.read(ctx, from, func(e *events.Event) (bool, error) {
		number := seen.see(e.Position)
		if !r.wanted(e) {
			return !r.past(e), nil
		}
		if r.config.Limit > 0 && r.report.Decisions == r.config.Limit {
			r.report.Cut = true
			return false, nil
		}
		d, err := newDecision(e)
		if err != nil {
			return false, err
		}
		if r.report.Decisions == 0 {
			r.first = e.Position
		}
		r.report.Decisions++
		r.last = e.Position
		if set, err := r.set(ctx, d.tracked.Set); err != nil {
			return false, err
		} else if set != nil {
			r.share(set)
		}
		if at, known := seen.of(d.asOf); d.asOf != (events.Position{}) && known && at < number {
			r.lag = max(r.lag, number-at)
		}
		return true, nil
	})
}

// set is the set that decides now in the place of a recorded one; nil when there
// is none.
func (r *replay) set(ctx context.Context, number int) (*rules.Set, error) {
	if r.config.Draft != nil {
		return r.config.Draft, nil
	}
	set, known := r.sets[number]
	if !known {
		var err error
		if set, err = r.config.Sets(ctx, number); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			set = nil
		}
		r.sets[number] = set
	}
	return set, nil
}

// share sees to it that the metrics of a set are computed together with those of
// others, as far as they fit.
func (r *replay) share(set *rules.Set) {
	if len(set.Meters()) == 0 || r.windowsOf(set) != nil {
		return
	}
	for _, w := range r.windows {
		together := maps.Clone(w.meters)
		for _, m := range set.Meters() {
			together[m.ID()] = m
		}
		if len(together) <= rules.MaxMetrics {
			w.meters = together
			return
		}
	}
	w := &shared{meters: map[string]*rules.Meter{}}
	for _, m := range set.Meters() {
		w.meters[m.ID()] = m
	}
	r.windows = append(r.windows, w)
}

// windowsOf are the windows with all metrics of a set.
func (r *replay) windowsOf(set *rules.Set) *shared {
	for _, w := range r.windows {
		if !slices.ContainsFunc(set.Meters(), func(m *rules.Meter) bool { return w.meters[m.ID()] == nil }) {
			return w
		}
	}
	return nil
}

// waiting is a decision that waits for its position.
type waiting struct {
	*decision
	at uint64 // number of the last event that its metrics count
}

// fold is the second way through the log.
type fold struct {
	*replay
	index index
	ahead []events.Event // read and not folded yet
	due   []waiting      // in the order of at
	n     int            // events that were folded
}

// repeat folds the log from long enough before the first decision. Events are read
// ahead of that by the lag, so that each decision is known when its position comes.
func (r *replay) repeat(ctx context.Context) error {
	if r.report.Decisions == 0 {
		return nil
	}
	for _, w := range r.windows {
		w.Replay = metrics.NewReplay(slices.Collect(maps.Values(w.meters)), r.config.MaxBytes)
	}
	begin := r.config.From.Add(-24 * time.Hour)
	if len(r.windows) > 0 {
		begin = r.config.From.Add(-reach)
	}
	from, err := r.config.Log.PositionBefore(ctx, begin)
	if err != nil {
		return fmt.Errorf("find where metrics begin: %w", err)
	}
	f := fold{replay: r}
	any, deciding := false, false
	err = r.read(ctx, from, func(e *events.Event) (bool, error) {
		if !any && from == (events.Position{}) && e.Seq != 1 {
			r.begins = e.Time
		}
		any = true
		number := f.index.see(e.Position)
		deciding = deciding || e.Position == r.first
		if deciding && r.wanted(e) {
			if err := f.wait(e, number); err != nil {
				return false, err
			}
		}
		f.ahead = append(f.ahead, *e)
		return e.Position != r.last, f.advance(ctx, r.lag)
	})
	if err != nil {
		return err
	}
	return f.advance(ctx, 0)
}

// wait lets the decision of an event wait for its position.
func (f *fold) wait(e *events.Event, number uint64) error {
	d, err := newDecision(e)
	if err != nil {
		return err
	}
	if d.occurrence != nil {
		e.Local = d.occurrence // decoded once
	}
	w := waiting{d, number - 1}
	if d.asOf != (events.Position{}) {
		at, known := f.index.of(d.asOf)
		if !known || at >= number || len(f.ahead) > 0 && at+1 < f.next() {
			f.report.Unplaced++
			return nil
		}
		w.at = at
	}
	place, _ := slices.BinarySearchFunc(f.due, w.at+1, func(w waiting, at uint64) int { return cmp.Compare(w.at, at) })
	f.due = slices.Insert(f.due, place, w)
	return nil
}

// next is the number of the event that is folded next.
func (f *fold) next() uint64 {
	n, _ := f.index.of(f.ahead[0].Position)
	return n
}

// advance folds until no more events are ahead than keep, and repeats each
// decision at its position. With nothing to keep it repeats all.
func (f *fold) advance(ctx context.Context, keep uint64) error {
	for uint64(len(f.ahead)) > keep {
		next := f.next()
		for len(f.due) > 0 && f.due[0].at < next { // counts all before this event
			if ctx.Err() != nil {
				return fmt.Errorf("repeat decisions: %w", context.Cause(ctx))
			}
			if err := f.decide(ctx, f.due[0].decision); err != nil {
				return err
			}
			f.due = f.due[1:]
		}
		if err := f.add(&f.ahead[0]); err != nil {
			return err
		}
		if f.n++; f.n%forgetEvery == 0 {
			for _, w := range f.windows {
				w.Forget(f.ahead[0].Time.Add(-forgetAfter))
			}
		}
		f.ahead[0] = events.Event{}
		f.ahead = f.ahead[1:]
	}
	return nil
}

// add adds an event to all metrics.
func (r *replay) add(e *events.Event) error {
	if e.Kind == events.KindActionTracked && len(e.Personal) == 0 {
		r.erased = true
	}
	if len(r.windows) > 1 && e.Kind == events.KindActionTracked && e.Local == nil {
		o, err := metrics.OccurrenceOf(e)
		if err != nil {
			return err
		}
		if o != nil {
			e.Local = o
		}
	}
	for _, w := range r.windows {
		if err := w.Fold([]events.Event{*e}); err != nil {
			return err
		}
	}
	return nil
}

// finish puts the counts in order.
func (r *replay) finish() Report {
	order := []rules.Outcome{rules.Allow, rules.Challenge, rules.Review, rules.Block}
	for _, from := range order {
		for _, to := range order {
			if n := r.changes[[2]rules.Outcome{from, to}]; n > 0 {
				r.report.Outcomes = append(r.report.Outcomes, Change{From: from, To: to, Count: n})
			}
		}
	}
	states := slices.SortedFunc(maps.Keys(r.states), func(a, b [2]events.ActionState) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	for _, s := range states {
		r.report.States = append(r.report.States, StateChange{From: s[0], To: s[1], Count: r.states[s]})
	}
	for _, id := range slices.Sorted(maps.Keys(r.rules)) {
		r.report.Rules = append(r.report.Rules, *r.rules[id])
	}
	return r.report
}
