package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// directItems is how many items one transaction changes. A larger change takes
// several, so that other writes do not wait for it.
const directItems = 1000

// ChangeList adds and removes items of a list, and returns the list as it then
// is, and how many items are new in it, changed and gone. Adding an item that is there gives it the new note and expiry. What is both
// removed and added stays, as does what is added twice, as it stands last. With
// replace, all items that are not added go. An item without an author or a time is
// by the author of the change, now. A change that changes nothing leaves no event.
//
// It happens as one: readers see all of it or nothing, also of a million items.
// These take some seconds, while other writes go on; it is engine.ErrConflict when
// another change as large came first. A list that is not there is
// engine.ErrNotFound, a value or a note that cannot be kept *engine.InputError.
func (s *Store) ChangeList(ctx context.Context, name string, add []lists.Item, remove []string, replace bool, by, note string) (lists.Applied, error) {
	applied, err := s.changeList(ctx, name, add, remove, replace, by, note)
	if err != nil {
		return lists.Applied{}, fmt.Errorf("change list: %w", err)
	}
	return applied, nil
}

func (s *Store) changeList(ctx context.Context, name string, add []lists.Item, remove []string, replace bool, by, note string) (lists.Applied, error) {
	var in input
	in.name("name", name)
	in.name("by", by)
	in.text("note", note, maxText)
	if len(add) > MaxListItems || len(remove) > MaxListItems {
		in.refuse("items", "are more than %d", MaxListItems)
	}
	if in.err != nil {
		return lists.Applied{}, in.err
	}
	l, err := readList(s.read(ctx), name)
	if err != nil {
		return lists.Applied{}, err
	}
	c := &listChange{store: s, list: name, typ: l.Type, replace: replace, by: by, note: note, now: instant(micros(s.now()))}
	if err := c.take(add, remove); err != nil {
		return lists.Applied{}, err
	}
	if c.direct(l) {
		applied, done, err := c.atOnce(ctx)
		if err != nil || done {
			return applied, err
		}
	}
	return c.rebuild(ctx)
}

// listChange is a change of a list's items.
type listChange struct {
	store    *Store
	list     string
	typ      rules.ListType
	replace  bool
	by, note string
	now      time.Time

	add    []lists.Item
	values []string // canonical, of add
	order  []int32  // of add: by value, each value once
	remove []string // canonical, in order, without those that are added
}

// take checks what is added and removed and brings it in order.
func (c *listChange) take(add []lists.Item, remove []string) error {
	var in input
	c.add, c.values, c.order = add, make([]string, len(add)), make([]int32, len(add))
	for i := range add {
		value, err := lists.Canonical(c.typ, add[i].Value)
		if err != nil {
			return &engine.InputError{Field: fmt.Sprintf("items[%d]", i), Message: err.Error()}
		}
		in.name("note", add[i].Note)
		in.name("author", add[i].Author)
		c.values[i], c.order[i] = value, int32(i)
	}
	if in.err != nil {
		return in.err
	}
	// Of equal values the one that stands last counts; rows in order of the key are
	// the fastest to write.
	slices.SortFunc(c.order, func(a, b int32) int { return cmp.Or(strings.Compare(c.values[a], c.values[b]), cmp.Compare(b, a)) })
	c.order = slices.CompactFunc(c.order, func(a, b int32) bool { return c.values[a] == c.values[b] })
	if c.replace {
		return nil // everything else goes
	}
	for i := range remove {
		value, err := lists.Canonical(c.typ, remove[i])
		if err != nil {
			return &engine.InputError{Field: fmt.Sprintf("remove[%d]", i), Message: err.Error()}
		}
		if !c.adds(value) {
			c.remove = append(c.remove, value)
		}
	}
	slices.Sort(c.remove)
	c.remove = slices.Compact(c.remove)
	return nil
}

// adds reports whether a value is added.
func (c *listChange) adds(value string) bool {
	_, found := slices.BinarySearchFunc(c.order, value, func(i int32, value string) int { return strings.Compare(c.values[i], value) })
	return found
}

// removes reports whether a value is removed by name.
func (c *listChange) removes(value string) bool {
	_, found := slices.BinarySearch(c.remove, value)
	return found
}

// direct reports whether a transaction can do the whole change.
func (c *listChange) direct(l list) bool {
	n := len(c.order) + len(c.remove)
	if c.replace {
		n += l.Items
	}
	return n <= directItems
}

// row is what is stored of an item.
type row struct {
	value, note, author string
	added, expires      int64
}

// rows are those of the items from one place of the order to another.
func (c *listChange) rows(from, to int) []row {
	rows := make([]row, 0, to-from)
	for _, i := range c.order[from:to] {
		item := &c.add[i]
		r := row{value: c.values[i], note: item.Note, author: item.Author, added: micros(item.AddedAt), expires: micros(item.Expires)}
		if r.author == "" {
			r.author = c.by
		}
		if r.added == 0 {
			r.added = micros(c.now)
		}
		rows = append(rows, r)
	}
	return rows
}

