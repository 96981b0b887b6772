package fold_test

import (
	"encoding/json"
	"testing"
	"unicode"

	"github.com/sallyport/sallyport/rules/internal/fold"
)

// TestNamesAreAlikeThatJSONTakesForOneAnother asks encoding/json itself, for each
// letter that could stand in the place of one of a member's name.
func TestNamesAreAlikeThatJSONTakesForOneAnother(t *testing.T) {
	alike := 0
	for r := rune(0x20); r <= unicode.MaxRune; r++ {
		if !unicode.IsLetter(r) {
			continue
		}
		for _, letter := range "ks" {
			var into struct {
				K, S bool
			}
			name := string(r)
			if err := json.Unmarshal([]byte(`{"`+name+`":true}`), &into); err != nil {
				t.Fatal(err)
			}
			taken := letter == 'k' && into.K || letter == 's' && into.S
			if same := fold.Name(name) == fold.Name(string(letter)); same != taken {
				t.Errorf("%q is %q: %v, for encoding/json %v", name, letter, same, taken)
			}
			if taken {
				alike++
			}
		}
	}
	if alike != 6 {
		t.Errorf("%d letters are k or s", alike)
	}
	if fold.Name("valueSource") != fold.Name("VALUEſOURCE") || fold.Name("a") == fold.Name("b") {
		t.Error("whole names differ")
	}
}
