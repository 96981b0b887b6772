package api

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/engine/lists"
)

// keepItems returns the items that replace those of a list when items are sent,
// each with a time of its own. A value that is on the list already stays as it
// is: who added it, why, and above all until when. Otherwise an address that a
// rule keeps for a day would stay for ever as soon as Terraform applies a
// configuration that names it. Its time alone changes, and only where the order
// that was sent needs it.
func (s *Server) keepItems(ctx context.Context, list string, items []lists.Item) ([]lists.Item, error) {
	sent := make(map[string]*lists.Item, len(items))
	for i := range items {
		sent[items[i].Value] = nil
	}
	now := s.now()
	for after, more := "", len(items) > 0; more; {
		page, err := s.config.Store.ListItems(ctx, list, after, listPage)
		if err != nil {
			return nil, fmt.Errorf("read items: %w", err)
		}
		for _, old := range page {
			expired := !old.Expires.IsZero() && !old.Expires.After(now) // and shown to nobody
			if _, again := sent[old.Value]; again && !expired {
				sent[old.Value] = &old
			}
		}
		if more = len(page) == listPage; more {
			after = page[len(page)-1].Value
		}
	}
	kept := make([]lists.Item, len(items))
	var last lists.Item
	follows := func(at time.Time, value string) bool { // items of one time stand in the order of their values
		return at.After(last.AddedAt) || at.Equal(last.AddedAt) && value > last.Value
	}
	for i, item := range items {
		fresh := item.AddedAt
		if old := sent[item.Value]; old != nil {
			item = *old
		}
		if !follows(item.AddedAt, item.Value) {
			item.AddedAt = fresh
		}
		if !follows(item.AddedAt, item.Value) {
			item.AddedAt = last.AddedAt.Add(time.Microsecond)
		}
		kept[i], last = item, item
	}
	return kept, nil
}
