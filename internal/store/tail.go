package store

import (
	"slices"
	"sync"

	"github.com/sallyport/sallyport/events"
)

// tailBytes bounds the events that are kept in memory behind the head. The relay
// reads what was just committed, and need not ask SQL for it.
const tailBytes = 4 << 20

// tail is the end of the log as this process knows it: the head and, on SQLite,
// where nobody else writes, the newest events.
type tail struct {
	mu     sync.Mutex
	head   events.Position
	recent []events.Event // neighbours, the last one at head
	size   int            // of recent, bytes
	wake   chan struct{}  // closed at the next change; nil while nobody waits
}

// start sets the head that the database had on opening.
func (l *tail) start(head events.Position) { l.head = head }

func (l *tail) position() events.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// move sets the head after commits of which this process does not have the events.
func (l *tail) move(head events.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head, l.recent, l.size = head, nil, 0
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// changed is closed once the head moves.
func (l *tail) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.wake
}

// Observe calls f with the events of each group that this process commits, in
// order of their positions, before their writers are answered and before Head
// tells of them. It must be called before the first write; several observers are
// called in the order in which they came. f runs in the committer: it must be
// quick, must not write, and must not keep the slice. Draft.Local is still there.
//
// Events of other nodes are not among them, nor are those of a commit that failed
// when it cannot be told whether it happened: a gap between the positions of two
// calls means that the log holds more.
func (s *Store) Observe(f func([]events.Event)) { s.observers = append(s.observers, f) }

// committed tells of a committed group.
func (s *Store) committed(t *tx) {
	if len(t.logged) > 0 {
		for _, observe := range s.observers {
			observe(t.logged)
		}
		for i := range t.logged {
			t.logged[i].Local = nil // what is kept and what readers get are the bytes
		}
	}
	l := &s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.erased || len(t.logged) > 0 && (t.head.Epoch != l.head.Epoch || t.logged[0].Seq != l.head.Seq+1) {
		l.recent, l.size = nil, 0
	}
	if len(t.logged) == 0 {
		return
	}
	l.head = t.head
	if s.dialect == sqlite && !t.erased {
		l.keep(t.logged)
	}
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// keep appends events and forgets the oldest beyond tailBytes.
func (l *tail) keep(run []events.Event) {
	for _, e := range run {
		l.size += sizeOf(e)
	}
	l.recent = append(l.recent, run...)
	drop := 0
	for l.size > tailBytes {
		l.size -= sizeOf(l.recent[drop])
		drop++
	}
	clear(l.recent[:drop])
	l.recent = l.recent[drop:]
}

// sizeOf is about what an event takes in memory, bytes.
func sizeOf(e events.Event) int { return 256 + len(e.Body) + len(e.Personal) }

// after returns what of the recent events follows a position, at most limit.
func (l *tail) after(p events.Position, limit int) []events.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 || p.Epoch != l.head.Epoch || p.Seq+1 < l.recent[0].Seq || p.Seq >= l.head.Seq {
		return nil
	}
	from := int(p.Seq + 1 - l.recent[0].Seq)
	return slices.Clone(l.recent[from:min(len(l.recent), from+limit)])
}
