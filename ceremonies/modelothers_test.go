package ceremonies_test

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/events"
)

// The steps of the model that no ceremony answers.

func (m *model) deny() {
	a := m.action()
	if a == nil || !m.Account(a.id.User).Known {
		return
	}
	if m.random.IntN(3) > 0 {
		return
	}
	open := a.state == events.StateChallengeRequired
	if !m.agree("deny", open, m.RP.Deny(m.Context(), m.grant(a))) {
		return
	}
	a.state = events.StateChallengeFailed
	for _, c := range m.ceremonies {
		c.closed = c.closed || c.action == a
	}
}

// interrupt takes a challenge, and the process ends.
func (m *model) interrupt() {
	c := m.ceremony()
	if c == nil {
		return
	}
	_, err := m.Store.Take(m.Context(), c.id, c.action.id, m.Clock.Now())
	if took := m.answer(c); took != (err == nil) {
		m.Fatalf("take: %v; the model expects %v", err, took)
	}
	c.closed = true
	if err == nil {
		m.done["interrupt"]++
	}
}

// moveAction is what a backend does by PATCH.
func (m *model) moveAction() {
	a := m.action()
	if a == nil || m.random.IntN(3) > 0 {
		return
	}
	all := []events.ActionState{events.StateReviewRequired, events.StateChallengeFailed, events.StateChallengeSucceeded, events.StateReviewSucceeded, events.StateAllow}
	to := all[m.random.IntN(len(all))]
	_, err := m.Store.MoveAction(m.Context(), a.id, to, events.ByApplication)
	may := a.state == to || a.state.CanBecome(to, events.ByBackend)
	if may != (err == nil) {
		m.Fatalf("move from %s to %s: %v", a.state, to, err)
	}
	if may {
		a.state = to
		m.done["move an action"]++
	}
}

// remove takes an authenticator for the backend, and at times the whole person.
func (m *model) remove() {
	p := m.person()
	if m.random.IntN(3) > 0 {
		return
	}
	if m.random.IntN(3) > 0 {
		if has := p.has(); len(has) > 0 {
			id := has[0]
			if err := m.Store.RemoveAuthenticator(m.Context(), p.user, id, events.ByApplication); err != nil {
				m.Fatal(err)
			}
			m.forget(p, id)
			m.done["remove"]++
			return
		}
	}
	if m.random.IntN(6) > 0 {
		return
	}
	if err := m.Store.DeleteUser(m.Context(), p.user, events.ByApplication); err != nil {
		m.Fatal(err)
	}
	m.done["delete"]++
	p.factors, p.codes = map[events.AuthenticatorID]modelFactor{}, nil
	for _, a := range m.actions {
		a.over = a.over || a.id.User == p.user
	}
	for _, c := range m.ceremonies {
		c.closed = c.closed || c.action.id.User == p.user
	}
	m.Clock.Move(time.Second)
}

// signInAgain signs in with any passkey of anybody.
func (m *model) signInAgain() {
	p := m.person()
	for _, id := range p.has() {
		f := p.factors[id]
		if f.device == nil {
			continue
		}
		m.signIns++
		signIn(m.T, m.World, f.device, fmt.Sprintf("s-%d", m.signIns))
		m.done["sign in"]++
		return
	}
}

func (m *model) pass() {
	m.Clock.Move(time.Duration(1+m.random.IntN(40)) * time.Second)
	if m.random.IntN(20) == 0 {
		m.Clock.Move(10 * time.Minute)
	}
}

// sweep ends what ran out.
func (m *model) sweep() {
	if _, err := m.RP.Sweep(m.Context()); err != nil {
		m.Fatal(err)
	}
}
