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
	// CurrentRulesNumber reads its number alone.
	CurrentRulesNumber(ctx context.Context) (int, error)
	// PublishRules makes v the next set and returns it with its number and time,
	// or engine.ErrConflict when base is not in force any more.
	PublishRules(ctx context.Context, base int, v rules.Version) (rules.Version, error)
}

// Keeper holds the set in force. It is safe for concurrent use.
type Keeper struct {
	store Store
	log   *slog.Logger

	current atomic.Pointer[rules.Set]
	refused atomic.Int64 // number of a published set that this build cannot compile, 0 when none

	refreshing sync.Mutex
}

// Open reads the set in force and compiles it. A store without any set gets
// first as its first one. It fails when the set in force does not compile: a
// server must not decide by other rules than those that were published.
func Open(ctx context.Context, store Store, first rules.Definition, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{store: store, log: log}
	err := k.Refresh(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		_, err = k.Publish(ctx, 0, first, "sallyport", "The set that Sallyport ships with")
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
	set, err := rules.Compile(version)
	if err != nil {
		k.refused.Store(int64(version.Number))
		return fmt.Errorf("compile rule set %d: %w", version.Number, err)
	}
	k.refused.Store(0)
	k.swap(set)
	return nil
}

// Publish compiles a definition and makes it the next set, in force on this node
// when Publish returns. Base is the number of the set that was edited, 0 for the
// first and Latest for any. It returns *rules.CompileError when the definition
// does not compile and engine.ErrConflict when base is not in force any more.
func (k *Keeper) Publish(ctx context.Context, base int, d rules.Definition, author, note string) (rules.Version, error) {
	version := rules.Version{Number: max(base, 0) + 1, Definition: d, Author: author, Note: note}
	if _, err := rules.Compile(version); err != nil {
		return rules.Version{}, fmt.Errorf("compile rule set: %w", err)
	}
	published, err := k.store.PublishRules(ctx, base, version)
	if err != nil {
		return rules.Version{}, fmt.Errorf("publish rule set: %w", err)
	}
	if err := k.Refresh(ctx); err != nil { // published all the same: Run tries again
		k.log.ErrorContext(ctx, "a published rule set is not in force yet", "set", published.Number, "error", err)
	}
	return published, nil
}

// swap never goes back to an older set.
func (k *Keeper) swap(set *rules.Set) {
	if now := k.current.Load(); now == nil || now.Number() < set.Number() {
		k.current.Store(set)
	}
}
