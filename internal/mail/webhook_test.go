package mail_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/mail"
)

// call is a webhook as the application got it.
type call struct {
	method, path, body string
	header             http.Header
}

// application is a web server that takes webhooks and answers with a status.
func application(t *testing.T, status int) (url string, calls <-chan call) {
	t.Helper()
	got := make(chan call, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- call{r.Method, r.URL.String(), string(body), r.Header}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "jane@example.com 482913") // whoever hangs up is gone
	}))
	t.Cleanup(s.Close)
	return s.URL + "/mails?for=shop", got
}

func webhookConfig(url string, secrets ...string) mail.Config {
	return mail.Config{
		URL: url, Secrets: func() []string { return secrets }, Tenant: "shop", Source: "https://auth.shop.example", Now: atNoon,
	}
}

func newWebhook(t *testing.T, c mail.Config) *mail.Webhook {
	t.Helper()
	m, err := mail.NewWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheApplicationGetsEachMailAsAnEvent(t *testing.T) {
	enrolment := code()
	enrolment.Action, enrolment.Purpose = events.ActionID{}, ceremonies.ForEnrolment
	unnamed := notice(ceremonies.MailRemoved)
	unnamed.Name, unnamed.Method = "", events.MethodEmailOTP
	for name, c := range map[string]struct {
		mail ceremonies.Mail
		kind string
		data map[string]any
	}{
		"a code": {code(), "email.created", map[string]any{
			"to": "jane@example.com", "code": "482913", "userId": "u1", "actionCode": "payment", "idempotencyKey": "k1",
			"verificationMethod": "EMAIL_OTP",
		}},
		"a code without an action": {enrolment, "email.created", map[string]any{
			"to": "jane@example.com", "code": "482913", "userId": "u1", "actionCode": "", "idempotencyKey": "",
			"verificationMethod": "EMAIL_OTP",
		}},
		"a new passkey": {notice(ceremonies.MailAdded), "authenticator.created", map[string]any{
			"userId": "u1", "verificationMethod": "PASSKEY", "createdAt": "2026-03-01T12:00:30.000Z",
			"email": "jane@example.com", "credentialName": "iCloud Keychain",
		}},
		"an address that went": {unnamed, "authenticator.deleted", map[string]any{
			"userId": "u1", "verificationMethod": "EMAIL_OTP", "deletedAt": "2026-03-01T12:00:30.000Z",
			"email": "jane@example.com",
		}},
		"new recovery codes": {
			ceremonies.Mail{Occasion: ceremonies.MailRecoveryCodes, To: "jane@example.com", User: "u1"},
			"authenticator.updated",
			map[string]any{
				"userId": "u1", "verificationMethod": "RECOVERY_CODE", "updatedAt": "2026-03-01T12:00:30.000Z",
				"email": "jane@example.com",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, calls := application(t, http.StatusNoContent)
			if err := newWebhook(t, webhookConfig(url, "secret")).Send(t.Context(), c.mail); err != nil {
				t.Fatal(err)
			}
			got := <-calls
			if got.method != "POST" || got.path != "/mails?for=shop" || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s of %s", got.method, got.path, got.header.Get("Content-Type"))
			}
			var event map[string]any
			if err := json.Unmarshal([]byte(got.body), &event); err != nil {
				t.Fatal(err)
			}
			id, _ := event["id"].(string)
			if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("id %q is no random UUID", id)
			}
			delete(event, "id")
			want := map[string]any{
				"version": 1.0, "source": "https://auth.shop.example", "time": "2026-03-01T12:00:30.000Z", "tenantId": "shop",
				"type": c.kind, "data": c.data,
			}
			if diff := cmp.Diff(want, event); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// construct gives a webhook to the SDK that applications use.
func construct(t *testing.T, secret, body, signature string) (event map[string]any, problem string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: install Node.js 20 or newer", err)
	}
	folder, err := filepath.Abs("../e2e")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	parameters, err := json.Marshal(map[string]string{"folder": folder, "secret": secret, "body": body, "signature": signature})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, node, "testdata/construct.mjs", string(parameters))
	var problems strings.Builder
	script.Stderr = &problems
	out, err := script.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, problems.String())
	}
	var answer struct {
		Event map[string]any
		Error string
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answer.Event, answer.Error
}

