package ceremonies_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// The reference model: what people have, which actions wait, and which ceremonies are
// open. It knows nothing of transactions, sessions or signatures.
type (
	modelFactor struct {
		method  events.Method
		device  *ceremonytest.Device // of a passkey
		created time.Time
		under   events.ActionID // that it was enrolled with
		number  int             // of all that there were: what chooses one must not depend on random names
	}
	modelAction struct {
		id         events.ActionID
		state      events.ActionState
		tries      int
		created    time.Time
		enrolled   bool
		enrolFirst bool
		over       bool // its person was deleted since
	}
	modelCeremony struct {
		id      events.ChallengeID
		action  *modelAction
		purpose ceremonies.Purpose
		subject string
		kind    ceremonies.Kind
		offered map[events.AuthenticatorID]bool
		expires time.Time
		answers int // that it survives still
		closed  bool
		request ceremonies.StepUp
		create  ceremonies.Enrolment
		grant   ceremonies.Grant // of a registration
		code    string
	}
	modelPerson struct {
		user    events.UserID
		factors map[events.AuthenticatorID]modelFactor
		codes   []string // recovery codes that are left
		used    []string
	}
	model struct {
		*ceremonytest.World
		random     *rand.Rand
		people     []*modelPerson
		actions    []*modelAction
		ceremonies []*modelCeremony
		done       map[string]int // how often each step did something, and succeeded
		signIns    int
		factors    int
	}
)

// vouches reports whether a factor may prove an action.
func (f modelFactor) vouches(a *modelAction) bool {
	if a.enrolFirst {
		return f.under == a.id
	}
	return a.enrolled && !f.created.After(a.created)
}

func (a *modelAction) blocked() bool {
	return a.state == events.StateBlock || a.state == events.StateChallengeFailed || a.state == events.StateReviewFailed
}

// enrolsFirst reports whether a person without anything may enrol with an action.
func (a *modelAction) enrolsFirst(p *modelPerson) bool {
	return len(p.factors) == 0 && !a.blocked() && a.state != events.StateChallengeRequired
}

// has are a person's factors in the order in which they came.
func (p *modelPerson) has() []events.AuthenticatorID {
	return slices.SortedFunc(maps.Keys(p.factors), func(a, b events.AuthenticatorID) int { return p.factors[a].number - p.factors[b].number })
}

// gets gives a person a factor.
func (m *model) gets(p *modelPerson, id events.AuthenticatorID, f modelFactor) {
	m.factors++
	f.number, f.created = m.factors, m.Clock.Now()
	p.factors[id] = f
}

func (m *model) person() *modelPerson { return m.people[m.random.IntN(len(m.people))] }

// action is one of the newest.
func (m *model) action() *modelAction {
	if len(m.actions) == 0 {
		return nil
	}
	return m.actions[len(m.actions)-1-m.random.IntN(min(len(m.actions), 8))]
}

// ceremony is one of the newest, an open one most often.
func (m *model) ceremony() *modelCeremony {
	if len(m.ceremonies) == 0 {
		return nil
	}
	c := m.ceremonies[len(m.ceremonies)-1-m.random.IntN(min(len(m.ceremonies), 8))]
	for range 8 {
		if !c.closed || m.random.IntN(8) == 0 {
			break
		}
		c = m.ceremonies[len(m.ceremonies)-1-m.random.IntN(min(len(m.ceremonies), 8))]
	}
	return c
}

func (m *model) of(user events.UserID) *modelPerson {
	for _, p := range m.people {
		if p.user == user {
			return p
		}
	}
	m.Fatalf("nobody is called %s", user)
	return nil
}

// agree checks that what happened is what the model expects.
func (m *model) agree(step string, want bool, err error) bool {
	m.Helper()
	var refused *ceremonies.RefusedError
	if err != nil && !errors.As(err, &refused) {
		m.Fatalf("%s: %v; want success or a refusal", step, err)
	}
	if want != (err == nil) {
		m.Fatalf("%s: %v; the model expects success %v", step, err, want)
	}
	m.done[step]++
	if want {
		m.done[step+", rightly"]++
	}
	return want
}

// wrong counts a wrong answer to a ceremony that takes one.
func (m *model) wrong(c *modelCeremony) {
	if c.purpose != ceremonies.ForAction || c.action.state != events.StateChallengeRequired {
		return
	}
	if c.action.tries++; c.action.tries >= ceremonies.DefaultTries {
		c.action.state = events.StateChallengeFailed
	}
}

