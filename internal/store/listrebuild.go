package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
)

// rebuilding is a change that fills a new storage beside the one that is read,
// part by part in transactions of their own, and then takes its place.
type rebuilding struct {
	*listChange
	began   list  // as it was at the beginning
	storage int64 // the new one
	part    int64 // version of the next part, counted from the new base
	// seen is the last row of the old storage that was carried over, in order of
	// version and value.
	seenVersion int64
	seenValue   string
	// common is how many of the added items are in the old storage, unchanged how
	// many of them with the same note and expiry.
	common, unchanged int
}

// How long a part is tried while the store is too busy, and the time between two
// tries, so that a long import does not fail for one bad moment.
const (
	partPatience = 30 * time.Second
	partPause    = 20 * time.Millisecond
)

// write runs a part, which must do no harm when it runs again: a try that was
// given up may have been committed. It tells which try it is.
func (r *rebuilding) write(ctx context.Context, run func(t *tx, try int) error) error {
	begun := time.Now()
	for try := 0; ; try++ {
		err := r.store.write(ctx, func(t *tx) error { return run(t, try) })
		if !errors.Is(err, engine.ErrUnavailable) || errors.Is(err, errClosed) || time.Since(begun) > partPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(partPause):
		}
	}
}

// rebuild makes a change of any size. Parts have versions of their own, so that
// nobody has to read a million changes at once.
func (c *listChange) rebuild(ctx context.Context) (lists.Applied, error) {
	r := &rebuilding{listChange: c}
	err := r.begin(ctx)
	if err != nil {
		return lists.Applied{}, err
	}
	var head lists.Head
	err = r.fill(ctx)
	if err == nil {
		head, err = r.switchOver(ctx)
	}
	if err != nil {
		// A try that was given up may have made it the list's after all. What cannot be
		// told now, SweepLists finds by itself.
		_ = c.store.write(context.WithoutCancel(ctx), func(t *tx) error {
			_, err := t.exec("UPDATE list_storages SET begun_at = 0 WHERE id = $1 AND NOT in_use", r.storage)
			return err
		})
		return lists.Applied{}, err
	}
	return lists.Applied{
		Head: head, Added: len(r.order) - r.common, Changed: r.common - r.unchanged, Unchanged: r.unchanged,
		Removed: max(r.began.Items+len(r.order)-r.common-head.Items, 0),
	}, nil
}

func (r *rebuilding) begin(ctx context.Context) error {
	var answer error
	err := r.write(ctx, func(t *tx, _ int) error {
		l, refusal, err := r.find(t)
		answer = refusal
		if err != nil || refusal != nil {
			return err
		}
		var total int
		if err := t.get("SELECT items FROM list_head WHERE one = 1", nil, &total); err != nil {
			return err
		}
		if n := total - l.Items + len(r.order); n > MaxListItems {
			answer = tooManyItems(n) // it will be, whatever else is kept
			return nil
		}
		r.began, r.seenVersion = l, l.Version-l.base
		r.storage, err = newStorage(t, false, r.now)
		return err
	})
	if err == nil {
		err = answer
	}
	return err
}

