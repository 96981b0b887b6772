package signals_test

import (
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
)

func TestPhoneCountry(t *testing.T) {
	s := open(t, signals.Config{})
	for number, want := range map[string]string{
		"+4930901820":       "DE",
		"+33142685300":      "FR",
		"+442079460958":     "GB",
		"+441481723456":     "GG", // shares 44 with GB, JE and IM
		"+441534496000":     "JE",
		"+14155552671":      "US", // 1 is shared by 25 countries
		"+14165550134":      "CA",
		"+12423225555":      "BS",
		"+18765550123":      "JM",
		"+17875550123":      "PR",
		"+74951234567":      "RU", // 7 is shared
		"+77012345678":      "KZ",
		"+390612345678":     "IT",
		"+3906698":          "VA", // the Vatican has no code of its own in use
		"+34911234567":      "ES",
		"+41446681800":      "CH",
		"+43112345678":      "AT",
		"+48221234567":      "PL",
		"+358912345678":     "FI",
		"+35818123456":      "AX",
		"+4721234567":       "NO",
		"+61212345678":      "AU",
		"+6421555123":       "NZ",
		"+81312345678":      "JP",
		"+8613812345678":    "CN",
		"+919876543210":     "IN",
		"+5511912345678":    "BR",
		"+5215512345678":    "MX",
		"+27211234567":      "ZA",
		"+234803123456":     "NG",
		"+212522123456":     "MA",
		"+971501234567":     "AE",
		"+6591234567":       "SG",
		"+380441234567":     "UA",
		"+88213123456":      "", // a satellite network
		"+80012345678":      "", // freephone of the world
		"+99912345678":      "", // no calling code
		"+1":                "",
		"+123":              "",
		"+1415555267":       "", // too short for every country of 1
		"+1234567890123456": "", // too long for E.164
		"04930901820":       "",
		"00493090182":       "",
		"+49 30 901820":     "",
		"+49\u0663090182":   "",
		"+":                 "",
		"jane":              "",
	} {
		t.Run(number, func(t *testing.T) {
			for _, round := range []string{"first", "again"} {
				got, known := facts(t, s, engine.Action{PhoneNumber: number}, engine.Profile{}).User.PhoneCountry.Get()
				if got != want || known != (want != "") {
					t.Errorf("%s: got %q (known %v), want %q", round, got, known, want)
				}
			}
		})
	}
}
