package lists_test

import (
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

// million is a source of a list of n items, made while they are asked for.
func million(typ rules.ListType, n int) *fixed {
	return &fixed{version: 1, answers: func(int64) ([]lists.Change, int64) {
		changes := make([]lists.Change, n)
		for i := range changes {
			changes[i] = lists.Change{List: "l", Type: typ, Item: lists.Item{Value: value(typ, i)}}
		}
		return changes, 1
	}}
}

// value is item i of a list. Ranges are of 16 different lengths.
func value(typ rules.ListType, i int) string {
	switch typ {
	case rules.ListOfNumbers:
		return fmt.Sprint(i)
	case rules.ListOfRanges:
		address := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
		return netip.PrefixFrom(address, 17+i%16).Masked().String()
	}
	return fmt.Sprintf("somebody-%d@example.com", i)
}

// BenchmarkTest looks for values that are there and others that are not, in
// lists of ten and of a million items. "x-ten" is the time against ten items.
func BenchmarkTest(b *testing.B) {
	for _, typ := range []rules.ListType{rules.ListOfStrings, rules.ListOfNumbers, rules.ListOfRanges} {
		var ten float64
		for _, n := range []int{10, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", typ, n), func(b *testing.B) {
				k := lists.NewKeeper(million(typ, n), nil)
				refresh(b, k)
				looked := make([]any, 1<<12)
				for i := range looked {
					at := i * 7919 % n
					if i%2 == 0 {
						at += 50_000_000 // not there
					}
					switch typ {
					case rules.ListOfNumbers:
						looked[i] = float64(at)
					case rules.ListOfRanges:
						looked[i] = netip.AddrFrom4([4]byte{11 + byte(i%2), byte(at >> 16), byte(at >> 8), byte(at)}).String()
					default:
						looked[i] = value(typ, at)
					}
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					k.Test("l", looked[i&(len(looked)-1)], noon)
					i++
				}
				each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if n == 10 {
					ten = each
				} else if ten > 0 {
					b.ReportMetric(each/ten, "x-ten")
				}
			})
		}
	}
}

// BenchmarkMemory tells how much memory an item takes among a million, and how
// long a garbage collection takes with and without them.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	collect := func() time.Duration {
		start := time.Now()
		runtime.GC()
		return time.Since(start)
	}
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		collect()
		before := inUse()
		without := collect()
		k := lists.NewKeeper(million(rules.ListOfStrings, n), nil)
		refresh(b, k)
		collect()
		b.ReportMetric(float64(inUse()-before)/n, "B/item")
		b.ReportMetric(float64(collect().Microseconds())/float64(max(without.Microseconds(), 1)), "x-gc")
		runtime.KeepAlive(k)
	}
}

// BenchmarkChange adds one item to a list of a million and makes it known to
// readers.
func BenchmarkChange(b *testing.B) {
	f := million(rules.ListOfStrings, 1_000_000)
	k := lists.NewKeeper(f, nil)
	refresh(b, k)
	f.answers = func(after int64) ([]lists.Change, int64) {
		return []lists.Change{{List: "l", Type: rules.ListOfStrings, Item: lists.Item{Value: fmt.Sprintf("new-%d", after)}}}, after + 1
	}
	b.ReportAllocs()
	for b.Loop() {
		f.version++
		refresh(b, k)
	}
}

// BenchmarkParseCSV reads a line of a file of a hundred thousand.
func BenchmarkParseCSV(b *testing.B) {
	const n = 100_000
	var file strings.Builder
	file.WriteString("value,note,expires\n")
	for i := range n {
		fmt.Fprintf(&file, "somebody-%d@example.com,\"reported, twice\",2027-01-01\n", i)
	}
	b.ReportAllocs()
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		if _, err := lists.ParseCSV(io.LimitReader(strings.NewReader(file.String()), 1<<40), rules.ListOfStrings, lists.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
}
