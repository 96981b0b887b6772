package ruleset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// ByOperator begins the name of a person who works at the console; the
// operator's id follows.
const ByOperator = "operator:"

// DraftStore keeps drafts. internal/store implements it.
type DraftStore interface {
	// SaveDraft keeps a new revision by somebody and drops the approvals of the one
	// before. Revision is the one that was edited, 0 for a new draft: it returns
	// engine.ErrConflict when that is not the newest one and engine.ErrNotFound when
	// the draft is gone.
	SaveDraft(ctx context.Context, draft Draft, revision int, by string) (Draft, error)
	// Draft reads one; engine.ErrNotFound.
	Draft(ctx context.Context, id string) (Draft, error)
	// Drafts reads all without their definitions, the one that was saved last first.
	Drafts(ctx context.Context) ([]Draft, error)
	// ApproveDraft keeps somebody's consent to a revision, once, and returns the
	// draft without its definition. It returns engine.ErrConflict when the revision
	// is not the newest one, ErrOwnDraft when that person has saved any of them, and
	// engine.ErrNotFound.
	ApproveDraft(ctx context.Context, id string, revision int, by string) (Draft, error)
	// DeleteDraft ends a draft; engine.ErrNotFound.
	DeleteDraft(ctx context.Context, id, by string) error
}

// Approved reports whether somebody who did not work on the draft has approved
// this revision of it.
func (d Draft) Approved() bool {
	return slices.ContainsFunc(d.Approvals, func(a Approval) bool { return !slices.Contains(d.Authors, a.By) })
}

// ApprovalRequired reports whether a set can be published only from an approved
// draft.
func (k *Keeper) ApprovalRequired() bool { return k.approval }

// Drafts reads all drafts without their definitions, the one that was saved last
// first.
func (k *Keeper) Drafts(ctx context.Context) ([]Draft, error) {
	drafts, err := k.store.Drafts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read drafts: %w", err)
	}
	return drafts, nil
}

// Draft reads one draft, or engine.ErrNotFound.
func (k *Keeper) Draft(ctx context.Context, id string) (Draft, error) {
	draft, err := k.store.Draft(ctx, id)
	if err != nil {
		return Draft{}, fmt.Errorf("read draft: %w", err)
	}
	return draft, nil
}

// Save keeps a definition as a draft; it need not compile yet. Revision is the
// one that was edited, 0 for a new draft. Base is the number of the set that it
// began as, and can be moved on once the sets since then were taken into account.
// It returns *engine.InputError, engine.ErrConflict when somebody else saved a
// revision in between, and engine.ErrNotFound.
func (k *Keeper) Save(ctx context.Context, draft Draft, revision int, by string) (Draft, error) {
	draft.Title = strings.TrimSpace(draft.Title)
	if draft.Title == "" {
		return Draft{}, &engine.InputError{Field: "title", Message: "is empty; say in a few words what changes"}
	}
	if current := k.Current().Number(); draft.Base < 1 || draft.Base > current {
		return Draft{}, &engine.InputError{Field: "base", Message: fmt.Sprintf("must be the number of a rule set, from 1 to %d", current)}
	}
	saved, err := k.store.SaveDraft(ctx, draft, revision, by)
	if err != nil {
		return Draft{}, fmt.Errorf("save draft: %w", err)
	}
	return saved, nil
}

// Approve is a person's consent to one revision of a draft. It returns
// ErrNoPerson when by is not an operator, ErrOwnDraft when that operator has
// saved any revision of it, engine.ErrConflict when a later revision is there
// and engine.ErrNotFound.
func (k *Keeper) Approve(ctx context.Context, id string, revision int, by string) (Draft, error) {
	if !strings.HasPrefix(by, ByOperator) {
		return Draft{}, ErrNoPerson
	}
	approved, err := k.store.ApproveDraft(ctx, id, revision, by)
	if err != nil {
		return Draft{}, fmt.Errorf("approve draft: %w", err)
	}
	return approved, nil
}

// Delete ends a draft; engine.ErrNotFound when there is none.
func (k *Keeper) Delete(ctx context.Context, id, by string) error {
	if err := k.store.DeleteDraft(ctx, id, by); err != nil {
		return fmt.Errorf("delete draft: %w", err)
	}
	return nil
}

// PublishDraft makes one revision of a draft the next set and ends the draft.
// Besides the errors of Publish it returns ErrApprovalRequired when nobody else
// has approved this revision and somebody must, engine.ErrConflict when a later
// revision is there, and engine.ErrNotFound. An empty note becomes the draft's
// title.
func (k *Keeper) PublishDraft(ctx context.Context, id string, revision int, author, note string) (rules.Version, error) {
	draft, err := k.Draft(ctx, id)
	if err != nil {
		return rules.Version{}, err
	}
	switch {
	case draft.Revision != revision:
		return rules.Version{}, fmt.Errorf("publish revision %d of a draft that has %d: %w", revision, draft.Revision, engine.ErrConflict)
	case k.approval && !draft.Approved():
		return rules.Version{}, ErrApprovalRequired
	}
	if note == "" {
		note = draft.Title
	}
	return k.publish(ctx, publication{
		base: draft.Base, draft: draft.ID, revision: draft.Revision, definition: draft.Definition, author: author, note: note,
	})
}

// RollBack publishes the definition of an older set as the next one; the note
// says so. It asks for no second person, since it is for emergencies and brings
// back only what was in force before. Base is the number of the set that is
// rolled back, or Latest. It returns engine.ErrNotFound, ErrInForce, and the
// errors of Publish.
func (k *Keeper) RollBack(ctx context.Context, number, base int, author, note string) (rules.Version, error) {
	old, err := k.store.RulesVersion(ctx, number)
	if err != nil {
		return rules.Version{}, fmt.Errorf("roll back: %w", err)
	}
	if err := k.Refresh(ctx); err != nil {
		return rules.Version{}, fmt.Errorf("roll back: %w", err)
	}
	if number == k.Current().Number() {
		return rules.Version{}, ErrInForce
	}
	why := fmt.Sprintf("Back to rule set %d", number)
	if note != "" {
		why += ": " + note
	}
	published, err := k.publish(ctx, publication{base: base, definition: old.Definition, author: author, note: why})
	var compile *rules.CompileError
	if errors.As(err, &compile) {
		return rules.Version{}, &UnreadableError{Number: number, Err: compile}
	}
	return published, err
}
