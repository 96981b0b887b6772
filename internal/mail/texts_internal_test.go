package mail

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

func TestTheTablesHaveTheSameKeysAndPlaceholders(t *testing.T) {
	all := languages()
	if len(all) != 3 {
		t.Fatalf("%d languages", len(all))
	}
	first := all[0]
	for _, l := range all {
		t.Run(l.tag, func(t *testing.T) {
			if diff := cmp.Diff(slices.Sorted(maps.Keys(first.texts)), slices.Sorted(maps.Keys(l.texts))); diff != "" {
				t.Errorf("keys of %s and %s:\n%s", first.tag, l.tag, diff)
			}
			for key, text := range l.texts {
				want := slices.Sorted(slices.Values(placeholder.FindAllString(first.texts[key], -1)))
				got := slices.Sorted(slices.Values(placeholder.FindAllString(text, -1)))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("placeholders of %q:\n%s", key, diff)
				}
				if text != strings.TrimSpace(text) || text == "" || strings.ContainsFunc(text, unicode.IsControl) {
					t.Errorf("%q is %q", key, text)
				}
			}
		})
	}
}

func TestPluralsFollowArabic(t *testing.T) {
	for n, want := range map[int]string{1: "one", 2: "two", 3: "few", 10: "few", 11: "many", 60: "many", 99: "many", 100: "many", 103: "few"} {
		if got := plural(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
