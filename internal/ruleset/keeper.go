// Package ruleset keeps the rule set in force. It reads the current number once
// a second, compiles a new set when there is one, and hands it out through an
// atomic pointer, so that a decision never waits for a rule set and never sees
// half of one.
package ruleset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Poll is how often a keeper looks for a new set: the longest time for which two
// nodes may decide by different sets.
const Poll = time.Second

// Latest as the base of Publish replaces whatever set is in force.
const Latest = -1

// Store keeps published sets. internal/store implements it.
type Store interface {
	// CurrentRules reads the set in force; engine.ErrNotFound before the first.
	CurrentRules(ctx context.Context) (rules.Version, error)
	// RulesVersion reads one set; engine.ErrNotFound.
	RulesVersion(ctx context.Context, number int) (rules.Version, error)
	// CurrentRulesNumber reads its number alone.
	CurrentRulesNumber(ctx context.Context) (int, error)
	// PublishRules makes v the next set and returns it with its number and time,
	// or engine.ErrConflict when base is not in force any more. The draft that it is
	// published from, "" for none, ends with it: engine.ErrConflict when the draft has
	// another revision, engine.ErrNotFound when it is gone.
	PublishRules(ctx context.Context, base int, v rules.Version, draft string, revision int) (rules.Version, error)
	DraftStore
	ListStore
}

// Config says how rule sets are kept.
type Config struct {
	// First is published when the store has no set yet.
	First rules.Definition
	// Approval demands that a set is published from a draft that a second person
	// has approved. Rolling back needs nobody else: it is for emergencies.
	Approval bool
	// Log gets what nobody else is told. Nil discards.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Keeper holds the set in force. It is safe for concurrent use.
type Keeper struct {
	store    Store
	approval bool
	log      *slog.Logger
	now      func() time.Time

	current atomic.Pointer[rules.Set]
	older   compiled
	refused atomic.Int64 // number of a published set that this build cannot compile, 0 when none

	refreshing sync.Mutex
}

// Open reads the set in force and compiles it. A store without any set gets
// config.First as its first one. It fails when the set in force does not
// compile: a server must not decide by other rules than those that were
// published.
func Open(ctx context.Context, store Store, config Config) (*Keeper, error) {
	k := &Keeper{store: store, approval: config.Approval, log: config.Log, now: config.Now, older: newCompiled()}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	if k.now == nil {
		k.now = time.Now
	}
	err := k.Refresh(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		_, err = k.publish(ctx, publication{definition: config.First, author: events.BySallyport, note: "The set that Sallyport ships with"})
		if errors.Is(err, engine.ErrConflict) { // another node was first
			err = k.Refresh(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open rule set: %w", err)
	}
	return k, nil
}

// Current is the set in force. It is never nil and costs one atomic read.
func (k *Keeper) Current() *rules.Set { return k.current.Load() }

// Refused is the number of a newer set that was published but does not compile
// here, as happens while nodes of two versions run side by side; 0 when there is
// none. The set before it stays in force on this node.
func (k *Keeper) Refused() int { return int(k.refused.Load()) }

// Run looks for new sets until ctx ends. A store that cannot be read is logged
// and asked again: the set in force stays in force.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(Poll)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := k.Refresh(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			k.log.ErrorContext(ctx, "the rule set in force cannot be refreshed; the last one stays", "error", err)
		}
		failing = err != nil
	}
}

// Refresh brings Current up to date now.
func (k *Keeper) Refresh(ctx context.Context) error {
	k.refreshing.Lock()
	defer k.refreshing.Unlock()
	number, err := k.store.CurrentRulesNumber(ctx)
	if err != nil {
		return fmt.Errorf("read number of rule set: %w", err)
	}
	if set := k.current.Load(); set != nil && set.Number() == number {
		return nil
	}
	version, err := k.store.CurrentRules(ctx)
	if err != nil {
		return fmt.Errorf("read rule set: %w", err)
	}
	set, err := rules.CompileBeside(version, k.current.Load(), besideRequests())
	if err != nil {
		k.refused.Store(int64(version.Number))
		return fmt.Errorf("compile rule set %d: %w", version.Number, err)
	}
	k.refused.Store(0)
	k.swap(set)
	return nil
}

// swap never goes back to an older set.
func (k *Keeper) swap(set *rules.Set) {
	for {
		now := k.current.Load()
		if now != nil && now.Number() >= set.Number() || k.current.CompareAndSwap(now, set) {
			return
		}
	}
}
