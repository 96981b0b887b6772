package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
	"github.com/sallyport/sallyport/rules/bridge"
)

// maxPriority is the largest priority of the wire protocol; the smallest is 0,
// which comes first.
const maxPriority = 99

// ruleMethods are the authenticators that a rule may demand. Package rules checks
// the same, this API says it in the words of the wire protocol.
var ruleMethods = []string{
	string(events.MethodPasskey), string(events.MethodSecurityKey), string(events.MethodAuthenticatorApp),
	string(events.MethodEmailOTP), string(events.MethodRecoveryCode),
}

// ruleRequest is a rule as it is sent.
type ruleRequest struct {
	Name        optional[string]        `json:"name"`
	Description optional[string]        `json:"description"`
	IsActive    optional[bool]          `json:"isActive"`
	Priority    optional[int]           `json:"priority"`
	Type        optional[rules.Outcome] `json:"type"`
	Conditions  kept                    `json:"conditions"`
	Methods     optional[[]string]      `json:"verificationMethods"`
	Prompt      kept                    `json:"promptToEnrollVerificationMethods"`
	Method      kept                    `json:"defaultVerificationMethod"`
}

// check refuses what no rule can be.
func (r *ruleRequest) check() error {
	if r.Priority.value < 0 || r.Priority.value > maxPriority {
		return invalidField("priority", fmt.Sprintf("must be a whole number from 0 to %d.", maxPriority))
	}
	for _, method := range r.Methods.value {
		if !slices.Contains(ruleMethods, method) {
			return invalid(strconv.Quote(method) + " is not an enabled verification method.")
		}
	}
	return errors.Join(r.Name.required("name"), r.IsActive.required("isActive"), r.Priority.required("priority"), r.Type.required("type"),
		checkOutcome("type", r.Type))
}

// apply changes a rule of a definition; the priority is place's part.
func (r *ruleRequest) apply(d *rules.Definition, rule *rules.Rule) error {
	r.Name.set(&rule.Name)
	r.Description.set(&rule.Description)
	r.Type.set(&rule.Outcome)
	r.Methods.set(&rule.Methods)
	if len(rule.Methods) == 0 {
		rule.Methods = nil
	}
	if live := rule.Mode == rules.Live || rule.Mode == ""; r.IsActive.sent && r.IsActive.value != live {
		switch {
		case r.IsActive.value:
			rule.Mode = rules.Live
		case live:
			rule.Mode = rules.Off
		}
	}
	var wire rules.WireRule
	if rule.Wire != nil {
		wire = *rule.Wire
	}
	keep(&r.Prompt, &wire.PromptToEnroll)
	keep(&r.Method, &wire.DefaultMethod)
	if r.Conditions.sent || rule.When == "" {
		when, err := conditionOf(d, r.Conditions.value)
		if err != nil {
			return err
		}
		rule.When, wire.When, wire.Conditions = when, when, string(r.Conditions.value)
	}
	rule.Wire = nil
	if wire != (rules.WireRule{}) {
		rule.Wire = &wire
	}
	return nil
}

// conditionOf translates JsonLogic.
func conditionOf(d *rules.Definition, logic json.RawMessage) (string, error) {
	b := bridge.New(d)
	tree, problems := b.ReadJSONLogic(logic)
	if len(problems) == 0 {
		var when string
		if when, problems = b.Format(tree); len(problems) == 0 {
			return when, nil
		}
	}
	e := invalidField("conditions", problems[0].Message)
	e.Details = problems
	return "", e
}

// declareLists declares the lists that conditions test and that exist: a list
// that was made elsewhere needs no other call before a rule may test it.
func (s *Server) declareLists(ctx context.Context, d *rules.Definition, logic json.RawMessage) error {
	for _, name := range bridge.Lists(logic) {
		if slices.ContainsFunc(d.Lists, func(l rules.List) bool { return l.Name == name }) || !rules.IsListName(name) {
			continue
		}
		head, err := s.config.Store.List(ctx, name)
		if errors.Is(err, engine.ErrNotFound) {
			continue // the translation says so
		}
		if err != nil {
			return fmt.Errorf("read list: %w", err)
		}
		d.Lists = append(slices.Clone(d.Lists), rules.List{Name: name, Type: head.Type})
	}
	return nil
}

