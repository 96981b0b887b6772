package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// forNobody is the n-th code that a backend had sent before it knew for whom.
func forNobody(n int) ceremonies.Challenge {
	c := byCode(events.ActionID{Code: "sign-in", Key: fmt.Sprintf("key-%04d", n)}, n)
	c.Purpose = ceremonies.ForSignIn
	return c
}

// ofNobody is an answer to one.
func ofNobody(c ceremonies.Challenge) ceremonies.Attempt {
	return ceremonies.Attempt{Challenge: ceremonies.Challenge{ID: c.ID}, At: base.Add(time.Second)}
}

// verified begins a code for nobody and answers it rightly.
func verified(tb testing.TB, s *store.Store, c ceremonies.Challenge) ceremonies.Challenge {
	tb.Helper()
	begun(tb, s, c)
	if _, err := s.Attempt(tb.Context(), ofNobody(c)); err != nil {
		tb.Fatal(err)
	}
	if err := s.Verified(tb.Context(), c.ID, base.Add(time.Second), base.Add(time.Hour), nil); err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestVerifiedAndClaim(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		tests := []struct {
			name    string
			prepare func(t *testing.T, c ceremonies.Challenge)
			at      time.Time
			want    error
		}{
			{name: "what is not there", prepare: func(*testing.T, ceremonies.Challenge) {}, at: base, want: ceremonies.ErrNoChallenge},
			{name: "what nobody answered", prepare: func(t *testing.T, c ceremonies.Challenge) { begun(t, s, c) }, at: base, want: ceremonies.ErrNotVerified},
			{
				name: "what is being answered", at: base, want: ceremonies.ErrNotVerified,
				prepare: func(t *testing.T, c ceremonies.Challenge) {
					begun(t, s, c)
					if _, err := s.Attempt(t.Context(), ofNobody(c)); err != nil {
						t.Fatal(err)
					}
				},
			},
			{name: "what was answered rightly", prepare: func(t *testing.T, c ceremonies.Challenge) { verified(t, s, c) }, at: base.Add(time.Hour - time.Microsecond)},
			{name: "too late", prepare: func(t *testing.T, c ceremonies.Challenge) { verified(t, s, c) }, at: base.Add(time.Hour), want: ceremonies.ErrExpired},
			{
				name: "twice", at: base.Add(time.Minute), want: ceremonies.ErrTaken,
				prepare: func(t *testing.T, c ceremonies.Challenge) {
					verified(t, s, c)
					if _, err := s.Claim(t.Context(), c.ID, base.Add(time.Minute)); err != nil {
						t.Fatal(err)
					}
				},
			},
			{name: "a step-up", prepare: func(t *testing.T, c ceremonies.Challenge) {
				track(t, s, action("jane", 1), events.StateChallengeRequired)
				stepUp := byCode(action("jane", 1), 1)
				stepUp.ID = c.ID
				begun(t, s, stepUp)
			}, at: base, want: ceremonies.ErrNotVerified},
		}
		for n, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := forNobody(n)
				tt.prepare(t, c)
				got, err := s.Claim(t.Context(), c.ID, tt.at)
				if !errors.Is(err, tt.want) || (err == nil) != (got.ID == c.ID) {
					t.Errorf("claim: %+v, %v; want %v", got, err, tt.want)
				}
			})
		}
		t.Run("no second answer, and none of a passkey", func(t *testing.T) {
			c := verified(t, s, forNobody(100))
			if _, err := s.Attempt(t.Context(), ofNobody(c)); !errors.Is(err, ceremonies.ErrTaken) {
				t.Errorf("attempt: %v; want ErrTaken", err)
			}
			if _, err := s.Take(t.Context(), c.ID, events.ActionID{}, base); !errors.Is(err, ceremonies.ErrTaken) {
				t.Errorf("take: %v; want ErrTaken", err)
			}
			if err := s.Verified(t.Context(), c.ID, base, base.Add(2*time.Hour), nil); !errors.Is(err, ceremonies.ErrTaken) {
				t.Errorf("verified again: %v; want ErrTaken", err)
			}
		})
		t.Run("no answer without an attempt is right", func(t *testing.T) {
			c := begun(t, s, forNobody(101))
			if err := s.Verified(t.Context(), c.ID, base, base.Add(time.Hour), nil); !errors.Is(err, ceremonies.ErrTaken) {
				t.Errorf("verified: %v; want ErrTaken", err)
			}
		})
		if n := len(wholeLog(t, s)); n != 2 { // of the step-up
			t.Errorf("%d events; want none of nobody", n)
		}
	})
}

