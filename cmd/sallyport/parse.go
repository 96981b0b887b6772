package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// readConfigFile reads a YAML file of settings. Lists may be written as lists.
// The empty path is an empty file.
func readConfigFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(text, &nodes); err != nil {
		return nil, fmt.Errorf("read configuration: %s: %w", path, err)
	}
	settings := Settings()
	values := make(map[string]string, len(nodes))
	var problems []error
	for name, node := range nodes {
		known := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name })
		if known < 0 {
			problems = append(problems, fmt.Errorf("%s:%d: there is no setting %q; `sallyport help serve` lists them", path, node.Line, name))
			continue
		}
		if settings[known].Secret && !private(path) {
			problems = append(problems, fmt.Errorf("%s:%d: %s is a secret, but others can read the file: run `chmod 600 %s`", path, node.Line, name, path))
			continue
		}
		value, ok := flatten(node)
		if !ok {
			problems = append(problems, fmt.Errorf("%s:%d: %s must be a text or a list of texts", path, node.Line, name))
			continue
		}
		values[name] = value
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return values, errors.Join(problems...)
}

// flatten writes a YAML scalar, or a list of scalars, as the environment would
// have it.
func flatten(node yaml.Node) (string, bool) {
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, true
	case yaml.SequenceNode:
		items := make([]string, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", false
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), true
	}
	return "", false
}

// private reports whether only the file's owner can read it.
func private(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o077 == 0
}

// list splits at commas and drops blanks.
func list(v string) []string {
	var items []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func oneOf(v string, allowed ...string) (string, error) {
	if !slices.Contains(allowed, v) {
		return "", errors.New("must be one of " + strings.Join(allowed, ", "))
	}
	return v, nil
}

func parseListen(v string) (string, error) {
	problem := errors.New("must be host:port, such as 127.0.0.1:8080 or :8080")
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return "", problem
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", problem
	}
	return v, nil
}

// parseOrigin accepts scheme://host[:port] and nothing behind it but a slash,
// and writes it as browsers write an origin (RFC 6454, section 6.2).
func parseOrigin(v string) (string, error) {
	problem := errors.New("must be scheme://host or scheme://host:port without a path, such as https://login.example.com")
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return "", problem
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", problem
	}
	host := strings.ToLower(u.Host)
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return "", problem
		}
		if (u.Scheme == "http" && p == "80") || (u.Scheme == "https" && p == "443") {
			host = strings.TrimSuffix(host, ":"+p)
		}
	}
	return u.Scheme + "://" + host, nil
}

func parseOrigins(v string) ([]string, error) {
	var origins []string
	for _, item := range list(v) {
		origin, err := parseOrigin(item)
		if err != nil {
			return nil, fmt.Errorf("%q %w", item, err)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func parseSecrets(v string) ([]Secret, error) {
	var secrets []Secret
	for _, item := range list(v) {
		if strings.ContainsFunc(item, func(r rune) bool { return r == ':' || unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return nil, errors.New("must not hold a colon or a space: it is the user name of HTTP basic authentication (RFC 7617, section 2)")
		}
		secrets = append(secrets, Secret(item))
	}
	if len(secrets) == 0 {
		return nil, errors.New("must hold at least one secret")
	}
	return secrets, nil
}

var tenantPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func parseTenant(v string) (string, error) {
	if !tenantPattern.MatchString(v) {
		return "", errors.New("must be 1 to 64 letters, digits, dashes or underscores")
	}
	return v, nil
}

func parseName(v string) (string, error) {
	if len(v) > 64 || strings.ContainsFunc(v, unicode.IsControl) {
		return "", errors.New("must be at most 64 bytes of plain text")
	}
	return v, nil
}

func parseRPID(v string) (string, error) {
	if strings.ContainsAny(v, ":/@ ") || net.ParseIP(v) != nil {
		return "", errors.New("must be a host name without scheme and port, such as example.com")
	}
	return strings.ToLower(v), nil
}

func parseClickHouse(v string) (Backend, error) {
	switch v {
	case "embedded":
		return Backend{Mode: Embedded}, nil
	case "off":
		return Backend{Mode: Absent}, nil
	}
	return parseBackend(v, "must be embedded, off, or a DSN such as clickhouse://user:password@host:9000/sallyport",
		"clickhouse", "tcp", "http", "https")
}

func parseNATS(v string) (Backend, error) {
	if v == "embedded" {
		return Backend{Mode: Embedded}, nil
	}
	return parseBackend(v, "must be embedded or a URL such as nats://host:4222", "nats", "tls", "ws", "wss")
}

// parseBackend checks the scheme only: the client library reads the rest. A list
// of servers, separated by commas, is passed on whole.
func parseBackend(v, problem string, schemes ...string) (Backend, error) {
	first, _, _ := strings.Cut(v, ",")
	scheme, rest, found := strings.Cut(first, "://")
	if !found || rest == "" || !slices.Contains(schemes, scheme) {
		return Backend{}, errors.New(problem)
	}
	return Backend{Mode: Remote, URL: Secret(v)}, nil
}

func parsePrefixes(v string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, item := range list(v) {
		if addr, err := netip.ParseAddr(item); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, fmt.Errorf("%q must be an address or a range, such as 10.0.0.0/8", item)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// parsePaths reads files and folders, which must be there.
func parsePaths(v string) ([]string, error) {
	var paths []string
	for _, path := range strings.Split(v, ",") {
		path = strings.TrimSpace(path)
		if path == "" {
			continue
		}
		if err := readable(path); err != nil {
			return nil, fmt.Errorf("%q %w", path, err)
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return nil, errors.New("must be files and folders, separated by commas")
	}
	return paths, nil
}

func parsePositive(v string) (float64, error) {
	number, err := strconv.ParseFloat(v, 64)
	if err != nil || !(number > 0) || math.IsInf(number, 0) {
		return 0, errors.New("must be a number above 0")
	}
	return number, nil
}

// maxRemember bounds how long a device is remembered: ten years.
const maxRemember = 3650 * 24 * time.Hour

// parseRemember reads a duration, which may have days, or off.
func parseRemember(v string) (time.Duration, error) {
	if v == "off" {
		return 0, nil
	}
	refused := errors.New("must be off or a time such as 30d or 12h, of at most 3650d")
	if days, ok := strings.CutSuffix(v, "d"); ok {
		number, err := strconv.Atoi(days)
		if err != nil || number < 1 || number > 3650 {
			return 0, refused
		}
		return time.Duration(number) * 24 * time.Hour, nil
	}
	duration, err := time.ParseDuration(v)
	if err != nil || duration < time.Minute || duration > maxRemember {
		return 0, refused
	}
	return duration, nil
}
