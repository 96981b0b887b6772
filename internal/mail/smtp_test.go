package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/internal/mail"
)

func config(url string) mail.Config {
	return mail.Config{URL: url, From: "Example Shop <no-reply@example.com>", Brand: "Example Shop", Now: atNoon}
}

func newSMTP(t *testing.T, c mail.Config) *mail.SMTP {
	t.Helper()
	m, err := mail.NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// In these tests, 0.0.0.0 is a host elsewhere: it is not loopback by its name, and
// yet dialling it reaches the local system (package net).

func TestAMailReachesTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		server *server
		url    string // PORT is the port, LOGIN user and password
		secure bool
		user   string
	}{
		"plain text within the machine":      {&server{}, "smtp://127.0.0.1:PORT", false, ""},
		"plain text, signed in":              {&server{signIn: true}, "smtp://LOGIN127.0.0.1:PORT", false, user},
		"plain text although TLS is offered": {&server{certificate: &foreign}, "smtp://127.0.0.1:PORT?starttls=off", false, ""},
		"STARTTLS within the machine":        {&server{certificate: &trusted}, "smtp://localhost:PORT/", true, ""},
		"STARTTLS elsewhere":                 {&server{certificate: &trusted}, "smtp://0.0.0.0:PORT", true, ""},
		"STARTTLS elsewhere, signed in":      {&server{certificate: &trusted, signIn: true}, "smtp://LOGIN0.0.0.0:PORT", true, user},
		"TLS":                                {&server{certificate: &trusted, implicit: true}, "smtps://127.0.0.1:PORT", true, ""},
		"TLS elsewhere, signed in":           {&server{certificate: &trusted, implicit: true, signIn: true}, "SMTPS://LOGIN0.0.0.0:PORT", true, user},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSMTP(t, config(strings.NewReplacer("PORT", c.server.start(t), "LOGIN", escaped).Replace(c.url)))
			if err := m.Send(t.Context(), code()); err != nil {
				t.Fatal(err)
			}
			got := c.server.got(t)
			if got.secure != c.secure || got.user != c.user {
				t.Errorf("secure %t, user %q; want %t, %q", got.secure, got.user, c.secure, c.user)
			}
			if got.from != "no-reply@example.com" || got.to != "jane@example.com" || got.utf8 {
				t.Errorf("from %q to %q, SMTPUTF8 %t", got.from, got.to, got.utf8)
			}
			o := open(t, got.text)
			for header, want := range map[string]string{
				"From": `"Example Shop" <no-reply@example.com>`, "To": "<jane@example.com>", "Auto-Submitted": "auto-generated",
				"Date": "Sun, 01 Mar 2026 12:00:30 +0000", "Content-Language": "en", "User-Agent": "", "X-Mailer": "",
			} {
				if value := o.header.Get(header); value != want {
					t.Errorf("%s: %q, want %q", header, value, want)
				}
			}
			if id := o.header.Get("Message-Id"); !strings.HasSuffix(id, "@example.com>") {
				t.Errorf("Message-ID %q is not of the sender's domain", id)
			}
			if o.subject != "482913 is your code for Example Shop" {
				t.Errorf("subject %q", o.subject)
			}
		})
	}
}

func TestAnAddressBeyondASCIIAsksForSMTPUTF8(t *testing.T) {
	s := &server{}
	m := newSMTP(t, config("smtp://127.0.0.1:"+s.start(t)))
	letter := code()
	letter.To = "jürgen@example.com"
	if err := m.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if got := s.got(t); !got.utf8 || got.to != letter.To {
		t.Errorf("SMTPUTF8 %t, to %q", got.utf8, got.to)
	}
}

