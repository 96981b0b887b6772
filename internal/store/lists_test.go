package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// makeList creates a list of a type.
func makeList(tb testing.TB, s *store.Store, name string, typ rules.ListType) lists.Head {
	tb.Helper()
	head, err := s.CreateList(context.Background(), lists.Head{Name: name, Type: typ, Title: "Some " + name}, "ann")
	if err != nil {
		tb.Fatalf("create list %s: %v", name, err)
	}
	return head
}

// items are values without anything else.
func items(values ...string) []lists.Item {
	all := make([]lists.Item, len(values))
	for i, value := range values {
		all[i].Value = value
	}
	return all
}

// numbered are n values of a series.
func numbered(series string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%07d", series, i)
	}
	return all
}

func change(tb testing.TB, s *store.Store, name string, add []lists.Item, remove []string, replace bool) lists.Head {
	tb.Helper()
	applied, err := s.ChangeList(context.Background(), name, add, remove, replace, "ann", "")
	if err != nil {
		tb.Fatalf("change list %s: %v", name, err)
	}
	return applied.Head
}

// allItems reads a list page by page.
func allItems(tb testing.TB, s *store.Store, name string) []lists.Item {
	tb.Helper()
	var all []lists.Item
	for after := ""; ; {
		page, err := s.ListItems(context.Background(), name, after, 1000)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < 1000 {
			return all
		}
		after = page[len(page)-1].Value
	}
}

func valuesOf(tb testing.TB, s *store.Store, name string) []string {
	tb.Helper()
	values := []string{}
	for _, item := range allItems(tb, s, name) {
		values = append(values, item.Value)
	}
	return values
}

// follower holds what a reader of changes knows.
type follower struct {
	version int64
	lists   map[string]map[string]time.Time // value to expiry
}

// follow applies all changes, about limit at a time, and counts the pages.
func (f *follower) follow(tb testing.TB, s *store.Store, limit int) (pages int) {
	tb.Helper()
	if f.lists == nil {
		f.lists = map[string]map[string]time.Time{}
	}
	for {
		version, err := s.ListVersion(context.Background())
		if err != nil {
			tb.Fatal(err)
		}
		if f.version == version {
			return pages
		}
		changes, upTo, err := s.ListChanges(context.Background(), f.version, limit)
		if err != nil {
			tb.Fatal(err)
		}
		if upTo <= f.version {
			tb.Fatalf("after version %d of %d there is nothing but up to %d", f.version, version, upTo)
		}
		for _, c := range changes {
			f.apply(c)
		}
		f.version = upTo
		pages++
	}
}

func (f *follower) apply(c lists.Change) {
	if c.Dropped {
		delete(f.lists, c.List)
		return
	}
	if f.lists[c.List] == nil {
		f.lists[c.List] = map[string]time.Time{}
	}
	switch {
	case c.Item.Value == "":
	case c.Removed:
		delete(f.lists[c.List], c.Item.Value)
	default:
		f.lists[c.List][c.Item.Value] = c.Item.Expires
	}
}

