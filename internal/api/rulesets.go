package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// maxNote is the longest note of a published rule set in bytes.
const maxNote = 500

// maxChanges is how many changes between two sets one answer holds.
const maxChanges = 1000

// shownVersions is how many published sets are listed.
const shownVersions = 100

// ruleStore keeps published rule sets.
type ruleStore interface {
	// RuleVersions reads the newest versions without their definitions.
	RuleVersions(ctx context.Context, limit int) ([]rules.Version, error)
	// RulesVersion reads one, or engine.ErrNotFound.
	RulesVersion(ctx context.Context, number int) (rules.Version, error)
}

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

// wireRuleSet is one published set.
type wireRuleSet struct {
	wireHead
	Definition rules.Definition `json:"definition"`
}

func ruleSetOf(v rules.Version) wireRuleSet {
	return wireRuleSet{headOf(v), whole(v.Definition)}
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

// by names who calls, as authors are named: management, or an operator.
func (k *call) by() string {
	if k.operator.ID == "" {
		return events.ByManagement
	}
	return ruleset.ByOperator + k.operator.ID
}

// wants reports whether the caller asks for a content type by name.
func (k *call) wants(media string) bool {
	return strings.Contains(k.Request().Header.Get("Accept"), media)
}

// numbered reads a number of a rule set.
func numbered(field, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, invalidField(field, "must be the number of a rule set.")
	}
	return n, nil
}

// baseOf reads the number of the set that was edited; without one any set may be
// in force.
func baseOf(text string) (int, error) {
	if text == "" {
		return ruleset.Latest, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalidField("base", "must be the number of a rule set.")
	}
	return n, nil
}

// checkedNote checks a note that is kept with a rule set.
func checkedNote(text string) (string, error) {
	note := strings.TrimSpace(text)
	return note, checkText("note", note, maxNote)
}

// definition reads the body as a definition: JSON when the caller says so, YAML
// otherwise.
func (k *call) definition() (rules.Definition, error) {
	b, err := k.body(MaxRulesBody)
	if err != nil {
		return rules.Definition{}, err
	}
	defer putBuffer(b)
	return k.definitionFrom(b.Bytes())
}

func (k *call) definitionFrom(text []byte) (rules.Definition, error) {
	if !utf8.Valid(text) {
		return rules.Definition{}, invalid("The request's body is not UTF-8.")
	}
	media, _, _ := strings.Cut(k.Request().Header.Get("Content-Type"), ";")
	if strings.TrimSpace(media) == "application/json" && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return rules.ParseJSON(text)
	}
	return rules.ParseYAML(text)
}

// definitionAnswer writes a definition as YAML, as applyRules reads it.
func (k *call) definitionAnswer(d rules.Definition) error {
	text, err := d.YAML()
	if err != nil {
		return fmt.Errorf("export rules: %w", err)
	}
	k.Response().Header().Set("Content-Type", "application/yaml")
	k.Response().WriteHeader(http.StatusOK)
	if _, err = k.Response().Write(text); err != nil {
		return fmt.Errorf("send answer: %w", err)
	}
	return nil
}

// versions lists the newest published sets.
func (s *Server) versions(k *call) ([]wireHead, error) {
	ctx, cancel := k.within()
	defer cancel()
	versions, err := s.config.Store.RuleVersions(ctx, shownVersions)
	if err != nil {
		return nil, fmt.Errorf("list rule sets: %w", err)
	}
	heads := make([]wireHead, len(versions))
	for i, v := range versions {
		heads[i] = headOf(v)
	}
	return heads, nil
}

// version reads one set.
func (s *Server) version(k *call, number int) (rules.Version, error) {
	if current := s.config.Rules.Current().Version(); current.Number == number {
		return current, nil
	}
	ctx, cancel := k.within()
	defer cancel()
	version, err := s.config.Store.RulesVersion(ctx, number)
	if err != nil {
		return rules.Version{}, missing(err, fmt.Sprintf("There is no rule set %d.", number))
	}
	return version, nil
}

// wireDiff is what changed from one set to another.
type wireDiff struct {
	From    int            `json:"from"`
	To      int            `json:"to"`
	Changes []rules.Change `json:"changes"` // the first maxChanges
	Count   int            `json:"count"`   // of all
}

// diff compares two sets.
func (s *Server) diff(k *call, from, to int) error {
	old, err := s.version(k, from)
	if err != nil {
		return err
	}
	next, err := s.version(k, to)
	if err != nil {
		return err
	}
	changes := rules.Diff(&old.Definition, &next.Definition)
	answer := wireDiff{From: from, To: to, Count: len(changes), Changes: append([]rules.Change{}, changes[:min(len(changes), maxChanges)]...)}
	return k.ok(answer)
}

// wirePublished is what became of a definition that was to be published.
type wirePublished struct {
	wireHead
	Unchanged bool `json:"unchanged,omitempty"` // it is in force already; nothing was published
}

// same is the answer to a definition that is in force already, or nil for
// another one. With a base that is not in force any more it is nil, too: what
// was edited has been overtaken.
func (s *Server) same(ctx context.Context, d rules.Definition, base int) (*wirePublished, error) {
	if err := s.config.Rules.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	current := s.config.Rules.Current().Version()
	if base != ruleset.Latest && base != current.Number {
		return nil, nil
	}
	next, err := json.Marshal(whole(d))
	if err != nil {
		return nil, fmt.Errorf("compare rules: %w", err)
	}
	inForce, err := json.Marshal(whole(current.Definition))
	if err != nil {
		return nil, fmt.Errorf("compare rules: %w", err)
	}
	if !bytes.Equal(next, inForce) {
		return nil, nil
	}
	return &wirePublished{headOf(current), true}, nil
}

