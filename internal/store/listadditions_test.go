package store_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// adding records an action whose rules add to lists.
func adding(t *testing.T, s *store.Store, n int, at time.Time, additions ...engine.ListAddition) engine.Decision {
	t.Helper()
	r := recording(t, action("jane", n), events.StateAllow)
	r.Event.Time, r.Additions = at, additions
	d, err := s.Record(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRulesAddToLists(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "suspects", rules.ListOfRanges)
		change(t, s, "suspects", []lists.Item{{Value: "192.0.2.1", Note: "by hand"}}, nil, false)
		f := &follower{}
		f.follow(t, s, 100)
		day := func(n int) time.Time { return base.Add(time.Duration(n) * 24 * time.Hour) }
		add := func(value string, until time.Time) engine.ListAddition {
			return engine.ListAddition{List: "suspects", Type: rules.ListOfRanges, Value: value, Until: until, Rule: "too-fast"}
		}
		byRule := func(value string, added, until time.Time) lists.Item {
			return lists.Item{Value: value, Author: store.RuleAuthor + "too-fast", AddedAt: added, Expires: until}
		}
		hand := allItems(t, s, "suspects")[0]
		steps := []struct {
			name    string
			at      time.Time
			add     []engine.ListAddition
			want    []lists.Item
			version int64 // by how many it grows
		}{
			{"a new item", day(0), []engine.ListAddition{add("192.0.2.2", day(1))}, []lists.Item{hand, byRule("192.0.2.2", day(0), day(1))}, 1},
			{"an earlier end", day(0), []engine.ListAddition{add("192.0.2.2", day(1).Add(-1))}, []lists.Item{hand, byRule("192.0.2.2", day(0), day(1))}, 0},
			{"a later end", day(0).Add(time.Hour), []engine.ListAddition{add("192.0.2.2", day(2))}, []lists.Item{hand, byRule("192.0.2.2", day(0), day(2))}, 1},
			{"an item that never ends", day(0), []engine.ListAddition{add("192.0.2.1", day(9))}, []lists.Item{hand, byRule("192.0.2.2", day(0), day(2))}, 0},
			{"an item that has expired", day(3), []engine.ListAddition{add("192.0.2.2", day(4))}, []lists.Item{hand, byRule("192.0.2.2", day(3), day(4))}, 1},
			{"no end", day(3), []engine.ListAddition{add("192.0.2.2", time.Time{})}, []lists.Item{hand, byRule("192.0.2.2", day(3), time.Time{})}, 1},
			{
				"two in one decision, one of them twice", day(3),
				[]engine.ListAddition{add("192.0.2.3", day(4)), add("192.0.2.4", day(4)), add("192.0.2.3", day(5))},
				[]lists.Item{hand, byRule("192.0.2.2", day(3), time.Time{}), byRule("192.0.2.3", day(3), day(5)), byRule("192.0.2.4", day(3), day(4))},
				1,
			},
		}
		for i, step := range steps {
			before, err := s.List(t.Context(), "suspects")
			if err != nil {
				t.Fatal(err)
			}
			adding(t, s, i, step.at, step.add...)
			if diff := cmp.Diff(step.want, allItems(t, s, "suspects")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
			head, err := s.List(t.Context(), "suspects")
			if err != nil || head.Version != before.Version+step.version || head.Items != len(step.want) {
				t.Errorf("%s: head %+v, %v; before %+v", step.name, head, err, before)
			}
			f.follow(t, s, 100)
			f.agree(t, s)
		}
		// Who removes an item must not find it there again because of an earlier decision.
		change(t, s, "suspects", nil, []string{"192.0.2.2", "192.0.2.3"}, false)
		if d := adding(t, s, 0, day(0), add("192.0.2.2", day(1))); !d.Repeated {
			t.Error("the decision is not the recorded one")
		}
		if got := valuesOf(t, s, "suspects"); !slices.Equal(got, []string{"192.0.2.1", "192.0.2.4"}) {
			t.Errorf("an action that was tracked again left %v", got)
		}
		adding(t, s, 100, day(5), add("192.0.2.2", day(6)))
		f.follow(t, s, 100)
		f.agree(t, s)
	})
}

