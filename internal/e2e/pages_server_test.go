package e2e_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHostedPagesOfTheServer looks at the pages as the settings of a server make
// them: colour, logo, own words, the account page and who may frame them.
func TestHostedPagesOfTheServer(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := serve(t, dataFolder(t), "SALLYPORT_CLICKHOUSE=off", "SALLYPORT_NAME=Corner Shop", "SALLYPORT_ACCENT=#c2410c",
		"SALLYPORT_LOGO="+file("logo.svg", testLogo), "SALLYPORT_TEXTS="+file("texts.yaml", "en:\n  account.text: Your keys to {brand}.\n"),
		"SALLYPORT_FRAME_ORIGINS=https://app.example", "SALLYPORT_MAIL=dir:"+filepath.Join(folder, "mails"), "SALLYPORT_MAIL_FROM=Corner Shop <no-reply@example.com>")
	tracked := s.track(t, "ann", "settings", map[string]any{"email": "ann@example.com", "redirectToSettings": true})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{Jar: jar}
	get := func(address string) (http.Header, string) {
		response, err := browser.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s answered %d, %v: %s", address, response.StatusCode, err, text)
		}
		return response.Header, string(text)
	}
	link, _ := tracked["url"].(string)
	header, page := get(link)
	if !strings.HasSuffix(header.Get("Content-Security-Policy"), "frame-ancestors https://app.example") {
		t.Errorf("policy %q", header.Get("Content-Security-Policy"))
	}
	for _, part := range []string{`<section id="account">`, "You have no way to confirm it&#39;s you yet", `<img class="logo"`, "change/passkey"} {
		if !strings.Contains(page, part) {
			t.Errorf("the account page does not hold %q: %s", part, page)
		}
	}
	if _, css := get(s.url + regexp.MustCompile(`/challenge/assets/page-\w+\.css`).FindString(page)); !strings.Contains(css, "--accent:#c2410c") {
		t.Error("the style sheet does not have the accent")
	}
}
