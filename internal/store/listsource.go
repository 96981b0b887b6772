package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

// maxListChanges bounds the limit of ListChanges.
const maxListChanges = 100_000

// ListVersion implements lists.Source.
func (s *Store) ListVersion(ctx context.Context) (version int64, err error) {
	if err := s.read(ctx).get("SELECT version FROM list_head WHERE one = 1", nil, &version); err != nil {
		return 0, fmt.Errorf("read version of lists: %w", err)
	}
	return version, nil
}

// versioned is a change with the version that made it.
type versioned struct {
	version int64
	lists.Change
}

// ListChanges implements lists.Source. A list that was made again, or moved to a
// new storage, is dropped and then there with all its items.
func (s *Store) ListChanges(ctx context.Context, after int64, limit int) ([]lists.Change, int64, error) {
	if limit < 1 || limit > maxListChanges {
		return nil, 0, &engine.InputError{Field: "limit", Message: fmt.Sprintf("must be between 1 and %d", maxListChanges)}
	}
	var found []versioned
	var upTo int64
	err := s.snapshot(ctx, func(q querier) error {
		if err := q.get("SELECT version FROM list_head WHERE one = 1", nil, &upTo); err != nil {
			return err
		}
		var changed []list
		rows, err := q.list("SELECT "+listColumns+" WHERE version > $1 ORDER BY name", args{after})
		err = each(rows, err, func(rows *sql.Rows) error {
			l, err := scanList(rows.Scan)
			changed = append(changed, l)
			return err
		})
		for _, l := range changed {
			if err == nil {
				found, upTo, err = changesOf(q, l, found, after, upTo, limit)
			}
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read changes of lists: %w", err)
	}
	slices.SortStableFunc(found, func(a, b versioned) int { return cmp.Compare(a.version, b.version) })
	changes := make([]lists.Change, 0, min(len(found), limit))
	for i := range found {
		if found[i].version > upTo {
			break
		}
		if len(changes) >= limit && found[i].version > found[i-1].version {
			upTo = found[i-1].version
			break
		}
		changes = append(changes, found[i].Change)
	}
	return changes, upTo, nil
}

// changesOf adds a list's changes to found, and takes upTo back to where it had
// to stop: at about limit changes, after a whole version.
func changesOf(q querier, l list, found []versioned, after, upTo int64, limit int) ([]versioned, int64, error) {
	add := func(version int64, c lists.Change) { found = append(found, versioned{version, c}) }
	there := lists.Change{List: l.Name, Type: l.Type}
	gone := there
	gone.Dropped = true
	if l.dropped {
		if after > 0 {
			add(l.Version, gone)
		}
		return found, upTo, nil
	}
	from, anew := after-l.base, l.base > after
	if anew {
		if after > 0 {
			add(l.base, gone)
		}
		add(l.base, there)
		from = math.MinInt64
	}
	to := upTo - l.base
	var stop int64
	err := q.get("SELECT version FROM list_items WHERE storage = $1 AND version > $2 ORDER BY version LIMIT 1 OFFSET $3",
		args{l.storage, from, int64(limit - 1)}, &stop)
	switch {
	case err == nil && stop < to:
		to, upTo = stop, l.base+stop
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return nil, 0, err
	}
	rows, err := q.list(`SELECT version, value, removed, note, author, added_at, expires_at FROM list_items
		WHERE storage = $1 AND version > $2 AND version <= $3 ORDER BY version, value`, args{l.storage, from, to})
	return found, upTo, each(rows, err, func(rows *sql.Rows) error {
		version, c, err := scanChange(rows.Scan, l.Name, l.Type)
		if err == nil && !(anew && c.Removed) {
			add(l.base+version, c)
		}
		return err
	})
}

func scanChange(scan func(...any) error, name string, typ rules.ListType) (version int64, c lists.Change, err error) {
	var added, expires int64
	c.List, c.Type = name, typ
	err = scan(&version, &c.Item.Value, &c.Removed, &c.Item.Note, &c.Item.Author, &added, &expires)
	c.Item.AddedAt, c.Item.Expires = instant(added), instant(expires)
	return version, c, err
}
