package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

func saveDraft(t *testing.T, s *store.Store, d ruleset.Draft, revision int, by string) ruleset.Draft {
	t.Helper()
	saved, err := s.SaveDraft(t.Context(), d, revision, by)
	if err != nil {
		t.Fatalf("save revision %d by %s: %v", revision, by, err)
	}
	return saved
}

// hashOf is what an event says of a definition.
func hashOf(t *testing.T, d rules.Definition) string {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:])
}

func TestADraftFromItsFirstSaveToItsEnd(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		now := base
		config.Now = func() time.Time { return now }
		nodes := writers(t, config)
		s := nodes[0]
		broken := rules.Definition{Otherwise: rules.ActionRules{Rules: []rules.Rule{{ID: "r", When: "nothing >"}}}}
		first := saveDraft(t, s, ruleset.Draft{ID: "chosen by nobody", Title: "Friday", Base: 3, Definition: broken}, 0, "ann")
		want := ruleset.Draft{
			ID: first.ID, Title: "Friday", Base: 3, Revision: 1, Definition: broken, Author: "ann", Authors: []string{"ann"}, UpdatedAt: base,
		}
		if diff := cmp.Diff(want, first); diff != "" || first.ID == "" || first.ID == "chosen by nobody" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
		if got, err := nodes[1].Draft(t.Context(), first.ID); err != nil || !cmp.Equal(want, got) {
			t.Errorf("read (-want +got):\n%s%v", cmp.Diff(want, got), err)
		}
		approved, err := s.ApproveDraft(t.Context(), first.ID, 1, "bob")
		want.Approvals = []ruleset.Approval{{By: "bob", At: base}}
		without := want
		without.Definition = rules.Definition{}
		if diff := cmp.Diff(without, approved); diff != "" || err != nil {
			t.Errorf("approved (-want +got):\n%s%v", diff, err)
		}
		if again, err := s.ApproveDraft(t.Context(), first.ID, 1, "bob"); err != nil || len(again.Approvals) != 1 {
			t.Errorf("approved again: %+v, %v", again, err)
		}

		// A save drops the approvals, and who has saved cannot approve.
		now = now.Add(time.Minute)
		first.Definition, first.Title = rules.Example(), "Saturday"
		second := saveDraft(t, s, first, 1, "cy")
		want = ruleset.Draft{
			ID: first.ID, Title: "Saturday", Base: 3, Revision: 2, Definition: rules.Example(), Author: "cy", Authors: []string{"ann", "cy"}, UpdatedAt: now,
		}
		if diff := cmp.Diff(want, second); diff != "" {
			t.Errorf("second (-want +got):\n%s", diff)
		}
		for _, by := range []string{"ann", "cy"} {
			if _, err := s.ApproveDraft(t.Context(), first.ID, 2, by); !errors.Is(err, ruleset.ErrOwnDraft) {
				t.Errorf("%s approves: %v", by, err)
			}
		}
		other := saveDraft(t, s, ruleset.Draft{Title: "Other"}, 0, "ann")
		drafts, err := s.Drafts(t.Context())
		want.Definition = rules.Definition{}
		if err != nil || len(drafts) != 2 || !slices.ContainsFunc(drafts, func(d ruleset.Draft) bool { return cmp.Equal(d, want) }) {
			t.Errorf("drafts %+v, %v", drafts, err)
		}
		if err := s.DeleteDraft(t.Context(), other.ID, "dee"); err != nil {
			t.Fatal(err)
		}
		published, err := s.PublishRules(t.Context(), 0, rules.Version{Definition: rules.Example(), Author: "cy", Note: "n"}, first.ID, 2)
		if err != nil || published.Number != 1 {
			t.Fatalf("publish: %+v, %v", published, err)
		}
		if drafts, err := s.Drafts(t.Context()); err != nil || len(drafts) != 0 {
			t.Errorf("after all %+v, %v", drafts, err)
		}

		var got []events.Record
		for _, e := range wholeLog(t, s) {
			record, err := e.Decode()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, record)
		}
		wantLog := []events.Record{
			&events.DraftChanged{Step: events.KindDraftSaved, Draft: first.ID, Revision: 1, Base: 3, By: "ann", SHA256: hashOf(t, broken)},
			&events.DraftChanged{Step: events.KindDraftApproved, Draft: first.ID, Revision: 1, Base: 3, By: "bob"},
			&events.DraftChanged{Step: events.KindDraftSaved, Draft: first.ID, Revision: 2, Base: 3, By: "cy", SHA256: hashOf(t, rules.Example())},
			&events.DraftChanged{Step: events.KindDraftSaved, Draft: other.ID, Revision: 1, By: "ann", SHA256: hashOf(t, rules.Definition{})},
			&events.DraftChanged{Step: events.KindDraftDeleted, Draft: other.ID, Revision: 1, By: "dee"},
			&events.RuleSetPublished{Set: 1, Author: "cy", Note: "n", SHA256: hashOf(t, rules.Example()), Draft: first.ID},
		}
		if diff := cmp.Diff(wantLog, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestDraftRefusals(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		d := saveDraft(t, s, ruleset.Draft{Title: "one", Definition: rules.Example()}, 0, "ann")
		d = saveDraft(t, s, d, 1, "ann")
		gone := saveDraft(t, s, ruleset.Draft{Title: "two"}, 0, "ann")
		if err := s.DeleteDraft(t.Context(), gone.ID, "ann"); err != nil {
			t.Fatal(err)
		}
		save := func(d ruleset.Draft, revision int, by string) error {
			_, err := s.SaveDraft(t.Context(), d, revision, by)
			return err
		}
		approve := func(id string, revision int, by string) error {
			_, err := s.ApproveDraft(t.Context(), id, revision, by)
			return err
		}
		publish := func(base int, id string, revision int) error {
			_, err := s.PublishRules(t.Context(), base, rules.Version{Definition: rules.Example(), Author: "ann"}, id, revision)
			return err
		}
		read := func(id string) error {
			_, err := s.Draft(t.Context(), id)
			return err
		}
		long := d
		long.Title = strings.Repeat("x", 2000)
		var input *engine.InputError
		logged := len(wholeLog(t, s))
		tests := []struct {
			name string
			err  error
			want error // nil: *engine.InputError
		}{
			{"a save of an older revision", save(d, 1, "bob"), engine.ErrConflict},
			{"a save of a revision to come", save(d, 3, "bob"), engine.ErrConflict},
			{"a save of a draft that is gone", save(gone, 1, "bob"), engine.ErrNotFound},
			{"a save by nobody", save(d, 2, ""), nil},
			{"a long title", save(long, 2, "bob"), nil},
			{"an approval of an older revision", approve(d.ID, 1, "bob"), engine.ErrConflict},
			{"an approval of a draft that is gone", approve(gone.ID, 1, "bob"), engine.ErrNotFound},
			{"an approval by nobody", approve(d.ID, 2, ""), nil},
			{"an approval by its author", approve(d.ID, 2, "ann"), ruleset.ErrOwnDraft},
			{"publishing an older revision", publish(0, d.ID, 1), engine.ErrConflict},
			{"publishing on another set", publish(7, d.ID, 2), engine.ErrConflict},
			{"publishing a draft that is gone", publish(0, gone.ID, 1), engine.ErrNotFound},
			{"a draft that is gone", read(gone.ID), engine.ErrNotFound},
			{"a draft with a zero byte", read("\x00"), engine.ErrNotFound},
			{"deleting a draft that is gone", s.DeleteDraft(t.Context(), gone.ID, "ann"), engine.ErrNotFound},
		}
		for _, tt := range tests {
			if tt.want == nil && !errors.As(tt.err, &input) || tt.want != nil && !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: %v; want %v", tt.name, tt.err, tt.want)
			}
		}
		if n := len(wholeLog(t, s)); n != logged {
			t.Errorf("refusals left %d events", n-logged)
		}
		if n, err := s.CurrentRulesNumber(t.Context()); n != 0 || err != nil {
			t.Errorf("set %d is published, %v", n, err)
		}
		for i := 1; i < store.MaxDrafts; i++ {
			saveDraft(t, s, ruleset.Draft{Title: fmt.Sprint(i)}, 0, "ann")
		}
		if err := save(ruleset.Draft{}, 0, "ann"); !errors.As(err, &input) {
			t.Errorf("one draft too many: %v", err)
		}
	})
}

