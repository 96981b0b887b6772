package mail_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/mail"
)

func TestTheURLChoosesTheMailer(t *testing.T) {
	c := webhookConfig("", "secret")
	c.From, c.Brand = "no-reply@example.com", "Example Shop"
	folder := t.TempDir() + "/outbox"
	for url, want := range map[string]func(any) bool{
		"smtp://localhost":          is[*mail.SMTP],
		"SMTP://localhost":          is[*mail.SMTP],
		"smtps://mail.example.com":  is[*mail.SMTP],
		"smtp://[::1]:25":           is[*mail.SMTP],
		"https://app.example.com/m": is[*mail.Webhook],
		"http://localhost:3000/m":   is[*mail.Webhook],
		"dir:" + folder:             is[*mail.Outbox],
		"DIR:" + folder:             is[*mail.Outbox],
	} {
		c.URL = url
		m, err := mail.Open(c)
		if err != nil || !want(m) {
			t.Errorf("%s gives %T and %v", url, m, err)
		}
	}
	t.Run("nobody without a URL", func(t *testing.T) {
		if m, err := mail.Open(mail.Config{}); m != nil || err != nil {
			t.Errorf("got %v and %v", m, err)
		}
	})
	t.Run("nothing else", func(t *testing.T) {
		for _, url := range []string{"hunter2", "ftp://user:hunter2@host", ":hunter2", "//hunter2", "smtp", " smtp://localhost"} {
			c.URL = url
			m, err := mail.Open(c)
			if m != nil || err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s gives %v and %v", url, m, err)
			}
		}
	})
	t.Run("a sender without a name has the brand's", func(t *testing.T) {
		s := &server{}
		setting := config("smtp://127.0.0.1:" + s.start(t))
		setting.From = "no-reply@example.com"
		if err := newSMTP(t, setting).Send(t.Context(), code()); err != nil {
			t.Fatal(err)
		}
		if from := open(t, s.got(t).text).header.Get("From"); from != `"Example Shop" <no-reply@example.com>` {
			t.Errorf("from %s", from)
		}
	})
}

func is[T any](value any) bool { _, ok := value.(T); return ok }