func TestTheServerSDKAcceptsTheSignature(t *testing.T) {
	url, calls := application(t, http.StatusOK)
	c := webhookConfig(url, "new-secret", "old-secret")
	c.Now = time.Now // the SDK compares it with its own
	if err := newWebhook(t, c).Send(t.Context(), code()); err != nil {
		t.Fatal(err)
	}
	got := <-calls
	signature := got.header.Get("X-Signature-V2")
	if !regexp.MustCompile(`^t=[0-9]+,v2=[A-Za-z0-9+/]{43},v2=[A-Za-z0-9+/]{43}$`).MatchString(signature) {
		t.Errorf("signature %q", signature)
	}
	for name, c := range map[string]struct{ secret, body, signature, refusal string }{
		"the new secret":   {"new-secret", got.body, signature, ""},
		"the old secret":   {"old-secret", got.body, signature, ""},
		"another secret":   {"other", got.body, signature, "Signature mismatch"},
		"a changed body":   {"new-secret", strings.Replace(got.body, "482913", "482914", 1), signature, "Signature mismatch"},
		"a changed time":   {"new-secret", got.body, regexp.MustCompile("^t=[0-9]+").ReplaceAllString(signature, fmt.Sprintf("t=%d", time.Now().Unix()+9)), "Signature mismatch"},
		"an old signature": {"new-secret", got.body, regexp.MustCompile("^t=[0-9]+").ReplaceAllString(signature, "t=1700000000"), "Timestamp is outside the tolerance zone"},
	} {
		t.Run(name, func(t *testing.T) {
			event, problem := construct(t, c.secret, c.body, c.signature)
			if !strings.HasPrefix(problem, c.refusal) || (problem == "") != (c.refusal == "") {
				t.Fatalf("the SDK says %q, want %q", problem, c.refusal)
			}
			if data, _ := event["data"].(map[string]any); c.refusal == "" && (event["type"] != "email.created" || data["code"] != "482913") {
				t.Errorf("event %v", event)
			}
		})
	}
}

func TestANewSecretCountsAtOnce(t *testing.T) {
	url, calls := application(t, http.StatusOK)
	c := webhookConfig(url)
	active := []string{"first"}
	c.Secrets = func() []string { return active }
	m := newWebhook(t, c)
	var signatures []string
	for _, active = range [][]string{{"first"}, {"second"}, {"second", "first"}} {
		if err := m.Send(t.Context(), code()); err != nil {
			t.Fatal(err)
		}
		signatures = append(signatures, (<-calls).header.Get("X-Signature-V2"))
	}
	for i, want := range []int{1, 1, 2} {
		if n := strings.Count(signatures[i], "v2="); n != want {
			t.Errorf("%d signatures in %q, want %d", n, signatures[i], want)
		}
	}
	for _, active = range [][]string{nil, {""}} {
		discreet(t, m.Send(t.Context(), code()))
		if len(calls) != 0 {
			t.Fatal("an unsigned webhook was sent")
		}
	}
}

func TestOnlyAStatusOf2xxTakesTheMailOver(t *testing.T) {
	for status, taken := range map[int]bool{200: true, 201: true, 299: true, 301: false, 307: false, 308: false, 400: false, 401: false, 500: false, 503: false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			url, calls := application(t, status)
			err := newWebhook(t, webhookConfig(url, "secret")).Send(t.Context(), code())
			if (err == nil) != taken {
				t.Errorf("got %v", err)
			}
			if !taken {
				discreet(t, err)
				if !strings.HasSuffix(err.Error(), fmt.Sprintf("the application answered %d", status)) {
					t.Errorf("got %q", err)
				}
			}
			if len(calls) != 1 {
				t.Errorf("%d calls, want 1", len(calls))
			}
		})
	}
}

func TestAnApplicationThatDoesNotAnswerIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(net.Conn)
		want   string
	}{
		"silence":           {silent, "deadline exceeded"},
		"no HTTP":           {func(conn net.Conn) { _, _ = io.CopyN(conn, conn, 20) }, "no answer of http"},
		"an endless header": {endlessHeader, "no answer of http"},
		"hanging up":        {func(conn net.Conn) { conn.Close() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			setting := webhookConfig("http://"+listen(t, c.answer).Addr().String()+"/hook-hunter2", "secret")
			setting.Timeout = 300 * time.Millisecond
			err := newWebhook(t, setting).Send(t.Context(), code())
			discreet(t, err)
			if !strings.Contains(strings.ToLower(err.Error()), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
	t.Run("an endless body", func(t *testing.T) {
		setting := webhookConfig("http://"+listen(t, func(conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := conn.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}).Addr().String(), "secret")
		if err := newWebhook(t, setting).Send(t.Context(), code()); err != nil {
			t.Error(err)
		}
	})
	t.Run("when the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		listener := listen(t, func(conn net.Conn) {
			cancel()
			silent(conn)
		})
		err := newWebhook(t, webhookConfig("http://"+listener.Addr().String(), "secret")).Send(ctx, code())
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func endlessHeader(conn net.Conn) {
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	for {
		if _, err := io.WriteString(conn, "X: jane@example.com 482913\r\n"); err != nil {
			return
		}
	}
}

func TestAWebhookChecksTheCertificate(t *testing.T) {
	for name, c := range map[string]struct {
		certificate tls.Certificate
		want        string
	}{
		"one that this machine trusts": {trusted, ""},
		"a foreign one":                {foreign, "failed to verify certificate"},
		"one for another name":         {misnamed, "failed to verify certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			s.TLS = &tls.Config{Certificates: []tls.Certificate{c.certificate}}
			s.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshakes
			s.StartTLS()
			t.Cleanup(s.Close)
			err := newWebhook(t, webhookConfig(s.URL, "secret")).Send(t.Context(), code())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAWebhookConfigurationIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*mail.Config)
		want   string
	}{
		"plain text elsewhere":  {url("http://app.example.com/hunter2"), "must begin with https:"},
		"plain text at 0.0.0.0": {url("http://0.0.0.0/hunter2"), "must begin with https:"},
		"a password":            {url("https://user:hunter2@app.example.com"), "a user or a password"},
		"no host":               {url("https:///hunter2"), "the URL has no host"},
		"a fragment":            {url("https://app.example.com/#hunter2"), "the URL has a fragment"},
		"not readable":          {url("https://app.example.com/hunter2%"), "the URL cannot be read"},
		"no secrets":            {func(c *mail.Config) { c.Secrets = nil }, "the server secrets are missing"},
		"no tenant":             {func(c *mail.Config) { c.Tenant = "" }, "the tenant is missing"},
		"no source":             {func(c *mail.Config) { c.Source = "" }, "the source is missing"},
		"a negative timeout":    {func(c *mail.Config) { c.Timeout = -1 }, "the timeout is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			setting := webhookConfig("https://app.example.com/hunter2", "hunter2")
			c.change(&setting)
			_, err := mail.NewWebhook(setting)
			discreet(t, err)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
	t.Run("nothing prints the path", func(t *testing.T) {
		m := newWebhook(t, webhookConfig("https://app.example.com/hunter2", "hunter2"))
		if text := fmt.Sprintf("%v %+v %#v", m, m, m); strings.Contains(text, "hunter2") {
			t.Error(text)
		}
	})
}

func TestAWebhookRefusesMailsThatCannotBeSent(t *testing.T) {
	url, calls := application(t, http.StatusOK)
	m := newWebhook(t, webhookConfig(url, "secret"))
	for name, change := range map[string]func(*ceremonies.Mail){
		"no address":  func(m *ceremonies.Mail) { m.To = "" },
		"no code":     func(m *ceremonies.Mail) { m.Code = "" },
		"no occasion": func(m *ceremonies.Mail) { m.Occasion = "" },
	} {
		t.Run(name, func(t *testing.T) {
			letter := code()
			change(&letter)
			discreet(t, m.Send(t.Context(), letter))
		})
	}
	if len(calls) != 0 {
		t.Errorf("%d calls", len(calls))
	}
}
