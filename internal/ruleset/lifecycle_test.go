package ruleset_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

// tested is a definition with a test that passes while everything is allowed.
func tested(outcome rules.Outcome) rules.Definition {
	d := always(outcome)
	d.Tests = []rules.Test{{Name: "all pass", Action: "payment", Want: rules.Allow}}
	return d
}

func openKeeper(t *testing.T, s *store.Store, config ruleset.Config) *ruleset.Keeper {
	t.Helper()
	config.First = always(rules.Block)
	k, err := ruleset.Open(t.Context(), s, config)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func save(t *testing.T, k *ruleset.Keeper, d ruleset.Draft, revision int, by string) ruleset.Draft {
	t.Helper()
	saved, err := k.Save(t.Context(), d, revision, by)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func TestTheSetThatWasCompiledComesIntoForce(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	published, err := k.Publish(t.Context(), 1, always(rules.Allow), "ann", "kinder")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := s.CurrentRules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]rules.Version{"in force": k.Current().Version(), "stored": stored} {
		if diff := cmp.Diff(published, got); diff != "" {
			t.Errorf("%s (-published +got):\n%s", name, diff)
		}
	}
}

func TestASetWhoseTestsFailIsRefused(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	_, err := k.Publish(t.Context(), ruleset.Latest, tested(rules.Review), "ann", "")
	var failed *ruleset.TestsError
	if !errors.As(err, &failed) || len(failed.Failed) != 1 || failed.Of != 1 || !strings.Contains(err.Error(), `"all pass"`) {
		t.Errorf("got %v", err)
	}
	wantInForce(t, k, 1, rules.Block)
	if _, err := k.Publish(t.Context(), ruleset.Latest, tested(rules.Allow), "ann", ""); err != nil {
		t.Error(err)
	}
	wantInForce(t, k, 2, rules.Allow)
}

func TestAConflictTellsWhoChangedWhat(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	if _, err := k.Publish(t.Context(), 1, always(rules.Allow), "ann", ""); err != nil {
		t.Fatal(err)
	}
	_, err := k.Publish(t.Context(), 1, always(rules.Review), "bob", "")
	var conflict *ruleset.ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, engine.ErrConflict) {
		t.Fatalf("got %v", err)
	}
	if conflict.Base != 1 || conflict.Current.Number != 2 || conflict.Current.Author != "ann" || len(conflict.Changes) != 1 || conflict.Changes[0].Attribute != "default" {
		t.Errorf("conflict %+v", conflict)
	}
}

func TestManyAtOnceOnWhateverIsInForce(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			if _, err := k.Publish(t.Context(), ruleset.Latest, always(rules.Allow), fmt.Sprint(i), ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantInForce(t, k, 4, rules.Allow)
}

func TestASecondPersonApprovesOneRevision(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{Approval: true})
	if _, err := k.Publish(t.Context(), 1, always(rules.Allow), "operator:ann", ""); !errors.Is(err, ruleset.ErrApprovalRequired) {
		t.Errorf("without a draft: %v", err)
	}
	draft := save(t, k, ruleset.Draft{Title: " Kinder ", Base: 1, Definition: tested(rules.Review)}, 0, "operator:ann")
	if draft.Title != "Kinder" || draft.Revision != 1 || draft.Approved() {
		t.Errorf("draft %+v", draft)
	}
	publish := func(revision int) error {
		_, err := k.PublishDraft(t.Context(), draft.ID, revision, "operator:ann", "")
		return err
	}
	approve := func(revision int, by string) error {
		_, err := k.Approve(t.Context(), draft.ID, revision, by)
		return err
	}
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"publish without approval", func() error { return publish(1) }, ruleset.ErrApprovalRequired},
		{"an own draft", func() error { return approve(1, "operator:ann") }, ruleset.ErrOwnDraft},
		{"the management secret is nobody", func() error { return approve(1, "management") }, ruleset.ErrNoPerson},
		{"another person", func() error { return approve(1, "operator:bob") }, nil},
		{"another revision", func() error { return publish(2) }, engine.ErrConflict},
		{"a revision drops the approval", func() error {
			save(t, k, ruleset.Draft{ID: draft.ID, Title: "Kinder", Base: 1, Definition: tested(rules.Allow)}, 1, "operator:cyd")
			return publish(2)
		}, ruleset.ErrApprovalRequired},
		{"who wrote an earlier revision", func() error { return approve(2, "operator:ann") }, ruleset.ErrOwnDraft},
		{"an earlier revision", func() error { return approve(1, "operator:bob") }, engine.ErrConflict},
		{"the new revision", func() error { return approve(2, "operator:bob") }, nil},
		{"publish", func() error { return publish(2) }, nil},
		{"the draft has ended", func() error { return publish(2) }, engine.ErrNotFound},
	}
	for _, step := range steps {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, err, step.want)
		}
	}
	wantInForce(t, k, 2, rules.Allow)
	if v := k.Current().Version(); v.Note != "Kinder" || v.Author != "operator:ann" {
		t.Errorf("version %+v", v)
	}
	if _, err := k.RollBack(t.Context(), 1, 2, "operator:ann", ""); err != nil {
		t.Errorf("an emergency waits for somebody: %v", err)
	}
	wantInForce(t, k, 3, rules.Block)
	if note := k.Current().Version().Note; note != "Back to rule set 1" {
		t.Errorf("note %q", note)
	}
}

