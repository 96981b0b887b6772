package mail

import (
	"strings"
	"unicode"
)

// plain is the letter as plain text, its lines ended by \n.
func (l letter) plain() string {
	var out strings.Builder
	paragraph := func(text string) { out.WriteString(text + "\n\n") }
	for i, s := range l.before {
		paragraph(l.inline(s))
		if i == 0 && l.shown != nil {
			paragraph("    " + l.isolated(*l.shown))
		}
	}
	if len(l.code) > 0 {
		paragraph("    " + l.isolated(piece{Text: strings.Join(l.code, " "), Dir: "ltr"}))
	}
	for _, f := range l.facts {
		out.WriteString(f.Label + ": " + l.isolated(f.Value) + "\n")
	}
	if len(l.facts) > 0 {
		out.WriteString("\n")
	}
	for _, s := range l.after {
		paragraph(l.inline(s))
	}
	// Mail programs show what follows "-- " as a signature (RFC 3676, section 4.3).
	out.WriteString("-- \n" + l.inline(l.foot) + "\n")
	return out.String()
}

func (l letter) inline(s sentence) string {
	var out strings.Builder
	for _, p := range s {
		out.WriteString(l.isolated(p))
	}
	return out.String()
}

// isolated is a piece that cannot turn the words around it, nor be turned by
// them: without isolates, "123 456" in Arabic reads "456 123". In a text from
// left to right, only values that are written the other way need them.
func (l letter) isolated(p piece) string {
	switch {
	case p.Dir == "" || !l.language.rtl && !strings.ContainsFunc(p.Text, rightToLeft):
		return p.Text
	case p.Dir == "ltr":
		return leftToRight + p.Text + endIsolate
	}
	return byItself + p.Text + endIsolate
}

// rightToLeft reports whether a character belongs to a script that is written
// from right to left.
func rightToLeft(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Samaritan, unicode.Mandaic, unicode.Adlam, unicode.Hanifi_Rohingya)
}
