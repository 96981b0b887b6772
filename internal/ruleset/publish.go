package ruleset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

// ListStore knows which lists there are. internal/store implements it.
type ListStore interface {
	Lists(ctx context.Context) ([]lists.Head, error)
	// CreateList makes an empty list; engine.ErrConflict when there is one of that
	// name.
	CreateList(ctx context.Context, head lists.Head, by string) (lists.Head, error)
}

// publication is a definition on its way into force.
type publication struct {
	base         int // Latest for any
	draft        string
	revision     int // of the draft
	definition   rules.Definition
	author, note string
}

// latestTries is how often a publication on top of any set is repeated when
// another one comes first.
const latestTries = 5

// Publish compiles a definition and makes it the next set, in force on this node
// when Publish returns. Base is the number of the set that was edited, 0 for the
// first and Latest for any. Lists that it declares and that are not there are
// created, empty. It returns *rules.CompileError when the definition does not
// compile or declares a list with another type than the list has, *TestsError
// when its tests fail, ErrApprovalRequired when sets must come from drafts, and
// *ConflictError, which is an engine.ErrConflict, when base is not in force any
// more.
func (k *Keeper) Publish(ctx context.Context, base int, d rules.Definition, author, note string) (rules.Version, error) {
	if k.approval {
		return rules.Version{}, ErrApprovalRequired
	}
	return k.publish(ctx, publication{base: base, definition: d, author: author, note: note})
}

func (k *Keeper) publish(ctx context.Context, p publication) (rules.Version, error) {
	for try := 1; ; try++ {
		published, err := k.publishOnce(ctx, p)
		if p.base != Latest || try == latestTries || !errors.Is(err, engine.ErrConflict) {
			return published, err
		}
	}
}

// publishOnce compiles once: the set that was checked is the one that comes into
// force. So its number and time are fixed before the store has them.
func (k *Keeper) publishOnce(ctx context.Context, p publication) (rules.Version, error) {
	number, err := k.store.CurrentRulesNumber(ctx)
	if err != nil {
		return rules.Version{}, fmt.Errorf("read number of rule set: %w", err)
	}
	if p.base != Latest && p.base != number {
		return rules.Version{}, k.conflict(ctx, p.base)
	}
	set, err := rules.CompileBeside(rules.Version{
		Number: number + 1, Definition: p.definition, Author: p.author, Note: p.note,
		PublishedAt: k.now().UTC().Truncate(time.Microsecond),
	}, k.current.Load(), besideRequests())
	if err != nil {
		return rules.Version{}, fmt.Errorf("compile rule set: %w", err)
	}
	results, err := set.RunTests(ctx)
	if err != nil {
		return rules.Version{}, fmt.Errorf("test rule set: %w", err)
	}
	if err := failing(results); err != nil {
		return rules.Version{}, err
	}
	if err := k.haveLists(ctx, p.definition.Lists, p.author); err != nil {
		return rules.Version{}, err
	}
	published, err := k.store.PublishRules(ctx, number, set.Version(), p.draft, p.revision)
	if errors.Is(err, engine.ErrConflict) {
		return rules.Version{}, k.conflict(ctx, number)
	}
	if err != nil {
		return rules.Version{}, fmt.Errorf("publish rule set: %w", err)
	}
	k.swap(set)
	return published, nil
}