// answer uses up one answer and reports whether there was one.
func (m *model) answer(c *modelCeremony) bool {
	if c.closed || c.answers == 0 || !m.Clock.Now().Before(c.expires) {
		return false
	}
	c.answers--
	c.closed = c.answers == 0
	return true
}

func (m *model) grant(a *modelAction) ceremonies.Grant {
	return m.Grant(a.id, ceremonies.ScopeRead)
}

func (m *model) track() {
	p := m.person()
	states := []events.ActionState{events.StateChallengeRequired, events.StateChallengeRequired, events.StateAllow, events.StateBlock}
	state := states[m.random.IntN(len(states))]
	a := &modelAction{state: state, created: m.Clock.Now(), enrolled: len(p.factors) > 0}
	first := !a.enrolled && state == events.StateChallengeRequired && m.random.IntN(2) == 0
	a.enrolFirst = first
	a.id = m.Track(p.user, state, "", func(r *engine.Recording) {
		if first {
			enrolFirst(r)
		}
	}).Action
	m.actions = append(m.actions, a)
}

// enrol begins a first passkey.
func (m *model) enrol() {
	a := m.action()
	if a == nil || !m.Account(a.id.User).Known {
		return
	}
	grant := with(m.grant(a), ceremonytest.ReadAndAdd)
	begun, err := m.RP.BeginEnrolment(m.Context(), grant, ceremonies.EnrolOptions{})
	if m.agree("begin a first passkey", a.enrolsFirst(m.of(a.id.User)), err) {
		m.ceremonies = append(m.ceremonies, &modelCeremony{
			id: begun.Challenge, action: a, purpose: ceremonies.ForEnrolment, kind: ceremonies.Registration, expires: begun.Expires,
			answers: 1, create: begun, grant: grant,
		})
	}
}

// begin asks for a proof by a passkey.
func (m *model) begin() {
	a := m.action()
	if a == nil || !m.Account(a.id.User).Known {
		return
	}
	p := m.of(a.id.User)
	question := ceremonies.Ask{Purpose: ceremonies.ForAction}
	switch m.random.IntN(6) {
	case 0:
		question.Purpose, question.Subject = ceremonies.ForAdding, string(events.MethodPasskey)
	case 1:
		question.Purpose = ceremonies.ForRecoveryCodes
	case 2:
		for _, id := range p.has() {
			question.Purpose, question.Subject = ceremonies.ForRemoving, string(id)
			break
		}
	}
	offered := map[events.AuthenticatorID]bool{}
	for id, f := range p.factors {
		switch {
		case f.device == nil:
		case question.Purpose == ceremonies.ForAction, a.enrolFirst && a.state == events.StateChallengeRequired:
			if f.vouches(a) {
				offered[id] = true
			}
		default:
			offered[id] = true
		}
	}
	open := a.state == events.StateChallengeRequired
	if question.Purpose != ceremonies.ForAction {
		open = a.state != events.StateBlock && a.state != events.StateChallengeFailed
	}
	begun, err := m.RP.BeginStepUp(m.Context(), m.grant(a), question)
	if m.agree("begin a proof", open && !a.over && len(offered) > 0, err) {
		m.ceremonies = append(m.ceremonies, &modelCeremony{
			id: begun.Challenge, action: a, purpose: question.Purpose, subject: question.Subject, kind: ceremonies.Authentication,
			offered: offered, expires: begun.Expires, answers: 1, request: begun,
		})
	}
}

