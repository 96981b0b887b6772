package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

const (
	publicURL   = "http://localhost:8080"
	shopOrigin  = "https://shop.example"
	secret      = "sp_the-server-secret"
	oldSecret   = "sp_the-one-before"
	managerWord = "spm_the-management-secret"
	tenant      = "acme corp" // with a space, so that percent-encoding shows
)

const testRules = `
fields:
  - {name: amount, type: number}
actions:
  - code: payment
    prompt: Pay {amount}
    rules:
      - {id: huge, name: Huge payment, when: custom.amount > 10000, outcome: BLOCK}
      - {id: shadow, name: Only watched, when: custom.amount > 1, outcome: BLOCK, mode: shadow}
      - {id: odd, name: Odd payment, when: custom.amount == 13, outcome: REVIEW}
      - {id: large, name: Large payment, when: custom.amount > 100, outcome: CHALLENGE}
  - code: add-passkey
    rules: []
otherwise: {code: otherwise, rules: []}
`

// methodRules are those of the tests of methods and sign-ins.
const methodRules = `
fields:
  - {name: amount, type: number}
actions:
  - code: payment
    prompt: Pay {amount}
    rules:
      - {id: large, name: Large payment, when: custom.amount > 100, outcome: CHALLENGE}
  - code: first-payment
    prompt: Pay {amount}
    unenrolled: enrol
    rules:
      - {id: first, name: Any, when: custom.amount > 1, outcome: CHALLENGE}
  - code: enter
    rules:
      - {id: gone, name: Left the company, when: user.email == "gone@acme.example", outcome: BLOCK}
  - code: transfer
    rules:
      - {id: strong, name: Passkeys alone, when: custom.amount > 100, outcome: CHALLENGE, methods: [PASSKEY]}
otherwise: {code: otherwise, rules: []}
`

// startMethods starts a server with the rules above.
func startMethods(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	definition, err := rules.ParseYAML([]byte(methodRules))
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, ruleset.Config{First: definition}, change...)
}

// world is a whole server with its real parts: SQLite, engine, relying party.
type world struct {
	t     testing.TB
	url   string
	serve http.Handler // the same without a network
	store *store.Store
	party *ceremonies.RelyingParty
	rules *ruleset.Keeper
	desk  *operators.Desk
	mail  *ceremonytest.Mailbox

	mu   sync.Mutex
	now  time.Time
	log  bytes.Buffer
	seen events.Position
}

// start starts a server; change may adjust its configuration.
func start(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	return startWith(t, ruleset.Config{}, change...)
}

// startWith starts a server whose rule sets are kept in a certain way.
func startWith(t testing.TB, keep ruleset.Config, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, now: time.Now().UTC(), mail: &ceremonytest.Mailbox{}}
	ctx := context.Background()
	var err error
	must := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.store, err = store.Open(ctx, store.Config{Dir: t.TempDir(), Now: w.clock})
	must()
	t.Cleanup(func() { w.store.Close() })
	definition := keep.First
	if len(definition.Actions) == 0 {
		definition, err = rules.ParseYAML([]byte(testRules))
		must()
	}
	logger := slog.New(slog.NewJSONHandler(&lockedWriter{w: w}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.rules, err = ruleset.Open(ctx, w.store, ruleset.Config{First: definition, Approval: keep.Approval, Log: logger, Now: w.clock})
	must()
	source, err := signals.Open(signals.Config{})
	must()
	t.Cleanup(func() { source.Close() })
	decide, err := engine.New(engine.Config{Recorder: w.store, Signals: []engine.Signals{source}, Rules: w.rules.Current, EnrolByEmail: true, Now: w.clock})
	must()
	tokens, err := ceremonies.NewTokens(ceremonies.TokenConfig{
		Tenant: tenant, Keys: []ceremonies.Key{{ID: "k1", Secret: bytes.Repeat([]byte("k"), 32)}}, Now: w.clock,
	})
	must()
	w.party, err = ceremonies.New(ceremonies.Config{
		ID: "localhost", Name: "Acme", Origins: []string{publicURL, shopOrigin}, Key: []byte(strings.Repeat("k", 32)), Tenant: tenant, Mailer: w.mail, Now: w.clock,
	}, w.store, tokens)
	must()
	w.desk, err = operators.New(operators.Config{RPID: "localhost", Origins: []string{publicURL}, Now: w.clock}, w.store)
	must()
	config := api.Config{
		PublicURL: publicURL, Origins: []string{shopOrigin}, RPID: "localhost", Name: "Acme", Tenant: tenant,
		Secrets: []string{secret, oldSecret}, ManagementHash: sha256.Sum256([]byte(managerWord)),
		Version: "test", Log: logger, Now: w.clock,
		Engine: decide, Party: w.party, Tokens: tokens, Rules: w.rules, Operators: w.desk,
		Store: w.store, LogReader: w.store,
	}
	for _, c := range change {
		c(&config)
	}
	server, err := api.New(config)
	must()
	w.serve = server.Handler()
	listening := httptest.NewServer(w.serve)
	t.Cleanup(listening.Close)
	w.url = listening.URL
	w.newEvents() // the rule set's
	return w
}

type lockedWriter struct{ w *world }

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(p)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// logged is what the server logged so far.
func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// newEvents are the events written since the last call.
func (w *world) newEvents() []events.Event {
	w.t.Helper()
	list, err := w.store.EventsAfter(context.Background(), w.seen, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list) > 0 {
		w.seen = list[len(list)-1].Position
	}
	return list
}

// wantEvents compares the kinds of the events since the last call.
func (w *world) wantEvents(kinds ...events.Kind) []events.Event {
	w.t.Helper()
	list := w.newEvents()
	got := make([]events.Kind, len(list))
	for i, e := range list {
		got[i] = e.Kind
	}
	if !slices.Equal(got, kinds) {
		w.t.Errorf("events: got %v, want %v", got, kinds)
	}
	return list
}

// answer is what the server said.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	text   string
	json   map[string]any // nil unless the body is an object
}

