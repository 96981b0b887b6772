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
	"github.com/sallyport/sallyport/rules"
)

// Limits of lists.
const (
	// MaxLists is how many lists there may be at a time.
	MaxLists = 200
	// MaxListItems is how many items all lists may have together.
	MaxListItems = 5_000_000
	// MaxListPage is how many items ListItems returns at most.
	MaxListPage = 10_000
	// defaultListPage is how many it returns when nobody says how many.
	defaultListPage = 1000
)

var _ lists.Source = (*Store)(nil)

// list is a row of lists.
type list struct {
	lists.Head
	removed       int   // rows of removed items in the storage
	storage, base int64 // where the items are, and the version that their versions count from
	dropped       bool
}

const listColumns = "name, type, title, description, items, removed, version, changed_at, storage, base, dropped FROM lists"

func scanList(scan func(...any) error) (l list, err error) {
	var changed int64
	err = scan(&l.Name, &l.Type, &l.Title, &l.Description, &l.Items, &l.removed, &l.Version, &changed, &l.storage, &l.base, &l.dropped)
	l.ChangedAt = instant(changed)
	return l, err
}

// readList reads a list, or engine.ErrNotFound.
func readList(q querier, name string) (list, error) {
	l, err := scanList(func(into ...any) error {
		return q.get("SELECT "+listColumns+" WHERE name = $1 AND NOT dropped", args{name}, into...)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = engine.ErrNotFound
	}
	return l, err
}

// Lists reads all lists in order of their names.
func (s *Store) Lists(ctx context.Context) ([]lists.Head, error) {
	found := []lists.Head{}
	rows, err := s.read(ctx).list("SELECT "+listColumns+" WHERE NOT dropped ORDER BY name", nil)
	err = each(rows, err, func(rows *sql.Rows) error {
		l, err := scanList(rows.Scan)
		found = append(found, l.Head)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read lists: %w", err)
	}
	return found, nil
}

// List reads one list, or engine.ErrNotFound.
func (s *Store) List(ctx context.Context, name string) (lists.Head, error) {
	if unstorable(name) {
		return lists.Head{}, fmt.Errorf("read list: %w", engine.ErrNotFound)
	}
	l, err := readList(s.read(ctx), name)
	if err != nil {
		return lists.Head{}, fmt.Errorf("read list: %w", err)
	}
	return l.Head, nil
}

// ListItems reads a page of a list's items in order of their values, byte by
// byte: those after a value, "" for the first page. Items that have expired are
// among them until they are swept. The next page follows the last value; there is
// none when there are fewer than limit, which is 1 to MaxListPage, and 0 for 1,000.
func (s *Store) ListItems(ctx context.Context, name, after string, limit int) ([]lists.Item, error) {
	switch {
	case limit == 0:
		limit = defaultListPage
	case limit < 0 || limit > MaxListPage:
		return nil, &engine.InputError{Field: "limit", Message: fmt.Sprintf("must be between 1 and %d", MaxListPage)}
	}
	var in input
	in.name("after", after)
	if in.err != nil {
		return nil, in.err
	}
	if unstorable(name) {
		return nil, fmt.Errorf("read items of list: %w", engine.ErrNotFound)
	}
	found := []lists.Item{}
	err := s.snapshot(ctx, func(q querier) error {
		l, err := readList(q, name)
		if err != nil {
			return err
		}
		rows, err := q.list(`SELECT value, note, author, added_at, expires_at FROM list_items
			WHERE storage = $1 AND value > $2 AND NOT removed ORDER BY value LIMIT $3`, args{l.storage, after, int64(limit)})
		return each(rows, err, func(rows *sql.Rows) error {
			var item lists.Item
			var added, expires int64
			err := rows.Scan(&item.Value, &item.Note, &item.Author, &added, &expires)
			item.AddedAt, item.Expires = instant(added), instant(expires)
			found = append(found, item)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read items of list: %w", err)
	}
	return found, nil
}

// CreateList makes an empty list with a name, a type, a title and a description.
// It returns engine.ErrConflict when there is one of that name.
func (s *Store) CreateList(ctx context.Context, head lists.Head, by string) (lists.Head, error) {
	var in input
	in.listText(head)
	in.name("by", by)
	if !rules.IsListName(head.Name) {
		in.refuse("name", "has to begin with a letter and to consist of a to z, 0 to 9 and _, at most 64 characters")
	}
	if !isListType(head.Type) {
		in.refuse("type", "has to be %s, %s or %s", rules.ListOfStrings, rules.ListOfNumbers, rules.ListOfRanges)
	}
	if in.err != nil {
		return lists.Head{}, in.err
	}
	now := instant(micros(s.now()))
	var created list
	var answer error
	err := s.write(ctx, func(t *tx) error {
		_, err := readList(t, head.Name)
		switch {
		case err == nil:
			answer = engine.ErrConflict
			return nil
		case !errors.Is(err, engine.ErrNotFound):
			return err
		}
		created, answer, err = createList(t, head, by, now)
		return err
	})
	if err := ended("create list", err, answer); err != nil {
		return lists.Head{}, err
	}
	return created.Head, nil
}

// createList makes a list that is not there, unless there are too many.
func createList(t *tx, head lists.Head, by string, now time.Time) (l list, refusal, err error) {
	var count int
	if err := t.get("SELECT COUNT(*) FROM lists WHERE NOT dropped", nil, &count); err != nil {
		return l, nil, err
	}
	if count >= MaxLists {
		return l, &engine.InputError{Field: "name", Message: fmt.Sprintf("there are %d lists already; drop one first", count)}, nil
	}
	version, err := nextListVersion(t, 1, 0)
	if err != nil {
		return l, nil, err
	}
	l = list{base: version, Head: lists.Head{
		Name: head.Name, Type: head.Type, Title: head.Title, Description: head.Description, Version: version, ChangedAt: now,
	}}
	if l.storage, err = newStorage(t, true, now); err != nil {
		return l, nil, err
	}
	if _, err := t.exec(`INSERT INTO lists (name, type, title, description, items, removed, version, changed_at, storage, base, dropped)
		VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7, $5, $8)
		ON CONFLICT (name) DO UPDATE SET type = excluded.type, title = excluded.title, description = excluded.description,
			items = 0, removed = 0, version = excluded.version, changed_at = excluded.changed_at, storage = excluded.storage,
			base = excluded.base, dropped = excluded.dropped`,
		l.Name, string(l.Type), l.Title, l.Description, version, micros(now), l.storage, false); err != nil {
		return l, nil, err
	}
	return l, nil, logList(t, events.ListChanged{List: l.Name, Version: version, Type: string(l.Type), By: by}, now)
}

func isListType(typ rules.ListType) bool {
	return typ == rules.ListOfStrings || typ == rules.ListOfNumbers || typ == rules.ListOfRanges
}

// DescribeList sets the title and the description of a list, or returns
// engine.ErrNotFound. Its name and type stay.
func (s *Store) DescribeList(ctx context.Context, head lists.Head, by string) (lists.Head, error) {
	var in input
	in.name("name", head.Name)
	in.listText(head)
	in.name("by", by)
	if in.err != nil {
		return lists.Head{}, in.err
	}
	now := instant(micros(s.now()))
	var described lists.Head
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		l, err := readList(t, head.Name)
		if errors.Is(err, engine.ErrNotFound) {
			answer = err
			return nil
		}
		described = l.Head
		if err != nil || l.Title == head.Title && l.Description == head.Description {
			return err
		}
		described.Title, described.Description, described.ChangedAt = head.Title, head.Description, now
		if described.Version, err = nextListVersion(t, 1, 0); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE lists SET title = $1, description = $2, version = $3, changed_at = $4 WHERE name = $5",
			head.Title, head.Description, described.Version, micros(now), head.Name); err != nil {
			return err
		}
		return logList(t, events.ListChanged{List: head.Name, Version: described.Version, Type: string(l.Type), By: by}, now)
	})
	if err := ended("describe list", err, answer); err != nil {
		return lists.Head{}, err
	}
	return described, nil
}

// DropList ends a list with all its items. It returns engine.ErrNotFound when it is
// not there and engine.ErrConflict when the rule set in force declares it.
func (s *Store) DropList(ctx context.Context, name, by string) error {
	var in input
	in.name("name", name)
	in.name("by", by)
	if in.err != nil {
		return in.err
	}
	for try := 1; ; try++ {
		number, declared, err := s.declares(ctx, name)
		switch {
		case err != nil:
			return fmt.Errorf("drop list: %w", err)
		case declared:
			return fmt.Errorf("drop list: %w: the rule set in force declares it", engine.ErrConflict)
		}
		err = s.dropList(ctx, name, by, number)
		if !errors.Is(err, errOtherRules) || try == dropTries {
			return ended("drop list", err, nil)
		}
	}
}

// dropTries is how often DropList looks at the rule set in force, when others are
// published meanwhile.
const dropTries = 5

// errOtherRules means that another rule set is in force than the one looked at.
var errOtherRules = fmt.Errorf("%w: rule sets were published meanwhile", engine.ErrConflict)

// declares tells the number of the rule set in force, 0 before the first, and
// whether it declares a list. It is asked outside of the group, where reading a
// large set would keep others from writing.
func (s *Store) declares(ctx context.Context, name string) (number int, declared bool, err error) {
	v, err := s.CurrentRules(ctx)
	if errors.Is(err, engine.ErrNotFound) {
		return 0, false, nil
	}
	return v.Number, slices.ContainsFunc(v.Definition.Lists, func(l rules.List) bool { return l.Name == name }), err
}

// dropList drops a list while a rule set is in force that does not declare it.
func (s *Store) dropList(ctx context.Context, name, by string, number int) error {
	now := s.now()
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		current, err := rulesNumber(t)
		if err != nil {
			return err
		}
		if current != number {
			answer = errOtherRules
			return nil
		}
		l, err := readList(t, name)
		if errors.Is(err, engine.ErrNotFound) {
			answer = err
			return nil
		}
		if err != nil {
			return err
		}
		version, err := nextListVersion(t, 1, -l.Items)
		if err != nil {
			return err
		}
		if err := endStorage(t, l.storage); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE lists SET title = '', description = '', items = 0, removed = 0, version = $1, changed_at = $2,
			storage = 0, base = $1, dropped = $3 WHERE name = $4`, version, micros(now), true, name); err != nil {
			return err
		}
		return logList(t, events.ListChanged{
			List: name, Version: version, Type: string(l.Type), Removed: l.Items, Deleted: true, By: by,
		}, now)
	})
	if err == nil {
		err = answer
	}
	return err
}

// nextListVersion takes n versions of the lists for this transaction, returns the
// first, and counts items.
func nextListVersion(t *tx, n int64, items int) (first int64, err error) {
	err = t.get("UPDATE list_head SET version = version + $1, items = items + $2 WHERE one = 1 RETURNING version",
		args{n, int64(items)}, &first)
	return first - n + 1, err
}

// newStorage begins a storage for items.
func newStorage(t *tx, inUse bool, now time.Time) (id int64, err error) {
	if err := t.get("UPDATE list_head SET storage = storage + 1 WHERE one = 1 RETURNING storage", nil, &id); err != nil {
		return 0, err
	}
	_, err = t.exec("INSERT INTO list_storages (id, in_use, begun_at) VALUES ($1, $2, $3)", id, inUse, micros(now))
	return id, err
}

// endStorage leaves a storage to SweepLists.
func endStorage(t *tx, id int64) error {
	_, err := t.exec("UPDATE list_storages SET in_use = $1, begun_at = 0 WHERE id = $2", false, id)
	return err
}

func logList(t *tx, change events.ListChanged, now time.Time) error {
	draft, err := events.NewDraft(change, nil, now)
	if err != nil {
		return err
	}
	return t.log(draft)
}

func (in *input) listText(head lists.Head) {
	in.name("title", head.Title)
	in.text("description", head.Description, maxText)
}
