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
// an action, as Track does. It is for those who repeat decisions.
func Settle(set *rules.Set, code string, r rules.Result, c Circumstances) Settlement {
	s := settle(r, set.Action(code), c)
	out := Settlement{Outcome: s.outcome, State: s.state, Reason: s.reason, Rule: r.Rule}
	if s.overruled() {
		out.Rule = ""
	}
	return out
}
