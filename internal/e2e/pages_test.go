package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// stage serves the hosted pages over a world whose clock and mails a script can
// reach, so that every situation can be made.
type stage struct {
	*ceremonytest.World
	url    string // http://localhost:PORT
	other  string // the same pages at another port: an origin that the relying party does not know
	firsts int    // actions so far whose person was to enrol first
	app    string // the application's own pages, of another origin as well
}

// newStage opens a stage. The changes apply to the pages' configuration.
func newStage(t *testing.T, framed bool, changes ...func(*pages.Config)) *stage {
	t.Helper()
	listeners := make([]net.Listener, 3)
	addresses := make([]string, len(listeners))
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		addresses[i] = fmt.Sprintf("http://localhost:%d", listeners[i].Addr().(*net.TCPAddr).Port)
	}
	s := &stage{url: addresses[0], other: addresses[1], app: addresses[2]}
	s.World = ceremonytest.New(t, func(c *ceremonies.Config) {
		c.ID, c.Name, c.Origins, c.Tries = "localhost", "Corner Shop", []string{s.url}, 4
		if framed {
			c.TopOrigins = []string{addresses[2]}
		}
	})
	config := pages.Config{RelyingParty: s.RP, Store: s.Store, Brand: "Corner Shop"}
	if framed {
		config.FrameAncestors = []string{addresses[2]}
	}
	for _, change := range changes {
		change(&config)
	}
	handler, err := pages.New(config)
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.Handle("/challenge", handler)
	routes.Handle("/challenge/", handler)
	routes.HandleFunc("GET /shop", func(w http.ResponseWriter, _ *http.Request) {
		document(w, `<title>Shop</title><h1>Back at the shop</h1>`)
	})
	routes.HandleFunc("POST /test/track", s.serveTrack)
	routes.HandleFunc("POST /test/move", func(w http.ResponseWriter, r *http.Request) {
		var wanted struct{ Seconds int }
		read(r, &wanted)
		s.Clock.Move(time.Duration(wanted.Seconds) * time.Second)
		write(w, map[string]int64{"now": s.Clock.Now().Unix()})
	})
	routes.HandleFunc("POST /test/code", func(w http.ResponseWriter, _ *http.Request) { write(w, map[string]string{"code": s.Mail.Code()}) })
	routes.HandleFunc("POST /test/account", func(w http.ResponseWriter, r *http.Request) { write(w, s.account(r)) })
	routes.HandleFunc("POST /test/remove", func(w http.ResponseWriter, r *http.Request) {
		var wanted struct{ User events.UserID }
		read(r, &wanted)
		s.Remove(wanted.User)
		write(w, nil)
	})
	routes.HandleFunc("POST /test/app", func(w http.ResponseWriter, r *http.Request) { // taken over from another system
		var wanted struct{ User events.UserID }
		read(r, &wanted)
		const uri = "otpauth://totp/Shop:anna?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Shop"
		added, err := s.RP.ImportApp(wanted.User, "IMPORTEDAPPIMPORTEDAPP1234", uri)
		if err == nil {
			added.ID, added.User, added.CreatedAt = "IMPORTEDAPPIMPORTEDAPP1234", wanted.User, s.Clock.Now()
			err = s.Store.AddAuthenticator(r.Context(), added, events.ByApplication)
		}
		if err != nil {
			s.Error(err)
		}
		s.Clock.Move(time.Second)
		write(w, nil)
	})
	routes.HandleFunc("POST /test/last", func(w http.ResponseWriter, r *http.Request) {
		var id events.ActionID
		read(r, &id)
		var last *events.Ceremony
		if len(s.Story(id)) > 1 {
			last = s.Last(id)
		}
		write(w, map[string]any{"state": s.State(id), "last": last})
	})
	// The application's own page, which launches ours.
	routes.HandleFunc("GET /launch", func(w http.ResponseWriter, r *http.Request) {
		allow := ""
		if r.URL.Query().Get("allow") != "" {
			allow = ` allow="publickey-credentials-get *; publickey-credentials-create *; clipboard-write"`
		}
		document(w, `<title>Application</title><h1>Application</h1><button id="open">Open</button>`+
			`<iframe title="Confirm"`+allow+` width="420" height="640"></iframe><script>
window.said = [];
addEventListener("message", (e) => said.push({ origin: e.origin, data: e.data }));
const link = `+"`"+html.EscapeString(r.URL.Query().Get("src"))+"`.replaceAll('&amp;','&')"+`;
document.getElementById("open").onclick = () => open(link + "&mode=window");
if (!location.search.includes("window=")) document.querySelector("iframe").src = link + "&mode=popup";
</script>`)
	})
	for _, listener := range listeners {
		server := &http.Server{Handler: routes, ReadHeaderTimeout: time.Second}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	return s
}

