package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestAChallengeIsTakenOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const challenges, takers = 1000, 4
		id := action("jane", 1)
		track(t, nodes[0], id, events.StateChallengeRequired)
		errs := crowd(challenges, func(i int) error {
			c := challenge(id, i)
			return nodes[i%2].Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0))
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		errs = crowd(challenges*takers, func(i int) error { // neighbours want the same one
			_, err := nodes[i%2].Take(t.Context(), challenge(id, i/takers).ID, id, base)
			return err
		})
		won := map[int]int{}
		for i, err := range errs {
			switch {
			case err == nil:
				won[i/takers]++
			case !errors.Is(err, ceremonies.ErrTaken):
				t.Fatalf("take: %v; want ErrTaken", err)
			}
		}
		if len(won) != challenges {
			t.Errorf("%d of %d challenges were taken", len(won), challenges)
		}
		for i, n := range won {
			if n != 1 {
				t.Errorf("challenge %d was taken %d times", i, n)
			}
		}
	})
}

func TestBegin(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		open, allowed := action("jane", 1), action("jane", 2)
		track(t, s, open, events.StateChallengeRequired)
		track(t, s, allowed, events.StateAllow)
		enrolment := func(id events.ActionID) ceremonies.Challenge {
			c := challenge(id, 7)
			c.Purpose, c.Kind = ceremonies.ForEnrolment, ceremonies.Registration
			return c
		}
		tests := []struct {
			name      string
			challenge ceremonies.Challenge
			want      error
		}{
			{name: "for an open action", challenge: challenge(open, 1)},
			{name: "for an action that does not wait", challenge: challenge(allowed, 2), want: ceremonies.ErrNotOpen},
			{name: "for an unknown action", challenge: challenge(action("jane", 3), 3), want: ceremonies.ErrNoAction},
			{name: "of enrolment, for an action that does not wait", challenge: enrolment(allowed)},
			{name: "of enrolment, for an unknown action", challenge: enrolment(action("jane", 3)), want: ceremonies.ErrNoAction},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				before := len(wholeLog(t, s))
				err := s.Begin(t.Context(), tt.challenge, step(t, events.KindCeremonyBegun, tt.challenge, "", 0))
				if !errors.Is(err, tt.want) {
					t.Fatalf("begin: %v; want %v", err, tt.want)
				}
				if written := len(wholeLog(t, s)) - before; (written == 1) != (err == nil) {
					t.Errorf("%d events", written)
				}
			})
		}
	})
}

