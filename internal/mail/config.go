package mail

import (
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/ceremonies"
)

// DefaultTimeout bounds one mail from the first packet to the last.
const DefaultTimeout = 5 * time.Second

// maxBrand is the longest brand in characters, so that subjects stay readable.
const maxBrand = 64

// Config says how mails are sent. The URL decides which of the other fields
// count; those that don't are not looked at. Printing it shows nothing of it,
// since the URL may hold a password.
type Config struct {
	// URL is who takes the mails over; "" is nobody.
	//
	//	smtp://user:password@host:587    SMTP. The server must offer STARTTLS. On a
	//	                                 loopback host it may do without; ?starttls=off
	//	                                 keeps to plain text even if it offers it, for a
	//	                                 certificate that nobody would trust.
	//	smtps://user:password@host:465   SMTP with TLS from the first byte
	//	https://app.example.com/mails    Webhook; http only to a loopback host
	//	dir:/path                        Outbox
	//
	// Ports may be left out, and so may user and password. Characters that mean
	// something in a URL are escaped, such as %40 for @.
	URL string
	// From is the sender, such as "Example Shop <no-reply@example.com>". An address
	// alone gets the brand as its name. SMTP and Outbox need it.
	From string
	// Brand is what people call the application: up to 64 characters. SMTP and Outbox
	// need it.
	Brand string
	// Timeout bounds one mail; 0 means DefaultTimeout.
	Timeout time.Duration
	// Secrets returns the active server secrets, each of which signs a webhook. It is
	// called for each mail, so that a new secret counts at once. Webhook needs it.
	Secrets func() []string
	// Tenant and Source are the members "tenantId" and "source" of a webhook:
	// whose it is, and the URL of the server that sent it. Webhook needs both.
	Tenant, Source string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// String, GoString and LogValue keep the URL out of logs.
func (c Config) String() string       { return "[redacted]" }
func (c Config) GoString() string     { return "mail.Config{[redacted]}" }
func (c Config) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Open returns the Mailer for the scheme of the URL, and nil for "". An error
// names every problem of the configuration and never holds any part of the URL.
func Open(c Config) (ceremonies.Mailer, error) {
	// A typed nil in the interface would look like a Mailer.
	scheme, _, _ := strings.Cut(c.URL, ":")
	switch strings.ToLower(scheme) {
	case "":
		if c.URL == "" {
			return nil, nil
		}
	case "smtp", "smtps":
		return opened(NewSMTP(c))
	case "https", "http":
		return opened(NewWebhook(c))
	case "dir":
		return opened(NewOutbox(c))
	}
	return nil, errors.New("mail: the URL must begin with smtp:, smtps:, https: or dir:, or with http: for a loopback host")
}

func opened[M ceremonies.Mailer](mailer M, err error) (ceremonies.Mailer, error) {
	if err != nil {
		return nil, err
	}
	return mailer, nil
}

// defaults fills in what has a default. Its errors join those of the caller.
func (c *Config) defaults() error {
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.Timeout == 0:
		c.Timeout = DefaultTimeout
	case c.Timeout < 0:
		return errors.New("the timeout is negative")
	}
	return nil
}

// parseURL reads a URL with a host. Its errors hold no part of the URL: where a
// password was not escaped, any part may be a piece of it.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read: is every special character of the password escaped, such as %40 for @?")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return nil, errors.New("the URL has a fragment: # in a password is written %23")
	}
	return u, nil
}

// loopback reports whether a host is this machine by its very name.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// sender checks who mails are from.
func (c *Config) sender() (netmail.Address, error) {
	if c.From == "" {
		return netmail.Address{}, errors.New("the sender is missing")
	}
	if strings.ContainsFunc(c.From, disguises) {
		return netmail.Address{}, errors.New("the sender has control characters")
	}
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("the sender %q cannot be read: write it like Example Shop <no-reply@example.com>", c.From)
	}
	// Encoded words (RFC 2047) in the name are read only now.
	if strings.ContainsFunc(from.Name, disguises) || !plainAddress(from.Address) {
		return netmail.Address{}, fmt.Errorf("the sender %q is not one that mails can come from", c.From)
	}
	if from.Name == "" {
		from.Name = c.Brand
	}
	return *from, nil
}

// brand checks what people call the application.
func (c *Config) brand() error {
	switch n := utf8.RuneCountInString(c.Brand); {
	case strings.TrimSpace(c.Brand) == "":
		return errors.New("the brand is missing")
	case n > maxBrand:
		return fmt.Errorf("the brand has %d characters; at most %d fit into a subject", n, maxBrand)
	case !utf8.ValidString(c.Brand) || strings.ContainsFunc(c.Brand, disguises):
		return errors.New("the brand has control characters")
	}
	return nil
}
