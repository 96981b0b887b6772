// Package recordertest holds the contract of engine.Recorder as a test suite.
// Every implementation runs it.
package recordertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// mover is the part of a recorder that changes an action's state. It is no part
// of engine.Recorder, which the engine alone uses, but the suite must see that a
// changed state is read back.
type mover interface {
	MoveAction(ctx context.Context, id events.ActionID, to events.ActionState, by string) (events.ActionState, error)
}

// Run checks that the recorders that open makes keep the contract. Each call of
// open must return an empty recorder.
func Run(t *testing.T, open func(t *testing.T) engine.Recorder) {
	tests := []struct {
		name string
		test func(*testing.T, engine.Recorder)
	}{
		{"an action that was never recorded is not found", unknownAction},
		{"a person who is not known has an empty profile", unknownUser},
		{"a recorded decision is read back as it was", readBack},
		{"recording an action again returns the stored decision", again},
		{"actions differ by user, code and key", identity},
		{"concurrent duplicates keep one decision", duplicates},
		{"concurrent actions of many people are all kept", many},
		{"a person is known from the first action on", firstAction},
		{"an attribute that is not sent stays as it was", attributes},
		{"a device is known once an action established it", device},
		{"a device counts the people whom it is known for", deviceUsers},
		{"an address is known once an action established it", address},
		{"an action without a device establishes its address, and the other way round", halves},
		{"a changed state is read back", state},
		{"what rules add is on the list until the later of the times", additions},
		{"an action that is recorded again adds nothing", additionsAgain},
		{"a list takes no item of another type, and the decision stands", otherType},
		{"observers hear of an event before its writer is answered", observed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// base is the time of the recorded decisions. Stores need not keep more than
// microseconds.
var base = time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)

// recording makes a decision about an action, as the engine would.
func recording(t *testing.T, id events.ActionID) engine.Recording {
	t.Helper()
	r := engine.Recording{
		Action: engine.Action{ActionID: id, IP: "192.0.2.7", UserAgent: "test"},
		Decision: engine.Decision{
			ActionID: id, Outcome: rules.Challenge, State: events.StateChallengeRequired, Reason: rules.ByRule, Rule: "large", Set: 3,
			Matches:          []rules.Match{{ID: "large", Name: "Large", Outcome: rules.Challenge, Mode: rules.Live, Result: rules.Matched, Decides: true}},
			Allowed:          []events.Method{events.MethodPasskey, events.MethodSecurityKey},
			UserVerification: string(rules.VerificationDiscouraged), Prompt: "Pay 250 EUR", PromptID: id.Code + "@3", CreatedAt: base, StateChangedAt: base,
		},
		Country: "NZ",
	}
	matches, err := rules.EncodeMatches(r.Decision.Matches, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.Event, err = events.NewDraft(events.ActionTracked{
		ActionID: id, State: r.Decision.State, Outcome: string(r.Decision.Outcome), Reason: string(r.Decision.Reason),
		Rule: r.Decision.Rule, RuleName: "Large", Set: 3, Matches: matches, Country: "NZ", Shown: r.Decision.PromptID,
		Allowed: r.Decision.Allowed, UserVerification: r.Decision.UserVerification,
	}, events.Personal{events.PersonalIP: "192.0.2.7"}, base)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func record(t *testing.T, r engine.Recorder, recording engine.Recording) engine.Decision {
	t.Helper()
	d, err := r.Record(t.Context(), recording)
	if err != nil {
		t.Fatalf("Record: %v", err)
	}
	return d
}

func recorded(t *testing.T, r engine.Recorder, id events.ActionID) engine.Decision {
	t.Helper()
	d, found, err := r.Recorded(t.Context(), id)
	if err != nil || !found {
		t.Fatalf("Recorded(%v) = found %v, error %v", id, found, err)
	}
	return d
}

func profile(t *testing.T, r engine.Recorder, user events.UserID, device string) engine.Profile {
	t.Helper()
	p, err := r.Profile(t.Context(), user, device, "")
	if err != nil {
		t.Fatalf("Profile: %v", err)
	}
	return p
}

// same compares decisions. Repeated tells about one call, not about the decision,
// and the generation is the person's, who gets one with the first action.
func same(t *testing.T, what string, got, want engine.Decision) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(engine.Decision{}, "Repeated", "Generation")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var payment = events.ActionID{User: "jane", Code: "payment", Key: "k1"}

func unknownAction(t *testing.T, r engine.Recorder) {
	d, found, err := r.Recorded(t.Context(), payment)
	if err != nil || found {
		t.Errorf("Recorded = %+v, %v, %v; want not found", d, found, err)
	}
}

func unknownUser(t *testing.T, r engine.Recorder) {
	if diff := cmp.Diff(engine.Profile{}, profile(t, r, "nobody", "phone"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("profile of nobody (-want +got):\n%s", diff)
	}
}

func readBack(t *testing.T, r engine.Recorder) {
	want := recording(t, payment)
	got := record(t, r, want)
	if got.Repeated {
		t.Error("the first recording says Repeated")
	}
	same(t, "answer of Record", got, want.Decision)
	same(t, "answer of Recorded", recorded(t, r, payment), want.Decision)
}

func again(t *testing.T, r engine.Recorder) {
	first := recording(t, payment)
	record(t, r, first)
	second := recording(t, payment)
	second.Decision.Outcome, second.Decision.State = rules.Allow, events.StateAllow
	second.Action.Email = "other@example.com"
	second.Action.DeviceID, second.EstablishDevice = "phone", true
	got := record(t, r, second)
	if !got.Repeated {
		t.Error("the second recording does not say Repeated")
	}
	same(t, "answer of the second Record", got, first.Decision)
	if p := profile(t, r, payment.User, "phone"); p.Email != "" || p.DeviceKnown {
		t.Errorf("the second recording changed the person: %+v", p)
	}
}

func identity(t *testing.T, r engine.Recorder) {
	ids := []events.ActionID{
		payment,
		{User: "joe", Code: "payment", Key: "k1"},
		{User: "jane", Code: "sign-in", Key: "k1"},
		{User: "jane", Code: "payment", Key: "k2"},
		{User: "jane", Code: "payment", Key: "K1"},
	}
	for _, id := range ids {
		if d := record(t, r, recording(t, id)); d.Repeated {
			t.Errorf("%v is taken for another action", id)
		}
	}
	for _, id := range ids {
		if d := recorded(t, r, id); d.ActionID != id {
			t.Errorf("Recorded(%v) is of %v", id, d.ActionID)
		}
	}
}

func duplicates(t *testing.T, r engine.Recorder) {
	const callers = 16
	recordings := make([]engine.Recording, callers)
	for i := range recordings {
		recordings[i] = recording(t, payment)
		recordings[i].Decision.Prompt = fmt.Sprintf("Pay %d EUR", i)
	}
	answers := make([]engine.Decision, callers)
	errs := make([]error, callers)
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() { answers[i], errs[i] = r.Record(t.Context(), recordings[i]) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	firsts := 0
	for i, d := range answers {
		if !d.Repeated {
			firsts++
		}
		if d.Prompt != answers[0].Prompt {
			t.Errorf("caller %d got the decision %q, caller 0 %q", i, d.Prompt, answers[0].Prompt)
		}
	}
	if firsts != 1 {
		t.Errorf("%d callers recorded the action; want 1", firsts)
	}
}

func many(t *testing.T, r engine.Recorder) {
	const people = 24
	var wait sync.WaitGroup
	errs := make([]error, people)
	recordings := make([]engine.Recording, people)
	for i := range people {
		recordings[i] = recording(t, events.ActionID{User: events.UserID(fmt.Sprintf("user-%d", i)), Code: "payment", Key: "k"})
		wait.Go(func() { _, errs[i] = r.Record(t.Context(), recordings[i]) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, want := range recordings {
		same(t, string(want.Decision.User), recorded(t, r, want.Decision.ActionID), want.Decision)
	}
}

func firstAction(t *testing.T, r engine.Recorder) {
	first := recording(t, payment)
	first.Action.Email, first.Action.PhoneNumber, first.Action.Username = "jane@example.com", "+6421555123", "jane"
	record(t, r, first)
	want := engine.Profile{Known: true, CreatedAt: base, Email: "jane@example.com", PhoneNumber: "+6421555123", Username: "jane"}
	// A store may take its own clock for a person's creation, and draws the generation.
	ignore := cmpopts.IgnoreFields(engine.Profile{}, "CreatedAt", "Generation")
	got := profile(t, r, payment.User, "")
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), ignore); diff != "" {
		t.Errorf("profile after the first action (-want +got):\n%s", diff)
	}
	if got.CreatedAt.IsZero() {
		t.Error("the profile has no time of creation")
	}
	later := recording(t, events.ActionID{User: payment.User, Code: "payment", Key: "k2"})
	record(t, r, later)
	if after := profile(t, r, payment.User, ""); !after.CreatedAt.Equal(got.CreatedAt) {
		t.Errorf("a later action moved the person's creation from %v to %v", got.CreatedAt, after.CreatedAt)
	}
}

func attributes(t *testing.T, r engine.Recorder) {
	first := recording(t, payment)
	first.Action.Email, first.Action.Username = "jane@example.com", "jane"
	record(t, r, first)
	second := recording(t, events.ActionID{User: payment.User, Code: "payment", Key: "k2"})
	second.Action.Email = "new@example.com"
	record(t, r, second)
	if p := profile(t, r, payment.User, ""); p.Email != "new@example.com" || p.Username != "jane" {
		t.Errorf("e-mail %q, user name %q; want the new e-mail and the old user name", p.Email, p.Username)
	}
}

func device(t *testing.T, r engine.Recorder) {
	challenged := recording(t, payment)
	challenged.Action.DeviceID = "phone"
	record(t, r, challenged)
	if profile(t, r, payment.User, "phone").DeviceKnown {
		t.Error("a challenged action made the device known")
	}
	allowed := recording(t, events.ActionID{User: payment.User, Code: "payment", Key: "k2"})
	allowed.Action.DeviceID, allowed.EstablishDevice = "phone", true
	record(t, r, allowed)
	if !profile(t, r, payment.User, "phone").DeviceKnown {
		t.Error("an allowed action did not make the device known")
	}
	if profile(t, r, payment.User, "laptop").DeviceKnown {
		t.Error("another device became known")
	}
	if profile(t, r, "joe", "phone").DeviceKnown {
		t.Error("the device became known for another person")
	}
	if profile(t, r, payment.User, "").DeviceKnown {
		t.Error("no device is known")
	}
}

func state(t *testing.T, r engine.Recorder) {
	m, ok := r.(mover)
	if !ok {
		t.Fatalf("%T has no MoveAction; the suite needs it to change a state", r)
	}
	want := recording(t, payment)
	record(t, r, want)
	if got, err := m.MoveAction(t.Context(), payment, events.StateReviewRequired, events.ByApplication); err != nil || got != events.StateReviewRequired {
		t.Fatalf("MoveAction = %v, %v", got, err)
	}
	d := recorded(t, r, payment)
	if d.State != events.StateReviewRequired || d.Outcome != rules.Challenge {
		t.Errorf("state %v, outcome %v; want the new state and the old outcome", d.State, d.Outcome)
	}
	if repeated := record(t, r, want); repeated.State != events.StateReviewRequired {
		t.Errorf("recording again returns state %v", repeated.State)
	}
	var refused *engine.MoveError
	if _, err := m.MoveAction(t.Context(), payment, events.StateChallengeSucceeded, events.ByApplication); !errors.As(err, &refused) {
		t.Errorf("a backend completed a challenge: error %v, want *engine.MoveError", err)
	}
	missing := events.ActionID{User: "jane", Code: "payment", Key: "other"}
	if _, err := m.MoveAction(t.Context(), missing, events.StateReviewRequired, events.ByApplication); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("moving an unknown action: error %v, want ErrNotFound", err)
	}
}
