package pages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

//go:embed page.html page.css page.js
var files embed.FS

// Store is what the page reads to know what to show. internal/store implements it.
type Store interface {
	Account(ctx context.Context, user events.UserID) (ceremonies.Account, error)
	Action(ctx context.Context, id events.ActionID) (ceremonies.Action, error)
}

// Config describes the page. RelyingParty, Store and Brand are required.
type Config struct {
	RelyingParty *ceremonies.RelyingParty
	Store        Store
	// Brand is the application's name, as its people know it.
	Brand string
	// Logo stands in the place of the brand's first letter; nil keeps that.
	Logo *Logo
	// Accent is the colour of what can be pressed, such as #0a5c4d; "" is our own.
	Accent string
	// Texts are own words by language and key; what is not there keeps ours.
	Texts map[string]map[string]string
	// FrameAncestors are the origins that may put the page into a frame. Empty
	// means nobody.
	FrameAncestors []string
	// LaunchOrigins are the origins that may open the page in a window or a frame and
	// are told how it ended.
	LaunchOrigins []string
	// Address is where a request comes from, for limits; nil means nowhere.
	Address func(*http.Request) netip.Addr
	// PromptEvery is for how long a passkey that was put off is not offered again. 0
	// means 7 days.
	PromptEvery time.Duration
	// Secure says that people reach the page over TLS; its cookies then travel
	// over nothing else.
	Secure bool
	// Limit is asked before each ceremony that a person begins; an error refuses it
	// for now. Nil means no limit.
	Limit func(events.UserID) error
	// Log takes the faults that people only see as "something went wrong". Nil
	// means slog.Default.
	Log *slog.Logger
}

// Logo is a small image, at most 10 KiB.
type Logo struct {
	Type string // image/svg+xml or image/png
	Data []byte
}

// Lengths and lives.
const (
	// cookieLife is longer than a page token lives, so that a person who comes
	// back late still hears what has happened.
	cookieLife = time.Hour
	// maxUserAgent is how much of a user agent is kept, in bytes.
	maxUserAgent = 1 << 10
)

type handler struct {
	rp       *ceremonies.RelyingParty
	store    Store
	brand    string
	secure   bool
	limit    func(events.UserID) error
	log      *slog.Logger
	headers  map[string]string
	template *template.Template
	css, js  string // addresses of the style sheet and the script
	texts    texts
}

// New makes the handler for /challenge and everything below it.
func New(config Config) (http.Handler, error) {
	if config.RelyingParty == nil || config.Store == nil || config.Brand == "" {
		return nil, errors.New("challenge page: it needs a relying party, a store and a brand")
	}
	h := &handler{
		rp: config.RelyingParty, store: config.Store, brand: config.Brand, secure: config.Secure, limit: config.Limit, log: config.Log,
		headers: headers(config.FrameAncestors), texts: languages()[English],
	}
	if h.limit == nil {
		h.limit = func(events.UserID) error { return nil }
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	mux := http.NewServeMux()
	var err error
	if h.css, err = serveAsset(mux, "page.css", "text/css; charset=utf-8"); err != nil {
		return nil, err
	}
	if h.js, err = serveAsset(mux, "page.js", "text/javascript; charset=utf-8"); err != nil {
		return nil, err
	}
	if h.template, err = template.ParseFS(files, "page.html"); err != nil {
		return nil, fmt.Errorf("challenge page: %w", err)
	}

	mux.HandleFunc("GET /challenge", h.open)
	mux.HandleFunc("GET /challenge/{ref}", h.page)
	mux.HandleFunc("GET /challenge/{ref}/back", h.back)
	mux.HandleFunc("POST /challenge/{ref}/begin", h.ceremony(h.begin))
	mux.HandleFunc("POST /challenge/{ref}/finish", h.ceremony(h.finish))
	mux.HandleFunc("POST /challenge/{ref}/enrol/begin", h.ceremony(h.enrolBegin))
	mux.HandleFunc("POST /challenge/{ref}/enrol/finish", h.ceremony(h.enrolFinish))
	mux.HandleFunc("POST /challenge/{ref}/deny", h.ceremony(h.deny))
	mux.HandleFunc("/challenge/", func(w http.ResponseWriter, r *http.Request) {
		h.note(w, r, http.StatusNotFound, "gone", nil)
	})
	return h.protect(mux), nil
}

// headers are on every answer (UX requirements 35 and 36).
func headers(ancestors []string) map[string]string {
	frame := "'none'"
	if len(ancestors) > 0 {
		frame = strings.Join(ancestors, " ")
	}
	return map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
			"img-src 'self' data:; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; frame-ancestors " + frame,
		"Permissions-Policy":     "publickey-credentials-get=(self), publickey-credentials-create=(self)",
		"Cache-Control":          "no-store",
		"Referrer-Policy":        "no-referrer",
		"X-Content-Type-Options": "nosniff",
		"X-Robots-Tag":           "noindex, nofollow",
	}
}

