package ceremonies_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// ending is what the trail says of one ceremony.
type ending struct {
	begun                        bool
	method                       events.Method
	succeeded, failed, abandoned int
	last                         string // reason of its last event
}

// whole reports whether a ceremony ended exactly once. That by a code that was sent may
// fail as often as it may be answered, and goes on in between.
func (e ending) whole() bool {
	ends := e.succeeded + e.abandoned
	if e.method != events.MethodEmailOTP {
		return ends+e.failed == 1
	}
	return e.failed <= 3 && (ends == 1 || ends == 0 && (e.failed == 3 || e.failed > 0 && e.last != ceremonies.ReasonWrongCode))
}

// tellsWhole reads the trail alone: every ceremony that was begun ends once, actions
// move by the table, and none is proven but by a ceremony that was for it, answered by
// something that vouches.
func tellsWhole(t *testing.T, m *model) {
	t.Helper()
	type factor struct {
		at      time.Time
		under   events.ActionID
		removed bool
	}
	type codesKey struct {
		user   events.UserID
		method events.Method
	}
	endings := map[events.ChallengeID]*ending{}
	states := map[events.ActionID]events.ActionState{}
	tracked := map[events.ActionID]time.Time{}
	factors := map[events.AuthenticatorID]*factor{}
	codes := map[codesKey]time.Time{} // when a person got recovery codes first
	first := map[events.ActionID]bool{}
	for _, a := range m.actions {
		first[a.id] = a.enrolFirst
	}
	for _, e := range log(m.World) {
		record, err := e.Decode()
		if err != nil {
			t.Fatal(err)
		}
		id := e.Action
		switch r := record.(type) {
		case *events.ActionTracked:
			states[id], tracked[id] = r.State, e.Time
		case *events.ActionUpdated:
			if !states[id].CanBecome(r.State, events.ByBackend) {
				t.Errorf("%v: the backend moved it from %s to %s", id, states[id], r.State)
			}
			states[id] = r.State
		case *events.AuthenticatorAdded:
			factors[r.Authenticator] = &factor{at: e.Time, under: id}
		case *events.AuthenticatorRemoved:
			if f := factors[r.Authenticator]; f != nil {
				f.removed = true
			}
			if r.Method == events.MethodRecoveryCode {
				delete(codes, codesKey{id.User, r.Method})
			}
		case *events.UserDeleted:
			delete(codes, codesKey{id.User, events.MethodRecoveryCode})
		case *events.RecoveryCodesRenewed:
			if key := (codesKey{id.User, events.MethodRecoveryCode}); codes[key].IsZero() {
				codes[key] = e.Time
			}
		case *events.Ceremony:
			if r.Challenge != "" {
				if endings[r.Challenge] == nil {
					endings[r.Challenge] = &ending{}
				}
				c := endings[r.Challenge]
				switch r.Step {
				case events.KindCeremonyBegun:
					if c.begun || c.whole() {
						t.Errorf("%s began after it had", r.Challenge)
					}
					c.begun, c.method = true, r.Method
				case events.KindCeremonySucceeded:
					c.succeeded++
				case events.KindCeremonyFailed:
					c.failed++
				case events.KindCeremonyAbandoned:
					c.abandoned++
				}
				c.last = r.Reason
				if !c.begun && r.Purpose != string(ceremonies.ForSignIn) {
					t.Errorf("%s ended before it began", r.Challenge)
				}
			}
			if r.State == "" {
				continue
			}
			if r.Purpose == string(ceremonies.ForEnrolment) {
				if r.State != states[id] {
					t.Errorf("%v: an enrolment moved it to %s", id, r.State)
				}
				continue
			}
			cause := events.ByRefusal
			if r.Step == events.KindCeremonySucceeded {
				cause = events.ByProof
				if !slices.Contains([]string{string(ceremonies.ForAction), string(ceremonies.ForSignIn)}, r.Purpose) {
					t.Errorf("%v: a proof for %s completed it", id, r.Purpose)
				}
				f := factors[r.Authenticator]
				if f == nil && r.Method == events.MethodRecoveryCode {
					f = &factor{at: codes[codesKey{id.User, r.Method}]}
				}
				switch {
				case f == nil || f.removed || f.at.IsZero():
					t.Errorf("%v: it was proven by %q, which the person did not have", id, r.Authenticator)
				case first[id] && f.under != id, !first[id] && f.at.After(tracked[id]):
					t.Errorf("%v: it was proven by %q, which does not vouch for it", id, r.Authenticator)
				}
			}
			if !states[id].CanBecome(r.State, cause) {
				t.Errorf("%v: %s moved it from %s to %s", id, r.Step, states[id], r.State)
			}
			states[id] = r.State
		}
	}
	begun := 0
	for id, c := range endings {
		if !c.begun {
			continue // a sign-in, which begins for nobody
		}
		begun++
		if !c.whole() {
			t.Errorf("%s ended so: %+v", id, *c)
		}
	}
	if begun < 50 {
		t.Errorf("only %d ceremonies were begun", begun)
	}
	for _, a := range m.actions {
		if states[a.id] != a.state {
			t.Errorf("%v is %s in the trail and %s in the model", a.id, states[a.id], a.state)
		}
	}
}
