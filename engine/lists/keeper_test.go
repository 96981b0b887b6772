package lists_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

var (
	_ engine.Lists      = (*lists.Keeper)(nil)
	_ engine.Instant    = (*lists.Keeper)(nil)
	_ engine.Refreshing = (*lists.Keeper)(nil)
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// source is a memory.Recorder with a list l that changes are made to.
type source struct {
	*memory.Recorder
	t testing.TB
}

func newSource(t testing.TB, typ rules.ListType) source {
	t.Helper()
	s := source{memory.New(), t}
	if err := s.CreateList(t.Context(), lists.Head{Name: "l", Type: typ}, "test"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s source) add(items ...lists.Item) {
	s.t.Helper()
	if err := s.ChangeList(s.t.Context(), "l", items, nil, "test"); err != nil {
		s.t.Fatal(err)
	}
}

func (s source) remove(values ...string) {
	s.t.Helper()
	if err := s.ChangeList(s.t.Context(), "l", nil, values, "test"); err != nil {
		s.t.Fatal(err)
	}
}

func refresh(t testing.TB, k *lists.Keeper) {
	t.Helper()
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// filled is a keeper of one list l.
func filled(t testing.TB, typ rules.ListType, items ...lists.Item) *lists.Keeper {
	t.Helper()
	s := newSource(t, typ)
	s.add(items...)
	k := lists.NewKeeper(s, nil)
	refresh(t, k)
	return k
}

// in tells whether a value is in list l: "yes", "no" or "unknown".
func in(k *lists.Keeper, value any, now time.Time) string {
	switch found, known := k.Test("l", value, now).Get(); {
	case !known:
		return "unknown"
	case found:
		return "yes"
	}
	return "no"
}

func TestTest(t *testing.T) {
	stringList := filled(t, rules.ListOfStrings, lists.Item{Value: "Jo"}, lists.Item{Value: "192.0.2.7"})
	numbers := filled(t, rules.ListOfNumbers, lists.Item{Value: "1.5"}, lists.Item{Value: "0"}, lists.Item{Value: "1e24"})
	ranges := filled(t, rules.ListOfRanges, lists.Item{Value: "192.0.2.0/24"}, lists.Item{Value: "198.51.100.7"},
		lists.Item{Value: "2001:db8::/33"}, lists.Item{Value: "2001:db8:ffff::1"})
	tests := []struct {
		name  string
		list  *lists.Keeper
		value any
		want  string
	}{
		{"a string", stringList, "Jo", "yes"},
		{"another case", stringList, "jo", "no"},
		{"a space", stringList, "Jo ", "no"},
		{"the empty string", stringList, "", "no"},
		{"a number in a list of strings", stringList, 1.5, "unknown"},

		{"a number", numbers, 1.5, "yes"},
		{"minus nought", numbers, math.Copysign(0, -1), "yes"},
		{"a large number", numbers, 1e24, "yes"},
		{"another number", numbers, 1.5000000000000002, "no"},
		{"not a number", numbers, math.NaN(), "unknown"},
		{"infinity", numbers, math.Inf(1), "no"},
		{"a string in a list of numbers", numbers, "1.5", "unknown"},

		{"the first address of a range", ranges, "192.0.2.0", "yes"},
		{"the last address of a range", ranges, "192.0.2.255", "yes"},
		{"the address before a range", ranges, "192.0.1.255", "no"},
		{"the address after a range", ranges, "192.0.3.0", "no"},
		{"IPv4 inside IPv6", ranges, "::ffff:192.0.2.9", "yes"},
		{"a single address", ranges, "198.51.100.7", "yes"},
		{"its neighbour", ranges, "198.51.100.6", "no"},
		{"an IPv6 range", ranges, "2001:db8:7fff::1", "yes"},
		{"beyond an IPv6 range", ranges, "2001:db8:8000::1", "no"},
		{"an IPv6 address", ranges, "2001:db8:ffff:0::1", "yes"},
		{"IPv6 of the same bits as IPv4", ranges, "c000:0200::", "no"},
		{"text that is no address", ranges, "somewhere", "unknown"},
		{"a range", ranges, "192.0.2.0/25", "unknown"},
		{"a zone", ranges, "fe80::1%eth0", "unknown"},
		{"a number in a list of ranges", ranges, 3221225985.0, "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := in(tt.list, tt.value, noon); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("a list that there is not", func(t *testing.T) {
		if _, known := stringList.Test("other", "Jo", noon).Get(); known {
			t.Error("it is known")
		}
	})
}

func TestItemsExpire(t *testing.T) {
	k := filled(t, rules.ListOfStrings, lists.Item{Value: "Jo", Expires: noon}, lists.Item{Value: "Al"})
	for _, tt := range []struct {
		value string
		now   time.Time
		want  string
	}{
		{"Jo", noon.Add(-time.Microsecond), "yes"},
		{"Jo", noon, "no"},
		{"Jo", noon.Add(time.Hour), "no"},
		{"Al", noon.AddDate(500, 0, 0), "yes"},
	} {
		if got := in(k, tt.value, tt.now); got != tt.want {
			t.Errorf("%s at %v: %s, want %s", tt.value, tt.now, got, tt.want)
		}
	}
	t.Run("an address counts while a wider range does", func(t *testing.T) {
		k := filled(t, rules.ListOfRanges, lists.Item{Value: "192.0.2.7", Expires: noon}, lists.Item{Value: "192.0.2.0/24"})
		if got := in(k, "192.0.2.7", noon); got != "yes" {
			t.Errorf("got %s", got)
		}
	})
}

func TestKeeperFollowsChanges(t *testing.T) {
	s := newSource(t, rules.ListOfStrings)
	k := lists.NewKeeper(s, nil)
	step := func(name string, change func(), want ...string) {
		t.Helper()
		before := in(k, "Jo", noon)
		change()
		if got := in(k, "Jo", noon); got != before {
			t.Errorf("%s: it was in force before it was read: %s, then %s", name, before, got)
		}
		refresh(t, k)
		if got := []string{in(k, "Jo", noon), in(k, "Al", noon)}; !slices.Equal(got, want) {
			t.Errorf("%s: Jo and Al are in the list: %v, want %v", name, got, want)
		}
		version, err := s.ListVersion(t.Context())
		if err != nil || k.Version() != version {
			t.Errorf("%s: version %d, want %d (error %v)", name, k.Version(), version, err)
		}
	}
	if k.Version() != 0 || in(k, "Jo", noon) != "unknown" {
		t.Error("a list is known before it was read")
	}
	step("empty", func() {}, "no", "no")
	step("added", func() { s.add(lists.Item{Value: "Jo"}) }, "yes", "no")
	step("another", func() { s.add(lists.Item{Value: "Al"}) }, "yes", "yes")
	step("removed", func() { s.remove("Jo") }, "no", "yes")
	step("removed again", func() { s.remove("Jo", "nobody") }, "no", "yes")
	step("back for a while", func() { s.add(lists.Item{Value: "Jo", Expires: noon.Add(1)}) }, "no", "yes")
	step("back for longer", func() { s.add(lists.Item{Value: "Jo", Expires: noon.Add(time.Hour)}) }, "yes", "yes")
}

// fixed is a source of changes that are written out.
type fixed struct {
	mu      sync.Mutex
	version int64
	answers func(after int64) ([]lists.Change, int64)
	err     error
	asked   int
}

func (f *fixed) ListVersion(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.version, f.err
}

func (f *fixed) ListChanges(_ context.Context, after int64, _ int) ([]lists.Change, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, upTo := f.answers(after)
	return changes, upTo, f.err
}

func TestKeeperReadsWhatSourcesTell(t *testing.T) {
	jo := lists.Change{List: "l", Type: rules.ListOfStrings, Item: lists.Item{Value: "Jo"}}
	dropped := lists.Change{List: "l", Type: rules.ListOfStrings, Dropped: true}
	tests := []struct {
		name    string
		changes []lists.Change
		value   any
		want    string
	}{
		{"a list that is dropped", []lists.Change{jo, dropped}, "Jo", "unknown"},
		{"a list that is dropped and made again", []lists.Change{jo, dropped, {List: "l", Type: rules.ListOfStrings}}, "Jo", "no"},
		{"a list that became one of another type", []lists.Change{jo, {List: "l", Type: rules.ListOfNumbers, Item: lists.Item{Value: "7"}}}, 7.0, "yes"},
		{"an item that cannot be one is left out", []lists.Change{{List: "l", Type: rules.ListOfNumbers, Item: lists.Item{Value: "x"}}}, 7.0, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := lists.NewKeeper(&fixed{version: 1, answers: func(int64) ([]lists.Change, int64) { return tt.changes, 1 }}, nil)
			refresh(t, k)
			if got := in(k, tt.value, noon); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			unusable := strings.Contains(tt.name, "left out")
			if got := k.Health(); (got.Status == events.StatusDegraded) != unusable {
				t.Errorf("health %+v", got)
			}
		})
	}
	t.Run("a source that began anew is read anew", func(t *testing.T) {
		f := &fixed{version: 9, answers: func(int64) ([]lists.Change, int64) { return []lists.Change{jo}, 9 }}
		k := lists.NewKeeper(f, nil)
		refresh(t, k)
		f.version, f.answers = 2, func(after int64) ([]lists.Change, int64) {
			if after != 0 {
				t.Errorf("asked for changes after %d", after)
			}
			return nil, 2
		}
		refresh(t, k)
		if k.Version() != 2 || in(k, "Jo", noon) != "unknown" {
			t.Errorf("version %d, Jo %s", k.Version(), in(k, "Jo", noon))
		}
	})
	t.Run("a source that tells of no changes is no endless loop", func(t *testing.T) {
		k := lists.NewKeeper(&fixed{version: 3, answers: func(after int64) ([]lists.Change, int64) { return nil, after }}, nil)
		if err := k.Refresh(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

// TestReadersSeeWholeVersions moves one item between two values, in versions that
// take the old away and bring the new, while readers look for both.
func TestReadersSeeWholeVersions(t *testing.T) {
	s := newSource(t, rules.ListOfStrings)
	s.add(lists.Item{Value: "v0"})
	k := lists.NewKeeper(s, nil)
	refresh(t, k)
	const versions = 300
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				before := k.Version()
				count := 0
				for i := range versions + 1 {
					if in(k, fmt.Sprintf("v%d", i), noon) == "yes" {
						count++
					}
				}
				if k.Version() == before && count != 1 {
					t.Errorf("%d items are in the list at version %d", count, before)
					return
				}
			}
		})
	}
	for i := range versions {
		if err := s.ChangeList(t.Context(), "l", []lists.Item{{Value: fmt.Sprintf("v%d", i+1)}}, []string{fmt.Sprintf("v%d", i)}, "test"); err != nil {
			t.Fatal(err)
		}
		refresh(t, k)
	}
	close(done)
	wait.Wait()
}

// TestKeeperAgreesWithPlainMaps makes many random changes, enough for its tables
// to grow and merge, and compares with a map and a scan.
func TestKeeperAgreesWithPlainMaps(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	addresses := func() string {
		if random.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, 0, byte(random.IntN(4)), byte(random.IntN(256))}).String()
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 14: byte(random.IntN(4)), 15: byte(random.IntN(256))}).String()
	}
	for _, typ := range []rules.ListType{rules.ListOfStrings, rules.ListOfRanges} {
		t.Run(string(typ), func(t *testing.T) {
			s := newSource(t, typ)
			k := lists.NewKeeper(s, nil)
			want := map[string]bool{}
			for range 100 {
				var add []lists.Item
				var remove []string
				for range random.IntN(1200) {
					value := fmt.Sprintf("v%d", random.IntN(20_000))
					if typ == rules.ListOfRanges {
						value = addresses()
						if random.IntN(10) == 0 {
							value = netip.PrefixFrom(netip.MustParseAddr(value), 20+random.IntN(12)).Masked().String()
						}
					}
					if random.IntN(3) == 0 {
						remove = append(remove, value)
					} else {
						add = append(add, lists.Item{Value: value})
					}
				}
				if err := s.ChangeList(t.Context(), "l", add, remove, "test"); err != nil {
					t.Fatal(err)
				}
				for _, value := range remove {
					delete(want, value)
				}
				for _, item := range add {
					want[item.Value] = true
				}
				refresh(t, k)
				for range 200 {
					value := fmt.Sprintf("v%d", random.IntN(20_000))
					found := want[value]
					if typ == rules.ListOfRanges {
						value = addresses()
						found = covered(want, netip.MustParseAddr(value))
					}
					if got := in(k, value, noon); got != map[bool]string{true: "yes", false: "no"}[found] {
						t.Fatalf("%s: got %s, want %v", value, got, found)
					}
				}
			}
		})
	}
}

