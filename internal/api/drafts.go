package api

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// maxTitle is the longest title of a draft in bytes.
const maxTitle = 200

// wireDraft is a draft without its definition.
type wireDraft struct {
	ID        string         `json:"id"`
	Title     string         `json:"title"`
	Base      int            `json:"base"`
	Revision  int            `json:"revision"`
	Author    string         `json:"author"`
	Authors   []string       `json:"authors"`
	UpdatedAt wireTime       `json:"updatedAt"`
	Approvals []wireApproval `json:"approvals"`
	Approved  bool           `json:"approved"` // by somebody who did not work on it
}

type wireApproval struct {
	By string   `json:"by"`
	At wireTime `json:"at"`
}

func draftOf(d ruleset.Draft) wireDraft {
	out := wireDraft{
		ID: d.ID, Title: d.Title, Base: d.Base, Revision: d.Revision, Author: d.Author,
		Authors: append([]string{}, d.Authors...), UpdatedAt: wireTime(d.UpdatedAt),
		Approvals: make([]wireApproval, len(d.Approvals)), Approved: d.Approved(),
	}
	for i, a := range d.Approvals {
		out.Approvals[i] = wireApproval{By: a.By, At: wireTime(a.At)}
	}
	return out
}

// wireWholeDraft is a draft with its definition.
type wireWholeDraft struct {
	wireDraft
	Definition rules.Definition `json:"definition"`
}

// noRevision is said to whoever does not name what they have seen.
var noRevision = invalidField("revision", "must be the revision that you have seen.")

// noDraft is said of an id that names none.
const noDraft = "There is no such draft. It may have been published or deleted."

// listDrafts lists all drafts, the one that changed last first.
func (s *Server) listDrafts(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	drafts, err := s.config.Rules.Drafts(ctx)
	if err != nil {
		return fmt.Errorf("list drafts: %w", err)
	}
	answer := struct {
		Current          int         `json:"current"` // number of the set in force
		ApprovalRequired bool        `json:"approvalRequired"`
		Drafts           []wireDraft `json:"drafts"`
	}{s.config.Rules.Current().Number(), s.config.Rules.ApprovalRequired(), make([]wireDraft, len(drafts))}
	for i, d := range drafts {
		answer.Drafts[i] = draftOf(d)
	}
	return k.ok(answer)
}

// draft reads one draft.
func (s *Server) draft(k *call, id string) (ruleset.Draft, error) {
	if err := checkID("draft", id); err != nil {
		return ruleset.Draft{}, err
	}
	ctx, cancel := k.within()
	defer cancel()
	draft, err := s.config.Rules.Draft(ctx, id)
	if err != nil {
		return ruleset.Draft{}, missing(err, noDraft)
	}
	return draft, nil
}

// draftChange is a revision of a draft as it was sent. What is left out stays as
// it is; a new draft begins at the set in force.
type draftChange struct {
	id         string // "" for a new one
	revision   int    // that was edited
	title      string
	base       int // 0: left out
	definition rules.Definition
}

func (s *Server) saveDraft(k *call, change draftChange) error {
	if err := checkText("title", change.title, maxTitle); err != nil {
		return err
	}
	draft := ruleset.Draft{ID: change.id, Title: change.title, Base: change.base, Definition: change.definition}
	if change.id == "" {
		change.revision = 0
		if draft.Base == 0 {
			draft.Base = s.config.Rules.Current().Number()
		}
	} else {
		old, err := s.draft(k, change.id)
		if err != nil {
			return err
		}
		if change.revision < 1 {
			return invalidField("revision", fmt.Sprintf("must be the revision that was edited; the newest is %d.", old.Revision))
		}
		if draft.Title == "" {
			draft.Title = old.Title
		}
		if draft.Base == 0 {
			draft.Base = old.Base
		}
	}
	ctx, cancel := k.within()
	defer cancel()
	saved, err := s.config.Rules.Save(ctx, draft, change.revision, k.by())
	if err != nil {
		return missing(err, noDraft)
	}
	return k.ok(draftOf(saved))
}

