package pages

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// question is what the script sends. Each endpoint reads what it needs of it.
type question struct {
	For       string                 `json:"for"`     // what a proof is to change, "" for the action: see changes
	Subject   string                 `json:"subject"` // which one: an authenticator's id, or an address
	Method    events.Method          `json:"method"`
	Challenge events.ChallengeID     `json:"challenge"`
	Response  json.RawMessage        `json:"response"` // of WebAuthn
	Code      string                 `json:"code"`
	Email     string                 `json:"email"`
	ID        events.AuthenticatorID `json:"id"`
	Name      string                 `json:"name"`
	Error     string                 `json:"error"` // name of the browser's own error
}

// reply is what the script gets: options for a ceremony, or what to show next.
type reply struct {
	Challenge events.ChallengeID `json:"challenge,omitempty"`
	Options   any                `json:"options,omitempty"`
	Show      string             `json:"show,omitempty"`  // a view; one that the page does not hold is loaded
	Note      string             `json:"note,omitempty"`  // which note, with view note
	Title     string             `json:"title,omitempty"` // key of another title for the view
	Go        string             `json:"go,omitempty"`    // where to go next, below the page's address; "." is the page itself
	Said      string             `json:"said,omitempty"`  // key of a text that the next page says
	Say       string             `json:"say,omitempty"`   // key of a text: it did not work out, try again
	Until     string             `json:"until,omitempty"` // RFC 3339, with texts that name a time
	Text      string             `json:"text,omitempty"`  // what a proof for the change approves
	To        string             `json:"to,omitempty"`    // masked address that a code went to
	Wait      int                `json:"wait,omitempty"`  // seconds before another code may be asked for
	Codes     []string           `json:"codes,omitempty"` // recovery codes, to be shown before anything else
	Secret    string             `json:"secret,omitempty"`
	URI       string             `json:"uri,omitempty"`
	QR        []byte             `json:"qr,omitempty"` // PNG, in base64
	Token     string             `json:"token,omitempty"`
	// Forget is the relying party id for PublicKeyCredential.signalUnknownCredential:
	// the passkey that answered was removed here, and the browser may drop it.
	Forget string `json:"forget,omitempty"`
}

// errTooOften refuses a ceremony that Config.Limit does not allow.
var errTooOften = errors.New("too many ceremonies were begun")

// endpoint answers the script. It may set the page's cookie.
type endpoint func(w http.ResponseWriter, v visit, q question) (reply, error)

// ceremony wraps an endpoint: a POST of JSON by our own page, with the page's
// cookie. The reference in the address, the cookie and the origin must agree.
func (h *handler) ceremony(answer endpoint, uses ...ceremonies.Use) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.ownPage(r) {
			h.reply(w, http.StatusForbidden, reply{Say: "say.other"})
			return
		}
		v, err := h.visit(r, uses...)
		if err != nil {
			h.refusedReply(w, r, err)
			return
		}
		var q question
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ceremonies.MaxAnswer))
		if err == nil {
			err = json.Unmarshal(body, &q)
		}
		if err != nil {
			h.reply(w, http.StatusBadRequest, reply{Say: "say.other"})
			return
		}
		out, err := answer(w, v, q)
		if err != nil {
			h.refusedReply(w, r, err)
			return
		}
		h.reply(w, http.StatusOK, out)
	}
}

// ownPage reports whether our own script asks. A page of another origin cannot
// send JSON without asking first, which nothing here allows; where the browser
// says more, that must be right too.
func (h *handler) ownPage(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	return slices.Contains(h.rp.Origins(), r.Header.Get("Origin"))
}

// begin asks for a passkey or a security key.
func (h *handler) begin(_ http.ResponseWriter, v visit, q question) (reply, error) {
	ask, err := h.asked(v, q)
	if err != nil {
		return reply{}, err
	}
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	stepUp, err := h.rp.BeginStepUp(v.Context(), v.grant, ask)
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: stepUp.Challenge, Options: stepUp.Options}, nil
}