// fill writes what is added, and what stays of the old storage.
func (r *rebuilding) fill(ctx context.Context) error {
	for at := 0; at < len(r.order); at += directItems {
		rows := r.rows(at, min(len(r.order), at+directItems))
		if err := r.write(ctx, func(t *tx, _ int) error { return putRows(t, r.storage, r.part, rows) }); err != nil {
			return err
		}
		r.part++
	}
	if err := r.compare(ctx); err != nil || r.replace {
		return err
	}
	for after, done := "", false; !done; {
		last := after
		err := r.write(ctx, func(t *tx, _ int) (err error) {
			last, done, err = r.copyPart(t, after)
			return err
		})
		if err != nil {
			return err
		}
		after = last
		r.part++
	}
	for part := range slices.Chunk(r.remove, directItems) {
		err := r.write(ctx, func(t *tx, _ int) error {
			_, err := deleteRows(t, r.storage, part)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compare counts which of the added items are in the old storage, while the new
// one holds nothing else. It is a read, for which no writer waits; what others
// change meanwhile is not counted.
func (r *rebuilding) compare(ctx context.Context) error {
	if r.began.Items == 0 || len(r.order) == 0 {
		return nil
	}
	err := r.store.read(ctx).get(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN o.note = n.note AND o.expires_at = n.expires_at THEN 1 ELSE 0 END), 0)
		FROM list_items n JOIN list_items o ON o.storage = $1 AND o.value = n.value WHERE n.storage = $2 AND NOT o.removed`,
		args{r.began.storage, r.storage}, &r.common, &r.unchanged)
	if err != nil {
		return fmt.Errorf("compare items: %w", err)
	}
	return nil
}

// copyPart copies the items of the old storage that follow a value, unless they
// are added anyway, and returns the last value that it looked at.
func (r *rebuilding) copyPart(t *tx, after string) (last string, done bool, err error) {
	err = t.get("SELECT value FROM list_items WHERE storage = $1 AND value > $2 ORDER BY value LIMIT 1 OFFSET $3",
		args{r.began.storage, after, int64(directItems - 1)}, &last)
	if errors.Is(err, sql.ErrNoRows) {
		done = true
		err = t.get("SELECT COALESCE(MAX(value), $2) FROM list_items WHERE storage = $1", args{r.began.storage, after}, &last)
	}
	if err != nil {
		return "", false, err
	}
	_, err = t.exec(`INSERT INTO list_items (storage, value, version, removed, note, author, added_at, expires_at)
		SELECT CAST($1 AS BIGINT), value, CAST($2 AS BIGINT), FALSE, note, author, added_at, expires_at FROM list_items
			WHERE storage = $3 AND value > $4 AND value <= $5 AND NOT removed
		ON CONFLICT (storage, value) DO NOTHING`, r.storage, r.part, r.began.storage, after, last)
	return last, done, err
}

// switchOver carries over what changed meanwhile and puts the new storage in the
// place of the old one. Of much that changed it carries over one part at a time.
func (r *rebuilding) switchOver(ctx context.Context) (lists.Head, error) {
	for {
		items, err := countRows(r.store.read(ctx), r.storage)
		if err != nil {
			return lists.Head{}, err
		}
		var s switched
		err = r.write(ctx, func(t *tx, try int) (err error) {
			s = switched{items: items, seenVersion: r.seenVersion, seenValue: r.seenValue}
			if try > 0 { // the count may be older than what an earlier try has carried over
				if s.items, err = countRows(t, r.storage); err != nil {
					return err
				}
			}
			return r.trySwitch(t, &s)
		})
		if err == nil {
			err = s.refusal
		}
		if err != nil || s.done {
			return s.head, err
		}
		r.seenVersion, r.seenValue = s.seenVersion, s.seenValue
		r.part++
	}
}

// switched is how far a part of switchOver came.
type switched struct {
	items       int
	seenVersion int64
	seenValue   string
	done        bool
	head        lists.Head
	refusal     error
}

func countRows(q querier, storage int64) (n int, err error) {
	return n, q.get("SELECT COUNT(*) FROM list_items WHERE storage = $1", args{storage}, &n)
}

func (r *rebuilding) trySwitch(t *tx, s *switched) error {
	l, refusal, err := r.find(t)
	switch {
	case err != nil || refusal != nil:
		s.refusal = refusal
		return err
	case l.storage == r.storage: // an earlier try did it
		s.done, s.head = true, l.Head
		return nil
	case l.storage != r.began.storage:
		s.refusal = engine.ErrConflict
		return nil
	}
	s.done = true
	if !r.replace {
		grown := 0
		if grown, s.done, err = r.catchUp(t, s); err != nil {
			return err
		}
		s.items += grown
	}
	if s.done {
		s.head, s.refusal, err = r.finish(t, l, s.items)
	}
	return err
}

// catchUp carries over rows of the old storage that changed since they were
// looked at, unless the change itself sets them, and tells by how much the items
// became more and whether that was all.
func (r *rebuilding) catchUp(t *tx, s *switched) (grown int, done bool, err error) {
	var put []row
	var remove []string
	seen := 0
	rows, err := t.list(`SELECT version, value, removed, note, author, added_at, expires_at FROM list_items
		WHERE storage = $1 AND (version, value) > ($2, $3) ORDER BY version, value LIMIT $4`,
		args{r.began.storage, r.seenVersion, r.seenValue, int64(directItems)})
	err = each(rows, err, func(rows *sql.Rows) error {
		var old stored
		seen++
		if err := rows.Scan(&s.seenVersion, &old.value, &old.removed, &old.note, &old.author, &old.added, &old.expires); err != nil {
			return err
		}
		s.seenValue = old.value
		switch {
		case r.adds(old.value) || r.removes(old.value): // this change comes after that one
		case old.removed:
			remove = append(remove, old.value)
		default:
			put = append(put, old.row)
		}
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	values := make([]string, len(put))
	for i := range put {
		values[i] = put[i].value
	}
	// Taken out first, what is put is new, and the counts are right.
	gone, err := deleteRows(t, r.storage, append(values, remove...))
	if err == nil {
		err = putRows(t, r.storage, r.part, put)
	}
	return len(put) - int(gone), seen < directItems, err
}

// deleteRows deletes items without a trace and returns how many were there.
func deleteRows(t *tx, storage int64, values []string) (deleted int64, err error) {
	for part := range slices.Chunk(values, batchRows) {
		condition, named := anyOf(2, part)
		n, err := t.exec("DELETE FROM list_items WHERE storage = $1 AND value IN "+condition, append(args{storage}, named...)...)
		if err != nil {
			return 0, fmt.Errorf("delete items: %w", err)
		}
		deleted += n
	}
	return deleted, nil
}

// finish makes the new storage the list's.
func (r *rebuilding) finish(t *tx, l list, items int) (head lists.Head, refusal, err error) {
	var total int
	if err := t.get("SELECT items FROM list_head WHERE one = 1", nil, &total); err != nil {
		return head, nil, err
	}
	if n := total - l.Items + items; items > l.Items && n > MaxListItems {
		return head, tooManyItems(n), nil
	}
	taken, err := t.exec("UPDATE list_storages SET in_use = TRUE WHERE id = $1 AND begun_at <> 0", r.storage)
	if err != nil {
		return head, nil, err
	}
	if taken == 0 { // it took so long that the storage was taken for abandoned
		return head, engine.ErrUnavailable, nil
	}
	versions := r.part + 1
	base, err := nextListVersion(t, versions, items-l.Items)
	if err != nil {
		return head, nil, err
	}
	if err := endStorage(t, l.storage); err != nil {
		return head, nil, err
	}
	before := l.Items
	l.Items, l.removed, l.Version, l.ChangedAt = items, 0, base+versions-1, r.now
	if err := touchList(t, l); err != nil {
		return head, nil, err
	}
	if _, err := t.exec("UPDATE lists SET storage = $1, base = $2 WHERE name = $3", r.storage, base, l.Name); err != nil {
		return head, nil, err
	}
	if r.tidying() {
		return l.Head, nil, nil
	}
	changed := events.ListChanged{
		List: l.Name, Version: l.Version, Type: string(l.Type), Added: len(r.order), Removed: len(r.remove), By: r.by, Note: r.note,
	}
	if r.replace {
		changed.Removed = before
	}
	return l.Head, nil, logList(t, changed, r.now)
}

// tidying reports whether the items stay what they are.
func (r *rebuilding) tidying() bool { return !r.replace && len(r.order) == 0 && len(r.remove) == 0 }