// get reads a value by its path, such as "options.rp.id" or "problems.0.line".
func (a answer) get(path string) any {
	var v any = map[string]any(a.json)
	for part := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) str(path string) string {
	s, _ := a.get(path).(string)
	return s
}

// list reads the body as an array.
func (a answer) list() []map[string]any {
	a.t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(a.text), &list); err != nil {
		a.t.Fatalf("no array: %v in %s", err, a.text)
	}
	return list
}

// ok fails the test unless the answer is a success.
func (a answer) ok() answer {
	a.t.Helper()
	if a.status != http.StatusOK {
		a.t.Fatalf("status %d: %s", a.status, a.text)
	}
	return a
}

// refused checks that the answer is an error of the wire protocol.
func (a answer) refused(status int, code string) answer {
	a.t.Helper()
	if a.status != status || a.str("error") != code || a.str("errorCode") != code {
		a.t.Errorf("got %d %s, want %d %s", a.status, a.text, status, code)
	}
	if len(a.str("errorDescription")) < 10 || a.str("requestId") == "" || a.str("requestId") != a.header.Get("X-Request-Id") {
		a.t.Errorf("an error needs a sentence and a request id: %s", a.text)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		a.t.Errorf("content type %q", got)
	}
	return a
}

// request is one call; body is sent as it is when it is a string and as JSON
// otherwise.
type request struct {
	method, path string
	auth         string
	body         any
	header       http.Header
}

func (w *world) do(r request) answer {
	w.t.Helper()
	var body io.Reader
	switch b := r.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(r.method, w.url+r.path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.auth != "" {
		req.Header.Set("Authorization", r.auth)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{t: w.t, status: response.StatusCode, header: response.Header, text: string(text)}
	json.Unmarshal(text, &a.json) // arrays and pages leave it nil
	return a
}

func basic(user string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"))
}

// call is a call of a backend.
func (w *world) call(method, path string, body any) answer {
	w.t.Helper()
	return w.do(request{method: method, path: path, auth: basic(secret), body: body})
}

// client is a call of a client SDK with a token.
func (w *world) client(method, path, token string, body any) answer {
	w.t.Helper()
	return w.do(request{method: method, path: "/v1/client" + path, auth: "Bearer " + token, body: body})
}

type object = map[string]any

// track tracks a payment and returns the answer.
func (w *world) track(user, key string, amount float64) answer {
	w.t.Helper()
	return w.call("POST", "/v1/users/"+user+"/actions/payment", object{"idempotencyKey": key, "custom": object{"amount": amount}}).ok()
}

// device is a person's device with passkeys.
type device struct {
	authenticator virtualwebauthn.Authenticator
	credential    virtualwebauthn.Credential
	origin        string
}

func newDevice() *device {
	return &device{
		authenticator: virtualwebauthn.NewAuthenticator(),
		credential:    ceremonytest.NewCredential(),
		origin:        publicURL,
	}
}

func (d *device) party() virtualwebauthn.RelyingParty {
	return virtualwebauthn.RelyingParty{ID: "localhost", Name: "Acme", Origin: d.origin}
}

// create answers creation options.
func (d *device) create(t testing.TB, options any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(text))
	if err != nil {
		t.Fatalf("options %s: %v", text, err)
	}
	d.authenticator.Options.UserHandle = []byte(parsed.UserID)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(d.party(), d.authenticator, d.credential, *parsed))
}

// sign answers request options.
func (d *device) sign(t testing.TB, options any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(text))
	if err != nil {
		t.Fatalf("options %s: %v", text, err)
	}
	d.credential.Counter++
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(d.party(), d.authenticator, d.credential, *parsed))
}

// enrol gives a person a passkey through the client API.
func (w *world) enrol(user string) *device {
	w.t.Helper()
	token := w.track(user, "enrolment of "+user, 1).str("token")
	options := w.client("POST", "/user-authenticators/passkey/registration-options", token, object{"username": user + "@acme.example"}).ok()
	d := newDevice()
	w.client("POST", "/user-authenticators/passkey", token, object{
		"registrationCredential": d.create(w.t, options.get("options")), "challengeId": options.str("challengeId"),
	}).ok()
	return d
}

// prove answers the challenge of a token's action.
func (w *world) prove(d *device, token string) answer {
	w.t.Helper()
	options := w.client("POST", "/user-authenticators/passkey/authentication-options", token, object{}).ok()
	return w.client("POST", "/verify/passkey", token, object{
		"authenticationCredential": d.sign(w.t, options.get("options")), "challengeId": options.str("challengeId"), "deviceId": "device-1",
	})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