func TestTake(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		track(t, s, action("joe", 1), events.StateChallengeRequired)
		c := challenge(id, 1)
		if err := s.Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0)); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			name string
			id   events.ChallengeID
			of   events.ActionID
			at   time.Time
			want error
		}{
			{name: "unknown", id: "other", of: id, at: base, want: ceremonies.ErrNoChallenge},
			{name: "of another user", id: c.ID, of: action("joe", 1), at: base, want: ceremonies.ErrNoChallenge},
			{name: "of another action", id: c.ID, of: action("jane", 2), at: base, want: ceremonies.ErrNoChallenge},
			{name: "at its very end", id: c.ID, of: id, at: c.Expires, want: ceremonies.ErrExpired},
			{name: "in time", id: c.ID, of: id, at: c.Expires.Add(-time.Microsecond)},
			{name: "again", id: c.ID, of: id, at: base, want: ceremonies.ErrTaken},
			{name: "again, late", id: c.ID, of: id, at: c.Expires, want: ceremonies.ErrTaken},
			{name: "taken, by another user", id: c.ID, of: action("joe", 1), at: base, want: ceremonies.ErrNoChallenge},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				got, err := s.Take(t.Context(), tt.id, tt.of, tt.at)
				if !errors.Is(err, tt.want) {
					t.Fatalf("take: %v; want %v", err, tt.want)
				}
				want := c
				if err != nil {
					want = ceremonies.Challenge{}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}

func TestDeny(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		generation := track(t, s, id, events.StateChallengeRequired).Generation
		c := challenge(id, 1)
		if err := s.Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0)); err != nil {
			t.Fatal(err)
		}
		denied := step(t, events.KindCeremonyDenied, c, events.StateChallengeFailed, 0)
		if err := s.Deny(t.Context(), id, base, denied); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Action(t.Context(), id); err != nil || a.State != events.StateChallengeFailed {
			t.Errorf("action %+v, %v", a, err)
		}
		if account, err := s.Account(t.Context(), "jane"); err != nil || account.Generation == generation {
			t.Errorf("the generation is still %d, %v", account.Generation, err)
		}
		if _, err := s.Take(t.Context(), c.ID, id, base); !errors.Is(err, ceremonies.ErrTaken) {
			t.Errorf("taking a challenge of a denied action: %v", err)
		}
		if err := s.Deny(t.Context(), id, base, denied); !errors.Is(err, ceremonies.ErrNotOpen) {
			t.Errorf("denying again: %v; want ErrNotOpen", err)
		}
		if err := s.Deny(t.Context(), action("jane", 2), base, denied); !errors.Is(err, ceremonies.ErrNoAction) {
			t.Errorf("denying an unknown action: %v; want ErrNoAction", err)
		}
		want := []events.Kind{events.KindActionTracked, events.KindCeremonyBegun, events.KindCeremonyAbandoned, events.KindCeremonyDenied}
		if diff := cmp.Diff(want, kinds(t, s, 0)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALinkIsRedeemedOnce(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		const callers = 20
		var first [callers]bool
		errs := together(callers, func(i int) (err error) {
			first[i], err = nodes[i%2].Redeem(t.Context(), "link", base.Add(time.Minute))
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range first {
			if f {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d callers were first", n)
		}
	})
}

func TestSweep(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		begin := func(n int) ceremonies.Challenge {
			c := challenge(id, n)
			if err := s.Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		forgotten, interrupted, finished := begin(1), taken(t, s, challenge(id, 2)), taken(t, s, challenge(id, 3))
		if _, err := s.Finish(t.Context(), outcome(t, finished, events.KindCeremonyFailed)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Redeem(t.Context(), "link", base.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		before := len(wholeLog(t, s))
		reasons := map[events.ChallengeID]string{}
		sweep := func(now time.Time) int {
			t.Helper()
			n, err := s.Sweep(t.Context(), now, func(c ceremonies.Challenge, reason string) (events.Draft, error) {
				reasons[c.ID] = reason
				return step(t, events.KindCeremonyAbandoned, c, "", 0), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := sweep(base.Add(30 * time.Second)); n != 0 {
			t.Errorf("%d challenges ended before their time", n)
		}
		if n := sweep(base.Add(10 * time.Minute)); n != 2 {
			t.Errorf("%d challenges ended; want 2", n)
		}
		want := map[events.ChallengeID]string{forgotten.ID: ceremonies.ReasonTimeout, interrupted.ID: ceremonies.ReasonInterrupted}
		if diff := cmp.Diff(want, reasons); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]events.Kind{events.KindCeremonyAbandoned, events.KindCeremonyAbandoned}, kinds(t, s, before)); diff != "" {
			t.Error(diff)
		}
		if n := sweep(base.Add(10 * time.Minute)); n != 0 {
			t.Errorf("%d challenges ended twice", n)
		}
		if a, err := s.Action(t.Context(), id); err != nil || a.State != events.StateChallengeRequired {
			t.Errorf("the action is %s, %v; a time-out leaves it open", a.State, err)
		}
		if _, err := s.Take(t.Context(), forgotten.ID, id, base.Add(10*time.Minute)); !errors.Is(err, ceremonies.ErrExpired) {
			t.Errorf("a late answer: %v; want ErrExpired", err)
		}
		// No later proof counts.
		if _, err := s.Finish(t.Context(), outcome(t, interrupted, events.KindCeremonySucceeded)); !errors.Is(err, ceremonies.ErrTaken) {
			t.Errorf("finish after the sweep: %v", err)
		}
		if first, err := s.Redeem(t.Context(), "link", base.Add(time.Hour)); err != nil || first {
			t.Errorf("a link was forgotten before its end: %v, %v", first, err)
		}
		sweep(base.Add(24 * time.Hour))
		if _, err := s.Take(t.Context(), forgotten.ID, id, base); !errors.Is(err, ceremonies.ErrNoChallenge) {
			t.Errorf("a challenge of yesterday: %v; want ErrNoChallenge", err)
		}
		if first, err := s.Redeem(t.Context(), "link", base.Add(48*time.Hour)); err != nil || !first {
			t.Errorf("a link beyond its end is remembered: %v, %v", first, err)
		}
	})
}

func TestSweepEndsMoreThanAGroup(t *testing.T) {
	s := storetest.Open(t, store.Config{Dir: t.TempDir()})
	id := action("jane", 1)
	track(t, s, id, events.StateChallengeRequired)
	const n = 600
	errs := crowd(n, func(i int) error {
		c := challenge(id, i)
		return s.Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0))
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	ended, err := s.Sweep(t.Context(), base.Add(time.Hour), func(c ceremonies.Challenge, _ string) (events.Draft, error) {
		return step(t, events.KindCeremonyAbandoned, c, "", 0), nil
	})
	if err != nil || ended != n {
		t.Errorf("%d ended, %v; want %d", ended, err, n)
	}
}

func TestAccountAndAction(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		if account, err := s.Account(t.Context(), "jane"); err != nil || account.Known {
			t.Errorf("nobody's account: %+v, %v", account, err)
		}
		if _, err := s.Action(t.Context(), action("jane", 1)); !errors.Is(err, ceremonies.ErrNoAction) {
			t.Errorf("an unknown action: %v; want ErrNoAction", err)
		}
		d := track(t, s, action("jane", 1), events.StateChallengeRequired)
		newer := passkey("jane", 2)
		older := enrol(t, s, "jane", 1)
		if err := s.AddAuthenticator(t.Context(), newer, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		account, err := s.Account(t.Context(), "jane")
		if err != nil {
			t.Fatal(err)
		}
		want := ceremonies.Account{
			User: "jane", Known: true, Email: "jane@example.com", Generation: d.Generation, CreatedAt: base,
			Authenticators: []ceremonies.Authenticator{older, newer},
		}
		if diff := cmp.Diff(want, account, cmpopts.IgnoreFields(ceremonies.Account{}, "Handle")); diff != "" {
			t.Error(diff)
		}
		if len(account.Handle) != 32 {
			t.Errorf("the handle has %d bytes", len(account.Handle))
		}
		a, err := s.Action(t.Context(), action("jane", 1))
		if err != nil {
			t.Fatal(err)
		}
		wantAction := ceremonies.Action{
			ActionID: action("jane", 1), State: events.StateChallengeRequired, Scope: "read:authenticators",
			RedirectURL: "https://shop.example/done", Data: []byte(`{"amount":250}`), Prompt: "Pay 250 EUR", PromptID: "payment@3",
			DeviceID: "phone", Locale: "en", Enrolled: true, CreatedAt: base,
		}
		if diff := cmp.Diff(wantAction, a); diff != "" {
			t.Error(diff)
		}
	})
}
