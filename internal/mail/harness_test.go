package mail_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

const (
	user     = "mailer@shop.example"
	password = "p@ss/word?#"
	escaped  = "mailer%40shop.example:p%40ss%2Fword%3F%23@"
)

var noon = time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)

func atNoon() time.Time { return noon }

// The servers' certificate, one for another name, both of which this process
// trusts, and one that it doesn't. TestMain makes them once.
var trusted, misnamed, foreign tls.Certificate

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runTests lets this process trust one certificate, as a machine's own
// authorities are trusted: through the file that crypto/x509 reads.
func runTests(m *testing.M) (code int, err error) {
	folder, err := os.MkdirTemp("", "sp-mail-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if trusted, err = newCertificate("localhost", "127.0.0.1", "0.0.0.0"); err != nil {
		return 1, err
	}
	if misnamed, err = newCertificate("other.example"); err != nil {
		return 1, err
	}
	if foreign, err = newCertificate("localhost", "127.0.0.1", "0.0.0.0"); err != nil {
		return 1, err
	}
	file := filepath.Join(folder, "authorities.pem")
	var blocks []byte
	for _, c := range []tls.Certificate{trusted, misnamed} {
		blocks = append(blocks, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	}
	if err := os.WriteFile(file, blocks, 0o600); err != nil {
		return 1, err
	}
	if err := errors.Join(os.Setenv("SSL_CERT_FILE", file), os.Setenv("SSL_CERT_DIR", folder)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// newCertificate makes one that signs itself, for host names and addresses.
func newCertificate(hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// received is one mail as a server took it over.
type received struct {
	user, from, to string
	secure, utf8   bool
	text           []byte
}

// server is a mail server on this machine. Its fields are set before it starts.
type server struct {
	certificate       *tls.Certificate // none: no STARTTLS
	implicit          bool
	signIn            bool // asks for user and password
	auth, rcpt, data  error
	mutex             sync.Mutex
	mails             []received
	attempts, signIns int
}

// start returns the server's port.
func (s *server) start(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	backend := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.attempts++
		return &session{server: s, conn: c}, nil
	}))
	backend.Domain = "mail.example"
	backend.AllowInsecureAuth = true
	backend.EnableSMTPUTF8 = true
	backend.ErrorLog = quiet{}
	if s.certificate != nil {
		config := &tls.Config{Certificates: []tls.Certificate{*s.certificate}}
		if s.implicit {
			listener = tls.NewListener(listener, config)
		} else {
			backend.TLSConfig = config
		}
	}
	go func() { _ = backend.Serve(listener) }() // ends with Close
	t.Cleanup(func() { backend.Close() })
	return port
}

// got is the only mail that came.
func (s *server) got(t *testing.T) received {
	t.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.mails) != 1 {
		t.Fatalf("the server has %d mails, want 1", len(s.mails))
	}
	return s.mails[0]
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type session struct {
	server *server
	conn   *smtp.Conn
	mail   received
}

func (s *session) AuthMechanisms() []string {
	if !s.server.signIn {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, secret string) error {
		s.server.mutex.Lock()
		defer s.server.mutex.Unlock()
		s.server.signIns++
		if s.server.auth != nil {
			return s.server.auth
		}
		if name != user || secret != password {
			return smtp.ErrAuthFailed
		}
		s.mail.user = name
		return nil
	}), nil
}

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	_, s.mail.secure = s.conn.TLSConnectionState()
	s.mail.from, s.mail.utf8 = from, options.UTF8
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = to
	return s.server.rcpt
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.data != nil {
		return s.server.data
	}
	s.server.mutex.Lock()
	defer s.server.mutex.Unlock()
	s.mail.text = text
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// opened is a received mail, taken apart and decoded.
type opened struct {
	header      netmail.Header
	subject     string
	plain, html string
}

func open(t *testing.T, text []byte) opened {
	t.Helper()
	message, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	o := opened{header: message.Header}
	if o.subject, err = (&mime.WordDecoder{}).DecodeHeader(message.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	for _, want := range []string{"text/plain", "text/html"} {
		part, err := parts.NextPart() // decodes quoted-printable
		if err != nil {
			t.Fatal(err)
		}
		if kind := part.Header.Get("Content-Type"); !strings.HasPrefix(kind, want) || !strings.Contains(strings.ToLower(kind), "utf-8") {
			t.Fatalf("part of type %q, want %s", kind, want)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(body), "\r\n", "\n")
		if want == "text/plain" {
			o.plain = text
		} else {
			o.html = text
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Fatalf("a third part: %v", err)
	}
	return o
}

// code is a mail with a code, valid for ten minutes from noon.
func code() ceremonies.Mail {
	return ceremonies.Mail{
		Occasion: ceremonies.MailCode, To: "jane@example.com", User: "u1", Method: events.MethodEmailOTP,
		Action:  events.ActionID{User: "u1", Code: "payment", Key: "k1"},
		Code:    "482913",
		Purpose: ceremonies.ForAction, Expires: noon.Add(10 * time.Minute),
	}
}

// notice is a mail about a passkey.
func notice(occasion ceremonies.Occasion) ceremonies.Mail {
	return ceremonies.Mail{
		Occasion: occasion, To: "jane@example.com", User: "u1", Method: events.MethodPasskey, Name: "iCloud Keychain",
	}
}
