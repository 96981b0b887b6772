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

// question is what the script sends.
type question struct {
	Challenge events.ChallengeID `json:"challenge"`
	Response  json.RawMessage    `json:"response"`
}

// reply is what the script gets: options for a ceremony, or what to show next.
type reply struct {
	Challenge events.ChallengeID `json:"challenge,omitempty"`
	Options   any                `json:"options,omitempty"`
	Show      string             `json:"show,omitempty"`  // a view
	Note      string             `json:"note,omitempty"`  // which note, with view note
	Title     string             `json:"title,omitempty"` // key of another title for the view
	Say       string             `json:"say,omitempty"`   // key of a text: it did not work out, try again
	// Forget is the relying party id for PublicKeyCredential.signalUnknownCredential:
	// the passkey that answered was removed here, and the browser may drop it.
	Forget string `json:"forget,omitempty"`
}

// errTooOften refuses a ceremony that Config.Limit does not allow.
var errTooOften = errors.New("too many ceremonies were begun")

// endpoint answers the script. It may set the page's cookie.
type endpoint func(w http.ResponseWriter, r *http.Request, grant ceremonies.Grant, q question) (reply, error)

// ceremony wraps an endpoint: a POST of JSON by our own page, with the page's
// cookie. The reference in the address, the cookie and the origin must agree.
func (h *handler) ceremony(answer endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.ownPage(r) {
			h.reply(w, http.StatusForbidden, reply{Say: "say.other"})
			return
		}
		grant, err := h.authorize(r, r.PathValue("ref"), ceremonies.UsePage)
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
		out, err := answer(w, r, grant, q)
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

// begin asks for a passkey. Our page displays the action's text, if it has one.
func (h *handler) begin(_ http.ResponseWriter, r *http.Request, grant ceremonies.Grant, _ question) (reply, error) {
	if h.limit(grant.Action.User) != nil {
		return reply{}, errTooOften
	}
	action, err := h.store.Action(r.Context(), grant.Action)
	if err != nil {
		return reply{}, err
	}
	stepUp, err := h.rp.BeginStepUp(r.Context(), grant, ceremonies.Ask{Shown: action.Shown() != ""})
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: stepUp.Challenge, Options: stepUp.Options}, nil
}

// finish verifies the passkey's answer. The page goes on to enrolment where the
// proof was for that.
func (h *handler) finish(w http.ResponseWriter, r *http.Request, grant ceremonies.Grant, q question) (reply, error) {
	client, err := h.client(r, grant)
	if err != nil {
		return reply{}, err
	}
	proof, err := h.rp.FinishStepUp(r.Context(), grant, q.Challenge, q.Response, client)
	if err != nil {
		return reply{}, err
	}
	h.setCookie(w, refOf(grant.Action), proof.Token)
	if proof.Grant.Allows(ceremonies.ScopeAdd) {
		return reply{Show: viewEnrol, Title: "enrol.after"}, nil
	}
	return reply{Show: viewDone, Title: "done.title"}, nil
}

func (h *handler) enrolBegin(_ http.ResponseWriter, r *http.Request, grant ceremonies.Grant, _ question) (reply, error) {
	if h.limit(grant.Action.User) != nil {
		return reply{}, errTooOften
	}
	enrolment, err := h.rp.BeginEnrolment(r.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		return reply{}, err
	}
	return reply{Challenge: enrolment.Challenge, Options: enrolment.Options}, nil
}

func (h *handler) enrolFinish(w http.ResponseWriter, r *http.Request, grant ceremonies.Grant, q question) (reply, error) {
	client, err := h.client(r, grant)
	if err != nil {
		return reply{}, err
	}
	enrolled, err := h.rp.FinishEnrolment(r.Context(), grant, q.Challenge, q.Response, client)
	if err != nil {
		return reply{}, err
	}
	h.setCookie(w, refOf(grant.Action), enrolled.Token)
	return reply{Show: viewDone, Title: "done.ready"}, nil
}

