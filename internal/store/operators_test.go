package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestOperators(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		s := nodes[0]
		event := func(kind events.Kind) events.Draft {
			draft, err := events.NewDraft(events.OperatorChanged{Step: kind, Operator: "ann", Role: "administrator", By: events.BySallyport}, nil, base)
			if err != nil {
				t.Fatal(err)
			}
			return draft
		}
		invite := operators.Invite{Hash: []byte("invite"), Role: operators.Administrator, By: "sallyport", Expires: base.Add(time.Hour)}
		if err := s.SaveInvite(t.Context(), invite, event(events.KindOperatorInvited)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Invite(t.Context(), invite.Hash, base)
		if diff := cmp.Diff(invite, got); err != nil || diff != "" {
			t.Errorf("invite: %v %s", err, diff)
		}
		for name, read := range map[string]struct {
			hash string
			at   time.Time
		}{"unknown": {"other", base}, "at its end": {"invite", invite.Expires}} {
			if _, err := s.Invite(t.Context(), []byte(read.hash), read.at); !errors.Is(err, operators.ErrNotFound) {
				t.Errorf("invite %s: %v; want ErrNotFound", name, err)
			}
		}

		begun := operators.Ceremony{
			ID: "ceremony", Kind: "registration", Session: []byte(`{"challenge":"AA"}`), Invite: invite.Hash, Name: "Ann",
			Handle: []byte("handle"), Expires: base.Add(time.Minute),
		}
		if err := s.SaveCeremony(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
		var won int
		var took operators.Ceremony
		for range 2 {
			c, err := s.TakeCeremony(t.Context(), begun.ID, base)
			if err == nil {
				won, took = won+1, c
			} else if !errors.Is(err, operators.ErrNotFound) {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(begun, took); won != 1 || diff != "" {
			t.Errorf("taken %d times: %s", won, diff)
		}
		if err := s.SaveCeremony(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
		if _, err := s.TakeCeremony(t.Context(), begun.ID, begun.Expires); !errors.Is(err, operators.ErrNotFound) {
			t.Errorf("a ceremony at its end: %v; want ErrNotFound", err)
		}

		ann := operators.Operator{ID: "ann", Name: "Ann", Role: operators.Administrator, Handle: []byte("handle"), CreatedAt: base}
		key := operators.Credential{ID: []byte("key"), Operator: "ann", Credential: []byte(`{"n":1}`), CreatedAt: base}
		errs := together(6, func(i int) error {
			o, c := ann, key
			return nodes[i%2].Register(t.Context(), invite.Hash, o, c, event(events.KindOperatorRegistered))
		})
		used := 0
		for _, err := range errs {
			if errors.Is(err, operators.ErrUsed) {
				used++
			} else if err != nil {
				t.Error(err)
			}
		}
		if n, err := s.OperatorCount(t.Context()); err != nil || used != 5 || n != 1 {
			t.Errorf("%d were told it is used, %d operators, %v", used, n, err)
		}
		if names, err := s.OperatorNames(t.Context()); err != nil || names["ann"] != "Ann" || len(names) != 1 {
			t.Errorf("names %v, %v; want that of the only operator", names, err)
		}
		second := operators.Invite{Hash: []byte("second"), Role: operators.Analyst, By: "ann", Expires: base.Add(time.Hour)}
		if err := s.SaveInvite(t.Context(), second, event(events.KindOperatorInvited)); err != nil {
			t.Fatal(err)
		}
		bob := operators.Operator{ID: "bob", Handle: []byte("bob"), Role: operators.Analyst}
		if err := s.Register(t.Context(), second.Hash, bob, key, event(events.KindOperatorRegistered)); !errors.Is(err, operators.ErrUsed) {
			t.Errorf("a credential that exists: %v; want ErrUsed", err)
		}
		if _, err := s.Invite(t.Context(), second.Hash, base); err != nil {
			t.Errorf("the refused registration used the invite up: %v", err)
		}

		o, keys, err := s.OperatorByHandle(t.Context(), ann.Handle)
		if diff := cmp.Diff(ann, o); err != nil || diff != "" {
			t.Errorf("operator: %v %s", err, diff)
		}
		if diff := cmp.Diff([]operators.Credential{key}, keys); diff != "" {
			t.Error(diff)
		}
		if _, _, err := s.OperatorByHandle(t.Context(), []byte("nobody")); !errors.Is(err, operators.ErrNotFound) {
			t.Errorf("nobody's handle: %v; want ErrNotFound", err)
		}

		session := operators.Session{Hash: []byte("session"), Operator: "ann", Expires: base.Add(time.Hour)}
		key.Credential, key.LastUsedAt = []byte(`{"n":2}`), base.Add(time.Second)
		if err := s.SignIn(t.Context(), key, session, event(events.KindOperatorSignedIn)); err != nil {
			t.Fatal(err)
		}
		foreign := key
		foreign.ID = []byte("unknown")
		if err := s.SignIn(t.Context(), foreign, session, event(events.KindOperatorSignedIn)); !errors.Is(err, operators.ErrNotFound) {
			t.Errorf("an unknown credential: %v; want ErrNotFound", err)
		}
		if _, keys, err = s.OperatorByHandle(t.Context(), ann.Handle); err != nil || string(keys[0].Credential) != `{"n":2}` {
			t.Errorf("the credential was not stored after use: %+v, %v", keys, err)
		}
		if o, err := s.OperatorBySession(t.Context(), session.Hash, base); err != nil || o.ID != "ann" {
			t.Errorf("session of %+v, %v", o, err)
		}
		if _, err := s.OperatorBySession(t.Context(), session.Hash, session.Expires); !errors.Is(err, operators.ErrNotFound) {
			t.Errorf("a session at its end: %v; want ErrNotFound", err)
		}
		for range 2 {
			if err := s.EndSession(t.Context(), session.Hash); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.OperatorBySession(t.Context(), session.Hash, base); !errors.Is(err, operators.ErrNotFound) {
			t.Errorf("an ended session: %v; want ErrNotFound", err)
		}
		want := []events.Kind{
			events.KindOperatorInvited, events.KindOperatorRegistered, events.KindOperatorInvited, events.KindOperatorSignedIn,
		}
		if diff := cmp.Diff(want, kinds(t, s, 0)); diff != "" {
			t.Error(diff)
		}

		// What is over is forgotten.
		if err := s.SignIn(t.Context(), key, session, event(events.KindOperatorSignedIn)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sweep(t.Context(), base.Add(2*time.Hour), func(ceremonies.Challenge, string) (events.Draft, error) {
			return events.Draft{}, errors.New("there is nothing to end")
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.OperatorBySession(t.Context(), session.Hash, base); !errors.Is(err, operators.ErrNotFound) {
			t.Errorf("a swept session: %v; want ErrNotFound", err)
		}
	})
}