func document(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!doctype html><html lang="en"><link rel="icon" href="data:,">` + body))
}

func read(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		panic(http.ErrAbortHandler) // the script sees that nobody answers
	}
}

func write(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// serveTrack records an action and answers with its link and id.
func (s *stage) serveTrack(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		User                          events.UserID
		State                         events.ActionState
		Scope, Scopes, Locale, Prompt string
		Allowed                       []events.Method
		First, Nowhere                bool // to enrol first; without a way back
	}
	read(r, &wanted)
	change := func(rec *engine.Recording) {
		rec.Action.RedirectURL, rec.Action.Locale = s.url+"/shop", wanted.Locale
		if wanted.Nowhere {
			rec.Action.RedirectURL = ""
		}
		rec.Decision.Prompt = wanted.Prompt
		rec.Decision.Allowed = wanted.Allowed
	}
	var grant ceremonies.Grant
	if wanted.First {
		grant = s.trackFirst(wanted.User, change)
	} else {
		grant = s.Track(wanted.User, wanted.State, wanted.Scope, change)
	}
	grant.ID, grant.Use, grant.Scopes = "", ceremonies.UseLink, strings.TrimSpace(ceremonies.ScopeRead+" "+wanted.Scopes)
	token, err := s.Tokens.Sign(grant)
	if err != nil {
		s.Error(err)
		return
	}
	write(w, map[string]any{"link": s.url + "/challenge?c=" + token, "path": "/challenge?c=" + token, "id": grant.Action})
}

// trackFirst records an action of a person without anything, who is to enrol before
// they prove it.
func (s *stage) trackFirst(user events.UserID, change func(*engine.Recording)) ceremonies.Grant {
	s.firsts++
	id := events.ActionID{User: user, Code: "payment", Key: fmt.Sprintf("first-%d", s.firsts)}
	event, err := events.NewDraft(&events.ActionTracked{
		ActionID: id, State: events.StateChallengeRequired, Outcome: "CHALLENGE", Reason: string(engine.ByEnrolmentPolicy),
	}, nil, s.Clock.Now())
	recording := engine.Recording{
		Action: engine.Action{ActionID: id, Email: string(user) + "@example.com"},
		Decision: engine.Decision{
			ActionID: id, Outcome: rules.Challenge, State: events.StateChallengeRequired, Reason: engine.ByEnrolmentPolicy, PromptID: "payment@7",
		},
		Event: event,
	}
	change(&recording)
	if err == nil {
		_, err = s.Store.Record(context.Background(), recording)
	}
	if err != nil {
		s.Error(err)
	}
	return s.Grant(id, ceremonies.ScopeRead)
}

// account is what a script asks about a person.
func (s *stage) account(r *http.Request) any {
	var wanted struct{ User events.UserID }
	read(r, &wanted)
	account := s.Account(wanted.User)
	type authenticator struct {
		ID, Method, Name string
		Synced, BackedUp bool
		SignCount        uint32
	}
	var list []authenticator
	for _, a := range account.Authenticators {
		list = append(list, authenticator{string(a.ID), string(a.Method), a.Name, a.Synced, a.BackedUp, a.SignCount})
	}
	return map[string]any{"codes": account.Codes, "default": account.Default, "authenticators": list, "promptedAt": account.PromptedAt}
}

const testLogo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M4 14 16 4l12 10v14H4z" fill="#c2410c"/><path d="M13 28v-8h6v8" fill="#fff"/></svg>`

// TestHostedPages goes through the hosted pages in a browser: every way to prove,
// what goes wrong, the account page, frames and windows, and how it all looks.
func TestHostedPages(t *testing.T) {
	for name, script := range map[string]string{
		"challenge": "pages.mjs", "account": "pages-account.mjs", "looks 1": "pages-looks.mjs", "looks 2": "pages-looks.mjs",
	} {
		t.Run(name, func(t *testing.T) {
			part := 1
			if strings.HasSuffix(name, "2") {
				part = 2
			}
			plain := newStage(t, false)
			framed := newStage(t, true, func(c *pages.Config) {
				c.Brand, c.Accent = "Corner Shop & Söhne", "#c2410c"
				c.Logo = &pages.Logo{Type: "image/svg+xml", Data: []byte(testLogo)}
			})
			runScript(t, script, map[string]any{
				"url": plain.url, "other": plain.other, "chromium": chromium(t), "framed": framed.url, "launcher": framed.app, "part": part,
			})
		})
	}
}