// agree compares what a follower knows with what the store has.
func (f *follower) agree(tb testing.TB, s *store.Store) {
	tb.Helper()
	want := map[string]map[string]time.Time{}
	heads, err := s.Lists(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	for _, head := range heads {
		want[head.Name] = map[string]time.Time{}
		for _, item := range allItems(tb, s, head.Name) {
			want[head.Name][item.Value] = item.Expires
		}
		if head.Items != len(want[head.Name]) {
			tb.Errorf("list %s says that it has %d items; it has %d", head.Name, head.Items, len(want[head.Name]))
		}
	}
	if !maps.EqualFunc(want, f.lists, func(a, b map[string]time.Time) bool { return maps.EqualFunc(a, b, time.Time.Equal) }) {
		tb.Errorf("a follower knows %v", cmp.Diff(summary(want), summary(f.lists)))
	}
}

func summary(all map[string]map[string]time.Time) map[string]string {
	text := map[string]string{}
	for name, values := range all {
		sorted := slices.Sorted(maps.Keys(values))
		text[name] = fmt.Sprintf("%d: %.200s", len(sorted), strings.Join(sorted, " "))
	}
	return text
}

func TestListItems(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		now := base
		config.Now = func() time.Time { return now }
		s := storetest.Open(t, config)
		created := makeList(t, s, "suspects", rules.ListOfRanges)
		if created.Version != 1 || created.Items != 0 || !created.ChangedAt.Equal(now) {
			t.Errorf("created %+v", created)
		}
		until := base.Add(24 * time.Hour)
		head := change(t, s, "suspects", []lists.Item{
			{Value: "198.51.100.7", Note: "seen twice", Expires: until},
			{Value: "192.0.2.0/24", Author: "bob", AddedAt: base.Add(-time.Hour)},
			{Value: "::ffff:203.0.113.4"},
		}, nil, false)
		want := []lists.Item{
			{Value: "192.0.2.0/24", Author: "bob", AddedAt: base.Add(-time.Hour)},
			{Value: "198.51.100.7", Note: "seen twice", Author: "ann", AddedAt: base, Expires: until},
			{Value: "203.0.113.4", Author: "ann", AddedAt: base},
		}
		if diff := cmp.Diff(want, allItems(t, s, "suspects")); diff != "" {
			t.Errorf("items (-want +got):\n%s", diff)
		}
		if head.Items != 3 || head.Version != 2 {
			t.Errorf("head %+v", head)
		}

		now = now.Add(time.Minute)
		if again := change(t, s, "suspects", items("203.0.113.4"), []string{"10.0.0.1"}, false); again != head {
			t.Errorf("a change that changes nothing made %+v of %+v", again, head)
		}
		head = change(t, s, "suspects", []lists.Item{{Value: "203.0.113.4", Note: "was"}, {Value: "203.0.113.4", Note: "is"}},
			[]string{"192.0.2.0/24", "203.0.113.4"}, false)
		want = []lists.Item{want[1], {Value: "203.0.113.4", Note: "is", Author: "ann", AddedAt: base}}
		if diff := cmp.Diff(want, allItems(t, s, "suspects")); diff != "" {
			t.Errorf("items after the change (-want +got):\n%s", diff)
		}
		if head.Items != 2 || head.Version != 3 || !head.ChangedAt.Equal(now) {
			t.Errorf("head %+v", head)
		}
		head = change(t, s, "suspects", items("192.0.2.0/24", "198.51.100.7"), nil, true)
		if got := valuesOf(t, s, "suspects"); !slices.Equal(got, []string{"192.0.2.0/24", "198.51.100.7"}) || head.Items != 2 {
			t.Errorf("after a replacement %v, %+v", got, head)
		}
		if stored, err := s.List(t.Context(), "suspects"); err != nil || stored != head {
			t.Errorf("list %+v, %v; want %+v", stored, err, head)
		}

		var records []*events.ListChanged
		for _, e := range wholeLog(t, s) {
			record, err := e.Decode()
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, record.(*events.ListChanged))
		}
		wantRecords := []*events.ListChanged{
			{List: "suspects", Version: 1, Type: "cidr", By: "ann"},
			{List: "suspects", Version: 2, Type: "cidr", Added: 3, By: "ann"},
			{List: "suspects", Version: 3, Type: "cidr", Added: 1, Removed: 1, By: "ann"},
			{List: "suspects", Version: 4, Type: "cidr", Added: 2, Removed: 1, By: "ann"},
		}
		if diff := cmp.Diff(wantRecords, records); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestListRefusals(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "amounts", rules.ListOfNumbers)
		ctx := t.Context()
		created := func(head lists.Head) error {
			_, err := s.CreateList(ctx, head, "ann")
			return err
		}
		changed := func(name string, add []lists.Item, remove ...string) error {
			_, err := s.ChangeList(ctx, name, add, remove, false, "ann", "")
			return err
		}
		read := func(name, after string, limit int) error {
			_, err := s.ListItems(ctx, name, after, limit)
			return err
		}
		var input *engine.InputError
		tests := []struct {
			name string
			err  error
			want error // nil: *engine.InputError
		}{
			{"a list that is there", created(lists.Head{Name: "amounts", Type: rules.ListOfStrings}), engine.ErrConflict},
			{"a name that no condition can have", created(lists.Head{Name: "Blocked-Emails", Type: rules.ListOfStrings}), nil},
			{"a type that there is not", created(lists.Head{Name: "dates", Type: "date"}), nil},
			{"a title with a zero byte", created(lists.Head{Name: "dates", Type: rules.ListOfStrings, Title: "a\x00"}), nil},
			{"a change of a list that is not there", changed("nothing", items("1")), engine.ErrNotFound},
			{"a change of a list with a zero byte", changed("a\x00", items("1")), nil},
			{"a value of another type", changed("amounts", items("1", "one")), nil},
			{"a removed value of another type", changed("amounts", nil, "one"), nil},
			{"a long note", changed("amounts", []lists.Item{{Value: "1", Note: strings.Repeat("x", 1025)}}), nil},
			{"a note with a zero byte", changed("amounts", []lists.Item{{Value: "1", Note: "\x00"}}), nil},
			{"more than all items", changed("amounts", make([]lists.Item, store.MaxListItems+1)), nil},
			{"items of a list that is not there", read("nothing", "", 0), engine.ErrNotFound},
			{"items of a list with a zero byte", read("\x00", "", 0), engine.ErrNotFound},
			{"items after a zero byte", read("amounts", "\x00", 0), nil},
			{"too many items at a time", read("amounts", "", store.MaxListPage+1), nil},
			{"dropping a list that is not there", s.DropList(ctx, "nothing", "ann"), engine.ErrNotFound},
		}
		for _, tt := range tests {
			if tt.want == nil && !errors.As(tt.err, &input) || tt.want != nil && !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: %v; want %v", tt.name, tt.err, tt.want)
			}
		}
		if _, err := s.List(ctx, "nothing\x00"); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("list: %v", err)
		}
		if got := valuesOf(t, s, "amounts"); len(got) > 0 {
			t.Errorf("a refused change left %v", got)
		}
		if n := len(wholeLog(t, s)); n != 1 {
			t.Errorf("%d events; want that of the list alone", n)
		}
	})
}