// positionsOf are the positions of rules, with those that are not written.
func positionsOf(list []rules.Rule) []int {
	positions := make([]int, len(list))
	next := 0
	for i := range list {
		if p := list[i].Position; p != nil {
			next = *p
		}
		positions[i] = next
		next++
	}
	return positions
}

// place puts a rule where its priority belongs, among rules that do not hold it.
// All of them get their position written, so that no other moves.
func place(list []rules.Rule, rule rules.Rule, priority int) ([]rules.Rule, error) {
	out := make([]rules.Rule, 0, len(list)+1)
	at := 0
	for i, p := range positionsOf(list) {
		if p == priority {
			return nil, invalid("There is already another rule with priority: " + strconv.Itoa(priority))
		}
		if p < priority {
			at = i + 1
		}
		other := list[i]
		other.Position = &p
		out = append(out, other)
	}
	rule.Position = &priority
	return slices.Insert(out, at, rule), nil
}

// ruleJSON writes a rule. What was sent as conditions comes back byte for byte,
// until the condition is edited elsewhere: then it is written anew.
func (s *Server) ruleJSON(b *bridge.Bridge, code string, rule *rules.Rule, priority int) []byte {
	var wire rules.WireRule
	if rule.Wire != nil {
		wire = *rule.Wire
	}
	conditions := raw(wire.Conditions)
	if rule.Wire == nil || wire.When != rule.When || conditions == nil && wire.Conditions != "" {
		conditions = logicOf(b, rule.When)
	}
	return object(
		with("ruleId", rule.ID), with("tenantId", s.config.Tenant), with("actionCode", code),
		with("name", rule.Name), with("description", rule.Description),
		with("isActive", rule.Mode == rules.Live || rule.Mode == ""), with("priority", priority), with("type", rule.Outcome),
		member{"conditions", conditions}, with("verificationMethods", rule.Methods),
		member{"promptToEnrollVerificationMethods", raw(wire.PromptToEnroll)}, member{"defaultVerificationMethod", raw(wire.DefaultMethod)},
	)
}

// logicOf writes a condition of a set in force as JsonLogic. That it compiles is
// known, and compiling those of a large set again would take seconds.
func logicOf(b *bridge.Bridge, when string) json.RawMessage {
	if logic, problems := b.JSONLogic(b.Tree(when)); len(problems) == 0 {
		return logic
	}
	return with("", map[string][]string{"cel": {when}}).value
}

const noRule = "There is no rule of this id."

// pathRule is the action and the rule that the path names.
func (k *call) pathRule() (code, id string, err error) {
	if code, err = k.param("actionCode"); err != nil {
		return "", "", err
	}
	id, err = k.param("ruleId")
	return code, id, err
}

func indexOfRule(a rules.ActionRules, id string) int {
	return slices.IndexFunc(a.Rules, func(r rules.Rule) bool { return r.ID == id })
}

// sendRule answers with a rule of a definition.
func (s *Server) sendRule(k *call, d *rules.Definition, code, id string) error {
	a, _ := actionIn(d, code)
	i := indexOfRule(a, id)
	if i < 0 {
		return notFound(noRule)
	}
	return k.send(s.ruleJSON(bridge.New(d), code, &a.Rules[i], positionsOf(a.Rules)[i]))
}

// manyRules is how many rules take so long to be listed, a tenth of a second,
// that it is done in turn.
const manyRules = 1000

