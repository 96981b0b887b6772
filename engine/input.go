package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/rules"
)

// Limits on what an action may carry. Longer values are refused, so that no
// part behind the engine has to.
const (
	MaxUserIDRunes      = 256 // also of a key and of a device id
	MaxEmailRunes       = 320
	MaxPhoneRunes       = 32
	MaxUsernameRunes    = 256
	MaxLocaleRunes      = 64
	MaxRedirectBytes    = 2048
	MaxIPBytes          = 64
	MaxUserAgentBytes   = 1 << 10 // a longer user agent is cut, not refused
	MaxCustomValues     = 100
	MaxCustomBytes      = 32 << 10
	MaxCustomNameRunes  = 128
	MaxCustomValueBytes = rules.MaxStringBytes
)

// isActionCode tells whether a text is an action code (CONTRACT 1.5).
func isActionCode(code string) bool {
	for i := range len(code) {
		switch c := code[i]; {
		case c == '_', c == '-', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return 1 <= len(code) && len(code) <= 64
}

// check makes an action fit to be decided and kept. What comes from the
// person's browser is cut or dropped where it makes no sense, since nobody but
// its sender should be able to make an action fail; what the backend itself
// says is refused with an *InputError.
func check(a *Action) error {
	if !isActionCode(a.Code) {
		return &InputError{"action", "the action code must be 1 to 64 letters, digits, dashes and underscores"}
	}
	for _, f := range []struct {
		field, value string
		least, most  int
	}{
		{"userId", string(a.User), 1, MaxUserIDRunes},
		{"idempotencyKey", a.Key, 0, MaxUserIDRunes},
		{"email", a.Email, 0, MaxEmailRunes},
		{"phoneNumber", a.PhoneNumber, 0, MaxPhoneRunes},
		{"username", a.Username, 0, MaxUsernameRunes},
		{"deviceId", a.DeviceID, 0, MaxUserIDRunes},
		{"locale", a.Locale, 0, MaxLocaleRunes},
	} {
		if err := checkText(f.field, f.value, f.least, f.most); err != nil {
			return err
		}
	}
	if err := checkRedirect(a.RedirectURL); err != nil {
		return err
	}
	for _, scope := range strings.Fields(a.Scope) {
		if !slices.Contains([]string{ScopeRead, ScopeAdd, ScopeRemove, ScopeUpdate}, scope) {
			return &InputError{"scope", fmt.Sprintf("%s is not a scope; there are %s, %s, %s and %s", quoted(scope), ScopeRead, ScopeAdd, ScopeRemove, ScopeUpdate)}
		}
	}
	a.UserAgent = printable(a.UserAgent, MaxUserAgentBytes)
	a.IP = printable(a.IP, MaxIPBytes)
	return checkCustom(a)
}

// canonicalAddress is the one way to write an address, "" for what is none. An
// IPv4 address inside IPv6 is the IPv4 address; a zone means nothing here.
func canonicalAddress(text string) string {
	address, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		return ""
	}
	return address.Unmap().WithZone("").String()
}

// checkText bounds a text that is kept: its length in characters, valid UTF-8,
// no control characters (PostgreSQL refuses a NUL, and with it everything else
// in the transaction).
func checkText(field, value string, least, most int) error {
	n := utf8.RuneCountInString(value)
	switch {
	case n < least:
		return &InputError{field, "it is empty; at least one character is needed"}
	case n > most:
		return &InputError{field, fmt.Sprintf("it has %d characters; at most %d are allowed", n, most)}
	case !utf8.ValidString(value):
		return &InputError{field, "it is not valid UTF-8"}
	case strings.ContainsFunc(value, unicode.IsControl):
		return &InputError{field, "it holds a control character, such as a line break"}
	}
	return nil
}

func checkRedirect(address string) error {
	if address == "" {
		return nil
	}
	if len(address) > MaxRedirectBytes {
		return &InputError{"redirectUrl", fmt.Sprintf("it has %d bytes; at most %d are allowed", len(address), MaxRedirectBytes)}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return &InputError{"redirectUrl", "it must be an absolute address that begins with https:// or http://"}
	}
	return nil
}

// checkCustom bounds the custom values, makes them what rules read, and makes
// RawCustom when only the decoded values were given.
func checkCustom(a *Action) error {
	if len(a.Custom) > MaxCustomValues {
		return &InputError{"custom", fmt.Sprintf("it has %d values; at most %d are allowed", len(a.Custom), MaxCustomValues)}
	}
	given, own := a.Custom, false // the map is the caller's
	for name, value := range given {
		if err := checkText("custom", name, 1, MaxCustomNameRunes); err != nil {
			return &InputError{"custom", "a name in it is empty, too long, or holds a control character: " + quoted(name)}
		}
		plain, changed, err := customValue(name, value)
		if err != nil {
			return err
		}
		if changed {
			if !own {
				a.Custom, own = maps.Clone(given), true
			}
			a.Custom[name] = plain
		}
	}
	if len(a.RawCustom) == 0 && len(a.Custom) > 0 {
		raw, err := json.Marshal(a.Custom)
		if err != nil {
			return &InputError{"custom", err.Error()}
		}
		a.RawCustom = raw
	}
	raw := bytes.TrimSpace(a.RawCustom)
	switch {
	case len(raw) == 0:
		return nil
	case len(raw) > MaxCustomBytes:
		return &InputError{"custom", fmt.Sprintf("it has %d bytes; at most %d are allowed", len(raw), MaxCustomBytes)}
	case raw[0] != '{' || !json.Valid(raw) || !utf8.Valid(raw):
		return &InputError{"custom", "it must be a JSON object"}
	case bytes.Contains(raw, []byte(`\u0000`)):
		return &InputError{"custom", `it holds the character \u0000, which cannot be kept`}
	}
	return nil
}

// maxExactInteger is the largest whole number up to which a float64 holds each
// one exactly, 2^53.
const maxExactInteger = 1 << 53

// customValue is a custom value as rules read it: a string, a float64 or a bool.
// Callers in Go also have the other types of numbers, types of their own that
// are made of these, and the json.Number of a decoder. Changed tells that value
// was not one of the three itself; plain is set only then.
func customValue(name string, value any) (plain any, changed bool, err error) {
	switch v := value.(type) {
	case bool:
		return nil, false, nil
	case float64:
		return nil, false, checkNumber(name, v)
	case string:
		return nil, false, checkString(name, v)
	case json.Number:
		plain, err = decodedNumber(name, v.String())
		return plain, true, err
	}
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), true, nil
	case reflect.String:
		return v.String(), true, checkString(name, v.String())
	case reflect.Float32, reflect.Float64:
		return v.Float(), true, checkNumber(name, v.Float())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n < -maxExactInteger || n > maxExactInteger {
			return nil, false, inexact(name)
		}
		return float64(v.Int()), true, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > maxExactInteger {
			return nil, false, inexact(name)
		}
		return float64(v.Uint()), true, nil
	}
	return nil, false, &InputError{"custom." + name, "it must be a string, a number or a boolean"}
}