// covered looks at each range in turn.
func covered(ranges map[string]bool, address netip.Addr) bool {
	for text := range ranges {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Contains(address) || text == address.String() {
			return true
		}
	}
	return false
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixed{err: errors.New("the disk is gone")}
		k := lists.NewKeeper(f, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- k.Run(ctx) }()
		synctest.Wait()
		if h := k.Health(); h.Status != events.StatusDegraded || !strings.Contains(h.Detail, "the disk is gone") {
			t.Errorf("health of a source that fails: %+v", h)
		}
		f.mu.Lock()
		f.err, f.version = nil, 1
		f.answers = func(int64) ([]lists.Change, int64) {
			return []lists.Change{{List: "l", Type: rules.ListOfStrings, Item: lists.Item{Value: "Jo"}}}, 1
		}
		f.mu.Unlock()
		time.Sleep(lists.Poll)
		synctest.Wait()
		if h := k.Health(); h.Status != events.StatusOK || in(k, "Jo", noon) != "yes" {
			t.Errorf("after a poll: %+v, Jo %s", h, in(k, "Jo", noon))
		}
		f.mu.Lock()
		asked := f.asked
		f.mu.Unlock()
		k.Nudge()
		synctest.Wait()
		f.mu.Lock()
		if f.asked != asked+1 {
			t.Error("a nudge did not make it look")
		}
		f.err = errors.New("the disk is gone again")
		f.mu.Unlock()
		time.Sleep(lists.Poll)
		synctest.Wait()
		if h := k.Health(); h.Status != events.StatusDegraded || in(k, "Jo", noon) != "yes" {
			t.Errorf("while the source fails: %+v, Jo %s; want what was read before", h, in(k, "Jo", noon))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestRefreshIsShared lets many callers wait for one slow reading.
func TestRefreshIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixed{version: 1}
		f.answers = func(int64) ([]lists.Change, int64) {
			time.Sleep(time.Second)
			return nil, f.version
		}
		k := lists.NewKeeper(f, nil)
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				if err := k.Refresh(t.Context()); err != nil || k.Version() != 1 {
					t.Errorf("error %v, version %d", err, k.Version())
				}
			})
		}
		wait.Wait()
		if f.asked > 2 {
			t.Errorf("%d callers made %d readings; want those under way and one after", 50, f.asked)
		}
		ctx, cancel := context.WithCancel(t.Context())
		f.version = 2
		wait.Go(func() { refresh(t, k) })
		synctest.Wait()
		cancel()
		if err := k.Refresh(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that gave up got %v", err)
		}
		wait.Wait()
	})
}
