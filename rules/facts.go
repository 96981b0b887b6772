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
	User    UserFacts    `cel:"user"`
	Passkey PasskeyFacts `cel:"passkey"`
	Action  ActionFacts  `cel:"action"`
	Device  DeviceFacts  `cel:"device"`
	IP      IPFacts      `cel:"ip"`
	Travel  TravelFacts  `cel:"travel"`
	// Custom holds the values sent as custom with the action, by name: string,
	// float64 or bool. Only declared names of the declared type are readable.
	Custom map[string]any
	// UserCustom holds the values kept with the user, as Custom.
	UserCustom map[string]any
	// Metrics holds the metrics that are known, by name.
	Metrics map[string]float64
	// Lists holds the list tests whose result is known, by their text, such as
	// "ip.address in list.suspects".
	Lists map[string]bool
	// Now is the time of the decision.
	Now time.Time `cel:"now"`
}

// UserFacts describe the person.
type UserFacts struct {
	ID                    string           `cel:"id"`                    // The application's id of the user.
	Email                 Value[string]    `cel:"email"`                 // E-mail address, as the application reported it.
	EmailDomain           Value[string]    `cel:"emailDomain"`           // Part of the e-mail address after the @, lower case.
	PhoneNumber           Value[string]    `cel:"phoneNumber"`           // Phone number in E.164 form.
	PhoneCountry          Value[string]    `cel:"phoneCountry"`          // ISO 3166-1 alpha-2 code of the phone number's country.
	Username              Value[string]    `cel:"username"`              // Name the user signs in with.
	IsNew                 bool             `cel:"isNew"`                 // True on the user's first tracked action.
	AgeHours              Value[float64]   `cel:"ageHours"`              // Hours since Sallyport first saw the user.
	IsEnrolled            bool             `cel:"isEnrolled"`            // True when the user has at least one authenticator.
	HasPasskey            bool             `cel:"hasPasskey"`            // True when the user has a passkey.
	HasSecurityKey        bool             `cel:"hasSecurityKey"`        // True when the user has a security key.
	HasAuthenticatorApp   bool             `cel:"hasAuthenticatorApp"`   // True when the user has an authenticator app (TOTP).
	HasEmailOtp           bool             `cel:"hasEmailOtp"`           // True when the user can get one-time codes by e-mail.
	HasRecoveryCode       bool             `cel:"hasRecoveryCode"`       // True when the user has unused recovery codes.
	HasPreviouslyVerified bool             `cel:"hasPreviouslyVerified"` // True when the user has passed a challenge before.
	LastVerifiedAt        Value[time.Time] `cel:"lastVerifiedAt"`        // When the user last passed a challenge.
	DeviceCount           int64            `cel:"deviceCount"`           // Number of devices known for the user, at most 50: an action from each was allowed by the rules or proven.
}

// PasskeyFacts describe the passkeys of the user. What has no meaning without a
// passkey is unknown.
type PasskeyFacts struct {
	Count              int64          `cel:"count"`              // Number of passkeys the user has.
	SyncedCount        int64          `cel:"syncedCount"`        // How many of them can leave their device, as those of password managers do.
	DeviceBoundCount   int64          `cel:"deviceBoundCount"`   // How many of them are bound to one device.
	Provider           Value[string]  `cel:"provider"`           // Who keeps the passkey that was used last, such as iCloud Keychain.
	NewestAgeHours     Value[float64] `cel:"newestAgeHours"`     // Hours since the user's newest passkey was added.
	OldestAgeHours     Value[float64] `cel:"oldestAgeHours"`     // Hours since the user's oldest passkey was added.
	HoursSinceUse      Value[float64] `cel:"hoursSinceUse"`      // Hours since a passkey of the user was last used.
	SignCountRegressed bool           `cel:"signCountRegressed"` // True when the signature counter of a passkey has gone back, which a copy of it would cause.
}

// ActionFacts describe the action itself.
type ActionFacts struct {
	Code         string         `cel:"code"`         // Action code, such as payment.
	LocalHour    Value[float64] `cel:"localHour"`    // Hour of the day (0 to 23) where the address is.
	LocalWeekday Value[float64] `cel:"localWeekday"` // Day of the week (0 is Sunday) where the address is.
}

// DeviceFacts describe the device and its browser.
type DeviceFacts struct {
	ID              Value[string]    `cel:"id"`              // Device id that the application sent.
	IsNew           Value[bool]      `cel:"isNew"`           // True until an action of this user from this device was allowed by the rules or proven by a challenge.
	IsRemembered    Value[bool]      `cel:"isRemembered"`    // True for a while after the user passed a challenge on this device.
	RememberedUntil Value[time.Time] `cel:"rememberedUntil"` // Until when the device is remembered.
	UserCount       Value[float64]   `cel:"userCount"`       // Number of users for whom the device is known, counted to 100.
	IsBot           Value[bool]      `cel:"isBot"`           // True when the user agent is that of a known bot.
	Browser         Value[string]    `cel:"browser"`         // Browser name, such as Chrome or Safari.
	OS              Value[string]    `cel:"os"`              // Operating system, such as Windows, macOS, iOS or Android.
	Type            Value[string]    `cel:"type"`            // desktop, mobile or tablet.
}

// IPFacts describe the network address.
type IPFacts struct {
	Address          Value[string]  `cel:"address"`          // IP address in canonical form.
	CountryCode      Value[string]  `cel:"countryCode"`      // ISO 3166-1 alpha-2 code of the address's country.
	City             Value[string]  `cel:"city"`             // City of the address, in English.
	Latitude         Value[float64] `cel:"latitude"`         // Latitude of the address's place, degrees north.
	Longitude        Value[float64] `cel:"longitude"`        // Longitude of the address's place, degrees east.
	ASN              Value[float64] `cel:"asn"`              // Number of the autonomous system that announces the address.
	Organization     Value[string]  `cel:"organization"`     // Organisation that runs the autonomous system.
	IsHosting        Value[bool]    `cel:"isHosting"`        // True for an address of a hosting provider or a cloud.
	IsVPN            Value[bool]    `cel:"isVpn"`            // True for an exit of a commercial VPN.
	IsTor            Value[bool]    `cel:"isTor"`            // True for an exit of the Tor network.
	IsProxy          Value[bool]    `cel:"isProxy"`          // True for a public proxy.
	IsAnonymous      Value[bool]    `cel:"isAnonymous"`      // True for a VPN, Tor or a public proxy.
	IsPrivate        Value[bool]    `cel:"isPrivate"`        // True for loopback, link-local and private addresses.
	IsNew            Value[bool]    `cel:"isNew"`            // True until an action of this user from this address was allowed by the rules or proven by a challenge.
	AtypicalTravel   Value[bool]    `cel:"atypicalTravel"`   // True when the address is farther from the place of the last verified action than people usually move.
	ImpossibleTravel Value[bool]    `cel:"impossibleTravel"` // True when no flight could have covered the way from the place of the last verified action in time.
}

// TravelFacts compare the address's place with that of the last verified action.
type TravelFacts struct {
	DistanceKm Value[float64] `cel:"distanceKm"` // Distance from the place of the last verified action, kilometres.
	SpeedKmh   Value[float64] `cel:"speedKmh"`   // Speed needed to come from there, kilometres per hour; the first 100 km do not count, since places are inexact.
	HoursSince Value[float64] `cel:"hoursSince"` // Hours since the last verified action.
}
