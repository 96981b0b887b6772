package backtest

import (
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// MaxDifferences is how many decisions that differ a report shows.
const MaxDifferences = 100

// Report is what came of a replay.
type Report struct {
	From, To  time.Time
	Decisions int  // found in that time, at most Config.Limit
	Cut       bool // there were more
	Replayed  int  // decided again
	Same      int  // with the same outcome, reason and rule; when sets are their own also the same metrics and matches
	Different int  // the rest of them

	// Decisions that could not be repeated.
	Erased   int // the person's data were erased, and the facts with them
	NotAsked int // the rules were not asked, since a signal source failed or the person's turn did not come
	NoSet    int // its set cannot be had any more
	Unplaced int // the position that its metrics name is not in the log any more

	// Unready counts, per metric, the decisions for which it was not known in time,
	// as right after a publish, although it is known now. A decision's own set is
	// then asked without it, a draft with it.
	Unready map[string]int
	// Incomparable counts decisions whose metrics differ because what they once
	// counted is gone: people who were erased, or events older than the log.
	Incomparable int
	// NoLists counts decisions for which the draft tests a list that they had not
	// tested; such a test is unknown.
	NoLists int

	// LetPass counts the decisions in which a person got ALLOW although the rules
	// asked for a challenge, since they had nothing to prove themselves with and the
	// policy for them is to let them pass.
	LetPass BeforeNow

	Outcomes []Change      // what the rules said: how many went from which outcome to which, in a fixed order
	States   []StateChange // what people got: the same for states
	Rules    []RuleReport  // of every rule that matched before or now, in order of their ids
	First    []Difference  // the first decisions that differ
}

// Change is a move from one outcome to another, or to the same.
type Change struct {
	From  rules.Outcome `json:"from"`
	To    rules.Outcome `json:"to"`
	Count int           `json:"count"`
}

// StateChange is a move from one state to another, or to the same: what people got
// right after the decision.
type StateChange struct {
	From  events.ActionState `json:"from"`
	To    events.ActionState `json:"to"`
	Count int                `json:"count"`
}

// BeforeNow are two counts of decisions.
type BeforeNow struct {
	Before int `json:"before"` // as they were recorded
	Now    int `json:"now"`    // as they were replayed
}

// RuleReport is how often a rule matched. A rule that decided since a missing value
// or an error counts as a match has matched, too.
type RuleReport struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Before  int    `json:"before"`  // in the recorded decisions, live or in shadow
	Now     int    `json:"now"`     // in the replayed ones
	Decided int    `json:"decided"` // of Now, those that it decided
}

// Verdict is what a decision came to.
type Verdict struct {
	Outcome rules.Outcome      `json:"outcome"` // what the rules said
	State   events.ActionState `json:"state"`   // what the person got
	Reason  rules.Reason       `json:"reason"`
	Rule    string             `json:"rule,omitempty"`
}

// Difference is one decision that came out differently.
type Difference struct {
	Position events.Position `json:"position"`
	Time     time.Time       `json:"time"`
	Action   events.ActionID `json:"action"`
	Set      int             `json:"set"` // that decided then
	Before   Verdict         `json:"before"`
	Now      Verdict         `json:"now"`
	Metrics  []MetricChange  `json:"metrics,omitempty"`
	Matches  bool            `json:"matches,omitempty"` // the recorded matches are not those of now
}

// MetricChange is a metric that was recorded with another value than it has now.
type MetricChange struct {
	Name   string   `json:"name"`
	Before *float64 `json:"before"` // nil when unknown
	Now    *float64 `json:"now"`
}