func (s *Server) publishDraft(k *call, id string, revision int, note string) error {
	note, err := checkedNote(note)
	if err != nil {
		return err
	}
	if revision < 1 {
		return noRevision
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	published, err := s.config.Rules.PublishDraft(ctx, id, revision, k.by(), note)
	if err != nil {
		return missing(fmt.Errorf("publish draft: %w", err), noDraft)
	}
	return k.ok(headOf(published))
}

func (s *Server) deleteDraft(k *call, id string) error {
	ctx, cancel := k.within()
	defer cancel()
	if err := s.config.Rules.Delete(ctx, id, k.by()); err != nil {
		return missing(err, noDraft)
	}
	return k.write(200, done200)
}

// getDraft writes a draft whole, or its definition as YAML for those who ask for
// it.
func (s *Server) getDraft(k *call) error {
	id, err := k.param("draft")
	if err != nil {
		return err
	}
	draft, err := s.draft(k, id)
	if err != nil {
		return err
	}
	if k.wants("application/yaml") {
		return k.definitionAnswer(draft.Definition)
	}
	return k.ok(wireWholeDraft{draftOf(draft), whole(draft.Definition)})
}

// createDraft keeps the definition in the body as a new draft.
func (s *Server) createDraft(k *call) error {
	return s.putDraft(k, "")
}

// updateDraft keeps the definition in the body as the next revision of a draft.
func (s *Server) updateDraft(k *call) error {
	id, err := k.param("draft")
	if err != nil {
		return err
	}
	return s.putDraft(k, id)
}

func (s *Server) putDraft(k *call, id string) error {
	change := draftChange{id: id, title: k.QueryParam("title")}
	for field, target := range map[string]*int{"revision": &change.revision, "base": &change.base} {
		if text := k.QueryParam(field); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return invalidField(field, "must be a number from 1.")
			}
			*target = n
		}
	}
	var err error
	if change.definition, err = k.definition(); err != nil {
		return err
	}
	return s.saveDraft(k, change)
}

// checkDraft compiles and analyses a draft.
func (s *Server) checkDraft(k *call) error { return s.ofDraft(k, k.Param("draft"), s.check) }

// testDraft runs the tests of a draft.
func (s *Server) testDraft(k *call) error { return s.ofDraft(k, k.Param("draft"), s.test) }

func (s *Server) ofDraft(k *call, id string, do func(*call, rules.Definition) error) error {
	draft, err := s.draft(k, id)
	if err != nil {
		return err
	}
	return do(k, draft.Definition)
}

// wireDraftStep names a revision of a draft.
type wireDraftStep struct {
	ID       string `json:"id"` // console only
	Revision int    `json:"revision"`
	Note     string `json:"note"` // publishing only
}

// applyDraft publishes a draft.
func (s *Server) applyDraft(k *call) error {
	var request struct {
		Revision int    `json:"revision"`
		Note     string `json:"note"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	id, err := k.param("draft")
	if err != nil {
		return err
	}
	return s.publishDraft(k, id, request.Revision, request.Note)
}

// dropDraft ends a draft.
func (s *Server) dropDraft(k *call) error {
	id, err := k.param("draft")
	if err != nil {
		return err
	}
	return s.deleteDraft(k, id)
}

// consoleDraft is one draft with its definition.
func (s *Server) consoleDraft(k *call) error {
	draft, err := s.draft(k, k.QueryParam("id"))
	if err != nil {
		return err
	}
	return k.ok(wireWholeDraft{draftOf(draft), whole(draft.Definition)})
}

// draftsSave keeps a definition as a new draft or as the next revision of one.
func (s *Server) draftsSave(k *call) error {
	var request struct {
		ID         string          `json:"id"`
		Revision   int             `json:"revision"`
		Title      string          `json:"title"`
		Base       int             `json:"base"`
		Definition json.RawMessage `json:"definition"`
	}
	if err := k.decodeLarge(&request); err != nil {
		return err
	}
	if len(request.Definition) == 0 {
		return invalidField("definition", "is missing.")
	}
	definition, err := rules.ParseJSON(request.Definition)
	if err != nil {
		return err
	}
	return s.saveDraft(k, draftChange{
		id: request.ID, revision: request.Revision, title: request.Title, base: request.Base, definition: definition,
	})
}

func (k *call) draftStep() (wireDraftStep, error) {
	var step wireDraftStep
	if err := k.decodeExactly(&step); err != nil {
		return step, err
	}
	return step, checkID("id", step.ID)
}

// draftsCheck compiles and analyses a draft.
func (s *Server) draftsCheck(k *call) error {
	step, err := k.draftStep()
	if err != nil {
		return err
	}
	return s.ofDraft(k, step.ID, s.check)
}

// draftsTest runs the tests of a draft.
func (s *Server) draftsTest(k *call) error {
	step, err := k.draftStep()
	if err != nil {
		return err
	}
	return s.ofDraft(k, step.ID, s.test)
}

// draftsApprove is the consent of a second person to one revision.
func (s *Server) draftsApprove(k *call) error {
	step, err := k.draftStep()
	if err != nil {
		return err
	}
	if step.Revision < 1 {
		return noRevision
	}
	ctx, cancel := k.within()
	defer cancel()
	approved, err := s.config.Rules.Approve(ctx, step.ID, step.Revision, k.by())
	if err != nil {
		return missing(fmt.Errorf("approve draft: %w", err), noDraft)
	}
	return k.ok(draftOf(approved))
}

// draftsPublish publishes a draft.
func (s *Server) draftsPublish(k *call) error {
	step, err := k.draftStep()
	if err != nil {
		return err
	}
	return s.publishDraft(k, step.ID, step.Revision, step.Note)
}

// draftsDelete ends a draft.
func (s *Server) draftsDelete(k *call) error {
	step, err := k.draftStep()
	if err != nil {
		return err
	}
	return s.deleteDraft(k, step.ID)
}