// 200 codes that were answered rightly are claimed by four callers each, on two nodes.
func TestACodeIsClaimedOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const codes, callers = 200, 4
		if err := errors.Join(crowd(codes, func(i int) error { verified(t, nodes[i%2], forNobody(i)); return nil })...); err != nil {
			t.Fatal(err)
		}
		errs := crowd(codes*callers, func(i int) error {
			_, err := nodes[i%2].Claim(t.Context(), forNobody(i/callers).ID, base.Add(time.Minute))
			return err
		})
		won := map[int]int{}
		for i, err := range errs {
			switch {
			case err == nil:
				won[i/callers]++
			case !errors.Is(err, ceremonies.ErrTaken):
				t.Fatalf("claim: %v; want ErrTaken", err)
			}
		}
		for i := range codes {
			if won[i] != 1 {
				t.Errorf("code %d was claimed %d times", i, won[i])
			}
		}
	})
}

// An outcome of nobody's challenge is told of the person it turned out to be.
func TestAnOutcomeNamesWhoItWas(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		c := verified(t, s, forNobody(1))
		claimed, err := s.Claim(t.Context(), c.ID, base.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		id := events.ActionID{User: "jane", Code: c.Action.Code, Key: c.Action.Key}
		track(t, s, id, events.StateChallengeRequired)
		proven := c
		proven.Action = id
		o := outcome(t, claimed, events.KindCeremonySucceeded)
		o.Action, o.Proof, o.Digest = id, &ceremonies.Authenticator{User: "jane", Method: events.MethodEmailOTP, Email: "jane@example.com"}, "digest"
		o.Events = func(state events.ActionState, tries int) ([]events.Draft, error) {
			return []events.Draft{step(t, events.KindCeremonySucceeded, proven, state, tries)}, nil
		}
		result, err := s.Finish(t.Context(), o)
		if err != nil || result.State != events.StateChallengeSucceeded {
			t.Fatalf("finish: %+v, %v", result, err)
		}
		a, err := s.TrackedAction(t.Context(), id)
		if err != nil || a.Method != events.MethodEmailOTP || a.ProvenBy != "" || !a.ProvenAt.Equal(o.At) {
			t.Errorf("action %+v, %v", a, err)
		}
		if u, _, err := s.User(t.Context(), "jane"); err != nil || !u.EmailVerified {
			t.Errorf("user %+v, %v", u, err)
		}
		before := len(wholeLog(t, s))
		failed := takenOfNobody(t, s, 2)
		if result, err := s.Finish(t.Context(), outcome(t, failed, events.KindCeremonyFailed)); err != nil || result.State != "" {
			t.Errorf("an outcome of nobody: %+v, %v", result, err)
		}
		if n := len(wholeLog(t, s)) - before; n != 0 {
			t.Errorf("an outcome of nobody left %d events", n)
		}
	})
}

// challengeOfNobody is the n-th sign-in.
func challengeOfNobody(n int) ceremonies.Challenge {
	c := challenge(events.ActionID{Code: "sign-in", Key: "s"}, n)
	c.Purpose, c.Method, c.Value = ceremonies.ForSignIn, events.MethodPasskey, fmt.Appendf(nil, "value-%d", n)
	return c
}

