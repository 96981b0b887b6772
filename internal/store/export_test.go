package store

import (
	"context"
	"runtime"

	"github.com/sallyport/sallyport/events"
)

// Import fills an empty store with a log that was written elsewhere, epoch and
// bytes as they are, for suites that bring their own. What the log says of
// actions becomes their rows.
func (s *Store) Import(ctx context.Context, log []events.Event) error {
	if len(log) == 0 {
		return nil
	}
	return s.write(ctx, func(t *tx) error {
		epoch := log[0].Epoch
		for _, table := range []string{"log_head", "log_lives"} {
			if _, err := t.exec("UPDATE "+table+" SET epoch = $1", int64(epoch)); err != nil {
				return err
			}
		}
		t.head = events.Position{Epoch: epoch}
		for _, e := range log {
			if e.Kind == events.KindActionTracked {
				record, err := e.Decode()
				if err != nil {
					return err
				}
				if _, err := t.exec(`INSERT INTO actions (place, user_id, action, action_key, state, outcome, created_at,
						state_changed_at, methods, scope, tries, method, proven_by, proven_at, prompt_id, prompt, redirect_url,
						device_id, locale)
					VALUES ($1, $2, $3, $4, $5, $6, $7, $7, '', '', 0, '', '', 0, '', '', '', '', '')`,
					t.place(), string(e.Action.User), e.Action.Code, e.Action.Key, string(e.State),
					record.(*events.ActionTracked).Outcome, e.Time.UnixMicro()); err != nil {
					return err
				}
			} else if e.State != "" {
				if err := moveAction(t, e.Action, e.State, e.Time.UnixMicro()); err != nil {
					return err
				}
			}
			if err := t.log(e.Draft); err != nil {
				return err
			}
		}
		s.lives.mu.Lock()
		s.lives.epochs = nil // loaded again
		s.lives.mu.Unlock()
		return nil
	})
}

// Count runs a query that selects one number.
func (s *Store) Count(ctx context.Context, n *int, query string) error {
	return s.read(ctx).get(query, nil, n)
}

// Exec runs one statement in a group of its own.
func (s *Store) Exec(ctx context.Context, text string) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(text)
		return err
	})
}

// AwaitQueued returns once n writes wait for the next group.
func (s *Store) AwaitQueued(n int) {
	for len(s.queue) < n {
		runtime.Gosched()
	}
}
