package lists

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Poll is how often a keeper looks for changes: the longest time for which an
// item that another node added is not in force here.
const Poll = time.Second

// batch is about how many changes are asked for at a time.
const batch = 10_000

// Keeper holds the items of every list in memory. It is safe for concurrent use;
// looking something up takes no lock.
type Keeper struct {
	source Source
	log    *slog.Logger
	hash   hasher
	state  atomic.Pointer[state]
	nudged chan struct{}

	turn   chan struct{} // held by the one who loads
	asked  atomic.Uint64 // counts the calls of Refresh
	served uint64        // the last of them that a load has answered; of the turn's holder

	failing atomic.Pointer[failure] // nil while changes can be read
}

// state is every list at one version.
type state struct {
	version  int64
	sets     map[string]*set
	unusable int // items that could not be read
}

// failure is why changes cannot be read.
type failure struct {
	err   error
	since time.Time
}

// NewKeeper makes a keeper that holds nothing yet: every test is unknown until
// Refresh or Run has read the lists. A nil log logs nothing.
func NewKeeper(source Source, log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{source: source, log: log, hash: newHasher(), nudged: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
}

// Run reads the lists and what changes until ctx ends. A source that cannot be
// read is logged and asked again; what was read before stays in force.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(Poll)
	defer ticker.Stop()
	logged := false
	for {
		err := k.Refresh(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !logged {
			k.log.ErrorContext(ctx, "lists cannot be read; the items that were read before stay in force", "error", err)
		}
		logged = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-k.nudged:
		}
	}
}

// Nudge makes Run look for changes now. It does not wait.
func (k *Keeper) Nudge() {
	select {
	case k.nudged <- struct{}{}:
	default:
	}
}

// Refresh reads every change that was committed before it was called. Callers
// at the same time share one reading.
func (k *Keeper) Refresh(ctx context.Context) error {
	asked := k.asked.Add(1)
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("read lists: %w", context.Cause(ctx))
	}
	defer func() { <-k.turn }()
	if k.served >= asked {
		return nil // by a reading that began after this call
	}
	covers := k.asked.Load()
	err := k.load(ctx)
	switch {
	case err == nil:
		k.served = covers
		k.failing.Store(nil)
	case ctx.Err() == nil && k.failing.Load() == nil:
		k.failing.Store(&failure{err, time.Now()})
	}
	return err
}

// load brings the state up to the source's version. Readers see all of what it
// read or nothing.
func (k *Keeper) load(ctx context.Context) error {
	version, err := k.source.ListVersion(ctx)
	if err != nil {
		return fmt.Errorf("read version of lists: %w", err)
	}
	next := &state{sets: map[string]*set{}}
	if now := k.state.Load(); now != nil {
		if now.version == version {
			return nil
		}
		if now.version < version { // else the source is another one: everything anew
			*next = state{version: now.version, sets: maps.Clone(now.sets), unusable: now.unusable}
		}
	}
	edited := map[string]bool{}
	for next.version < version {
		changes, upTo, err := k.source.ListChanges(ctx, next.version, batch)
		if err != nil {
			return fmt.Errorf("read changes of lists after version %d: %w", next.version, err)
		}
		if upTo <= next.version {
			return fmt.Errorf("read changes of lists: there is none between versions %d and %d", next.version, version)
		}
		for i := range changes {
			k.apply(next, edited, &changes[i])
		}
		next.version = upTo
	}
	for name := range edited {
		if s, there := next.sets[name]; there {
			s.freeze()
		}
	}
	k.state.Store(next)
	return nil
}

// apply makes one change to a state that nobody reads yet.
func (k *Keeper) apply(next *state, edited map[string]bool, c *Change) {
	if c.Dropped {
		delete(next.sets, c.List)
		delete(edited, c.List)
		return
	}
	s, there := next.sets[c.List]
	switch {
	case !there || s.typ != c.Type:
		s = &set{typ: c.Type}
	case !edited[c.List]:
		s = s.edit()
	}
	next.sets[c.List], edited[c.List] = s, true
	var err error
	switch {
	case c.Item.Value == "": // the list itself was made or described
	case c.Removed:
		err = s.remove(k.hash, c.Item.Value)
	default:
		err = s.put(k.hash, c.Item.Value, c.Item.Expires)
	}
	if err != nil {
		next.unusable++
		k.log.Error("an item of a list cannot be used: its value "+err.Error(), "list", c.List)
	}
}

// Test implements engine.Lists. It is unknown for a list that is not there or
// was not read yet, and for a value that the list cannot hold, such as a text
// that is no address. An item that has expired at now is not in its list.
func (k *Keeper) Test(list string, value any, now time.Time) rules.Value[bool] {
	if current := k.state.Load(); current != nil {
		if s, there := current.sets[list]; there {
			return s.test(k.hash, value, now)
		}
	}
	return rules.Value[bool]{}
}

// Version implements engine.Lists. It is 0 before the lists were read.
func (k *Keeper) Version() int64 {
	if current := k.state.Load(); current != nil {
		return current.version
	}
	return 0
}

// Immediate implements engine.Instant.
func (k *Keeper) Immediate() {}

// Health tells whether the lists in memory are what the source has.
func (k *Keeper) Health() events.Health {
	current, failed := k.state.Load(), k.failing.Load()
	switch {
	case current == nil && failed != nil:
		return events.Health{Status: events.StatusDegraded, Detail: "The lists cannot be read, so every list test is unknown: " + failed.err.Error()}
	case current == nil:
		return events.Health{Status: events.StatusDegraded, Detail: "The lists are being read; until then every list test is unknown."}
	case failed != nil:
		return events.Health{Status: events.StatusDegraded, Detail: fmt.Sprintf("Changes of lists cannot be read since %s, so newer ones are not in force: %v",
			failed.since.UTC().Format(time.RFC3339), failed.err)}
	case current.unusable > 0:
		return events.Health{Status: events.StatusDegraded, Detail: fmt.Sprintf("%d items of lists cannot be used; the log names the lists.", current.unusable)}
	}
	return events.Health{Status: events.StatusOK}
}
