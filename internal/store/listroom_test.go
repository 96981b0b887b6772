package store_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// byRules counts what rules have added, from the items themselves and as the
// store keeps it.
func byRules(t *testing.T, s *store.Store) (counted, kept int) {
	t.Helper()
	for n, query := range map[*int]string{
		&counted: "SELECT COUNT(*) FROM list_items i JOIN lists l ON l.storage = i.storage WHERE author LIKE 'rule:%'",
		&kept:    "SELECT CAST(COALESCE(SUM(by_rules), 0) AS BIGINT) FROM list_storages WHERE in_use",
	} {
		if err := s.Count(t.Context(), n, query); err != nil {
			t.Fatal(err)
		}
	}
	return counted, kept
}

// fromRule are items as a rule adds them.
func fromRule(values ...string) []lists.Item {
	all := items(values...)
	for i := range all {
		all[i].Author = store.RuleAuthor + "free"
	}
	return all
}

func TestRulesCannotTakeTheRoomOfPeople(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		now := base
		config.Now = func() time.Time { return now }
		s := storetest.Open(t, config)
		for _, name := range []string{"flooded", "other", "manual"} {
			makeList(t, s, name, rules.ListOfStrings)
		}
		n := 0
		add := func(list, value string, until time.Time) {
			t.Helper()
			n++
			adding(t, s, n, now, engine.ListAddition{List: list, Type: rules.ListOfStrings, Value: value, Until: until, Rule: "free"})
		}
		there := func(list, value string) bool {
			t.Helper()
			page, err := s.ListItems(t.Context(), list, value[:len(value)-1], 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page {
				if item.Value == value {
					return true
				}
			}
			return false
		}
		healthy := func(want events.Status, parts ...string) {
			t.Helper()
			health := s.ListHealth(t.Context())
			if health.Status != want || want == events.StatusOK && health.Detail != "" {
				t.Errorf("health %+v; want %s", health, want)
			}
			for _, part := range parts {
				if !strings.Contains(health.Detail, part) {
					t.Errorf("health %q; want %q in it", health.Detail, part)
				}
			}
		}

		// One item short of what rules may add, one of them for an hour.
		full := fromRule(numbered("v", store.MaxRuleItems-1)...)
		full[0].Expires = base.Add(time.Hour)
		change(t, s, "flooded", full, nil, true)
		healthy(events.StatusOK)
		add("flooded", "the last", time.Time{})
		healthy(events.StatusDegraded, "flooded", "100,000")
		add("flooded", "too much", time.Time{})
		if !there("flooded", "the last") || there("flooded", "too much") || !there("flooded", full[1].Value) {
			t.Error("the list holds another item than those that came first")
		}
		healthy(events.StatusDegraded, "flooded", "1 addition")

		// What is there is kept for longer, other lists and people go on.
		add("flooded", full[0].Value, base.Add(2*time.Hour))
		add("other", "free", time.Time{})
		if !there("other", "free") {
			t.Error("a full list keeps rules from adding to another")
		}
		change(t, s, "flooded", items("by hand"), nil, false)
		change(t, s, "manual", items("attacker"), nil, false)
		if !there("flooded", "by hand") || !there("manual", "attacker") {
			t.Error("people cannot add an item")
		}

		// An item of a rule that has expired makes room for itself and, once it is swept,
		// for any other; one of a person does not.
		change(t, s, "flooded", []lists.Item{{Value: "briefly", Expires: base.Add(time.Hour)}}, nil, false)
		now = base.Add(3 * time.Hour)
		add("flooded", "briefly", time.Time{})
		if counted, kept := byRules(t, s); counted != store.MaxRuleItems+1 || kept != counted {
			t.Errorf("rules added %d items, counted as %d", counted, kept)
		}
		add("flooded", full[0].Value, base.Add(4*time.Hour))
		now = base.Add(5 * time.Hour)
		if swept, err := s.SweepLists(t.Context(), now); err != nil || swept != 2 {
			t.Errorf("swept %d, %v", swept, err)
		}
		healthy(events.StatusOK)
		add("flooded", "once more", time.Time{})
		if !there("flooded", "once more") {
			t.Error("an item that has expired and was swept left no room")
		}

		// All lists together.
		if err := s.Exec(t.Context(), fmt.Sprintf("UPDATE list_storages SET by_rules = by_rules + %d WHERE in_use AND id = (SELECT storage FROM lists WHERE name = 'manual')",
			store.MaxAllRuleItems-store.MaxRuleItems-1)); err != nil {
			t.Fatal(err)
		}
		add("other", "beyond all", time.Time{})
		change(t, s, "other", items("by hand"), nil, false)
		if there("other", "beyond all") || !there("other", "by hand") {
			t.Error("rules took more than their share of all lists, or people did not get theirs")
		}
		healthy(events.StatusDegraded, "1,000,000")
	})
}

