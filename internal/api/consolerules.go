package api

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// rules is the set in force.
func (s *Server) rules(k *call) error {
	return k.ok(ruleSetOf(s.config.Rules.Current().Version()))
}

// ruleVersions lists the newest published sets.
func (s *Server) ruleVersions(k *call) error {
	heads, err := s.versions(k)
	if err != nil {
		return err
	}
	return k.ok(struct {
		Versions []wireHead `json:"versions"`
	}{heads})
}

// ruleVersion is one published set.
func (s *Server) ruleVersion(k *call) error {
	number, err := numbered("number", k.QueryParam("number"))
	if err != nil {
		return err
	}
	version, err := s.version(k, number)
	if err != nil {
		return err
	}
	return k.ok(ruleSetOf(version))
}

// rulesDiff says what changed between two sets.
func (s *Server) rulesDiff(k *call) error {
	from, err := numbered("from", k.QueryParam("from"))
	if err != nil {
		return err
	}
	to, err := numbered("to", k.QueryParam("to"))
	if err != nil {
		return err
	}
	return s.diff(k, from, to)
}

// rulesCheck compiles and analyses a definition without publishing it.
func (s *Server) rulesCheck(k *call) error {
	definition, err := k.definitionJSON()
	if err != nil {
		return err
	}
	return s.check(k, definition)
}

// rulesTest runs the tests of a definition.
func (s *Server) rulesTest(k *call) error {
	definition, err := k.definitionJSON()
	if err != nil {
		return err
	}
	return s.test(k, definition)
}

func (k *call) definitionJSON() (rules.Definition, error) {
	b, err := k.body(MaxRulesBody)
	if err != nil {
		return rules.Definition{}, err
	}
	defer putBuffer(b)
	return rules.ParseJSON(b.Bytes())
}

// decodeLarge reads a body that holds a definition or many items.
func (k *call) decodeLarge(v any) error { return k.decodeJSON(v, MaxRulesBody, true) }

// rulesPublish makes a definition the next set, unless somebody else published
// one since it was loaded.
func (s *Server) rulesPublish(k *call) error {
	var request struct {
		Base       *int            `json:"base"`
		Note       string          `json:"note"`
		Definition json.RawMessage `json:"definition"`
	}
	if err := k.decodeLarge(&request); err != nil {
		return err
	}
	note, err := checkedNote(request.Note)
	switch {
	case err != nil:
		return err
	case request.Base == nil || *request.Base < 0:
		return invalidField("base", "must be the number of the rule set that was edited.")
	case note == "":
		return invalidField("note", "is empty. Say in a few words why.")
	case len(request.Definition) == 0:
		return invalidField("definition", "is missing.")
	}
	definition, err := rules.ParseJSON(request.Definition)
	if err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	published, err := s.config.Rules.Publish(ctx, *request.Base, definition, k.by(), note)
	if err != nil {
		return fmt.Errorf("publish rules: %w", err)
	}
	return k.ok(headOf(published))
}

// rulesRollBack makes an older set's definition the next set.
func (s *Server) rulesRollBack(k *call) error {
	var request struct {
		Number int    `json:"number"`
		Base   *int   `json:"base"`
		Note   string `json:"note"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	if request.Number < 1 {
		return invalidField("number", "must be the number of a rule set.")
	}
	base := ruleset.Latest
	if request.Base != nil {
		base = *request.Base
	}
	return s.rollBack(k, request.Number, base, request.Note)
}

// vocabulary lists what a condition may read.
func (s *Server) vocabulary(k *call) error {
	return k.ok(struct {
		Facts []rules.Fact `json:"facts"`
	}{rules.Vocabulary()})
}
