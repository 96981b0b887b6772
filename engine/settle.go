package engine

import (
	"slices"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// settlement is what becomes of an action after the policies that stand above
// the rules.
type settlement struct {
	outcome      rules.Outcome // what was decided
	state        events.ActionState
	reason       rules.Reason
	allowed      []events.Method        // that a challenge accepts; empty means any
	verification rules.UserVerification // that a challenge asks for; empty means the server's default
}

// Circumstances are what the policies above the rules read of a person and an
// action.
type Circumstances struct {
	Methods     []events.Method // of the person, enrolled and usable
	Scope       string          // of the action, see ScopeAdd
	SignIn      bool            // of the action
	CodeByEmail bool            // a one-time code can reach the person by e-mail: see Config.EnrolByEmail, and an address is known
}

// earned tells whether the rules themselves allowed the action, as against a
// failure or a policy for people who cannot be challenged.
func (s settlement) earned() bool { return s.reason == rules.ByRule || s.reason == rules.ByDefault }

// overruled tells whether what the rules said no longer decides.
func (s settlement) overruled() bool { return s.reason == ByManagement || s.reason == BySignIn }

// settle applies the policies in this order:
//
//   - Changing authenticators never follows from an ALLOW when the person has
//     one already: it takes a proof. The outcome becomes CHALLENGE.
//   - Signing in never follows from an ALLOW: the proof is the action itself. The
//     outcome becomes CHALLENGE.
//   - A challenge by a rule accepts only the methods that the rule names, and asks
//     for the user verification that it names. Any other challenge has the action's.
//   - A challenge that follows from a failure, of a decision or of the condition of
//     the rule that decided, blocks a person who cannot answer it. The outcome
//     becomes BLOCK, whatever the policy for such people says.
//   - Any other challenge of a person who signs in is asked for, whoever they are:
//     what they prove themselves with may be no authenticator, such as a code sent
//     by e-mail.
//   - Any other challenge of a person who cannot answer it leads to the state that
//     the action's policy names. The outcome stays CHALLENGE: that is what the
//     rules said. A person who has authenticators, but none that the rule accepts,
//     is blocked where the policy allows those who have none: what is allowed to a
//     newcomer must not follow from having the wrong authenticator. So it is where
//     the policy has newcomers enrol, which takes that a code can be sent to them
//     and that the rule accepts what they enrol, a passkey; else they are blocked.
func settle(r rules.Result, policy rules.ActionRules, c Circumstances) settlement {
	s := settlement{outcome: r.Outcome, reason: r.Reason, verification: policy.UserVerification}
	enrolled := len(c.Methods) > 0
	switch {
	case s.outcome != rules.Allow:
	case enrolled && asksToManage(c.Scope):
		s.outcome, s.reason = rules.Challenge, ByManagement
	case c.SignIn:
		s.outcome, s.reason = rules.Challenge, BySignIn
	}
	s.state = initialState(s.outcome)
	if s.outcome != rules.Challenge {
		return s
	}
	if s.reason == rules.ByRule {
		s.allowed = methods(r.Methods)
		if r.UserVerification != "" {
			s.verification = r.UserVerification
		}
	}
	switch {
	case slices.ContainsFunc(c.Methods, s.accepts):
		return s
	case s.reason == rules.ByFailure, s.reason == rules.ByRule && r.Erred:
		s.outcome, s.state, s.reason = rules.Block, events.StateBlock, rules.ByFailure
		return s
	case c.SignIn:
		return s
	}
	s.reason = ByEnrolmentPolicy
	switch {
	case policy.Unenrolled == rules.UnenrolledAllow && !enrolled:
		s.state = events.StateAllow
	case policy.Unenrolled == rules.UnenrolledEnrol && !enrolled && c.CodeByEmail && s.accepts(events.MethodPasskey):
		// The state stays CHALLENGE_REQUIRED: the hosted page has the person enrol.
	case policy.Unenrolled == rules.UnenrolledReview:
		s.state = events.StateReviewRequired
	default:
		s.state = events.StateBlock
	}
	return s
}

// accepts tells whether a challenge can be answered with a method.
func (s settlement) accepts(m events.Method) bool {
	return len(s.allowed) == 0 || slices.Contains(s.allowed, m)
}

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
