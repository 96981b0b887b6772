package pages

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// The views of the page. A note has words and a way back, and nothing to do.
const (
	viewAsk   = "ask"
	viewEnrol = "enrol"
	viewDone  = "done"
	viewNote  = "note"
)

// view is what the template shows.
type view struct {
	Lang     string
	Brand    string
	Initial  string // of the brand
	Host     string // where the way back leads, "" when there is none
	Base     string // address of the page, with a slash at the end
	Show     string // one of the views
	Note     string // which note, in viewNote
	Prompt   string
	Who      string
	CSS, JS  string
	Texts    map[string]string // for the script
	HasBack  bool
	Finished bool // the person has done their part on an earlier visit

	words texts
}

// Text is one text for the template.
func (v view) Text(key string) (string, error) { return v.words.text(key, v.Brand, v.Host) }

// page shows where the action stands.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("ref")
	grant, err := h.authorize(r, ref)
	if err != nil {
		h.refusedPage(w, r, grant, err)
		return
	}
	action, err := h.store.Action(r.Context(), grant.Action)
	if err != nil {
		h.fault(w, r, err)
		return
	}
	account, err := h.store.Account(r.Context(), grant.Action.User)
	if err != nil {
		h.fault(w, r, err)
		return
	}
	v := h.view(&action)
	v.Show, v.Note = h.stand(grant, account, action)
	v.Finished = v.Show == viewDone
	v.Prompt = action.Shown()
	v.Who = who(account)
	h.render(w, r, http.StatusOK, v)
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
func (h *handler) stand(grant ceremonies.Grant, account ceremonies.Account, action ceremonies.Action) (show, note string) {
	mayEnrol := grant.Use == ceremonies.UsePage && h.rp.MayEnrol(grant, account, action, events.MethodPasskey, string(events.MethodPasskey)) == nil
	switch action.State {
	case events.StateChallengeRequired:
		if action.Enrolled && len(h.rp.Vouching(account, action)) > 0 {
			return viewAsk, ""
		}
		return viewNote, "unable"
	case events.StateChallengeSucceeded:
		if mayEnrol {
			return viewEnrol, ""
		}
		return viewDone, ""
	case events.StateChallengeFailed:
		switch {
		case action.Tries >= h.rp.Tries():
			return viewNote, "tries"
		case grant.Use == ceremonies.UseResult:
			return viewNote, "denied" // the cookie that denying leaves
		}
		return viewNote, "failed"
	case events.StateBlock, events.StateReviewFailed:
		return viewNote, "blocked"
	case events.StateReviewRequired:
		return viewNote, "review"
	}
	if mayEnrol {
		return viewEnrol, ""
	}
	return viewNote, "nothing"
}

// view is the frame of every page. With an action it knows the way back.
func (h *handler) view(action *ceremonies.Action) view {
	v := view{Lang: English, Brand: h.brand, Initial: initial(h.brand), CSS: h.css, JS: h.js, words: h.texts}
	if action != nil {
		v.Base = "/challenge/" + refOf(action.ActionID) + "/"
		if target := redirectTarget(action.RedirectURL); target != nil {
			v.HasBack, v.Host = true, target.Host
		}
	}
	v.Texts = h.texts.under(v.Brand, v.Host, "say.", "note.", "ask.", "enrol.", "done.")
	return v
}

// note shows one note. The action is nil when it is not known whose page this is.
func (h *handler) note(w http.ResponseWriter, r *http.Request, status int, note string, action *ceremonies.Action) {
	v := h.view(action)
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
	var out bytes.Buffer
	if err := h.template.Execute(&out, v); err != nil {
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
	grant, err := h.authorize(r, r.PathValue("ref"))
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
