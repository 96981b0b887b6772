package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// errGap means that events before those given were not folded yet.
var errGap = errors.New("earlier events are missing")

// OccurrenceOf is the action that an event tracked, with the facts that were
// recorded, and nil for every other event and where the facts were erased.
func OccurrenceOf(e *events.Event) (*rules.Occurrence, error) {
	if e.Kind != events.KindActionTracked {
		return nil, nil
	}
	if o, ok := e.Local.(*rules.Occurrence); ok && o != nil && o.Facts != nil {
		return o, nil
	}
	if len(e.Personal) == 0 {
		return nil, nil
	}
	var personal struct {
		Facts string `json:"facts"`
	}
	if err := json.Unmarshal(e.Personal, &personal); err != nil {
		return nil, fmt.Errorf("read personal fields of event %v: %w", e.Position, err)
	}
	if personal.Facts == "" {
		return nil, nil
	}
	facts, err := rules.DecodeFacts([]byte(personal.Facts))
	if err != nil {
		return nil, fmt.Errorf("read facts of event %v: %w", e.Position, err)
	}
	var body struct {
		Outcome rules.Outcome `json:"outcome"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return nil, fmt.Errorf("read body of event %v: %w", e.Position, err)
	}
	return &rules.Occurrence{Facts: facts, Outcome: body.Outcome}, nil
}

// ends is the place in rules.ChallengeResults of what a ceremony's end means.
func ends(kind events.Kind) (int, bool) {
	switch kind {
	case events.KindCeremonySucceeded:
		return 0, true
	case events.KindCeremonyFailed:
		return 1, true
	case events.KindCeremonyDenied:
		return 2, true
	case events.KindCeremonyAbandoned:
		return 3, true
	}
	return 0, false
}

// endsAction tells whether a ceremony was about an action, and not about adding
// an authenticator.
func endsAction(e *events.Event) (bool, error) {
	var body struct {
		Purpose string `json:"purpose"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return false, fmt.Errorf("read body of event %v: %w", e.Position, err)
	}
	return body.Purpose == "action", nil
}

// fold adds events. Those that were folded before are skipped; a first one that
// does not follow is errGap, and nothing is folded. With inOrder, the events come
// from the log and follow the position, whatever their epoch says.
func (b *board) fold(run []events.Event, inOrder bool) error {
	b.folding.Lock()
	defer b.folding.Unlock()
	position := b.at()
	for len(run) > 0 && run[0].Epoch == position.Epoch && run[0].Seq <= position.Seq {
		run = run[1:]
	}
	if len(run) == 0 {
		return nil
	}
	if follows := run[0].Epoch == position.Epoch && run[0].Seq == position.Seq+1; !follows && !inOrder {
		return errGap
	}
	for i := range run {
		if err := b.foldEvent(&run[i]); err != nil {
			return err
		}
	}
	return nil
}

// foldEvent works out what the event adds before it makes readers wait.
func (b *board) foldEvent(e *events.Event) error {
	l, s := b.layout, &b.scratch
	s.additions, s.results = s.additions[:0], s.results[:0]
	var o *rules.Occurrence
	var err error
	if len(l.gauges) > 0 { // else there is nothing to count, and facts are not even read
		if o, err = OccurrenceOf(e); err != nil {
			return err
		}
	}
	outcome, isResult := ends(e.Kind)
	isResult = isResult && l.results
	if isResult {
		if isResult, err = endsAction(e); err != nil {
			return err
		}
	}
	if o != nil {
		s.reading.begin()
		s.additions = l.additions(s.additions, s.reading, o)
		if l.results && e.State == events.StateChallengeRequired {
			s.results = l.pending(s.results, s.reading, *o)
		}
	}
	var action key
	if isResult || len(s.results) > 0 {
		action = l.keyOf(rules.Measured{IsText: true, Text: string(e.Action.User) + "\x00" + e.Action.Code + "\x00" + e.Action.Key})
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(s.additions, e.Time)
	if l.results {
		b.waiting.expire(e.Time)
	}
	if isResult {
		b.waiting.end(action, e.Time, outcome, func(r result) { s.additions = append(s.additions, r.addition) })
		b.count(s.additions, e.Time)
	}
	if len(s.results) > 0 {
		b.waiting.put(action, e.Time, s.results)
		for b.waiting.bytes() > b.budget.limit/8 {
			forgotten := b.waiting.pop()
			b.lostResults = max(b.lostResults, forgotten.at/1e6+int64(resultWithin.Seconds()))
		}
	}
	b.position, b.last = e.Position, *e
	b.last.Local = nil
	return nil
}

// pending works out what the end of an action's challenge will add, for each way
// in which it can end.
func (l *layout) pending(to []result, r *reading, o rules.Occurrence) []result {
	first := len(to)
	for i, outcome := range rules.ChallengeResults {
		o.Challenge = outcome
		r.again()
		for _, a := range l.additions(nil, r, &o) {
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
