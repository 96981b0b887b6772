package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// TestALargeChangeIsOneChange makes changes that take many transactions, and looks
// at the list all the while.
func TestALargeChangeIsOneChange(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		s := nodes[0]
		makeList(t, s, "values", rules.ListOfStrings)
		first, second := numbered("first", 9000), numbered("second", 7000)
		early := &follower{}
		early.follow(t, s, 1000)

		steps := []struct {
			name    string
			add     []string
			remove  []string
			replace bool
			want    []string
			event   events.ListChanged
		}{
			{
				name: "an import into an empty list", add: first, want: first,
				event: events.ListChanged{Added: 9000},
			},
			{
				name: "more items and fewer", add: second, remove: first[:3000], want: slices.Concat(first[3000:], second),
				event: events.ListChanged{Added: 7000, Removed: 3000},
			},
			{
				name: "others in their place", add: first, replace: true, want: first,
				event: events.ListChanged{Added: 9000, Removed: 13_000},
			},
			{
				name: "none in their place", replace: true, want: []string{},
				event: events.ListChanged{Removed: 9000},
			},
		}
		for _, step := range steps {
			before, err := s.List(t.Context(), "values")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			watched := make(chan error, 1)
			go func() { watched <- watch(nodes[1], before.Items, len(step.want), done) }()
			head := change(t, s, "values", items(step.add...), step.remove, step.replace)
			close(done)
			if err := <-watched; err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
			if head.Items != len(step.want) {
				t.Errorf("%s: %d items, want %d", step.name, head.Items, len(step.want))
			}
			if got := valuesOf(t, s, "values"); !slices.Equal(got, step.want) {
				t.Errorf("%s: %d values; want %d", step.name, len(got), len(step.want))
			}
			log := wholeLog(t, s)
			record, err := log[len(log)-1].Decode()
			if err != nil {
				t.Fatal(err)
			}
			want := step.event
			want.List, want.Version, want.Type, want.By = "values", head.Version, "string", "ann"
			if got := record.(*events.ListChanged); *got != want {
				t.Errorf("%s: event %+v, want %+v", step.name, *got, want)
			}
			pages := early.follow(t, s, 1000)
			if len(step.want) > 5000 && pages < 3 {
				t.Errorf("%s: %d items came in %d pages", step.name, len(step.want), pages)
			}
			early.agree(t, s)
			late := &follower{}
			late.follow(t, s, 1500)
			late.agree(t, s)
			if _, err := s.SweepLists(t.Context(), base); err != nil {
				t.Fatal(err)
			}
			if err := leftover(t, s, len(step.want)); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
		}
	})
}

// leftover compares the rows that are kept with the items of all lists.
func leftover(t *testing.T, s *store.Store, want int) error {
	var rows, storages int
	if err := s.Count(t.Context(), &rows, "SELECT COUNT(*) FROM list_items"); err != nil {
		return err
	}
	if err := s.Count(t.Context(), &storages, "SELECT COUNT(*) FROM list_storages"); err != nil {
		return err
	}
	if rows != want || storages != 1 {
		return fmt.Errorf("there are %d rows in %d storages; want %d in one", rows, storages, want)
	}
	return nil
}

// watch reads the list until done: it has the items from before or those from
// after, and nothing in between.
func watch(s *store.Store, before, after int, done <-chan struct{}) error {
	ctx := context.Background()
	for {
		select {
		case <-done:
			return nil
		default:
		}
		head, err := s.List(ctx, "values")
		if err != nil {
			return err
		}
		page, err := s.ListItems(ctx, "values", "", store.MaxListPage)
		if err != nil {
			return err
		}
		// 13,000 do not fit a page.
		sizes := []int{min(before, store.MaxListPage), min(after, store.MaxListPage)}
		if head.Items != before && head.Items != after || !slices.Contains(sizes, len(page)) {
			return fmt.Errorf("a reader saw %d items, and a head that says %d; want %d or %d", len(page), head.Items, before, after)
		}
	}
}