func TestADraftIsPublishedOnTheSetThatItBeganAs(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	draft := save(t, k, ruleset.Draft{Title: "x", Base: 1, Definition: broken}, 0, "ann") // need not compile yet
	var compile *rules.CompileError
	if _, err := k.PublishDraft(t.Context(), draft.ID, 1, "ann", ""); !errors.As(err, &compile) {
		t.Errorf("got %v", err)
	}
	draft = save(t, k, ruleset.Draft{ID: draft.ID, Title: "x", Base: 1, Definition: tested(rules.Review)}, 1, "ann")
	var failed *ruleset.TestsError
	if _, err := k.PublishDraft(t.Context(), draft.ID, 2, "ann", ""); !errors.As(err, &failed) {
		t.Errorf("got %v", err)
	}
	draft = save(t, k, ruleset.Draft{ID: draft.ID, Title: "x", Base: 1, Definition: tested(rules.Allow)}, 2, "ann")
	if _, err := k.Publish(t.Context(), 1, always(rules.Review), "bob", ""); err != nil {
		t.Fatal(err)
	}
	var conflict *ruleset.ConflictError
	if _, err := k.PublishDraft(t.Context(), draft.ID, 3, "ann", ""); !errors.As(err, &conflict) || conflict.Current.Author != "bob" {
		t.Errorf("got %v", err)
	}
	draft.Base = 2
	save(t, k, draft, 3, "ann")
	if _, err := k.PublishDraft(t.Context(), draft.ID, 4, "ann", "why"); err != nil {
		t.Error(err)
	}
	wantInForce(t, k, 3, rules.Allow)
	drafts, err := k.Drafts(t.Context())
	if err != nil || len(drafts) != 0 {
		t.Errorf("drafts %+v, %v", drafts, err)
	}
}

