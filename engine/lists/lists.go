// Package lists answers whether a value is on one of the lists that rules test.
// The items are kept elsewhere (internal/store); a Keeper holds them in memory,
// where a look-up takes constant time however long a list is.
package lists

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// Head describes a list.
type Head struct {
	Name        string // as conditions write it: rules.IsListName
	Type        rules.ListType
	Title       string // for people, any text
	Description string
	Items       int   // including items that have expired and were not swept yet
	Version     int64 // number of its last change
	ChangedAt   time.Time
}

// Applied is what a change did to a list.
type Applied struct {
	Head          // the list as it then is
	Added     int // items that were not there
	Changed   int // items that were there with another note or expiry
	Unchanged int // items that were there just so
	Removed   int // items that are gone
}

// Item is one value of a list.
type Item struct {
	Value   string // canonical, see Canonical
	Note    string
	Author  string
	AddedAt time.Time
	Expires time.Time // zero: never
}

// Change is what happened to an item or to a whole list. One without an item says
// that the list is there, if only without items.
type Change struct {
	List    string
	Type    rules.ListType
	Item    Item
	Removed bool // the item is gone
	Dropped bool // the whole list is gone; Item is empty
}

// Source tells of changes. internal/store implements it.
type Source interface {
	// ListVersion is the number of the last change of any list, 0 before the first.
	// It is cheap enough to ask every second.
	ListVersion(ctx context.Context) (int64, error)
	// ListChanges returns what changed after a version, oldest first, and the
	// version up to which that is all. It returns about limit changes or a few more,
	// always whole versions. Changes of an item that changed again since may be
	// left out. After 0 it also returns every item that is there.
	ListChanges(ctx context.Context, after int64, limit int) ([]Change, int64, error)
}
