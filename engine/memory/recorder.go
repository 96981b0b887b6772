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
)

// Recorder is an engine.Recorder with a log of its own. It is safe for
// concurrent use.
type Recorder struct {
	mu        sync.Mutex
	epoch     events.Epoch
	users     map[events.UserID]*user
	decisions map[events.ActionID]*engine.Decision
	log       []events.Event
}

// user is what is kept of one person.
type user struct {
	engine.Profile
	devices map[string]bool // that the rules have allowed or a proof has established
}

// New makes an empty recorder.
func New() *Recorder {
	return &Recorder{
		epoch:     events.Epoch(rand.Uint64()),
		users:     map[events.UserID]*user{},
		decisions: map[events.ActionID]*engine.Decision{},
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

// Profile implements engine.Recorder.
func (r *Recorder) Profile(ctx context.Context, id events.UserID, device, _ string) (engine.Profile, error) {
	if err := ctx.Err(); err != nil {
		return engine.Profile{}, fmt.Errorf("read profile: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u, found := r.users[id]
	if !found {
		return engine.Profile{}, nil
	}
	p := u.Profile
	p.Methods = slices.Clone(p.Methods)
	p.DeviceKnown = device != "" && u.devices[device]
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
	if recording.EstablishDevice {
		u.devices[recording.Action.DeviceID] = true
	}
	d := recording.Decision
	d.Repeated = false
	d.Matches = slices.Clone(d.Matches)
	r.decisions[id] = &d
	r.append(recording.Event)
	return r.current(&d), nil
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

// Events returns the log so far, oldest first.
func (r *Recorder) Events() []events.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

// user returns a person, known from now on. The caller holds the lock.
func (r *Recorder) user(id events.UserID, now time.Time) *user {
	u, found := r.users[id]
	if !found {
		u = &user{Profile: engine.Profile{Known: true, CreatedAt: now}, devices: map[string]bool{}}
		r.users[id] = u
	}
	return u
}

// current is a stored decision with what may have changed since. The caller
// holds the lock.
func (r *Recorder) current(stored *engine.Decision) engine.Decision {
	d := *stored
	d.Matches = slices.Clone(d.Matches)
	u := r.users[d.User]
	d.Methods, d.Generation = slices.Clone(u.Methods), u.Generation
	return d
}

func (r *Recorder) append(d events.Draft) {
	r.log = append(r.log, d.At(events.Position{Epoch: r.epoch, Seq: uint64(len(r.log)) + 1}))
}

// set keeps an attribute that was sent; an empty one says nothing.
func set(attribute *string, value string) {
	if value != "" {
		*attribute = value
	}
}