func TestOthersWriteWhileAListIsImported(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "values", rules.ListOfStrings)
		makeList(t, s, "others", rules.ListOfStrings)
		change(t, s, "values", items(numbered("kept", 5000)...), nil, false)
		imported := make(chan error, 1)
		go func() {
			_, err := s.ChangeList(context.Background(), "values", items(numbered("new", 60_000)...), []string{"kept-0000007", "mine-1"}, false, "ann", "")
			imported <- err
		}()
		// Until it is done, actions are recorded, and add to the same list and another.
		var tracked atomic.Int64
		n := 0
		for running := true; running; {
			select {
			case err := <-imported:
				if err != nil {
					t.Fatal(err)
				}
				running = false
			default:
				n++
				r := recording(t, action("jane", n), events.StateAllow)
				r.Additions = []engine.ListAddition{
					{List: "values", Type: rules.ListOfStrings, Value: fmt.Sprintf("mine-%d", n), Rule: "r"},
					{List: "values", Type: rules.ListOfStrings, Value: "new-0000001", Until: base.Add(time.Hour), Rule: "r"},
					{List: "others", Type: rules.ListOfStrings, Value: fmt.Sprintf("theirs-%d", n), Rule: "r"},
				}
				if _, err := s.Record(t.Context(), r); err != nil {
					t.Fatalf("record while a list is imported: %v", err)
				}
				if n%3 == 0 {
					change(t, s, "values", nil, []string{fmt.Sprintf("mine-%d", n), fmt.Sprintf("kept-%07d", 4000-n)}, false)
				}
				tracked.Add(1)
			}
		}
		if tracked.Load() < 10 {
			t.Errorf("only %d actions were recorded meanwhile", tracked.Load())
		}
		want := map[string]bool{}
		for _, value := range slices.Concat(numbered("kept", 5000), numbered("new", 60_000)) {
			want[value] = true
		}
		delete(want, "kept-0000007")
		for i := 1; i <= n; i++ {
			if i%3 == 0 {
				delete(want, fmt.Sprintf("kept-%07d", 4000-i))
			} else {
				want[fmt.Sprintf("mine-%d", i)] = true
			}
		}
		// mine-1 was removed by the import unless it came after.
		got := allItems(t, s, "values")
		if len(got) != len(want) && len(got) != len(want)-1 {
			t.Errorf("%d items, want %d or one less", len(got), len(want))
		}
		for _, item := range got {
			if !want[item.Value] {
				t.Errorf("%s is there", item.Value)
			}
		}
		f := &follower{}
		f.follow(t, s, 4000)
		f.agree(t, s)
	})
}

func TestABusyStoreDelaysAnImportAndDoesNotFailIt(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		config.Queue = 1
		s := storetest.Open(t, config)
		makeList(t, s, "values", rules.ListOfStrings)
		var refused atomic.Int64
		stop := make(chan struct{})
		var callers sync.WaitGroup
		for caller := range 6 {
			callers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					r := recording(t, action(fmt.Sprintf("user-%d", caller), n), events.StateAllow)
					_, err := s.Record(context.Background(), r)
					if errors.Is(err, engine.ErrUnavailable) {
						refused.Add(1)
						time.Sleep(time.Millisecond)
					} else if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for refused.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		want := numbered("v", 12_000)
		head, err := s.ChangeList(context.Background(), "values", items(want...), nil, false, "ann", "")
		close(stop)
		callers.Wait()
		if err != nil || head.Items != len(want) || !slices.Equal(valuesOf(t, s, "values"), want) {
			t.Errorf("head %+v, %v", head, err)
		}
	})
}

func TestOneOfTwoLargeChangesIsTold(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		makeList(t, nodes[0], "values", rules.ListOfStrings)
		errs := together(2, func(i int) error {
			_, err := nodes[i].ChangeList(context.Background(), "values", items(numbered(fmt.Sprint(i), 5000)...), nil, true, "ann", "")
			return err
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, engine.ErrConflict) {
				t.Error(err)
			}
		}
		// One after the other, both win.
		if got := valuesOf(t, nodes[0], "values"); len(got) != 5000 || won == 0 {
			t.Errorf("%d values after %d changes", len(got), won)
		}
		if _, err := nodes[0].SweepLists(t.Context(), base); err != nil {
			t.Fatal(err)
		}
		if err := leftover(t, nodes[0], 5000); err != nil {
			t.Error(err)
		}
	})
}

