package mail

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
)

// maxName is the longest name of an authenticator in characters; longer ones are
// cut. A text that somebody approves is never cut: its end may be what matters.
const maxName = 100

// maxCode is the longest code in characters.
const maxCode = 32

// Isolates keep a value's direction from turning the words around it (Unicode
// UAX 9, section 2.4). In HTML, bdi does the same.
const (
	leftToRight = "\u2066" // LRI
	byItself    = "\u2068" // FSI: as its first letter says
	endIsolate  = "\u2069" // PDI
)

// letter is a mail's words, before they become plain text or HTML.
type letter struct {
	language language
	subject  string
	brand    string
	before   []sentence // above the code
	shown    *piece     // the text to approve, under the first sentence
	code     []string   // in groups for reading
	facts    []fact
	after    []sentence
	foot     sentence
}

// fact is a line such as "When: 2026-03-01 09:30 UTC".
type fact struct {
	Label string
	Value piece
}

// sentence is a text of the table with its values in place.
type sentence []piece

// piece is a part of a sentence. Dir is "" for our own words, and the direction
// of a value otherwise: "ltr" or, for names, "auto".
type piece struct{ Text, Dir string }

// check refuses mails that cannot be sent, whoever sends them. Its errors hold
// neither address nor code.
func check(m ceremonies.Mail) error {
	if !plainAddress(m.To) {
		return errors.New("the address is not one that mails can go to")
	}
	switch m.Occasion {
	case ceremonies.MailCode:
		if m.Code == "" || len(m.Code) > maxCode || strings.ContainsFunc(m.Code, notOfCodes) {
			return fmt.Errorf("the code is not one of up to %d letters and digits", maxCode)
		}
	case ceremonies.MailAdded, ceremonies.MailRemoved, ceremonies.MailRecoveryCodes:
	default:
		return fmt.Errorf("there is no occasion %q", m.Occasion)
	}
	return nil
}

func notOfCodes(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// compose puts a mail into words. An error says why it cannot be sent and holds
// neither address nor code.
func compose(m ceremonies.Mail, brand string, now time.Time) (letter, error) {
	if err := check(m); err != nil {
		return letter{}, err
	}
	w := writer{language: speak(m.Locale), values: map[string]piece{"brand": {Text: brand, Dir: "auto"}}}
	l := letter{language: w.language, brand: brand}
	if m.Occasion == ceremonies.MailCode {
		w.code(&l, m, now)
	} else {
		w.notice(&l, m, now)
	}
	l.foot = w.say("foot")
	return l, w.err
}

// writer fills the texts of one language. It keeps its first error.
type writer struct {
	language language
	values   map[string]piece
	err      error
}

func (w *writer) code(l *letter, m ceremonies.Mail, now time.Time) {
	left := m.Expires.Sub(now)
	if left <= 0 {
		w.err = errors.New("the code has run out")
		return
	}
	minutes := max(1, int(math.Round(left.Minutes())))
	w.values["minutes"] = piece{Text: strconv.Itoa(minutes), Dir: "ltr"}
	w.values["code"] = piece{Text: m.Code, Dir: "ltr"}

	l.subject = w.line("code.subject")
	shown := clean(m.Shown)
	switch {
	case shown != "":
		l.before = []sentence{w.say("code.shown"), w.say("code.approve")}
		l.shown = &piece{Text: shown, Dir: "auto"}
	case m.Purpose == ceremonies.ForEnrolment:
		l.before = []sentence{w.say("code.enrolment")}
	default:
		l.before = []sentence{w.say("code.action")}
	}
	l.code = groups(m.Code)
	l.after = []sentence{w.say("code.valid." + plural(minutes)), w.say("code.warning")}
}

func (w *writer) notice(l *letter, m ceremonies.Mail, now time.Time) {
	method, known := w.language.texts["method."+string(m.Method)]
	if !known {
		method = w.text("method.other")
	}
	w.values["method"] = piece{Text: method}

	var about string
	switch m.Occasion {
	case ceremonies.MailAdded:
		about = "added"
	case ceremonies.MailRemoved:
		about = "removed"
	case ceremonies.MailRecoveryCodes:
		about = "renewed"
	}
	l.subject = w.line(about + ".subject")
	l.before = []sentence{w.say(about + ".what")}
	if name := cut(clean(m.Name), maxName); name != "" {
		l.facts = append(l.facts, fact{w.text("notice.name"), piece{Text: name, Dir: "auto"}})
	}
	when := now.UTC().Format("2006-01-02 15:04 UTC")
	l.facts = append(l.facts, fact{w.text("notice.when"), piece{Text: when, Dir: "ltr"}})
	l.after = []sentence{w.say("notice.you"), w.say(about + ".stranger")}
}

// text is a text as the table has it.
func (w *writer) text(key string) string {
	text, ok := w.language.texts[key]
	if !ok && w.err == nil {
		w.err = fmt.Errorf("there is no text %q in %q", key, w.language.tag)
	}
	return text
}

// say is a text with its values in place. What a value holds is never read as a
// placeholder.
func (w *writer) say(key string) sentence {
	var s sentence
	for rest := w.text(key); rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			s = append(s, piece{Text: before})
		}
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		value, ok := w.values[name]
		if !ok && w.err == nil {
			w.err = fmt.Errorf("the text %q of %q asks for %q", key, w.language.tag, name)
		}
		s, rest = append(s, value), tail
	}
	return s
}

// line is a text for a header. It has no isolates: some programs show them.
func (w *writer) line(key string) string {
	var line strings.Builder
	for _, p := range w.say(key) {
		line.WriteString(p.Text)
	}
	return line.String()
}

// groups splits a code for reading: 123 456, 1234 5678, 123 4567. Up to five
// characters stay together.
func groups(code string) []string {
	size := 3
	switch {
	case len(code) <= 5:
		return []string{code}
	case len(code)%4 == 0:
		size = 4
	}
	var all []string
	for len(code) > size+1 {
		all, code = append(all, code[:size]), code[size:]
	}
	return append(all, code)
}
