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

// lib finds the data that `make build` puts beside the binary.
func lib(tb testing.TB) string {
	tb.Helper()
	folder, err := filepath.Abs("../../bin/lib")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"ip-asn.mmdb", "ip-city-ipv4.mmdb", signals.CrawlersFile, signals.ZonesFile, signals.ProvidersFile} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			tb.Fatalf("the data are not there (%v): run make build", err)
		}
	}
	return folder
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
				PhoneNumber: rules.Known("+6421555123"), PhoneCountry: rules.Known("NZ"), Username: rules.Known("jane"), AgeHours: rules.Known(36.0),
			},
		},
		{
			"an enrolled person",
			engine.Action{},
			engine.Profile{
				Known: true, CreatedAt: now, Methods: []events.Method{events.MethodPasskey}, Passkeys: make([]engine.Passkey, 2), LastVerifiedAt: now.Add(-time.Minute),
			},
			rules.UserFacts{
				AgeHours: rules.Known(0.0), IsEnrolled: true, HasPasskey: true, HasPreviouslyVerified: true,
				LastVerifiedAt: rules.Known(now.Add(-time.Minute)),
			},
		},
		{
			"every other method, and devices",
			engine.Action{},
			engine.Profile{
				Known: true, CreatedAt: now, Devices: 3,
				Methods: []events.Method{events.MethodSecurityKey, events.MethodAuthenticatorApp, events.MethodEmailOTP, events.MethodRecoveryCode},
			},
			rules.UserFacts{
				AgeHours: rules.Known(0.0), IsEnrolled: true, HasSecurityKey: true, HasAuthenticatorApp: true,
				HasEmailOtp: true, HasRecoveryCode: true, DeviceCount: 3,
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
	for _, tt := range []struct {
		name    string
		device  string
		profile engine.Profile
		want    rules.DeviceFacts
	}{
		{
			"a device that is not known", "phone",
			engine.Profile{},
			rules.DeviceFacts{ID: rules.Known("phone"), IsNew: rules.Known(true), IsRemembered: rules.Known(false), UserCount: rules.Known(0.0)},
		},
		{
			"a device that is remembered", "phone",
			engine.Profile{DeviceKnown: true, DeviceUsers: 2, RememberedUntil: now.Add(time.Second)},
			rules.DeviceFacts{
				ID: rules.Known("phone"), IsNew: rules.Known(false), IsRemembered: rules.Known(true),
				RememberedUntil: rules.Known(now.Add(time.Second)), UserCount: rules.Known(2.0),
			},
		},
		{
			"a device that is remembered no longer", "phone",
			engine.Profile{DeviceKnown: true, DeviceUsers: 1, RememberedUntil: now},
			rules.DeviceFacts{
				ID: rules.Known("phone"), IsNew: rules.Known(false), IsRemembered: rules.Known(false),
				RememberedUntil: rules.Known(now), UserCount: rules.Known(1.0),
			},
		},
		{"without a device id everything is unknown", "", engine.Profile{DeviceKnown: true, RememberedUntil: now.Add(time.Hour)}, rules.DeviceFacts{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			same(t, facts(t, s, engine.Action{DeviceID: tt.device}, tt.profile).Device, tt.want)
		})
	}
}

func TestCustomValuesComeFromActionAndProfile(t *testing.T) {
	action := engine.Action{Custom: map[string]any{"amount": 250.0}}
	f := facts(t, open(t, signals.Config{}), action, engine.Profile{Custom: map[string]any{"tier": "gold", "vip": true}})
	if diff := cmp.Diff(map[string]any{"amount": 250.0}, f.Custom); diff != "" {
		t.Errorf("of the action (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"tier": "gold", "vip": true}, f.UserCustom); diff != "" {
		t.Errorf("of the user (-want +got):\n%s", diff)
	}
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

func TestOpen(t *testing.T) {
	folder := func(t *testing.T, name, content string) string {
		t.Helper()
		path := t.TempDir()
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("without data everything that needs them is unknown", func(t *testing.T) {
		s := open(t, signals.Config{})
		f := facts(t, s, engine.Action{IP: "8.8.8.8"}, engine.Profile{
			VerifiedAt: &engine.Place{At: now}, Passkeys: []engine.Passkey{{AAGUID: "fbfc3007-154e-4ecc-8c0b-6e020557d7bd"}},
		})
		same(t, f.IP, rules.IPFacts{Address: rules.Known("8.8.8.8"), IsPrivate: rules.Known(false), IsNew: rules.Known(true)})
		same(t, f.Travel, rules.TravelFacts{})
		same(t, f.Action, rules.ActionFacts{})
		same(t, f.Passkey, rules.PasskeyFacts{Count: 1, DeviceBoundCount: 1})
		for _, part := range []string{"no IP data", signals.ProvidersFile, signals.ZonesFile, signals.CrawlersFile} {
			if !strings.Contains(s.Status(), part) {
				t.Errorf("status %q does not tell %q", s.Status(), part)
			}
		}
		if s.Version() != "" || s.Health().Status != events.StatusOK {
			t.Errorf("version %q, health %v", s.Version(), s.Health())
		}
	})
	t.Run("a database that is not there is told by the status", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing.mmdb")
		if s := open(t, signals.Config{IPData: []string{missing}}); !strings.Contains(s.Status(), "there is nothing at "+missing) {
			t.Errorf("status %q", s.Status())
		}
	})
	t.Run("with the data of the build little is lacking", func(t *testing.T) {
		s := open(t, signals.Config{Folder: lib(t), IPData: []string{lib(t)}})
		if want := "; unknown for lack of data: vpn, tor, proxy"; !strings.HasSuffix(s.Status(), want) {
			t.Errorf("status %q does not end in %q", s.Status(), want)
		}
		if s.Version() == "" {
			t.Error("the data have no version")
		}
	})
	for _, tt := range []struct{ name, file, content, want string }{
		{"providers that are no JSON", signals.ProvidersFile, "{", signals.ProvidersFile},
		{"a provider without an AAGUID", signals.ProvidersFile, `{"apple": "Apple"}`, `"apple" is not the AAGUID`},
		{"time zones without cells", signals.ZonesFile, "Europe/Berlin\n##\n", "one line of names and one of cells"},
		{"a pattern that is none", signals.CrawlersFile, "bot\n(", "line 2"},
		{"a pattern that matches everything", signals.CrawlersFile, "a*", "matches every user agent"},
		{"a pattern too long", signals.CrawlersFile, strings.Repeat("a", 2000), "too long"},
		{"a damaged database", "damaged.mmdb", "not a database", "damaged.mmdb"},
		{"a damaged range", "damaged.csv", "10.0.0.0/8,cloud", "line 1"},
	} {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			path := folder(t, tt.file, tt.content)
			if _, err := signals.Open(signals.Config{Folder: path, IPData: []string{path}}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
	t.Run("a negative threshold is refused", func(t *testing.T) {
		if _, err := signals.Open(signals.Config{AtypicalKm: -1}); err == nil {
			t.Error("it was accepted")
		}
	})
}

// A made-up person who has everything, at an address that changes each time.
func BenchmarkFacts(b *testing.B) {
	s, err := signals.Open(signals.Config{Folder: lib(b), IPData: []string{lib(b)}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	profile := engine.Profile{
		Known: true, CreatedAt: now.Add(-time.Hour), Methods: []events.Method{events.MethodPasskey}, PhoneNumber: "+14155552671",
		Passkeys:   []engine.Passkey{{AAGUID: "fbfc3007-154e-4ecc-8c0b-6e020557d7bd", Synced: true, CreatedAt: now.Add(-time.Hour)}},
		VerifiedAt: &engine.Place{Latitude: 52.52, Longitude: 13.405, At: now.Add(-time.Hour)}, LastVerifiedAt: now.Add(-time.Hour),
	}
	agents := make([]string, 100_000)
	addresses := make([]string, 100_000)
	for i := range agents {
		agents[i] = fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.%d.0 Safari/537.36", i)
		addresses[i] = fmt.Sprintf("%d.%d.%d.%d", 20+i%180, i*7%256, i*13%256, i*31%256)
	}
	for _, bb := range []struct {
		name             string
		people, browsers int
	}{
		{"one address", 1, 1},
		{"a thousand addresses", 1000, 10},
		{"new address each time", len(addresses), 10},
		{"new address and user agent each time", len(addresses), len(agents)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			a := engine.Action{ActionID: events.ActionID{User: "jane"}, Email: "jane@example.com", DeviceID: "d"}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a.IP, a.UserAgent = addresses[i%bb.people], agents[i%bb.browsers]
				f := rules.Facts{Now: now}
				if err := s.Facts(b.Context(), &a, &profile, &f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
