// Package ceremonytest is for the tests of ceremonies and of its pages: a relying
// party over the real store, a clock that stands still, and software passkeys.
package ceremonytest

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

// What every world is about.
const (
	Origin      = "https://shop.example"
	ID          = "shop.example"
	Tenant      = "acme"
	Prompt      = "Pay 1250 to Maria K."
	RedirectURL = "https://shop.example/orders/7?from=mail#top"
	ReadAndAdd  = ceremonies.ScopeRead + " " + ceremonies.ScopeAdd
)

// Key makes the keys of codes and secrets.
var Key = []byte(strings.Repeat("k", 32))

// Clock is a clock that stands until it is moved.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock is a clock that stands at noon of 22 November 2026, UTC.
func NewClock() *Clock { return &Clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Move sets the clock forward.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Mailbox is a Mailer that keeps what it is given.
type Mailbox struct {
	mu    sync.Mutex
	mails []ceremonies.Mail
	Fail  error // what Send returns instead of keeping
}

// Send implements ceremonies.Mailer.
func (m *Mailbox) Send(_ context.Context, mail ceremonies.Mail) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		return m.Fail
	}
	m.mails = append(m.mails, mail)
	return nil
}

// All is every mail so far for an occasion.
func (m *Mailbox) All(occasion ceremonies.Occasion) []ceremonies.Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []ceremonies.Mail
	for _, mail := range m.mails {
		if mail.Occasion == occasion {
			found = append(found, mail)
		}
	}
	return found
}

// Code is the newest code that was sent, "" when none was.
func (m *Mailbox) Code() string {
	codes := m.All(ceremonies.MailCode)
	if len(codes) == 0 {
		return ""
	}
	return codes[len(codes)-1].Code
}

// World is a relying party with a store and a clock of its own.
type World struct {
	*testing.T
	Clock  *Clock
	Store  *store.Store
	Tokens *ceremonies.Tokens
	RP     *ceremonies.RelyingParty
	Mail   *Mailbox

	keys *atomic.Int64 // that were given out to actions
}

// New opens a world in a temporary folder. The changes apply to the relying
// party's configuration.
func New(t *testing.T, changes ...func(*ceremonies.Config)) *World {
	t.Helper()
	return Open(t, changes...).In(t)
}

