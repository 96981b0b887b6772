// Package fold compares the names of JSON members as encoding/json does.
package fold

import (
	"strings"
	"unicode"
)

// Name returns the same text for all names that encoding/json takes for one
// another: upper and lower case, and letters such as the long s, which
// strings.ToLower leaves alone.
func Name(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r { // the smallest of those that are alike
				return next
			}
			r = next
		}
	}, name)
}
