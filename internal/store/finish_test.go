package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestAProofCompletesItsAction(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		proof := enrol(t, s, "jane", 1)
		proof.SignCount, proof.BackedUp, proof.Credential = 9, true, []byte(`{"id":"AA","n":9}`)
		o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonySucceeded)
		o.Proof = &proof
		before := len(wholeLog(t, s))
		result, err := s.Finish(t.Context(), o)
		if err != nil || result.State != events.StateChallengeSucceeded {
			t.Fatalf("finish: %+v, %v", result, err)
		}

		a, err := s.TrackedAction(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if a.State != events.StateChallengeSucceeded || a.Method != events.MethodPasskey || a.ProvenBy != proof.ID || !a.ProvenAt.Equal(o.At) ||
			!a.StateChangedAt.Equal(o.At) {
			t.Errorf("action %+v", a)
		}
		account, err := s.Account(t.Context(), "jane")
		if err != nil {
			t.Fatal(err)
		}
		proof.LastVerifiedAt = o.At
		if diff := cmp.Diff([]ceremonies.Authenticator{proof}, account.Authenticators); diff != "" {
			t.Error(diff)
		}
		p, err := s.Profile(t.Context(), "jane", "phone", "")
		if err != nil || !p.DeviceKnown || !p.LastVerifiedAt.Equal(o.At) {
			t.Errorf("profile %+v, %v", p, err)
		}
		at, err := s.CredentialVerifiedAt(t.Context(), proof.CredentialID)
		if err != nil || !at.Equal(o.At) {
			t.Errorf("the credential was last verified %v, %v", at, err)
		}
		log := wholeLog(t, s)[before:]
		if len(log) != 1 || log[0].Kind != events.KindCeremonySucceeded || log[0].State != events.StateChallengeSucceeded {
			t.Errorf("events %+v", log)
		}
		if _, err := s.Finish(t.Context(), o); !errors.Is(err, ceremonies.ErrTaken) {
			t.Errorf("finishing again: %v; want ErrTaken", err)
		}
	})
}

func TestWrongAnswersFailTheActionAtTheLastTry(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		spare := taken(t, s, challenge(id, 99))
		for try := 1; try <= 3; try++ {
			before := len(wholeLog(t, s))
			result, err := s.Finish(t.Context(), outcome(t, taken(t, s, challenge(id, try)), events.KindCeremonyFailed))
			want := ceremonies.Result{State: events.StateChallengeRequired, Tries: try}
			if try == 3 {
				want.State = events.StateChallengeFailed
			}
			if err != nil || result != want {
				t.Fatalf("try %d: %+v, %v; want %+v", try, result, err, want)
			}
			log := wholeLog(t, s)[before:]
			failed := log[len(log)-1]
			record, err := failed.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if got := record.(*events.Ceremony); got.Tries != try || (got.State == events.StateChallengeFailed) != (try == 3) {
				t.Errorf("event of try %d: %+v", try, got)
			}
		}
		// Further answers, right or wrong, change nothing.
		result, err := s.Finish(t.Context(), outcome(t, spare, events.KindCeremonyFailed))
		if err != nil || result != (ceremonies.Result{State: events.StateChallengeFailed, Tries: 3}) {
			t.Errorf("one more: %+v, %v", result, err)
		}
	})
}

