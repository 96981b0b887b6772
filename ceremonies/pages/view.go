package pages

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// The views of the page. A note has words and a way back, and nothing to do.
const (
	viewAsk     = "ask"
	viewEnrol   = "enrol"
	viewApp     = "app"
	viewEmail   = "email"
	viewAccount = "account"
	viewDone    = "done"
	viewNote    = "note"
)

// view is what the template shows.
type view struct {
	Lang, Dir string
	Brand     string
	Logo      string // address, "" for Initial
	Initial   string // of the brand
	Host      string // where the way back leads, "" when there is none
	Base      string // address of the page, with a slash at the end
	Query     string // what goes along from page to page, with its question mark
	Mode      string
	Show      string // one of the views
	Note      string // which note, in viewNote
	Who       string
	HasBack   bool
	Cancel    string // where a change can be left to, "" when it is none
	Ask       *askView
	Enrol     *enrolView
	Account   *accountView
	CSS       string
	JS        string
	Preload   []string
	Data      data

	words words
}

// askView asks for a proof.
type askView struct {
	Title, Lead, Text string // Text is what is approved, "" when there is none
	Warnings          []string
	For, Subject      string // of a change: see question
	Ways              []way
	Deny              bool // it can be answered with "I didn't ask for this"
}

// longText is from which length on, in characters, what is approved is written in
// smaller letters, so that the button stays in sight on a phone.
const longText = 90

// Long reports whether Text is long.
func (a askView) Long() bool { return utf8.RuneCountInString(a.Text) > longText }

// way is one way to prove. Email is where a code would go, masked.
type way struct {
	Method events.Method
	Email  string
}

// enrolView adds a passkey or a security key.
type enrolView struct {
	Method events.Method
	Text   string // prefix of its texts
	After  bool   // straight after a proof
	Later  bool   // it can be put off
}

// data is what the script reads of the page.
type data struct {
	Base     string            `json:"base"`
	Query    string            `json:"query"`
	Lang     string            `json:"lang"`
	Show     string            `json:"show"`
	Note     string            `json:"note,omitempty"`
	Status   int               `json:"status,omitempty"` // of a note
	Back     bool              `json:"back"`
	Finished bool              `json:"finished"` // the person has done their part on an earlier visit
	For      string            `json:"for,omitempty"`
	Subject  string            `json:"subject,omitempty"`
	Mode     string            `json:"mode,omitempty"`
	Launch   []string          `json:"launch,omitempty"` // origins that are told, with a mode
	Site     string            `json:"site,omitempty"`   // origin of the way back
	Signals  *signals          `json:"signals,omitempty"`
	Texts    map[string]string `json:"texts"`
}

// Text is one text for the template.
func (v view) Text(key string, pairs ...string) (string, error) { return v.words.text(key, pairs...) }

// Heading is what the page is about, for its title: the heading of what it shows.
func (v view) Heading() string {
	switch v.Show {
	case viewAsk:
		return v.Ask.Title
	case viewEnrol:
		return v.words.say(v.Enrol.Text + ".title")
	case viewApp:
		return v.words.say("newapp.title")
	case viewEmail:
		return v.words.say("newemail.title")
	case viewNote:
		return v.words.say("note." + v.Note + ".title")
	}
	return v.words.say(v.Show + ".title")
}

// Proves reports whether the view asks for a proof, or may after a step.
func (v view) Proves() bool { return v.Ask != nil && len(v.Ask.Ways) > 0 }

// Adds reports whether recovery codes may have to be shown.
func (v view) Adds() bool {
	return v.Show == viewEnrol || v.Show == viewApp || v.Show == viewEmail || (v.Ask != nil && v.Ask.For == changeCodes)
}

// visit is a person on one page.
type visit struct {
	*http.Request
	grant   ceremonies.Grant
	account ceremonies.Account
	action  ceremonies.Action
	words   words
}

func (v visit) ref() string { return refOf(v.action.ActionID) }

// visit reads who is on the page. With an error the grant may be set: see
// authorize.
func (h *handler) visit(r *http.Request, uses ...ceremonies.Use) (visit, error) {
	v := visit{Request: r}
	var err error
	if v.grant, err = h.authorize(r, uses...); err != nil {
		return v, err
	}
	if v.action, err = h.store.Action(r.Context(), v.grant.Action); err != nil {
		return v, err
	}
	if v.account, err = h.store.Account(r.Context(), v.grant.Action.User); err != nil {
		return v, err
	}
	v.words = h.words(r, &v.action)
	return v, nil
}

// words are the texts for a person. The action is nil when it is not known.
func (h *handler) words(r *http.Request, action *ceremonies.Action) words {
	w := words{language: h.language(action, r.Header.Get("Accept-Language")), brand: h.brand}
	if action != nil {
		if target := redirectTarget(action.RedirectURL); target != nil {
			w.host = target.Host
		}
	}
	return w
}

