package pages

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ceremonies"
)

// texts are the words of the page in one language, by key. Names in braces are
// filled in: {brand} and {host} stand for the application's name and the host that
// the person goes back to.
//
// Notes have a title and a text. Keys under "say" are what the page says when
// something did not work out: what happened, who can act, no blame.
type texts map[string]string

// language is a table of texts and how it is written.
type language struct {
	Tag   string // BCP 47
	Dir   string // ltr or rtl
	Date  string // layout of a day
	Comma string // between the parts of a list
	texts texts
}

// The languages of the page, by tag.
const (
	English = "en"
	German  = "de"
	Arabic  = "ar"
)

// languages are the tables that there are, with an application's own words.
func languages(own map[string]map[string]string) (map[string]language, error) {
	all := map[string]language{
		English: {English, "ltr", "2 Jan 2006", ", ", english()},
		German:  {German, "ltr", "02.01.2006", ", ", german()},
		Arabic:  {Arabic, "rtl", "2006/01/02", "، ", arabic()},
	}
	var problems []error
	for _, tag := range slices.Sorted(maps.Keys(own)) {
		l, ok := all[tag]
		if !ok {
			problems = append(problems, fmt.Errorf("texts: there is no language %q; there are %s", tag, strings.Join(slices.Sorted(maps.Keys(all)), ", ")))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(own[tag])) {
			words := own[tag][key]
			switch before, known := l.texts[key]; {
			case !known:
				problems = append(problems, fmt.Errorf("texts: there is no text %q in %s; did you mean %q?", key, tag, nearest(key, l.texts)))
			case strings.TrimSpace(words) == "":
				problems = append(problems, fmt.Errorf("texts: %q in %s is empty", key, tag))
			default:
				for _, name := range placeholders(words) {
					if !slices.Contains(placeholders(before), name) && name != "{brand}" && name != "{host}" {
						problems = append(problems, fmt.Errorf("texts: %q in %s has nothing for %s", key, tag, name))
					}
				}
				l.texts[key] = words
			}
		}
	}
	return all, errors.Join(problems...)
}

var placeholder = regexp.MustCompile(`\{\w+\}`)

// placeholders are the names in a text that are filled in, each once, in order.
func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// nearest is the key that looks most like a mistyped one.
func nearest(key string, t texts) string {
	best, distance := "", len(key)+100
	for _, candidate := range slices.Sorted(maps.Keys(t)) {
		if d := edits(key, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// edits is how many letters have to be put in, taken out or changed to make one
// text of another (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// language chooses the action's language, then the best one of those that the
// browser asks for, then English.
func (h *handler) language(action *ceremonies.Action, accept string) language {
	if action != nil {
		if l, ok := h.languages[base(action.Locale)]; ok {
			return l
		}
	}
	best, weight := h.languages[English], 0.0
	for part := range strings.SplitSeq(accept, ",") {
		tag, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil {
				continue
			}
		}
		if l, ok := h.languages[base(tag)]; ok && q > weight {
			best, weight = l, q
		}
	}
	return best
}

// base is the first part of a language tag.
func base(tag string) string {
	tag, _, _ = strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	return strings.ToLower(tag)
}

// words are the texts of one language for one application.
type words struct {
	language
	brand, host string // host is "" when there is no way back
}

// text is one text with its names filled in: those of the application, and pairs
// of a name and its value. An unknown key is an error of the program, and the
// template stops at it.
func (w words) text(key string, pairs ...string) (string, error) {
	text, ok := w.texts[key]
	if !ok {
		return "", fmt.Errorf("there is no text %q", key)
	}
	return w.fill(text, pairs...), nil
}

// say is text for a key that is in the program itself.
func (w words) say(key string, pairs ...string) string {
	return w.fill(w.texts[key], pairs...)
}

func (w words) fill(text string, pairs ...string) string {
	host := w.host
	if host == "" {
		host = w.brand
	}
	return strings.NewReplacer(append([]string{"{brand}", w.brand, "{host}", host}, pairs...)...).Replace(text)
}

// forScript are the texts that the script shows itself: all under say, and those
// named here.
func (w words) forScript(show string) map[string]string {
	keys := []string{
		"title", "passkey.waiting", "passkey.follow", "passkey.again", "passkey.more", "enrol.waiting", "code.waiting",
		"email.sent", "email.again", "email.wait", "done.title", "done.ready", "done.already", "codes.copied", "codes.head",
		"note.unsupported.title", "note.unsupported.text",
	}
	out := map[string]string{}
	for _, key := range keys {
		out[key] = w.say(key)
	}
	prefixes := []string{"say."}
	if show == viewAccount {
		out, prefixes = map[string]string{}, []string{"say.o", "said."}
	}
	for key, text := range w.texts {
		for _, prefix := range prefixes {
			if strings.HasPrefix(key, prefix) {
				out[key] = w.fill(text)
			}
		}
	}
	return out
}