// failing is a *TestsError when a test has failed.
func failing(results []rules.TestResult) error {
	var failed []rules.TestResult
	for _, r := range results {
		if !r.Passed {
			failed = append(failed, r)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &TestsError{Failed: failed, Of: len(results)}
}

// conflict says what happened since the set that was edited. Where that cannot
// be found out, and where a draft rather than the set has changed, it is a plain
// engine.ErrConflict.
func (k *Keeper) conflict(ctx context.Context, base int) error {
	plain := fmt.Errorf("publish rule set: %w", engine.ErrConflict)
	current, err := k.store.CurrentRules(ctx)
	if err != nil || current.Number == base {
		return errors.Join(plain, err)
	}
	e := &ConflictError{Base: base, Current: current}
	if edited, err := k.store.RulesVersion(ctx, base); err == nil {
		e.Changes = rules.Diff(&edited.Definition, &current.Definition)
	} else if !errors.Is(err, engine.ErrNotFound) {
		return errors.Join(plain, err)
	}
	e.Current.Definition = rules.Definition{}
	return e
}

// haveLists creates the declared lists that are missing, so that no rule of a
// set in force tests a list that nobody can fill.
func (k *Keeper) haveLists(ctx context.Context, declared []rules.List, by string) error {
	if len(declared) == 0 {
		return nil
	}
	there, err := k.store.Lists(ctx)
	if err != nil {
		return fmt.Errorf("read lists: %w", err)
	}
	if problems := listProblems(declared, there); len(problems) > 0 {
		return fmt.Errorf("compare lists: %w", &rules.CompileError{Problems: problems})
	}
	for _, l := range declared {
		if slices.ContainsFunc(there, func(h lists.Head) bool { return h.Name == l.Name }) {
			continue
		}
		_, err := k.store.CreateList(ctx, lists.Head{Name: l.Name, Type: l.Type, Description: l.Description}, by)
		if err != nil && !errors.Is(err, engine.ErrConflict) { // else another node was first
			return fmt.Errorf("create list %s: %w", l.Name, err)
		}
	}
	return nil
}

// listProblems are the lists that are declared with another type than they have.
func listProblems(declared []rules.List, there []lists.Head) []rules.Problem {
	var problems []rules.Problem
	for i, l := range declared {
		for _, h := range there {
			if h.Name == l.Name && h.Type != l.Type {
				problems = append(problems, rules.Problem{
					Field:   fmt.Sprintf("lists[%d].type", i),
					Message: fmt.Sprintf("the list %s is of type %s, not %s", l.Name, h.Type, l.Type),
				})
			}
		}
	}
	return problems
}

// MissingList is the kind of a finding: a list that is declared is not there yet.
const MissingList rules.FindingKind = "missing-list"

// Report is what is known of a definition before it is published.
type Report struct {
	Problems []rules.Problem    // why it cannot be published, besides its tests
	Findings []rules.Finding    // what is probably not meant; none while it does not compile
	Tests    []rules.TestResult // of its own tests, in their order; none while it does not compile
}

// Publishable reports whether nothing but an approval can be missing.
func (r Report) Publishable() bool { return len(r.Problems) == 0 && failing(r.Tests) == nil }

// Check finds out what is wrong with a definition, what is probably not meant,
// and whether its tests pass. The error is that of ctx when it ends before.
func (k *Keeper) Check(ctx context.Context, d rules.Definition) (Report, error) {
	var report Report
	set, err := rules.CompileBeside(rules.Version{Definition: d}, k.current.Load(), besideRequests())
	var compile *rules.CompileError
	if errors.As(err, &compile) {
		report.Problems = compile.Problems
		return report, nil
	}
	if err != nil {
		return Report{}, fmt.Errorf("check rule set: %w", err)
	}
	if report.Findings, err = rules.Analyze(ctx, set); err != nil {
		return Report{}, fmt.Errorf("check rule set: %w", err)
	}
	if report.Tests, err = set.RunTests(ctx); err != nil {
		return Report{}, fmt.Errorf("check rule set: %w", err)
	}
	if len(d.Lists) == 0 {
		return report, nil
	}
	there, err := k.store.Lists(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("check lists: %w", err)
	}
	report.Problems = listProblems(d.Lists, there)
	for i, l := range d.Lists {
		if !slices.ContainsFunc(there, func(h lists.Head) bool { return h.Name == l.Name }) {
			report.Findings = append(report.Findings, rules.Finding{
				Kind: MissingList, Path: fmt.Sprintf("lists[%d]", i),
				Message: fmt.Sprintf("the list %s is not there yet; publishing creates it, empty", l.Name),
			})
		}
	}
	return report, nil
}
