package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// TestWhatCannotBeStoredIsNotFound looks for texts that PostgreSQL refuses with an
// error of its own: nothing can be found there, and nothing is broken.
func TestWhatCannotBeStoredIsNotFound(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		track(t, s, action("jane", 1), events.StateAllow)
		ctx := t.Context()
		none := func(n int, err error) error { // what was found of many
			if err == nil && n == 0 {
				return engine.ErrNotFound
			}
			return fmt.Errorf("found %d: %w", n, err)
		}
		one := func(found bool, err error) error {
			if err == nil && !found {
				return engine.ErrNotFound
			}
			return fmt.Errorf("found %v: %w", found, err)
		}
		for _, bad := range []string{"jane\x00", "\x00", "\xff"} {
			id := events.ActionID{User: "jane", Code: "payment", Key: bad}
			user := events.UserID(bad)
			lookUps := map[string]func() error{
				"Recorded":      func() error { _, found, err := s.Recorded(ctx, id); return one(found, err) },
				"Profile":       func() error { _, err := s.Profile(ctx, user, "", ""); return err },
				"Profile's":     func() error { _, err := s.Profile(ctx, "jane", bad, bad); return err },
				"User":          func() error { _, found, err := s.User(ctx, user); return one(found, err) },
				"Users by name": func() error { u, _, err := s.Users(ctx, engine.UserFilter{Username: bad}); return none(len(u), err) },
				"Users after":   func() error { u, _, err := s.Users(ctx, engine.UserFilter{After: user}); return none(len(u), err) },
				"TrackedAction": func() error { _, err := s.TrackedAction(ctx, id); return err },
				"TrackedActions by user": func() error {
					a, err := s.TrackedActions(ctx, engine.ActionFilter{User: user})
					return none(len(a), err)
				},
				"TrackedActions by code": func() error {
					a, err := s.TrackedActions(ctx, engine.ActionFilter{User: "jane", Codes: []string{bad}})
					return none(len(a), err)
				},
				"TrackedActions by state": func() error {
					a, err := s.TrackedActions(ctx, engine.ActionFilter{User: "jane", State: events.ActionState(bad)})
					return none(len(a), err)
				},
				"Decisions": func() error {
					page, err := s.Decisions(ctx, events.Filter{User: user, Action: bad, Outcome: bad})
					return none(len(page.Items), err)
				},
				"Story":        func() error { story, err := s.Story(ctx, id); return none(len(story), err) },
				"Account":      func() error { a, err := s.Account(ctx, user); return one(a.Known, err) },
				"Action":       func() error { _, err := s.Action(ctx, id); return err },
				"Take":         func() error { _, err := s.Take(ctx, events.ChallengeID(bad), action("jane", 1), base); return err },
				"TakeCeremony": func() error { _, err := s.TakeCeremony(ctx, bad, base); return err },
				"List":         func() error { _, err := s.List(ctx, bad); return err },
				"ListItems":    func() error { _, err := s.ListItems(ctx, bad, "", 0); return err },
				"Draft":        func() error { _, err := s.Draft(ctx, bad); return err },
				"MoveAction":   func() error { _, err := s.MoveAction(ctx, id, events.StateReviewRequired, ""); return err },
				"DropList":     func() error { return s.DropList(ctx, bad, "ann") },
				"DeleteDraft":  func() error { return s.DeleteDraft(ctx, bad, "ann") },
				"PublishRules": func() error {
					_, err := s.PublishRules(ctx, 0, rules.Version{}, bad, 1)
					return err
				},
			}
			for name, lookUp := range lookUps {
				err := lookUp()
				var input *engine.InputError
				if !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, ceremonies.ErrNoAction) && !errors.Is(err, operators.ErrNotFound) &&
					!errors.As(err, &input) {
					t.Errorf("%s of %q: %v", name, bad, err)
				}
				if errors.Is(err, engine.ErrUnavailable) {
					t.Errorf("%s of %q reads as if the store did not work: %v", name, bad, err)
				}
			}
		}
	})
}