func TestAListLivesUntilItIsDropped(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "names", rules.ListOfStrings)
		change(t, s, "names", items("jo", "mo"), nil, false)
		var early, late follower
		early.follow(t, s, 10)
		early.agree(t, s)
		described, err := s.DescribeList(t.Context(), lists.Head{Name: "names", Title: "Names", Description: "of people"}, "bob")
		if err != nil || described.Title != "Names" || described.Items != 2 || described.Type != rules.ListOfStrings {
			t.Errorf("described %+v, %v", described, err)
		}
		early.follow(t, s, 10)
		early.agree(t, s)
		if err := s.DropList(t.Context(), "names", "ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(t.Context(), "names"); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("a dropped list: %v", err)
		}
		late.follow(t, s, 10)
		late.agree(t, s)
		// Made again it is another list, empty and of another type.
		makeList(t, s, "names", rules.ListOfNumbers)
		change(t, s, "names", items("7"), nil, false)
		for name, f := range map[string]*follower{"one who knew the first": &early, "one who knew that it was dropped": &late, "a new one": {}} {
			f.follow(t, s, 10)
			if diff := cmp.Diff(map[string]map[string]time.Time{"names": {"7": {}}}, f.lists); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
		if _, err := s.SweepLists(t.Context(), base); err != nil {
			t.Fatal(err)
		}
		if got := valuesOf(t, s, "names"); !slices.Equal(got, []string{"7"}) {
			t.Errorf("after the sweep %v", got)
		}
	})
}

