package signals_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mileusna/useragent"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
)

// browsers are user agents of people.
var browsers = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 OPR/125.0.0.0",
	"Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 15.1; rv:145.0) Gecko/20100101 Firefox/145.0",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 390.0.0.28.85",
	"Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0",
	"Mozilla/5.0 (Linux; Android 15; SM-S938B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A.240105.004; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0",
	"Mozilla/5.0 (Linux; U; Android 13; en-us; Redmi Note 12) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.136 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.10.1",
	"Mozilla/5.0 (PlayStation; PlayStation 5/9.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
}

// crawler is an entry of the list of crawlers.
type crawler struct {
	Pattern   string
	Instances []string
}

func crawlerList(t *testing.T) []crawler {
	t.Helper()
	text, err := os.ReadFile("../../internal/assets/node_modules/crawler-user-agents/crawler-user-agents.json")
	if err != nil {
		t.Fatalf("the list of crawlers is not there (%v): run make deps", err)
	}
	var list []crawler
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func isBot(t *testing.T, s *signals.Source, agent string) bool {
	t.Helper()
	bot, known := facts(t, s, engine.Action{UserAgent: agent}, engine.Profile{}).Device.IsBot.Get()
	if !known {
		t.Errorf("it is unknown whether %q is a bot", agent)
	}
	return bot
}

func TestBots(t *testing.T) {
	with, without := open(t, signals.Config{Folder: lib(t)}), open(t, signals.Config{})
	t.Run("every example of the list is a bot, and the list is needed for many", func(t *testing.T) {
		samples, missed, alone := 0, 0, 0
		for _, entry := range crawlerList(t) {
			for _, agent := range entry.Instances {
				if agent == "" || len(agent) > engine.MaxUserAgentBytes {
					continue
				}
				samples++
				if !isBot(t, with, agent) {
					t.Logf("not recognised by %q: %s", entry.Pattern, agent)
					missed++
				}
				if isBot(t, without, agent) {
					alone++
				}
			}
		}
		t.Logf("of %d examples the library alone recognises %d, with the list all but %d", samples, alone, missed)
		if samples < 2000 || missed > 0 || alone > samples*9/10 {
			t.Errorf("%d examples, %d missed, %d recognised without the list", samples, missed, alone)
		}
	})
	t.Run("browsers of people are no bots", func(t *testing.T) {
		for _, agent := range browsers {
			if isBot(t, with, agent) {
				t.Errorf("bot: %s", agent)
			}
		}
	})
	t.Run("automated browsers and libraries are", func(t *testing.T) {
		for _, agent := range []string{
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
			"curl/8.14.1", "Wget/1.25.0", "wget", "python-requests/2.32.4", "Go-http-client/2.0", "axios/1.7.2",
			"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
		} {
			if !isBot(t, with, agent) {
				t.Errorf("no bot: %s", agent)
			}
		}
	})
}

// The patterns are turned into texts where that is possible. Here they are
// compared with regexp itself, over agents that nearly match.
func TestPatternsMeanWhatTheirRegularExpressionsMean(t *testing.T) {
	patterns := []string{
		`Googlebot\/`, `[wW]get`, `^curl`, `SSL Labs$`, `^exact$`, `(^| )sentry\/`, `Ahrefs(Bot|SiteAudit)`, `AdsBot-Google([^-]|$)`,
		`S[eE][mM]rushBot`, `Spider[\s\S]*spider\.com`, `Chirp|gotosocial`, `(?i)casebot`, `colou?rbot`, `[0-9]bot`, `ab`, `ümlautbot`, `a.cbot`, `x{3}bot`,
	}
	agents := []string{
		"Googlebot/2.1", "Googlebot", "Wget/1", "wget", "wGet", "curl/8", "not curl/8", "by SSL Labs", "SSL Labs x", "exact", "exactly", "inexact",
		"sentry/1", "a sentry/1", "asentry/1", "AhrefsBot", "AhrefsSiteAudit", "Ahrefs", "AdsBot-Google", "AdsBot-Google-Mobile", "AdsBot-Google x",
		"SemrushBot", "SEMrushBot", "seMrushBot", "Spider x spider.com", "Spider spiderXcom", "Chirp", "gotosocial", "CASEBOT", "CaseBot", "colorbot",
		"colourbot", "colouurbot", "7bot", "xbot", "crab", "ba", "ümlautbot", "Ümlautbot", "abcbot", "a\ncbot", "acbot", "xxxbot", "xxbot",
	}
	for _, pattern := range patterns {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, signals.CrawlersFile), []byte("// a comment\n\n"+pattern+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, signals.Config{Folder: folder})
		compiled := regexp.MustCompile(pattern)
		for _, agent := range agents {
			if useragent.Parse(agent).Bot {
				continue // recognised without the pattern
			}
			if got, want := isBot(t, s, agent), compiled.MatchString(agent); got != want {
				t.Errorf("%s on %q: %v, want %v", pattern, agent, got, want)
			}
		}
	}
}

func FuzzUserAgent(f *testing.F) {
	s, err := signals.Open(signals.Config{Folder: lib(f)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	for _, agent := range browsers {
		f.Add(agent)
	}
	for _, agent := range []string{"", "~", "\xff\xfe", strings.Repeat("(", 2000), strings.Repeat("a/1 ", 500), "Mozilla/5.0 ("} {
		f.Add(agent)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		action := engine.Action{UserAgent: agent}
		first := facts(t, s, action, engine.Profile{}).Device
		same(t, facts(t, s, action, engine.Profile{}).Device, first)
		if _, known := first.IsBot.Get(); known != (agent != "") {
			t.Errorf("whether it is a bot is known: %v", known)
		}
		for _, text := range []string{get(first.Browser), get(first.OS), get(first.Type)} {
			if len(text) > len(agent)+20 {
				t.Errorf("%q is longer than what it comes from", text)
			}
		}
		switch get(first.Type) {
		case "", "desktop", "mobile", "tablet":
		default:
			t.Errorf("type %q", get(first.Type))
		}
	})
}
