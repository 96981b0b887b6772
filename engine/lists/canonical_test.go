package lists_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

func TestCanonical(t *testing.T) {
	tests := []struct {
		name  string
		typ   rules.ListType
		value string
		want  string // "" when err is wanted
		err   string
	}{
		{"a string stays as it is", rules.ListOfStrings, " Jo'; DROP TABLE users -- ", " Jo'; DROP TABLE users -- ", ""},
		{"two forms of one letter stay two strings", rules.ListOfStrings, "e\u0301", "e\u0301", ""},
		{"an empty string", rules.ListOfStrings, "", "", "is empty"},
		{"the longest string", rules.ListOfStrings, strings.Repeat("x", 1024), strings.Repeat("x", 1024), ""},
		{"a longer string", rules.ListOfStrings, strings.Repeat("x", 1025), "", "1025 bytes"},
		{"bytes that are no text", rules.ListOfStrings, "a\xff", "", "not valid UTF-8"},
		{"a line break", rules.ListOfStrings, "a\nb", "", "control character"},
		{"a NUL", rules.ListOfStrings, "a\x00", "", "control character"},

		{"a number", rules.ListOfNumbers, "1.50", "1.5", ""},
		{"a number with an exponent", rules.ListOfNumbers, "15e-1", "1.5", ""},
		{"a large number", rules.ListOfNumbers, "1000000000000000000000000", "1e+24", ""},
		{"minus nought", rules.ListOfNumbers, "-0.0", "0", ""},
		{"a number beyond doubles", rules.ListOfNumbers, "1e400", "", "too large"},
		{"infinity", rules.ListOfNumbers, "Inf", "", "not a number"},
		{"not a number", rules.ListOfNumbers, "NaN", "", "not a number"},
		{"hexadecimal", rules.ListOfNumbers, "0x10", "", "not a number"},
		{"thousands", rules.ListOfNumbers, "1,000", "", "not a number"},
		{"underscores", rules.ListOfNumbers, "1_000", "", "not a number"},
		{"an empty number", rules.ListOfNumbers, "", "", "not a number"},
		{"a number with a space", rules.ListOfNumbers, " 1", "", "not a number"},

		{"an address", rules.ListOfRanges, "192.0.2.7", "192.0.2.7", ""},
		{"a range of one address", rules.ListOfRanges, "192.0.2.7/32", "192.0.2.7", ""},
		{"a range with bits after its prefix", rules.ListOfRanges, "192.0.2.7/24", "", "is an address of a network rather than a network; write 192.0.2.0/24 for the network or 192.0.2.7 for the address"},
		{"everything", rules.ListOfRanges, "0.0.0.0/0", "0.0.0.0/0", ""},
		{"IPv6 in its long form", rules.ListOfRanges, "2001:0DB8:0:0::1", "2001:db8::1", ""},
		{"an IPv6 range", rules.ListOfRanges, "2001:DB8::/32", "2001:db8::/32", ""},
		{"IPv4 inside IPv6", rules.ListOfRanges, "::ffff:192.0.2.7", "192.0.2.7", ""},
		{"an IPv4 range inside IPv6", rules.ListOfRanges, "::ffff:192.0.2.0/120", "192.0.2.0/24", ""},
		{"an IPv4 range inside IPv6 with bits after its prefix", rules.ListOfRanges, "::ffff:192.0.2.7/120", "", "write 192.0.2.0/24 for the network"},
		{"a range over IPv4 and more", rules.ListOfRanges, "::ffff:192.0.2.7/64", "", "holds IPv4 and other"},
		{"a zone", rules.ListOfRanges, "fe80::1%eth0", "", "neither an address"},
		{"a name", rules.ListOfRanges, "example.com", "", "neither an address"},
		{"leading noughts", rules.ListOfRanges, "192.0.02.7", "", "neither an address"},
		{"a mask", rules.ListOfRanges, "192.0.2.0/255.255.255.0", "", "neither an address"},
		{"a prefix that is too long", rules.ListOfRanges, "192.0.2.0/33", "", "neither an address"},

		{"a type that there is not", "email", "a@example.com", "", "which there is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := lists.Canonical(tt.typ, tt.value)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestCanonicalAddition(t *testing.T) {
	for value, want := range map[string]string{"::ffff:192.0.2.7": "192.0.2.7", "0.0.0.0/0": "", "192.0.2.7/32": "", "x": ""} {
		if got, err := lists.CanonicalAddition(rules.ListOfRanges, value); got != want || (err == nil) != (want != "") {
			t.Errorf("a rule adds %q to a list of ranges: %q, %v; want %q", value, got, err, want)
		}
	}
	if got, err := lists.CanonicalAddition(rules.ListOfStrings, "0.0.0.0/0"); got != "0.0.0.0/0" || err != nil {
		t.Errorf("a rule adds a string: %q, %v", got, err)
	}
}

// FuzzCanonical checks that a canonical value is canonical, and found where it
// was put, whatever was written.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"Jo", "1e3", "-0", "192.0.2.7/24", "::ffff:1.2.3.4", "2001:db8::/32", "", "\x00", "1e-400", "::/0"} {
		f.Add(seed)
	}
	types := []rules.ListType{rules.ListOfStrings, rules.ListOfNumbers, rules.ListOfRanges}
	f.Fuzz(func(t *testing.T, value string) {
		for _, typ := range types {
			canonical, err := lists.Canonical(typ, value)
			if err != nil {
				continue
			}
			if again, err := lists.Canonical(typ, canonical); again != canonical || err != nil {
				t.Fatalf("%s %q becomes %q, which becomes %q, %v", typ, value, canonical, again, err)
			}
			looked := any(canonical)
			switch typ {
			case rules.ListOfNumbers:
				number, err := strconv.ParseFloat(canonical, 64)
				if err != nil || math.IsInf(number, 0) {
					t.Fatalf("%q is no number: %v", canonical, err)
				}
				looked = number
			case rules.ListOfRanges:
				looked, _, _ = strings.Cut(canonical, "/")
			}
			k := filled(t, typ, lists.Item{Value: canonical})
			if found, known := k.Test("l", looked, time.Unix(0, 0)).Get(); !found || !known {
				t.Fatalf("%s %q is not in its list: %v, known %v", typ, canonical, found, known)
			}
		}
	})
}
