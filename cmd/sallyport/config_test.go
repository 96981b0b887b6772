package main_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func load(t *testing.T, env, flags map[string]string) sallyport.Config {
	t.Helper()
	config, err := sallyport.LoadConfig(environment(env), flags)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func writeFile(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsServeOneNodeOnThisMachine(t *testing.T) {
	got := load(t, nil, nil)
	want := sallyport.Config{
		Listen: "127.0.0.1:8080", Data: "./data", Tenant: "sallyport", Name: "Sallyport",
		ClickHouse: sallyport.Backend{Mode: sallyport.Embedded}, NATS: sallyport.Backend{Mode: sallyport.Embedded},
		AtypicalKm: 500, ImpossibleKmh: 1000, RememberDevice: 30 * 24 * time.Hour,
		RulesApproval: "off", LogFormat: "auto",
		Ceremonies: sallyport.CeremonySettings{
			UserVerification: "required", Attestation: "none", Algorithms: []int{-7, -8, -257}, RefuseRegress: true,
			PromptEvery: 7 * 24 * time.Hour,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	file := writeFile(t, 0o644, "tenant: from-file\nname: File\ndata: /file\norigins:\n  - https://a.example\n  - https://b.example\n")
	got := load(t,
		map[string]string{"SALLYPORT_CONFIG": file, "SALLYPORT_NAME": "Env", "SALLYPORT_DATA": "/env", "SALLYPORT_TENANT": ""},
		map[string]string{"data": "/flag"})
	for _, c := range []struct{ name, want, got string }{
		{"default", "127.0.0.1:8080", got.Listen},
		{"file, since an empty variable is unset", "from-file", got.Tenant},
		{"environment over file", "Env", got.Name},
		{"flag over environment", "/flag", got.Data},
		{"list in the file", "https://a.example https://b.example", strings.Join(got.Origins, " ")},
	} {
		if c.want != c.got {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestAnUnsetPublicURLFollowsTheBoundPort(t *testing.T) {
	for _, c := range []struct {
		name             string
		env              map[string]string
		wantURL, wantRP  string
		wantFirstOrigins []string
	}{
		{"unset", nil, "http://localhost:4711", "localhost", []string{"http://localhost:4711"}},
		{
			"set",
			map[string]string{"SALLYPORT_PUBLIC_URL": "https://Login.Example.com:443/"},
			"https://login.example.com", "login.example.com",
			[]string{"https://login.example.com"},
		},
		{
			"relying party above",
			map[string]string{"SALLYPORT_PUBLIC_URL": "https://login.example.com", "SALLYPORT_RP_ID": "example.com"},
			"https://login.example.com", "example.com",
			[]string{"https://login.example.com"},
		},
		{
			"further origins",
			map[string]string{"SALLYPORT_ORIGINS": "http://localhost:3000, http://localhost:4711"},
			"http://localhost:4711", "localhost",
			[]string{"http://localhost:4711", "http://localhost:3000"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := load(t, c.env, nil).Bound(4711)
			if got.PublicURL != c.wantURL || got.RPID != c.wantRP {
				t.Errorf("got %s and %s, want %s and %s", got.PublicURL, got.RPID, c.wantURL, c.wantRP)
			}
			if diff := cmp.Diff(c.wantFirstOrigins, got.AllOrigins()); diff != "" {
				t.Errorf("origins (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadValuesNameFieldAndValue(t *testing.T) {
	for _, c := range []struct{ name, variable, value, want string }{
		{"listen without port", "LISTEN", "localhost", "host:port"},
		{"listen on no port", "LISTEN", ":99999", "host:port"},
		{"public URL with a path", "PUBLIC_URL", "https://example.com/auth", "without a path"},
		{"public URL without scheme", "PUBLIC_URL", "example.com", "scheme://host"},
		{"public URL with a port that is none", "PUBLIC_URL", "http://localhost:0", "scheme://host"},
		{"origin", "ORIGINS", "https://a.example,b.example", `"b.example" must be scheme://host`},
		{"tenant", "TENANT", "a b", "letters"},
		{"relying party as URL", "RP_ID", "https://example.com", "host name"},
		{"relying party as address", "RP_ID", "127.0.0.1", "host name"},
		{"clickhouse", "CLICKHOUSE", "sometimes", "embedded, off, or a DSN"},
		{"nats off", "NATS", "off", "embedded or a URL"},
		{"proxy", "TRUSTED_PROXIES", "10.0.0.0/8,nearby", `"nearby" must be an address or a range`},
		{"missing library", "CLICKHOUSE_LIB", "/nowhere/libchdb.so", "no such file"},
		{"approval", "RULES_APPROVAL", "sometimes", "off, required"},
		{"missing IP data", "IP_DATABASE", "/nowhere/ip.mmdb", "no such file"},
		{"one of several IP data missing", "IP_DATABASE", "/,/nowhere/ip.mmdb", `"/nowhere/ip.mmdb"`},
		{"IP data of commas", "IP_DATABASE", " , ", "files and folders"},
		{"missing folder of signals", "SIGNAL_DATA", "/nowhere", "no such file"},
		{"distance of nothing", "TRAVEL_ATYPICAL_KM", "0", "above 0"},
		{"speed that is no number", "TRAVEL_IMPOSSIBLE_KMH", "NaN", "above 0"},
		{"endless speed", "TRAVEL_IMPOSSIBLE_KMH", "Inf", "above 0"},
		{"remembering for nothing", "REMEMBER_DEVICE", "0d", "30d"},
		{"remembering backwards", "REMEMBER_DEVICE", "-12h", "30d"},
		{"remembering for ever", "REMEMBER_DEVICE", "9999d", "3650d"},
		{"remembering for a word", "REMEMBER_DEVICE", "long", "30d"},
		{"log level", "LOG_LEVEL", "loud", "unknown name"},
		{"log format", "LOG_FORMAT", "xml", "auto, text, json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := sallyport.LoadConfig(environment(map[string]string{"SALLYPORT_" + c.variable: c.value}), nil)
			var setting *sallyport.SettingError
			if !errors.As(err, &setting) {
				t.Fatalf("got %v, want a SettingError", err)
			}
			for _, part := range []string{"SALLYPORT_" + c.variable, fmt.Sprintf("%q", c.value), c.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestHowLongADeviceIsRemembered(t *testing.T) {
	for value, want := range map[string]time.Duration{"off": 0, "1d": 24 * time.Hour, "12h": 12 * time.Hour, "3650d": 3650 * 24 * time.Hour} {
		if got := load(t, map[string]string{"SALLYPORT_REMEMBER_DEVICE": value}, nil).RememberDevice; got != want {
			t.Errorf("%s: %v, want %v", value, got, want)
		}
	}
}

func TestAllProblemsComeTogether(t *testing.T) {
	file := writeFile(t, 0o644, "colour: red\nsecret: sp_visible\ntenant: {a: b}\n")
	_, err := sallyport.LoadConfig(environment(map[string]string{
		"SALLYPORT_LISTEN": "x", "SALLYPORT_TLS_CERT": file,
		"SALLYPORT_PUBLIC_URL": "https://login.example.com", "SALLYPORT_RP_ID": "other.com",
		"SALLYPORT_SECRET": "one-and-the-same", "SALLYPORT_MANAGEMENT_SECRET": "one-and-the-same",
	}), map[string]string{"config": file})
	if err == nil {
		t.Fatal("the configuration was accepted")
	}
	for _, want := range []string{
		`no setting "colour"`, "others can read", "tenant must be a text", "SALLYPORT_LISTEN",
		"tls-cert and tls-key", "rp-id", "must differ from the server secret",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from:\n%v", want, err)
		}
	}
}

func TestSecretsAndPasswordsAreNotPrinted(t *testing.T) {
	const secret = "hunter2hunter2"
	config := load(t, map[string]string{
		"SALLYPORT_SECRET": secret, "SALLYPORT_MANAGEMENT_SECRET": "m" + secret,
		"SALLYPORT_CLICKHOUSE": "clickhouse://me:" + secret + "@localhost:9000/db",
	}, nil)
	for _, text := range []string{fmt.Sprint(config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config)} {
		if strings.Contains(text, secret) || !strings.Contains(text, "[redacted]") {
			t.Errorf("the secret is visible in %s", text)
		}
	}
	_, err := sallyport.LoadConfig(environment(map[string]string{
		"SALLYPORT_SECRET": secret + ":", "SALLYPORT_NATS": "amqp://me:" + secret + "@localhost",
	}), nil)
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the error is %v", err)
	}
}

func TestWarningsTellWhatWillNotWork(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"an address", map[string]string{"SALLYPORT_PUBLIC_URL": "http://127.0.0.1:8080"}, "IP address"},
		{"http", map[string]string{"SALLYPORT_PUBLIC_URL": "http://example.com"}, "https"},
		{"foreign origin", map[string]string{"SALLYPORT_PUBLIC_URL": "https://a.example", "SALLYPORT_ORIGINS": "https://b.example"}, "hosted page"},
		{"short secret", map[string]string{"SALLYPORT_SECRET": "short"}, "guessed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := load(t, c.env, nil).Bound(8080).Warnings()
			if !slices.ContainsFunc(got, func(w string) bool { return strings.Contains(w, c.want) }) {
				t.Errorf("no warning says %q: %q", c.want, got)
			}
		})
	}
	if got := load(t, nil, nil).Bound(8080).Warnings(); len(got) > 0 {
		t.Errorf("the defaults warn: %q", got)
	}
}
