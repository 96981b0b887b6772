package metrics

import (
	"slices"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// share is what an event adds to the windows of a layout. It holds for this layout
// alone, since the keys are made with the layout's secret.
type share struct {
	layout    *layout
	additions []addition // at once
	pending   []result   // when the challenge of the action ends
	action    key        // set when something is pending, and for the end of a challenge
	ends      bool       // the event is the end of a challenge
	result    int        // place in rules.ChallengeResults of how it ended
}

// prepared is an occurrence with its shares, as Draft.Local carries it to the
// observers of the log. It does not change any more.
type prepared struct {
	occurrence *rules.Occurrence
	shares     []share
}

// shareOf is the share of a layout, if it was prepared.
func (p *prepared) shareOf(l *layout) (share, bool) {
	for i := range p.shares {
		if p.shares[i].layout == l {
			return p.shares[i], true
		}
	}
	return share{}, false
}

// Prepare implements engine.Preparer: it asks the conditions of the metrics and
// hashes the keys, so that Committed, for which everybody waits, need not.
func (w *Windows) Prepare(d *events.Draft) {
	o, ok := d.Local.(*rules.Occurrence)
	if !ok || o == nil || o.Facts == nil || d.Kind != events.KindActionTracked {
		return
	}
	w.mu.Lock()
	boards := w.boards
	w.mu.Unlock()
	if len(boards) == 0 {
		return
	}
	p := &prepared{occurrence: o}
	event := events.Event{Draft: *d}
	for _, b := range boards {
		r := b.layout.readings.Get().(*reading)
		r.additions, r.results = r.additions[:0], r.results[:0]
		s, err := b.layout.share(&event, r)
		s.additions, s.pending = slices.Clone(s.additions), slices.Clone(s.pending)
		b.layout.readings.Put(r)
		if err == nil { // else whoever folds finds it as well
			p.shares = append(p.shares, s)
		}
	}
	d.Local = p
}

// sharesOf works out the share of each event that does not have it. With an error
// there are fewer shares than events. They hold until the reading is used again.
func (l *layout) sharesOf(run []events.Event, r *reading, t *tally) (shares []share, err error) {
	r.additions, r.results, r.asked = r.additions[:0], r.results[:0], 0
	shares, found := r.shares[:0], uint64(0)
	for i := range run {
		var s share
		p, ready := run[i].Local.(*prepared)
		if ready {
			s, ready = p.shareOf(l)
		}
		if ready {
			found++
		} else if s, err = l.share(&run[i], r); err != nil {
			break
		}
		shares = append(shares, s)
	}
	r.shares = shares
	if t != nil {
		t.asked.Add(r.asked)
		t.prepared.Add(found)
	}
	return shares, err
}

// share works out what an event adds. Additions and results are kept in the
// reading.
func (l *layout) share(e *events.Event, r *reading) (share, error) {
	s := share{layout: l}
	if len(l.gauges) == 0 { // there is nothing to count, and facts are not even read
		return s, nil
	}
	o, err := OccurrenceOf(e)
	if err != nil {
		return s, err
	}
	if l.results {
		if s.result, s.ends, err = ends(e); err != nil {
			return s, err
		}
	}
	if o != nil {
		r.begin()
		first := len(r.additions)
		r.additions = l.additions(r.additions, r, o)
		s.additions = r.additions[first:len(r.additions):len(r.additions)]
		if l.results && e.State == events.StateChallengeRequired {
			first := len(r.results)
			r.results = l.pending(r.results, r, *o)
			s.pending = r.results[first:len(r.results):len(r.results)]
		}
	}
	if s.ends || len(s.pending) > 0 {
		s.action = l.keyOf(rules.Measured{IsText: true, Text: string(e.Action.User) + "\x00" + e.Action.Code + "\x00" + e.Action.Key})
	}
	return s, nil
}

// pending works out what the end of an action's challenge will add, for each way
// in which it can end.
func (l *layout) pending(to []result, r *reading, o rules.Occurrence) []result {
	first := len(to)
	for i, outcome := range rules.ChallengeResults {
		o.Challenge = outcome
		for filter, reads := range l.readResult {
			if reads {
				r.met[filter] = unread
			}
		}
		r.ending = l.additions(r.ending[:0], r, &o)
		for _, a := range r.ending {
			known := slices.IndexFunc(to[first:], func(r result) bool { return r.gauge == a.gauge })
			if known < 0 {
				known = len(to) - first
				to = append(to, result{addition: a})
			}
			to[first+known].when |= 1 << i
		}
	}
	return to
}
