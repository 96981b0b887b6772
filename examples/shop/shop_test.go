package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	shop "github.com/sallyport/sallyport/examples/shop"
	"github.com/sallyport/sallyport/internal/bench/process"
)

const secret = "the-server-secret-of-the-shop-tests"

// start runs the shop beside a real Sallyport and returns the addresses of both.
func start(t *testing.T) (shopURL, sallyportURL string) {
	t.Helper()
	var handler http.Handler // known once Sallyport's address is
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)

	folder := t.TempDir()
	binary := filepath.Join(folder, "sallyport")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/sallyport").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p, err := process.Start(append(os.Environ(),
		"SALLYPORT_LISTEN=127.0.0.1:0", "SALLYPORT_DATA="+filepath.Join(folder, "data"), "SALLYPORT_CLICKHOUSE=off",
		"SALLYPORT_PUBLIC_URL=", "SALLYPORT_SECRET="+secret, "SALLYPORT_ORIGINS="+server.URL,
	), binary, "serve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	found, err := p.Find(ctx, regexp.MustCompile(`Server +(http://localhost:\d+)`))
	if err != nil {
		t.Fatal(err)
	}
	handler = shop.NewShop(server.URL, found[1], secret).Handler()
	return server.URL, found[1]
}

// browser is a person's browser with a passkey in it.
type browser struct {
	t      *testing.T
	http   http.Client
	device *ceremonytest.Device
	shop   string
	page   string // what it shows
	at     *url.URL
}

func newBrowser(t *testing.T, shopURL, sallyportURL string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	device := ceremonytest.NewDevice(ceremonytest.Synced)
	device.Party.ID, device.Party.Origin = "localhost", sallyportURL
	return &browser{t: t, http: http.Client{Jar: jar}, device: device, shop: shopURL}
}

func (b *browser) show(response *http.Response, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.page, b.at = string(page), response.Request.URL
}

func (b *browser) get(address string) { b.t.Helper(); b.show(b.http.Get(address)) }

func (b *browser) post(path string, form url.Values) {
	b.t.Helper()
	b.show(b.http.PostForm(b.shop+path, form))
}

func (b *browser) pay(amount string) {
	b.t.Helper()
	b.post("/pay", url.Values{"payee": {"Maria Keller"}, "amount": {amount}})
}

func (b *browser) shows(want string) {
	b.t.Helper()
	if !strings.Contains(b.page, want) {
		b.t.Fatalf("%s does not show %q:\n%s", b.at, want, b.page)
	}
}

// ask does what the hosted page's script does.
func (b *browser) ask(step string, question, reply any) {
	b.t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		b.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.at.String()+step, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Origin", b.device.Party.Origin)
	response, err := b.http.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s answered %s: %s (%v)", step, response.Status, text, err)
	}
	if err := json.Unmarshal(text, reply); err != nil {
		b.t.Fatalf("%s answered %s: %v", step, text, err)
	}
}

// enrol makes a passkey on the hosted page and goes back to the shop.
func (b *browser) enrol() {
	b.t.Helper()
	var begun struct {
		Challenge string
		Options   ceremonies.CreationOptions
	}
	b.ask("/enrol/begin", struct{}{}, &begun)
	answer := b.device.Register(b.t, begun.Options)
	b.device.Authenticator.AddCredential(b.device.Credential)
	b.ask("/enrol/finish", map[string]any{"challenge": begun.Challenge, "response": json.RawMessage(answer)}, new(any))
	b.get(b.at.String() + "/back")
}

// prove uses the passkey on the hosted page, without going back.
func (b *browser) prove() {
	b.t.Helper()
	var begun struct {
		Challenge string
		Options   ceremonies.RequestOptions
	}
	b.ask("/begin", struct{}{}, &begun)
	answer := b.device.Answer(b.t, begun.Options)
	b.ask("/finish", map[string]any{"challenge": begun.Challenge, "response": json.RawMessage(answer)}, new(any))
}

// order is the id of the newest order in the person's list.
func (b *browser) order() string {
	b.t.Helper()
	b.get(b.shop + "/")
	found := regexp.MustCompile(`/orders/(order-[a-z0-9]+)`).FindStringSubmatch(b.page)
	if found == nil {
		b.t.Fatalf("no order is listed:\n%s", b.page)
	}
	return found[1]
}

