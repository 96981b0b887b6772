package lists

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/rules"
)

// Limits of what an item may hold.
const (
	MaxValueBytes = 1 << 10 // of a value, in UTF-8
	MaxNoteRunes  = 512
	// maxNumberBytes and maxRangeBytes bound a text before it is parsed. The longest
	// number that strconv writes has 24 bytes, the longest range 43.
	maxNumberBytes = 64
	maxRangeBytes  = 64
)

// Canonical is the one way to write a value of a list, so that equal values are
// one item and are found. It returns an error that says in a few words, as in
// "is not a number", why a text is no value of the type. The text itself is not
// part of it, only, where the bits after a prefix are wrong, the network and the
// address that may be meant.
//
//   - A string is taken exactly as it is: "Jo" and "jo" and "jo " differ, and so do
//     two Unicode forms of one letter. It has 1 to MaxValueBytes bytes of UTF-8 and
//     no control characters.
//   - A number is a decimal number as JSON, YAML and Go write it, finite, and
//     becomes the shortest text that reads back as the same double. -0 is 0.
//   - A range is an address or a CIDR range. An address stands for the range that
//     holds it alone and is written without a length, and an IPv4 address inside
//     IPv6 becomes the IPv4 address. A range with bits after its prefix, such as
//     10.0.0.1/8, is refused: who writes it may mean the one address as well as the
//     16 million. So is a zone (fe80::1%eth0), which means something on one machine
//     only.
func Canonical(typ rules.ListType, value string) (string, error) {
	switch typ {
	case rules.ListOfStrings:
		if err := checkString(value); err != nil {
			return "", err
		}
		return value, nil
	case rules.ListOfNumbers:
		number, err := parseNumber(value)
		if err != nil {
			return "", err
		}
		return numberText(number), nil
	case rules.ListOfRanges:
		prefix, err := parseRange(value)
		if err != nil {
			return "", err
		}
		return rangeText(prefix), nil
	}
	return "", fmt.Errorf("belongs to a list of type %q, which there is not", string(typ))
}

func checkString(value string) error {
	switch {
	case value == "":
		return errors.New("is empty")
	case len(value) > MaxValueBytes:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(value), MaxValueBytes)
	case !utf8.ValidString(value):
		return errors.New("is not valid UTF-8")
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("holds a control character, such as a line break")
	}
	return nil
}

// checkNote bounds a note. It may be empty.
func checkNote(note string) error {
	if note == "" {
		return nil
	}
	if n := utf8.RuneCountInString(note); n > MaxNoteRunes {
		return fmt.Errorf("has %d characters; at most %d are allowed", n, MaxNoteRunes)
	}
	if !utf8.ValidString(note) {
		return errors.New("is not valid UTF-8")
	}
	if strings.ContainsFunc(note, unicode.IsControl) {
		return errors.New("holds a control character, such as a line break")
	}
	return nil
}

func parseNumber(text string) (float64, error) {
	if len(text) > maxNumberBytes {
		return 0, errors.New("is not a number")
	}
	// strconv also reads hexadecimal, underscores, infinities and NaN.
	if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, errors.New("is not a number")
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) && math.IsInf(number, 0) {
			return 0, errors.New("is too large a number")
		}
		return 0, errors.New("is not a number")
	}
	return number, nil
}

func numberText(number float64) string {
	if number == 0 {
		return "0" // also for -0, which is equal
	}
	return strconv.FormatFloat(number, 'g', -1, 64)
}

func parseRange(text string) (netip.Prefix, error) {
	if len(text) > maxRangeBytes {
		return netip.Prefix{}, errors.New("is neither an address nor a CIDR range")
	}
	if !strings.Contains(text, "/") {
		address, ok := parseAddress(text)
		if !ok {
			return netip.Prefix{}, errors.New("is neither an address nor a CIDR range")
		}
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("is neither an address nor a CIDR range")
	}
	if address := prefix.Addr(); address.Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, errors.New("is a range that holds IPv4 and other IPv6 addresses")
		}
		prefix = netip.PrefixFrom(address.Unmap(), prefix.Bits()-96)
	}
	if network := prefix.Masked(); network != prefix {
		return netip.Prefix{}, fmt.Errorf("is an address of a network rather than a network; write %s for the network or %s for the address", network, prefix.Addr())
	}
	return prefix, nil
}

// parseAddress reads one address without a zone.
func parseAddress(text string) (netip.Addr, bool) {
	if len(text) > maxRangeBytes {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Addr{}, false
	}
	return address.Unmap(), true
}

func rangeText(prefix netip.Prefix) string {
	if prefix.IsSingleIP() {
		return prefix.Addr().String()
	}
	return prefix.String()
}

// CanonicalAddition is the canonical form of a value that a rule adds to a list:
// as Canonical, but for a list of ranges a single address. A fact comes from
// outside and must not be able to put a whole network on a list.
func CanonicalAddition(typ rules.ListType, value string) (string, error) {
	if typ == rules.ListOfRanges {
		if _, ok := parseAddress(value); !ok {
			return "", errors.New("is not an address")
		}
	}
	return Canonical(typ, value)
}
