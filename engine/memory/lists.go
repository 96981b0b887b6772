package memory

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
)

var _ lists.Source = (*Recorder)(nil)

// list is what is kept of one list. The items themselves are with those who read
// the changes.
type list struct {
	head  lists.Head
	items map[string]lists.Item
}

// versioned is a change and the version that it made.
type versioned struct {
	lists.Change
	version int64
}

// CreateList makes an empty list. Of the head it reads Name, Type, Title and
// Description. It returns engine.ErrConflict when there is one of this name.
func (r *Recorder) CreateList(_ context.Context, head lists.Head, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists[head.Name] != nil {
		return fmt.Errorf("create list %s: %w", head.Name, engine.ErrConflict)
	}
	r.beginVersion()
	r.createList(head)
	return r.listChanged(events.ListChanged{List: head.Name, Type: string(head.Type), By: by})
}

// ChangeList adds items to a list or replaces those that are there, and removes
// values. Values become canonical, and Author and AddedAt are filled in. One bad
// value fails the whole change, and nothing is changed then. It returns
// engine.ErrNotFound when there is no such list.
func (r *Recorder) ChangeList(_ context.Context, name string, add []lists.Item, remove []string, by string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lists[name]
	if l == nil {
		return fmt.Errorf("change list %s: %w", name, engine.ErrNotFound)
	}
	add, remove = slices.Clone(add), slices.Clone(remove)
	now := time.Now()
	for i := range add {
		value, err := lists.Canonical(l.head.Type, add[i].Value)
		if err != nil {
			return fmt.Errorf("change list %s: the value of item %d %w", name, i+1, err)
		}
		add[i].Value, add[i].Author, add[i].AddedAt = value, by, now
	}
	for i := range remove {
		value, err := lists.Canonical(l.head.Type, remove[i])
		if err != nil {
			return fmt.Errorf("change list %s: the value %d to remove %w", name, i+1, err)
		}
		remove[i] = value
	}
	r.beginVersion()
	removed := 0
	for _, value := range remove {
		if item, there := l.items[value]; there {
			delete(l.items, value)
			r.changed(l, lists.Change{Item: item, Removed: true})
			removed++
		}
	}
	for _, item := range add {
		r.putItem(l, item)
	}
	return r.listChanged(events.ListChanged{List: name, Type: string(l.head.Type), Added: len(add), Removed: removed, By: by})
}

// ListVersion implements lists.Source.
func (r *Recorder) ListVersion(context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.listVersion, nil
}

// ListChanges implements lists.Source.
func (r *Recorder) ListChanges(_ context.Context, after int64, limit int) ([]lists.Change, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := sort.Search(len(r.listChanges), func(i int) bool { return r.listChanges[i].version > after })
	var changes []lists.Change
	upTo := after
	for _, c := range r.listChanges[from:] {
		if c.version != upTo && len(changes) >= limit {
			return changes, upTo, nil
		}
		changes, upTo = append(changes, c.Change), c.version
	}
	return changes, r.listVersion, nil
}

// The rest is called with the lock held.

// addItems does what rules asked for: an item that is there already stays until
// the later of both times.
func (r *Recorder) addItems(additions []engine.ListAddition, now time.Time) {
	if len(additions) == 0 {
		return
	}
	r.beginVersion()
	for _, a := range additions {
		l := r.lists[a.List]
		if l == nil {
			l = r.createList(lists.Head{Name: a.List, Type: a.Type})
		}
		if l.head.Type != a.Type {
			continue // somebody made a list of this name that is of another type
		}
		old, there := l.items[a.Value]
		if there && (old.Expires.IsZero() || !a.Until.IsZero() && !a.Until.After(old.Expires)) {
			continue
		}
		item := old
		if !there {
			item = lists.Item{Value: a.Value, Author: "rule:" + a.Rule, AddedAt: now}
		}
		item.Expires = a.Until
		r.putItem(l, item)
	}
}

func (r *Recorder) beginVersion() { r.listVersion++ }

func (r *Recorder) createList(head lists.Head) *list {
	l := &list{head: head, items: map[string]lists.Item{}}
	r.lists[head.Name] = l
	r.changed(l, lists.Change{})
	return l
}

func (r *Recorder) putItem(l *list, item lists.Item) {
	l.items[item.Value] = item
	r.changed(l, lists.Change{Item: item})
}

func (r *Recorder) changed(l *list, c lists.Change) {
	c.List, c.Type = l.head.Name, l.head.Type
	r.listChanges = append(r.listChanges, versioned{c, r.listVersion})
}

func (r *Recorder) listChanged(record events.ListChanged) error {
	record.Version = r.listVersion
	draft, err := events.NewDraft(record, nil, time.Now())
	if err != nil {
		return fmt.Errorf("change list %s: %w", record.List, err)
	}
	r.append(draft)
	return nil
}
