package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/engine"
)

const (
	// abandonedAfter is how long a storage may be filled.
	abandonedAfter = time.Hour
	// traces is how many removed items a list may leave behind before it moves to a
	// new storage, unless it has more items than that.
	traces = 10_000
)

// SweepLists removes items that have expired at a time and returns how many it
// did. It also frees what large changes and removed items have left behind. It
// goes step by step, and other writes go on meanwhile.
func (s *Store) SweepLists(ctx context.Context, now time.Time) (int, error) {
	if err := s.sweepStorages(ctx, now); err != nil {
		return 0, fmt.Errorf("sweep lists: %w", err)
	}
	expired := 0
	for {
		n, err := s.sweepExpired(ctx, now)
		expired += n
		if err != nil {
			return expired, fmt.Errorf("sweep lists: %w", err)
		}
		if n < directItems {
			break
		}
	}
	if err := s.sweepTraces(ctx, now); err != nil {
		return expired, fmt.Errorf("sweep lists: %w", err)
	}
	return expired, nil
}

// sweepStorages deletes the rows of storages that no list has.
func (s *Store) sweepStorages(ctx context.Context, now time.Time) error {
	var ended []int64
	rows, err := s.read(ctx).list("SELECT id FROM list_storages WHERE NOT in_use AND begun_at < $1",
		args{micros(now.Add(-abandonedAfter))})
	err = each(rows, err, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ended = append(ended, id)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ended {
		for deleted := int64(1); deleted > 0; {
			err := s.write(ctx, func(t *tx) (err error) {
				if _, err := t.exec("UPDATE list_storages SET begun_at = 0 WHERE id = $1", id); err != nil {
					return err
				}
				deleted, err = t.exec(`DELETE FROM list_items WHERE storage = $1 AND value IN
					(SELECT value FROM list_items WHERE storage = $1 ORDER BY value LIMIT $2)`, id, int64(directItems))
				if err == nil && deleted == 0 {
					_, err = t.exec("DELETE FROM list_storages WHERE id = $1", id)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepExpired removes up to directItems items.
func (s *Store) sweepExpired(ctx context.Context, now time.Time) (int, error) {
	var swept int
	err := s.write(ctx, func(t *tx) error {
		swept = 0
		var names []string
		values := map[string][]string{}
		rows, err := t.list(`SELECT l.name, i.value FROM list_items i JOIN lists l ON l.storage = i.storage
			WHERE i.expires_at <> 0 AND NOT i.removed AND i.expires_at <= $1 ORDER BY i.expires_at LIMIT $2`,
			args{micros(now), int64(directItems)})
		err = each(rows, err, func(rows *sql.Rows) error {
			var name, value string
			err := rows.Scan(&name, &value)
			if values[name] == nil {
				names = append(names, name)
			}
			values[name] = append(values[name], value)
			swept++
			return err
		})
		if err != nil || swept == 0 {
			return err
		}
		version, err := nextListVersion(t, 1, -swept)
		if err != nil {
			return err
		}
		for _, name := range names {
			l, err := readList(t, name)
			if err != nil {
				return err
			}
			if err := removeRows(t, l.storage, version-l.base, values[name]); err != nil {
				return err
			}
			n := len(values[name])
			l.Items, l.removed, l.Version, l.ChangedAt = l.Items-n, l.removed+n, version, now
			if err := touchList(t, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return swept, nil
}

// sweepTraces moves lists that have left many traces to new storages.
func (s *Store) sweepTraces(ctx context.Context, now time.Time) error {
	var crowded []list
	rows, err := s.read(ctx).list("SELECT "+listColumns+" WHERE NOT dropped AND removed > $1 AND removed > items", args{int64(traces)})
	err = each(rows, err, func(rows *sql.Rows) error {
		l, err := scanList(rows.Scan)
		crowded = append(crowded, l)
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range crowded {
		c := &listChange{store: s, list: l.Name, typ: l.Type, now: instant(micros(now))}
		// Somebody else replaced or dropped the list: the traces went with it.
		if _, err := c.rebuild(ctx); err != nil && !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
	}
	return nil
}
