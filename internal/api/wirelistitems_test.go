package api_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

// TestItemsThatAreSentAgainStayAsTheyAre: applying a Terraform configuration must
// not make an item of a rule stay for ever.
func TestItemsThatAreSentAgainStayAsTheyAre(t *testing.T) {
	w := start(t)
	if _, err := w.store.CreateList(t.Context(), lists.Head{Name: "payees", Type: rules.ListOfStrings, Title: "Payees"}, "ann"); err != nil {
		t.Fatal(err)
	}
	day := w.clock().Add(24 * time.Hour).UTC().Truncate(time.Second)
	added := w.clock().Add(-time.Hour).UTC().Truncate(time.Second)
	byRule := lists.Item{Value: "rule", Author: "rule huge", AddedAt: added, Expires: day}
	byAnn := lists.Item{Value: "ann", Author: "ann", Note: "a case", AddedAt: added.Add(time.Second)}
	gone := lists.Item{Value: "gone", Author: "ann", AddedAt: added.Add(2 * time.Second)}
	over := lists.Item{Value: "over", Author: "rule huge", AddedAt: added.Add(3 * time.Second), Expires: w.clock().Add(-time.Minute).UTC().Truncate(time.Second)}
	if _, err := w.store.ChangeList(t.Context(), "payees", []lists.Item{byRule, byAnn, gone, over}, nil, true, "ann", ""); err != nil {
		t.Fatal(err)
	}
	patch := func(values []string) map[string]lists.Item {
		t.Helper()
		w.terraform("PATCH", "/value-lists/payees", object{"valueListItems": values}).ok().has(object{"valueListItems": values})
		w.terraform("GET", "/value-lists/payees", nil).ok().has(object{"valueListItems": values})
		page, err := w.store.ListItems(t.Context(), "payees", "", 100)
		if err != nil {
			t.Fatal(err)
		}
		items := map[string]lists.Item{}
		for _, item := range page {
			items[item.Value] = item
		}
		if len(items) != len(values) {
			t.Errorf("there are %v", page)
		}
		return items
	}

	after := patch([]string{"rule", "ann", "over", "new"})
	if diff := cmp.Diff([]lists.Item{byRule, byAnn}, []lists.Item{after["rule"], after["ann"]}); diff != "" {
		t.Errorf("items that are there (-before +after):\n%s", diff)
	}
	for _, value := range []string{"over", "new"} { // nobody saw the one that had expired
		if item := after[value]; !item.Expires.IsZero() || item.AddedAt.Before(added.Add(time.Minute)) || item.Author == "rule huge" {
			t.Errorf("%+v is not new", item)
		}
	}
	if again := patch([]string{"rule", "ann", "over", "new"}); !cmp.Equal(after, again) {
		t.Errorf("the same items change to %v", again)
	}

	// Another order changes times only.
	before := after
	after = patch([]string{"new", "first", "ann", "rule"})
	for _, value := range []string{"new", "ann", "rule"} {
		was, is := before[value], after[value]
		was.AddedAt, is.AddedAt = time.Time{}, time.Time{}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("in another order (-before +after):\n%s", diff)
		}
	}
	if before["new"] != after["new"] {
		t.Errorf("the first became %+v", after["new"])
	}
	patch([]string{})
}
