package signals

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// userFacts describe the person: what the action says, else what is kept.
func (s *Source) userFacts(action *engine.Action, profile *engine.Profile, facts *rules.Facts) {
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
	if number, ok := u.PhoneNumber.Get(); ok {
		u.PhoneCountry = reported(s.phoneCountry(number), "")
	}
	u.IsNew = !profile.Known
	u.AgeHours = rules.Known(0.0)
	if profile.Known {
		u.AgeHours = hoursSince(facts.Now, profile.CreatedAt)
	}
	u.DeviceCount = int64(profile.Devices)
	facts.UserCustom = profile.Custom
	methodFacts(profile, facts)
}

// methodFacts tell how the person can prove who they are.
func methodFacts(profile *engine.Profile, facts *rules.Facts) {
	u := &facts.User
	u.IsEnrolled = profile.Enrolled()
	for _, method := range profile.Methods {
		switch method {
		case events.MethodPasskey:
			u.HasPasskey = true
		case events.MethodSecurityKey:
			u.HasSecurityKey = true
		case events.MethodAuthenticatorApp:
			u.HasAuthenticatorApp = true
		case events.MethodEmailOTP:
			u.HasEmailOtp = true
		case events.MethodRecoveryCode:
			u.HasRecoveryCode = true
		}
	}
	if !profile.LastVerifiedAt.IsZero() {
		u.HasPreviouslyVerified = true
		u.LastVerifiedAt = rules.Known(profile.LastVerifiedAt)
	}
}

// hoursSince is the time between then and now. A clock that was set back must
// not make anything younger than new.
func hoursSince(now, then time.Time) rules.Value[float64] {
	return rules.Known(max(0, now.Sub(then).Hours()))
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