func inexact(name string) error {
	return &InputError{"custom." + name, "it is a whole number beyond ±9007199254740992 (2^53), which rules cannot hold exactly; give it as a string"}
}

// decodedNumber reads the text of a number in JSON.
func decodedNumber(name, text string) (float64, error) {
	number, err := strconv.ParseFloat(text, 64)
	switch {
	case !json.Valid([]byte(text)) || err != nil:
		return 0, &InputError{"custom." + name, "it is not a finite number"}
	case !strings.ContainsAny(text, ".eE"):
		if whole, err := strconv.ParseInt(text, 10, 64); err != nil || whole < -maxExactInteger || whole > maxExactInteger {
			return 0, inexact(name)
		}
	}
	return number, nil
}

func checkNumber(name string, number float64) error {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return &InputError{"custom." + name, "it is not a finite number"}
	}
	return nil
}

func checkString(name, text string) error {
	refuse := func(message string) error { return &InputError{"custom." + name, message} }
	switch {
	case len(text) > MaxCustomValueBytes:
		return refuse(fmt.Sprintf("it has %d bytes; at most %d are allowed", len(text), MaxCustomValueBytes))
	case !utf8.ValidString(text):
		return refuse("it is not valid UTF-8")
	case strings.ContainsRune(text, 0):
		return refuse(`it holds the character \u0000, which cannot be kept`)
	}
	return nil
}

// printable drops what cannot be shown and cuts the rest to a number of bytes.
func printable(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// quoted shows a value in a message, cut so that no answer grows with it.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}
