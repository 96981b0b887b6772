package engine

import (
	"slices"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// settlement is what becomes of an action after the policies that stand above
// the rules.
type settlement struct {
	outcome rules.Outcome // what was decided
	state   events.ActionState
	reason  rules.Reason
	allowed []events.Method // that a challenge accepts; empty means any
}

// earned tells whether the rules themselves allowed the action, as against a
// failure or a policy for people who cannot be challenged.
func (s settlement) earned() bool { return s.reason == rules.ByRule || s.reason == rules.ByDefault }

// settle applies the policies in this order:
//
//   - Changing authenticators never follows from an ALLOW when the person has
//     one already: it takes a proof. The outcome becomes CHALLENGE.
//   - A challenge by a rule accepts only the methods that the rule names.
//   - A challenge that follows from a failure, of a decision or of the condition of
//     the rule that decided, blocks a person who cannot answer it. The outcome
//     becomes BLOCK, whatever the policy for such people says.
//   - Any other challenge of a person who cannot answer it leads to the state that
//     the action's policy names. The outcome stays CHALLENGE: that is what the
//     rules said. A person who has authenticators, but none that the rule accepts,
//     is blocked where the policy allows those who have none: what is allowed to a
//     newcomer must not follow from having the wrong authenticator.
func settle(r rules.Result, policy rules.ActionRules, profile Profile, scope string) settlement {
	s := settlement{outcome: r.Outcome, reason: r.Reason}
	enrolled := profile.Enrolled()
	if s.outcome == rules.Allow && enrolled && asksToManage(scope) {
		s.outcome, s.reason = rules.Challenge, ByManagement
	}
	s.state = initialState(s.outcome)
	if s.outcome != rules.Challenge {
		return s
	}
	if s.reason == rules.ByRule {
		s.allowed = methods(r.Methods)
	}
	switch {
	case enrolled && (len(s.allowed) == 0 || slices.ContainsFunc(profile.Methods, s.accepts)):
		return s
	case s.reason == rules.ByFailure, s.reason == rules.ByRule && r.Erred:
		s.outcome, s.state, s.reason = rules.Block, events.StateBlock, rules.ByFailure
		return s
	}
	s.reason = ByEnrolmentPolicy
	switch {
	case policy.Unenrolled == rules.UnenrolledAllow && !enrolled:
		s.state = events.StateAllow
	case policy.Unenrolled == rules.UnenrolledReview:
		s.state = events.StateReviewRequired
	default:
		s.state = events.StateBlock
	}
	return s
}

func (s settlement) accepts(m events.Method) bool { return slices.Contains(s.allowed, m) }

func methods(words []string) []events.Method {
	var methods []events.Method
	for _, word := range words {
		methods = append(methods, events.Method(word))
	}
	return methods
}

// initialState is the state that an outcome puts an action into. What is not
// one of the four outcomes blocks.
func initialState(o rules.Outcome) events.ActionState {
	switch o {
	case rules.Allow:
		return events.StateAllow
	case rules.Challenge:
		return events.StateChallengeRequired
	case rules.Review:
		return events.StateReviewRequired
	}
	return events.StateBlock
}