// rollBack makes an older set's definition the next set, unless the set in force
// has the same.
func (s *Server) rollBack(k *call, number, base int, note string) error {
	note, err := checkedNote(note)
	if err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	if number != s.config.Rules.Current().Number() { // which cannot be gone back to
		old, err := s.version(k, number)
		if err != nil {
			return err
		}
		if same, err := s.same(ctx, old.Definition, base); err != nil {
			return err
		} else if same != nil {
			return k.ok(same)
		}
	}
	published, err := s.config.Rules.RollBack(ctx, number, base, k.by(), note)
	if err != nil {
		return missing(fmt.Errorf("roll back rules: %w", err), fmt.Sprintf("There is no rule set %d.", number))
	}
	return k.ok(wirePublished{wireHead: headOf(published)})
}

// wireProblems says what is wrong with a definition, and what is probably not
// meant.
type wireProblems struct {
	Problems []rules.Problem `json:"problems"`
	Findings []rules.Finding `json:"findings"`
}

// wireTests says what became of a definition's tests.
type wireTests struct {
	Passed   bool               `json:"passed"` // all did, and there is no problem
	Tests    []rules.TestResult `json:"tests"`
	Problems []rules.Problem    `json:"problems"` // why there are no results
}

// check answers what is wrong with a definition.
func (s *Server) check(k *call, d rules.Definition) error {
	report, err := s.report(k, d)
	if err != nil {
		return err
	}
	return k.ok(wireProblems{append([]rules.Problem{}, report.Problems...), append([]rules.Finding{}, report.Findings...)})
}

// test answers whether a definition's tests pass.
func (s *Server) test(k *call, d rules.Definition) error {
	report, err := s.report(k, d)
	if err != nil {
		return err
	}
	return k.ok(wireTests{report.Publishable(), append([]rules.TestResult{}, report.Tests...), append([]rules.Problem{}, report.Problems...)})
}

func (s *Server) report(k *call, d rules.Definition) (ruleset.Report, error) {
	ctx, cancel := k.withinCostly()
	defer cancel()
	report, err := s.config.Rules.Check(ctx, d)
	if err != nil {
		return report, fmt.Errorf("check rules: %w", err)
	}
	return report, nil
}

// listRuleSets lists the newest published sets.
func (s *Server) listRuleSets(k *call) error {
	heads, err := s.versions(k)
	if err != nil {
		return err
	}
	return k.ok(struct {
		Current  int        `json:"current"`
		RuleSets []wireHead `json:"ruleSets"`
	}{s.config.Rules.Current().Number(), heads})
}

// exportRules writes the set in force.
func (s *Server) exportRules(k *call) error {
	return k.ruleSetAnswer(s.config.Rules.Current().Version())
}

// exportRuleSet writes one set.
func (s *Server) exportRuleSet(k *call) error {
	number, err := numbered("number", k.Param("number"))
	if err != nil {
		return err
	}
	version, err := s.version(k, number)
	if err != nil {
		return err
	}
	return k.ruleSetAnswer(version)
}

// ruleSetAnswer writes a set as YAML, or whole as JSON for those who ask for it.
func (k *call) ruleSetAnswer(v rules.Version) error {
	k.Response().Header().Set("X-Sallyport-Rule-Set", strconv.Itoa(v.Number))
	if k.wants("application/json") {
		return k.ok(ruleSetOf(v))
	}
	return k.definitionAnswer(v.Definition)
}

// diffRuleSets says what changed up to a set, from the one before or another.
func (s *Server) diffRuleSets(k *call) error {
	to, err := numbered("number", k.Param("number"))
	if err != nil {
		return err
	}
	from := max(to-1, 1)
	if text := k.QueryParam("from"); text != "" {
		if from, err = numbered("from", text); err != nil {
			return err
		}
	}
	return s.diff(k, from, to)
}

// applyRules publishes the definition in the body as the next set, unless it is
// in force already. With base it does so only while the set of that number is in
// force.
func (s *Server) applyRules(k *call) error {
	base, err := baseOf(k.QueryParam("base"))
	if err != nil {
		return err
	}
	note, err := checkedNote(k.QueryParam("note"))
	if err != nil {
		return err
	}
	definition, err := k.definition()
	if err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	if same, err := s.same(ctx, definition, base); err != nil {
		return err
	} else if same != nil {
		return k.ok(same)
	}
	published, err := s.config.Rules.Publish(ctx, base, definition, k.by(), note)
	if err != nil {
		return fmt.Errorf("apply rules: %w", err)
	}
	return k.ok(wirePublished{wireHead: headOf(published)})
}

// rollBackRules makes the set that the path names the next one.
func (s *Server) rollBackRules(k *call) error {
	number, err := numbered("number", k.Param("number"))
	if err != nil {
		return err
	}
	var request struct {
		Base *int   `json:"base"`
		Note string `json:"note"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	base := ruleset.Latest
	if request.Base != nil {
		base = *request.Base
	}
	return s.rollBack(k, number, base, request.Note)
}

// checkRules compiles and analyses a definition without publishing it. A text
// that cannot be read is a problem like any other.
func (s *Server) checkRules(k *call) error {
	definition, err := k.definition()
	if err != nil {
		if answer := asError(err); len(answer.Details) > 0 {
			return k.ok(wireProblems{answer.Details, []rules.Finding{}})
		}
		return err
	}
	return s.check(k, definition)
}

// testRules runs the tests of a definition.
func (s *Server) testRules(k *call) error {
	definition, err := k.definition()
	if err != nil {
		if answer := asError(err); len(answer.Details) > 0 {
			return k.ok(wireTests{false, []rules.TestResult{}, answer.Details})
		}
		return err
	}
	return s.test(k, definition)
}
