package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

// base is the time of recorded decisions.
var base = time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.UTC)

// writers opens a store twice: two nodes on PostgreSQL, and on SQLite, where a
// second one is refused, the same store for two groups of callers.
func writers(t *testing.T, config store.Config) [2]*store.Store {
	t.Helper()
	first := storetest.Open(t, config)
	if config.PostgreSQL == "" {
		return [2]*store.Store{first, first}
	}
	return [2]*store.Store{first, storetest.Open(t, config)}
}

// action names the n-th payment of a user.
func action(user string, n int) events.ActionID {
	return events.ActionID{User: events.UserID(user), Code: "payment", Key: fmt.Sprintf("key-%04d", n)}
}

// recording is a decision as the engine makes it.
func recording(tb testing.TB, id events.ActionID, state events.ActionState) engine.Recording {
	tb.Helper()
	outcome := map[events.ActionState]rules.Outcome{
		events.StateAllow: rules.Allow, events.StateBlock: rules.Block,
		events.StateChallengeRequired: rules.Challenge, events.StateReviewRequired: rules.Review,
	}[state]
	match := rules.Match{ID: "large", Name: "Large payments", Outcome: outcome, Mode: rules.Live, Result: rules.Matched, Decides: true}
	matches, err := rules.EncodeMatches([]rules.Match{match}, 1)
	if err != nil {
		tb.Fatal(err)
	}
	event, err := events.NewDraft(events.ActionTracked{
		ActionID: id, State: state, Outcome: string(outcome), Reason: "rule", Rule: "large", RuleName: "Large payments", Set: 3,
		Matches: matches, Country: "NZ", Shown: "payment@3", Micros: 41,
	}, events.Personal{
		events.PersonalIP: "192.0.2.7", events.PersonalUserAgent: "agent", events.PersonalDevice: "phone",
		events.PersonalEmail: string(id.User) + "@example.com", events.PersonalFacts: `{"v":1}`,
	}, base)
	if err != nil {
		tb.Fatal(err)
	}
	return engine.Recording{
		Action: engine.Action{
			ActionID: id, Email: string(id.User) + "@example.com", DeviceID: "phone", IP: "192.0.2.7", UserAgent: "agent",
			Locale: "en", RedirectURL: "https://shop.example/done", Scope: "read:authenticators",
			RawCustom: json.RawMessage(`{"amount":250}`),
		},
		Decision: engine.Decision{
			ActionID: id, Outcome: outcome, State: state, Reason: rules.ByRule, Rule: "large", Set: 3, Matches: []rules.Match{match},
			Prompt: "Pay 250 EUR", PromptID: "payment@3", Methods: []events.Method{events.MethodPasskey},
			CreatedAt: base, StateChangedAt: base,
		},
		Country: "NZ", Event: event,
	}
}

func track(tb testing.TB, s *store.Store, id events.ActionID, state events.ActionState) engine.Decision {
	tb.Helper()
	d, err := s.Record(context.Background(), recording(tb, id, state))
	if err != nil {
		tb.Fatalf("record %v: %v", id, err)
	}
	return d
}

// enrol gives a user a passkey.
func enrol(tb testing.TB, s *store.Store, user string, n int) ceremonies.Authenticator {
	tb.Helper()
	a := passkey(user, n)
	if err := s.AddAuthenticator(context.Background(), a, events.ByApplication); err != nil {
		tb.Fatal(err)
	}
	return a
}

func passkey(user string, n int) ceremonies.Authenticator {
	return ceremonies.Authenticator{
		ID: events.AuthenticatorID(fmt.Sprintf("passkey-%s-%d", user, n)), User: events.UserID(user), Method: events.MethodPasskey,
		Name: "Phone", CredentialID: fmt.Appendf(nil, "credential-%s-%d", user, n), Credential: json.RawMessage(`{"id":"AA"}`),
		AAGUID: "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", Synced: true, Attachment: "platform", SignCount: 3,
		UserAgent: "agent", DeviceID: "phone", CreatedAt: base.Add(time.Duration(n) * time.Second),
	}
}

func challenge(id events.ActionID, n int) ceremonies.Challenge {
	return ceremonies.Challenge{
		ID: events.ChallengeID(fmt.Sprintf("challenge-%s-%s-%d", id.User, id.Key, n)), Kind: ceremonies.Authentication,
		Purpose: ceremonies.ForAction, Action: id, Session: json.RawMessage(`{"challenge":"AA"}`),
		Most: 1, Nonce: []byte("nonce"), Digest: []byte(`{"v":1}`), Shown: true, BegunAt: base, Expires: base.Add(150 * time.Second),
	}
}

// step is the event of a ceremony's step.
func step(tb testing.TB, kind events.Kind, c ceremonies.Challenge, state events.ActionState, tries int) events.Draft {
	tb.Helper()
	draft, err := events.NewDraft(events.Ceremony{
		Step: kind, ActionID: c.Action, State: state, Challenge: c.ID, Ceremony: string(c.Kind), Purpose: string(c.Purpose), Tries: tries,
	}, events.Personal{events.PersonalUserAgent: "agent"}, base)
	if err != nil {
		tb.Fatal(err)
	}
	return draft
}

// taken begins a challenge and takes it.
func taken(tb testing.TB, s *store.Store, c ceremonies.Challenge) ceremonies.Challenge {
	tb.Helper()
	ctx := context.Background()
	if err := s.Begin(ctx, c, step(tb, events.KindCeremonyBegun, c, "", 0)); err != nil {
		tb.Fatalf("begin: %v", err)
	}
	got, err := s.Take(ctx, c.ID, c.Action, base.Add(time.Second))
	if err != nil {
		tb.Fatalf("take: %v", err)
	}
	return got
}

// outcome ends a challenge with one event of a kind.
func outcome(tb testing.TB, c ceremonies.Challenge, kind events.Kind) ceremonies.Outcome {
	return ceremonies.Outcome{
		Challenge: c, Tries: 3, At: base.Add(2 * time.Second),
		Events: func(state events.ActionState, tries int) ([]events.Draft, error) {
			return []events.Draft{step(tb, kind, c, state, tries)}, nil
		},
	}
}

// wholeLog reads the log from its first event.
func wholeLog(tb testing.TB, s *store.Store) []events.Event {
	tb.Helper()
	var all []events.Event
	for after := (events.Position{}); ; {
		run, err := s.EventsAfter(context.Background(), after, 100)
		if err != nil {
			tb.Fatal(err)
		}
		if len(run) == 0 {
			return all
		}
		all = append(all, run...)
		after = run[len(run)-1].Position
	}
}

// kinds are the kinds of the log's events after the first n.
func kinds(tb testing.TB, s *store.Store, n int) []events.Kind {
	tb.Helper()
	found := []events.Kind{}
	for _, e := range wholeLog(tb, s)[n:] {
		found = append(found, e.Kind)
	}
	return found
}

// together runs n calls at once and returns their errors.
func together(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wait.Wait()
	return errs
}

// crowd runs n calls, 64 at once, in order, and returns their errors.
func crowd(n int, call func(i int) error) []error {
	errs := make([]error, n)
	var next atomic.Int64
	together(64, func(int) error {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			errs[i] = call(i)
		}
		return nil
	})
	return errs
}
