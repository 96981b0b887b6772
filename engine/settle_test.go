package engine_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

func TestPeopleEnrolWhereACodeCanReachThem(t *testing.T) {
	const address = "jane@example.com"
	tests := []struct {
		name   string
		code   string
		byMail bool
		sent   string // e-mail address of the action
		kept   string // that of the person
		has    []events.Method
		source engine.Signals
		want   string // outcome, state, reason
	}{
		{name: "an address with the action", code: "enrol-first", byMail: true, sent: address, want: "CHALLENGE CHALLENGE_REQUIRED enrolment-policy"},
		{name: "an address from before", code: "enrol-first", byMail: true, kept: address, want: "CHALLENGE CHALLENGE_REQUIRED enrolment-policy"},
		{name: "no address", code: "enrol-first", byMail: true, want: "CHALLENGE BLOCK enrolment-policy"},
		{name: "no way to send a code", code: "enrol-first", sent: address, kept: address, want: "CHALLENGE BLOCK enrolment-policy"},
		{
			name: "somebody who is enrolled", code: "enrol-first", byMail: true, sent: address, has: []events.Method{events.MethodPasskey},
			want: "CHALLENGE CHALLENGE_REQUIRED default",
		},
		{name: "a failure", code: "enrol-first", byMail: true, sent: address, source: failing, want: "BLOCK BLOCK fail-mode"},
		{name: "another policy", code: "block-first", byMail: true, sent: address, want: "CHALLENGE BLOCK enrolment-policy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := memory.New()
			config := engine.Config{Recorder: recorder, Rules: compiled(t), EnrolByEmail: tt.byMail}
			if tt.source != nil {
				config.Signals = []engine.Signals{tt.source}
			}
			e, err := engine.New(config)
			if err != nil {
				t.Fatal(err)
			}
			before := action("fails-review", nil)
			before.Key, before.Email = "before", tt.kept
			track(t, e, before)
			for _, m := range tt.has {
				recorder.Enrol("jane", m, decidedAt)
			}
			a := action(tt.code, nil)
			a.Email = tt.sent
			d := track(t, e, a)
			if got := fmt.Sprint(d.Outcome, " ", d.State, " ", d.Reason); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if record := lastTracked(t, recorder); record.Enrolled != (tt.has != nil) || record.State != d.State {
				t.Errorf("the event says enrolled %v, state %s", record.Enrolled, record.State)
			}
		})
	}
}

// verificationSet has rules and actions that ask for user verification, and some
// that do not.
const verificationSet = `
fields: [{name: amount, type: number}, {name: code, type: string}]
actions:
  - code: names
    userVerification: preferred
    rules:
      - {id: blocks, name: R, when: custom.amount > 300, outcome: BLOCK, userVerification: required}
      - {id: names, name: R, when: custom.amount > 200, outcome: CHALLENGE, userVerification: required}
      - {id: leaves, name: R, when: custom.amount > 100, outcome: CHALLENGE}
      - {id: allows, name: R, when: custom.amount > 50, outcome: ALLOW, userVerification: required}
      - {id: breaks, name: R, when: int(custom.code) > 0, outcome: CHALLENGE, userVerification: required}
  - code: leaves
    rules:
      - {id: names-alone, name: R, when: custom.amount > 200, outcome: CHALLENGE, userVerification: discouraged}
otherwise: {default: CHALLENGE, unenrolled: block, rules: []}
`

func TestChallengesAskForTheUserVerificationOfRuleOrAction(t *testing.T) {
	tests := []struct {
		name     string
		code     string
		amount   float64
		custom   string
		scope    string
		signIn   bool
		stranger bool // not enrolled
		reason   rules.Reason
		want     rules.UserVerification
	}{
		{name: "the rule's", code: "names", amount: 250, reason: rules.ByRule, want: rules.VerificationRequired},
		{name: "the action's, as the rule names none", code: "names", amount: 150, reason: rules.ByRule, want: rules.VerificationPreferred},
		{name: "the action's, as no rule decides", code: "names", custom: "0", reason: rules.ByDefault, want: rules.VerificationPreferred},
		{name: "the action's, as the rule asks for no challenge", code: "names", amount: 350, reason: rules.ByRule, want: rules.VerificationPreferred},
		{name: "the action's after a failure", code: "names", custom: "x", reason: rules.ByFailure, want: rules.VerificationPreferred},
		{name: "the action's for management", code: "names", amount: 60, scope: engine.ScopeAdd, reason: engine.ByManagement, want: rules.VerificationPreferred},
		{name: "the action's for signing in", code: "names", amount: 60, signIn: true, reason: engine.BySignIn, want: rules.VerificationPreferred},
		{name: "the rule's for signing in with a challenge", code: "names", amount: 250, signIn: true, reason: rules.ByRule, want: rules.VerificationRequired},
		{name: "the rule's for somebody who is not enrolled", code: "names", amount: 250, stranger: true, reason: engine.ByEnrolmentPolicy, want: rules.VerificationRequired},
		{name: "the rule's where the action names none", code: "leaves", amount: 250, reason: rules.ByRule, want: rules.VerificationDiscouraged},
		{name: "the server's where nobody names one", code: "other", reason: rules.ByDefault, want: ""},
	}
	set := compile(t, verificationSet)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := memory.New()
			if !tt.stranger {
				recorder.Enrol("jane", events.MethodPasskey, decidedAt)
			}
			e, err := engine.New(engine.Config{Recorder: recorder, Rules: func() *rules.Set { return set }})
			if err != nil {
				t.Fatal(err)
			}
			a := action(tt.code, map[string]any{"amount": tt.amount, "code": tt.custom})
			a.Scope, a.SignIn = tt.scope, tt.signIn
			d := track(t, e, a)
			if d.Reason != tt.reason {
				t.Errorf("decided by %s, want %s", d.Reason, tt.reason)
			}
			stored, _, err := recorder.Recorded(t.Context(), a.ActionID)
			if err != nil {
				t.Fatal(err)
			}
			for what, got := range map[string]string{
				"decision": d.UserVerification, "stored decision": stored.UserVerification, "event": lastTracked(t, recorder).UserVerification,
			} {
				if got != string(tt.want) {
					t.Errorf("the %s has %q, want %q", what, got, tt.want)
				}
			}
		})
	}
}

// lastTracked is the record of the newest decision.
func lastTracked(t *testing.T, recorder *memory.Recorder) *events.ActionTracked {
	t.Helper()
	log := recorder.Events()
	record, err := log[len(log)-1].Decode()
	if err != nil {
		t.Fatal(err)
	}
	return record.(*events.ActionTracked)
}
