// Package memory keeps decisions in memory: for programs that embed the engine
// and for examples. What it holds is gone when the process ends, and grows until
// then; a service that must remember uses the server.
package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// Recorder is an engine.Recorder with a log and lists of its own. It is safe for
// concurrent use.
type Recorder struct {
	mu        sync.Mutex
	epoch     events.Epoch
	users     map[events.UserID]*user
	owners    map[string]map[events.UserID]bool // of devices that are known
	decisions map[events.ActionID]*decision
	log       []events.Event
	grown     chan struct{} // closed when the log grows
	observers []func([]events.Event)

	lists       map[string]*list
	listVersion int64
	listChanges []versioned
}

// user is what is kept of one person.
type user struct {
	engine.Profile
	devices   map[string]bool // that the rules have allowed or a proof has established
	addresses map[string]bool // the same of addresses
}

// decision is what is kept of one action.
type decision struct {
	engine.Decision
	device, address string
	place           *engine.Place
}

// New makes an empty recorder.
func New() *Recorder {
	return &Recorder{
		epoch:     events.Epoch(rand.Uint64()),
		users:     map[events.UserID]*user{},
		owners:    map[string]map[events.UserID]bool{},
		decisions: map[events.ActionID]*decision{},
		grown:     make(chan struct{}),
		lists:     map[string]*list{},
	}
}