func TestNothingIsSaidOverALineThatOthersCanRead(t *testing.T) {
	for name, c := range map[string]struct {
		server *server
		url    string
		want   string
	}{
		"no STARTTLS elsewhere":               {&server{}, "smtp://LOGIN0.0.0.0:PORT", "does not support STARTTLS"},
		"a foreign certificate":               {&server{certificate: &foreign}, "smtp://LOGIN0.0.0.0:PORT", "failed to verify certificate"},
		"a foreign certificate from here":     {&server{certificate: &foreign}, "smtp://LOGIN127.0.0.1:PORT", "failed to verify certificate"},
		"a foreign certificate over TLS":      {&server{certificate: &foreign, implicit: true}, "smtps://LOGIN127.0.0.1:PORT", "failed to verify certificate"},
		"a certificate for another name":      {&server{certificate: &misnamed}, "smtp://LOGIN0.0.0.0:PORT", "failed to verify certificate"},
		"a certificate for another, over TLS": {&server{certificate: &misnamed, implicit: true}, "smtps://LOGIN0.0.0.0:PORT", "failed to verify certificate"},
		"a server without TLS, over TLS":      {&server{}, "smtps://LOGIN127.0.0.1:PORT", "tls: first record does not look like a TLS handshake"},
		"a server of TLS, without":            {&server{certificate: &trusted, implicit: true}, "smtp://LOGIN0.0.0.0:PORT", "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			c.server.signIn = true
			setting := config(strings.NewReplacer("PORT", c.server.start(t), "LOGIN", escaped).Replace(c.url))
			setting.Timeout = 500 * time.Millisecond // the last two each wait for the other to begin
			err := newSMTP(t, setting).Send(t.Context(), code())
			discreet(t, err)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
			c.server.mutex.Lock()
			defer c.server.mutex.Unlock()
			if c.server.signIns != 0 || len(c.server.mails) != 0 {
				t.Errorf("%d sign-ins, %d mails", c.server.signIns, len(c.server.mails))
			}
		})
	}
}

func TestAPasswordThatNobodyAsksForIsAnError(t *testing.T) {
	s := &server{certificate: &trusted}
	err := newSMTP(t, config("smtp://"+escaped+"127.0.0.1:"+s.start(t))).Send(t.Context(), code())
	discreet(t, err)
	if len(s.mails) != 0 {
		t.Errorf("%d mails", len(s.mails))
	}
}

// discreet fails unless there is an error that holds no secret.
func discreet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, secret := range []string{"jane", "482913", password, "p%40ss", "/word", "hunter2"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q holds %q", err, secret)
		}
	}
}

