package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

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
	switch local := e.Local.(type) {
	case *prepared:
		return local.occurrence, nil
	case *rules.Occurrence:
		if local != nil && local.Facts != nil {
			return local, nil
		}
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

// ends is the place in rules.ChallengeResults of what an event means that ends a
// challenge. It reports false for every other one, the end of a ceremony that adds
// an authenticator among them.
func ends(e *events.Event) (place int, ends bool, err error) {
	var result rules.ChallengeResult
	switch e.Kind {
	case events.KindCeremonySucceeded:
		result = rules.ChallengeSucceeded
	case events.KindCeremonyFailed:
		result = rules.ChallengeFailed
	case events.KindCeremonyDenied:
		result = rules.ChallengeDenied
	case events.KindCeremonyAbandoned:
		result = rules.ChallengeAbandoned
	default:
		return 0, false, nil
	}
	var body struct {
		Purpose string `json:"purpose"`
		Browser string `json:"browser"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return 0, false, fmt.Errorf("read body of event %v: %w", e.Position, err)
	}
	if result == rules.ChallengeFailed && body.Browser != "" {
		result = rules.ChallengeAbandoned // a failed challenge means a wrong answer, and this is none
	}
	return slices.Index(rules.ChallengeResults[:], result), body.Purpose == "action", nil
}

// tally counts what folding had to do.
type tally struct {
	asked    atomic.Uint64 // how often it was asked whether a metric counts something
	prepared atomic.Uint64 // events that came with their shares
}

// fold adds events. Those that were folded before are skipped; a first one that
// does not follow is errGap, and nothing is folded. With inOrder, the events come
// from the log and follow the position, whatever their epoch says. What the events
// add is worked out before anybody else who folds has to wait.
func (b *board) fold(run []events.Event, inOrder bool, t *tally) error {
	run = b.news(run)
	if len(run) == 0 {
		return nil
	}
	r := b.layout.readings.Get().(*reading)
	defer b.layout.readings.Put(r)
	shares, failure := b.layout.sharesOf(run, r, t)
	defer clear(shares) // the pool keeps no one's events

	b.folding.Lock()
	defer b.folding.Unlock()
	rest := b.news(run)
	if len(rest) == 0 {
		return nil
	}
	position := b.at()
	if follows := rest[0].Epoch == position.Epoch && rest[0].Seq == position.Seq+1; !follows && !inOrder {
		return errGap
	}
	for i := len(run) - len(rest); i < len(shares); i++ {
		b.foldEvent(&run[i], &shares[i])
	}
	return failure
}

// news are the events of a run that were not folded yet.
func (b *board) news(run []events.Event) []events.Event {
	position := b.at()
	for len(run) > 0 && run[0].Epoch == position.Epoch && run[0].Seq <= position.Seq {
		run = run[1:]
	}
	return run
}

// foldEvent adds the share of an event.
func (b *board) foldEvent(e *events.Event, s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(s.additions, e.Time)
	if b.layout.results {
		b.waiting.expire(e.Time)
	}
	if s.ends {
		additions := b.scratch.additions[:0]
		b.waiting.end(s.action, e.Time, s.result, func(r result) { additions = append(additions, r.addition) })
		b.count(additions, e.Time)
		b.scratch.additions = additions
	}
	if len(s.pending) > 0 {
		b.waiting.put(s.action, e.Time, s.pending)
		for b.waiting.bytes() > b.budget.limit/8 {
			forgotten := b.waiting.pop()
			b.lostResults = max(b.lostResults, forgotten.at/1e6+int64(resultWithin.Seconds()))
		}
	}
	b.position, b.last = e.Position, *e
	b.last.Local = nil
}
