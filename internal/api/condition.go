package api

import (
	"encoding/json"

	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/bridge"
)

// The console's no-code builder shows a condition as a tree. The server alone
// translates, with the names that the edited definition declares.

// conditionRequest says which names a condition may read: those of a definition
// that is being edited, of a published set, or of the set in force.
type conditionRequest struct {
	Definition json.RawMessage `json:"definition"`
	Number     int             `json:"number"`
	When       string          `json:"when"` // to be read
	Tree       json.RawMessage `json:"tree"` // to be written
}

func (s *Server) bridgeOf(k *call) (*bridge.Bridge, conditionRequest, error) {
	var request conditionRequest
	if err := k.decodeLarge(&request); err != nil {
		return nil, request, err
	}
	if len(request.Definition) > 0 && string(request.Definition) != "null" {
		d, err := rules.ParseJSON(request.Definition)
		if err != nil {
			return nil, request, err
		}
		return bridge.New(&d), request, nil
	}
	d := s.config.Rules.Current().Version().Definition
	if request.Number != 0 {
		version, err := s.version(k, request.Number)
		if err != nil {
			return nil, request, err
		}
		d = version.Definition
	}
	return bridge.New(&d), request, nil
}

// A tree that cannot be made has problems instead, which is no failure of the
// call: people are typing.

// conditionParse reads a condition into a tree.
func (s *Server) conditionParse(k *call) error {
	b, request, err := s.bridgeOf(k)
	if err != nil {
		return err
	}
	answer := struct {
		Tree     *bridge.Node    `json:"tree,omitempty"`
		Problems []rules.Problem `json:"problems"`
	}{Problems: []rules.Problem{}}
	if tree, problems := b.Parse(request.When); len(problems) > 0 {
		answer.Problems = problems
	} else {
		answer.Tree = &tree
	}
	return k.ok(answer)
}

// conditionFormat writes a tree as a condition.
func (s *Server) conditionFormat(k *call) error {
	b, request, err := s.bridgeOf(k)
	if err != nil {
		return err
	}
	answer := struct {
		When     string          `json:"when,omitempty"`
		Problems []rules.Problem `json:"problems"`
	}{Problems: []rules.Problem{}}
	tree, problems := bridge.Decode(request.Tree)
	if len(problems) == 0 {
		answer.When, problems = b.Format(tree)
	}
	answer.Problems = append(answer.Problems, problems...)
	return k.ok(answer)
}
