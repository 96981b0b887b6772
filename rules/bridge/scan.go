package bridge

import "strings"

// outline is what stands in an expression outside of all brackets.
type outline struct {
	ors, ands  []int // offsets of || and &&
	choice     bool  // a ? b : c
	comment    bool  // a comment, inside brackets too
	outer      bool  // a comment outside
	enclosed   bool  // one pair of parentheses holds everything
	firstClose int   // offset of the bracket that closes the first one, -1 without
}

// scan reads the outline of an expression that is known to be CEL, so it need
// not find mistakes.
func scan(s string) outline {
	o := outline{firstClose: -1}
	depth, first := 0, -1
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '(' || c == '[' || c == '{':
			if first < 0 && depth == 0 {
				first = i
			}
			depth++
			i++
		case c == ')' || c == ']' || c == '}':
			depth--
			if depth == 0 && o.firstClose < 0 {
				o.firstClose = i
			}
			i++
		case c == '"' || c == '\'':
			i = endOfString(s, i, false)
		case c == '`':
			if end := strings.IndexByte(s[i+1:], '`'); end >= 0 {
				i += end + 2
			} else {
				i = len(s)
			}
		case strings.HasPrefix(s[i:], "//"):
			o.comment = true
			o.outer = o.outer || depth == 0
			if end := strings.IndexByte(s[i:], '\n'); end >= 0 {
				i += end + 1
			} else {
				i = len(s)
			}
		case isWord(c):
			start := i
			for i < len(s) && isWord(s[i]) {
				i++
			}
			if i < len(s) && (s[i] == '"' || s[i] == '\'') {
				i = endOfString(s, i, strings.ContainsAny(s[start:i], "rR"))
			}
		default:
			if depth == 0 {
				switch {
				case strings.HasPrefix(s[i:], "||"):
					o.ors = append(o.ors, i)
					i++
				case strings.HasPrefix(s[i:], "&&"):
					o.ands = append(o.ands, i)
					i++
				case c == '?':
					o.choice = true
				}
			}
			i++
		}
	}
	o.enclosed = first == 0 && s[0] == '(' && o.firstClose == len(s)-1
	return o
}

func isWord(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// endOfString is the offset behind the string that begins at i.
func endOfString(s string, i int, raw bool) int {
	quote := s[i : i+1]
	if strings.HasPrefix(s[i:], strings.Repeat(quote, 3)) {
		quote = s[i : i+3]
	}
	for i += len(quote); i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\\' && !raw:
			i++
		}
	}
	return len(s)
}

// cut splits an expression at operators of two characters.
func cut(s string, at []int) []string {
	parts := make([]string, 0, len(at)+1)
	start := 0
	for _, i := range at {
		parts = append(parts, s[start:i])
		start = i + 2
	}
	return append(parts, s[start:])
}
