package api

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// actionRequest is an action configuration as it is sent.
type actionRequest struct {
	ActionCode string                  `json:"actionCode"`
	ActionType string                  `json:"actionType"`
	Default    optional[rules.Outcome] `json:"defaultUserActionResult"`
	Templates  kept                    `json:"messagingTemplates"`
	Methods    kept                    `json:"verificationMethods"`
	Prompt     kept                    `json:"promptToEnrollVerificationMethods"`
	Method     kept                    `json:"defaultVerificationMethod"`
	Webhook    kept                    `json:"verificationWebhookUrl"`
}

// actionType is the one kind of action that there is here. Newer SDKs name it.
const actionType = "CLASSIC"

// check refuses what no action can have, and what would be taken for something
// else.
func (r *actionRequest) check() error {
	if r.ActionType != "" && r.ActionType != actionType {
		return invalidField("actionType", "must be CLASSIC: flows are not served here.")
	}
	return checkOutcome("defaultUserActionResult", r.Default)
}

// apply changes the rules of an action.
func (r *actionRequest) apply(a *rules.ActionRules) {
	r.Default.set(&a.Default)
	var wire rules.WireAction
	if a.Wire != nil {
		wire = *a.Wire
	}
	keep(&r.Templates, &wire.Templates)
	keep(&r.Methods, &wire.Methods)
	keep(&r.Prompt, &wire.PromptToEnroll)
	keep(&r.Method, &wire.DefaultMethod)
	keep(&r.Webhook, &wire.Webhook)
	a.Wire = nil
	if wire != (rules.WireAction{}) {
		a.Wire = &wire
	}
}

// actionJSON writes an action configuration.
func (s *Server) actionJSON(a rules.ActionRules, last json.RawMessage) []byte {
	outcome := a.Default
	if outcome == "" {
		outcome = rules.Allow
	}
	var wire rules.WireAction
	if a.Wire != nil {
		wire = *a.Wire
	}
	return object(
		with("actionCode", a.Code), with("actionType", actionType), with("tenantId", s.config.Tenant), with("defaultUserActionResult", outcome),
		member{"lastActionCreatedAt", last},
		member{"messagingTemplates", raw(wire.Templates)}, member{"verificationMethods", raw(wire.Methods)},
		member{"promptToEnrollVerificationMethods", raw(wire.PromptToEnroll)},
		member{"defaultVerificationMethod", raw(wire.DefaultMethod)}, member{"verificationWebhookUrl", raw(wire.Webhook)},
	)
}

// noAction is said of a code without rules of its own. Terraform takes a 404 for
// a reason to create it again.
const noAction = "There is no action configuration of this code."

func (s *Server) listActions(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	items := make([][]byte, len(d.Actions))
	for i, a := range d.Actions {
		items[i] = s.actionJSON(a, nil)
	}
	return k.send(array(items))
}

func (s *Server) createAction(k *call) error {
	var request actionRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	if request.ActionCode == "" {
		return invalidField("actionCode", "is missing.")
	}
	var created rules.ActionRules
	err := s.edit(k, editNote("Action", request.ActionCode, "created"), func(d *rules.Definition) error {
		if _, exists := actionIn(d, request.ActionCode); exists {
			return alreadyThere("There is an action configuration of this code already.")
		}
		created = rules.ActionRules{Code: request.ActionCode, Rules: []rules.Rule{}}
		request.apply(&created)
		setAction(d, created)
		return nil
	})
	if err != nil {
		return err
	}
	return k.send(s.actionJSON(created, nil))
}

// editNote says in a set's history what a call of this API did.
func editNote(what, name, done string) string {
	const most = 100
	if len(name) > most {
		name = name[:most] + "…"
	}
	return fmt.Sprintf("%s %q %s through the management API", what, name, done)
}

func (s *Server) showAction(k *call) error {
	code, err := k.param("actionCode")
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	a, exists := actionIn(&d, code)
	if !exists {
		return notFound(noAction)
	}
	page, err := s.config.LogReader.Decisions(ctx, events.Filter{Action: code, Limit: 1})
	if err != nil {
		return fmt.Errorf("read last action: %w", err)
	}
	var last json.RawMessage
	if len(page.Items) > 0 {
		if last, err = wireTime(page.Items[0].Time).MarshalJSON(); err != nil {
			return err
		}
	}
	return k.send(s.actionJSON(a, last))
}

func (s *Server) changeAction(k *call) error {
	code, err := k.param("actionCode")
	if err != nil {
		return err
	}
	var request actionRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	if request.ActionCode != "" && request.ActionCode != code {
		return invalidField("actionCode", "cannot be changed.")
	}
	var changed rules.ActionRules
	err = s.edit(k, editNote("Action", code, "changed"), func(d *rules.Definition) error {
		a, exists := actionIn(d, code)
		if !exists {
			return notFound(noAction)
		}
		changed = a
		request.apply(&changed)
		setAction(d, changed)
		return nil
	})
	if err != nil {
		return err
	}
	return k.send(s.actionJSON(changed, nil))
}

// dropAction takes the action's rules away. Actions of this code are then decided
// by the rules for all others.
func (s *Server) dropAction(k *call) error {
	code, err := k.param("actionCode")
	if err != nil {
		return err
	}
	err = s.edit(k, editNote("Action", code, "removed"), func(d *rules.Definition) error {
		i := indexOfAction(d, code)
		if i < 0 {
			return notFound(noAction)
		}
		d.Actions = append(append([]rules.ActionRules{}, d.Actions[:i]...), d.Actions[i+1:]...)
		return nil
	})
	if err != nil {
		return err
	}
	return k.write(200, done200)
}
