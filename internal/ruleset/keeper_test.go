package ruleset_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

// always is a definition under which everything gets one outcome.
func always(outcome rules.Outcome) rules.Definition {
	return rules.Definition{Otherwise: rules.ActionRules{Default: outcome}}
}

var broken = rules.Definition{Otherwise: rules.ActionRules{Rules: []rules.Rule{
	{ID: "r", Name: "R", When: "custom.nothing > 1", Outcome: rules.Block},
}}}

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func keeper(t *testing.T, s ruleset.Store, log *slog.Logger) *ruleset.Keeper {
	t.Helper()
	k, err := ruleset.Open(t.Context(), s, ruleset.Config{First: always(rules.Block), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantInForce(t *testing.T, k *ruleset.Keeper, number int, outcome rules.Outcome) {
	t.Helper()
	set := k.Current()
	if got := set.Action("payment").Default; set.Number() != number || got != outcome {
		t.Errorf("set %d with %s is in force, want set %d with %s", set.Number(), got, number, outcome)
	}
}

func TestTheFirstSetIsPublishedOnce(t *testing.T) {
	s, log := open(t), slog.New(slog.DiscardHandler)
	wantInForce(t, keeper(t, s, log), 1, rules.Block)
	wantInForce(t, keeper(t, s, log), 1, rules.Block)
	versions, err := s.RuleVersions(t.Context(), 10)
	if err != nil || len(versions) != 1 {
		t.Errorf("%d versions, %v", len(versions), err)
	}
}

func TestASetThatDoesNotCompileIsNotPublished(t *testing.T) {
	s := open(t)
	k := keeper(t, s, slog.New(slog.DiscardHandler))
	_, err := k.Publish(t.Context(), 1, broken, "ann", "oops")
	var compile *rules.CompileError
	if !errors.As(err, &compile) || len(compile.Problems) == 0 {
		t.Errorf("got %v", err)
	}
	if n, err := s.CurrentRulesNumber(t.Context()); n != 1 || err != nil {
		t.Errorf("set %d is published, %v", n, err)
	}
	wantInForce(t, k, 1, rules.Block)
}

func TestWhoEditedAnOlderSetIsTold(t *testing.T) {
	s := open(t)
	k := keeper(t, s, slog.New(slog.DiscardHandler))
	published, err := k.Publish(t.Context(), 1, always(rules.Allow), "ann", "kinder")
	if err != nil || published.Number != 2 || published.Author != "ann" || published.PublishedAt.IsZero() {
		t.Fatalf("published %+v, %v", published, err)
	}
	wantInForce(t, k, 2, rules.Allow)
	if _, err := k.Publish(t.Context(), 1, always(rules.Review), "bob", "other"); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	wantInForce(t, k, 2, rules.Allow)
	if _, err := k.Publish(t.Context(), ruleset.Latest, always(rules.Review), "bob", "whatever is there"); err != nil {
		t.Error(err)
	}
	wantInForce(t, k, 3, rules.Review)
}

func TestAnotherNodesSetIsInForceAfterOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := open(t), slog.New(slog.DiscardHandler)
		here, there := keeper(t, s, log), keeper(t, s, log)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- here.Run(ctx) }()
		if _, err := there.Publish(t.Context(), 1, always(rules.Allow), "ann", "kinder"); err != nil {
			t.Fatal(err)
		}
		wantInForce(t, here, 1, rules.Block)
		time.Sleep(ruleset.Poll)
		synctest.Wait()
		wantInForce(t, here, 2, rules.Allow)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestANewerNodesSetIsRefusedAndTheLastOneStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		s, log := open(t), slog.New(slog.NewTextHandler(&logged, nil))
		k := keeper(t, s, log)
		if _, err := s.PublishRules(t.Context(), 1, rules.Version{Definition: broken, Author: "newer", Note: "n"}, "", 0); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		time.Sleep(3 * ruleset.Poll)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		wantInForce(t, k, 1, rules.Block)
		if k.Refused() != 2 {
			t.Errorf("refused set %d", k.Refused())
		}
		if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, logged.String())
		}
		if _, err := ruleset.Open(t.Context(), s, ruleset.Config{First: always(rules.Allow), Log: log}); err == nil {
			t.Error("a start decides by other rules than those that were published")
		}
	})
}
