package store_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// byCode is the n-th ceremony of an action by a code that was sent: it survives
// three answers.
func byCode(id events.ActionID, n int) ceremonies.Challenge {
	c := challenge(id, n)
	c.Method, c.Most, c.Session = events.MethodEmailOTP, 3, []byte(`{"email":"jane@example.com"}`)
	return c
}

// begun begins a ceremony.
func begun(tb testing.TB, s *store.Store, c ceremonies.Challenge) ceremonies.Challenge {
	tb.Helper()
	if err := s.Begin(tb.Context(), c, step(tb, events.KindCeremonyBegun, c, "", 0)); err != nil {
		tb.Fatal(err)
	}
	return c
}

// answer is an attempt at a ceremony that was begun.
func answer(c ceremonies.Challenge) ceremonies.Attempt {
	return ceremonies.Attempt{Challenge: ceremonies.Challenge{ID: c.ID, Action: c.Action}, Tries: 5, At: base.Add(time.Second)}
}

// atOnce is an attempt at a ceremony that begins with its answer.
func atOnce(tb testing.TB, c ceremonies.Challenge) ceremonies.Attempt {
	tb.Helper()
	a := answer(c)
	a.New, a.Challenge, a.Begun = true, c, step(tb, events.KindCeremonyBegun, c, "", 0)
	return a
}

// triesOf are the answers that an action has counted.
func triesOf(tb testing.TB, s *store.Store, id events.ActionID) int {
	tb.Helper()
	a, err := s.Action(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return a.Tries
}

// meter counts up to most within an hour.
func meter(name string, most int) ceremonies.Meter {
	return ceremonies.Meter{Name: name, Most: most, Window: time.Hour, Lock: 15 * time.Minute}
}

// used is what a meter has counted in its window, and rows how many meters there are.
func used(tb testing.TB, s *store.Store, name string) (used, rows int) {
	tb.Helper()
	if err := s.Count(tb.Context(), &used, "SELECT COALESCE(SUM(used), 0) FROM meters WHERE name = '"+name+"'"); err != nil {
		tb.Fatal(err)
	}
	if err := s.Count(tb.Context(), &rows, "SELECT COUNT(*) FROM meters"); err != nil {
		tb.Fatal(err)
	}
	return used, rows
}

func TestAttempt(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		other := action("joe", 1)
		track(t, s, other, events.StateChallengeRequired)
		tests := []struct {
			name    string
			user    string
			prepare func(t *testing.T, id events.ActionID) ceremonies.Attempt
			want    error
			tries   int           // of the action, afterwards
			written []events.Kind // by the attempt
			reason  string        // of the last of them
		}{
			{
				name: "at a ceremony that was begun", user: "a1", tries: 1, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt { return answer(begun(t, s, byCode(id, 1))) },
			},
			{
				name: "that begins its ceremony", user: "a2", tries: 1, written: []events.Kind{events.KindCeremonyBegun},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt { return atOnce(t, challenge(id, 1)) },
			},
			{
				name: "for a change, which uses up no try", user: "a3", written: []events.Kind{events.KindCeremonyBegun},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					c := challenge(id, 1)
					c.Purpose, c.Subject = ceremonies.ForRemoving, "phone"
					return atOnce(t, c)
				},
			},
			{
				name: "at one that is being answered", user: "a4", want: ceremonies.ErrTaken, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt { return answer(taken(t, s, byCode(id, 1))) },
			},
			{
				name: "at one that is over", user: "a5", want: ceremonies.ErrExpired, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					a := answer(begun(t, s, byCode(id, 1)))
					a.At = base.Add(150 * time.Second)
					return a
				},
			},
			{
				name: "at none", user: "a6", want: ceremonies.ErrNoChallenge, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt { return answer(byCode(id, 1)) },
			},
			{
				name: "at one of another person", user: "a7", want: ceremonies.ErrNoChallenge, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					a := answer(begun(t, s, byCode(other, 7)))
					a.Challenge.Action = id
					return a
				},
			},
			{
				name: "that begins one for an action that does not wait", user: "a8", want: ceremonies.ErrNotOpen, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					move(t, s, id, events.StateReviewRequired)
					return atOnce(t, challenge(id, 1))
				},
			},
			{
				name: "that begins one for an unknown action", user: "a9", want: ceremonies.ErrNoAction, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					return atOnce(t, challenge(action("a9", 2), 1))
				},
			},
			{
				name: "at one whose action does not wait any more, which ends", user: "b1", want: ceremonies.ErrNotOpen,
				written: []events.Kind{events.KindCeremonyFailed}, reason: ceremonies.ReasonActionNotOpen,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					c := begun(t, s, byCode(id, 1))
					move(t, s, id, events.StateReviewRequired)
					return answer(c)
				},
			},
			{
				name: "that begins one when the tries are used up", user: "b2", want: ceremonies.ErrTries, tries: 5, written: []events.Kind{},
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					useUp(t, s, id)
					return atOnce(t, challenge(id, 1))
				},
			},
			{
				name: "at one when the tries are used up, which ends", user: "b3", want: ceremonies.ErrTries, tries: 5,
				written: []events.Kind{events.KindCeremonyFailed}, reason: ceremonies.ReasonTriesUsedUp,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Attempt {
					c := begun(t, s, byCode(id, 1))
					useUp(t, s, id)
					return answer(c)
				},
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				id := action(tt.user, 1)
				track(t, s, id, events.StateChallengeRequired)
				a := tt.prepare(t, id)
				a.Meters = []ceremonies.Meter{meter("wrong:user:"+tt.user, 10)}
				before := len(wholeLog(t, s))
				got, err := s.Attempt(t.Context(), a)
				if !errors.Is(err, tt.want) {
					t.Fatalf("attempt: %v; want %v", err, tt.want)
				}
				if err == nil && (got.ID != a.Challenge.ID || got.Action != id) || err != nil && got.ID != "" {
					t.Errorf("took %+v", got)
				}
				if n := triesOf(t, s, id); n != tt.tries {
					t.Errorf("%d tries; want %d", n, tt.tries)
				}
				if n, _ := used(t, s, "wrong:user:"+tt.user); n != 1 {
					t.Errorf("the meter counted %d", n)
				}
				log := wholeLog(t, s)[before:]
				if diff := cmp.Diff(tt.written, kinds(t, s, before)); diff != "" {
					t.Fatal(diff)
				}
				if tt.reason == "" {
					return
				}
				record, err := log[len(log)-1].Decode()
				if err != nil {
					t.Fatal(err)
				}
				if c := record.(*events.Ceremony); c.Reason != tt.reason || c.Challenge != a.Challenge.ID || c.State != "" {
					t.Errorf("event %+v", c)
				}
				if _, err := s.Attempt(t.Context(), a); !errors.Is(err, ceremonies.ErrTaken) {
					t.Errorf("a further attempt: %v; want ErrTaken", err)
				}
			})
		}
	})
}

