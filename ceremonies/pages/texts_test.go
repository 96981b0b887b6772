package pages

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tables(t *testing.T) map[string]language {
	t.Helper()
	all, err := languages(nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var update = flag.Bool("update", false, "write the table of texts in docs/pages.md again")

// TestTheDocumentationListsEveryText compares docs/pages.md with the table, since
// people change the words by their keys.
func TestTheDocumentationListsEveryText(t *testing.T) {
	const file, mark = "../../docs/pages.md", "<!-- texts: a test writes this table -->\n"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(raw), mark)
	if !found {
		t.Fatalf("%s has no place for the table", file)
	}
	english := tables(t)[English].texts
	want := before + mark + "\n| key | text |\n| --- | --- |\n"
	for _, key := range slices.Sorted(maps.Keys(english)) {
		want += "| `" + key + "` | " + strings.ReplaceAll(english[key], "|", `\|`) + " |\n"
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("%s is old; run go test ./ceremonies/pages -update (-want +got):\n%s", file, diff)
	}
}

func TestLanguagesSayTheSame(t *testing.T) {
	all := tables(t)
	for tag, l := range all {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(all[English].texts)), slices.Sorted(maps.Keys(l.texts))); diff != "" {
			t.Errorf("keys of %s (-English +%s):\n%s", tag, tag, diff)
		}
		for key, text := range l.texts {
			want := slices.DeleteFunc(placeholders(all[English].texts[key]), func(name string) bool { return name == "{brand}" })
			got := slices.DeleteFunc(placeholders(text), func(name string) bool { return name == "{brand}" })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in %s has other names (-English +%s):\n%s", key, tag, tag, diff)
			}
			if strings.ContainsAny(text, "!<>\n") || strings.TrimSpace(text) != text || text == "" {
				t.Errorf("%s in %s: %q", key, tag, text)
			}
		}
	}
}

// TestEveryKeyHasAText reads the templates, the scripts and the program for keys.
func TestEveryKeyHasAText(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	english := tables(t)[English].texts
	script := words{language: tables(t)[English]}.forScript(viewAsk)
	maps.Copy(script, words{language: tables(t)[English]}.forScript(viewAccount))
	keys := regexp.MustCompile(`"([a-z]+\.\w[\w.-]*)"`)
	found := 0
	for _, entry := range entries {
		raw, err := files.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range keys.FindAllStringSubmatch(string(raw), -1) {
			key := match[1]
			prefix, _, _ := strings.Cut(key, ".")
			if !slices.ContainsFunc(slices.Collect(maps.Keys(english)), func(k string) bool { return strings.HasPrefix(k, prefix+".") }) || strings.HasSuffix(key, ".js") {
				continue
			}
			found++
			if english[key] == "" {
				t.Errorf("%s: there is no text %q", entry.Name(), key)
			}
			if strings.HasSuffix(entry.Name(), ".js") && script[key] == "" {
				t.Errorf("%s: the script does not get %q", entry.Name(), key)
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d keys were found", found)
	}
}

func TestOwnWords(t *testing.T) {
	all, err := languages(map[string]map[string]string{"de": {"passkey.button": "Weiter bei {brand}"}})
	if err != nil || all["de"].texts["passkey.button"] != "Weiter bei {brand}" || all["en"].texts["passkey.button"] != "Continue with passkey" {
		t.Errorf("texts %v, %v", all["de"].texts["passkey.button"], err)
	}
	for name, test := range map[string]struct {
		own  map[string]map[string]string
		want string
	}{
		"a key that is not there":     {map[string]map[string]string{"en": {"ask.titel": "x"}}, `there is no text "ask.titel" in en; did you mean "ask.title"?`},
		"a language that is not here": {map[string]map[string]string{"fr": {"ask.title": "x"}}, `there is no language "fr"; there are ar, de, en`},
		"a name without a value":      {map[string]map[string]string{"en": {"ask.title": "Hi {name}"}}, `"ask.title" in en has nothing for {name}`},
		"nothing":                     {map[string]map[string]string{"en": {"ask.title": " "}}, `"ask.title" in en is empty`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := languages(test.own); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAccentStaysReadable(t *testing.T) {
	for _, text := range []string{DefaultAccent, "#fff", "#000000", "#ffd400", "#767676", "#ff0000", "#1d4ed8", "#777", "#00ff00", "#f0f"} {
		accent, err := parseColour(text)
		if err != nil {
			t.Fatal(err)
		}
		for i, ground := range []colour{white, darkCard} {
			rules := strings.Split(accentRules(accent), "@media")[i]
			value := func(name string) colour {
				c, err := parseColour(regexp.MustCompile(`--` + name + `:(#\w{6})`).FindStringSubmatch(rules)[1])
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			for _, pair := range [][2]colour{
				{value("on-accent"), value("accent")},
				{value("on-accent"), value("accent-hover")},
				{value("link"), value("tint")},
				{value("link"), ground},
			} {
				if got := pair[0].contrast(pair[1]); got < readable-0.06 { // colours are written with 8 bits
					t.Errorf("%s on %v: %v on %v has a contrast of %.2f", text, ground, pair[0], pair[1], got)
				}
			}
		}
	}
	for _, bad := range []string{"red", "#12", "0a5c4d", "#0a5c4g", "#0a5c4d;}", "rgb(1,2,3)"} {
		if _, err := parseColour(bad); err == nil {
			t.Errorf("%q is a colour", bad)
		}
	}
}
