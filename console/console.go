package console

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// dist holds what Vite built. The prefix "all:" keeps names that begin with "_"
// or ".", which Vite's chunks may have.
//
//go:embed all:dist
var dist embed.FS

// The placeholders that Vite leaves in index.html.
const (
	noncePlaceholder  = "__NONCE__"
	prefixPlaceholder = "__PREFIX__"
	relativeAddress   = `"./` // how the build names its own files
)

// minCompressed is the size in bytes below which a file is sent as it is: the
// gzip header would eat what is saved.
const minCompressed = 1024

// Handler serves the application under prefix, such as "/console", without a
// slash at its end. Paths that name no file answer with index.html, since the
// application routes them itself; only a missing file under assets/ is a 404, so
// that a page from before an upgrade never runs a document as a script.
//
// When the application has not been built, every path answers 503 with a page
// that says how to build it.
func Handler(prefix string) http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path whatever was built
	}
	return New(built, prefix)
}

// New is Handler over another build, as tests and other packagings need it.
func New(built fs.FS, prefix string) http.Handler {
	h := &handler{prefix: strings.TrimSuffix(prefix, "/"), built: built}
	index, err := fs.ReadFile(built, "index.html")
	if err == nil {
		page := strings.ReplaceAll(string(index), prefixPlaceholder, h.prefix)
		h.index = strings.ReplaceAll(page, relativeAddress, `"`+h.prefix+`/`)
	}
	return h
}

type handler struct {
	prefix string
	built  fs.FS
	index  string   // "" when the application has not been built
	zipped sync.Map // file name -> []byte, compressed on first use
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The console's pages can only be read.", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(strings.TrimPrefix(path.Clean(r.URL.Path), h.prefix), "/")
	switch {
	case h.index == "":
		h.serveUnbuilt(w)
	case name == "" || name == "index.html":
		h.serveIndex(w)
	default:
		h.serveFile(w, r, name)
	}
}

// serveIndex writes the page with a nonce of its own. It must not be kept: a
// second use of a nonce would let injected styles through.
func (h *handler) serveIndex(w http.ResponseWriter) {
	raw := make([]byte, 18)
	rand.Read(raw)
	nonce := base64.RawURLEncoding.EncodeToString(raw)
	h.secure(w, nonce)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, strings.ReplaceAll(h.index, noncePlaceholder, nonce))
}

// serveFile writes one built file, or the index when there is none. Names under
// assets/ carry a hash of their content and never change.
func (h *handler) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	asset := strings.HasPrefix(name, "assets/")
	content, err := fs.ReadFile(h.built, name)
	switch {
	case err != nil && asset:
		h.secure(w, "")
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "This file is not part of the running version. Load the page again.", http.StatusNotFound)
		return
	case err != nil || strings.HasPrefix(path.Base(name), "."):
		h.serveIndex(w)
		return
	}

	h.secure(w, "")
	header := w.Header()
	header.Set("Content-Type", contentType(name))
	header.Set("Cache-Control", "no-cache")
	if asset {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if len(content) >= minCompressed {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			if small, err := h.compress(name, content); err == nil {
				content = small
				header.Set("Content-Encoding", "gzip")
			}
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodGet {
		w.Write(content)
	}
}

// compress returns content in gzip form, made once for each file.
func (h *handler) compress(name string, content []byte) ([]byte, error) {
	if small, ok := h.zipped.Load(name); ok {
		return small.([]byte), nil
	}
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", name, err)
	}
	_, err = zip.Write(content)
	if err := errors.Join(err, zip.Close()); err != nil {
		return nil, fmt.Errorf("compress %s: %w", name, err)
	}
	h.zipped.Store(name, out.Bytes())
	return out.Bytes(), nil
}

// secure writes the headers that every response carries. The policy lets the
// page load its own files and talk to its own server, and nothing else; styles
// that a script adds need the nonce of the page. Without a nonce no inline
// style runs at all.
func (h *handler) secure(w http.ResponseWriter, nonce string) {
	styles := "'self'"
	if nonce != "" {
		styles += " 'nonce-" + nonce + "'"
	}
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src "+styles+
		"; connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), clipboard-write=(self), "+
		"camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Robots-Tag", "noindex")
}

// serveUnbuilt says what to run when the binary was built without the
// application, as a plain "go build" of a fresh clone does.
func (h *handler) serveUnbuilt(w http.ResponseWriter) {
	h.secure(w, "")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sallyport</title>`+
		`<h1>The console is not in this binary</h1>`+
		`<p>Run <code>make build</code> in the source folder and start <code>bin/sallyport</code>. Everything but the console works.</p></html>`)
}

// contentType names the type of a built file without asking the machine's own
// tables, which differ from host to host.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	default:
		if known := mime.TypeByExtension(ext); known != "" {
			return known
		}
		return "application/octet-stream"
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as gzip
// and its refusal by "q=0" go.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return !found || err != nil || value > 0
		}
	}
	return false
}
