package signals

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// A number in E.164 form has a plus sign and at most 15 digits (ITU-T E.164,
// section 6.2.1); the shortest subscriber numbers have 7 with their country.
const (
	minPhoneDigits = 7
	maxPhoneDigits = 15
)

// phoneCountry returns the ISO 3166-1 alpha-2 code of the country that a phone
// number in E.164 form belongs to, "" when that cannot be told: for any other
// form, for international services, and where countries share a calling code and
// the number fits none of them.
func (s *Source) phoneCountry(number string) string {
	digits, plus := strings.CutPrefix(number, "+")
	if !plus || len(digits) < minPhoneDigits || len(digits) > maxPhoneDigits || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	// Calling codes are free of prefixes: at most one length fits.
	for length := 1; length <= 3; length++ {
		code, err := strconv.Atoi(digits[:length])
		if err != nil {
			return ""
		}
		switch countries := phonenumbers.GetRegionCodesForCountryCode(code); {
		case len(countries) == 0:
			continue
		case len(countries) == 1:
			return alpha2(countries[0])
		}
		// Which of several countries it is takes some regular expressions.
		if country, found := s.phones.Get(number); found {
			return country
		}
		country := sharedCodeCountry(number)
		s.phones.Put(strings.Clone(number), country)
		return country
	}
	return ""
}

func sharedCodeCountry(number string) string {
	parsed, err := phonenumbers.Parse(number, "")
	if err != nil {
		return "" // such as too many digits for the country
	}
	return alpha2(phonenumbers.GetRegionCodeForNumber(parsed))
}

// alpha2 drops what is no country: 001 stands for the whole world.
func alpha2(region string) string {
	if len(region) != 2 {
		return ""
	}
	return region
}
