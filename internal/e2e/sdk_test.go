package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// applyRules publishes the rule set of testdata/rules.yaml.
func applyRules(t *testing.T, s *server) {
	t.Helper()
	_, problems, code := command(t, managed(s), "rules", "apply", "--note", "for the tests", filepath.Join("testdata", "rules.yaml"))
	if code != 0 {
		t.Fatalf("publish the rules: %s", problems)
	}
}

// managed is the environment of a person who manages the server from a shell.
func managed(s *server) []string {
	return environment(s.data, "SALLYPORT_URL="+s.url)
}

// TestNodeSDK runs the published server SDK, unmodified, against the server.
func TestNodeSDK(t *testing.T) {
	s := serve(t, dataFolder(t))
	applyRules(t, s)
	runScript(t, "node-sdk.mjs", map[string]any{
		"url": s.url, "secret": serverSecret, "managementSecret": managementSecret, "rpId": "localhost",
	})
}

// TestBrowserSDK runs the published browser SDK, unmodified, on a page of
// another origin, as an application would.
func TestBrowserSDK(t *testing.T) {
	page := applicationPage(t)
	s := serve(t, dataFolder(t), "SALLYPORT_ORIGINS="+page)
	applyRules(t, s)
	stranger := applicationPage(t) // not among the allowed origins
	runScript(t, "browser-sdk.mjs", map[string]any{
		"url": s.url, "secret": serverSecret, "tenant": tenant, "page": page, "stranger": stranger, "chromium": chromium(t),
	})
}

// mails is a folder that a server writes mails into, and the settings for that.
func mails(t *testing.T) (folder string, settings []string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "mails")
	return folder, []string{"SALLYPORT_MAIL=dir:" + folder, "SALLYPORT_MAIL_FROM=Shop <shop@example.com>"}
}

// TestNodeSDKCodes runs the server SDK where a backend has codes sent and takes over
// authenticators.
func TestNodeSDKCodes(t *testing.T) {
	folder, settings := mails(t)
	s := serve(t, dataFolder(t), settings...)
	applyRules(t, s)
	runScript(t, "node-sdk-codes.mjs", map[string]any{"url": s.url, "secret": serverSecret, "rpId": "localhost", "mails": folder})
}

// TestBrowserSDKMethods runs the browser SDK with every method that it has and that
// there is here.
func TestBrowserSDKMethods(t *testing.T) {
	page := applicationPage(t)
	folder, settings := mails(t)
	s := serve(t, dataFolder(t), append(settings, "SALLYPORT_ORIGINS="+page)...)
	applyRules(t, s)
	runScript(t, "browser-sdk-methods.mjs", map[string]any{
		"url": s.url, "secret": serverSecret, "tenant": tenant, "page": page, "chromium": chromium(t), "mails": folder,
	})
}

// applicationPage serves a page that has nothing but the SDK's bundle on it, and
// returns its origin.
func applicationPage(t *testing.T) string {
	t.Helper()
	bundle := filepath.Join(root, "internal", "e2e", "node_modules", "@authsignal", "browser", "dist", "index.min.js")
	routes := http.NewServeMux()
	routes.HandleFunc("GET /sdk.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, bundle) })
	routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>Application</title><link rel="icon" href="data:,"><script src="/sdk.js"></script><h1>Application</h1>`))
	})
	application := httptest.NewServer(routes)
	t.Cleanup(application.Close)
	return strings.Replace(application.URL, "127.0.0.1", "localhost", 1)
}
