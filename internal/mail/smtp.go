package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/sallyport/sallyport/ceremonies"
)

// The ports of a mail server when the URL names none: submission (RFC 6409) and
// submission over TLS (RFC 8314, section 3.3).
const (
	submissionPort  = 587
	submissionsPort = 465
)

// SMTP is a Mailer that hands each mail to a mail server, over a connection of
// its own. A certificate must be one that this machine trusts. It is safe for
// use by several goroutines.
type SMTP struct {
	host     string
	address  string // host and port
	implicit *tls.Config
	options  []gomail.Option
	from     netmail.Address
	brand    string
	timeout  time.Duration
	now      func() time.Time
}

// String and GoString are the server's address, without the password.
func (s *SMTP) String() string   { return s.address }
func (s *SMTP) GoString() string { return s.address }

// NewSMTP returns the Mailer for a URL of the schemes smtp and smtps. It does not
// connect yet. An error names every problem and holds no part of the URL.
func NewSMTP(c Config) (*SMTP, error) {
	problems := []error{c.defaults(), c.brand()}
	from, err := c.sender()
	problems = append(problems, err)
	s := &SMTP{from: from, brand: c.Brand, timeout: c.Timeout, now: c.Now}
	u, err := parseURL(c.URL)
	if err == nil {
		err = s.server(u)
	}
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, fmt.Errorf("mail over SMTP: %w", err)
	}
	if _, err := gomail.NewClient(s.host, s.options...); err != nil {
		return nil, fmt.Errorf("mail over SMTP: %w", err)
	}
	return s, nil
}

// server reads who takes the mails over, and how to speak to them.
func (s *SMTP) server(u *url.URL) error {
	s.host = u.Hostname()
	port := submissionPort
	if u.Scheme == "smtps" {
		port = submissionsPort
	}
	if text := u.Port(); text != "" {
		var err error
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return errors.New("the port is not between 1 and 65535")
		}
	}
	if u.Path != "" && u.Path != "/" {
		return errors.New("the URL has a path: / in a password is written %2F")
	}
	s.address = net.JoinHostPort(s.host, strconv.Itoa(port))
	secure := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	s.options = []gomail.Option{
		gomail.WithPort(port), gomail.WithTLSConfig(secure),
		// The context ends a mail. The library's own limit is for each step; so that
		// the error tells what happened, it must come later.
		gomail.WithTimeout(2 * s.timeout),
		// There is one mail per connection: nothing to keep alive, nothing to reset.
		gomail.WithoutNoop(), gomail.WithoutRset(),
	}

	local := loopback(s.host)
	mechanisms := []gomail.SMTPAuthType{gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthSCRAMSHA256}
	query, err := url.ParseQuery(u.RawQuery)
	starttls, asked := query["starttls"]
	switch {
	case err != nil || len(query) > 1 || len(query) == 1 && !asked || asked && (len(starttls) != 1 || starttls[0] != "off"):
		return errors.New("after ? the URL may have starttls=off and nothing else; ? in a password is written %3F")
	case asked && (u.Scheme != "smtp" || !local):
		return errors.New("starttls=off is for smtp: to a loopback host only: elsewhere others could read the codes")
	case u.Scheme == "smtps":
		s.implicit = secure
		s.options = append(s.options, gomail.WithSSL())
	case asked:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	case local:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if local && u.Scheme == "smtp" {
		mechanisms = []gomail.SMTPAuthType{gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc, gomail.SMTPAuthSCRAMSHA256}
	}

	if u.User == nil {
		return nil
	}
	password, _ := u.User.Password()
	user := u.User.Username()
	if user == "" || password == "" {
		return errors.New("the URL has a user without a password, or a password without a user")
	}
	if strings.ContainsFunc(user+password, unicode.IsControl) {
		return errors.New("user or password have control characters")
	}
	s.options = append(s.options, gomail.WithUsername(user), gomail.WithPassword(password),
		gomail.WithOpportunisticSMTPAuth(mechanisms...))
	return nil
}

// Send returns once the server has taken the mail over, and at the latest after
// the timeout. An error says what did not work and with which reply code (RFC
// 5321, section 4.2): what the server says beside it may repeat the address.
func (s *SMTP) Send(ctx context.Context, mail ceremonies.Mail) error {
	message, err := s.message(mail)
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.deliver(ctx, message); err != nil {
		return fmt.Errorf("send mail over %s: %w", s.address, err)
	}
	return nil
}

// message is the mail as the server gets it: plain text with an alternative in
// HTML (RFC 2046, section 5.1.4).
func (s *SMTP) message(mail ceremonies.Mail) (*gomail.Msg, error) {
	now := s.now()
	l, err := compose(mail, s.brand, now)
	if err != nil {
		return nil, err
	}
	html, err := l.html()
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(s.from.Address, "@")
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(&s.from)
	m.ToMailAddress(&netmail.Address{Address: mail.To})
	m.Subject(l.subject)
	m.SetDateWithValue(now)
	// The library would tell this machine's name.
	m.SetMessageIDWithValue(rand.Text() + "@" + domain)
	// So that nobody's out-of-office reply comes back (RFC 3834, section 5).
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("Content-Language", l.language.tag)
	m.SetBodyString(gomail.TypeTextPlain, l.plain())
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	return m, nil
}

// deliver opens a connection, hands the message over and closes it.
func (s *SMTP) deliver(ctx context.Context, message *gomail.Msg) error {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// The library keeps connections open after some errors, and looks at the context
	// only while it dials.
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	line := raw
	if s.implicit != nil {
		secure := tls.Client(raw, s.implicit)
		if err := secure.HandshakeContext(ctx); err != nil {
			return failed(ctx, "secure the connection", err)
		}
		line = secure
	}

	options := append(s.options[:len(s.options):len(s.options)],
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return line, nil }))
	if ascii(s.from.Address) && ascii(message.GetToString()[0]) {
		// A mail that asks for SMTPUTF8 (RFC 6531) bounces at the next server without it.
		options = append(options, gomail.WithoutSMTPUTF8())
	}
	// A client of its own for each mail: the library's client remembers how it signed
	// in, without a lock.
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return failed(ctx, "greet, secure the connection and sign in", err)
	}
	if err := client.SendWithSMTPClient(session, message); err != nil && !message.IsDelivered() {
		return failed(ctx, "hand the mail over", err)
	}
	// The server has the mail; how it says goodbye does not matter.
	_ = client.CloseWithSMTPClient(session)
	return nil
}

// failed is an error without what the server said.
func failed(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", step, ctx.Err())
	}
	var reply *textproto.Error
	var refusal *gomail.SendError
	switch {
	case errors.As(err, &refusal):
		if code := refusal.ErrorCode(); code != 0 {
			return fmt.Errorf("%s: %s: the server replied %d", step, refusal.Reason, code)
		}
		return fmt.Errorf("%s: %s", step, refusal.Reason)
	case errors.As(err, &reply):
		return fmt.Errorf("%s: the server replied %d", step, reply.Code)
	}
	return fmt.Errorf("%s: %w", step, err)
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}