func TestShop(t *testing.T) {
	shopURL, sallyportURL := start(t)

	t.Run("asks who is there", func(t *testing.T) {
		b := newBrowser(t, shopURL, sallyportURL)
		b.get(shopURL + "/settings")
		b.shows("Sign in")
		b.post("/sign-in", url.Values{"email": {"nobody"}})
		b.shows("not an e-mail address")
	})

	b := newBrowser(t, shopURL, sallyportURL)
	b.post("/sign-in", url.Values{"email": {"Jane@Example.com"}})
	b.shows("New payment")

	t.Run("refuses a form that makes no sense", func(t *testing.T) {
		for _, amount := range []string{"", "-5", "0", "NaN", "1e9", "five"} {
			b.pay(amount)
			b.shows("Please check the form")
		}
	})
	t.Run("pays what is allowed", func(t *testing.T) {
		b.pay("25")
		b.shows(`data-state="paid"`)
		b.shows("needed no confirmation")
	})
	t.Run("declines what is blocked", func(t *testing.T) {
		b.pay("20000")
		b.shows(`data-state="declined"`)
		b.shows("€20,000.00")
	})
	t.Run("holds what is in review until a person approves it", func(t *testing.T) {
		b.pay("6000")
		b.shows(`data-state="review"`)
		approve(t, sallyportURL, userOf(t, sallyportURL, "jane@example.com"), b.order())
		b.get(shopURL + "/orders/" + b.order())
		b.shows(`data-state="paid"`)
	})
	t.Run("adds a passkey on the hosted page", func(t *testing.T) {
		b.get(shopURL + "/settings")
		b.shows("You have no passkey yet")
		b.post("/settings/passkeys", nil)
		b.enrol()
		b.shows("not used yet")
	})

	var proven string // the redirect of a proven payment
	t.Run("pays once, after the passkey", func(t *testing.T) {
		b.pay("250")
		b.shows("Pay 250 EUR to Maria Keller")
		challenge := b.at.String()
		order := b.order()
		b.get(shopURL + "/orders/" + order)
		b.shows(`data-state="waiting"`)

		b.get(challenge)
		b.prove()
		b.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Query().Has("token") {
				proven = r.URL.String()
			}
			return nil
		}
		b.get(b.at.String() + "/back")
		b.shows(`data-state="paid"`)
		b.shows("confirmed this payment")
		if strings.Contains(b.at.String(), "token") {
			t.Errorf("the token stays in the address %s", b.at)
		}
		b.get(proven) // a second return changes nothing
		b.shows(`data-state="paid"`)
	})
	t.Run("does not take one order's token for another", func(t *testing.T) {
		b.pay("4000")
		order := b.order()
		stolen, err := url.Parse(proven)
		if err != nil {
			t.Fatal(err)
		}
		b.get(shopURL + "/orders/" + order + "/return?" + stolen.RawQuery)
		b.shows(`data-state="waiting"`)
		b.get(shopURL + "/orders/" + order + "/return?token=nonsense")
		b.shows(`data-state="waiting"`)
		b.post("/orders/"+order+"/continue", nil)
		b.shows("Pay 4000 EUR to Maria Keller")
	})
	t.Run("shows an order to its owner only", func(t *testing.T) {
		order := b.order()
		other := newBrowser(t, shopURL, sallyportURL)
		other.post("/sign-in", url.Values{"email": {"mallory@example.com"}})
		other.get(shopURL + "/orders/" + order)
		other.shows("404")
	})
}

func TestNothingIsPaidWithoutAnAnswer(t *testing.T) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	handler = shop.NewShop(server.URL, "http://localhost:1", secret).Handler()
	b := newBrowser(t, server.URL, "")
	b.post("/sign-in", url.Values{"email": {"jane@example.com"}})
	b.pay("5")
	b.shows("nothing was paid")
	b.get(server.URL + "/orders/" + b.order())
	b.shows(`data-state="waiting"`)
}

// userOf finds the opaque id under which the shop reports a person.
func userOf(t *testing.T, sallyportURL, email string) string {
	t.Helper()
	var answer struct{ Users []struct{ UserID string } }
	call(t, http.MethodGet, sallyportURL+"/v1/users?email="+url.QueryEscape(email), "", &answer)
	if len(answer.Users) != 1 || strings.Contains(answer.Users[0].UserID, "jane") {
		t.Fatalf("users with %s: %+v", email, answer)
	}
	return answer.Users[0].UserID
}

func approve(t *testing.T, sallyportURL, user, order string) {
	t.Helper()
	call(t, http.MethodPatch, fmt.Sprintf("%s/v1/users/%s/actions/payment/%s", sallyportURL, user, order), `{"state":"REVIEW_SUCCEEDED"}`, new(any))
}

func call(t *testing.T, method, address, body string, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(secret, "")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %s: %s (%v)", address, response.Status, text, err)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatal(err)
	}
}