func TestWhatRulesAddedIsCountedHoweverItChanges(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "values", rules.ListOfStrings)
		steps := []struct {
			name    string
			add     []lists.Item
			remove  []string
			replace bool
			want    int
		}{
			{name: "few", add: fromRule(numbered("v", 20)...), want: 20},
			{name: "again", add: fromRule(numbered("v", 10)...), want: 20},
			{name: "taken over by a person", add: []lists.Item{{Value: "v-0000003", Author: "ann", AddedAt: base}}, want: 19},
			{name: "taken over by a rule", add: fromRule("v-0000003"), want: 20},
			{name: "removed", remove: numbered("v", 5), want: 15},
			{name: "back", add: fromRule(numbered("v", 2)...), want: 17},
			{name: "beside many of a person", add: items(numbered("w", 3000)...), want: 17},
			{name: "many", add: fromRule(numbered("x", 2500)...), want: 2517},
			{name: "many removed", remove: numbered("x", 2400), want: 117},
			{name: "replaced", add: fromRule("a", "b", "c"), replace: true, want: 3},
		}
		for _, step := range steps {
			change(t, s, "values", step.add, step.remove, step.replace)
			if counted, kept := byRules(t, s); counted != step.want || kept != step.want {
				t.Errorf("%s: %d items of rules, counted as %d; want %d", step.name, counted, kept, step.want)
			}
		}
		if _, err := s.SweepLists(t.Context(), time.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := s.DropList(t.Context(), "values", "ann"); err != nil {
			t.Fatal(err)
		}
		if counted, kept := byRules(t, s); counted != 0 || kept != 0 {
			t.Errorf("after the drop: %d, counted as %d", counted, kept)
		}
	})
}

func TestAListThatTheSetInForceDeclaresIsNotDropped(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "suspects", rules.ListOfStrings)
		publish := func(declared ...rules.List) {
			t.Helper()
			d := rules.Definition{Lists: declared}
			if _, err := s.PublishRules(t.Context(), -1, rules.Version{Definition: d, Author: "ann"}, "", 0); err != nil {
				t.Fatal(err)
			}
		}
		publish(rules.List{Name: "suspects", Type: rules.ListOfStrings})
		if err := s.DropList(t.Context(), "suspects", "bob"); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("drop: %v; want ErrConflict", err)
		}
		if _, err := s.List(t.Context(), "suspects"); err != nil {
			t.Errorf("the list: %v", err)
		}
		publish(rules.List{Name: "others", Type: rules.ListOfStrings})
		if err := s.DropList(t.Context(), "suspects", "bob"); err != nil {
			t.Errorf("drop of a list that an earlier set declares: %v", err)
		}

		// A set is published between the look at the set in force and the drop.
		makeList(t, s, "suspects", rules.ListOfStrings)
		release := busy(t, s)
		published, dropped := make(chan error, 1), make(chan error, 1)
		go func() {
			d := rules.Definition{Lists: []rules.List{{Name: "suspects", Type: rules.ListOfStrings}}}
			_, err := s.PublishRules(t.Context(), -1, rules.Version{Definition: d, Author: "ann"}, "", 0)
			published <- err
		}()
		s.AwaitQueued(1)
		go func() { dropped <- s.DropList(t.Context(), "suspects", "bob") }()
		s.AwaitQueued(2)
		release()
		if err := <-published; err != nil {
			t.Errorf("publish: %v", err)
		}
		if err := <-dropped; !errors.Is(err, engine.ErrConflict) {
			t.Errorf("drop behind a publication: %v; want ErrConflict", err)
		}
	})
}

func TestTheLimitsOfListsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	comma := func(n int) string {
		if n >= 1_000_000 {
			return fmt.Sprintf("%d,%03d,%03d", n/1_000_000, n/1000%1000, n%1000)
		}
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	row := fmt.Sprintf("| items of a list that rules have added | %s, and %s of all lists together; people add to the same lists up to %s items of all |",
		comma(store.MaxRuleItems), comma(store.MaxAllRuleItems), comma(store.MaxListItems))
	if !strings.Contains(string(text), row) {
		t.Errorf("docs/rules.md does not say %q", row)
	}
}
