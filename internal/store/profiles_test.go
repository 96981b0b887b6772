package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// TestAProfileIsNeverOld reads a profile before and after each change, so that a
// change that a kept profile does not learn of is seen.
func TestAProfileIsNeverOld(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		n := 0
		record := func(t *testing.T, change func(*engine.Recording)) {
			t.Helper()
			n++
			r := recording(t, action("jane", n), events.StateChallengeRequired)
			change(&r)
			if _, err := s.Record(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		var generation int64
		steps := []struct {
			name   string
			change func(t *testing.T)
			want   func(p engine.Profile) bool
		}{
			{
				name:   "the first action",
				change: func(t *testing.T) { record(t, func(*engine.Recording) {}) },
				want:   func(p engine.Profile) bool { return p.Known && p.Email == "jane@example.com" && !p.DeviceKnown },
			},
			{
				name:   "another address",
				change: func(t *testing.T) { record(t, func(r *engine.Recording) { r.Action.Email = "new@example.com" }) },
				want:   func(p engine.Profile) bool { return p.Email == "new@example.com" },
			},
			{
				name:   "a device that the rules allow",
				change: func(t *testing.T) { record(t, func(r *engine.Recording) { r.EstablishDevice = true }) },
				want:   func(p engine.Profile) bool { return p.DeviceKnown },
			},
			{
				name:   "an authenticator",
				change: func(t *testing.T) { enrol(t, s, "jane", 1) },
				want:   func(p engine.Profile) bool { return len(p.Passkeys) == 1 && len(p.Methods) == 1 },
			},
			{
				name: "a proof",
				change: func(t *testing.T) {
					a := passkey("jane", 1)
					o := outcome(t, taken(t, s, challenge(action("jane", 1), 1)), events.KindCeremonySucceeded)
					o.Proof = &a
					if _, err := s.Finish(t.Context(), o); err != nil {
						t.Fatal(err)
					}
				},
				want: func(p engine.Profile) bool { return !p.LastVerifiedAt.IsZero() },
			},
			{
				name: "an attribute",
				change: func(t *testing.T) {
					if _, err := s.UpdateUser(t.Context(), "jane", engine.UserChanges{Username: ptr("jj")}, events.ByApplication); err != nil {
						t.Fatal(err)
					}
				},
				want: func(p engine.Profile) bool { return p.Username == "jj" },
			},
			{
				name: "a denial",
				change: func(t *testing.T) {
					p, err := s.Profile(t.Context(), "jane", "phone", "")
					if err != nil {
						t.Fatal(err)
					}
					generation = p.Generation
					c := challenge(action("jane", 2), 1)
					if err := s.Deny(t.Context(), c.Action, base, step(t, events.KindCeremonyDenied, c, events.StateChallengeFailed, 0)); err != nil {
						t.Fatal(err)
					}
				},
				want: func(p engine.Profile) bool { return p.Generation != generation },
			},
			{
				name: "an authenticator less",
				change: func(t *testing.T) {
					if err := s.RemoveAuthenticator(t.Context(), "jane", passkey("jane", 1).ID, events.ByPerson); err != nil {
						t.Fatal(err)
					}
				},
				want: func(p engine.Profile) bool { return len(p.Passkeys) == 0 && !p.Enrolled() },
			},
			{
				name: "the end",
				change: func(t *testing.T) {
					if err := s.DeleteUser(t.Context(), "jane", events.ByApplication); err != nil {
						t.Fatal(err)
					}
				},
				want: func(p engine.Profile) bool { return !p.Known },
			},
			{
				name:   "a new beginning",
				change: func(t *testing.T) { record(t, func(*engine.Recording) {}) },
				want:   func(p engine.Profile) bool { return p.Known && !p.DeviceKnown && p.Username == "" },
			},
		}
		for _, tt := range steps {
			t.Run(tt.name, func(t *testing.T) {
				for _, device := range []string{"phone", "laptop"} {
					if _, err := s.Profile(t.Context(), "jane", device, ""); err != nil {
						t.Fatal(err)
					}
				}
				tt.change(t)
				for range 2 {
					if p, err := s.Profile(t.Context(), "jane", "phone", ""); err != nil || !tt.want(p) {
						t.Errorf("profile %+v, %v", p, err)
					}
				}
				if p, err := s.Profile(t.Context(), "jane", "laptop", ""); err != nil || p.DeviceKnown {
					t.Errorf("profile with another device %+v, %v", p, err)
				}
			})
		}
	})
}

func TestProfilesKeepUpWithConcurrentChanges(t *testing.T) {
	s := storetest.Open(t, store.Config{Dir: t.TempDir()})
	const people, changes = 20, 30
	errs := together(people, func(i int) error {
		user := events.UserID(fmt.Sprintf("user-%d", i))
		var readers sync.WaitGroup
		done := make(chan struct{})
		readers.Go(func() { // fills what is kept at any moment
			for {
				select {
				case <-done:
					return
				default:
					_, _ = s.Profile(t.Context(), user, "phone", "")
				}
			}
		})
		defer readers.Wait()
		defer close(done)
		for n := range changes {
			want := fmt.Sprintf("%d@example.com", n)
			r := recording(t, action(string(user), n), events.StateAllow)
			r.Action.Email = want
			if _, err := s.Record(t.Context(), r); err != nil {
				return err
			}
			p, err := s.Profile(t.Context(), user, "phone", "")
			if err != nil || p.Email != want {
				return fmt.Errorf("after %s was recorded, the profile says %s: %w", want, p.Email, err)
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func TestCallersDoNotShareAProfile(t *testing.T) {
	s := storetest.Open(t, store.Config{Dir: t.TempDir()})
	enrol(t, s, "jane", 1)
	var answers [3]engine.Profile
	for i := range answers {
		p, err := s.Profile(t.Context(), "jane", "phone", "")
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = p
		answers[i].Methods[0] = events.MethodEmailOTP
	}
	account, err := s.Account(t.Context(), "jane")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ceremonies.Authenticator{passkey("jane", 1)}, account.Authenticators); diff != "" {
		t.Error(diff)
	}
	if p, err := s.Profile(t.Context(), "jane", "phone", ""); err != nil || p.Methods[0] != events.MethodPasskey {
		t.Errorf("profile %+v, %v; one caller changed another's", p, err)
	}
}