// move moves an action as its backend may.
func move(tb testing.TB, s *store.Store, id events.ActionID, to events.ActionState) {
	tb.Helper()
	if _, err := s.MoveAction(tb.Context(), id, to, events.ByApplication); err != nil {
		tb.Fatal(err)
	}
}

// useUp begins as many answers as an action survives, and finishes none.
func useUp(tb testing.TB, s *store.Store, id events.ActionID) {
	tb.Helper()
	for n := range 5 {
		if _, err := s.Attempt(tb.Context(), atOnce(tb, challenge(id, 100+n))); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestALockedAttemptLeavesNothing(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		c := begun(t, s, byCode(id, 1))
		meters := []ceremonies.Meter{meter("wrong:user:jane", 1), meter("wrong:address:x", 5)}
		if err := s.CountIn(t.Context(), meters, base); err != nil {
			t.Fatal(err)
		}
		before := len(wholeLog(t, s))
		for _, a := range []ceremonies.Attempt{answer(c), atOnce(t, challenge(id, 2))} {
			a.Meters, a.At = meters, base
			var locked *ceremonies.LockedError
			if _, err := s.Attempt(t.Context(), a); !errors.As(err, &locked) || !locked.Until.Equal(base.Add(15*time.Minute)) {
				t.Errorf("attempt: %v; want it locked for 15 minutes", err)
			}
		}
		if n := triesOf(t, s, id); n != 0 {
			t.Errorf("%d tries", n)
		}
		if n, _ := used(t, s, "wrong:address:x"); n != 1 { // what was refused before it is not counted there
			t.Errorf("the other meter counted %d", n)
		}
		if log := kinds(t, s, before); len(log) != 0 {
			t.Errorf("events %v", log)
		}
		if _, err := s.Attempt(t.Context(), answer(c)); err != nil {
			t.Errorf("the ceremony did not stay as it was: %v", err)
		}
	})
}