// finish verifies the answer of a passkey or a security key.
func (h *handler) finish(w http.ResponseWriter, v visit, q question) (reply, error) {
	ask, err := h.asked(v, q)
	if err != nil {
		return reply{}, err
	}
	proof, err := h.rp.FinishProof(v.Context(), v.grant, ask.Purpose, q.Challenge, q.Response, h.client(v))
	if err != nil {
		return reply{}, err
	}
	return h.proved(w, v, q.For, proof)
}

// codeSend sends a code by e-mail.
func (h *handler) codeSend(_ http.ResponseWriter, v visit, q question) (reply, error) {
	q.Method = events.MethodEmailOTP
	ask, err := h.asked(v, q)
	if err != nil {
		return reply{}, err
	}
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	sent, err := h.rp.SendCode(v.Context(), v.grant, ask, h.client(v))
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: sent.Challenge, To: sent.To, Wait: resendAfter}, nil
}

// codeFinish checks a code: one that was sent, one of an authenticator app, or a
// recovery code.
func (h *handler) codeFinish(w http.ResponseWriter, v visit, q question) (reply, error) {
	ask, err := h.asked(v, q)
	if err != nil {
		return reply{}, err
	}
	proof, err := h.rp.FinishCode(v.Context(), v.grant, ask, q.Challenge, q.Code, h.client(v))
	if err != nil {
		return reply{}, err
	}
	return h.proved(w, v, q.For, proof)
}

// proved says what follows a proof. What it allows is in the new cookie.
func (h *handler) proved(w http.ResponseWriter, v visit, what string, proof ceremonies.Proof) (reply, error) {
	h.setCookie(w, v.Request, v.ref(), proof.Token)
	switch what {
	case "":
		action, err := h.store.Action(v.Context(), v.action.ActionID)
		if err != nil {
			return reply{}, err
		}
		v.grant, v.account, v.action = proof.Grant, proof.Account, action
		if show, _ := h.stand(v); show == viewEnrol || show == viewAccount {
			return reply{Go: "."}, nil
		}
		return reply{Show: viewDone, Title: "done.title"}, nil
	case changeRemove:
		return reply{Go: ".", Said: "said.removed"}, nil
	case changeCodes:
		return reply{Codes: proof.RecoveryCodes, Go: "."}, nil
	case changeEmail:
		return reply{}, nil // the page has the address and begins to add it
	}
	if h.onAccount(v) {
		return reply{Go: "change/" + what}, nil
	}
	return reply{Go: "."}, nil
}

// enrolBegin begins to add a passkey or a security key.
func (h *handler) enrolBegin(_ http.ResponseWriter, v visit, q question) (reply, error) {
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	enrolment, err := h.rp.BeginEnrolment(v.Context(), v.grant, ceremonies.EnrolOptions{Method: q.Method})
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: enrolment.Challenge, Options: enrolment.Options}, nil
}

func (h *handler) enrolFinish(w http.ResponseWriter, v visit, q question) (reply, error) {
	enrolled, err := h.rp.FinishEnrolment(v.Context(), v.grant, q.Challenge, q.Response, h.client(v))
	return h.enrolled(w, v, enrolled, err)
}

// appBegin makes the secret of an authenticator app.
func (h *handler) appBegin(_ http.ResponseWriter, v visit, _ question) (reply, error) {
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	app, err := h.rp.BeginApp(v.Context(), v.grant)
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: app.Challenge, Secret: app.Secret, URI: app.URI, QR: app.QR}, nil
}

func (h *handler) appFinish(w http.ResponseWriter, v visit, q question) (reply, error) {
	enrolled, err := h.rp.FinishApp(v.Context(), v.grant, q.Challenge, q.Code, h.client(v))
	return h.enrolled(w, v, enrolled, err)
}

// emailBegin sends the code that shows that an address is the person's. Where that
// needs a proof first, it says for what.
func (h *handler) emailBegin(_ http.ResponseWriter, v visit, q question) (reply, error) {
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	q.Email = strings.TrimSpace(q.Email)
	sent, err := h.rp.BeginEmail(v.Context(), v.grant, q.Email, false, h.client(v))
	var refused *ceremonies.RefusedError
	if errors.As(err, &refused) && (refused.Reason == ceremonies.ReasonScopeMissing || refused.Reason == ceremonies.ReasonProofMissing) && h.onAccount(v) {
		ask, err := h.asked(v, question{For: changeEmail, Subject: q.Email})
		if err != nil {
			return reply{}, err
		}
		return reply{Show: viewAsk, Text: ask.Text}, nil
	}
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: sent.Challenge, To: sent.To, Wait: resendAfter}, nil
}

