package events

// ActionState is where an action stands. The values are those of the wire
// protocol (CONTRACT 1.3).
type ActionState string

// The eight states of an action.
const (
	StateAllow              ActionState = "ALLOW"
	StateBlock              ActionState = "BLOCK"
	StateChallengeRequired  ActionState = "CHALLENGE_REQUIRED"
	StateChallengeSucceeded ActionState = "CHALLENGE_SUCCEEDED"
	StateChallengeFailed    ActionState = "CHALLENGE_FAILED"
	StateReviewRequired     ActionState = "REVIEW_REQUIRED"
	StateReviewSucceeded    ActionState = "REVIEW_SUCCEEDED"
	StateReviewFailed       ActionState = "REVIEW_FAILED"
)

// Valid reports whether s is one of the eight states.
func (s ActionState) Valid() bool {
	switch s {
	case StateAllow, StateBlock, StateChallengeRequired, StateChallengeSucceeded, StateChallengeFailed,
		StateReviewRequired, StateReviewSucceeded, StateReviewFailed:
		return true
	}
	return false
}

// Cause is what moves an action from one state to the next. A move that is
// right for one cause is wrong for another: only a proof completes a challenge.
type Cause int

const (
	// ByProof is a verified answer to a ceremony that was begun for this action.
	ByProof Cause = iota
	// ByRefusal is "I didn't ask for this", or the last allowed try used up.
	ByRefusal
	// ByBackend is a PATCH by the application's backend or a reviewer.
	ByBackend
)

// moves is the whole transition table. What is not listed is refused.
var moves = map[Cause]map[ActionState][]ActionState{
	ByProof:   {StateChallengeRequired: {StateChallengeSucceeded}},
	ByRefusal: {StateChallengeRequired: {StateChallengeFailed}},
	ByBackend: {
		StateAllow:              {StateReviewRequired},
		StateChallengeRequired:  {StateChallengeFailed, StateReviewRequired},
		StateChallengeSucceeded: {StateReviewRequired},
		StateChallengeFailed:    {StateReviewRequired},
		StateReviewRequired:     {StateReviewSucceeded, StateReviewFailed},
	},
}

// CanBecome reports whether cause may move an action from s to next. Staying in
// the same state is no move and is not allowed here; callers answer it without
// writing anything.
func (s ActionState) CanBecome(next ActionState, cause Cause) bool {
	for _, to := range moves[cause][s] {
		if to == next {
			return true
		}
	}
	return false
}
