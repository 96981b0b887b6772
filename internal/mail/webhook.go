package mail

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// maxAnswer bounds what is read of an answer, in bytes. Nothing in it counts
// beside its status.
const maxAnswer = 64 << 10

// Webhook is a Mailer for applications that send their mails themselves. It
// posts each mail as a signed event (CONTRACT 1.6), which the webhook verifiers
// of Authsignal's SDKs accept: codes as "email.created", notices as
// "authenticator.created", "authenticator.deleted" and, for recovery codes,
// "authenticator.updated". It is safe for use by several goroutines.
type Webhook struct {
	url            string
	host           string
	client         *http.Client
	secrets        func() []string
	tenant, source string
	now            func() time.Time
}

// String and GoString are the host: a URL may hold a secret in its path.
func (w *Webhook) String() string   { return w.host }
func (w *Webhook) GoString() string { return w.host }

// NewWebhook returns the Mailer for a URL of the schemes https and, for loopback
// hosts, http. An error names every problem and holds no part of the URL.
func NewWebhook(c Config) (*Webhook, error) {
	problems := []error{c.defaults()}
	u, err := parseURL(c.URL)
	switch {
	case err != nil:
		problems = append(problems, err)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		problems = append(problems, errors.New("the URL must begin with https: unless the host is loopback: others could read the codes"))
	case u.User != nil:
		problems = append(problems, errors.New("the URL has a user or a password: the signature tells who calls"))
	}
	if c.Secrets == nil {
		problems = append(problems, errors.New("the server secrets are missing"))
	}
	if c.Tenant == "" {
		problems = append(problems, errors.New("the tenant is missing"))
	}
	if c.Source == "" {
		problems = append(problems, errors.New("the source is missing"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("mail over a webhook: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxAnswer
	return &Webhook{
		url: c.URL, host: u.Host, secrets: c.Secrets, tenant: c.Tenant, source: c.Source, now: c.Now,
		client: &http.Client{
			Transport: transport,
			Timeout:   c.Timeout,
			// A redirect could carry the code anywhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// envelope is the body of a webhook.
type envelope struct {
	Version int    `json:"version"`
	ID      string `json:"id"` // UUID
	Source  string `json:"source"`
	Time    string `json:"time"` // RFC 3339 with milliseconds, UTC
	Tenant  string `json:"tenantId"`
	Type    string `json:"type"`
	Data    any    `json:"data"`
}

// created is the data of "email.created". Action and key are "" for a code that
// belongs to no action.
type created struct {
	To             string        `json:"to"`
	Code           string        `json:"code"`
	User           events.UserID `json:"userId"`
	Action         string        `json:"actionCode"`
	IdempotencyKey string        `json:"idempotencyKey"`
	Method         events.Method `json:"verificationMethod"`
}

// changed is the data of the events about authenticators.
type changed struct {
	User   events.UserID `json:"userId"`
	Method events.Method `json:"verificationMethod"`
	// One of the three, after the event's type.
	CreatedAt string `json:"createdAt,omitempty"`
	UpdatedAt string `json:"updatedAt,omitempty"`
	DeletedAt string `json:"deletedAt,omitempty"`
	Email     string `json:"email"` // where the notice goes
	Name      string `json:"credentialName,omitempty"`
}

// Send returns once the application has answered with a status of 2xx, which
// means that it took the mail over. It does not try again. An error holds
// neither address nor code, nor more of the URL than the host.
func (w *Webhook) Send(ctx context.Context, mail ceremonies.Mail) error {
	if err := check(mail); err != nil {
		return fmt.Errorf("write webhook: %w", err)
	}
	now := w.now()
	body, err := json.Marshal(w.event(mail, now.UTC().Format("2006-01-02T15:04:05.000Z")))
	if err != nil {
		return fmt.Errorf("write webhook: %w", err)
	}
	signature, err := sign(w.secrets(), now, body)
	if err != nil {
		return fmt.Errorf("sign webhook: %w", err)
	}
	if err := w.post(ctx, body, signature); err != nil {
		return fmt.Errorf("send mail over the webhook at %s: %w", w.host, err)
	}
	return nil
}

// event is the envelope for a mail.
func (w *Webhook) event(mail ceremonies.Mail, now string) envelope {
	e := envelope{Version: 1, ID: newUUID(), Source: w.source, Time: now, Tenant: w.tenant}
	data := changed{User: mail.User, Method: mail.Method, Email: mail.To, Name: mail.Name}
	switch mail.Occasion {
	case ceremonies.MailCode:
		e.Type, e.Data = "email.created", created{
			To: mail.To, Code: mail.Code, User: mail.User, Action: mail.Action.Code, IdempotencyKey: mail.Action.Key,
			Method: events.MethodEmailOTP,
		}
	case ceremonies.MailAdded:
		data.CreatedAt = now
		e.Type, e.Data = "authenticator.created", data
	case ceremonies.MailRemoved:
		data.DeletedAt = now
		e.Type, e.Data = "authenticator.deleted", data
	case ceremonies.MailRecoveryCodes:
		data.UpdatedAt, data.Method = now, events.MethodRecoveryCode
		e.Type, e.Data = "authenticator.updated", data
	}
	return e
}

func (w *Webhook) post(ctx context.Context, body []byte, signature string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL cannot be called")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Sallyport")
	request.Header.Set("X-Signature-V2", signature)
	answer, err := w.client.Do(request)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the application answered %d", answer.StatusCode)
	}
	// Read to the end, the connection can be used again. The status has decided.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	return nil
}

// unanswered is an error without the URL, and without what came back if it was
// no HTTP: it may repeat the URL or the code.
func unanswered(ctx context.Context, err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &network), errors.As(err, &certificate), errors.Is(err, io.EOF):
		return err
	}
	return errors.New("what came back is no answer of HTTP")
}

// sign makes the header of a body: its time and one signature for each secret.
// A receiver accepts any of them, so that secrets can be replaced.
func sign(secrets []string, now time.Time, body []byte) (string, error) {
	if len(secrets) == 0 {
		return "", errors.New("no server secret is active")
	}
	var header strings.Builder
	fmt.Fprintf(&header, "t=%d", now.Unix())
	for _, secret := range secrets {
		if secret == "" {
			return "", errors.New("a server secret is empty")
		}
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.", now.Unix())
		mac.Write(body)
		header.WriteString(",v2=" + base64.RawStdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return header.String(), nil
}

// newUUID is a random UUID (RFC 9562, section 5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