// page shows where the action stands.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	v, err := h.visit(r, ceremonies.UsePage, ceremonies.UseResult)
	if err != nil {
		h.refusedPage(w, r, v.grant, err)
		return
	}
	p := h.view(v.words, r, &v.action)
	p.Show, p.Note = h.stand(v)
	p.Data.Finished = p.Show == viewDone
	p.Who = who(v.account)
	switch p.Show {
	case viewAsk:
		p.Ask = h.askView(v)
	case viewEnrol:
		p.Enrol = h.enrolView(v, events.MethodPasskey)
	case viewAccount:
		p.Account, p.Data.Signals = h.accountView(v), h.signals(v.account)
	}
	h.render(w, r, http.StatusOK, p)
}

// refusedPage is for a person whose cookie does not open this page.
func (h *handler) refusedPage(w http.ResponseWriter, r *http.Request, grant ceremonies.Grant, err error) {
	var refused *ceremonies.RefusedError
	switch {
	case errors.Is(err, errNoCookie):
		h.note(w, r, http.StatusGone, "used", nil)
	case !errors.As(err, &refused):
		h.fault(w, r, err)
	case refused.Reason == ceremonies.ReasonTokenExpired:
		h.note(w, r, http.StatusGone, "expired", h.known(r, grant))
	default:
		h.note(w, r, http.StatusGone, "gone", nil)
	}
}

// stand says what there is to do for a person on the page, and which note says so
// when there is nothing.
func (h *handler) stand(v visit) (show, note string) {
	mayEnrol := v.grant.Use == ceremonies.UsePage && h.rp.MayEnrol(v.grant, v.account, v.action, events.MethodPasskey, string(events.MethodPasskey)) == nil
	switch v.action.State {
	case events.StateChallengeRequired:
		switch {
		case h.rp.MustEnrolFirst(v.account, v.action):
			if mayEnrol {
				return viewEnrol, ""
			}
			if h.rp.Offers(events.MethodEmailOTP) && v.account.Email != "" {
				return viewAsk, ""
			}
		case (v.action.Enrolled || v.action.EnrolFirst) && len(h.rp.Vouching(v.account, v.action)) > 0:
			return viewAsk, ""
		}
		return viewNote, "unable"
	case events.StateChallengeSucceeded:
		switch {
		case h.onAccount(v):
			return viewAccount, ""
		case mayEnrol && h.offers(v):
			return viewEnrol, ""
		}
		return viewDone, ""
	case events.StateChallengeFailed:
		switch {
		case v.action.Tries >= h.rp.Tries():
			return viewNote, "tries"
		case v.grant.Use == ceremonies.UseResult:
			return viewNote, "denied" // the cookie that denying leaves
		}
		return viewNote, "failed"
	case events.StateBlock, events.StateReviewFailed:
		return viewNote, "blocked"
	case events.StateReviewRequired:
		return viewNote, "review"
	}
	switch {
	case h.onAccount(v):
		return viewAccount, ""
	case mayEnrol:
		return viewEnrol, ""
	}
	return viewNote, "nothing"
}

// offers reports whether to offer a passkey after a proof that allows to add one.
// Whoever used a passkey was sent to add one more; whoever proved another way is
// asked at times only, and not again after "Not now".
func (h *handler) offers(v visit) bool {
	proven, put := v.action.ProvenAt, v.account.PromptedAt
	if put.After(proven) {
		return false
	}
	by, _ := authenticator(v.account, v.action.ProvenBy)
	return by.Method == events.MethodPasskey || by.Method == events.MethodSecurityKey || put.IsZero() || proven.Sub(put) >= h.promptEvery
}

// askView asks for the action's own proof, or, where the person has to enrol
// first, for the code that allows that.
func (h *handler) askView(v visit) *askView {
	view := &askView{Title: v.words.say("ask.title"), Text: v.action.Shown(), Deny: true}
	view.Lead = v.words.say("ask.plain")
	if view.Text != "" {
		view.Lead = v.words.say("ask.asks")
	}
	if h.rp.MustEnrolFirst(v.account, v.action) {
		view.Title, view.For = v.words.say("first.title"), changePasskey
		view.Warnings = []string{v.words.say("first.lead")}
		view.Ways = []way{{events.MethodEmailOTP, ceremonies.Masked(v.account.Email)}}
		return view
	}
	view.Ways = h.ways(v.account, h.rp.Vouching(v.account, v.action))
	return view
}

// ways are the methods of some authenticators: the person's default one first, and
// then the strongest.
func (h *handler) ways(account ceremonies.Account, of []ceremonies.Authenticator) []way {
	var found []way
	for _, method := range h.rp.Methods() {
		i := slices.IndexFunc(of, func(a ceremonies.Authenticator) bool { return a.Method == method })
		if i < 0 {
			continue
		}
		w := way{Method: method, Email: ceremonies.Masked(of[i].Email)}
		if preferred, ok := authenticator(account, account.Default); ok && preferred.Method == method {
			found = slices.Insert(found, 0, w)
		} else {
			found = append(found, w)
		}
	}
	return found
}

