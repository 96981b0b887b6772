package store_test

import (
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

func TestChangeAuthenticator(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		first, app := enrol(t, s, "jane", 1), authenticator(t, s, "jane", events.MethodAuthenticatorApp)
		other := enrol(t, s, "joe", 1)
		tests := []struct {
			name      string
			id        events.AuthenticatorID
			rename    *string
			preferred bool
			want      error
			fields    []string // of its event; none when there is no event
		}{
			{name: "a name", id: first.ID, rename: ptr("Work phone"), fields: []string{"name"}},
			{name: "the same name", id: first.ID, rename: ptr("Work phone")},
			{name: "the default", id: first.ID, preferred: true, fields: []string{"default"}},
			{name: "the default again", id: first.ID, preferred: true},
			{name: "both", id: app.ID, rename: ptr("App"), preferred: true, fields: []string{"name", "default"}},
			{name: "nothing", id: app.ID},
			{name: "somebody else's", id: other.ID, rename: ptr("Mine"), preferred: true, want: ceremonies.ErrNoChallenge},
			{name: "what there is not", id: "gone", preferred: true, want: ceremonies.ErrNoChallenge},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				before := len(wholeLog(t, s))
				err := s.ChangeAuthenticator(t.Context(), "jane", tt.id, tt.rename, tt.preferred, events.ByPerson)
				if !errors.Is(err, tt.want) {
					t.Fatalf("change: %v; want %v", err, tt.want)
				}
				log := wholeLog(t, s)[before:]
				if tt.fields == nil {
					if len(log) != 0 {
						t.Errorf("events %v", kinds(t, s, before))
					}
					return
				}
				if len(log) != 1 {
					t.Fatalf("events %v", kinds(t, s, before))
				}
				record, err := log[0].Decode()
				if err != nil {
					t.Fatal(err)
				}
				got := record.(*events.AuthenticatorChanged)
				if diff := cmp.Diff(tt.fields, got.Fields); diff != "" || got.Authenticator != tt.id || got.By != events.ByPerson || got.User != "jane" {
					t.Errorf("event %+v\n%s", got, diff)
				}
			})
		}
		a := account(t, s, "jane")
		if a.Default != app.ID || a.Preferred().ID != app.ID || a.Preferred().Name != "App" {
			t.Errorf("account %+v", a)
		}
		if diff := cmp.Diff([]events.Method{events.MethodAuthenticatorApp, events.MethodPasskey}, methodsOf(t, s, "jane")); diff != "" {
			t.Error(diff)
		}
		if name := account(t, s, "joe").Authenticators[0].Name; name != other.Name {
			t.Errorf("joe's is called %q", name)
		}
		// A default that was removed is nobody's, and the oldest one is offered first.
		if err := s.RemoveAuthenticator(t.Context(), "jane", app.ID, events.ByPerson); err != nil {
			t.Fatal(err)
		}
		if got := account(t, s, "jane").Preferred().ID; got != first.ID {
			t.Errorf("%s is offered first", got)
		}
	})
}

func TestPrompted(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		track(t, s, action("jane", 1), events.StateAllow)
		before := len(wholeLog(t, s))
		for _, user := range []events.UserID{"jane", "nobody"} {
			if err := s.Prompted(t.Context(), user, base); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
		if a := account(t, s, "jane"); !a.PromptedAt.Equal(base) {
			t.Errorf("prompted at %v", a.PromptedAt)
		}
		if account(t, s, "nobody").Known || len(wholeLog(t, s)) != before {
			t.Error("somebody or an event was made of it")
		}
	})
}

func TestDeletingAPersonErasesTheirCodesAndMeters(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		for _, user := range []string{"jane", "joe"} {
			proof := withCodes(t, s, user, 3)
			authenticator(t, s, user, events.MethodAuthenticatorApp)
			id := action(user, 1)
			track(t, s, id, events.StateChallengeRequired)
			o := outcome(t, taken(t, s, challenge(id, 1)), events.KindCeremonySucceeded)
			o.Proof, o.Digest, o.Permit, o.PermitExpires = &proof, "digest-of-"+user, "", base
			if _, err := s.Finish(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if err := s.CountIn(t.Context(), []ceremonies.Meter{meter("wrong:user:"+user, 9), meter("sent:user:"+user, 9)}, base); err != nil {
				t.Fatal(err)
			}
			open := action(user, 2)
			track(t, s, open, events.StateChallengeRequired)
			begun(t, s, byCode(open, 5))
		}
		if err := s.CountIn(t.Context(), []ceremonies.Meter{meter("wrong:address:x", 9)}, base); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(t.Context(), "jane", events.ByApplication); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			query      string
			jane, joes int
		}{
			{query: "SELECT COUNT(*) FROM recovery_codes WHERE user_id = '%s'", joes: 3},
			{query: "SELECT COUNT(*) FROM authenticators WHERE user_id = '%s'", joes: 3},
			{query: "SELECT COUNT(*) FROM challenges WHERE user_id = '%s'", joes: 3},
			{query: "SELECT COUNT(*) FROM actions WHERE digest <> '' AND user_id = '%s'", joes: 1},
			{query: "SELECT COUNT(*) FROM meters WHERE name LIKE '%%:user:%s'", joes: 2},
			{query: "SELECT COUNT(*) FROM meters WHERE name <> '%s'", jane: 3, joes: 3}, // an address is of others too
		} {
			for user, want := range map[string]int{"jane": tt.jane, "joe": tt.joes} {
				var n int
				if err := s.Count(t.Context(), &n, fmt.Sprintf(tt.query, user)); err != nil || n != want {
					t.Errorf("%s for %s: %d, %v; want %d", tt.query, user, n, err, want)
				}
			}
		}
	})
}

