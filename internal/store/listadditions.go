package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

// additionsLogged is how often dropped additions are logged at most.
const additionsLogged = time.Minute

// addToLists adds what rules add, in one version of the lists. A list that is not
// there is made, as the rule set declares it. It returns the names of the lists
// that could not take an item: they are of another type, or there are too many
// lists or items (MaxRuleItems). The decision stays what it is.
func addToLists(t *tx, additions []engine.ListAddition, at int64) (dropped []string, err error) {
	var version int64
	for _, a := range additions {
		l, value, refusal, err := receiver(t, a, at)
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			dropped = append(dropped, a.List)
			continue
		}
		add, err := wanted(t, l.storage, value, micros(a.Until), at)
		if err != nil {
			return nil, err
		}
		if !add.changes {
			continue
		}
		if add.fresh {
			var total int
			if err := t.get("SELECT items FROM list_head WHERE one = 1", nil, &total); err != nil {
				return nil, err
			}
			if total >= MaxListItems {
				dropped = append(dropped, a.List)
				continue
			}
		}
		if add.counts {
			room, err := ruleRoom(t, l)
			if err != nil {
				return nil, err
			}
			if !room {
				dropped = append(dropped, a.List)
				continue
			}
		}
		if version == 0 || version < l.Version {
			if version, err = nextListVersion(t, 1, 0); err != nil {
				return nil, err
			}
		}
		if err := addToList(t, l, add, row{value: value, author: RuleAuthor + a.Rule, added: at, expires: micros(a.Until)}, version); err != nil {
			return nil, err
		}
	}
	return dropped, nil
}

// receiver is the list that an item is for, and the item's canonical value.
func receiver(t *tx, a engine.ListAddition, at int64) (l list, value string, refusal, err error) {
	if unstorable(a.List, a.Rule) || len(a.Rule) > maxName {
		return l, "", &engine.InputError{Field: "additions", Message: "cannot be stored"}, nil
	}
	l, err = readList(t, a.List)
	if errors.Is(err, engine.ErrNotFound) && rules.IsListName(a.List) && isListType(a.Type) {
		l, refusal, err = createList(t, lists.Head{Name: a.List, Type: a.Type, Title: a.List}, RuleAuthor+a.Rule, instant(at))
	}
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return l, "", err, nil
	case err != nil || refusal != nil:
		return l, "", refusal, err
	case a.Type != "" && a.Type != l.Type:
		return l, "", engine.ErrConflict, nil
	}
	value, refusal = lists.CanonicalAddition(l.Type, a.Value)
	return l, value, refusal, nil
}

// RuleAuthor stands before the id of a rule that is the author of an item. The
// triggers that count such items know it too.
const RuleAuthor = "rule:"

// addition is what adding an item means for what is there.
type addition struct {
	changes bool
	fresh   bool // the item is new, and not only kept for longer
	traced  bool // it takes the row of a removed item
	expired bool // it takes the row of an expired one
	counts  bool // rules have added one more
}

// wanted finds out whether an item is there until a time already.
func wanted(t *tx, storage int64, value string, until, at int64) (addition, error) {
	var removed bool
	var expires int64
	var author string
	err := t.get("SELECT removed, expires_at, author FROM list_items WHERE storage = $1 AND value = $2", args{storage, value},
		&removed, &expires, &author)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return addition{changes: true, fresh: true, counts: true}, nil
	case err != nil:
		return addition{}, err
	case removed:
		return addition{changes: true, fresh: true, traced: true, counts: true}, nil
	case expires != 0 && expires <= at:
		return addition{changes: true, expired: true, counts: !strings.HasPrefix(author, RuleAuthor)}, nil
	default:
		return addition{changes: expires != 0 && (until == 0 || until > expires)}, nil
	}
}

func addToList(t *tx, l list, add addition, r row, version int64) error {
	var err error
	if add.fresh || add.expired {
		err = putRows(t, l.storage, version-l.base, []row{r})
	} else {
		_, err = t.exec("UPDATE list_items SET expires_at = $1, version = $2 WHERE storage = $3 AND value = $4",
			r.expires, version-l.base, l.storage, r.value)
	}
	if err != nil {
		return fmt.Errorf("add to list: %w", err)
	}
	if add.fresh {
		l.Items++
		if _, err := t.exec("UPDATE list_head SET items = items + 1 WHERE one = 1"); err != nil {
			return err
		}
	}
	if add.traced {
		l.removed--
	}
	l.Version, l.ChangedAt = version, instant(r.added)
	return touchList(t, l)
}

// dropCounter counts additions that lists could not take and logs them now and
// then: a rule that meets a missing list does so with every decision.
type dropCounter struct {
	mu     sync.Mutex
	count  int   // since they were logged
	total  int64 // since the start
	logged time.Time
}

// dropped counts additions and logs when it is time.
func (s *Store) dropped(names []string) {
	if len(names) == 0 {
		return
	}
	c := &s.drops
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count += len(names)
	c.total += int64(len(names))
	now := s.now()
	if since := now.Sub(c.logged); since >= 0 && since < additionsLogged {
		return
	}
	s.logger.Warn("rules add to a list that has another type or cannot grow; the decisions stand",
		"list", names[0], "dropped", c.count)
	c.count, c.logged = 0, now
}