// finish answers a ceremony with a passkey, rightly or wrongly.
func (m *model) finish() {
	c := m.ceremony()
	if c == nil || c.code != "" || !m.Account(c.action.id.User).Known {
		return
	}
	p, right := m.of(c.action.id.User), m.random.IntN(5) > 0
	if c.kind == ceremonies.Registration {
		d := ceremonytest.NewDevice(ceremonytest.Synced)
		if !right {
			d.Party.Origin = "https://evil.example"
		}
		grant := c.grant
		grant.Generation = m.Account(p.user).Generation
		permitted := grant.Permit.ID != ""
		allowed := permitted && !c.action.blocked() && m.Clock.Now().Before(grant.Permit.Expires) || !permitted && c.action.enrolsFirst(p)
		enrolled, err := m.RP.FinishEnrolment(m.Context(), grant, c.id, d.Register(m.T, c.create.Options), ceremonies.Client{})
		if m.agree("finish a passkey", m.answer(c) && right && allowed, err) {
			m.gets(p, enrolled.Authenticator.ID, modelFactor{method: events.MethodPasskey, device: d, under: c.action.id})
		}
		return
	}
	device := ceremonytest.NewDevice(ceremonytest.Synced)
	var by events.AuthenticatorID
	if right {
		for _, id := range p.has() {
			if f := p.factors[id]; f.device != nil {
				by, device = id, f.device
				break
			}
		}
	}
	options := c.request.Options
	options.AllowCredentials = []ceremonies.CredentialDescriptor{{ID: device.Credential.ID, Type: "public-key"}}
	proof, err := m.RP.FinishProof(m.Context(), m.grant(c.action), c.purpose, c.id, device.Answer(m.T, options), ceremonies.Client{})
	taken := m.answer(c)
	ok := taken && by != "" && c.offered[by]
	if taken && !ok {
		m.wrong(c)
	}
	if c.purpose != ceremonies.ForAction {
		ok = ok && !c.action.blocked()
	}
	if c.purpose == ceremonies.ForAction {
		ok = ok && c.action.state == events.StateChallengeRequired
	}
	if _, there := p.factors[events.AuthenticatorID(c.subject)]; c.purpose == ceremonies.ForRemoving {
		ok = ok && there
	}
	if !m.agree("finish a proof for "+string(c.purpose), ok, err) {
		return
	}
	switch c.purpose {
	case ceremonies.ForAction:
		c.action.state = events.StateChallengeSucceeded
	case ceremonies.ForRemoving:
		m.forget(p, events.AuthenticatorID(c.subject))
	case ceremonies.ForRecoveryCodes:
		m.renew(p, c.action, proof.RecoveryCodes)
	case ceremonies.ForAdding:
		m.permitted(c.action, proof.Grant)
	}
}

// permitted begins the passkey that a proof allows.
func (m *model) permitted(a *modelAction, grant ceremonies.Grant) {
	begun, err := m.RP.BeginEnrolment(m.Context(), grant, ceremonies.EnrolOptions{})
	if m.agree("begin a permitted passkey", true, err) {
		m.ceremonies = append(m.ceremonies, &modelCeremony{
			id: begun.Challenge, action: a, purpose: ceremonies.ForEnrolment, kind: ceremonies.Registration, expires: begun.Expires,
			answers: 1, create: begun, grant: grant,
		})
	}
}

func (m *model) forget(p *modelPerson, id events.AuthenticatorID) {
	if p.factors[id].method == events.MethodRecoveryCode {
		p.codes = nil
	}
	delete(p.factors, id)
}

func (m *model) renew(p *modelPerson, a *modelAction, codes []string) {
	p.used, p.codes = append(p.used, p.codes...), codes
	for _, f := range p.factors {
		if f.method == events.MethodRecoveryCode {
			return
		}
	}
	id := of(m.World, p.user, events.MethodRecoveryCode).ID
	m.gets(p, id, modelFactor{method: events.MethodRecoveryCode, under: a.id})
}

// recover answers with a recovery code: one that is left, or one that is not.
func (m *model) recover() {
	a := m.action()
	if a == nil || !m.Account(a.id.User).Known {
		return
	}
	p, code, right := m.of(a.id.User), "0000-0000-0000-0000", false
	switch n := m.random.IntN(3); {
	case n == 0 && len(p.used) > 0:
		code = p.used[m.random.IntN(len(p.used))]
	case n > 0 && len(p.codes) > 0:
		code, right = p.codes[0], true
	}
	may := false
	for _, f := range p.factors {
		may = may || f.method == events.MethodRecoveryCode && f.vouches(a) && len(p.codes) > 0
	}
	may = may && a.state == events.StateChallengeRequired && !a.over
	_, err := m.RP.FinishCode(m.Context(), m.grant(a), ask(events.MethodRecoveryCode), "", code, ceremonies.Client{})
	if may && !right {
		m.wrong(&modelCeremony{action: a, purpose: ceremonies.ForAction})
	}
	if m.agree("use a recovery code", may && right, err) {
		a.state = events.StateChallengeSucceeded
		p.codes, p.used = p.codes[1:], append(p.used, code)
	}
}

