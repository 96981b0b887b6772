package signals_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/rules"
)

// get is a value, or the zero value when it is unknown.
func get[T any](v rules.Value[T]) T {
	value, _ := v.Get()
	return value
}

func TestAddress(t *testing.T) {
	s := open(t, signals.Config{Folder: lib(t), IPData: []string{lib(t)}})
	known := rules.Known[bool]
	for _, tt := range []struct {
		name, ip         string
		address          string
		country, city    string
		asn              float64
		organization     string
		private, hosting rules.Value[bool]
	}{
		{"IPv4", "8.8.8.8", "8.8.8.8", "US", "Mountain View", 15169, "Google LLC", known(false), known(false)},
		{"IPv4 inside IPv6", "::ffff:8.8.8.8", "8.8.8.8", "US", "Mountain View", 15169, "Google LLC", known(false), known(false)},
		{"with spaces around", " 8.8.8.8 ", "8.8.8.8", "US", "Mountain View", 15169, "Google LLC", known(false), known(false)},
		{"IPv6", "2a00:1450:4001:080e::200e", "2a00:1450:4001:80e::200e", "DE", "Frankfurt am Main", 15169, "Google LLC", known(false), known(false)},
		{"a cloud", "52.95.110.1", "52.95.110.1", "US", "New York", 16509, "Amazon.com, Inc.", known(false), known(true)},
		{"people at home", "80.187.100.1", "80.187.100.1", "DE", "Gedern", 3320, "Deutsche Telekom AG", known(false), known(false)},
		{"private", "10.1.2.3", "10.1.2.3", "", "", 0, "", known(true), known(false)},
		{"private inside IPv6", "::ffff:10.1.2.3", "10.1.2.3", "", "", 0, "", known(true), known(false)},
		{"loopback", "::1", "::1", "", "", 0, "", known(true), known(false)},
		{"link-local with a zone", "fe80::1%eth0", "fe80::1", "", "", 0, "", known(true), known(false)},
		{"empty", "", "", "", "", 0, "", rules.Value[bool]{}, rules.Value[bool]{}},
		{"no address", "localhost", "", "", "", 0, "", rules.Value[bool]{}, rules.Value[bool]{}},
		{"address with a port", "8.8.8.8:443", "", "", "", 0, "", rules.Value[bool]{}, rules.Value[bool]{}},
		{"list of addresses", "8.8.8.8, 1.1.1.1", "", "", "", 0, "", rules.Value[bool]{}, rules.Value[bool]{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := rules.IPFacts{IsPrivate: tt.private, IsHosting: tt.hosting}
			if tt.address != "" {
				want.Address, want.IsNew = rules.Known(tt.address), known(true)
			}
			if tt.country != "" {
				want.CountryCode, want.City = rules.Known(tt.country), rules.Known(tt.city)
				want.ASN, want.Organization = rules.Known(tt.asn), rules.Known(tt.organization)
			}
			for _, round := range []string{"first", "again"} {
				f := facts(t, s, engine.Action{IP: tt.ip}, engine.Profile{})
				got := f.IP
				_, north := got.Latitude.Get()
				_, east := got.Longitude.Get()
				_, hour := f.Action.LocalHour.Get()
				if there := tt.country != ""; north != there || east != there || hour != there {
					t.Errorf("%s: latitude %v, longitude %v, local hour %v", round, north, east, hour)
				}
				got.Latitude, got.Longitude = rules.Value[float64]{}, rules.Value[float64]{}
				same(t, got, want)
			}
		})
	}
	t.Run("an address is new until it is known", func(t *testing.T) {
		f := facts(t, s, engine.Action{IP: "8.8.8.8"}, engine.Profile{AddressKnown: true})
		same(t, f.IP.IsNew, known(false))
	})
}