func TestOneOfManySavesOfARevisionWins(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		d := saveDraft(t, nodes[0], ruleset.Draft{Title: "zero"}, 0, "ann")
		const people = 8
		errs := together(people, func(i int) error {
			_, err := nodes[i%2].SaveDraft(t.Context(), ruleset.Draft{ID: d.ID, Title: fmt.Sprint(i)}, 1, fmt.Sprint(i))
			return err
		})
		conflicts := 0
		for _, err := range errs {
			if errors.Is(err, engine.ErrConflict) {
				conflicts++
			} else if err != nil {
				t.Error(err)
			}
		}
		got, err := nodes[1].Draft(t.Context(), d.ID)
		if err != nil || conflicts != people-1 || got.Revision != 2 || len(got.Authors) != 2 || got.Title != got.Author {
			t.Errorf("%d conflicts, draft %+v, %v", conflicts, got, err)
		}
	})
}

func TestALargeDefinitionIsKept(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		s := storetest.Open(t, config)
		large := rules.Definition{}
		for i := range 10_000 {
			large.Otherwise.Rules = append(large.Otherwise.Rules, rules.Rule{
				ID: fmt.Sprintf("rule-%d", i), Name: strings.Repeat("n", 100), When: fmt.Sprintf("user.id == 'user-%d'", i), Outcome: rules.Block,
			})
		}
		d := saveDraft(t, s, ruleset.Draft{Definition: large}, 0, "ann")
		if _, err := s.PublishRules(t.Context(), 0, rules.Version{Definition: large, Author: "ann"}, d.ID, 1); err != nil {
			t.Fatal(err)
		}
		v, err := s.RulesVersion(t.Context(), 1)
		if err != nil || !cmp.Equal(v.Definition, large) {
			t.Errorf("%d rules, %v", len(v.Definition.Otherwise.Rules), err)
		}
		large.Otherwise.Rules[0].Description = strings.Repeat("x", 2*rules.MaxDefinitionBytes)
		var input *engine.InputError
		if _, err := s.SaveDraft(t.Context(), ruleset.Draft{Definition: large}, 0, "ann"); !errors.As(err, &input) {
			t.Errorf("a definition beyond all limits: %v", err)
		}
	})
}
