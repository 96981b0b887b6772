package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func ptr[T any](v T) *T { return &v }

func TestUpdateUser(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		tests := []struct {
			name    string
			changes engine.UserChanges
			want    engine.User
			fields  []string // of the event, nil for none
		}{
			{
				name: "creates the user", changes: engine.UserChanges{Email: ptr("jane@example.com"), EmailVerified: ptr(true)},
				want:   engine.User{Email: "jane@example.com", EmailVerified: true},
				fields: []string{"email", "emailVerified"},
			},
			{
				name: "leaves what is not named", changes: engine.UserChanges{DisplayName: ptr("Jane"), Custom: ptr(json.RawMessage(`{"tier":1}`))},
				want: engine.User{
					Email: "jane@example.com", EmailVerified: true, DisplayName: "Jane", Custom: json.RawMessage(`{"tier":1}`),
				},
				fields: []string{"displayName", "custom"},
			},
			{
				name: "writes nothing when nothing changes", changes: engine.UserChanges{DisplayName: ptr("Jane"), EmailVerified: ptr(true)},
				want: engine.User{
					Email: "jane@example.com", EmailVerified: true, DisplayName: "Jane", Custom: json.RawMessage(`{"tier":1}`),
				},
			},
			{
				name: "does not trust a new address", changes: engine.UserChanges{Email: ptr("new@example.com"), Custom: ptr(json.RawMessage("null"))},
				want:   engine.User{Email: "new@example.com", DisplayName: "Jane"},
				fields: []string{"email", "custom"},
			},
			{
				name: "clears", changes: engine.UserChanges{Email: ptr(""), DisplayName: ptr(""), Locale: ptr("de"), Username: ptr("jane"), PhoneNumber: ptr("+6421555123")},
				want:   engine.User{Locale: "de", Username: "jane", PhoneNumber: "+6421555123"},
				fields: []string{"email", "phoneNumber", "username", "displayName", "locale"},
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				before := len(wholeLog(t, s))
				got, err := s.UpdateUser(t.Context(), "jane", tt.changes, events.ByManagement)
				if err != nil {
					t.Fatal(err)
				}
				tt.want.ID = "jane"
				ignore := cmpopts.IgnoreFields(engine.User{}, "CreatedAt")
				if diff := cmp.Diff(tt.want, got, ignore); diff != "" {
					t.Errorf("answer: %s", diff)
				}
				stored, found, err := s.User(t.Context(), "jane")
				if err != nil || !found {
					t.Fatalf("found %v, %v", found, err)
				}
				if diff := cmp.Diff(got, stored); diff != "" {
					t.Errorf("stored: %s", diff)
				}
				log := wholeLog(t, s)[before:]
				if tt.fields == nil {
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
				want := &events.UserUpdated{ActionID: events.ActionID{User: "jane"}, Fields: tt.fields, By: events.ByManagement}
				if diff := cmp.Diff(want, record); diff != "" {
					t.Errorf("event: %s", diff)
				}
				if err := log[0].VerifyPersonal(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

func TestTrackedAttributesOfANewAddressAreNotVerified(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		if _, err := s.UpdateUser(t.Context(), "jane", engine.UserChanges{
			Email: ptr("jane@example.com"), EmailVerified: ptr(true), PhoneNumber: ptr("+6421555123"), PhoneNumberVerified: ptr(true),
		}, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		track(t, s, action("jane", 1), events.StateAllow) // with the same address
		if u, _, err := s.User(t.Context(), "jane"); err != nil || !u.EmailVerified || !u.PhoneNumberVerified {
			t.Errorf("user %+v, %v", u, err)
		}
		r := recording(t, action("jane", 2), events.StateAllow)
		r.Action.Email = "new@example.com"
		if _, err := s.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if u, _, err := s.User(t.Context(), "jane"); err != nil || u.EmailVerified || u.Email != "new@example.com" || !u.PhoneNumberVerified {
			t.Errorf("user %+v, %v", u, err)
		}
	})
}

func TestUsersArePaged(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		var want []events.UserID
		for _, id := range []string{"A", "B", "Z", "a", "b", "É"} { // in order of their bytes
			want = append(want, events.UserID(id))
			changes := engine.UserChanges{Email: ptr("shared@example.com"), Username: ptr("name-" + id), PhoneNumber: ptr("+64" + id)}
			if _, err := s.UpdateUser(t.Context(), events.UserID(id), changes, events.ByApplication); err != nil {
				t.Fatal(err)
			}
		}
		for _, limit := range []int{1, 2, 3, 6, 7, 0} {
			var got []events.UserID
			filter := engine.UserFilter{Limit: limit, Email: "shared@example.com"}
			for range 10 {
				page, next, err := s.Users(t.Context(), filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range page {
					got = append(got, u.ID)
				}
				if filter.After = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d: %s", limit, diff)
			}
		}
		for name, filter := range map[string]engine.UserFilter{
			"username": {Username: "name-b"}, "phone": {PhoneNumber: "+64b"}, "all": {Username: "name-b", Email: "shared@example.com"},
		} {
			if page, next, err := s.Users(t.Context(), filter); err != nil || len(page) != 1 || page[0].ID != "b" || next != "" {
				t.Errorf("by %s: %+v, %q, %v", name, page, next, err)
			}
		}
		if page, _, err := s.Users(t.Context(), engine.UserFilter{Email: "other@example.com"}); err != nil || len(page) != 0 {
			t.Errorf("nobody: %+v, %v", page, err)
		}
		var bad *engine.InputError
		for _, limit := range []int{-1, 201} {
			if _, _, err := s.Users(t.Context(), engine.UserFilter{Limit: limit}); !errors.As(err, &bad) {
				t.Errorf("limit %d: %v; want an InputError", limit, err)
			}
		}
	})
}

func TestDeletingAUserErasesThem(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		id, other := action("jane", 1), action("joe", 1)
		first := track(t, s, id, events.StateChallengeRequired)
		track(t, s, other, events.StateAllow)
		a := enrol(t, s, "jane", 1)
		c := taken(t, s, challenge(id, 1))
		if _, err := s.UpdateUser(t.Context(), "jane", engine.UserChanges{DisplayName: ptr("Jane")}, events.ByApplication); err != nil {
			t.Fatal(err)
		}
		before := wholeLog(t, s)

		if err := s.DeleteUser(t.Context(), "jane", events.ByApplication); err != nil {
			t.Fatal(err)
		}
		after := wholeLog(t, s)
		want := []events.Kind{events.KindCeremonyAbandoned, events.KindUserDeleted} // what was begun also ends
		if diff := cmp.Diff(want, kinds(t, s, len(before))); diff != "" {
			t.Fatal(diff)
		}
		for i, e := range before {
			got := after[i]
			if got.Leaf() != e.Leaf() || got.VerifyPersonal() != nil {
				t.Errorf("%v no longer proves itself", e.Position)
			}
			if erased := len(got.Personal) == 0 && len(got.Salt) == 0; erased != (e.Action.User == "jane" || e.Personal == nil) {
				t.Errorf("%v of %q: erased %v", e.Kind, e.Action.User, erased)
			}
		}
		if _, found, err := s.User(t.Context(), "jane"); err != nil || found {
			t.Errorf("the user is still there: %v, %v", found, err)
		}
		if p, err := s.Profile(t.Context(), "jane", "phone", ""); err != nil || p.Known {
			t.Errorf("profile %+v, %v", p, err)
		}
		tracked, err := s.TrackedAction(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if tracked.IP != "" || tracked.UserAgent != "" || tracked.Custom != nil || tracked.Prompt != "" || tracked.RedirectURL != "" {
			t.Errorf("the action still tells %+v", tracked)
		}
		if tracked.Rule != "large" || tracked.Country != "NZ" {
			t.Errorf("the decision is lost: %+v", tracked)
		}
		o := outcome(t, c, events.KindCeremonySucceeded)
		o.Proof = &a
		if _, err := s.Finish(t.Context(), o); !errors.Is(err, ceremonies.ErrNoChallenge) {
			t.Errorf("a challenge outlived its user: %v", err)
		}

		// Back under the same id, but somebody new.
		again := track(t, s, action("jane", 2), events.StateAllow)
		if again.Generation == first.Generation {
			t.Error("tokens of the deleted user are good again")
		}
		if err := s.AddAuthenticator(t.Context(), passkey("jane", 1), events.ByApplication); !errors.Is(err, ceremonies.ErrCredentialExists) {
			t.Errorf("the deleted user's passkey came back: %v", err)
		}
		if err := s.DeleteUser(t.Context(), "nobody", events.ByApplication); err != nil {
			t.Errorf("deleting nobody: %v", err)
		}
	})
}

func TestAuthenticators(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		s := nodes[0]
		// Many ask for the same credential id at once; one gets it, for ever.
		const callers = 10
		errs := together(callers, func(i int) error {
			a := passkey(fmt.Sprintf("user-%d", i), 1)
			a.CredentialID = []byte("the same")
			return nodes[i%2].AddAuthenticator(t.Context(), a, events.ByApplication)
		})
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case !errors.Is(err, ceremonies.ErrCredentialExists):
				t.Errorf("caller %d: %v; want ErrCredentialExists", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody got the credential id")
		}
		user := events.UserID(fmt.Sprintf("user-%d", winner))
		added := passkey(string(user), 1)
		if diff := cmp.Diff([]events.Kind{events.KindAuthenticatorAdded}, kinds(t, s, 0)); diff != "" {
			t.Error(diff)
		}
		if u, found, err := s.User(t.Context(), user); err != nil || !found || len(u.Methods) != 1 {
			t.Errorf("user %+v, %v, %v", u, found, err)
		}
		if err := s.RemoveAuthenticator(t.Context(), "somebody else", added.ID, events.ByApplication); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("removing somebody else's: %v; want ErrNotFound", err)
		}
		if err := s.RemoveAuthenticator(t.Context(), user, added.ID, events.ByPerson); err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveAuthenticator(t.Context(), user, added.ID, events.ByPerson); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("removing again: %v; want ErrNotFound", err)
		}
		if p, err := s.Profile(t.Context(), user, "", ""); err != nil || p.Enrolled() || len(p.Passkeys) != 0 {
			t.Errorf("profile %+v, %v", p, err)
		}
		added.CredentialID, added.ID = []byte("the same"), "another"
		if err := s.AddAuthenticator(t.Context(), added, events.ByApplication); !errors.Is(err, ceremonies.ErrCredentialExists) {
			t.Errorf("a removed credential id came back: %v", err)
		}
		if _, err := s.CredentialVerifiedAt(t.Context(), added.CredentialID); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("a removed credential: %v; want ErrNotFound", err)
		}

		// Methods in order of enrolment, each once; authenticators without a credential
		// are several. Recovery codes of which none is left prove nothing.
		for n, method := range []events.Method{events.MethodRecoveryCode, events.MethodPasskey, events.MethodPasskey, events.MethodEmailOTP} {
			a := passkey("jane", n)
			a.Method = method
			if method != events.MethodPasskey {
				a.CredentialID = nil
			}
			if err := s.AddAuthenticator(t.Context(), a, events.ByApplication); err != nil {
				t.Fatal(err)
			}
		}
		p, err := s.Profile(t.Context(), "jane", "", "")
		want := []events.Method{events.MethodPasskey, events.MethodEmailOTP}
		if diff := cmp.Diff(want, p.Methods); err != nil || diff != "" || len(p.Passkeys) != 2 {
			t.Errorf("%d passkeys, %v: %s", len(p.Passkeys), err, diff)
		}
	})
}