func TestWhatTheServerRefusesIsAnErrorWithoutItsWords(t *testing.T) {
	echo := func(code int) error {
		return &smtp.SMTPError{Code: code, Message: "<jane@example.com> 482913 " + password + ": no"}
	}
	for name, c := range map[string]struct {
		server *server
		want   string
	}{
		"the password":  {&server{auth: echo(535)}, "the server replied 535"},
		"the recipient": {&server{rcpt: echo(550)}, "the server replied 550"},
		"the content":   {&server{data: echo(451)}, "the server replied 451"},
	} {
		t.Run(name, func(t *testing.T) {
			c.server.signIn, c.server.certificate = true, &trusted
			m := newSMTP(t, config("smtp://"+escaped+"127.0.0.1:"+c.server.start(t)))
			err := m.Send(t.Context(), code())
			discreet(t, err)
			if !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
	t.Run("the connection", func(t *testing.T) {
		listener := listen(t, func(net.Conn) {})
		port := listener.Addr().(*net.TCPAddr).Port
		listener.Close()
		discreet(t, newSMTP(t, config(fmt.Sprintf("smtp://127.0.0.1:%d", port))).Send(t.Context(), code()))
	})
}

// listen answers each connection on a loopback port.
func listen(t *testing.T, answer func(net.Conn)) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	return listener
}

// silent reads and never answers.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// stalling speaks SMTP up to a command, and then says no more.
func stalling(at string) func(net.Conn) {
	return func(conn net.Conn) {
		text := textproto.NewConn(conn)
		_ = text.PrintfLine("220 mail.example") // whoever hangs up is gone
		for {
			line, err := text.ReadLine()
			switch {
			case err != nil:
				return
			case strings.HasPrefix(line, at):
				silent(conn)
				return
			case strings.HasPrefix(line, "DATA"):
				_ = text.PrintfLine("354 go on")
				if _, err := text.ReadDotBytes(); err != nil {
					return
				}
				fallthrough
			default:
				_ = text.PrintfLine("250 fine")
			}
		}
	}
}

func TestAServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	for name, answer := range map[string]func(net.Conn){
		"from the start":     silent,
		"at the greeting":    stalling("EHLO"),
		"at the recipient":   stalling("RCPT"),
		"amid the handshake": silent,
	} {
		t.Run(name, func(t *testing.T) {
			scheme := "smtp"
			if name == "amid the handshake" {
				scheme = "smtps"
			}
			setting := config(scheme + "://" + listen(t, answer).Addr().String())
			setting.Timeout = 100 * time.Millisecond
			begun := time.Now()
			err := newSMTP(t, setting).Send(t.Context(), code())
			discreet(t, err)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("when the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan struct{})
		listener := listen(t, func(conn net.Conn) {
			close(asked)
			silent(conn)
		})
		go func() { <-asked; cancel() }()
		err := newSMTP(t, config("smtp://"+listener.Addr().String())).Send(ctx, code())
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAMailThatWasTakenOverIsSentHoweverTheServerLeaves(t *testing.T) {
	taken := make(chan string, 1)
	listener := listen(t, func(conn net.Conn) {
		text := textproto.NewConn(conn)
		_ = text.PrintfLine("220 mail.example")
		for {
			line, err := text.ReadLine()
			if err != nil {
				return
			}
			if line == "DATA" {
				_ = text.PrintfLine("354 go on")
				body, _ := text.ReadDotBytes()
				taken <- string(body)
				_ = text.PrintfLine("250 fine")
				return // hangs up
			}
			_ = text.PrintfLine("250 fine")
		}
	})
	if err := newSMTP(t, config("smtp://"+listener.Addr().String())).Send(t.Context(), code()); err != nil {
		t.Fatal(err)
	}
	if body := <-taken; !strings.Contains(body, "482913") {
		t.Errorf("the server got %q", body)
	}
}

func TestAGreetingThatIsNoSMTPIsRefused(t *testing.T) {
	listener := listen(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		_, _ = bufio.NewReader(conn).ReadString('\n')
	})
	discreet(t, newSMTP(t, config("smtp://"+listener.Addr().String())).Send(t.Context(), code()))
}

func TestASMTPConfigurationIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*mail.Config)
		want   string
	}{
		"no host":                    {url("smtp://user:hunter2@"), "the URL has no host"},
		"a port of letters":          {url("smtp://user:hunter2@host:smtp"), "the URL cannot be read"},
		"a port too high":            {url("smtp://user:hunter2@host:70000"), "the port is not between"},
		"a path":                     {url("smtp://user:hunter2@host/path"), "the URL has a path"},
		"# in the password":          {url("smtp://user:12#hunter2@host"), "the URL has a fragment"},
		"/ in the password":          {url("smtp://user:12/hunter2@host"), "the URL has a path"},
		"? in the password":          {url("smtp://user:12?hunter2@host"), "after ? the URL may have"},
		"% in the password":          {url("smtp://user:hunter2%@host"), "the URL cannot be read"},
		"a user alone":               {url("smtp://user@host"), "a user without a password"},
		"a password alone":           {url("smtp://:hunter2@host"), "a password without a user"},
		"control characters":         {url("smtp://user:hunter2%0d%0aQUIT@host"), "control characters"},
		"STARTTLS off elsewhere":     {url("smtp://user:hunter2@host?starttls=off"), "to a loopback host only"},
		"STARTTLS off at 0.0.0.0":    {url("smtp://0.0.0.0?starttls=off"), "to a loopback host only"},
		"STARTTLS off and TLS":       {url("smtps://localhost?starttls=off"), "to a loopback host only"},
		"STARTTLS neither way":       {url("smtp://localhost?starttls=maybe"), "after ? the URL may have"},
		"STARTTLS off twice":         {url("smtp://localhost?starttls=off&starttls=off"), "after ? the URL may have"},
		"something else asked":       {url("smtp://localhost?tls=off"), "after ? the URL may have"},
		"no sender":                  {func(c *mail.Config) { c.From = "" }, "the sender is missing"},
		"a sender without a domain":  {func(c *mail.Config) { c.From = "Shop <shop>" }, "cannot be read"},
		"two senders":                {func(c *mail.Config) { c.From = "a@example.com, b@example.com" }, "cannot be read"},
		"a sender with a header":     {func(c *mail.Config) { c.From = "Shop\r\nBcc: x@example.com <a@example.com>" }, "control characters"},
		"a sender with one encoded":  {func(c *mail.Config) { c.From = "=?utf-8?q?Shop=0D=0ABcc:_x?= <a@example.com>" }, "cannot be read"},
		"a sender that turns around": {func(c *mail.Config) { c.From = "=?utf-8?q?=E2=80=AEpohS?= <a@example.com>" }, "not one that mails can come from"},
		"no brand":                   {func(c *mail.Config) { c.Brand = " " }, "the brand is missing"},
		"a brand with a header":      {func(c *mail.Config) { c.Brand = "Shop\r\nBcc: x@example.com" }, "control characters"},
		"a brand that turns around":  {func(c *mail.Config) { c.Brand = "\u202epohS" }, "control characters"},
		"a brand of half characters": {func(c *mail.Config) { c.Brand = "Sh\xffop" }, "control characters"},
		"a long brand":               {func(c *mail.Config) { c.Brand = strings.Repeat("ä", 65) }, "the brand has 65 characters"},
		"a negative timeout":         {func(c *mail.Config) { c.Timeout = -1 }, "the timeout is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			setting := config("smtp://user:hunter2@host:587")
			c.change(&setting)
			for _, open := range []func() error{
				func() error { _, err := mail.NewSMTP(setting); return err },
				func() error { _, err := mail.Open(setting); return err },
			} {
				err := open()
				discreet(t, err)
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %q, want %q", err, c.want)
				}
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := mail.NewSMTP(mail.Config{URL: "smtp://user:hunter2@"})
		discreet(t, err)
		for _, want := range []string{"the brand", "the sender", "the URL"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %s", err, want)
			}
		}
	})
}

func url(text string) func(*mail.Config) { return func(c *mail.Config) { c.URL = text } }

func TestNothingPrintsThePassword(t *testing.T) {
	setting := config("smtp://user:hunter2@host")
	for _, value := range []any{setting, &setting, newSMTP(t, setting)} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "hunter2") {
				t.Errorf("%s of %T is %s", format, value, text)
			}
		}
	}
}

