package ceremonies_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// hangup is a store whose caller hangs up as soon as a challenge is taken.
type hangup struct {
	ceremonies.Store
	hang func()
}

func (h hangup) Take(ctx context.Context, id events.ChallengeID, action events.ActionID, now time.Time) (ceremonies.Challenge, error) {
	defer h.hang()
	return h.Store.Take(ctx, id, action, now)
}

// hangingUp is a relying party and the context of a caller that hangs up.
func hangingUp(w *ceremonytest.World) (*ceremonies.RelyingParty, context.Context) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	rp, err := ceremonies.New(ceremonies.Config{
		ID: ceremonytest.ID, Name: "Example Shop", Origins: []string{ceremonytest.Origin}, Tenant: ceremonytest.Tenant, Key: ceremonytest.Key, Now: w.Clock.Now,
	}, hangup{w.Store, cancel}, w.Tokens)
	if err != nil {
		w.Fatal(err)
	}
	return rp, ctx
}

func TestHangingUpHidesNoWrongAnswer(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	for range ceremonies.DefaultTries {
		rp, ctx := hangingUp(w)
		stepUp := w.Begin(grant)
		_, err := rp.FinishStepUp(ctx, grant, stepUp.Challenge, ceremonytest.NewDevice(ceremonytest.Synced).Answer(t, stepUp.Options), ceremonies.Client{})
		wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonForeignCredential)
	}
	if state := w.State(grant.Action); state != events.StateChallengeFailed {
		t.Errorf("after %d wrong answers the action is %s", ceremonies.DefaultTries, state)
	}
}

func TestHangingUpKeepsTheProof(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	rp, ctx := hangingUp(w)
	stepUp := w.Begin(grant)
	if _, err := rp.FinishStepUp(ctx, grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{}); err != nil {
		t.Error(err)
	}
	if state := w.State(grant.Action); state != events.StateChallengeSucceeded {
		t.Errorf("the action is %s", state)
	}
}

func TestHangingUpKeepsTheEnrolment(t *testing.T) {
	w := ceremonytest.New(t)
	grant := w.TrackNew("anna")
	rp, ctx := hangingUp(w)
	begun, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	answer := ceremonytest.NewDevice(ceremonytest.Synced).Register(t, begun.Options)
	if _, err := rp.FinishEnrolment(ctx, grant, begun.Challenge, answer, ceremonies.Client{}); err != nil {
		t.Error(err)
	}
	if n := len(w.Account("anna").Authenticators); n != 1 {
		t.Errorf("there are %d authenticators, want 1", n)
	}
}

func TestPasskeyThatCameAfterTheActionDoesNotVouchForIt(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	w.Clock.Move(time.Second)
	w.Remove("anna")
	w.Enrolled("anna", ceremonytest.Synced)
	grant = w.Grant(grant.Action, ceremonies.ScopeRead)
	_, err := w.RP.BeginStepUp(t.Context(), grant, ceremonies.Ask{Shown: true})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonNotEnrolledThen)
}

func TestActionOfAnEarlierLifeIsClosed(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	proven := w.Prove("anna", d, ceremonytest.ReadAndAdd)
	open := w.Track("anna", events.StateChallengeRequired, "")
	begun := w.Begin(open)
	w.Clock.Move(time.Second)
	if err := w.Store.DeleteUser(t.Context(), "anna", events.ByApplication); err != nil {
		t.Fatal(err)
	}
	d = w.Enrolled("anna", ceremonytest.Synced)

	open = w.Grant(open.Action, ceremonies.ScopeRead)
	_, err := w.RP.BeginStepUp(t.Context(), open, ceremonies.Ask{Shown: true})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
	_, err = w.RP.FinishStepUp(t.Context(), open, begun.Challenge, d.Answer(t, begun.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonActionNotOpen)
	if state := w.State(open.Action); state == events.StateChallengeSucceeded {
		t.Error("the action of the earlier life is proven")
	}
	_, err = w.RP.BeginEnrolment(t.Context(), w.Grant(proven.Action, ceremonytest.ReadAndAdd), ceremonies.EnrolOptions{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonProofMissing)
}

func TestCauseOfARefusalIsClipped(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	d.Party.Origin = "https://" + strings.Repeat("ü", 20_000)
	_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, d.Answer(t, stepUp.Options), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonOriginMismatch)
	last := w.Last(grant.Action)
	if raw, _ := json.Marshal(last.Detail); len(last.Detail) > 1<<10 || len(last.Detail) < 1000 || strings.Contains(string(raw), `\ufffd`) {
		t.Errorf("the cause has %d bytes: %.200s", len(last.Detail), raw)
	}
}