// takenOfNobody begins the n-th sign-in and takes it.
func takenOfNobody(tb testing.TB, s *store.Store, n int) ceremonies.Challenge {
	tb.Helper()
	c, err := s.Take(tb.Context(), begun(tb, s, challengeOfNobody(n)).ID, events.ActionID{}, base.Add(time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestLookingChallengesUp(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		older := byCode(id, 1)
		newer := byCode(id, 2)
		newer.BegunAt, newer.Expires = base.Add(time.Second), base.Add(time.Hour)
		signIn := challengeOfNobody(3)
		for _, c := range []ceremonies.Challenge{newer, older, signIn} {
			begun(t, s, c)
		}
		before := len(wholeLog(t, s))
		tests := []struct {
			name   string
			of     events.ActionID
			kind   ceremonies.Kind
			method events.Method
			at     time.Time
			want   events.ChallengeID // "" is ErrNoChallenge
		}{
			{name: "the newest", of: id, kind: ceremonies.Authentication, method: events.MethodEmailOTP, at: base, want: newer.ID},
			{name: "of another kind", of: id, kind: ceremonies.Registration, method: events.MethodEmailOTP, at: base},
			{name: "of another method", of: id, kind: ceremonies.Authentication, method: events.MethodPasskey, at: base},
			{name: "of another action", of: action("jane", 2), kind: ceremonies.Authentication, method: events.MethodEmailOTP, at: base},
			{name: "of another person", of: action("joe", 1), kind: ceremonies.Authentication, method: events.MethodEmailOTP, at: base},
			{name: "that is over", of: id, kind: ceremonies.Authentication, method: events.MethodEmailOTP, at: base.Add(time.Hour)},
			{name: "of what cannot be stored", of: action("\x00", 1), kind: ceremonies.Authentication, method: events.MethodEmailOTP, at: base},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				got, err := s.Pending(t.Context(), tt.of, tt.kind, tt.method, tt.at)
				if got.ID != tt.want || (tt.want == "") != errors.Is(err, ceremonies.ErrNoChallenge) {
					t.Errorf("pending: %q, %v; want %q", got.ID, err, tt.want)
				}
			})
		}
		if got, err := s.Challenge(t.Context(), newer.ID); err != nil || cmp.Diff(newer, got) != "" {
			t.Errorf("challenge: %v\n%s", err, cmp.Diff(newer, got))
		}
		for _, unknown := range []events.ChallengeID{"other", "", "\x00"} {
			if _, err := s.Challenge(t.Context(), unknown); !errors.Is(err, ceremonies.ErrNoChallenge) {
				t.Errorf("challenge %q: %v; want ErrNoChallenge", unknown, err)
			}
		}
		if got, err := s.ChallengeByValue(t.Context(), signIn.Value); err != nil || got != signIn.ID {
			t.Errorf("by value: %q, %v", got, err)
		}
		for _, unknown := range [][]byte{nil, {}, []byte("other")} {
			if _, err := s.ChallengeByValue(t.Context(), unknown); !errors.Is(err, ceremonies.ErrNoChallenge) {
				t.Errorf("by value %q: %v; want ErrNoChallenge", unknown, err)
			}
		}
		if n := len(wholeLog(t, s)); n != before {
			t.Errorf("looking up wrote %d events", n-before)
		}
		if _, err := s.Attempt(t.Context(), answer(newer)); err != nil {
			t.Errorf("looking up took it: %v", err)
		}
	})
}

func TestOwnerAndHasCode(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		proof := withCodes(t, s, "jane", 2)
		if user, err := s.Owner(t.Context(), proof.CredentialID); err != nil || user != "jane" {
			t.Errorf("owner: %q, %v", user, err)
		}
		for _, unknown := range [][]byte{nil, {}, []byte("other")} {
			if _, err := s.Owner(t.Context(), unknown); !errors.Is(err, ceremonies.ErrNoChallenge) {
				t.Errorf("owner of %q: %v; want ErrNoChallenge", unknown, err)
			}
		}
		for _, tt := range []struct {
			user events.UserID
			hash []byte
			want bool
		}{
			{user: "jane", hash: hashes("jane", 2)[1], want: true},
			{user: "joe", hash: hashes("jane", 2)[1]},
			{user: "jane", hash: bytes.ToUpper(hashes("jane", 2)[1])},
			{user: "jane", hash: nil},
			{user: "\x00", hash: hashes("jane", 2)[1]},
		} {
			if has, err := s.HasCode(t.Context(), tt.user, tt.hash); err != nil || has != tt.want {
				t.Errorf("%q has %q: %v, %v; want %v", tt.user, tt.hash, has, err, tt.want)
			}
		}
	})
}

func TestSweepOfNobodyAndOfMeters(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		begun(t, s, challengeOfNobody(1))
		takenOfNobody(t, s, 2)
		verified(t, s, forNobody(3))
		if err := s.CountIn(t.Context(), []ceremonies.Meter{meter("open", 5), meter("locked", 5)}, base); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_ = s.CountIn(t.Context(), []ceremonies.Meter{meter("locked", 5)}, base.Add(30*time.Minute)) // the last locks until +45 min
		}
		sweep := func(now time.Time, want, meters int) {
			t.Helper()
			if n, err := s.Sweep(t.Context(), now, never(t)); err != nil || n != want {
				t.Errorf("%d ended, %v; want %d", n, err, want)
			}
			if _, rows := used(t, s, ""); rows != meters {
				t.Errorf("%d meters are left; want %d", rows, meters)
			}
		}
		sweep(base.Add(10*time.Minute), 2, 2)
		sweep(base.Add(time.Hour), 1, 2) // nobody claimed it
		sweep(base.Add(time.Hour+ceremonies.MaxLock), 0, 1)
		sweep(base.Add(2*time.Hour+ceremonies.MaxLock), 0, 0)
		if log := kinds(t, s, 0); len(log) != 0 {
			t.Errorf("events %v", log)
		}
	})
}
