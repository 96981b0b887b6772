package console_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/console"
)

// build is what Vite leaves behind, in small.
func build() fstest.MapFS {
	script := "export const n = 1\n" + strings.Repeat("// filler\n", 300)
	return fstest.MapFS{
		".gitkeep": {},
		"index.html": {Data: []byte(`<!doctype html><meta property="csp-nonce" nonce="__NONCE__">` +
			`<meta name="sallyport-prefix" content="__PREFIX__">` +
			`<link rel="stylesheet" nonce="__NONCE__" href="./assets/index-1a2b.css">` +
			`<script type="module" src="./assets/index-1a2b.js"></script>`)},
		"icon.svg":              {Data: []byte("<svg/>")},
		"assets/index-1a2b.js":  {Data: []byte(script)},
		"assets/index-1a2b.css": {Data: []byte("body{}")},
		"assets/_chunk-3c.js":   {Data: []byte("export {}")},
	}
}

func get(t *testing.T, h http.Handler, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandlerAnswers(t *testing.T) {
	h := console.New(build(), "/console")
	type want struct {
		Status int
		Type   string
		Cache  string
	}
	index := want{Status: 200, Type: "text/html; charset=utf-8", Cache: "no-store"}
	rows := map[string]struct {
		method, target string
		want           want
	}{
		"the index under the prefix":                {"GET", "/console/", index},
		"the index without the slash":               {"GET", "/console", index},
		"the index by name":                         {"GET", "/console/index.html", index},
		"an unknown path with the index":            {"GET", "/console/decisions", index},
		"a deep unknown path with the index":        {"GET", "/console/rules/payment/x.y", index},
		"a path that climbs with the index":         {"GET", "/console/../../etc/passwd", index},
		"a folder with the index":                   {"GET", "/console/assets", index},
		"a hidden file with the index":              {"GET", "/console/.gitkeep", index},
		"HEAD like GET":                             {"HEAD", "/console/", index},
		"a hashed script for ever":                  {"GET", "/console/assets/index-1a2b.js", want{200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"}},
		"a hashed style for ever":                   {"GET", "/console/assets/index-1a2b.css", want{200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"}},
		"a chunk whose name begins with underscore": {"GET", "/console/assets/_chunk-3c.js", want{200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"}},
		"an unhashed file with a check each time":   {"GET", "/console/icon.svg", want{200, "image/svg+xml", "no-cache"}},
		"an asset of another version with 404":      {"GET", "/console/assets/index-9z.js", want{404, "text/plain; charset=utf-8", "no-store"}},
		"a write with 405":                          {"POST", "/console/", want{405, "text/plain; charset=utf-8", ""}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			res := get(t, h, row.method, row.target)
			got := want{res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control")}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestIndexCarriesNonceAndPrefix(t *testing.T) {
	h := console.New(build(), "/ops/console/")
	first, second := get(t, h, "GET", "/ops/console/"), get(t, h, "GET", "/ops/console/decisions")
	page := body(t, first)

	policy := regexp.MustCompile(`^default-src 'none'; script-src 'self'; style-src 'self' 'nonce-([\w-]{24})'; connect-src 'self'; ` +
		`img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$`)
	nonces := policy.FindStringSubmatch(first.Header.Get("Content-Security-Policy"))
	if nonces == nil {
		t.Fatalf("policy is %q", first.Header.Get("Content-Security-Policy"))
	}
	if n := strings.Count(page, `nonce="`+nonces[1]+`"`); n != 2 {
		t.Errorf("the page has the policy's nonce %d times, want 2:\n%s", n, page)
	}
	again := policy.FindStringSubmatch(second.Header.Get("Content-Security-Policy"))
	if again == nil || again[1] == nonces[1] {
		t.Errorf("two responses have the same nonce %q", nonces[1])
	}
	for _, part := range []string{`content="/ops/console"`, `href="/ops/console/assets/index-1a2b.css"`, `src="/ops/console/assets/index-1a2b.js"`} {
		if !strings.Contains(page, part) {
			t.Errorf("the page has no %s:\n%s", part, page)
		}
	}
	if strings.Contains(page, "__") {
		t.Errorf("a placeholder is left:\n%s", page)
	}
}

func TestEveryAnswerIsSecured(t *testing.T) {
	built, unbuilt := console.New(build(), "/console"), console.New(fstest.MapFS{".gitkeep": {}}, "/console")
	rows := map[string]*http.Response{
		"index":          get(t, built, "GET", "/console/"),
		"asset":          get(t, built, "GET", "/console/assets/index-1a2b.js"),
		"missing asset":  get(t, built, "GET", "/console/assets/none.js"),
		"icon":           get(t, built, "GET", "/console/icon.svg"),
		"not built page": get(t, unbuilt, "GET", "/console/"),
	}
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Robots-Tag":                 "noindex",
	}
	for name, res := range rows {
		t.Run(name, func(t *testing.T) {
			for header, value := range want {
				if got := res.Header.Get(header); got != value {
					t.Errorf("%s is %q, want %q", header, got, value)
				}
			}
			if policy := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") {
				t.Errorf("policy is %q", policy)
			}
			if policy := res.Header.Get("Permissions-Policy"); !strings.Contains(policy, "publickey-credentials-get=(self)") {
				t.Errorf("permissions are %q", policy)
			}
		})
	}
}

func TestAssetsAreCompressedOnRequest(t *testing.T) {
	h := console.New(build(), "/console")
	plain := body(t, get(t, h, "GET", "/console/assets/index-1a2b.js"))
	rows := map[string]struct {
		target, accept, coding string
	}{
		"a large file for a client that takes gzip": {"/console/assets/index-1a2b.js", "br, gzip;q=0.8", "gzip"},
		"not when gzip is refused":                  {"/console/assets/index-1a2b.js", "gzip;q=0", ""},
		"not when nothing is said":                  {"/console/assets/index-1a2b.js", "", ""},
		"not a small file":                          {"/console/assets/index-1a2b.css", "gzip", ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second answer comes from memory
				res := get(t, h, "GET", row.target, "Accept-Encoding", row.accept)
				if got := res.Header.Get("Content-Encoding"); got != row.coding {
					t.Fatalf("coding is %q, want %q", got, row.coding)
				}
				if row.coding == "" {
					continue
				}
				zip, err := gzip.NewReader(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(zip)
				if err != nil || string(text) != plain {
					t.Errorf("decompressed text differs from the plain one (%v)", err)
				}
				if res.Header.Get("Vary") != "Accept-Encoding" {
					t.Error("no Vary: a cache could give gzip to a client that cannot read it")
				}
			}
		})
	}
}

func TestUnbuiltConsoleSaysWhatToRun(t *testing.T) {
	h := console.New(fstest.MapFS{".gitkeep": {}}, "/console")
	for _, target := range []string{"/console/", "/console/assets/index.js", "/console/decisions"} {
		res := get(t, h, "GET", target)
		if page := body(t, res); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, "make build") {
			t.Errorf("%s answered %d: %s", target, res.StatusCode, page)
		}
	}
}

// TestEmbeddedBuild holds for a binary with the application and for one without.
func TestEmbeddedBuild(t *testing.T) {
	res := get(t, console.Handler("/console"), "GET", "/console/")
	page := body(t, res)
	switch res.StatusCode {
	case http.StatusServiceUnavailable:
		if !strings.Contains(page, "make build") {
			t.Errorf("the page does not say what to run: %s", page)
		}
	case http.StatusOK:
		for _, script := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(script[1], "/console/") {
				t.Errorf("the page loads %s from elsewhere", script[1])
			}
			if got := get(t, console.Handler("/console"), "GET", script[1]); got.StatusCode != 200 {
				t.Errorf("%s answered %d", script[1], got.StatusCode)
			}
		}
	default:
		t.Errorf("status %d: %s", res.StatusCode, page)
	}
}
