package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/ruleset"
)

// Limits of drafts.
const (
	// MaxDrafts is how many drafts there may be at a time.
	MaxDrafts = 100
	// maxDraftAuthors is how many people may have saved one draft.
	maxDraftAuthors = 100
)

const draftColumns = "id, title, base, revision, author, authors, updated_at"

// Drafts reads all drafts without their definitions, the one that was saved last
// first.
func (s *Store) Drafts(ctx context.Context) ([]ruleset.Draft, error) {
	drafts := []ruleset.Draft{}
	err := s.snapshot(ctx, func(q querier) error {
		rows, err := q.list("SELECT "+draftColumns+" FROM drafts ORDER BY updated_at DESC, id", nil)
		err = each(rows, err, func(rows *sql.Rows) error {
			d, err := scanDraft(rows.Scan)
			drafts = append(drafts, d)
			return err
		})
		for i := range drafts {
			if err == nil {
				drafts[i].Approvals, err = approvals(q, drafts[i].ID)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read drafts: %w", err)
	}
	return drafts, nil
}

// Draft reads one draft, or engine.ErrNotFound.
func (s *Store) Draft(ctx context.Context, id string) (d ruleset.Draft, err error) {
	if unstorable(id) {
		return ruleset.Draft{}, fmt.Errorf("read draft: %w", engine.ErrNotFound)
	}
	err = s.snapshot(ctx, func(q querier) error {
		d, err = draft(q, id)
		if err != nil {
			return err
		}
		var definition []byte
		if err := q.get("SELECT definition FROM drafts WHERE id = $1", args{id}, &definition); err != nil {
			return err
		}
		return json.Unmarshal(definition, &d.Definition)
	})
	if err != nil {
		return ruleset.Draft{}, fmt.Errorf("read draft: %w", err)
	}
	return d, nil
}

// draft reads a draft without its definition, or engine.ErrNotFound.
func draft(q querier, id string) (ruleset.Draft, error) {
	d, err := scanDraft(func(into ...any) error {
		return q.get("SELECT "+draftColumns+" FROM drafts WHERE id = $1", args{id}, into...)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return ruleset.Draft{}, engine.ErrNotFound
	}
	if err == nil {
		d.Approvals, err = approvals(q, id)
	}
	return d, err
}

func scanDraft(scan func(...any) error) (d ruleset.Draft, err error) {
	var authors string
	var updated int64
	if err := scan(&d.ID, &d.Title, &d.Base, &d.Revision, &d.Author, &authors, &updated); err != nil {
		return d, err
	}
	d.UpdatedAt = instant(updated)
	return d, json.Unmarshal([]byte(authors), &d.Authors)
}

func approvals(q querier, id string) (found []ruleset.Approval, err error) {
	rows, err := q.list("SELECT author, approved_at FROM draft_approvals WHERE draft = $1 ORDER BY approved_at, author", args{id})
	return found, each(rows, err, func(rows *sql.Rows) error {
		var a ruleset.Approval
		var at int64
		err := rows.Scan(&a.By, &at)
		a.At = instant(at)
		found = append(found, a)
		return err
	})
}

// SaveDraft keeps title, base and definition of a draft, by a person, as its next
// revision, and returns the whole draft. A save drops the approvals of the
// revision before. Revision 0 makes a new draft with an id of its own; any other
// must be the draft's present one, else it is engine.ErrConflict, and
// engine.ErrNotFound when the draft is gone. The definition need not compile.
func (s *Store) SaveDraft(ctx context.Context, d ruleset.Draft, revision int, by string) (ruleset.Draft, error) {
	definition, err := json.Marshal(d.Definition)
	if err != nil {
		return ruleset.Draft{}, fmt.Errorf("save draft: %w", err)
	}
	if revision == 0 {
		d.ID = "draft-" + rand.Text()
	}
	var in input
	in.id("draft", d.ID)
	in.name("title", d.Title)
	in.id("by", by)
	in.definition(definition)
	if in.err != nil {
		return ruleset.Draft{}, in.err
	}
	now := instant(micros(s.now()))
	hash := sha256.Sum256(definition)
	var saved ruleset.Draft
	var answer error
	err = s.write(ctx, func(t *tx) (err error) {
		answer = nil
		saved = ruleset.Draft{ID: d.ID, Title: d.Title, Base: d.Base, Revision: 1, Author: by, Authors: []string{by}, UpdatedAt: now}
		if answer, err = addRevision(t, &saved, revision, definition); err != nil || answer != nil {
			return err
		}
		return logDraft(t, events.KindDraftSaved, saved, by, hex.EncodeToString(hash[:]), now)
	})
	if err := ended("save draft", err, answer); err != nil {
		return ruleset.Draft{}, err
	}
	saved.Definition = d.Definition
	return saved, nil
}

// addRevision writes a draft, new when revision is 0, and completes what saved
// says of it.
func addRevision(t *tx, saved *ruleset.Draft, revision int, definition []byte) (refusal, err error) {
	if revision == 0 {
		var count int
		if err := t.get("SELECT COUNT(*) FROM drafts", nil, &count); err != nil {
			return nil, err
		}
		if count >= MaxDrafts {
			return &engine.InputError{Field: "draft", Message: fmt.Sprintf("there are %d drafts already; publish or delete some", count)}, nil
		}
		_, err = t.exec(`INSERT INTO drafts (id, title, base, revision, definition, author, authors, updated_at)
			VALUES ($1, $2, $3, 1, $4, $5, $6, $7)`,
			saved.ID, saved.Title, int64(saved.Base), definition, saved.Author, names(saved.Authors), micros(saved.UpdatedAt))
		return nil, err
	}
	stored, err := draft(t, saved.ID)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return engine.ErrNotFound, nil
	case err != nil:
		return nil, err
	case stored.Revision != revision:
		return engine.ErrConflict, nil
	}
	if !slices.Contains(stored.Authors, saved.Author) {
		stored.Authors = append(stored.Authors, saved.Author)
	}
	if len(stored.Authors) > maxDraftAuthors {
		return &engine.InputError{Field: "draft", Message: fmt.Sprintf("%d people have saved it already", maxDraftAuthors)}, nil
	}
	saved.Authors, saved.Revision = stored.Authors, revision+1
	if _, err := t.exec("DELETE FROM draft_approvals WHERE draft = $1", saved.ID); err != nil {
		return nil, err
	}
	_, err = t.exec(`UPDATE drafts SET title = $1, base = $2, revision = $3, definition = $4, author = $5, authors = $6, updated_at = $7
		WHERE id = $8`, saved.Title, int64(saved.Base), int64(saved.Revision), definition, saved.Author, names(saved.Authors),
		micros(saved.UpdatedAt), saved.ID)
	return nil, err
}

// ApproveDraft notes a person's consent to one revision of a draft and returns
// the draft without its definition. It returns engine.ErrConflict when the draft
// has another revision by now, engine.ErrNotFound when it is gone, and
// ruleset.ErrOwnDraft when the person has saved any revision of it. Approving
// twice changes nothing.
func (s *Store) ApproveDraft(ctx context.Context, id string, revision int, by string) (ruleset.Draft, error) {
	var in input
	in.id("draft", id)
	in.id("by", by)
	if in.err != nil {
		return ruleset.Draft{}, in.err
	}
	now := instant(micros(s.now()))
	var d ruleset.Draft
	var answer error
	err := s.write(ctx, func(t *tx) (err error) {
		answer = nil
		d, err = draft(t, id)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			answer = err
			return nil
		case err != nil:
			return err
		case d.Revision != revision:
			answer = engine.ErrConflict
			return nil
		case slices.Contains(d.Authors, by):
			answer = ruleset.ErrOwnDraft
			return nil
		}
		added, err := t.exec("INSERT INTO draft_approvals (draft, author, approved_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			id, by, micros(now))
		if err != nil || added == 0 {
			return err
		}
		d.Approvals = append(d.Approvals, ruleset.Approval{By: by, At: now})
		return logDraft(t, events.KindDraftApproved, d, by, "", now)
	})
	if err := ended("approve draft", err, answer); err != nil {
		return ruleset.Draft{}, err
	}
	return d, nil
}

// DeleteDraft ends a draft, or returns engine.ErrNotFound.
func (s *Store) DeleteDraft(ctx context.Context, id, by string) error {
	var in input
	in.id("draft", id)
	in.name("by", by)
	if in.err != nil {
		return in.err
	}
	now := s.now()
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		d, err := draft(t, id)
		if errors.Is(err, engine.ErrNotFound) {
			answer = err
			return nil
		}
		if err == nil {
			answer, err = endDraft(t, id, d.Revision)
		}
		if err != nil || answer != nil {
			return err
		}
		return logDraft(t, events.KindDraftDeleted, d, by, "", now)
	})
	return ended("delete draft", err, answer)
}

// endDraft removes a draft that still has the revision.
func endDraft(t *tx, id string, revision int) (refusal, err error) {
	d, err := draft(t, id)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return err, nil
	case err != nil:
		return nil, err
	case d.Revision != revision:
		return engine.ErrConflict, nil
	}
	if _, err := t.exec("DELETE FROM draft_approvals WHERE draft = $1", id); err != nil {
		return nil, err
	}
	_, err = t.exec("DELETE FROM drafts WHERE id = $1", id)
	return nil, err
}

func logDraft(t *tx, step events.Kind, d ruleset.Draft, by, hash string, now time.Time) error {
	event, err := events.NewDraft(events.DraftChanged{
		Step: step, Draft: d.ID, Revision: d.Revision, Base: d.Base, By: by, SHA256: hash,
	}, nil, now)
	if err != nil {
		return err
	}
	return t.log(event)
}

// names are people as one text.
func names(people []string) string {
	text, _ := json.Marshal(people) // strings always encode
	return string(text)
}
