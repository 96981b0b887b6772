package jetstream

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
)

// The codec is not part of the package's interface, so its tests are inside.

func sample() []events.Event {
	at := func(seq uint64) events.Position { return events.Position{Epoch: math.MaxUint64, Seq: seq} }
	return []events.Event{
		{Position: at(7), Draft: events.Draft{
			Time: time.UnixMicro(1_700_000_000_123_456).UTC(), Kind: events.KindActionTracked, Version: 1,
			Action: events.ActionID{User: "u", Code: "payment", Key: "k"}, State: events.StateAllow,
			Body: []byte(`{"a":1}`), Personal: []byte(`{"ip":"::1"}`), Salt: []byte("0123456789abcdef"),
		}},
		{Position: at(8), Draft: events.Draft{Time: time.UnixMicro(-1).UTC(), Kind: "of the future", Version: 700, State: "NEW", Body: []byte{}}},
		{Position: at(9), Draft: events.Draft{Time: time.UnixMicro(0).UTC(), Kind: events.KindLogRecovered}},
	}
}

func TestCodecRoundTrip(t *testing.T) {
	for n := 1; n <= len(sample()); n++ {
		got, err := decode(encode(sample()[:n]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sample()[:n], got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDecodeRefusesEveryChange(t *testing.T) {
	good := encode(sample())
	for i := range good {
		for bit := range 8 {
			bad := append([]byte{}, good...)
			bad[i] ^= 1 << bit
			if _, err := decode(bad); err == nil {
				t.Fatalf("bit %d of byte %d flipped, not noticed", bit, i)
			}
		}
		if _, err := decode(good[:i]); err == nil {
			t.Fatalf("cut off at byte %d, not noticed", i)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(sample()))
	f.Fuzz(func(t *testing.T, data []byte) {
		batch, err := decode(data)
		if err != nil || len(batch) == 0 {
			return
		}
		again, err := decode(encode(batch))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(batch, again); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCut(t *testing.T) {
	event := func(epoch events.Epoch, seq uint64, size int) events.Event {
		return events.Event{Position: events.Position{Epoch: epoch, Seq: seq}, Draft: events.Draft{Body: []byte(strings.Repeat("x", size))}}
	}
	tests := []struct {
		name string
		list []events.Event
		want []int // lengths of the runs
	}{
		{name: "nothing"},
		{name: "one run", list: []events.Event{event(1, 1, 10), event(1, 2, 10)}, want: []int{2}},
		{name: "by count", list: []events.Event{event(1, 1, 1), event(1, 2, 1), event(1, 3, 1), event(1, 4, 1)}, want: []int{3, 1}},
		{name: "by size", list: []events.Event{event(1, 1, 500), event(1, 2, 500)}, want: []int{1, 1}},
		{name: "at a gap", list: []events.Event{event(1, 1, 1), event(1, 3, 1)}, want: []int{1, 1}},
		{name: "at another epoch", list: []events.Event{event(1, 1, 1), event(2, 2, 1)}, want: []int{1, 1}},
		{name: "an event that is too large", list: []events.Event{event(1, 1, 1), event(1, 2, 5000), event(1, 3, 1)}, want: []int{3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for _, run := range cut(test.list, 3, 1000) {
				got = append(got, len(run))
				size := 32
				for _, e := range run {
					size += weight(e)
					if len(e.Body) > 1000 {
						t.Errorf("event %s kept its body", e.Position)
					}
				}
				if n := len(encode(run)); n > size {
					t.Errorf("a message of %d bytes, expected at most %d", n, size)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			for _, e := range test.list {
				if e.Body == nil {
					t.Errorf("the log's own event %s has lost its body", e.Position)
				}
			}
		})
	}
}