func TestARuleMakesTheListThatItsSetDeclares(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		adding(t, s, 1, base,
			engine.ListAddition{List: "payees", Type: rules.ListOfStrings, Value: "acct-7", Rule: "mule"},
			engine.ListAddition{List: "amounts", Type: rules.ListOfNumbers, Value: "250.50", Rule: "mule"},
			engine.ListAddition{List: "payees", Type: rules.ListOfStrings, Value: "acct-8", Rule: "mule"})
		if got := valuesOf(t, s, "payees"); !slices.Equal(got, []string{"acct-7", "acct-8"}) {
			t.Errorf("payees %v", got)
		}
		if got := valuesOf(t, s, "amounts"); !slices.Equal(got, []string{"250.5"}) {
			t.Errorf("amounts %v", got)
		}
		if got := kinds(t, s, 0); !slices.Equal(got, []events.Kind{events.KindActionTracked, events.KindListChanged, events.KindListChanged}) {
			t.Errorf("events %v", got)
		}
		// The action is still found with its event.
		if a, err := s.TrackedAction(t.Context(), action("jane", 1)); err != nil || a.Rule != "large" {
			t.Errorf("action %+v, %v", a, err)
		}
		f := &follower{}
		f.follow(t, s, 1)
		f.agree(t, s)
	})
}

func TestWhatAListCannotTakeIsDroppedAndTheDecisionStands(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		var logged bytes.Buffer
		now := base
		config.Log, config.Now = slog.New(slog.NewTextHandler(&logged, nil)), func() time.Time { return now }
		s := storetest.Open(t, config)
		makeList(t, s, "suspects", rules.ListOfRanges)
		additions := []engine.ListAddition{
			{List: "suspects", Type: rules.ListOfStrings, Value: "192.0.2.1", Rule: "r"}, // declared otherwise
			{List: "suspects", Type: rules.ListOfRanges, Value: "10.0.0.0/8", Rule: "r"}, // no single address
			{List: "suspects", Type: rules.ListOfRanges, Value: "secret-value", Rule: "r"},
			{List: "suspects\x00", Type: rules.ListOfRanges, Value: "192.0.2.1", Rule: "r"},
			{List: "No List", Type: rules.ListOfRanges, Value: "192.0.2.1", Rule: "r"},
			{List: "undeclared", Value: "192.0.2.1", Rule: "r"},
		}
		for n := range 3 {
			if d := adding(t, s, n, base, append(additions, engine.ListAddition{
				List: "suspects", Type: rules.ListOfRanges, Value: "192.0.2.9", Rule: "r",
			})...); d.Repeated || d.State != events.StateAllow {
				t.Errorf("decision %+v", d)
			}
		}
		if got := valuesOf(t, s, "suspects"); !slices.Equal(got, []string{"192.0.2.9"}) {
			t.Errorf("suspects %v", got)
		}
		if heads, err := s.Lists(t.Context()); err != nil || len(heads) != 1 {
			t.Errorf("lists %+v, %v", heads, err)
		}
		now = now.Add(time.Minute)
		adding(t, s, 9, base, additions...)
		text := logged.String()
		if n := strings.Count(text, "level=WARN"); n != 2 || !strings.Contains(text, "dropped=6 ") && !strings.Contains(text, "dropped=6\n") ||
			!strings.Contains(text, "dropped=18") || strings.Contains(text, "secret-value") {
			t.Errorf("logged %d times:\n%s", n, text)
		}
	})
}

func TestADeletedPersonTouchesNoList(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		adding(t, s, 1, base, engine.ListAddition{List: "mules", Type: rules.ListOfStrings, Value: "jane", Rule: "r"})
		before, err := s.List(t.Context(), "mules")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(t.Context(), "jane", events.ByApplication); err != nil {
			t.Fatal(err)
		}
		after, err := s.List(t.Context(), "mules")
		if err != nil || after != before || !slices.Equal(valuesOf(t, s, "mules"), []string{"jane"}) {
			t.Errorf("list %+v, %v; want %+v", after, err, before)
		}
	})
}