// listWireRules lists the rules of an action, none for one without.
func (s *Server) listWireRules(k *call) error {
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
	a, _ := actionIn(&d, code)
	list := func(k *call) error {
		b, positions := bridge.New(&d), positionsOf(a.Rules)
		items := make([][]byte, len(a.Rules))
		for i := range a.Rules {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			items[i] = s.ruleJSON(b, code, &a.Rules[i], positions[i])
			runtime.Gosched() // decisions come between
		}
		return k.send(array(items))
	}
	if len(a.Rules) > manyRules {
		list = s.work.texts.streaming(list)
	}
	return list(k)
}

// createRule adds a rule to an action, which need not have rules yet. A rule
// without isActive is off, one without priority comes first: SDKs leave out false
// and 0.
func (s *Server) createRule(k *call) error {
	code, err := k.param("actionCode")
	if err != nil {
		return err
	}
	var request ruleRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	switch {
	case request.Name.value == "":
		return invalidField("name", "is missing.")
	case request.Type.value == "":
		return invalidField("type", "is missing: "+outcomesText+".")
	}
	request.IsActive.sent = true
	ctx, cancel := k.withinCostly()
	defer cancel()
	id := strings.ToLower(rand.Text())
	var after rules.Definition
	err = s.edit(k, editNote("Rule", request.Name.value, "created"), func(d *rules.Definition) error {
		if err := s.declareLists(ctx, d, request.Conditions.value); err != nil {
			return err
		}
		a, exists := actionIn(d, code)
		if !exists {
			a = rules.ActionRules{Code: code}
		}
		rule := rules.Rule{ID: id}
		if err := request.apply(d, &rule); err != nil {
			return err
		}
		var err error
		if a.Rules, err = place(a.Rules, rule, request.Priority.value); err != nil {
			return err
		}
		setAction(d, a)
		after = *d
		return nil
	})
	if err != nil {
		return err
	}
	return s.sendRule(k, &after, code, id)
}

func (s *Server) showRule(k *call) error {
	code, id, err := k.pathRule()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	d, err := s.inForce(ctx)
	if err != nil {
		return err
	}
	return s.sendRule(k, &d, code, id)
}

func (s *Server) changeRule(k *call) error {
	code, id, err := k.pathRule()
	if err != nil {
		return err
	}
	var request ruleRequest
	if err := k.decode(&request); err != nil {
		return err
	}
	if err := request.check(); err != nil {
		return err
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	var after rules.Definition
	err = s.edit(k, editNote("Rule", id, "changed"), func(d *rules.Definition) error {
		if err := s.declareLists(ctx, d, request.Conditions.value); err != nil {
			return err
		}
		a, _ := actionIn(d, code)
		i := indexOfRule(a, id)
		if i < 0 {
			return notFound(noRule)
		}
		rule, position := a.Rules[i], positionsOf(a.Rules)[i]
		if err := request.apply(d, &rule); err != nil {
			return err
		}
		a.Rules = slices.Clone(a.Rules)
		a.Rules[i] = rule
		if request.Priority.sent && request.Priority.value != position {
			// Those behind it keep their positions, which may have followed from its own.
			for j, p := range positionsOf(a.Rules) {
				a.Rules[j].Position = &p
			}
			var err error
			if a.Rules, err = place(slices.Delete(a.Rules, i, i+1), rule, request.Priority.value); err != nil {
				return err
			}
		}
		setAction(d, a)
		after = *d
		return nil
	})
	if err != nil {
		return err
	}
	return s.sendRule(k, &after, code, id)
}

func (s *Server) dropRule(k *call) error {
	code, id, err := k.pathRule()
	if err != nil {
		return err
	}
	err = s.edit(k, editNote("Rule", id, "removed"), func(d *rules.Definition) error {
		a, _ := actionIn(d, code)
		i := indexOfRule(a, id)
		if i < 0 {
			return notFound(noRule)
		}
		a.Rules = slices.Clone(a.Rules)
		for j, p := range positionsOf(a.Rules) {
			a.Rules[j].Position = &p // the others stay where they are
		}
		a.Rules = slices.Delete(a.Rules, i, i+1)
		setAction(d, a)
		return nil
	})
	if err != nil {
		return err
	}
	return k.write(200, done200)
}