// What can be had once is had once, however many come for it, on two nodes.
func TestWhatIsHadOnceIsHadByOne(t *testing.T) {
	const callers = 50
	tests := []struct {
		name string
		// prepare makes what callers want, and of is what the i-th of them asks for.
		prepare func(t *testing.T, s *store.Store)
		of      func(o *ceremonies.Outcome, i int)
		purpose ceremonies.Purpose
		kind    ceremonies.Kind
		want    error // of all but one
		after   func(t *testing.T, a ceremonies.Account)
	}{
		{
			name: "a recovery code", want: ceremonies.ErrSpent, purpose: ceremonies.ForAction, kind: ceremonies.Authentication,
			prepare: func(t *testing.T, s *store.Store) { withCodes(t, s, "jane", 3) },
			of: func(o *ceremonies.Outcome, _ int) {
				codes := withoutCredential("jane", events.MethodRecoveryCode)
				o.Proof, o.Code = &codes, hashes("jane", 3)[1]
			},
			after: func(t *testing.T, a ceremonies.Account) {
				if a.Codes != 2 {
					t.Errorf("%d codes are left", a.Codes)
				}
			},
		},
		{
			name: "a time step", want: ceremonies.ErrSpent, purpose: ceremonies.ForAction, kind: ceremonies.Authentication,
			prepare: func(t *testing.T, s *store.Store) { authenticator(t, s, "jane", events.MethodAuthenticatorApp) },
			of: func(o *ceremonies.Outcome, _ int) {
				app := withoutCredential("jane", events.MethodAuthenticatorApp)
				o.Proof, o.Step = &app, 77
			},
			after: func(t *testing.T, a ceremonies.Account) {
				if a.Authenticators[0].LastStep != 77 {
					t.Errorf("the last step is %d", a.Authenticators[0].LastStep)
				}
			},
		},
		{
			name: "a permit", want: ceremonies.ErrSpent, purpose: ceremonies.ForEnrolment, kind: ceremonies.Registration,
			prepare: func(t *testing.T, s *store.Store) { enrol(t, s, "jane", 100) },
			of: func(o *ceremonies.Outcome, i int) {
				added := passkey("jane", i)
				o.New, o.Permit, o.PermitExpires = &added, "permit", base.Add(time.Minute)
			},
			after: func(t *testing.T, a ceremonies.Account) {
				if len(a.Authenticators) != 2 {
					t.Errorf("%d authenticators", len(a.Authenticators))
				}
			},
		},
		{
			name: "a first authenticator", want: ceremonies.ErrEnrolledMeanwhile, purpose: ceremonies.ForEnrolment, kind: ceremonies.Registration,
			prepare: func(*testing.T, *store.Store) {},
			of: func(o *ceremonies.Outcome, i int) {
				added := passkey("jane", i)
				o.New, o.OnlyFirst = &added, true
			},
			after: func(t *testing.T, a ceremonies.Account) {
				if len(a.Authenticators) != 1 {
					t.Errorf("%d authenticators", len(a.Authenticators))
				}
			},
		},
		{
			name: "a removal", want: ceremonies.ErrRemoved, purpose: ceremonies.ForRemoving, kind: ceremonies.Authentication,
			prepare: func(t *testing.T, s *store.Store) {
				enrol(t, s, "jane", 100)
				authenticator(t, s, "jane", events.MethodAuthenticatorApp)
			},
			of: func(o *ceremonies.Outcome, _ int) {
				proof := passkey("jane", 100)
				o.Proof, o.Remove = &proof, "AUTHENTICATOR_APP-jane"
			},
			after: func(t *testing.T, a ceremonies.Account) {
				if len(a.Authenticators) != 1 {
					t.Errorf("%d authenticators", len(a.Authenticators))
				}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T, config store.Config) {
				nodes := writers(t, config)
				tt.prepare(t, nodes[0])
				outcomes := make([]ceremonies.Outcome, callers)
				for i := range outcomes {
					id := action("jane", i)
					track(t, nodes[0], id, events.StateChallengeRequired)
					c := challenge(id, i)
					c.Purpose, c.Kind = tt.purpose, tt.kind
					outcomes[i] = outcome(t, taken(t, nodes[0], c), events.KindCeremonySucceeded)
					tt.of(&outcomes[i], i)
				}
				before := len(wholeLog(t, nodes[0]))
				won := 0
				for _, err := range together(callers, func(i int) error {
					_, err := nodes[i%2].Finish(t.Context(), outcomes[i])
					return err
				}) {
					switch {
					case err == nil:
						won++
					case !errors.Is(err, tt.want):
						t.Errorf("finish: %v; want %v", err, tt.want)
					}
				}
				counts := map[events.Kind]int{}
				for _, kind := range kinds(t, nodes[0], before) {
					counts[kind]++
				}
				want := map[events.Kind]int{events.KindCeremonySucceeded: 1, events.KindCeremonyFailed: callers - 1}
				if diff := cmp.Diff(want, counts); diff != "" || won != 1 {
					t.Errorf("%d had it; events %s", won, diff)
				}
				tt.after(t, account(t, nodes[1], "jane"))
			})
		})
	}
}
