package metrics

import (
	"time"
)

// resultWithin is how long after an action the end of its challenge counts. A
// challenge that ends later is not counted; it has long timed out by then.
const resultWithin = 24 * time.Hour

// result is what the end of a challenge will add to one gauge, for each of the
// results that set a bit of when.
type result struct {
	addition
	when uint8 // bit i: rules.ChallengeResults[i] counts
}

// challenged is an action whose challenge may still end.
type challenged struct {
	action key
	at     int64 // microseconds since 1970
	first  uint64
	n      int
}

// pending remembers what challenges will add when they end: what the facts that
// were recorded with their actions say. An action is forgotten when an event of
// the log is more than resultWithin later than it. Everything is in order of the
// log; first and next count from the beginning of time.
type pending struct {
	actions queue[challenged]
	results queue[result]
	byKey   map[key]uint64 // number of the action in actions; no pointers, so no work for the collector
}

// Bytes that a waiting action and one of its results take, about; when the oldest
// were forgotten, up to twice as many are held until they are used again.
const (
	challengedBytes = 104
	resultBytes     = 48
)

func (p *pending) init() { p.byKey = map[key]uint64{} }

func (p *pending) bytes() int64 {
	return int64(p.actions.len())*challengedBytes + int64(p.results.len())*resultBytes
}

// put remembers an action. What an earlier action of the same name would have
// added is forgotten.
func (p *pending) put(action key, at time.Time, results []result) {
	p.byKey[action] = p.actions.next()
	p.actions.push(challenged{action: action, at: at.UnixMicro(), first: p.results.next(), n: len(results)})
	for _, r := range results {
		p.results.push(r)
	}
}

// end calls count for all that a result of the action's challenge adds.
func (p *pending) end(action key, at time.Time, outcome int, count func(result)) {
	number, found := p.byKey[action]
	if !found {
		return
	}
	c := p.actions.get(number)
	if at.UnixMicro()-c.at > resultWithin.Microseconds() {
		return
	}
	for i := range c.n {
		if r := p.results.get(c.first + uint64(i)); r.when&(1<<outcome) != 0 {
			count(*r)
		}
	}
}

// expire forgets the oldest actions while they are too old at a time.
func (p *pending) expire(now time.Time) {
	for p.actions.len() > 0 && now.UnixMicro()-p.actions.first().at > resultWithin.Microseconds() {
		p.pop()
	}
}

// pop forgets the oldest action, and returns it.
func (p *pending) pop() challenged {
	number, c := p.actions.begin, *p.actions.first()
	if p.byKey[c.action] == number {
		delete(p.byKey, c.action)
	}
	p.actions.drop(1)
	p.results.drop(c.n)
	return c
}

// queue numbers its items from the first that was ever pushed.
type queue[T any] struct {
	items []T
	head  int    // of items: those before were dropped
	begin uint64 // number of the item at head
}

func (q *queue[T]) len() int             { return len(q.items) - q.head }
func (q *queue[T]) next() uint64         { return q.begin + uint64(q.len()) }
func (q *queue[T]) first() *T            { return &q.items[q.head] }
func (q *queue[T]) get(number uint64) *T { return &q.items[q.head+int(number-q.begin)] }

func (q *queue[T]) push(item T) {
	if q.head > 32 && q.head > len(q.items)/2 {
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, item)
}

func (q *queue[T]) drop(n int) {
	q.head += n
	q.begin += uint64(n)
}
