package rules

import "time"

// Value is a fact that may be missing. The zero value is unknown.
type Value[T any] struct {
	v     T
	known bool
}

// Known makes a fact that is there.
func Known[T any](v T) Value[T] { return Value[T]{v: v, known: true} }

// Get returns the value and whether it is known.
func (v Value[T]) Get() (T, bool) { return v.v, v.known }

// Facts is everything a rule may read about one action. Each field's comment is
// the help text that the console shows; the field's path is its name in CEL.
type Facts struct {
	User   UserFacts   `cel:"user"`
	Action ActionFacts `cel:"action"`
	Device DeviceFacts `cel:"device"`
	IP     IPFacts     `cel:"ip"`
	// Custom holds the values sent as custom with the action, by name: string,
	// float64 or bool. Only declared names of the declared type are readable.
	Custom map[string]any
	// Now is the time of the decision.
	Now time.Time `cel:"now"`
}

// UserFacts describe the person.
type UserFacts struct {
	ID                    string           `cel:"id"`                    // The application's id of the user.
	Email                 Value[string]    `cel:"email"`                 // E-mail address, as the application reported it.
	EmailDomain           Value[string]    `cel:"emailDomain"`           // Part of the e-mail address after the @, lower case.
	PhoneNumber           Value[string]    `cel:"phoneNumber"`           // Phone number in E.164 form.
	Username              Value[string]    `cel:"username"`              // Name the user signs in with.
	IsNew                 bool             `cel:"isNew"`                 // True on the user's first tracked action.
	AgeHours              Value[float64]   `cel:"ageHours"`              // Hours since Sallyport first saw the user.
	IsEnrolled            bool             `cel:"isEnrolled"`            // True when the user has at least one authenticator.
	PasskeyCount          int64            `cel:"passkeyCount"`          // Number of passkeys the user has.
	HasPreviouslyVerified bool             `cel:"hasPreviouslyVerified"` // True when the user has passed a challenge before.
	LastVerifiedAt        Value[time.Time] `cel:"lastVerifiedAt"`        // When the user last passed a challenge.
}

// ActionFacts describe the action itself.
type ActionFacts struct {
	Code string `cel:"code"` // Action code, such as payment.
}

// DeviceFacts describe the device and its browser.
type DeviceFacts struct {
	ID      Value[string] `cel:"id"`      // Device id that the application sent.
	IsNew   Value[bool]   `cel:"isNew"`   // True until an action of this user from this device was allowed by the rules or proven by a challenge.
	IsBot   Value[bool]   `cel:"isBot"`   // True when the user agent is that of a known bot.
	Browser Value[string] `cel:"browser"` // Browser name, such as Chrome or Safari.
	OS      Value[string] `cel:"os"`      // Operating system, such as Windows, macOS, iOS or Android.
	Type    Value[string] `cel:"type"`    // desktop, mobile or tablet.
}

// IPFacts describe the network address.
type IPFacts struct {
	Address     Value[string] `cel:"address"`     // IP address in canonical form.
	CountryCode Value[string] `cel:"countryCode"` // ISO 3166-1 alpha-2 code of the address's country.
	IsPrivate   Value[bool]   `cel:"isPrivate"`   // True for loopback, link-local and private addresses.
}