// atOnce makes the change in one transaction. It is not done when the list has
// grown too large for that.
func (c *listChange) atOnce(ctx context.Context) (lists.Applied, bool, error) {
	var applied lists.Applied
	var done bool
	var answer error
	err := c.store.write(ctx, func(t *tx) error {
		answer, done = nil, true
		l, refusal, err := c.find(t)
		if err != nil || refusal != nil {
			answer = refusal
			return err
		}
		if !c.direct(l) {
			done = false
			return nil
		}
		applied, answer, err = c.apply(t, l)
		return err
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return lists.Applied{}, false, err
	}
	return applied, done, nil
}

// find reads the list, or says why it is not the one that the change is for.
func (c *listChange) find(t *tx) (l list, refusal, err error) {
	l, err = readList(t, c.list)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return l, err, nil
	case err == nil && l.Type != c.typ:
		return l, engine.ErrConflict, nil // dropped and made again as another
	}
	return l, nil, err
}

// apply writes what differs.
func (c *listChange) apply(t *tx, l list) (applied lists.Applied, refusal, err error) {
	there, err := c.present(t, l.storage)
	if err != nil {
		return applied, nil, err
	}
	var put []row
	added, revived := 0, 0
	for i, r := range c.rows(0, len(c.order)) {
		old, found := there[r.value]
		item := &c.add[c.order[i]]
		if found && !old.removed && item.Author == "" && item.AddedAt.IsZero() {
			r.author, r.added = old.author, old.added // it stays who added it, and when
		}
		switch {
		case !found:
			added++
		case old.removed:
			added++
			revived++
		case old.row == r:
			continue
		}
		put = append(put, r)
	}
	remove := c.remove
	if c.replace {
		for value, old := range there {
			if !old.removed && !c.adds(value) {
				remove = append(remove, value)
			}
		}
		slices.Sort(remove)
	} else {
		remove = slices.DeleteFunc(slices.Clone(remove), func(value string) bool {
			old, found := there[value]
			return !found || old.removed
		})
	}
	applied = lists.Applied{
		Head: l.Head, Added: added, Changed: len(put) - added, Unchanged: len(c.order) - len(put), Removed: len(remove),
	}
	if len(put) == 0 && len(remove) == 0 {
		return applied, nil, nil
	}
	var total int
	if err := t.get("SELECT items FROM list_head WHERE one = 1", nil, &total); err != nil {
		return applied, nil, err
	}
	if grows := added - len(remove); grows > 0 && total+grows > MaxListItems {
		return applied, tooManyItems(total + grows), nil
	}
	version, err := nextListVersion(t, 1, added-len(remove))
	if err != nil {
		return applied, nil, err
	}
	if err := putRows(t, l.storage, version-l.base, put); err != nil {
		return applied, nil, err
	}
	if err := removeRows(t, l.storage, version-l.base, remove); err != nil {
		return applied, nil, err
	}
	l.Items += added - len(remove)
	l.removed += len(remove) - revived
	l.Version, l.ChangedAt = version, c.now
	if err := touchList(t, l); err != nil {
		return applied, nil, err
	}
	applied.Head = l.Head
	return applied, nil, logList(t, events.ListChanged{
		List: l.Name, Version: version, Type: string(l.Type), Added: len(put), Removed: len(remove), By: c.by, Note: c.note,
	}, c.now)
}

func tooManyItems(n int) error {
	return &engine.InputError{Field: "items", Message: fmt.Sprintf("lists would have %d items together; at most %d are allowed", n, MaxListItems)}
}

// touchList writes the counts, version and time of a list.
func touchList(t *tx, l list) error {
	_, err := t.exec("UPDATE lists SET items = $1, removed = $2, version = $3, changed_at = $4 WHERE name = $5",
		int64(l.Items), int64(l.removed), l.Version, micros(l.ChangedAt), l.Name)
	return err
}

// stored is a row as it is there, perhaps only as the trace of a removed item.
type stored struct {
	row
	removed bool
}

// present reads the rows that a change may meet: all of the storage when it
// replaces them, else those of its values.
func (c *listChange) present(q querier, storage int64) (map[string]stored, error) {
	if c.replace {
		return presentRows(q, storage, "", nil)
	}
	there := map[string]stored{}
	values := slices.Clone(c.remove)
	for _, i := range c.order {
		values = append(values, c.values[i])
	}
	for part := range slices.Chunk(values, batchRows) {
		condition, named := anyOf(2, part)
		found, err := presentRows(q, storage, " AND value IN "+condition, named)
		if err != nil {
			return nil, err
		}
		for value, r := range found {
			there[value] = r
		}
	}
	return there, nil
}

func presentRows(q querier, storage int64, condition string, values args) (map[string]stored, error) {
	there := map[string]stored{}
	rows, err := q.list("SELECT value, removed, note, author, added_at, expires_at FROM list_items WHERE storage = $1"+condition,
		append(args{storage}, values...))
	return there, each(rows, err, func(rows *sql.Rows) error {
		var r stored
		err := rows.Scan(&r.value, &r.removed, &r.note, &r.author, &r.added, &r.expires)
		there[r.value] = r
		return err
	})
}
