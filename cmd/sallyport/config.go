package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is what `sallyport serve` was told, checked and parsed. Settings
// describes every field.
type Config struct {
	Listen           string // host:port; port 0 takes a free one
	PublicURL        string // scheme://host[:port]; "" follows the bound port, see Bound
	Data             string // folder
	Secrets          []Secret
	ManagementSecret Secret
	Tenant           string
	Name             string
	RPID             string // "" follows the public URL, see Bound
	Origins          []string
	ClickHouse       Backend
	NATS             Backend
	TLSCert, TLSKey  string // PEM files, both or neither
	TrustedProxies   []netip.Prefix
	ClickHouseLib    string   // "" looks beside the executable
	IPData           []string // files and folders; none looks beside the executable
	SignalData       string   // folder; "" looks beside the executable
	AtypicalKm       float64
	ImpossibleKmh    float64
	RememberDevice   time.Duration // 0 never remembers
	RulesApproval    string        // off or required
	LogLevel         slog.Level
	LogFormat        string // auto, text or json
	Ceremonies       CeremonySettings
}

// Backend is one of NATS and ClickHouse: run inside or beside this process, used
// over the network, or left out.
type Backend struct {
	Mode BackendMode
	URL  Secret // for Remote; a secret since it may carry a password
}

// BackendMode says where a backend runs.
type BackendMode string

// The modes of a backend.
const (
	Embedded BackendMode = "embedded"
	Remote   BackendMode = "remote"
	Absent   BackendMode = "off" // ClickHouse only
)

// Setting is one line of the configuration: one name in three spellings. The
// environment has SALLYPORT_PUBLIC_URL, the flag is --public-url, the key in the
// file public-url.
type Setting struct {
	Name    string // as in the file and, behind two dashes, on the command line
	Default string
	Help    string // one sentence
	Secret  bool   // never a flag: command lines are visible to every user of the machine
	set     func(c *Config, value string) error
}