func TestFinishRefusals(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		registration := func(id events.ActionID, n int) ceremonies.Challenge {
			c := challenge(id, n)
			c.Kind, c.Purpose = ceremonies.Registration, ceremonies.ForEnrolment
			return c
		}
		tests := []struct {
			name    string
			user    string
			prepare func(t *testing.T, id events.ActionID) ceremonies.Outcome
			want    error
			reason  string // of the failure event
		}{
			{
				name: "a proof for an action that was denied meanwhile", user: "u1", want: ceremonies.ErrNotOpen,
				reason: ceremonies.ReasonActionNotOpen,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					proof := enrol(t, s, "u1", 1)
					o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonySucceeded)
					o.Proof = &proof
					if _, err := s.MoveAction(t.Context(), id, events.StateChallengeFailed, events.ByApplication); err != nil {
						t.Fatal(err)
					}
					return o
				},
			},
			{
				name: "a proof by an authenticator that was removed meanwhile", user: "u2", want: ceremonies.ErrNoChallenge,
				reason: ceremonies.ReasonUnknownCredential,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					proof := enrol(t, s, "u2", 1)
					o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonySucceeded)
					o.Proof = &proof
					if err := s.RemoveAuthenticator(t.Context(), "u2", proof.ID, events.ByApplication); err != nil {
						t.Fatal(err)
					}
					return o
				},
			},
			{
				name: "a passkey that somebody else has", user: "u3", want: ceremonies.ErrCredentialExists,
				reason: ceremonies.ReasonCredentialExists,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					other := enrol(t, s, "u3-other", 1)
					mine := passkey("u3", 1)
					mine.CredentialID = other.CredentialID
					o := outcome(t, taken(t, s, registration(id, 1)), events.KindCeremonySucceeded)
					o.New = &mine
					return o
				},
			},
			{
				name: "a first passkey when there is one by now", user: "u4", want: ceremonies.ErrEnrolledMeanwhile,
				reason: ceremonies.ReasonEnrolledMeanwhile,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					o := outcome(t, taken(t, s, registration(id, 1)), events.KindCeremonySucceeded)
					mine := passkey("u4", 2)
					o.New, o.OnlyFirst = &mine, true
					enrol(t, s, "u4", 1)
					return o
				},
			},
			{
				name: "a denial of an action that is not open", user: "u5", want: ceremonies.ErrNotOpen,
				reason: ceremonies.ReasonActionNotOpen,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonyDenied)
					o.Denied = true
					if _, err := s.MoveAction(t.Context(), id, events.StateReviewRequired, events.ByApplication); err != nil {
						t.Fatal(err)
					}
					return o
				},
			},
			{
				name: "a challenge that was not taken", user: "u6", want: ceremonies.ErrTaken,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					c := challenge(id, 1)
					if err := s.Begin(t.Context(), c, step(t, events.KindCeremonyBegun, c, "", 0)); err != nil {
						t.Fatal(err)
					}
					return outcome(t, c, events.KindCeremonyFailed)
				},
			},
			{
				name: "an unknown challenge", user: "u7", want: ceremonies.ErrNoChallenge,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					return outcome(t, challenge(id, 1), events.KindCeremonyFailed)
				},
			},
			{
				name: "another challenge than was taken", user: "u8", want: ceremonies.ErrNoChallenge,
				prepare: func(t *testing.T, id events.ActionID) ceremonies.Outcome {
					c := taken(t, s, challenge(id, 1))
					c.Purpose = ceremonies.ForEnrolment
					return outcome(t, c, events.KindCeremonySucceeded)
				},
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				id := action(tt.user, 1)
				track(t, s, id, events.StateChallengeRequired)
				o := tt.prepare(t, id)
				before := len(wholeLog(t, s))
				if _, err := s.Finish(t.Context(), o); !errors.Is(err, tt.want) {
					t.Fatalf("finish: %v; want %v", err, tt.want)
				}
				log := wholeLog(t, s)[before:]
				if tt.reason == "" {
					if len(log) != 0 {
						t.Errorf("events %+v", log)
					}
					return
				}
				if len(log) != 1 {
					t.Fatalf("events %+v", log)
				}
				record, err := log[0].Decode()
				if err != nil {
					t.Fatal(err)
				}
				failed, ok := record.(*events.Ceremony)
				if !ok || failed.Step != events.KindCeremonyFailed || failed.Reason != tt.reason || failed.State != "" || failed.Challenge != o.Challenge.ID {
					t.Errorf("event %+v", record)
				}
				if a, err := s.Action(t.Context(), id); err != nil || a.State == events.StateChallengeSucceeded || a.ProvenBy != "" {
					t.Errorf("action %+v, %v", a, err)
				}
				if _, err := s.Finish(t.Context(), o); !errors.Is(err, ceremonies.ErrTaken) {
					t.Errorf("the challenge is still open: %v", err)
				}
			})
		}
	})
}

func TestADenialEndsTokensAndAction(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		generation := track(t, s, id, events.StateChallengeRequired).Generation
		o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonyDenied)
		o.Denied = true
		result, err := s.Finish(t.Context(), o)
		if err != nil || result.State != events.StateChallengeFailed {
			t.Fatalf("finish: %+v, %v", result, err)
		}
		if account, err := s.Account(t.Context(), "jane"); err != nil || account.Generation == generation {
			t.Errorf("the generation is still %d, %v", account.Generation, err)
		}
	})
}

func TestEnrolmentLeavesTheActionAlone(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id := action("jane", 1)
		track(t, s, id, events.StateChallengeRequired)
		c := challenge(id, 1)
		c.Kind, c.Purpose = ceremonies.Registration, ceremonies.ForEnrolment
		added := passkey("jane", 1)
		o := outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
		o.New, o.OnlyFirst = &added, true
		result, err := s.Finish(t.Context(), o)
		if err != nil || result.State != events.StateChallengeRequired {
			t.Fatalf("finish: %+v, %v", result, err)
		}
		p, err := s.Profile(t.Context(), "jane", "phone", "")
		if err != nil || len(p.Passkeys) != 1 || len(p.Methods) != 1 || p.DeviceKnown || !p.LastVerifiedAt.IsZero() {
			t.Errorf("profile %+v, %v", p, err)
		}
		// A proof for enrolment does not complete the action either.
		c = challenge(id, 2)
		c.Purpose = ceremonies.ForEnrolment
		o = outcome(t, taken(t, s, c), events.KindCeremonySucceeded)
		o.Proof = &added
		if result, err = s.Finish(t.Context(), o); err != nil || result.State != events.StateChallengeRequired {
			t.Errorf("finish: %+v, %v", result, err)
		}
		if p, err = s.Profile(t.Context(), "jane", "phone", ""); err != nil || p.LastVerifiedAt.IsZero() {
			t.Errorf("profile %+v, %v", p, err)
		}
	})
}

func TestOnlyOneOfTwoProofsCounts(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		id := action("jane", 1)
		track(t, nodes[0], id, events.StateChallengeRequired)
		proof := enrol(t, nodes[0], "jane", 1)
		var outcomes [2]ceremonies.Outcome
		for i := range outcomes {
			outcomes[i] = outcome(t, taken(t, nodes[i], challenge(id, i)), events.KindCeremonySucceeded)
			outcomes[i].Proof = &proof
			outcomes[i].At = base.Add(time.Duration(i) * time.Second)
		}
		before := len(wholeLog(t, nodes[0]))
		errs := together(2, func(i int) error {
			_, err := nodes[i].Finish(t.Context(), outcomes[i])
			return err
		})
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ceremonies.ErrNotOpen) {
			t.Errorf("errors %v", errs)
		}
		log := wholeLog(t, nodes[0])[before:]
		if len(log) != 2 || (log[0].Kind == events.KindCeremonySucceeded) == (log[1].Kind == events.KindCeremonySucceeded) {
			t.Errorf("events %v", kinds(t, nodes[0], before))
		}
	})
}