// Recorded implements engine.Recorder.
func (r *Recorder) Recorded(ctx context.Context, id events.ActionID) (engine.Decision, bool, error) {
	if err := ctx.Err(); err != nil {
		return engine.Decision{}, false, fmt.Errorf("read decision: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d, found := r.decisions[id]
	if !found {
		return engine.Decision{}, false, nil
	}
	return r.current(d), true, nil
}

// Profile implements engine.Recorder. Devices are never remembered here, and of
// passkeys only their age is known.
func (r *Recorder) Profile(ctx context.Context, id events.UserID, device, address string) (engine.Profile, error) {
	if err := ctx.Err(); err != nil {
		return engine.Profile{}, fmt.Errorf("read profile: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := engine.Profile{}
	if u, found := r.users[id]; found {
		p = u.Profile
		p.Methods, p.Passkeys = slices.Clone(p.Methods), slices.Clone(p.Passkeys)
		p.Devices = len(u.devices)
		p.DeviceKnown, p.AddressKnown = u.devices[device], u.addresses[address]
	}
	p.DeviceUsers = len(r.owners[device])
	return p, nil
}

// Record implements engine.Recorder. It never waits, so it cannot fail.
func (r *Recorder) Record(_ context.Context, recording engine.Recording) (engine.Decision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := recording.Decision.ActionID
	if d, found := r.decisions[id]; found {
		stored := r.current(d)
		stored.Repeated = true
		return stored, nil
	}
	u := r.user(id.User, recording.Event.Time)
	set(&u.Email, recording.Action.Email)
	set(&u.PhoneNumber, recording.Action.PhoneNumber)
	set(&u.Username, recording.Action.Username)
	d := &decision{recording.Decision, recording.Action.DeviceID, recording.Address, recording.Place}
	d.Repeated = false
	d.Matches, d.Allowed = slices.Clone(d.Matches), slices.Clone(d.Allowed)
	if recording.EstablishDevice {
		r.establish(u, d)
	}
	r.decisions[id] = d
	r.addItems(recording.Additions, recording.Event.Time)
	r.append(recording.Event)
	return r.current(d), nil
}

// Enrol gives a person an authenticator. It stands for the ceremony that a
// server would hold.
func (r *Recorder) Enrol(id events.UserID, method events.Method, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.user(id, now)
	if !slices.Contains(u.Methods, method) {
		u.Methods = append(u.Methods, method)
	}
	if method == events.MethodPasskey {
		u.Passkeys = append(u.Passkeys, engine.Passkey{CreatedAt: now})
	}
}

// MoveAction changes the state of an action as a backend may. It returns
// engine.ErrNotFound for an action that is not known and *engine.MoveError for a
// move that the transition table refuses. Moving to the current state does
// nothing.
func (r *Recorder) MoveAction(_ context.Context, id events.ActionID, to events.ActionState, by string) (events.ActionState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, found := r.decisions[id]
	switch {
	case !found:
		return "", fmt.Errorf("move action: %w", engine.ErrNotFound)
	case d.State == to:
		return to, nil
	case !d.State.CanBecome(to, events.ByBackend):
		return "", &engine.MoveError{From: d.State, To: to}
	}
	draft, err := events.NewDraft(events.ActionUpdated{ActionID: id, State: to, From: d.State, By: by}, nil, time.Now())
	if err != nil {
		return "", fmt.Errorf("move action: %w", err)
	}
	d.State, d.StateChangedAt = to, draft.Time
	r.append(draft)
	return to, nil
}

// EndChallenge tells how the challenge of an action ended. It stands for the
// ceremony that a server would hold: a success completes the action, makes its
// device and address known and is the last verified place; a denial fails it;
// after a failed answer or an abandoned one the action still waits. It returns
// engine.ErrNotFound for an action that is not known, and *engine.MoveError for a
// success or a denial of one that waits for no challenge.
func (r *Recorder) EndChallenge(_ context.Context, id events.ActionID, result rules.ChallengeResult, method events.Method, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, found := r.decisions[id]
	if !found {
		return fmt.Errorf("end challenge: %w", engine.ErrNotFound)
	}
	step := events.Ceremony{ActionID: id, Ceremony: "authentication", Purpose: "action", Method: method}
	to, cause := d.State, events.ByProof
	switch result {
	case rules.ChallengeSucceeded:
		step.Step, to = events.KindCeremonySucceeded, events.StateChallengeSucceeded
	case rules.ChallengeDenied:
		step.Step, to, cause = events.KindCeremonyDenied, events.StateChallengeFailed, events.ByRefusal
	case rules.ChallengeFailed:
		step.Step = events.KindCeremonyFailed
	case rules.ChallengeAbandoned:
		step.Step = events.KindCeremonyAbandoned
	default:
		return fmt.Errorf("end challenge: there is no result %q", string(result))
	}
	if step.Step == events.KindCeremonySucceeded || step.Step == events.KindCeremonyDenied {
		if !d.State.CanBecome(to, cause) {
			return &engine.MoveError{From: d.State, To: to}
		}
		step.State = to
	}
	draft, err := events.NewDraft(step, nil, now)
	if err != nil {
		return fmt.Errorf("end challenge: %w", err)
	}
	if step.State != "" {
		d.State, d.StateChangedAt = to, draft.Time
	}
	if result == rules.ChallengeSucceeded {
		u := r.user(id.User, now)
		r.establish(u, d)
		u.LastVerifiedAt = draft.Time
		if d.place != nil {
			u.VerifiedAt = &engine.Place{Latitude: d.place.Latitude, Longitude: d.place.Longitude, At: draft.Time}
		}
	}
	r.append(draft)
	return nil
}

// establish makes an action's device and address known. The caller holds the
// lock.
func (r *Recorder) establish(u *user, d *decision) {
	if d.address != "" {
		u.addresses[d.address] = true
	}
	if d.device == "" {
		return
	}
	u.devices[d.device] = true
	if r.owners[d.device] == nil {
		r.owners[d.device] = map[events.UserID]bool{}
	}
	r.owners[d.device][d.User] = true
}

// user returns a person, known from now on. The caller holds the lock.
func (r *Recorder) user(id events.UserID, now time.Time) *user {
	u, found := r.users[id]
	if !found {
		u = &user{Profile: engine.Profile{Known: true, CreatedAt: now}, devices: map[string]bool{}, addresses: map[string]bool{}}
		r.users[id] = u
	}
	return u
}

// current is a stored decision with what may have changed since. The caller
// holds the lock.
func (r *Recorder) current(stored *decision) engine.Decision {
	d := stored.Decision
	d.Matches, d.Allowed = slices.Clone(d.Matches), slices.Clone(d.Allowed)
	u := r.users[d.User]
	d.Methods, d.Generation = slices.Clone(u.Methods), u.Generation
	return d
}

// set keeps an attribute that was sent; an empty one says nothing.
func set(attribute *string, value string) {
	if value != "" {
		*attribute = value
	}
}
