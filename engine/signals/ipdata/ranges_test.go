package ipdata_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine/signals/ipdata"
)

func TestParseRanges(t *testing.T) {
	type find struct {
		address string
		kinds   ipdata.Kinds
	}
	for _, tt := range []struct {
		name, text string
		finds      []find
	}{
		{"an empty file", "", []find{{"203.0.113.7", 0}}},
		{
			"comments, a heading, notes, blanks for commas, any case, carriage returns",
			"\ufeffNetwork,Kind\r\n# mine\r\n\r\n 203.0.113.0/24 , VPN , of a friend\r\n198.51.100.7 tor\r\n",
			[]find{{"203.0.113.0", ipdata.VPN}, {"203.0.113.255", ipdata.VPN}, {"203.0.112.255", 0}, {"203.0.114.0", 0}, {"198.51.100.7", ipdata.Tor}, {"198.51.100.8", 0}},
		},
		{
			"overlapping ranges add up",
			"203.0.113.0/24,vpn\n203.0.113.64/26,tor\n203.0.113.65,proxy\n203.0.113.0/25,vpn\n",
			[]find{
				{"203.0.113.63", ipdata.VPN},
				{"203.0.113.64", ipdata.VPN | ipdata.Tor},
				{"203.0.113.65", ipdata.VPN | ipdata.Tor | ipdata.Proxy},
				{"203.0.113.66", ipdata.VPN | ipdata.Tor},
				{"203.0.113.128", ipdata.VPN},
				{"203.0.114.0", 0},
			},
		},
		{
			"ranges that touch", "203.0.113.0/25,vpn\n203.0.113.128/25,vpn\n203.0.114.0/24,tor\n",
			[]find{{"203.0.113.127", ipdata.VPN}, {"203.0.113.128", ipdata.VPN}, {"203.0.114.0", ipdata.Tor}, {"203.0.115.0", 0}},
		},
		{
			"the ends of all addresses", "255.255.255.255,vpn\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,tor\nff00::/8,proxy\n",
			[]find{{"255.255.255.255", ipdata.VPN}, {"255.255.255.254", 0}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ipdata.Tor | ipdata.Proxy}, {"::", 0}},
		},
		{
			"IPv6, and IPv4 inside it", "2001:db8::/32,proxy\n::ffff:198.51.100.0/120,hosting\n",
			[]find{{"2001:db8:ffff::1", ipdata.Proxy}, {"2001:db9::", 0}, {"198.51.100.255", ipdata.Hosting}, {"198.51.101.0", 0}},
		},
		{"bits behind the range do not matter", "203.0.113.77/24,vpn\n", []find{{"203.0.113.1", ipdata.VPN}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ranges, err := ipdata.ParseRanges(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tt.finds {
				if got := ranges.Kinds(netip.MustParseAddr(f.address)); got != f.kinds {
					t.Errorf("%s: %q, want %q", f.address, got, f.kinds)
				}
			}
		})
	}
	t.Run("autonomous systems", func(t *testing.T) {
		ranges, err := ipdata.ParseRanges(strings.NewReader("AS64500,hosting\nas64501,vpn\nAS64500,proxy\n"))
		if err != nil {
			t.Fatal(err)
		}
		for system, want := range map[uint32]ipdata.Kinds{64500: ipdata.Hosting | ipdata.Proxy, 64501: ipdata.VPN, 64502: 0, 0: 0} {
			if got := ranges.KindsOfSystem(system); got != want {
				t.Errorf("AS%d: %q, want %q", system, got, want)
			}
		}
	})
	for _, tt := range []struct{ name, text, want string }{
		{"a kind that is none", "203.0.113.0/24,cloud", `line 1: the kind must be hosting, vpn, tor or proxy, not "cloud"`},
		{"no kind", "# a\n203.0.113.0/24\n", `line 2: the kind must be`},
		{"a range that is none", "203.0.113.0/33,vpn", `line 1: "203.0.113.0/33" is no range`},
		{"an address with a zone", "fe80::1%eth0,vpn", "is no range"},
		{"a name", "example.com,vpn", "is no range"},
		{"everything", "0.0.0.0/0,vpn", "covers too much"},
		{"everything of IPv6", "::/0,vpn", "covers too much"},
		{"a system of zero", "AS0,vpn", "no autonomous system"},
		{"a system beyond 32 bits", "AS4294967296,vpn", "no autonomous system"},
		{"a line without end", strings.Repeat("x", 10_000), "line 1: it has more than 4096 bytes"},
		{"a heading elsewhere", "203.0.113.0/24,vpn\nnetwork,kind", "line 2"},
	} {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			_, err := ipdata.ParseRanges(strings.NewReader(tt.text))
			var lines *ipdata.LinesError
			if !errors.As(err, &lines) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
	t.Run("the first ten bad lines are named and the others counted", func(t *testing.T) {
		_, err := ipdata.ParseRanges(strings.NewReader("203.0.113.0/24,vpn\n" + strings.Repeat("x,vpn\n", 25)))
		var lines *ipdata.LinesError
		if !errors.As(err, &lines) || len(lines.Lines) != 10 || lines.More != 15 || !strings.HasPrefix(lines.Lines[9], "line 11: ") {
			t.Errorf("error %v", err)
		}
	})
}

// Random ranges mean for every address what they mean one by one.
func TestRangesMeanWhatTheyMeanOneByOne(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 15))
	names := []string{"hosting", "vpn", "tor", "proxy"}
	for range 50 {
		var text strings.Builder
		var prefixes []netip.Prefix
		var kinds []ipdata.Kinds
		for range random.IntN(40) {
			// All within 203.0.113.0/24 or 2001:db8::/120, so that many overlap.
			b := byte(random.IntN(256))
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, b}), 24+random.IntN(9))
			if random.IntN(2) == 0 {
				prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: b}), 120+random.IntN(9))
			}
			kind := random.IntN(4)
			fmt.Fprintf(&text, "%s,%s\n", prefix, names[kind])
			prefixes, kinds = append(prefixes, prefix.Masked()), append(kinds, 1<<kind)
		}
		ranges, err := ipdata.ParseRanges(strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		for b := range 256 {
			for _, address := range []netip.Addr{
				netip.AddrFrom4([4]byte{203, 0, 113, byte(b)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(b)}),
				netip.AddrFrom4([4]byte{203, 0, 114, byte(b)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: 1, 15: byte(b)}),
			} {
				var want ipdata.Kinds
				for i, prefix := range prefixes {
					if prefix.Contains(address) {
						want |= kinds[i]
					}
				}
				if got := ranges.Kinds(address); got != want {
					t.Fatalf("%s: %q, want %q, in\n%s", address, got, want, text.String())
				}
			}
		}
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, text := range []string{"203.0.113.0/24,vpn\n", "AS64500 hosting", "::/8,tor", "# x\r\n\xff,", "network,kind\n1.1.1.1,proxy,note,more"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ranges, err := ipdata.ParseRanges(strings.NewReader(text))
		if err != nil {
			return
		}
		again, err := ipdata.ParseRanges(strings.NewReader("\n" + text + "\n"))
		if err != nil && !strings.HasPrefix(strings.ToLower(strings.TrimPrefix(text, "\ufeff")), "network,kind") && !strings.HasPrefix(text, "\ufeff") {
			t.Fatalf("accepted, but not behind an empty line: %v", err)
		}
		if err != nil {
			return
		}
		for _, a := range []string{"0.0.0.0", "1.1.1.1", "203.0.113.0", "255.255.255.255", "::", "2001:db8::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
			address := netip.MustParseAddr(a)
			if diff := cmp.Diff(ranges.Kinds(address), again.Kinds(address)); diff != "" {
				t.Errorf("%s: %s", a, diff)
			}
		}
	})
}
