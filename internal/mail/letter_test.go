package mail_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

var update = flag.Bool("update", false, "write testdata/*.txt again")

// send is a mail as it came out of a mail server.
func send(t *testing.T, m ceremonies.Mail) opened {
	t.Helper()
	s := &server{}
	if err := newSMTP(t, config("smtp://127.0.0.1:"+s.start(t))).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return open(t, s.got(t).text)
}

func TestTheWords(t *testing.T) {
	approval := code()
	approval.Shown = "Pay 250.00 EUR to Müller & Söhne <GmbH>"
	approval.Code, approval.Expires = "48291307", noon.Add(time.Minute)
	enrolment := code()
	enrolment.Purpose, enrolment.Action, enrolment.Expires = ceremonies.ForEnrolment, events.ActionID{}, noon.Add(2*time.Minute)
	other := notice(ceremonies.MailRemoved)
	other.Method, other.Name = "SMS", ""
	mails := map[string]ceremonies.Mail{
		"code-action":    code(),
		"code-approval":  approval,
		"code-enrolment": enrolment,
		"added":          notice(ceremonies.MailAdded),
		"removed":        notice(ceremonies.MailRemoved),
		"removed-other":  other,
		"renewed":        {Occasion: ceremonies.MailRecoveryCodes, To: "jane@example.com", User: "u1"},
	}
	for _, locale := range []string{"en", "de", "ar"} {
		for name, m := range mails {
			file := fmt.Sprintf("testdata/%s.%s.txt", name, locale)
			t.Run(filepath.Base(file), func(t *testing.T) {
				m.Locale = locale
				o := send(t, m)
				got := "Subject: " + o.subject + "\n\n" + o.plain + "\n=== HTML ===\n\n" + o.html
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatalf("%v: run go test ./internal/mail -update", err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	t.Run("every file has its mail", func(t *testing.T) {
		found, err := filepath.Glob("testdata/*.txt")
		if err != nil || len(found) != 3*len(mails) {
			t.Errorf("%d files, want %d: %v", len(found), 3*len(mails), err)
		}
	})
}

func TestTheLocalePicksTheLanguage(t *testing.T) {
	for locale, want := range map[string]string{
		"": "en", "en-GB": "en", "de": "de", "de-CH": "de", "DE_at": "de", "ar-EG": "ar", "ar": "ar", "fr": "en", "deu": "en",
		"x\r\nBcc: x@example.com": "en", "-": "en",
	} {
		m := code()
		m.Locale = locale
		o := send(t, m)
		if got := o.header.Get("Content-Language"); got != want || !strings.Contains(o.html, `<html lang="`+want+`"`) {
			t.Errorf("%q gives %q, want %q", locale, got, want)
		}
	}
}

func TestCodesAreGroupedForReading(t *testing.T) {
	for code, want := range map[string]string{
		"12": "12", "1234": "1234", "12345": "12345", "123456": "123 456", "1234567": "123 4567", "12345678": "1234 5678",
		"123456789": "123 456 789", "1234567890": "123 456 7890", "12345678901": "123 456 789 01", "ABCD2345": "ABCD 2345",
	} {
		m := ceremonies.Mail{Occasion: ceremonies.MailCode, To: "jane@example.com", Code: code, Expires: noon.Add(time.Minute)}
		o := send(t, m)
		if !strings.Contains(o.plain, "\n    "+want+"\n") {
			t.Errorf("%s is not %q in %s", code, want, o.plain)
		}
		if !strings.HasPrefix(o.subject, code+" is ") {
			t.Errorf("subject %q", o.subject)
		}
		// Copied out of the HTML, the code has no spaces.
		text := o.html
		for _, group := range strings.Split(want, " ") {
			text = strings.Replace(text, "<span>"+group+"</span>", group, 1)
			text = strings.Replace(text, `<span style="padding-left:12px">`+group+"</span>", group, 1)
		}
		if !strings.Contains(text, ">"+code+"</p>") {
			t.Errorf("%s is not whole in %s", code, o.html)
		}
	}
}

func TestTheTimeLeftIsRoundedToMinutes(t *testing.T) {
	for left, want := range map[time.Duration]string{
		time.Second: "1 minute.", 89 * time.Second: "1 minute.", 90 * time.Second: "2 minutes.",
		10*time.Minute - time.Millisecond: "10 minutes.", 11 * time.Minute: "11 minutes.", time.Hour: "60 minutes.",
	} {
		m := code()
		m.Expires = noon.Add(left)
		if o := send(t, m); !strings.Contains(o.plain, "The code is valid for "+want) {
			t.Errorf("%s is not %q in %s", left, want, o.plain)
		}
	}
}

func TestTextsOfTheApplicationAddNothing(t *testing.T) {
	hostile := "Key\r\nBcc: x@example.com\r\n\r\n<script>alert(1)</script>\u202eevil\u2066\u200f\u2028{code}{brand}\x00\xff\v"
	for _, locale := range []string{"en", "de", "ar"} {
		m := notice(ceremonies.MailAdded)
		m.Locale, m.Name = locale, hostile
		m.Method = "PASSKEY\r\nBcc: x@example.com"
		approval := code()
		approval.Locale, approval.Shown = locale, hostile
		for _, m := range []ceremonies.Mail{m, approval} {
			o := send(t, m)
			if o.header.Get("Bcc") != "" || len(o.header) != 9 {
				t.Errorf("headers %v", o.header)
			}
			want := "Key Bcc: x@example.com <script>alert(1)</script>evil {code}{brand} \uFFFD"
			if !strings.Contains(o.plain, want) {
				t.Errorf("%q is not one line of %s", want, o.plain)
			}
			for _, text := range []string{"<script", "\u202e", "\u200f", "\x00", "\u2028", "\nBcc"} {
				if strings.Contains(o.html, text) || text != "<script" && strings.Contains(o.plain, text) || strings.Contains(o.subject, text) {
					t.Errorf("%q came through", text)
				}
			}
			balanced(t, o.plain)
		}
	}
}

// balanced fails unless the isolates of each line are closed, and nothing else
// turns text around.
func balanced(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		depth := 0
		for _, r := range line {
			switch {
			case r == '\u2066', r == '\u2068':
				depth++
			case r == '\u2069':
				depth--
			case unicode.Is(unicode.Bidi_Control, r):
				t.Errorf("%U in %q", r, line)
			}
			if depth < 0 || depth > 1 {
				t.Errorf("isolates do not match in %q", line)
			}
		}
		if depth != 0 {
			t.Errorf("isolates stay open in %q", line)
		}
	}
}

func TestAMailHoldsNoLinksAndLoadsNothing(t *testing.T) {
	for _, m := range []ceremonies.Mail{code(), notice(ceremonies.MailAdded)} {
		html := send(t, m).html
		for _, text := range []string{"<a", "<img", "<link", "<style", "<script", "http", "url(", "@import"} {
			if strings.Contains(html, text) {
				t.Errorf("%s in %s", text, html)
			}
		}
	}
}

func TestNamesAreCutAndTextsToApproveAreNot(t *testing.T) {
	m := notice(ceremonies.MailAdded)
	m.Name = strings.Repeat("ü", 150)
	if o := send(t, m); !strings.Contains(o.plain, "Name: "+strings.Repeat("ü", 99)+"…\n") {
		t.Errorf("the name is not cut in %s", o.plain)
	}
	approval := code()
	approval.Shown = strings.Repeat("ü", 1500) + " end"
	if o := send(t, approval); !strings.Contains(o.plain, approval.Shown) || !strings.Contains(o.html, approval.Shown) {
		t.Error("the text to approve is cut")
	}
}

func TestForeignNamesDoNotTurnEnglishAround(t *testing.T) {
	m := notice(ceremonies.MailAdded)
	m.Name = "مفتاح (1)"
	o := send(t, m)
	if !strings.Contains(o.plain, "Name: \u2068مفتاح (1)\u2069\n") || !strings.Contains(o.html, `<bdi dir="auto">مفتاح (1)</bdi>`) {
		t.Errorf("not isolated: %s", o.plain)
	}
	balanced(t, o.plain)
}

// FuzzTexts sends any texts. They are one line each, whatever they hold.
func FuzzTexts(f *testing.F) {
	f.Add("iCloud Keychain", "Pay 5 EUR", "de-CH")
	f.Add("a\r\nBcc: x@example.com", "\u202e\u2066{code}", "ar")
	f.Add("\xff\x00\u2028", "\u2069\u2069\u200f", "\r\n")
	f.Fuzz(func(t *testing.T, name, shown, locale string) {
		outbox, folder := newOutbox(t)
		m := notice(ceremonies.MailAdded)
		m.Name, m.Locale = name, locale
		approval := code()
		approval.Shown, approval.Locale = shown, locale
		lines := map[string]int{}
		for _, m := range []ceremonies.Mail{m, approval} {
			if err := outbox.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range files(t, folder) {
			text, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(text) || bytes.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
				t.Errorf("control characters in %q", text)
			}
			message, err := netmail.ReadMessage(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if len(message.Header) != 8 {
				t.Errorf("headers %v", message.Header)
			}
			body, err := io.ReadAll(message.Body)
			if err != nil {
				t.Fatal(err)
			}
			balanced(t, string(body))
			lines[file] = bytes.Count(body, []byte("\n"))
		}
		// A name may be nothing at all, and then has no line.
		for _, n := range lines {
			if !slices.Contains([]int{10, 11, 14}, n) {
				t.Errorf("%d lines", n)
			}
		}
	})
}