func TestChangesComeInWholeVersions(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		if version, err := s.ListVersion(t.Context()); err != nil || version != 0 {
			t.Errorf("version %d, %v before the first list", version, err)
		}
		makeList(t, s, "a", rules.ListOfStrings) // 1
		makeList(t, s, "b", rules.ListOfStrings) // 2
		change(t, s, "a", items("a1", "a2", "a3"), nil, false)
		change(t, s, "b", items("b1", "b2"), nil, false)
		change(t, s, "a", items("a4"), []string{"a1"}, false)
		type page struct {
			Version int64
			Changes []string
		}
		pages := func(after int64, limit int) (all []page) {
			for {
				changes, upTo, err := s.ListChanges(t.Context(), after, limit)
				if err != nil {
					t.Fatal(err)
				}
				if upTo == after {
					return all
				}
				p := page{Version: upTo}
				for _, c := range changes {
					text := c.List + " " + c.Item.Value
					if c.Removed {
						text += " removed"
					}
					if c.Dropped {
						text += "dropped"
					}
					p.Changes = append(p.Changes, text)
				}
				all, after = append(all, p), upTo
			}
		}
		tests := []struct {
			name  string
			after int64
			limit int
			want  []page
		}{
			{"all at once", 0, 100, []page{{5, []string{"a ", "b ", "a a2", "a a3", "b b1", "b b2", "a a4"}}}},
			{"one at a time", 0, 1, []page{
				{1, []string{"a "}},
				{2, []string{"b dropped", "b "}}, // for one who knew an earlier list of that name
				{3, []string{"a a2", "a a3"}},
				{4, []string{"b b1", "b b2"}},
				{5, []string{"a a1 removed", "a a4"}},
			}},
			{"what came later", 3, 100, []page{{5, []string{"b b1", "b b2", "a a1 removed", "a a4"}}}},
			{"nothing new", 5, 100, nil},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if diff := cmp.Diff(tt.want, pages(tt.after, tt.limit), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("pages (-want +got):\n%s", diff)
				}
			})
		}
		for _, limit := range []int{0, -1, 100_001} {
			var input *engine.InputError
			if _, _, err := s.ListChanges(t.Context(), 0, limit); !errors.As(err, &input) {
				t.Errorf("limit %d: %v", limit, err)
			}
		}
	})
}

func TestAChangeTellsWhatItDid(t *testing.T) {
	for _, size := range []int{4, 4000} { // in one transaction, and in several
		t.Run(fmt.Sprint(size, " items"), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, config store.Config) {
				s := writers(t, config)[0]
				makeList(t, s, "values", rules.ListOfStrings)
				all := items(numbered("v", size)...)
				half := size / 2
				noted := slices.Clone(all[:half+1])
				noted[0].Note, noted[1].Expires = "seen again", base.Add(time.Hour)
				tests := []struct {
					name    string
					add     []lists.Item
					remove  []string
					replace bool
					want    lists.Applied // without its head
				}{
					{"new ones", all[:half], nil, false, lists.Applied{Added: half}},
					{"the same again", all[:half], nil, false, lists.Applied{Unchanged: half}},
					{"two others and one more", noted, []string{"nobody"}, false, lists.Applied{Added: 1, Changed: 2, Unchanged: half - 2}},
					{"one in their place", append(slices.Clone(all[half:]), items("other")...), nil, true, lists.Applied{Added: size - half, Unchanged: 1, Removed: half}},
					{"fewer", items("other"), numbered("v", size), false, lists.Applied{Unchanged: 1, Removed: size - half}},
				}
				for _, tt := range tests {
					got, err := s.ChangeList(t.Context(), "values", tt.add, tt.remove, tt.replace, "ann", "")
					if err != nil {
						t.Fatal(err)
					}
					head, err := s.List(t.Context(), "values")
					if err != nil {
						t.Fatal(err)
					}
					tt.want.Head = head
					if got != tt.want {
						t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
					}
				}
			})
		})
	}
}