// enrolView adds a passkey or a security key.
func (h *handler) enrolView(v visit, method events.Method) *enrolView {
	view := &enrolView{Method: method, Text: "enrol"}
	if method == events.MethodSecurityKey {
		view.Text = "newkey"
	}
	view.After = v.action.State == events.StateChallengeSucceeded || v.grant.Permit.ID != ""
	view.Later = !h.onAccount(v) && v.action.State != events.StateChallengeRequired
	return view
}

// view is the frame of every page. With an action it knows the way back.
func (h *handler) view(words words, r *http.Request, action *ceremonies.Action) view {
	v := view{
		Lang: words.Tag, Dir: words.Dir, Brand: h.brand, Logo: h.logo, Initial: initial(h.brand), Host: words.host, HasBack: words.host != "",
		Query: query(r), Mode: mode(r), CSS: h.css, JS: h.js[0], Preload: h.js[1:], words: words,
	}
	if action != nil {
		v.Base = "/challenge/" + refOf(action.ActionID) + "/"
		if target := redirectTarget(action.RedirectURL); target != nil {
			v.Data.Site = target.Scheme + "://" + target.Host
		}
	}
	return v
}

// note shows one note. The action is nil when it is not known whose page this is.
func (h *handler) note(w http.ResponseWriter, r *http.Request, status int, note string, action *ceremonies.Action) {
	v := h.view(h.words(r, action), r, action)
	v.Show, v.Note = viewNote, note
	h.render(w, r, status, v)
}

// known is the action of a grant that allows nothing any more, for the way back
// to the application; nil when it cannot be read.
func (h *handler) known(r *http.Request, grant ceremonies.Grant) *ceremonies.Action {
	action, err := h.store.Action(r.Context(), grant.Action)
	if err != nil {
		return nil
	}
	return &action
}

// fault logs what went wrong and says no more than that to the person.
func (h *handler) fault(w http.ResponseWriter, r *http.Request, err error) {
	h.log.ErrorContext(r.Context(), "challenge page", "error", err)
	h.note(w, r, http.StatusServiceUnavailable, "trouble", nil)
}

func (h *handler) render(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Data = data{
		Base: strings.TrimSuffix(v.Base, "/"), Query: v.Query, Lang: v.Lang, Show: v.Show, Note: v.Note, Back: v.HasBack, Finished: v.Data.Finished,
		Mode: v.Mode, Signals: v.Data.Signals, Texts: v.words.forScript(v.Show), Site: v.Data.Site,
	}
	if v.Note != "" {
		v.Data.Status = status
	}
	if v.Mode != "" {
		v.Data.Launch = h.launch
	}
	if v.Ask != nil {
		v.Data.For, v.Data.Subject = v.Ask.For, v.Ask.Subject
	}
	var out bytes.Buffer
	if err := h.template.ExecuteTemplate(&out, "page.html", v); err != nil {
		h.log.ErrorContext(r.Context(), "challenge page", "error", err)
		http.Error(w, "This page cannot be shown right now.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a browser that went away is nobody's fault
}

// back takes the person to the application, with a token that can ask how the
// action ended. A person who comes too late is taken back without one.
func (h *handler) back(w http.ResponseWriter, r *http.Request) {
	grant, err := h.authorize(r, ceremonies.UsePage, ceremonies.UseResult)
	var refused *ceremonies.RefusedError
	late := errors.As(err, &refused) && refused.Reason == ceremonies.ReasonTokenExpired
	if err != nil && !late {
		h.refusedPage(w, r, grant, err)
		return
	}
	action, err := h.store.Action(r.Context(), grant.Action)
	if err != nil {
		h.fault(w, r, err)
		return
	}
	target := redirectTarget(action.RedirectURL)
	if target == nil {
		h.note(w, r, http.StatusNotFound, "gone", nil)
		return
	}
	if !late {
		token, err := h.rp.ResultToken(r.Context(), grant)
		if err != nil {
			h.fault(w, r, err)
			return
		}
		withToken(target, token)
	}
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

// redirectTarget is the address to go back to, nil when there is none that a
// browser should be sent to. The address was checked when the action was tracked.
func redirectTarget(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil
	}
	return u
}

// withToken adds the query parameter token. What the application has in its
// query stays as it is, byte for byte; only an own parameter token gives way.
func withToken(u *url.URL, token string) {
	var kept []string
	for _, pair := range strings.Split(u.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if pair != "" && name != "token" {
			kept = append(kept, pair)
		}
	}
	u.RawQuery = strings.Join(append(kept, "token="+url.QueryEscape(token)), "&")
}

// who is how the person knows their account, "" when the application told nothing.
func who(account ceremonies.Account) string {
	for _, name := range []string{account.Email, account.Username, account.DisplayName} {
		if name != "" {
			return name
		}
	}
	return ""
}

// initial is the first letter of the brand, for its mark.
func initial(brand string) string {
	r, _ := utf8.DecodeRuneInString(strings.TrimSpace(brand))
	if r == utf8.RuneError {
		return ""
	}
	return string(unicode.ToUpper(r))
}
