package pages

import (
	"errors"
	"net/http"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// The changes that a person can make on the account page, as addresses and the
// script name them.
const (
	changePasskey = "passkey"
	changeKey     = "security-key"
	changeApp     = "app"
	changeEmail   = "email"
	changeRemove  = "remove"
	changeCodes   = "codes"
)

// adds is the method that a change adds, "" for the others.
func adds(what string) events.Method {
	switch what {
	case changePasskey:
		return events.MethodPasskey
	case changeKey:
		return events.MethodSecurityKey
	case changeApp:
		return events.MethodAuthenticatorApp
	}
	return ""
}

// errNotHere: the page does not offer that, here or now.
var errNotHere = errors.New("this page does not offer that")

// asked is what a proof is asked for, with the text that the page shows, in its
// language. Changes are asked for on the account page, and the first passkey where
// the action waits for it.
func (h *handler) asked(v visit, q question) (ceremonies.Ask, error) {
	ask := ceremonies.Ask{Method: q.Method, Shown: true}
	if q.For == "" {
		ask.Purpose, ask.Shown = ceremonies.ForAction, v.action.Shown() != ""
		return ask, nil
	}
	first := q.For == changePasskey && h.rp.MustEnrolFirst(v.account, v.action)
	if !first && !h.onAccount(v) {
		return ceremonies.Ask{}, errNotHere
	}
	switch q.For {
	case changePasskey, changeKey, changeApp:
		ask.Purpose, ask.Subject = ceremonies.ForAdding, string(adds(q.For))
	case changeEmail:
		ask.Purpose, ask.Subject = ceremonies.ForEmail, q.Subject
	case changeRemove:
		a, ok := authenticator(v.account, events.AuthenticatorID(q.Subject))
		if !ok {
			return ceremonies.Ask{}, errNotHere
		}
		ask.Purpose, ask.Subject = ceremonies.ForRemoving, q.Subject
		ask.Text = v.words.say("change.remove", "{name}", v.name(a))
		return ask, nil
	case changeCodes:
		ask.Purpose = ceremonies.ForRecoveryCodes
	default:
		return ceremonies.Ask{}, errNotHere
	}
	ask.Text = v.words.say("change."+q.For, "{to}", q.Subject)
	return ask, nil
}

// authenticator is one of the person's.
func authenticator(account ceremonies.Account, id events.AuthenticatorID) (ceremonies.Authenticator, bool) {
	for _, a := range account.Authenticators {
		if a.ID == id {
			return a, true
		}
	}
	return ceremonies.Authenticator{}, false
}

// onAccount reports whether the visit is to the account page: the application sent
// the person there, and the action needs no proof, or has it.
func (h *handler) onAccount(v visit) bool {
	if v.grant.Use != ceremonies.UsePage || !v.grant.Allows(ceremonies.ScopeAccount) {
		return false
	}
	switch v.action.State {
	case events.StateAllow, events.StateChallengeSucceeded, events.StateReviewSucceeded:
		return true
	}
	return false
}

// changePage is one change: a proof for it, or, once that was given or where none
// is needed, the change itself.
func (h *handler) changePage(w http.ResponseWriter, r *http.Request) {
	v, err := h.visit(r, ceremonies.UsePage)
	if err != nil {
		h.refusedPage(w, r, v.grant, err)
		return
	}
	if !h.onAccount(v) {
		http.Redirect(w, r, "/challenge/"+v.ref()+query(r), http.StatusSeeOther)
		return
	}
	what, id := r.PathValue("what"), r.URL.Query().Get("id")
	p := h.view(v.words, r, &v.action)
	p.Who = who(v.account)
	may := func(m events.Method) bool { return h.rp.MayEnrol(v.grant, v.account, v.action, m, string(m)) == nil }
	switch method := adds(what); {
	case method != "" && may(method) && method == events.MethodAuthenticatorApp:
		p.Show = viewApp
	case method != "" && may(method):
		p.Show, p.Enrol = viewEnrol, h.enrolView(v, method)
	case what == changeEmail:
		p.Show = viewEmail
		p.Ask = h.changeView(v, question{For: what})
	default:
		p.Show = viewAsk
		p.Ask = h.changeView(v, question{For: what, Subject: id})
	}
	if p.Show == viewAsk && (p.Ask == nil || len(p.Ask.Ways) == 0) {
		http.Redirect(w, r, "/challenge/"+v.ref()+query(r), http.StatusSeeOther)
		return
	}
	p.Cancel = "/challenge/" + v.ref() + query(r)
	h.render(w, r, http.StatusOK, p)
}

// changeView asks for the proof that a change needs, nil for a change that there
// is not.
func (h *handler) changeView(v visit, q question) *askView {
	ask, err := h.asked(v, q)
	if err != nil {
		return nil
	}
	view := &askView{
		Title: v.words.say("ask.title"), Lead: v.words.say("ask.change"), Text: ask.Text, For: q.For, Subject: q.Subject,
		Ways: h.ways(v.account, h.rp.Changing(v.account, v.action)),
	}
	if q.For == changeRemove {
		view.Warnings = h.warnings(v, events.AuthenticatorID(q.Subject))
	}
	return view
}
