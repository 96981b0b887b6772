package ceremonies

import (
	"fmt"
	"net/url"
	"strings"
)

// checkOrigins refuses origins that no browser would ever send in this form: they
// are compared exactly, so each answer would be refused.
func checkOrigins(origins []string) error {
	for _, origin := range origins {
		switch written, err := serialized(origin); {
		case err != nil:
			return fmt.Errorf("relying party: %w", err)
		case written != origin:
			return fmt.Errorf("relying party: browsers write the origin %q as %q", origin, written)
		}
	}
	return nil
}

// serialized is an origin of a web page as browsers write it (RFC 6454, section
// 6.2).
func serialized(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", fmt.Errorf("%q is no origin of a web page", origin)
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme + ":" + u.Port() {
	case "https:443", "http:80":
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return u.Scheme + "://" + host, nil
}