// mail sends a code: to who is to enrol first.
func (m *model) mail() {
	a := m.action()
	for range 8 {
		if a == nil || a.enrolFirst && a.state == events.StateChallengeRequired {
			break
		}
		a = m.action()
	}
	if a == nil || !m.Account(a.id.User).Known {
		return
	}
	question := ceremonies.Ask{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)}
	sent, err := m.RP.SendCode(m.Context(), m.grant(a), question, ceremonies.Client{})
	may := a.enrolFirst && !a.over && a.state == events.StateChallengeRequired && len(m.of(a.id.User).factors) == 0
	if m.agree("send a code", may, err) {
		m.ceremonies = append(m.ceremonies, &modelCeremony{
			id: sent.Challenge, action: a, purpose: ceremonies.ForAdding, kind: ceremonies.Authentication, expires: sent.Expires,
			answers: 3, code: m.Mail.Code(),
		})
	}
}

// typeCode answers a code that was sent, rightly or wrongly.
func (m *model) typeCode() {
	c := m.ceremony()
	if c == nil || c.code == "" || !m.Account(c.action.id.User).Known {
		return
	}
	code, right := c.code, m.random.IntN(2) == 0
	if !right {
		code = another(code)
	}
	question := ceremonies.Ask{Method: events.MethodEmailOTP, Purpose: ceremonies.ForAdding, Subject: string(events.MethodPasskey)}
	proof, err := m.RP.FinishCode(m.Context(), m.grant(c.action), question, c.id, code, ceremonies.Client{})
	may := c.action.state == events.StateChallengeRequired && len(m.of(c.action.id.User).factors) == 0 && !c.action.over
	if m.agree("type a code", may && m.answer(c) && right, err) {
		c.closed = true
		m.permitted(c.action, proof.Grant)
	}
}

// report has a browser say that nobody answered.
func (m *model) report() {
	c := m.ceremony()
	if c == nil || !m.Account(c.action.id.User).Known {
		return
	}
	err := m.RP.Report(m.Context(), m.grant(c.action), c.id, "NotAllowedError", ceremonies.Client{})
	if m.agree("report", m.answer(c), err) {
		c.closed = true
	}
}

// TestCeremoniesFollowTheModel runs random steps over the relying party and the model.
// After each, every answer and the action's state must be what the model expects; at
// the end the trail must tell a whole story (see trail).
func TestCeremoniesFollowTheModel(t *testing.T) {
	done := map[string]int{}
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			m := &model{World: ceremonytest.New(t, unlimited), random: rand.New(rand.NewPCG(seed, 7)), done: done}
			for _, user := range []events.UserID{"anna", "bert", "carl"} {
				m.people = append(m.people, &modelPerson{user: user, factors: map[events.AuthenticatorID]modelFactor{}})
			}
			steps := []func(){
				m.track, m.track, m.enrol, m.enrol, m.begin, m.begin, m.begin, m.begin, m.finish, m.finish, m.finish, m.finish, m.recover, m.mail, m.mail,
				m.typeCode, m.typeCode, m.report, m.deny, m.interrupt, m.moveAction, m.remove, m.signInAgain, m.pass, m.pass, m.sweep,
			}
			for n := range 2500 {
				steps[m.random.IntN(len(steps))]()
				for _, a := range m.actions[max(0, len(m.actions)-8):] {
					stored, err := m.Store.Action(t.Context(), a.id)
					if err != nil || stored.State != a.state || stored.Tries != a.tries {
						t.Fatalf("after step %d %v is %s after %d tries, %v; the model says %s after %d", n, a.id, stored.State, stored.Tries, err, a.state, a.tries)
					}
				}
			}
			m.Clock.Move(time.Hour)
			m.sweep()
			tellsWhole(t, m)
		})
	}
	for _, step := range []string{
		"finish a passkey, rightly", "finish a proof for action, rightly", "finish a proof for remove-authenticator, rightly",
		"finish a proof for add-authenticator, rightly", "finish a proof for recovery-codes, rightly", "use a recovery code, rightly",
		"type a code, rightly", "report, rightly", "deny, rightly", "interrupt", "remove", "delete", "sign in", "move an action",
	} {
		if done[step] < 3 {
			t.Errorf("%q happened %d times: %v", step, done[step], done)
		}
	}
}