func TestMailsThatCannotBeSentAreRefused(t *testing.T) {
	s := &server{certificate: &trusted}
	m := newSMTP(t, config("smtp://127.0.0.1:"+s.start(t)))
	for name, change := range map[string]func(*ceremonies.Mail){
		"no address":                 func(m *ceremonies.Mail) { m.To = "" },
		"an address with a name":     func(m *ceremonies.Mail) { m.To = "Jane <jane@example.com>" },
		"two addresses":              func(m *ceremonies.Mail) { m.To = "jane@example.com,x@example.com" },
		"an address with a header":   func(m *ceremonies.Mail) { m.To = "jane@example.com\r\nBcc: x@example.com" },
		"an address with a command":  func(m *ceremonies.Mail) { m.To = "jane@example.com>\r\nRCPT TO:<x@example.com" },
		"an address with a space":    func(m *ceremonies.Mail) { m.To = "jane @example.com" },
		"an address that is quoted":  func(m *ceremonies.Mail) { m.To = `"jane x"@example.com` },
		"an endless address":         func(m *ceremonies.Mail) { m.To = "jane" + strings.Repeat("e", 250) + "@example.com" },
		"no code":                    func(m *ceremonies.Mail) { m.Code = "" },
		"a code with a header":       func(m *ceremonies.Mail) { m.Code = "482913\r\nBcc: x@example.com" },
		"an endless code":            func(m *ceremonies.Mail) { m.Code = strings.Repeat("482913", 6) },
		"a code that ran out":        func(m *ceremonies.Mail) { m.Expires = noon },
		"an occasion that is no one": func(m *ceremonies.Mail) { m.Occasion = "birthday" },
	} {
		t.Run(name, func(t *testing.T) {
			letter := code()
			change(&letter)
			discreet(t, m.Send(t.Context(), letter))
		})
	}
	if s.attempts != 0 {
		t.Errorf("the server was asked %d times", s.attempts)
	}
}

func TestManyMailsAtOnce(t *testing.T) {
	s := &server{certificate: &trusted, signIn: true}
	m := newSMTP(t, config("smtp://"+escaped+"127.0.0.1:"+s.start(t)))
	results := make(chan error)
	for range 20 {
		go func() { results <- m.Send(context.Background(), code()) }()
	}
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if len(s.mails) != 20 {
		t.Errorf("the server has %d mails", len(s.mails))
	}
}
