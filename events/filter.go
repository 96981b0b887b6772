package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// MaxPage is the largest page a reader returns.
const MaxPage = 200

// MaxStory is how many events of one action a reader returns.
const MaxStory = 1000

// Filter selects decisions. Empty fields select everything.
type Filter struct {
	User    UserID    // exact
	Action  string    // action code, exact
	Outcome string    // ALLOW, CHALLENGE, REVIEW or BLOCK
	From    time.Time // inclusive
	To      time.Time // exclusive
	After   Cursor    // where the page before ended, "" for the first page
	Limit   int       // 1 to MaxPage; 0 means 50
}

// Cursor is where a page ended, opaque to callers. A reader refuses a text that
// it did not write with ErrCursor.
type Cursor string

// ErrLimit means that a filter asks for a page that no reader returns.
var ErrLimit = fmt.Errorf("the limit of a page is 1 to %d, or 0 for %d", MaxPage, defaultPage)

const defaultPage = 50

// PageSize is the number of items that the filter asks for, or ErrLimit.
func (f Filter) PageSize() (int, error) {
	switch {
	case f.Limit == 0:
		return defaultPage, nil
	case f.Limit < 0 || f.Limit > MaxPage:
		return 0, ErrLimit
	}
	return f.Limit, nil
}

// Page is one page of results, newest first, and where it ended. Next is ""
// when nothing follows.
type Page[T any] struct {
	Items []T
	Next  Cursor
}

// Decision is one tracked action as the console lists it.
type Decision struct {
	Position
	ActionID
	Time      time.Time
	Outcome   string
	State     ActionState // newest known state
	Reason    string
	Rule      string
	RuleName  string
	Set       int
	Matches   json.RawMessage
	Enrolled  bool
	Country   string
	IP        string // "" once erased
	UserAgent string // "" once erased
	Micros    int64
}

// Reader finds decisions. The SQL log and the ClickHouse archive implement it
// and pass the same contract suite (package events/readertest).
type Reader interface {
	// Decisions returns the page of tracked actions that filter selects, newest
	// first by (time, epoch, seq). It returns ErrCursor for a foreign cursor and an
	// error for a limit that PageSize refuses.
	Decisions(ctx context.Context, filter Filter) (Page[Decision], error)
	// Story returns every event about one action in the order of SortStory, at
	// most the first MaxStory.
	// It is empty when the action is not known.
	Story(ctx context.Context, id ActionID) ([]Event, error)
}