// Each lock that follows at once is twice as long, up to a day.
func TestLocksGrowAndAreForgotten(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		m := []ceremonies.Meter{meter("wrong:user:jane", 3)}
		now := base
		lock := func() time.Duration {
			t.Helper()
			for n := 1; ; n++ {
				err := s.CountIn(t.Context(), m, now)
				var locked *ceremonies.LockedError
				switch {
				case err == nil && n <= 3:
					continue
				case !errors.As(err, &locked) || n != 4:
					t.Fatalf("count %d: %v; want the fourth to lock", n, err)
				}
				lasts := locked.Until.Sub(now)
				if err := s.CountIn(t.Context(), m, locked.Until.Add(-time.Microsecond)); !errors.As(err, &locked) {
					t.Errorf("at the end of the lock: %v", err)
				}
				now = locked.Until
				return lasts
			}
		}
		var got []time.Duration
		for range 9 {
			got = append(got, lock())
		}
		const m15 = 15 * time.Minute
		want := []time.Duration{m15, 2 * m15, 4 * m15, 8 * m15, 16 * m15, 32 * m15, 64 * m15, ceremonies.MaxLock, ceremonies.MaxLock}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		now = now.Add(time.Hour + time.Microsecond) // longer than the window
		if d := lock(); d != m15 {
			t.Errorf("after a quiet time the lock lasts %v", d)
		}
		now = now.Add(time.Minute)
		if d := lock(); d != 2*m15 {
			t.Errorf("soon after that the lock lasts %v", d)
		}
	})
}

func TestAMeterCountsWithinItsWindow(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		m := []ceremonies.Meter{meter("sent:user:jane", 2)}
		for _, at := range []time.Duration{0, time.Hour - time.Microsecond, time.Hour, 2*time.Hour - time.Microsecond} {
			if err := s.CountIn(t.Context(), m, base.Add(at)); err != nil {
				t.Errorf("after %v: %v", at, err)
			}
		}
		var locked *ceremonies.LockedError
		if err := s.CountIn(t.Context(), m, base.Add(2*time.Hour-time.Microsecond)); !errors.As(err, &locked) {
			t.Errorf("one more: %v", err)
		}
	})
}

// 1,000 ceremonies are attempted by four callers each, on two nodes.
func TestAnAttemptTakesACeremonyOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const ceremoniesBegun, callers = 1000, 4
		id := action("jane", 1)
		track(t, nodes[0], id, events.StateChallengeRequired)
		errs := crowd(ceremoniesBegun, func(i int) error {
			c := byCode(id, i)
			return nodes[i%2].Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0))
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		errs = crowd(ceremoniesBegun*callers, func(i int) error {
			a := answer(byCode(id, i/callers))
			a.Tries, a.Meters = math.MaxInt32, []ceremonies.Meter{meter("wrong:user:jane", math.MaxInt32)}
			_, err := nodes[i%2].Attempt(t.Context(), a)
			return err
		})
		won := map[int]int{}
		for i, err := range errs {
			switch {
			case err == nil:
				won[i/callers]++
			case !errors.Is(err, ceremonies.ErrTaken):
				t.Fatalf("attempt: %v; want ErrTaken", err)
			}
		}
		for i := range ceremoniesBegun {
			if won[i] != 1 {
				t.Errorf("ceremony %d was taken %d times", i, won[i])
			}
		}
		if n := triesOf(t, nodes[0], id); n != ceremoniesBegun {
			t.Errorf("%d tries were counted", n)
		}
		if n, _ := used(t, nodes[0], "wrong:user:jane"); n != ceremoniesBegun*callers {
			t.Errorf("%d answers were counted", n)
		}
	})
}

// However many come at once, no more get to be checked than may.
func TestAttemptsAtOnceKeepTheLimits(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const callers = 200
		tests := []struct {
			name   string
			meters func(i int) []ceremonies.Meter
			want   int // that are checked
			err    error
		}{
			{name: "the tries of one action", meters: func(int) []ceremonies.Meter { return nil }, want: 5, err: ceremonies.ErrTries},
			{
				name:   "a meter of one person",
				meters: func(int) []ceremonies.Meter { return []ceremonies.Meter{meter("wrong:user:jane", 10)} },
				want:   10,
			},
			{
				name: "a meter of one address for many people",
				meters: func(i int) []ceremonies.Meter {
					return []ceremonies.Meter{meter("wrong:user:"+string(action("u", i).Key), 10), meter("wrong:address:x", 100)}
				},
				want: 100,
			},
		}
		for n, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				of := func(i int) events.ActionID {
					if tt.err != nil {
						i = 0 // one action for all
					}
					return action("jane", 1000*(n+1)+i)
				}
				for i := range callers {
					if i == 0 || tt.err == nil {
						track(t, nodes[0], of(i), events.StateChallengeRequired)
					}
				}
				errs := together(callers, func(i int) error {
					a := atOnce(t, challenge(of(i), i))
					a.Meters = tt.meters(i)
					_, err := nodes[i%2].Attempt(t.Context(), a)
					return err
				})
				checked := 0
				for _, err := range errs {
					var locked *ceremonies.LockedError
					switch {
					case err == nil:
						checked++
					case tt.err != nil && !errors.Is(err, tt.err), tt.err == nil && !errors.As(err, &locked):
						t.Errorf("attempt: %v", err)
					}
				}
				if checked != tt.want {
					t.Errorf("%d were checked; want %d", checked, tt.want)
				}
			})
		}
	})
}
