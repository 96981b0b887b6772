package signals

import (
	"strings"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// userFacts describe the person: what the action says, else what is kept.
func userFacts(action *engine.Action, profile *engine.Profile, facts *rules.Facts) {
	u := &facts.User
	u.ID = string(action.User)
	u.Email = reported(action.Email, profile.Email)
	u.PhoneNumber = reported(action.PhoneNumber, profile.PhoneNumber)
	u.Username = reported(action.Username, profile.Username)
	if email, ok := u.Email.Get(); ok {
		if at := strings.LastIndexByte(email, '@'); at >= 0 && at+1 < len(email) {
			u.EmailDomain = rules.Known(strings.ToLower(email[at+1:]))
		}
	}
	u.IsNew = !profile.Known
	u.AgeHours = rules.Known(0.0)
	if profile.Known {
		// A clock that was set back must not make anyone younger than new.
		u.AgeHours = rules.Known(max(0, facts.Now.Sub(profile.CreatedAt).Hours()))
	}
	u.IsEnrolled = profile.Enrolled()
	facts.Passkey.Count = int64(len(profile.Passkeys))
	if !profile.LastVerifiedAt.IsZero() {
		u.HasPreviouslyVerified = true
		u.LastVerifiedAt = rules.Known(profile.LastVerifiedAt)
	}
}

// reported is the first value that is there.
func reported(sent, kept string) rules.Value[string] {
	switch {
	case sent != "":
		return rules.Known(sent)
	case kept != "":
		return rules.Known(kept)
	}
	return rules.Value[string]{}
}
