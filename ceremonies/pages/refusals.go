package pages

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// refusedReply says what a refusal means for the person: what to show, or what
// to say before they try again. Anything else is a fault.
func (h *handler) refusedReply(w http.ResponseWriter, r *http.Request, err error) {
	var refused *ceremonies.RefusedError
	switch {
	case errors.Is(err, errNoCookie):
		h.reply(w, http.StatusUnauthorized, reply{Show: viewNote, Note: "gone"})
	case errors.Is(err, errTooOften):
		h.reply(w, http.StatusTooManyRequests, reply{Say: "say.often"})
	case errors.Is(err, errNotHere):
		h.reply(w, http.StatusBadRequest, reply{Show: viewNote, Note: "nothing"})
	case !errors.As(err, &refused):
		h.log.ErrorContext(r.Context(), "challenge page", "error", err)
		h.reply(w, http.StatusServiceUnavailable, reply{Say: "say.other"})
	case refused.State == events.StateChallengeFailed:
		h.reply(w, http.StatusTooManyRequests, reply{Show: viewNote, Note: "tries"})
	default:
		status, out := h.refusal(refused, strings.TrimPrefix(r.URL.Path, "/challenge/"+r.PathValue("ref")+"/"))
		h.reply(w, status, out)
	}
}

// refusal is the answer to a refusal of one endpoint.
func (h *handler) refusal(refused *ceremonies.RefusedError, path string) (int, reply) {
	sends := path == "code/send" || path == "email/begin"
	code := path == "code/finish" || path == "app/finish" || path == "email/finish"
	say := func(key string) (int, reply) { return http.StatusBadRequest, reply{Say: key} }
	note := func(status int, name string) (int, reply) { return status, reply{Show: viewNote, Note: name} }
	switch refused.Reason {
	case ceremonies.ReasonTokenExpired:
		return note(http.StatusUnauthorized, "expired")
	case ceremonies.ReasonTokenInvalid, ceremonies.ReasonTokenGeneration, ceremonies.ReasonUserUnknown, ceremonies.ReasonActionUnknown:
		return note(http.StatusUnauthorized, "gone")
	case ceremonies.ReasonTriesUsedUp:
		return note(http.StatusTooManyRequests, "tries")
	case ceremonies.ReasonLocked:
		out := reply{Say: "say.locked", Until: refused.Until.UTC().Format(time.RFC3339)}
		if sends {
			out.Say = "say.sends"
		}
		return http.StatusTooManyRequests, out
	case ceremonies.ReasonActionNotOpen:
		return note(http.StatusBadRequest, "failed")
	case ceremonies.ReasonNoAuthenticator, ceremonies.ReasonNotEnrolledThen, ceremonies.ReasonNoAddress,
		ceremonies.ReasonMethodRefused, ceremonies.ReasonMethodDisabled:
		return note(http.StatusBadRequest, "unable")
	case ceremonies.ReasonScopeMissing, ceremonies.ReasonProofMissing, ceremonies.ReasonProofStale,
		ceremonies.ReasonBlocked, ceremonies.ReasonEnrolledMeanwhile, ceremonies.ReasonPermitUsed:
		return note(http.StatusBadRequest, "nothing")
	case ceremonies.ReasonChallengeExpired, ceremonies.ReasonChallengeTaken, ceremonies.ReasonChallengeUnknown:
		if code {
			return say("say.codeover")
		}
		return say("say.slow")
	case ceremonies.ReasonUnknownCredential:
		return http.StatusBadRequest, reply{Say: "say.unknown", Forget: h.rp.ID()}
	case ceremonies.ReasonCredentialExists:
		return http.StatusBadRequest, reply{Show: viewDone, Title: "done.already"}
	case ceremonies.ReasonWrongCode:
		return say("say.code")
	case ceremonies.ReasonCodeUsed:
		return say("say.codeused")
	case ceremonies.ReasonSendFailed:
		return say("say.unsent")
	case ceremonies.ReasonUnattested:
		return say("say.untrusted")
	case ceremonies.ReasonMalformed:
		switch {
		case code:
			return say("say.codeshape")
		case path == "email/begin":
			return say("say.email")
		}
		return say("say.other")
	}
	return say("say.rejected")
}
