package engine

import (
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Settlement is what becomes of an action once the rules have spoken.
type Settlement struct {
	Outcome rules.Outcome
	State   events.ActionState // first state of the action
	Reason  rules.Reason
	Rule    string // id of the rule that decided, "" when none did
}

// Settle applies the policies that stand above the rules to what a set says about
// an action of a person with these methods, as Track does. It is for those who
// repeat decisions.
func Settle(set *rules.Set, code string, r rules.Result, methods []events.Method, scope string) Settlement {
	s := settle(r, set.Action(code), Profile{Methods: methods}, scope)
	out := Settlement{Outcome: s.outcome, State: s.state, Reason: s.reason, Rule: r.Rule}
	if s.reason == ByManagement {
		out.Rule = "" // what it said no longer decides
	}
	return out
}
