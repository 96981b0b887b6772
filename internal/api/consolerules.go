package api

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// shownVersions is how many published sets the console lists.
const shownVersions = 100

// wireHead is one published set without its definition.
type wireHead struct {
	Number      int      `json:"number"`
	Author      string   `json:"author"`
	Note        string   `json:"note,omitempty"`
	PublishedAt wireTime `json:"publishedAt"`
}

func headOf(v rules.Version) wireHead {
	return wireHead{Number: v.Number, Author: v.Author, Note: v.Note, PublishedAt: wireTime(v.PublishedAt)}
}

// rules is the set in force.
func (s *Server) rules(k *call) error {
	version := s.config.Rules.Current().Version()
	return k.ok(struct {
		wireHead
		Definition rules.Definition `json:"definition"`
	}{headOf(version), whole(version.Definition)})
}

// whole has no list that would be written as null.
func whole(d rules.Definition) rules.Definition {
	actions := make([]rules.ActionRules, len(d.Actions))
	for i, a := range d.Actions {
		actions[i] = wholeAction(a)
	}
	d.Actions, d.Otherwise = actions, wholeAction(d.Otherwise)
	return d
}

func wholeAction(a rules.ActionRules) rules.ActionRules {
	if a.Rules == nil {
		a.Rules = []rules.Rule{}
	}
	return a
}

// ruleVersions lists the newest published sets.
func (s *Server) ruleVersions(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	versions, err := s.config.Store.RuleVersions(ctx, shownVersions)
	if err != nil {
		return fmt.Errorf("list rule sets: %w", err)
	}
	heads := make([]wireHead, len(versions))
	for i, v := range versions {
		heads[i] = headOf(v)
	}
	return k.ok(struct {
		Versions []wireHead `json:"versions"`
	}{heads})
}

// rulesCheck compiles a definition without publishing it.
func (s *Server) rulesCheck(k *call) error {
	b, err := k.body(MaxRulesBody)
	if err != nil {
		return err
	}
	defer putBuffer(b)
	definition, err := rules.ParseJSON(b.Bytes())
	if err != nil {
		return err
	}
	return k.ok(problemsOf(rules.Check(definition)))
}

// rulesPublish makes a definition the next set, unless somebody else published
// one since it was loaded.
func (s *Server) rulesPublish(k *call) error {
	b, err := k.body(MaxRulesBody)
	if err != nil {
		return err
	}
	defer putBuffer(b)
	var request struct {
		Base       *int            `json:"base"`
		Note       string          `json:"note"`
		Definition json.RawMessage `json:"definition"`
	}
	if err := json.Unmarshal(b.Bytes(), &request); err != nil {
		return jsonError(b.Bytes(), err)
	}
	note := strings.TrimSpace(request.Note)
	switch {
	case request.Base == nil || *request.Base < 0:
		return invalidField("base", "must be the number of the rule set that was edited.")
	case note == "":
		return invalidField("note", "is empty. Say in a few words why.")
	case len(request.Definition) == 0:
		return invalidField("definition", "is missing.")
	}
	if err := checkText("note", note, maxNote); err != nil {
		return err
	}
	definition, err := rules.ParseJSON(request.Definition)
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	published, err := s.config.Rules.Publish(ctx, *request.Base, definition, "operator:"+k.operator.ID, note)
	if err != nil {
		return fmt.Errorf("publish rules: %w", err)
	}
	return k.ok(headOf(published))
}

// vocabulary lists what a condition may read.
func (s *Server) vocabulary(k *call) error {
	return k.ok(struct {
		Facts []rules.Fact `json:"facts"`
	}{rules.Vocabulary()})
}
