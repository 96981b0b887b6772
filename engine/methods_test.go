package engine_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// methodSet has a rule whose challenge accepts two methods, under each policy
// for people who cannot answer one.
const methodSet = `
actions:
  - {code: allows, unenrolled: allow, rules: [{id: r1, name: R, when: "true", outcome: CHALLENGE, methods: [PASSKEY, SECURITY_KEY]}]}
  - {code: reviews, unenrolled: review, rules: [{id: r2, name: R, when: "true", outcome: CHALLENGE, methods: [PASSKEY, SECURITY_KEY]}]}
  - {code: blocks, unenrolled: block, rules: [{id: r3, name: R, when: "true", outcome: CHALLENGE, methods: [PASSKEY, SECURITY_KEY]}]}
  - {code: fails, onFailure: CHALLENGE, rules: [{id: r4, name: R, when: "true", outcome: ALLOW, methods: [PASSKEY]}]}
  - {code: errs, unenrolled: allow, rules: [{id: r6, name: R, when: int(user.id) > 5, outcome: CHALLENGE, onError: match}]}
  - {code: enrols, unenrolled: enrol, rules: [{id: r7, name: R, when: "true", outcome: CHALLENGE, methods: [PASSKEY, SECURITY_KEY]}]}
  - {code: enrols-in-vain, unenrolled: enrol, rules: [{id: r8, name: R, when: "true", outcome: CHALLENGE, methods: [SECURITY_KEY]}]}
  - {code: any, rules: [{id: r5, name: R, when: "true", outcome: CHALLENGE}]}
otherwise: {rules: []}
`

func TestChallengesAcceptTheMethodsOfTheirRule(t *testing.T) {
	named := []events.Method{events.MethodPasskey, events.MethodSecurityKey}
	tests := []struct {
		name    string
		code    string
		methods []events.Method
		scope   string
		signIn  bool
		email   string
		source  engine.Signals
		want    string // outcome, state, reason
		allowed []events.Method
	}{
		{
			name: "a person who has one of them", code: "allows", methods: []events.Method{events.MethodEmailOTP, events.MethodSecurityKey},
			want: "CHALLENGE CHALLENGE_REQUIRED rule", allowed: named,
		},
		{
			name: "a person who has another is not allowed for it", code: "allows", methods: []events.Method{events.MethodEmailOTP},
			want: "CHALLENGE BLOCK enrolment-policy", allowed: named,
		},
		{
			name: "a person who has another, to be reviewed", code: "reviews", methods: []events.Method{events.MethodEmailOTP},
			want: "CHALLENGE REVIEW_REQUIRED enrolment-policy", allowed: named,
		},
		{
			name: "a person who has another, to be blocked", code: "blocks", methods: []events.Method{events.MethodEmailOTP},
			want: "CHALLENGE BLOCK enrolment-policy", allowed: named,
		},
		{name: "a person who has none, allowed by policy", code: "allows", want: "CHALLENGE ALLOW enrolment-policy", allowed: named},
		{name: "a person who has none, to be blocked", code: "blocks", want: "CHALLENGE BLOCK enrolment-policy", allowed: named},
		{name: "a person who has none, to enrol", code: "enrols", email: "jane@example.com", want: "CHALLENGE CHALLENGE_REQUIRED enrolment-policy", allowed: named},
		{
			name: "a person who has another does not enrol", code: "enrols", email: "jane@example.com", methods: []events.Method{events.MethodEmailOTP},
			want: "CHALLENGE BLOCK enrolment-policy", allowed: named,
		},
		{
			name: "a person who would enrol what the rule does not accept", code: "enrols-in-vain", email: "jane@example.com",
			want: "CHALLENGE BLOCK enrolment-policy", allowed: []events.Method{events.MethodSecurityKey},
		},
		{name: "a person who signs in and has none", code: "blocks", signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED rule", allowed: named},
		{
			name: "a person who signs in and has another", code: "blocks", signIn: true, methods: []events.Method{events.MethodEmailOTP},
			want: "CHALLENGE CHALLENGE_REQUIRED rule", allowed: named,
		},
		{name: "signing in after an ALLOW accepts any", code: "fails", signIn: true, want: "CHALLENGE CHALLENGE_REQUIRED sign-in"},
		{name: "an error that counts as a match lets nobody sign in", code: "errs", signIn: true, want: "BLOCK BLOCK fail-mode"},
		{name: "a rule that names none accepts any", code: "any", methods: []events.Method{events.MethodRecoveryCode}, want: "CHALLENGE CHALLENGE_REQUIRED rule"},
		{
			name: "a failure accepts any", code: "fails", methods: []events.Method{events.MethodEmailOTP}, source: failing,
			want: "CHALLENGE CHALLENGE_REQUIRED fail-mode",
		},
		{name: "an error that counts as a match challenges a person who has one", code: "errs", methods: []events.Method{events.MethodPasskey}, want: "CHALLENGE CHALLENGE_REQUIRED rule"},
		{name: "an error that counts as a match lets nobody pass", code: "errs", want: "BLOCK BLOCK fail-mode"},
		{
			name: "management accepts any", code: "fails", methods: []events.Method{events.MethodEmailOTP}, scope: engine.ScopeAdd,
			want: "CHALLENGE CHALLENGE_REQUIRED management",
		},
		{name: "an outcome that is no challenge has none", code: "fails", methods: []events.Method{events.MethodEmailOTP}, want: "ALLOW ALLOW rule"},
	}
	set := compile(t, methodSet)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			recorder := memory.New()
			for _, m := range tt.methods {
				recorder.Enrol("jane", m, decidedAt)
			}
			config := engine.Config{Recorder: recorder, Rules: func() *rules.Set { return set }, EnrolByEmail: true}
			if tt.source != nil {
				config.Signals = []engine.Signals{tt.source}
			}
			e, err := engine.New(config)
			if err != nil {
				t.Fatal(err)
			}
			a := action(tt.code, nil)
			a.Scope, a.SignIn, a.Email = tt.scope, tt.signIn, tt.email
			d := track(t, e, a)
			if got := fmt.Sprint(d.Outcome, " ", d.State, " ", d.Reason); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			record, err := recorder.Events()[0].Decode()
			if err != nil {
				t.Fatal(err)
			}
			for what, allowed := range map[string][]events.Method{"decision": d.Allowed, "event": record.(*events.ActionTracked).Allowed} {
				if diff := cmp.Diff(tt.allowed, allowed, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("methods of the %s (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}
