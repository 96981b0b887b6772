package mail

import (
	netmail "net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes one line of a text of the application, without characters that
// could make it read differently from what it says.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case disguises(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(text), " ")
}

// cut shortens a text to at most n characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:n-1])) + "…"
}

// plainAddress reports whether an address is one mailbox without a name around
// it, comments or quotes (RFC 5322, section 3.4.1), of at most 254 characters
// (RFC 5321, section 4.5.3.1).
func plainAddress(address string) bool {
	if len(address) > 254 || !utf8.ValidString(address) || strings.ContainsFunc(address, func(r rune) bool { return disguises(r) || unicode.IsSpace(r) }) {
		return false
	}
	parsed, err := netmail.ParseAddress(address)
	return err == nil && parsed.Name == "" && parsed.Address == address
}

// disguises reports whether a character would break or turn the line that shows
// a text: a control character, a separator of lines or one for the direction of
// text (Unicode UAX 9).
func disguises(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}