// Env is the setting's name in the environment.
func (s Setting) Env() string {
	return "SALLYPORT_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Settings is the whole configuration, in the order in which help prints it.
func Settings() []Setting {
	return append([]Setting{
		{
			Name: "listen", Default: "127.0.0.1:8080",
			Help: "Address to listen on; port 0 takes a free one.",
			set:  func(c *Config, v string) (err error) { c.Listen, err = parseListen(v); return },
		},
		{
			Name: "public-url",
			Help: "Address under which browsers reach the server. Unset, http://localhost and the bound port.",
			set:  func(c *Config, v string) (err error) { c.PublicURL, err = parseOrigin(v); return },
		},
		{
			Name: "data", Default: "./data",
			Help: "Folder of the database, the secrets, and the embedded NATS and ClickHouse.",
			set:  func(c *Config, v string) error { c.Data = v; return nil },
		},
		{
			Name: "secret", Secret: true,
			Help: "Server secret of the backends; several, separated by commas, while one replaces another. Unset, one is made and kept in DATA/secrets.json.",
			set:  func(c *Config, v string) (err error) { c.Secrets, err = parseSecrets(v); return },
		},
		{
			Name: "management-secret", Secret: true,
			Help: "Secret that publishes rules and invites operators. Unset, one is made, shown once, and kept as a hash.",
			set:  func(c *Config, v string) error { c.ManagementSecret = Secret(v); return nil },
		},
		{
			Name: "tenant", Default: "sallyport",
			Help: "Tenant id that browser and mobile SDKs send.",
			set:  func(c *Config, v string) (err error) { c.Tenant, err = parseTenant(v); return },
		},
		{
			Name: "name", Default: "Sallyport",
			Help: "Name that people see on the challenge page and in their passkey list.",
			set:  func(c *Config, v string) (err error) { c.Name, err = parseName(v); return },
		},
		{
			Name: "rp-id",
			Help: "WebAuthn relying party id. Unset, the host of the public URL. Changing it makes every passkey useless.",
			set:  func(c *Config, v string) (err error) { c.RPID, err = parseRPID(v); return },
		},
		{
			Name: "origins",
			Help: "Further origins, separated by commas, whose pages may run ceremonies, call the client API and be redirected to.",
			set:  func(c *Config, v string) (err error) { c.Origins, err = parseOrigins(v); return },
		},
		{
			Name: "clickhouse", Default: "embedded",
			Help: "Where the archive is: embedded, a DSN such as clickhouse://user:password@host:9000/sallyport, or off.",
			set:  func(c *Config, v string) (err error) { c.ClickHouse, err = parseClickHouse(v); return },
		},
		{
			Name: "nats", Default: "embedded",
			Help: "What carries events: embedded, or a URL such as nats://host:4222.",
			set:  func(c *Config, v string) (err error) { c.NATS, err = parseNATS(v); return },
		},
		{
			Name: "tls-cert",
			Help: "PEM file with the certificate chain; serves HTTPS together with tls-key.",
			set:  func(c *Config, v string) error { c.TLSCert = v; return readable(v) },
		},
		{
			Name: "tls-key",
			Help: "PEM file with the certificate's private key.",
			set:  func(c *Config, v string) error { c.TLSKey = v; return readable(v) },
		},
		{
			Name: "trusted-proxies",
			Help: "Addresses or CIDR ranges, separated by commas, whose X-Forwarded-For is believed.",
			set:  func(c *Config, v string) (err error) { c.TrustedProxies, err = parsePrefixes(v); return },
		},
		{
			Name: "clickhouse-lib",
			Help: "ClickHouse's engine as a shared library. Unset, lib/libchdb.so beside the executable.",
			set:  func(c *Config, v string) error { c.ClickHouseLib = v; return readable(v) },
		},
		{
			Name: "ip-database",
			Help: "MMDB databases, CSV files of ranges, and folders of them, separated by commas. Unset, the folder lib beside the executable; what no file tells stays unknown.",
			set:  func(c *Config, v string) (err error) { c.IPData, err = parsePaths(v); return },
		},
		{
			Name: "signal-data",
			Help: "Folder of passkey-providers.json, timezones.txt and crawlers.txt. Unset, the folder lib beside the executable.",
			set:  func(c *Config, v string) error { c.SignalData = v; return readable(v) },
		},
		{
			Name: "travel-atypical-km", Default: "500",
			Help: "Distance from the last verified place, in kilometres, beyond which ip.atypicalTravel is true.",
			set:  func(c *Config, v string) (err error) { c.AtypicalKm, err = parsePositive(v); return },
		},
		{
			Name: "travel-impossible-kmh", Default: "1000",
			Help: "Speed from the last verified place, in kilometres per hour, beyond which ip.impossibleTravel is true.",
			set:  func(c *Config, v string) (err error) { c.ImpossibleKmh, err = parsePositive(v); return },
		},
		{
			Name: "remember-device", Default: "30d",
			Help: "How long a device is remembered after a challenge was passed on it, such as 30d or 12h; off never remembers.",
			set:  func(c *Config, v string) (err error) { c.RememberDevice, err = parseRemember(v); return },
		},
		{
			Name: "rules-approval", Default: "off",
			Help: "Whether a second person must approve a rule set before it is published: off or required.",
			set:  func(c *Config, v string) (err error) { c.RulesApproval, err = oneOf(v, "off", "required"); return },
		},
		{
			Name: "log-level", Default: "info",
			Help: "Least level that is logged: debug, info, warn or error.",
			set:  func(c *Config, v string) error { return c.LogLevel.UnmarshalText([]byte(v)) },
		},
		{
			Name: "log-format", Default: "auto",
			Help: "text for people, json for machines; auto is text on a terminal and json elsewhere.",
			set:  func(c *Config, v string) (err error) { c.LogFormat, err = oneOf(v, "auto", "text", "json"); return },
		},
	}, ceremonySettings()...)
}

// userinfo is the part of a URL that may hold a password.
var userinfo = regexp.MustCompile(`://[^/]*@`)

// SettingError is one value that the configuration refuses.
type SettingError struct {
	Source string // where it was set, as the person wrote it: SALLYPORT_LISTEN, --listen, "sallyport.yaml: listen"
	Value  string // [redacted] for secrets
	Err    error  // what to do about it
}

// Error names field and value.
func (e *SettingError) Error() string { return fmt.Sprintf("%s=%q: %v", e.Source, e.Value, e.Err) }

// Unwrap returns what is wrong with the value.
func (e *SettingError) Unwrap() error { return e.Err }

// ConfigError holds every problem of a configuration.
type ConfigError struct{ Problems []error }

// Error prints one problem per line.
func (e *ConfigError) Error() string {
	if len(e.Problems) == 1 {
		return "configuration: " + e.Problems[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration has %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

// Unwrap returns the problems.
func (e *ConfigError) Unwrap() []error { return e.Problems }

// LoadConfig composes the configuration: defaults, then the file, then the
// environment, then flags; the later wins. The file is --config or
// SALLYPORT_CONFIG; flags holds the values of flags that were given, by setting
// name. An empty environment variable counts as unset. Every problem is reported
// at once, as a *ConfigError.
func LoadConfig(getenv func(string) string, flags map[string]string) (Config, error) {
	var problems []error
	path := flags["config"]
	if path == "" {
		path = getenv("SALLYPORT_CONFIG")
	}
	file, err := readConfigFile(path)
	if err != nil {
		problems = append(problems, err)
	}

	var config Config
	for _, s := range Settings() {
		value, source := s.Default, "default of "+s.Name
		if v, ok := file[s.Name]; ok {
			value, source = v, path+": "+s.Name
		}
		if v := getenv(s.Env()); v != "" {
			value, source = v, s.Env()
		}
		if v, ok := flags[s.Name]; ok {
			value, source = v, "--"+s.Name
		}
		if value == "" {
			continue
		}
		if err := s.set(&config, value); err != nil {
			if s.Secret {
				value = redacted
			}
			value = userinfo.ReplaceAllString(value, "://"+redacted+"@")
			problems = append(problems, &SettingError{Source: source, Value: value, Err: err})
		}
	}
	problems = append(problems, config.contradictions()...)
	if len(problems) > 0 {
		return Config{}, &ConfigError{Problems: problems}
	}
	return config, nil
}

// clientVariables are names that settings do not have: of the client commands,
// and of the file.
var clientVariables = []string{"SALLYPORT_URL", "SALLYPORT_CONFIG"}

// serviceLink is a variable that Kubernetes sets for a service named sallyport.
var serviceLink = regexp.MustCompile(`^SALLYPORT_(SERVICE_|PORT$|PORT_)`)

// strangers names the environment variables that begin as those of Sallyport do
// and that nothing reads, each in a sentence. They are probably misspelt; a value
// that is not used would otherwise go unnoticed.
func strangers(environ []string) []string {
	known := slices.Clone(clientVariables)
	for _, s := range Settings() {
		known = append(known, s.Env())
	}
	var found []string
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "SALLYPORT_") || value == "" || slices.Contains(known, name) || serviceLink.MatchString(name) {
			continue
		}
		found = append(found, name+" is in the environment but is no setting"+didYouMean(name, known))
	}
	slices.Sort(found)
	return found
}

// contradictions are problems between settings that are each fine alone.
func (c Config) contradictions() []error {
	var problems []error
	if (c.TLSCert == "") != (c.TLSKey == "") {
		problems = append(problems, errors.New("tls-cert and tls-key: set both or neither"))
	}
	if c.RPID != "" && c.PublicURL != "" {
		host := hostOf(c.PublicURL)
		if host != c.RPID && !strings.HasSuffix(host, "."+c.RPID) {
			problems = append(problems, fmt.Errorf(
				"rp-id=%q: browsers accept it only if the public URL's host (%s) is it or ends in .%s (WebAuthn L3, section 5.1.2)", c.RPID, host, c.RPID))
		}
	}
	problems = append(problems, c.Ceremonies.contradictions()...)
	if c.ManagementSecret != "" && slices.Contains(c.Secrets, c.ManagementSecret) {
		problems = append(problems, errors.New("management-secret: must differ from the server secret, which cannot publish rules"))
	}
	return problems
}

// Bound fills in what follows the bound port: the public URL and the relying
// party id.
func (c Config) Bound(port int) Config {
	if c.PublicURL == "" {
		scheme := "http"
		if c.TLSCert != "" {
			scheme = "https"
		}
		c.PublicURL = scheme + "://localhost:" + strconv.Itoa(port)
	}
	if c.RPID == "" {
		c.RPID = hostOf(c.PublicURL)
	}
	return c
}

// secure reports whether browsers reach the server over TLS, here or at a proxy.
func (c Config) secure() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// AllOrigins is the public URL and the further origins, each once.
func (c Config) AllOrigins() []string {
	origins := []string{c.PublicURL}
	for _, o := range c.Origins {
		if !slices.Contains(origins, o) {
			origins = append(origins, o)
		}
	}
	return origins
}

// Warnings are sentences about a configuration that works but probably not as
// meant.
func (c Config) Warnings() []string {
	var warnings []string
	for _, origin := range c.AllOrigins() {
		host := hostOf(origin)
		switch {
		case net.ParseIP(host) != nil:
			warnings = append(warnings, origin+": browsers refuse passkeys on an IP address; use a name, such as localhost")
		case strings.HasPrefix(origin, "http:") && host != "localhost" && !strings.HasSuffix(host, ".localhost"):
			warnings = append(warnings, origin+": browsers allow passkeys only over https or on localhost")
		case c.RPID != "" && host != c.RPID && !strings.HasSuffix(host, "."+c.RPID):
			warnings = append(warnings, fmt.Sprintf("%s: its own pages cannot use passkeys of %s; send people to the hosted page", origin, c.RPID))
		}
	}
	for _, s := range append(slices.Clone(c.Secrets), c.ManagementSecret) {
		if s != "" && len(s) < 16 {
			warnings = append(warnings, "a secret in the configuration is shorter than 16 characters and can be guessed")
			break
		}
	}
	return warnings
}

func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return "" // an origin that parseOrigin accepted always parses
	}
	return u.Hostname()
}

// readable checks that a file can be opened now, rather than at first use.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("must be a file that can be read: %w", errors.Unwrap(err))
	}
	return f.Close()
}

// BesideExecutable is the path of a file in the folder lib beside the running
// binary.
func BesideExecutable(name string) (string, error) {
	executable, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the executable: %w", err)
	}
	return filepath.Join(filepath.Dir(executable), "lib", name), nil
}
