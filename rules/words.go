package rules

import "strings"

// word is a piece of a condition's text: a bracket, a logical operator or
// anything else without them.
type word struct {
	text       string // "(", ")", "||", "&&", "!" and so on; "" for anything else
	start, end int    // in characters
	closes     int    // of an opening bracket: place of the closing one, otherwise 0
}

// wordsOf splits a condition that CEL has accepted. Texts are passed over whole,
// comments and blanks are left out.
func wordsOf(text []rune) []word {
	var words []word
	var open []int
	for i := 0; i < len(text); {
		start := i
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
			continue
		case c == '/' && i+1 < len(text) && text[i+1] == '/':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case c == '"' || c == '\'':
			i = endOfText(text, i, false)
		case isNameRune(c):
			for i < len(text) && isNameRune(text[i]) {
				i++
			}
			if i < len(text) && (text[i] == '"' || text[i] == '\'') { // r"…", b'…'
				i = endOfText(text, i, strings.ContainsAny(string(text[start:i]), "rR"))
			}
		case strings.ContainsRune("([{", c):
			i++
			open = append(open, len(words))
			words = append(words, word{text: string(c), start: start, end: i})
			continue
		case strings.ContainsRune(")]}", c):
			i++
			if len(open) > 0 {
				words[open[len(open)-1]].closes = len(words)
				open = open[:len(open)-1]
			}
			words = append(words, word{text: string(c), start: start, end: i})
			continue
		case (c == '|' || c == '&') && i+1 < len(text) && text[i+1] == c:
			i += 2
			words = append(words, word{text: string(text[start:i]), start: start, end: i})
			continue
		case c == '!' && (i+1 >= len(text) || text[i+1] != '='):
			i++
			words = append(words, word{text: "!", start: start, end: i})
			continue
		case c == '!':
			i += 2
		default:
			i++
		}
		words = append(words, word{start: start, end: i})
	}
	return words
}

func isNameRune(c rune) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// endOfText returns the place behind a quoted text that begins at i.
func endOfText(text []rune, i int, raw bool) int {
	quote, width := text[i], 1
	if i+2 < len(text) && text[i+1] == quote && text[i+2] == quote {
		width = 3
	}
	for i += width; i < len(text); i++ {
		switch {
		case text[i] == '\\' && !raw:
			i++
		case text[i] == quote && (width == 1 || i+2 < len(text) && text[i+1] == quote && text[i+2] == quote):
			return i + width
		}
	}
	return len(text)
}
