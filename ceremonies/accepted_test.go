package ceremonies_test

import (
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// accepting makes an action's rule accept some methods only.
func accepting(methods ...events.Method) func(*engine.Recording) {
	return func(r *engine.Recording) { r.Decision.Allowed = methods }
}

func TestOnlyMethodsThatTheRuleAcceptsProveAnAction(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)

	refusing := w.Track("anna", events.StateChallengeRequired, "", accepting(events.MethodSecurityKey))
	_, err := w.RP.BeginStepUp(t.Context(), refusing, ceremonies.Ask{Shown: true})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonMethodRefused)
	if state := w.State(refusing.Action); state != events.StateChallengeRequired {
		t.Errorf("the action became %s", state)
	}

	grant := w.Track("anna", events.StateChallengeRequired, "", accepting(events.MethodSecurityKey, events.MethodPasskey))
	stepUp := w.Begin(grant)
	answer := d.Answer(t, stepUp.Options)
	_, err = w.RP.FinishStepUp(t.Context(), refusing, stepUp.Challenge, answer, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeUnknown)
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, answer, ceremonies.Client{}); err != nil {
		t.Errorf("a method that the rule accepts: %v", err)
	}
}

func TestACounterThatWentBackIsKeptWithThePasskey(t *testing.T) {
	tests := map[string]struct {
		kind   ceremonytest.Kind
		policy ceremonies.SignCountPolicy
		refuse bool
	}{
		"a refused answer":           {kind: ceremonytest.DeviceBound, refuse: true},
		"an answer of a synced one":  {kind: ceremonytest.Synced},
		"an answer that is accepted": {kind: ceremonytest.DeviceBound, policy: ceremonies.AcceptSignCountRegress},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t, func(c *ceremonies.Config) { c.SignCount = test.policy })
			d := w.Enrolled("anna", test.kind)
			d.Credential.Counter = 9
			w.Prove("anna", d, "")
			regressed := func() bool {
				p, err := w.Store.Profile(t.Context(), "anna", "", "")
				if err != nil || len(p.Passkeys) != 1 {
					t.Fatalf("profile %+v, %v", p, err)
				}
				return p.Passkeys[0].Regressed && w.Account("anna").Authenticators[0].Regressed
			}
			if regressed() {
				t.Fatal("a counter that rises is taken for one that went back")
			}
			// A wrong signature over a counter that went back tells nothing.
			grant := w.Track("anna", events.StateChallengeRequired, "")
			stepUp := w.Begin(grant)
			d.Credential.Counter = 2
			forged := *d
			other := ceremonytest.NewDevice(test.kind)
			forged.Credential.Key = other.Credential.Key
			_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, forged.Answer(t, stepUp.Options), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonBadSignature)
			if regressed() {
				t.Fatal("a forged answer flagged the passkey")
			}

			stepUp = w.Begin(grant)
			d.Credential.Counter = 2
			proof, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
			if test.refuse {
				wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonSignCountRegress)
			} else if err != nil || !proof.Authenticator.Regressed {
				t.Errorf("proof %+v, %v", proof, err)
			}
			if !regressed() {
				t.Error("the passkey is not flagged")
			}
		})
	}
}