func TestADroppedListIsNotBroughtBackByItsImport(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "values", rules.ListOfStrings)
		imported := make(chan error, 1)
		go func() {
			_, err := s.ChangeList(context.Background(), "values", items(numbered("x", 40_000)...), nil, false, "ann", "")
			imported <- err
		}()
		for rows := 0; rows == 0; { // the import is under way
			if err := s.Count(t.Context(), &rows, "SELECT COUNT(*) FROM list_items"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DropList(t.Context(), "values", "bob"); err != nil {
			t.Fatal(err)
		}
		makeList(t, s, "values", rules.ListOfNumbers)
		if err := <-imported; !errors.Is(err, engine.ErrConflict) {
			t.Errorf("the import ended with %v; want a conflict", err)
		}
		if got := valuesOf(t, s, "values"); len(got) != 0 {
			t.Errorf("the new list has %d items", len(got))
		}
		if _, err := s.SweepLists(t.Context(), base); err != nil {
			t.Fatal(err)
		}
		if err := leftover(t, s, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestExpiredItemsAreSwept(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "a", rules.ListOfStrings)
		makeList(t, s, "b", rules.ListOfStrings)
		early := base.Add(time.Hour)
		change(t, s, "a", []lists.Item{{Value: "soon", Expires: early}, {Value: "later", Expires: early.Add(time.Hour)}, {Value: "never"}}, nil, false)
		change(t, s, "b", []lists.Item{{Value: "soon", Expires: early}}, nil, false)
		f := &follower{}
		f.follow(t, s, 100)
		f.agree(t, s)
		logged := len(wholeLog(t, s))
		for _, step := range []struct {
			now  time.Time
			want int
			a, b []string
		}{
			{early.Add(-time.Microsecond), 0, []string{"later", "never", "soon"}, []string{"soon"}},
			{early, 2, []string{"later", "never"}, []string{}},
			{early, 0, []string{"later", "never"}, []string{}},
			{early.Add(time.Hour), 1, []string{"never"}, []string{}},
		} {
			if n, err := s.SweepLists(t.Context(), step.now); err != nil || n != step.want {
				t.Errorf("at %v: swept %d, %v; want %d", step.now, n, err, step.want)
			}
			if a, b := valuesOf(t, s, "a"), valuesOf(t, s, "b"); !slices.Equal(a, step.a) || !slices.Equal(b, step.b) {
				t.Errorf("at %v: %v and %v; want %v and %v", step.now, a, b, step.a, step.b)
			}
			f.follow(t, s, 100)
			f.agree(t, s)
		}
		if n := len(wholeLog(t, s)); n != logged {
			t.Errorf("the sweep logged %d events; when items end stands in the log already", n-logged)
		}
		// A swept item can come back.
		if head := change(t, s, "b", items("soon"), nil, false); head.Items != 1 {
			t.Errorf("head %+v", head)
		}
		f.follow(t, s, 100)
		f.agree(t, s)
	})
}

func TestRemovedItemsDoNotPileUp(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		makeList(t, s, "values", rules.ListOfStrings)
		change(t, s, "values", items("kept"), nil, false)
		f := &follower{}
		f.follow(t, s, 100)
		const rounds, each = 12, 950
		for round := range rounds {
			values := numbered(fmt.Sprint(round), each)
			change(t, s, "values", items(values...), nil, false)
			change(t, s, "values", nil, values, false)
		}
		var rows int
		if err := s.Count(t.Context(), &rows, "SELECT COUNT(*) FROM list_items"); err != nil || rows != rounds*each+1 {
			t.Fatalf("%d rows, %v; removed items are kept for those who have not heard of it", rows, err)
		}
		if _, err := s.SweepLists(t.Context(), base); err != nil { // moves the list
			t.Fatal(err)
		}
		if _, err := s.SweepLists(t.Context(), base); err != nil { // frees what it left
			t.Fatal(err)
		}
		if err := leftover(t, s, 1); err != nil {
			t.Error(err)
		}
		f.follow(t, s, 100)
		f.agree(t, s)
		if got := valuesOf(t, s, "values"); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("values %v", got)
		}
	})
}
