package signals_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// database finds the IP database that the Makefile installs.
func database(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SALLYPORT_IP_DATABASE"); path != "" {
		return path
	}
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			break
		}
		if folder == filepath.Dir(folder) {
			t.Fatal("no go.mod above the test")
		}
	}
	path := filepath.Join(folder, "internal/assets/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the IP database is not installed (%v); run make assets, or set SALLYPORT_IP_DATABASE", err)
	}
	return path
}

func open(t *testing.T, config signals.Config) *signals.Source {
	t.Helper()
	s, err := signals.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func facts(t *testing.T, s *signals.Source, a engine.Action, p engine.Profile) rules.Facts {
	t.Helper()
	f := rules.Facts{Now: now}
	if err := s.Facts(t.Context(), &a, &p, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// same compares facts, which may be known or not.
func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(rules.Value[string]{}, rules.Value[bool]{}, rules.Value[float64]{}, rules.Value[time.Time]{})); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestUser(t *testing.T) {
	s := open(t, signals.Config{})
	tests := []struct {
		name    string
		action  engine.Action
		profile engine.Profile
		want    rules.UserFacts
	}{
		{
			"a person who is not known",
			engine.Action{ActionID: events.ActionID{User: "jane"}},
			engine.Profile{},
			rules.UserFacts{ID: "jane", IsNew: true, AgeHours: rules.Known(0.0)},
		},
		{
			"what the action says wins over what is kept",
			engine.Action{ActionID: events.ActionID{User: "jane"}, Email: "Jane@New.Example"},
			engine.Profile{Known: true, CreatedAt: now.Add(-36 * time.Hour), Email: "old@example.com", PhoneNumber: "+6421555123", Username: "jane"},
			rules.UserFacts{
				ID: "jane", Email: rules.Known("Jane@New.Example"), EmailDomain: rules.Known("new.example"),
				PhoneNumber: rules.Known("+6421555123"), Username: rules.Known("jane"), AgeHours: rules.Known(36.0),
			},
		},
		{
			"an enrolled person",
			engine.Action{},
			engine.Profile{
				Known: true, CreatedAt: now, Methods: []events.Method{events.MethodPasskey}, Passkeys: make([]engine.Passkey, 2), LastVerifiedAt: now.Add(-time.Minute),
			},
			rules.UserFacts{
				AgeHours: rules.Known(0.0), IsEnrolled: true, HasPreviouslyVerified: true,
				LastVerifiedAt: rules.Known(now.Add(-time.Minute)),
			},
		},
		{
			"e-mail without a domain, and a clock that was set back",
			engine.Action{Email: "jane@"},
			engine.Profile{Known: true, CreatedAt: now.Add(time.Hour)},
			rules.UserFacts{Email: rules.Known("jane@"), AgeHours: rules.Known(0.0)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { same(t, facts(t, s, tt.action, tt.profile).User, tt.want) })
	}
}

func TestDevice(t *testing.T) {
	s := open(t, signals.Config{})
	tests := []struct {
		name, agent                string
		browser, os, kind, isBotIs string
	}{
		{"Chrome on Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", "Chrome", "Windows", "desktop", "false"},
		{"Safari on an iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", "Safari", "iOS", "mobile", "false"},
		{"Safari on an iPad", "Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 Mobile/15E148 Safari/604.1", "Safari", "iOS", "tablet", "false"},
		{"Firefox on macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 15.1; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox", "macOS", "desktop", "false"},
		{"Edge on Android", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0", "Edge", "Android", "mobile", "false"},
		{"Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot", "", "", "true"},
		{"automated Chrome", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36", "Headless Chrome", "Linux", "desktop", "true"},
		{"no user agent", "", "", "", "", ""},
		{"text that is no user agent", strings.Repeat("~", 200), "", "", "", "false"},
		{"text beyond the limit", strings.Repeat("a b/", 1000), "a b", "", "", "false"},
	}
	show := func(f rules.DeviceFacts) string {
		text := func(v rules.Value[string]) string { s, _ := v.Get(); return s }
		bot := ""
		if b, known := f.IsBot.Get(); known {
			bot = fmt.Sprint(b)
		}
		return fmt.Sprintf("%q %q %q %q", text(f.Browser), text(f.OS), text(f.Type), bot)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := fmt.Sprintf("%q %q %q %q", tt.browser, tt.os, tt.kind, tt.isBotIs)
			for _, round := range []string{"parsed", "from the cache"} {
				if got := show(facts(t, s, engine.Action{UserAgent: tt.agent}, engine.Profile{}).Device); got != want {
					t.Errorf("%s: got %s, want %s", round, got, want)
				}
			}
		})
	}
	t.Run("a device is new until it is known", func(t *testing.T) {
		for known, want := range map[bool]bool{true: false, false: true} {
			d := facts(t, s, engine.Action{DeviceID: "phone"}, engine.Profile{DeviceKnown: known}).Device
			if isNew, ok := d.IsNew.Get(); !ok || isNew != want {
				t.Errorf("known %v: isNew %v, there %v", known, isNew, ok)
			}
		}
	})
	t.Run("without a device id it is unknown whether the device is new", func(t *testing.T) {
		if _, ok := facts(t, s, engine.Action{}, engine.Profile{}).Device.IsNew.Get(); ok {
			t.Error("isNew is known")
		}
	})
}

func TestDeviceCacheIsBoundedAndShared(t *testing.T) {
	s := open(t, signals.Config{})
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 5000 {
				a := engine.Action{UserAgent: fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0) Firefox/%d.%d", i%3000, worker%2)}
				var f rules.Facts
				if err := s.Facts(t.Context(), &a, &engine.Profile{}, &f); err != nil {
					t.Error(err)
					return
				}
				if name, _ := f.Device.Browser.Get(); name != "Firefox" {
					t.Errorf("browser %q", name)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestAddress(t *testing.T) {
	s := open(t, signals.Config{IPDatabase: database(t)})
	tests := []struct {
		name, ip string
		want     rules.IPFacts
	}{
		{"IPv4", "8.8.8.8", rules.IPFacts{Address: rules.Known("8.8.8.8"), CountryCode: rules.Known("US"), IsPrivate: rules.Known(false)}},
		{"IPv4 inside IPv6", "::ffff:8.8.8.8", rules.IPFacts{Address: rules.Known("8.8.8.8"), CountryCode: rules.Known("US"), IsPrivate: rules.Known(false)}},
		{"IPv6", "2001:4860:4860:0::8888", rules.IPFacts{Address: rules.Known("2001:4860:4860::8888"), CountryCode: rules.Known("US"), IsPrivate: rules.Known(false)}},
		{"with spaces around", " 8.8.8.8 ", rules.IPFacts{Address: rules.Known("8.8.8.8"), CountryCode: rules.Known("US"), IsPrivate: rules.Known(false)}},
		{"private", "10.1.2.3", rules.IPFacts{Address: rules.Known("10.1.2.3"), IsPrivate: rules.Known(true)}},
		{"private inside IPv6", "::ffff:10.1.2.3", rules.IPFacts{Address: rules.Known("10.1.2.3"), IsPrivate: rules.Known(true)}},
		{"loopback", "::1", rules.IPFacts{Address: rules.Known("::1"), IsPrivate: rules.Known(true)}},
		{"link-local with a zone", "fe80::1%eth0", rules.IPFacts{Address: rules.Known("fe80::1"), IsPrivate: rules.Known(true)}},
		{"empty", "", rules.IPFacts{}},
		{"no address", "localhost", rules.IPFacts{}},
		{"address with a port", "8.8.8.8:443", rules.IPFacts{}},
		{"list of addresses", "8.8.8.8, 1.1.1.1", rules.IPFacts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			same(t, facts(t, s, engine.Action{IP: tt.ip}, engine.Profile{}).IP, tt.want)
		})
	}
	if !strings.Contains(s.Status(), "geo-whois") && os.Getenv("SALLYPORT_IP_DATABASE") == "" {
		t.Errorf("status %q", s.Status())
	}
}

func TestOpen(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "damaged.mmdb")
	if err := os.WriteFile(damaged, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("without a database countries are unknown", func(t *testing.T) {
		s := open(t, signals.Config{})
		f := facts(t, s, engine.Action{IP: "8.8.8.8"}, engine.Profile{}).IP
		same(t, f, rules.IPFacts{Address: rules.Known("8.8.8.8"), IsPrivate: rules.Known(false)})
		if want := "no IP database is configured; countries are unknown"; s.Status() != want {
			t.Errorf("status %q", s.Status())
		}
	})
	t.Run("a database that is not there is told by the status", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing.mmdb")
		s := open(t, signals.Config{IPDatabase: missing})
		if want := "there is no IP database at " + missing + "; countries are unknown"; s.Status() != want {
			t.Errorf("status %q", s.Status())
		}
	})
	t.Run("a damaged database is refused", func(t *testing.T) {
		if _, err := signals.Open(signals.Config{IPDatabase: damaged}); err == nil || !strings.Contains(err.Error(), damaged) {
			t.Errorf("error %v does not name the file", err)
		}
	})
}

func BenchmarkFacts(b *testing.B) {
	s, err := signals.Open(signals.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	a := engine.Action{
		ActionID: events.ActionID{User: "jane"}, Email: "jane@example.com", DeviceID: "d", IP: "8.8.8.8",
		UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}
	b.ReportAllocs()
	for b.Loop() {
		f := rules.Facts{Now: now}
		if err := s.Facts(b.Context(), &a, &engine.Profile{}, &f); err != nil {
			b.Fatal(err)
		}
	}
}
