package events_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
)

func TestTransitions(t *testing.T) {
	states := []events.ActionState{
		events.StateAllow, events.StateBlock, events.StateChallengeRequired, events.StateChallengeSucceeded,
		events.StateChallengeFailed, events.StateReviewRequired, events.StateReviewSucceeded, events.StateReviewFailed,
	}
	type move struct {
		cause    events.Cause
		from, to events.ActionState
	}
	allowed := []move{
		{events.ByProof, events.StateChallengeRequired, events.StateChallengeSucceeded},
		{events.ByRefusal, events.StateChallengeRequired, events.StateChallengeFailed},
		{events.ByBackend, events.StateAllow, events.StateReviewRequired},
		{events.ByBackend, events.StateChallengeRequired, events.StateChallengeFailed},
		{events.ByBackend, events.StateChallengeRequired, events.StateReviewRequired},
		{events.ByBackend, events.StateChallengeSucceeded, events.StateReviewRequired},
		{events.ByBackend, events.StateChallengeFailed, events.StateReviewRequired},
		{events.ByBackend, events.StateReviewRequired, events.StateReviewSucceeded},
		{events.ByBackend, events.StateReviewRequired, events.StateReviewFailed},
	}
	// Every other move of the 3 x 8 x 8 is refused.
	for _, cause := range []events.Cause{events.ByProof, events.ByRefusal, events.ByBackend} {
		for _, from := range states {
			for _, to := range states {
				want := slices.Contains(allowed, move{cause, from, to})
				if got := from.CanBecome(to, cause); got != want {
					t.Errorf("cause %d: %s to %s is %t", cause, from, to, got)
				}
			}
		}
	}
	if events.StateChallengeRequired.CanBecome(events.StateChallengeSucceeded, events.Cause(99)) {
		t.Error("an unknown cause moves an action")
	}
	for _, state := range states {
		if !state.Valid() {
			t.Errorf("%s is not valid", state)
		}
	}
	for _, state := range []events.ActionState{"", "allow", "ALLOWED"} {
		if state.Valid() || state.CanBecome(events.StateAllow, events.ByBackend) {
			t.Errorf("%q is valid", state)
		}
	}
}

func TestPosition(t *testing.T) {
	for text, p := range map[string]events.Position{
		"0000000000000000-0":                    {},
		"00000000000000ff-1":                    {Epoch: 255, Seq: 1},
		"ffffffffffffffff-18446744073709551615": {Epoch: math.MaxUint64, Seq: math.MaxUint64},
	} {
		if got := p.String(); got != text {
			t.Errorf("%+v is written %s, want %s", p, got, text)
		}
		if got, err := events.ParsePosition(text); err != nil || got != p {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "-", "1", "1-1", "00000000000000ff", "00000000000000ff-", "00000000000000FF-1", "00000000000000ff-01",
		"00000000000000ff--1", "00000000000000ff-+1", "00000000000000ff-1 ", " 00000000000000ff-1", "000000000000000000ff-1",
		"00000000000000ff-18446744073709551616", "00000000000000fg-1", "00000000000000ff-1-1",
	} {
		if p, err := events.ParsePosition(text); !errors.Is(err, events.ErrPosition) {
			t.Errorf("%q is read as %v, %v", text, p, err)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("00000000000000ff-1")
	f.Add("00000000000000FF-01")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := events.ParsePosition(text); err == nil && p.String() != text {
			t.Errorf("%q is read as %s", text, p)
		}
	})
}

func TestEpochInJSONKeepsItsDigits(t *testing.T) {
	text, err := json.Marshal(events.Epoch(math.MaxUint64 - 1))
	if err != nil || string(text) != `"fffffffffffffffe"` {
		t.Errorf("got %s, %v", text, err)
	}
	var epoch events.Epoch
	if err := json.Unmarshal(text, &epoch); err != nil || epoch != math.MaxUint64-1 {
		t.Errorf("got %v, %v", epoch, err)
	}
	if err := json.Unmarshal([]byte(`"1"`), &epoch); !errors.Is(err, events.ErrPosition) {
		t.Errorf("got %v", err)
	}
}

func TestCursor(t *testing.T) {
	if at, p, err := events.Cursor("").Split(); err != nil || !at.IsZero() || p != (events.Position{}) {
		t.Errorf("the first page: %v, %v, %v", at, p, err)
	}
	for _, at := range []time.Time{time.UnixMicro(0), time.UnixMicro(-1), time.UnixMicro(1_770_116_400_123_456), time.UnixMicro(math.MaxInt64)} {
		want := events.Position{Epoch: math.MaxUint64, Seq: math.MaxUint64 - 7}
		got, p, err := events.CursorAt(at, want).Split()
		if err != nil || !got.Equal(at) || p != want {
			t.Errorf("%v: got %v, %v, %v", at, got, p, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(string(events.CursorAt(time.UnixMicro(1), events.Position{Epoch: 2, Seq: 3})))
	f.Add("AAAA\nAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		at, p, err := events.Cursor(text).Split()
		if err != nil && !errors.Is(err, events.ErrCursor) {
			t.Errorf("got %v", err)
		}
		if err == nil && text != "" && string(events.CursorAt(at, p)) != text {
			t.Errorf("%q is read as %v, %s", text, at, p)
		}
	})
}

func TestPageSize(t *testing.T) {
	for limit, want := range map[int]int{0: 50, 1: 1, 200: 200} {
		if got, err := (events.Filter{Limit: limit}).PageSize(); err != nil || got != want {
			t.Errorf("limit %d: %d, %v", limit, got, err)
		}
	}
	for _, limit := range []int{-1, 201} {
		if _, err := (events.Filter{Limit: limit}).PageSize(); !errors.Is(err, events.ErrLimit) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestSortStory(t *testing.T) {
	at := func(epoch events.Epoch, seq uint64, micros int64) events.Event {
		return events.Event{Position: events.Position{Epoch: epoch, Seq: seq}, Draft: events.Draft{Time: time.UnixMicro(micros)}}
	}
	// Epoch 9 began before epoch 4; within each, clocks are wrong.
	want := []events.Event{at(9, 1, 100), at(9, 2, 90), at(9, 3, 500), at(4, 1, 300), at(4, 2, 200), at(4, 7, 250)}
	for shift := range want {
		got := append(slices.Clone(want[shift:]), want[:shift]...)
		events.SortStory(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	events.SortStory(nil)
}

func TestRange(t *testing.T) {
	run := make([]events.Event, 3)
	for i := range run {
		run[i] = mustDraft(t, tracked(), nil).At(events.Position{Epoch: 0xabc, Seq: uint64(i) + 5})
	}
	r := events.RangeOf(run)
	if r.Epoch != 0xabc || r.From != 5 || r.To != 7 || r.Confirmed {
		t.Errorf("got %+v", r)
	}
	if again := events.RangeOf(run); again != r {
		t.Errorf("got %+v and %+v", r, again)
	}
	run[1].Body = append(run[1].Body, ' ')
	changed := events.RangeOf(run)
	if changed.Hash == r.Hash || changed.Token() == r.Token() {
		t.Error("the token does not tell other events apart")
	}
}
