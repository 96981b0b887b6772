package pages

import (
	"bytes"
	"cmp"
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
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

//go:embed *.html *.css *.js
var files embed.FS

// Store is what the page reads to know what to show. internal/store implements it.
type Store interface {
	Account(ctx context.Context, user events.UserID) (ceremonies.Account, error)
	Action(ctx context.Context, id events.ActionID) (ceremonies.Action, error)
}

// Config describes the pages. RelyingParty, Store and Brand are required.
type Config struct {
	RelyingParty *ceremonies.RelyingParty
	Store        Store
	// Brand is the application's name, as its people know it.
	Brand string
	// Logo stands beside the name. Nil shows the name's first letter.
	Logo *Logo
	// Accent is the colour of the main button, such as "#0a5c4d". "" means
	// DefaultAccent. What is written on it is chosen so that it can be read, and a
	// lighter one is computed for the dark.
	Accent string
	// Texts are own words, by language and key. A language or key that the pages do
	// not have is an error.
	Texts map[string]map[string]string
	// FrameAncestors are the origins that may put the page into a frame. Empty
	// means nobody. The relying party must know them as its top origins.
	FrameAncestors []string
	// LaunchOrigins are the origins of pages that open this one in a frame or a
	// window and are told how it went. Those of FrameAncestors are told as well.
	LaunchOrigins []string
	// Secure says that people reach the page over TLS; its cookies then travel
	// over nothing else.
	Secure bool
	// Limit is asked before each ceremony that a person begins; an error refuses it
	// for now. Nil means no limit.
	Limit func(events.UserID) error
	// Address is the person's address, for the limits of guessing. Nil means that it
	// is not known.
	Address func(*http.Request) netip.Addr
	// PromptEvery is how long "Not now" holds before a passkey is offered again after
	// a proof by another way. 0 means DefaultPromptEvery.
	PromptEvery time.Duration
	// Log takes the faults that people only see as "something went wrong". Nil
	// means slog.Default.
	Log *slog.Logger
}

// Lengths and lives.
const (
	// DefaultPromptEvery is how long "Not now" holds.
	DefaultPromptEvery = 7 * 24 * time.Hour
	// cookieLife is longer than a page token lives, so that a person who comes
	// back late still hears what has happened.
	cookieLife = time.Hour
	// maxUserAgent is how much of a user agent is kept, in bytes.
	maxUserAgent = 1 << 10
	// resendAfter is how long the page waits before it offers to send another code,
	// in seconds. The relying party has limits of its own.
	resendAfter = 30
)

type handler struct {
	rp          *ceremonies.RelyingParty
	store       Store
	brand       string
	secure      bool
	framed      bool // somebody may put the page into a frame
	limit       func(events.UserID) error
	address     func(*http.Request) netip.Addr
	promptEvery time.Duration
	launch      []string // origins that are told how it went
	log         *slog.Logger
	headers     map[string]string
	template    *template.Template
	css, logo   string   // addresses; logo is "" when there is none
	js          []string // addresses of the modules, the first one is the page's
	languages   map[string]language
}

// New makes the handler for /challenge and everything below it.
func New(config Config) (http.Handler, error) {
	if config.RelyingParty == nil || config.Store == nil || config.Brand == "" {
		return nil, errors.New("challenge page: it needs a relying party, a store and a brand")
	}
	h := &handler{
		rp: config.RelyingParty, store: config.Store, brand: config.Brand, secure: config.Secure, limit: config.Limit,
		framed: len(config.FrameAncestors) > 0, address: config.Address, log: config.Log, headers: headers(config.FrameAncestors),
		promptEvery: cmp.Or(config.PromptEvery, DefaultPromptEvery), launch: exact(slices.Concat(config.LaunchOrigins, config.FrameAncestors)),
	}
	if h.limit == nil {
		h.limit = func(events.UserID) error { return nil }
	}
	if h.address == nil {
		h.address = func(*http.Request) netip.Addr { return netip.Addr{} }
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	accent, colourErr := parseColour(cmp.Or(config.Accent, DefaultAccent))
	var textErr error
	h.languages, textErr = languages(config.Texts)
	var promptErr error
	if config.PromptEvery < 0 {
		promptErr = errors.New("the time that “Not now” holds is negative")
	}
	if err := errors.Join(colourErr, textErr, promptErr, config.Logo.check()); err != nil {
		return nil, fmt.Errorf("challenge page: %w", err)
	}
	mux := http.NewServeMux()
	if err := h.serveAssets(mux, config.Logo, accent); err != nil {
		return nil, err
	}
	var err error
	if h.template, err = template.ParseFS(files, "*.html"); err != nil {
		return nil, fmt.Errorf("challenge page: %w", err)
	}

	mux.HandleFunc("GET /challenge", h.open)
	mux.HandleFunc("GET /challenge/assets/icon/{aaguid}/{shade}", h.icon)
	mux.HandleFunc("GET /challenge/{ref}", h.page)
	mux.HandleFunc("GET /challenge/{ref}/back", h.back)
	mux.HandleFunc("GET /challenge/{ref}/change/{what}", h.changePage)
	for path, answer := range map[string]endpoint{
		"begin": h.begin, "finish": h.finish, "code/send": h.codeSend, "code/finish": h.codeFinish,
		"enrol/begin": h.enrolBegin, "enrol/finish": h.enrolFinish, "app/begin": h.appBegin, "app/finish": h.appFinish,
		"email/begin": h.emailBegin, "email/finish": h.emailFinish, "rename": h.rename, "prefer": h.prefer,
		"later": h.later, "report": h.report, "deny": h.deny,
	} {
		mux.HandleFunc("POST /challenge/{ref}/"+path, h.ceremony(answer, ceremonies.UsePage))
	}
	mux.HandleFunc("POST /challenge/{ref}/result", h.ceremony(h.result, ceremonies.UsePage, ceremonies.UseResult))
	mux.HandleFunc("/challenge/", func(w http.ResponseWriter, r *http.Request) {
		h.note(w, r, http.StatusNotFound, "gone", nil)
	})
	return h.protect(mux), nil
}

// exact are the entries that are one origin each, which a message can be sent to.
// A frame-ancestors list may hold patterns.
func exact(origins []string) []string {
	var found []string
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && !strings.Contains(u.Host, "*") &&
			origin == u.Scheme+"://"+u.Host && !slices.Contains(found, origin) {
			found = append(found, origin)
		}
	}
	return found
}

// headers are on every answer (UX requirements 35 and 36). The permissions policy
// speaks of this page itself: a page that frames it has to delegate with the
// frame's allow attribute as well.
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

// serveAssets serves the style sheet with the accent's part, the modules of the
// script and the logo.
func (h *handler) serveAssets(mux *http.ServeMux, logo *Logo, accent colour) error {
	css, err := files.ReadFile("page.css")
	if err != nil {
		return fmt.Errorf("challenge page: %w", err)
	}
	h.css = serveAsset(mux, "page", "css", "text/css; charset=utf-8", slim(string(css)+accentRules(accent)))
	if logo != nil {
		h.logo = serveAsset(mux, "logo", logo.extension(), logo.Type, logo.Data)
	}
	// Modules name each other by file; a module comes after those that it names.
	address := map[string]string{}
	for _, name := range []string{"webauthn", "launch", "core", "proof", "adding", "account", "page"} {
		js, err := files.ReadFile(name + ".js")
		if err != nil {
			return fmt.Errorf("challenge page: %w", err)
		}
		text := string(js)
		for other, at := range address {
			text = strings.ReplaceAll(text, `"./`+other+`.js"`, `"`+at+`"`)
		}
		address[name] = serveAsset(mux, name, "js", "text/javascript; charset=utf-8", slim(text))
		h.js = append([]string{address[name]}, h.js...)
	}
	return nil
}

// slim takes the indents and the lines that only comment out of a script or a
// style sheet. People on a bad line need neither.
func slim(text string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "//") && !(strings.HasPrefix(line, "/*") && strings.HasSuffix(line, "*/")) {
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// imagePolicy is for SVG files, which are pages of their own to who opens their
// address.
const imagePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

// serveAsset serves a file under a name made of its content, so that it can be
// kept for ever, and returns its address.
func serveAsset(mux *http.ServeMux, name, extension, contentType string, body []byte) string {
	sum := sha256.Sum256(body)
	address := "/challenge/assets/" + name + "-" + hex.EncodeToString(sum[:6]) + "." + extension
	mux.HandleFunc("GET "+address, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		if extension == "svg" {
			w.Header().Set("Content-Security-Policy", imagePolicy)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	return address
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
		h.setCookie(w, r, ref, token)
		http.Redirect(w, r, "/challenge/"+ref+query(r), http.StatusSeeOther)
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
		http.Redirect(w, r, "/challenge/"+refOf(grant.Action)+query(r), http.StatusSeeOther)
	case ceremonies.ReasonTokenExpired:
		h.note(w, r, http.StatusGone, "expired", h.known(r, grant))
	default:
		h.note(w, r, http.StatusNotFound, "gone", nil)
	}
}

// The ways in which an application launches the page beside a plain redirect.
const (
	modePopup  = "popup"  // in a frame
	modeWindow = "window" // in a window of its own
)

// mode is how the page was launched, "" for a redirect.
func mode(r *http.Request) string {
	if m := r.URL.Query().Get("mode"); m == modePopup || m == modeWindow {
		return m
	}
	return ""
}

// query is what goes with a person from page to page: the mode, and nothing else
// of an address.
func query(r *http.Request) string {
	if m := mode(r); m != "" {
		return "?mode=" + m
	}
	return ""
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
// application's site. In a frame of another site only a cookie of that frame alone
// comes back (CHIPS).
func (h *handler) setCookie(w http.ResponseWriter, r *http.Request, ref, token string) {
	cookie := &http.Cookie{
		Name: h.cookieName(), Value: token, Path: "/challenge/" + ref, MaxAge: int(cookieLife / time.Second),
		HttpOnly: true, Secure: h.secure, SameSite: http.SameSiteLaxMode,
	}
	if h.secure && h.framed && (mode(r) == modePopup || r.Header.Get("Sec-Fetch-Dest") == "iframe") {
		cookie.SameSite, cookie.Partitioned = http.SameSiteNoneMode, true
	}
	http.SetCookie(w, cookie)
}

// errNoCookie: the browser has never opened this page's link.
var errNoCookie = errors.New("there is no cookie for this page")

// authorize reads the page's cookie. With a RefusedError of ReasonTokenExpired
// the grant comes back too.
func (h *handler) authorize(r *http.Request, uses ...ceremonies.Use) (ceremonies.Grant, error) {
	cookie, err := r.Cookie(h.cookieName())
	if err != nil {
		return ceremonies.Grant{}, errNoCookie
	}
	grant, err := h.rp.Authorize(r.Context(), cookie.Value, uses...)
	if grant.Action.User != "" && refOf(grant.Action) != r.PathValue("ref") {
		return ceremonies.Grant{}, errNoCookie
	}
	return grant, err
}