func (h *handler) emailFinish(w http.ResponseWriter, v visit, q question) (reply, error) {
	enrolled, err := h.rp.FinishEmail(v.Context(), v.grant, q.Challenge, q.Code, h.client(v))
	return h.enrolled(w, v, enrolled, err)
}

// enrolled says what follows a new authenticator: recovery codes where they were
// made, and then the account, the action's own question, or the way back.
func (h *handler) enrolled(w http.ResponseWriter, v visit, e ceremonies.Enrolled, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	h.setCookie(w, v.Request, v.ref(), e.Token)
	v.grant, v.account = e.Grant, e.Account
	out := reply{Codes: e.RecoveryCodes, Title: "done.ready"}
	if e.Authenticator.Method != events.MethodPasskey {
		out.Title = "done.title"
	}
	switch show, _ := h.stand(v); show {
	case viewAccount:
		out.Go, out.Said = ".", "said.added"
	case viewAsk:
		out.Go = "."
	default:
		out.Show = viewDone
	}
	return out, nil
}

// rename gives an authenticator another name.
func (h *handler) rename(_ http.ResponseWriter, v visit, q question) (reply, error) {
	if !h.onAccount(v) {
		return reply{Show: viewNote, Note: "nothing"}, nil
	}
	if h.limit(v.account.User) != nil { // each leaves an event
		return reply{}, errTooOften
	}
	return reply{Go: ".", Said: "said.renamed"}, h.rp.Rename(v.Context(), v.grant, q.ID, q.Name)
}

// prefer makes an authenticator the default.
func (h *handler) prefer(_ http.ResponseWriter, v visit, q question) (reply, error) {
	if !h.onAccount(v) {
		return reply{Show: viewNote, Note: "nothing"}, nil
	}
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	return reply{Go: ".", Said: "said.preferred"}, h.rp.Prefer(v.Context(), v.grant, q.ID)
}

// later is "Not now".
func (h *handler) later(_ http.ResponseWriter, v visit, _ question) (reply, error) {
	out := reply{Show: viewDone, Title: "done.title"}
	if redirectTarget(v.action.RedirectURL) != nil {
		out = reply{Go: "back"}
	}
	if h.limit(v.account.User) != nil {
		return reply{}, errTooOften
	}
	return out, h.rp.PutOff(v.Context(), v.grant)
}

// report ends a ceremony that the browser did not answer.
func (h *handler) report(_ http.ResponseWriter, v visit, q question) (reply, error) {
	return reply{}, h.rp.Report(v.Context(), v.grant, q.Challenge, q.Error, h.client(v))
}

// deny is "I didn't ask for this". The cookie becomes one that can only go back.
func (h *handler) deny(w http.ResponseWriter, v visit, _ question) (reply, error) {
	if err := h.rp.Deny(v.Context(), v.grant); err != nil {
		return reply{}, err
	}
	token, err := h.rp.ResultToken(v.Context(), v.grant)
	if err != nil {
		return reply{}, err
	}
	h.setCookie(w, v.Request, v.ref(), token)
	return reply{Show: viewNote, Note: "denied"}, nil
}

// result is the token that a page which launched this one is given: the same that
// a redirect carries.
func (h *handler) result(_ http.ResponseWriter, v visit, _ question) (reply, error) {
	token, err := h.rp.ResultToken(v.Context(), v.grant)
	return reply{Token: token}, err
}

// client is what is kept of the browser. The device is the one that the
// application named with the action.
func (h *handler) client(v visit) ceremonies.Client {
	agent := v.UserAgent()
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "") // a cut may leave half a character
	return ceremonies.Client{Address: h.address(v.Request), UserAgent: agent, DeviceID: v.action.DeviceID}
}

func (h *handler) reply(w http.ResponseWriter, status int, out reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // a browser that went away is nobody's fault
}
