package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/events"
)

// Limits of what rules add to lists. People at work on the lists have the rest of
// MaxListItems for themselves: a rule may add what its caller chooses freely, and
// whoever tries many values must not keep an analyst from adding one.
//
// What comes when there is no more room is dropped, and what came first stays.
// Otherwise somebody on a list of what is blocked could get off it by making a
// rule add enough other values.
const (
	// MaxRuleItems is how many items of one list rules may have added.
	MaxRuleItems = 100_000
	// MaxAllRuleItems is how many items of all lists together rules may have added.
	MaxAllRuleItems = 1_000_000
)

// ruleRoom reports whether a rule may add one more item to a list.
func ruleRoom(q querier, l list) (bool, error) {
	var all, here int
	err := q.get(`SELECT CAST(COALESCE(SUM(by_rules), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN id = $1 THEN by_rules ELSE 0 END), 0) AS BIGINT)
		FROM list_storages WHERE in_use`, args{l.storage}, &all, &here)
	return here < MaxRuleItems && all < MaxAllRuleItems, err
}

// ListHealth tells whether rules and people can add to every list. It is degraded
// while one is full. The number of additions of rules that were dropped, for
// whatever reason, counts from the start of this process.
func (s *Store) ListHealth(ctx context.Context) events.Health {
	full, err := s.fullLists(ctx)
	switch {
	case err != nil:
		return events.Health{Status: events.StatusDegraded, Detail: "Whether there is room in the lists cannot be told: " + err.Error()}
	case full == "":
		return events.Health{Status: events.StatusOK}
	}
	s.drops.mu.Lock()
	dropped := s.drops.total
	s.drops.mu.Unlock()
	were := "s of rules were"
	if dropped == 1 {
		were = " of rules was"
	}
	return events.Health{Status: events.StatusDegraded, Detail: fmt.Sprintf("%s %d addition%s dropped since the start; decisions are made.", full, dropped, were)}
}

// fullLists says which limit is reached, and is empty when none is.
func (s *Store) fullLists(ctx context.Context) (sentence string, err error) {
	var total int
	q := s.read(ctx)
	if err := q.get("SELECT items FROM list_head WHERE one = 1", nil, &total); err != nil {
		return "", fmt.Errorf("read number of items: %w", err)
	}
	if total >= MaxListItems {
		return "All lists together have 5,000,000 items, the most that are allowed, and nothing can be added: remove some.", nil
	}
	var full []string
	all := 0
	rows, err := q.list("SELECT l.name, s.by_rules FROM lists l JOIN list_storages s ON s.id = l.storage WHERE s.by_rules > 0 ORDER BY l.name", nil)
	err = each(rows, err, func(rows *sql.Rows) error {
		var name string
		var items int
		err := rows.Scan(&name, &items)
		if all += items; items >= MaxRuleItems {
			full = append(full, name)
		}
		return err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("read items of rules: %w", err)
	case all >= MaxAllRuleItems:
		return "Rules have added 1,000,000 items to all lists together and add no more: remove some, or let onMatch add them for a shorter time.", nil
	case len(full) > 0:
		return "Rules have added 100,000 items to a list and add no more to it (" + strings.Join(full, ", ") +
			"): remove some, or let onMatch add them for a shorter time.", nil
	}
	return "", nil
}