func (h *handler) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range h.headers {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// serveAsset serves an embedded file under a name made of its content, so that
// it can be kept for ever, and returns its address.
func serveAsset(mux *http.ServeMux, file, contentType string) (string, error) {
	body, err := files.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("challenge page: %w", err)
	}
	sum := sha256.Sum256(body)
	base, extension, _ := strings.Cut(file, ".")
	address := "/challenge/assets/" + base + "-" + hex.EncodeToString(sum[:6]) + "." + extension
	mux.HandleFunc("GET "+address, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	return address, nil
}

// open swaps the link's token for a cookie and goes to the page, whose address
// holds no secret. Only a person's own visit uses the link up, not a browser that
// fetches ahead.
func (h *handler) open(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	grant, token, err := h.rp.Open(r.Context(), r.URL.Query().Get("c"))
	if err == nil {
		ref := refOf(grant.Action)
		h.setCookie(w, ref, token)
		http.Redirect(w, r, pagePath(ref, r.URL.Query().Get("mode")), http.StatusSeeOther)
		return
	}
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) {
		h.fault(w, r, err)
		return
	}
	switch refused.Reason {
	case ceremonies.ReasonLinkUsed:
		// Whoever opened it before has the cookie, which only the page's own
		// address gets to see. Everybody else learns there that it is used.
		http.Redirect(w, r, pagePath(refOf(grant.Action), r.URL.Query().Get("mode")), http.StatusSeeOther)
	case ceremonies.ReasonTokenExpired:
		h.note(w, r, http.StatusGone, "expired", h.known(r, grant))
	default:
		h.note(w, r, http.StatusNotFound, "gone", nil)
	}
}

// pagePath is where a reference's page is. The mode that SDKs append goes with
// it, and nothing else of the address does.
func pagePath(ref, mode string) string {
	path := "/challenge/" + ref
	if mode == "popup" || mode == "window" {
		path += "?mode=" + mode
	}
	return path
}

// refOf names an action in addresses and cookie paths: 96 bits of a hash, so
// that two tabs with two actions have two cookies and no id is shown.
func refOf(id events.ActionID) string {
	h := sha256.New()
	for _, part := range []string{string(id.User), id.Code, id.Key} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// cookieName carries the browser's promise, where it can, that the cookie was
// set over TLS.
func (h *handler) cookieName() string {
	if h.secure {
		return "__Secure-sallyport"
	}
	return "sallyport"
}

// setCookie keeps a token for one page. Lax, because the person comes from the
// application's site.
func (h *handler) setCookie(w http.ResponseWriter, ref, token string) {
	http.SetCookie(w, &http.Cookie{
		Name: h.cookieName(), Value: token, Path: "/challenge/" + ref, MaxAge: int(cookieLife / time.Second),
		HttpOnly: true, Secure: h.secure, SameSite: http.SameSiteLaxMode,
	})
}

// errNoCookie: the browser has never opened this page's link.
var errNoCookie = errors.New("there is no cookie for this page")

// authorize reads the page's cookie. With a RefusedError of ReasonTokenExpired
// the grant comes back too.
func (h *handler) authorize(r *http.Request, ref string, uses ...ceremonies.Use) (ceremonies.Grant, error) {
	cookie, err := r.Cookie(h.cookieName())
	if err != nil {
		return ceremonies.Grant{}, errNoCookie
	}
	if len(uses) == 0 {
		uses = []ceremonies.Use{ceremonies.UsePage, ceremonies.UseResult}
	}
	grant, err := h.rp.Authorize(r.Context(), cookie.Value, uses...)
	if grant.Action.User != "" && refOf(grant.Action) != ref {
		return ceremonies.Grant{}, errNoCookie
	}
	return grant, err
}