// Open is New for a fuzz target: In gives each input the world.
func Open(t testing.TB, changes ...func(*ceremonies.Config)) *World {
	t.Helper()
	w := &World{Clock: NewClock(), Mail: &Mailbox{}, keys: &atomic.Int64{}}
	var err error
	if w.Store, err = store.Open(t.Context(), store.Config{Dir: t.TempDir(), Now: w.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Tokens, err = ceremonies.NewTokens(ceremonies.TokenConfig{
		Tenant: Tenant, Keys: []ceremonies.Key{{ID: "k1", Secret: []byte(strings.Repeat("s", 32))}}, Now: w.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.RP, err = w.relyingParty(changes); err != nil {
		t.Fatal(err)
	}
	return w
}

// RelyingParty makes another relying party over the world's store.
func (w *World) RelyingParty(changes ...func(*ceremonies.Config)) *ceremonies.RelyingParty {
	w.Helper()
	rp, err := w.relyingParty(changes)
	if err != nil {
		w.Fatal(err)
	}
	return rp
}

func (w *World) relyingParty(changes []func(*ceremonies.Config)) (*ceremonies.RelyingParty, error) {
	config := ceremonies.Config{ID: ID, Name: "Example Shop", Origins: []string{Origin}, Tenant: Tenant, Key: Key, Mailer: w.Mail, Now: w.Clock.Now}
	for _, change := range changes {
		change(&config)
	}
	return ceremonies.New(config, w.Store, w.Tokens)
}

// In is the world for a sub-test, which fails instead of the test that made it.
func (w *World) In(t *testing.T) *World {
	return &World{T: t, Clock: w.Clock, Store: w.Store, Tokens: w.Tokens, RP: w.RP, Mail: w.Mail, keys: w.keys}
}

// EnrolSoftware is a person with one passkey of a software authenticator, enrolled
// the way a new person is.
func (w *World) EnrolSoftware(user events.UserID, s *Software) {
	w.Helper()
	grant := w.TrackNew(user)
	enrolment, err := w.RP.BeginEnrolment(w.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.RP.FinishEnrolment(w.Context(), grant, enrolment.Challenge, s.Create(enrolment.Options).Write(), ceremonies.Client{}); err != nil {
		w.Fatal(err)
	}
}

// Track records an action in the given state and returns what an access token
// for it says. The changes apply to what is recorded.
func (w *World) Track(user events.UserID, state events.ActionState, scope string, changes ...func(*engine.Recording)) ceremonies.Grant {
	w.Helper()
	id := events.ActionID{User: user, Code: "payment", Key: "order-" + strconv.FormatInt(w.keys.Add(1), 10)}
	profile, err := w.Store.Profile(w.Context(), user, "device-1", "")
	if err != nil {
		w.Fatal(err)
	}
	recording := engine.Recording{
		Action: engine.Action{
			ActionID: id, Email: string(user) + "@example.com", DeviceID: "device-1", Locale: "en", Scope: scope,
			RedirectURL: RedirectURL, RawCustom: json.RawMessage(`{"amount":1250,"payee":"Maria K."}`),
		},
		Decision: engine.Decision{
			ActionID: id, Outcome: rules.Outcome("CHALLENGE"), State: state, Reason: "rule",
			Prompt: Prompt, PromptID: "payment@7", Methods: profile.Methods,
		},
	}
	for _, change := range changes {
		change(&recording)
	}
	id = recording.Decision.ActionID
	recording.Event, err = events.NewDraft(&events.ActionTracked{ActionID: id, State: state, Outcome: "CHALLENGE", Reason: string(recording.Decision.Reason), Enrolled: profile.Enrolled(), Allowed: recording.Decision.Allowed, UserVerification: recording.Decision.UserVerification}, nil, w.Clock.Now())
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.Store.Record(w.Context(), recording); err != nil {
		w.Fatal(err)
	}
	return w.Grant(id, ceremonies.ScopeRead)
}

// TrackNew is Track for a person who may enrol.
func (w *World) TrackNew(user events.UserID) ceremonies.Grant {
	w.Helper()
	grant := w.Track(user, events.StateAllow, "")
	grant.Scopes = ReadAndAdd
	return grant
}

// Grant is an access grant of the user's present generation.
func (w *World) Grant(id events.ActionID, scopes string) ceremonies.Grant {
	w.Helper()
	return ceremonies.Grant{
		ID: "g", Use: ceremonies.UseAccess, Action: id, Scopes: scopes, Generation: w.Account(id.User).Generation,
		Expires: w.Clock.Now().Add(ceremonies.TokenTTL),
	}
}

// Account reads a person.
func (w *World) Account(user events.UserID) ceremonies.Account {
	w.Helper()
	account, err := w.Store.Account(w.Context(), user)
	if err != nil {
		w.Fatal(err)
	}
	return account
}

// Enrolled is a person with one passkey, enrolled the way a new person is.
func (w *World) Enrolled(user events.UserID, kind Kind) *Device {
	w.Helper()
	grant := w.TrackNew(user)
	d := NewDevice(kind)
	enrolment, err := w.RP.BeginEnrolment(w.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.RP.FinishEnrolment(w.Context(), grant, enrolment.Challenge, d.Register(w.T, enrolment.Options), ceremonies.Client{}); err != nil {
		w.Fatal(err)
	}
	return d
}

// Begin begins a step-up.
func (w *World) Begin(grant ceremonies.Grant) ceremonies.StepUp {
	w.Helper()
	stepUp, err := w.RP.BeginStepUp(w.Context(), grant, ceremonies.Ask{Shown: true})
	if err != nil {
		w.Fatal(err)
	}
	return stepUp
}

// Prove tracks an action with a scope and proves it.
func (w *World) Prove(user events.UserID, d *Device, scope string) ceremonies.Grant {
	w.Helper()
	grant := w.Track(user, events.StateChallengeRequired, scope)
	stepUp := w.Begin(grant)
	if _, err := w.RP.FinishStepUp(w.Context(), grant, stepUp.Challenge, d.Answer(w.T, stepUp.Options), ceremonies.Client{}); err != nil {
		w.Fatal(err)
	}
	return grant
}

// Remove takes a person's passkey away.
func (w *World) Remove(user events.UserID) {
	w.Helper()
	for _, authenticator := range w.Account(user).Authenticators {
		if err := w.Store.RemoveAuthenticator(w.Context(), user, authenticator.ID, events.ByApplication); err != nil {
			w.Fatal(err)
		}
	}
}

// State is where an action stands.
func (w *World) State(id events.ActionID) events.ActionState {
	w.Helper()
	action, err := w.Store.Action(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return action.State
}

// Story is every event about an action.
func (w *World) Story(id events.ActionID) []events.Event {
	w.Helper()
	story, err := w.Store.Story(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return story
}

// Last is the newest ceremony step of an action.
func (w *World) Last(id events.ActionID) *events.Ceremony {
	w.Helper()
	story := w.Story(id)
	for i := len(story) - 1; i >= 0; i-- {
		record, err := story[i].Decode()
		if err != nil {
			w.Fatal(err)
		}
		if ceremony, ok := record.(*events.Ceremony); ok {
			return ceremony
		}
	}
	w.Fatal("no ceremony was recorded")
	return nil
}

// SignIn is a ceremonies.Track: it records the action as one that waits for a proof.
func (w *World) SignIn(ctx context.Context, id events.ActionID) error {
	return w.SignInWith()(ctx, id)
}

// SignInWith is SignIn with changes to what is recorded.
func (w *World) SignInWith(changes ...func(*engine.Recording)) ceremonies.Track {
	return func(_ context.Context, id events.ActionID) error {
		name := func(r *engine.Recording) { r.Action.ActionID, r.Decision.ActionID = id, id }
		w.Track(id.User, events.StateChallengeRequired, "", append([]func(*engine.Recording){name}, changes...)...)
		return nil
	}
}