// deny is "I didn't ask for this". The cookie becomes one that can only go back.
func (h *handler) deny(w http.ResponseWriter, r *http.Request, grant ceremonies.Grant, _ question) (reply, error) {
	if err := h.rp.Deny(r.Context(), grant); err != nil {
		return reply{}, err
	}
	token, err := h.rp.ResultToken(r.Context(), grant)
	if err != nil {
		return reply{}, err
	}
	h.setCookie(w, refOf(grant.Action), token)
	return reply{Show: viewNote, Note: "denied"}, nil
}

// client is what is kept of the browser. The device is the one that the
// application named with the action.
func (h *handler) client(r *http.Request, grant ceremonies.Grant) (ceremonies.Client, error) {
	action, err := h.store.Action(r.Context(), grant.Action)
	if err != nil {
		return ceremonies.Client{}, err
	}
	agent := r.UserAgent()
	agent = strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "") // a cut may leave half a character
	return ceremonies.Client{UserAgent: agent, DeviceID: action.DeviceID}, nil
}

// refusedReply says what a refusal means for the person: what to show, or what
// to say before they try again. Anything else is a fault.
func (h *handler) refusedReply(w http.ResponseWriter, r *http.Request, err error) {
	var refused *ceremonies.RefusedError
	switch {
	case errors.Is(err, errNoCookie):
		h.reply(w, http.StatusUnauthorized, reply{Show: viewNote, Note: "gone"})
		return
	case errors.Is(err, errTooOften):
		h.reply(w, http.StatusTooManyRequests, reply{Say: "say.often"})
		return
	case !errors.As(err, &refused):
		h.log.ErrorContext(r.Context(), "challenge page", "error", err)
		h.reply(w, http.StatusServiceUnavailable, reply{Say: "say.other"})
		return
	}
	status := http.StatusBadRequest
	var out reply
	switch refused.Reason {
	case ceremonies.ReasonTokenExpired:
		status, out = http.StatusUnauthorized, reply{Show: viewNote, Note: "expired"}
	case ceremonies.ReasonTokenInvalid, ceremonies.ReasonTokenGeneration, ceremonies.ReasonUserUnknown, ceremonies.ReasonActionUnknown:
		status, out = http.StatusUnauthorized, reply{Show: viewNote, Note: "gone"}
	case ceremonies.ReasonTriesUsedUp:
		status, out = http.StatusTooManyRequests, reply{Show: viewNote, Note: "tries"}
	case ceremonies.ReasonActionNotOpen:
		out = reply{Show: viewNote, Note: "failed"}
	case ceremonies.ReasonNoAuthenticator, ceremonies.ReasonNotEnrolledThen:
		out = reply{Show: viewNote, Note: "unable"}
	case ceremonies.ReasonScopeMissing, ceremonies.ReasonProofMissing, ceremonies.ReasonProofStale,
		ceremonies.ReasonBlocked, ceremonies.ReasonEnrolledMeanwhile:
		out = reply{Show: viewNote, Note: "nothing"}
	case ceremonies.ReasonChallengeExpired, ceremonies.ReasonChallengeTaken, ceremonies.ReasonChallengeUnknown:
		out = reply{Say: "say.slow"}
	case ceremonies.ReasonUnknownCredential:
		out = reply{Say: "say.unknown", Forget: h.rp.ID()}
	case ceremonies.ReasonCredentialExists:
		out = reply{Show: viewDone, Title: "done.already"}
	default:
		out = reply{Say: "say.rejected"}
	}
	if refused.State == events.StateChallengeFailed {
		status, out = http.StatusTooManyRequests, reply{Show: viewNote, Note: "tries"}
	}
	h.reply(w, status, out)
}

func (h *handler) reply(w http.ResponseWriter, status int, out reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // a browser that went away is nobody's fault
}