func TestKindsOfAddresses(t *testing.T) {
	type kinds struct{ Hosting, VPN, Tor, Proxy, Anonymous string }
	show := func(v rules.Value[bool]) string {
		is, known := v.Get()
		switch {
		case !known:
			return "?"
		case is:
			return "yes"
		}
		return "no"
	}
	for _, tt := range []struct {
		name      string
		csv       string
		databases map[string]map[string]map[string]any // by type
		ip        string
		want      kinds
	}{
		{"nothing is known without data", "", nil, "203.0.113.7", kinds{"?", "?", "?", "?", "?"}},
		{"a range says yes", "203.0.113.0/24,vpn\n", nil, "203.0.113.7", kinds{"?", "yes", "?", "?", "yes"}},
		{"ranges of a kind deny the kind elsewhere", "203.0.113.0/24,vpn\n", nil, "198.51.100.1", kinds{"?", "no", "?", "?", "?"}},
		{"anonymous is denied by all three together", "203.0.113.0/24,vpn\n203.0.113.0/24,tor\n203.0.113.0/24,proxy\n", nil, "198.51.100.1", kinds{"?", "no", "no", "no", "no"}},
		{"hosting is not anonymous", "203.0.113.0/24,hosting\n", nil, "203.0.113.7", kinds{"yes", "?", "?", "?", "?"}},
		{"several kinds", "203.0.113.0/24,hosting\n203.0.113.7,tor\n", nil, "203.0.113.7", kinds{"yes", "?", "yes", "?", "yes"}},
		{"IPv6", "2001:db8::/32,proxy\n", nil, "2001:db8::7", kinds{"?", "?", "?", "yes", "yes"}},
		{"a system is unknown without a database of systems", "AS64500,hosting\n", nil, "203.0.113.7", kinds{"?", "?", "?", "?", "?"}},
		{
			"a system's address", "AS64500,hosting\n",
			map[string]map[string]map[string]any{"ASN": {"203.0.113.0/24": {"autonomous_system_number": uint32(64500)}}},
			"203.0.113.7",
			kinds{"yes", "?", "?", "?", "?"},
		},
		{
			"an address of no system", "AS64500,hosting\n",
			map[string]map[string]map[string]any{"ASN": {"203.0.113.0/24": {"autonomous_system_number": uint32(64500)}}},
			"198.51.100.1",
			kinds{"no", "?", "?", "?", "?"},
		},
		{
			"MaxMind's layout leaves out what is false", "",
			map[string]map[string]map[string]any{"GeoIP2-Anonymous-IP": {"203.0.113.0/24": {"is_anonymous": true, "is_anonymous_vpn": true}}},
			"203.0.113.7",
			kinds{"no", "yes", "no", "no", "yes"},
		},
		{
			"and addresses for which all is false", "",
			map[string]map[string]map[string]any{"GeoIP2-Anonymous-IP": {"203.0.113.0/24": {"is_tor_exit_node": true}}},
			"198.51.100.1",
			kinds{"no", "no", "no", "no", "no"},
		},
		{
			"a residential proxy is a proxy", "",
			map[string]map[string]map[string]any{"GeoIP2-Anonymous-IP": {"203.0.113.0/24": {"is_residential_proxy": true}}},
			"203.0.113.7",
			kinds{"no", "no", "no", "yes", "yes"},
		},
		{
			"anonymous without saying how", "",
			map[string]map[string]map[string]any{"own": {"203.0.113.0/24": {"is_anonymous": true, "is_hosting_provider": false}}},
			"203.0.113.7",
			kinds{"no", "?", "?", "?", "yes"},
		},
		{
			"one file's yes counts more than another's no", "203.0.113.7,tor\n",
			map[string]map[string]map[string]any{"GeoIP2-Anonymous-IP": {"203.0.113.0/24": {"is_anonymous_vpn": true}}},
			"203.0.113.7",
			kinds{"no", "yes", "yes", "no", "yes"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			writeText(t, filepath.Join(folder, "ranges.csv"), tt.csv)
			for kind, records := range tt.databases {
				writeDatabase(t, filepath.Join(folder, kind+".mmdb"), kind, records)
			}
			ip := facts(t, open(t, signals.Config{IPData: []string{folder}}), engine.Action{IP: tt.ip}, engine.Profile{}).IP
			got := kinds{show(ip.IsHosting), show(ip.IsVPN), show(ip.IsTor), show(ip.IsProxy), show(ip.IsAnonymous)}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzAddress(f *testing.F) {
	s, err := signals.Open(signals.Config{Folder: lib(f), IPData: []string{lib(f)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	for _, ip := range []string{"8.8.8.8", "::ffff:1.2.3.4", "fe80::1%eth0", "1.2.3", "::", "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::1", "2002:808:808::", strings.Repeat(":", 100)} {
		f.Add(ip)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ip := facts(t, s, engine.Action{IP: text}, engine.Profile{}).IP
		address, known := ip.Address.Get()
		if !known {
			same(t, ip, rules.IPFacts{})
			return
		}
		if parsed, err := netip.ParseAddr(address); err != nil || parsed.String() != address || parsed.Is4In6() {
			t.Errorf("%q is not canonical (%v)", address, err)
		}
		same(t, facts(t, s, engine.Action{IP: address}, engine.Profile{}).IP, ip)
		if code, known := ip.CountryCode.Get(); known && len(code) != 2 {
			t.Errorf("country %q", code)
		}
	})
}