func TestDraftsThatMakeNoSenseAreRefused(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	for name, d := range map[string]ruleset.Draft{
		"no title":    {Base: 1},
		"no base":     {Title: "x"},
		"a set to be": {Title: "x", Base: 2},
	} {
		var input *engine.InputError
		if _, err := k.Save(t.Context(), d, 0, "ann"); !errors.As(err, &input) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := k.Delete(t.Context(), "none", "ann"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestOlderSetsAreCompiledOnce(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	for range 6 {
		if _, err := k.Publish(t.Context(), ruleset.Latest, always(rules.Allow), "ann", ""); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int]*rules.Set{}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7} {
		set, err := k.Set(t.Context(), n)
		if err != nil || set.Number() != n {
			t.Fatalf("set %d: %v", n, err)
		}
		seen[n] = set
	}
	if seen[7] != k.Current() {
		t.Error("the set in force was compiled again")
	}
	for _, row := range []struct {
		number int
		kept   bool
	}{{3, true}, {6, true}, {2, false}, {6, true}, {4, false}} { // 2 takes the place of 4, which was asked for before the others
		if set, err := k.Set(t.Context(), row.number); err != nil || (set == seen[row.number]) != row.kept {
			t.Errorf("set %d is kept: %v, want %v (%v)", row.number, set == seen[row.number], row.kept, err)
		}
	}
	if _, err := k.Set(t.Context(), 8); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// As a build of another version may have written it.
	if _, err := s.PublishRules(t.Context(), 7, rules.Version{Definition: broken, Author: "newer"}, "", 0); err != nil {
		t.Fatal(err)
	}
	var unreadable *ruleset.UnreadableError
	if _, err := k.Set(t.Context(), 8); !errors.As(err, &unreadable) || unreadable.Number != 8 {
		t.Errorf("got %v", err)
	}
}

func TestListsThatASetDeclaresAreThere(t *testing.T) {
	s := open(t)
	k := openKeeper(t, s, ruleset.Config{})
	d := always(rules.Allow)
	d.Lists = []rules.List{{Name: "suspects", Type: rules.ListOfRanges}, {Name: "vips", Type: rules.ListOfStrings}}
	if _, err := s.CreateList(t.Context(), lists.Head{Name: "vips", Type: rules.ListOfNumbers}, "bob"); err != nil {
		t.Fatal(err)
	}
	report, err := k.Check(t.Context(), d)
	if err != nil || report.Publishable() || len(report.Problems) != 1 || report.Problems[0].Field != "lists[1].type" {
		t.Errorf("report %+v, %v", report, err)
	}
	missing := 0
	for _, f := range report.Findings {
		if f.Kind == ruleset.MissingList && f.Path == "lists[0]" {
			missing++
		}
	}
	if missing != 1 {
		t.Errorf("findings %+v", report.Findings)
	}
	var compile *rules.CompileError
	if _, err := k.Publish(t.Context(), 1, d, "ann", ""); !errors.As(err, &compile) {
		t.Errorf("got %v", err)
	}
	if err := s.DropList(t.Context(), "vips", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Publish(t.Context(), 1, d, "ann", ""); err != nil {
		t.Fatal(err)
	}
	heads, err := s.Lists(t.Context())
	if err != nil || len(heads) != 2 {
		t.Errorf("lists %+v, %v", heads, err)
	}
}

// BenchmarkPublish is everything from a definition to a set in force, with
// checks, tests and the commit.
func BenchmarkPublish(b *testing.B) {
	d := rules.Definition{
		Fields:    []rules.Field{{Name: "amount", Type: rules.TypeNumber}, {Name: "payee", Type: rules.TypeString}},
		Otherwise: rules.ActionRules{},
	}
	action := rules.ActionRules{Code: "payment"}
	for i := range 10_000 {
		action.Rules = append(action.Rules, rules.Rule{
			ID: fmt.Sprintf("r-%d", i), Name: "Payee", Outcome: rules.Review,
			When: fmt.Sprintf(`custom.amount > %d.0 && custom.payee == "payee-%d"`, i%100, i),
		})
	}
	d.Actions = []rules.ActionRules{action}
	for i := range 100 {
		d.Tests = append(d.Tests, rules.Test{
			Name: fmt.Sprint(i), Action: "payment", Want: rules.Review,
			Facts: map[string]any{"custom.amount": 1000.0, "custom.payee": fmt.Sprintf("payee-%d", i)},
		})
	}
	s, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	k, err := ruleset.Open(b.Context(), s, ruleset.Config{First: always(rules.Block)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Publish(b.Context(), ruleset.Latest, d, "ann", ""); err != nil {
			b.Fatal(err)
		}
	}
}
