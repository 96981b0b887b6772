package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// maxNote is the longest note of a published rule set in bytes.
const maxNote = 500

// ruleStore keeps published rule sets.
type ruleStore interface {
	// RuleVersions reads the newest versions without their definitions.
	RuleVersions(ctx context.Context, limit int) ([]rules.Version, error)
}

// exportRules writes the set in force as YAML, as applyRules reads it.
func (s *Server) exportRules(k *call) error {
	set := s.config.Rules.Current()
	text, err := set.Version().Definition.YAML()
	if err != nil {
		return fmt.Errorf("export rules: %w", err)
	}
	header := k.Response().Header()
	header.Set("X-Sallyport-Rule-Set", strconv.Itoa(set.Number()))
	header.Set("Content-Type", "application/yaml")
	k.Response().WriteHeader(http.StatusOK)
	_, err = k.Response().Write(text)
	return err
}

// applyRules publishes a YAML definition as the next set. With base it does so
// only while the set of that number is in force.
func (s *Server) applyRules(k *call) error {
	base := ruleset.Latest
	if text := k.QueryParam("base"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return invalidField("base", "must be the number of a rule set.")
		}
		base = n
	}
	note := strings.TrimSpace(k.QueryParam("note"))
	if err := checkText("note", note, maxNote); err != nil {
		return err
	}
	definition, err := k.definitionYAML()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	published, err := s.config.Rules.Publish(ctx, base, definition, events.ByManagement, note)
	if err != nil {
		return fmt.Errorf("apply rules: %w", err)
	}
	return k.ok(struct {
		Number int `json:"number"`
	}{published.Number})
}

// wireProblems says what is wrong with a definition.
type wireProblems struct {
	Problems []rules.Problem `json:"problems"`
}

func problemsOf(list []rules.Problem) wireProblems {
	return wireProblems{Problems: append([]rules.Problem{}, list...)} // never null
}

// checkRules compiles a YAML definition without publishing it. A text that is
// not YAML is a problem like any other.
func (s *Server) checkRules(k *call) error {
	definition, err := k.definitionYAML()
	if err != nil {
		answer := asError(err)
		if len(answer.Details) == 0 {
			return err
		}
		return k.ok(problemsOf(answer.Details))
	}
	return k.ok(problemsOf(rules.Check(definition)))
}

func (k *call) definitionYAML() (rules.Definition, error) {
	b, err := k.body(MaxRulesBody)
	if err != nil {
		return rules.Definition{}, err
	}
	defer putBuffer(b)
	return rules.ParseYAML(b.Bytes())
}

// inviteOperator makes a link with which one person can register for the console.
func (s *Server) inviteOperator(k *call) error {
	var request struct {
		Role operators.Role `json:"role"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	secret, expires, err := s.config.Operators.Invite(ctx, request.Role, events.ByManagement)
	if err != nil {
		return fmt.Errorf("invite operator: %w", err)
	}
	return k.ok(struct {
		URL     string   `json:"url"`
		Expires wireTime `json:"expires"`
	}{InviteURL(s.config.PublicURL, secret), wireTime(expires)})
}

// InviteURL is the link that an invited operator opens. The secret stands in the
// fragment, which browsers keep to themselves.
func InviteURL(publicURL, secret string) string {
	return publicURL + "/console/register#invite=" + secret
}
