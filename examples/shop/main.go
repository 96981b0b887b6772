// Shop is a small web application that asks Sallyport before it moves money. It
// shows what an integration needs and nothing more: report the action, obey the
// answer, ask for the result from server to server, and pay exactly once.
//
// It keeps orders in memory and signs people in by e-mail address alone; a real
// shop does neither.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	secret := os.Getenv("SALLYPORT_SECRET")
	if secret == "" {
		return errors.New("set SALLYPORT_SECRET to the server secret; `sallyport secret show` prints it")
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("SHOP_LISTEN"), "127.0.0.1:3000"))
	if err != nil {
		return err
	}
	address := "http://localhost:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	shop := NewShop(address, cmp.Or(os.Getenv("SALLYPORT_URL"), "http://localhost:8080"), secret)
	server := &http.Server{Handler: shop.Handler(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	log.Printf("shop: listening on %s", address)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shop sells nothing and takes payments.
type Shop struct {
	address   string // where browsers reach the shop
	sallyport sallyport
	key       []byte // signs cookies and makes user ids
	pages     *template.Template

	mu     sync.Mutex
	orders []*Order
}

// Order is one payment that a person asked for. Its id is the idempotency key
// under which Sallyport knows the action.
type Order struct {
	ID     string
	User   string
	Payee  string
	Amount float64 // euros
	State  string  // one of the constants below
	Proven bool    // a passkey confirmed it
}

// The states of an order.
const (
	Waiting  = "waiting"  // for the person, or for an answer
	InReview = "review"   // a person at the shop decides
	Paid     = "paid"     // final
	Declined = "declined" // final
)

//go:embed shop.html
var pages string

// NewShop makes a shop that browsers reach at address and that asks the
// Sallyport at sallyportURL.
func NewShop(address, sallyportURL, secret string) *Shop {
	key := sha256.Sum256([]byte("shop/" + secret))
	return &Shop{
		address:   address,
		sallyport: sallyport{url: sallyportURL, secret: secret, http: http.Client{Timeout: 10 * time.Second}},
		key:       key[:],
		pages:     template.Must(template.New("").Funcs(template.FuncMap{"money": money}).Parse(pages)),
	}
}

// money writes euros as €1,234.50.
func money(amount float64) string {
	text := strconv.FormatFloat(amount, 'f', 2, 64)
	for i := len(text) - len(".00") - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return "€" + text
}

// Handler is the whole shop.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.Handle("POST /pay", s.signedIn(s.pay))
	mux.Handle("GET /orders/{id}", s.ordered(s.showOrder))
	mux.Handle("POST /orders/{id}/continue", s.ordered(s.continueOrder))
	mux.Handle("GET /orders/{id}/return", s.ordered(s.returned))
	mux.Handle("GET /settings", s.signedIn(s.settings))
	mux.Handle("POST /settings/passkeys", s.signedIn(s.addPasskey))
	mux.Handle("POST /settings/account", s.signedIn(s.manage))
	return http.NewCrossOriginProtection().Handler(mux) // no other site may post here
}

// pay is where the money would move. The action is reported first.
func (s *Shop) pay(w http.ResponseWriter, r *http.Request, who person) {
	amount, err := strconv.ParseFloat(strings.TrimSpace(r.FormValue("amount")), 64)
	payee := strings.TrimSpace(r.FormValue("payee"))
	if err != nil || !(amount >= 0.01 && amount <= 1e6) || payee == "" || len(payee) > 80 {
		s.render(w, http.StatusBadRequest, "message", page{Who: who, Title: "Please check the form", Text: "A payment needs a payee and an amount between 0.01 and 1,000,000 euros."})
		return
	}
	order := &Order{ID: "order-" + strings.ToLower(rand.Text()), User: who.ID, Payee: payee, Amount: math.Round(amount*100) / 100, State: Waiting}
	s.mu.Lock()
	s.orders = append(s.orders, order)
	s.mu.Unlock()
	s.decide(w, r, who, *order)
}

// decide reports the payment and obeys the answer. Reporting the same order again
// returns the recorded decision with its current state and a fresh address.
func (s *Shop) decide(w http.ResponseWriter, r *http.Request, who person, order Order) {
	answer, err := s.sallyport.track(r, who, "payment", track{
		IdempotencyKey: order.ID,
		RedirectURL:    s.address + "/orders/" + order.ID + "/return",
		Custom:         map[string]any{"amount": order.Amount, "currency": "EUR", "payee": order.Payee},
	})
	if err != nil { // no answer is not a yes
		s.failed(w, who, err)
		return
	}
	switch answer.State {
	case "ALLOW", "REVIEW_SUCCEEDED":
		s.settle(order.ID, Paid, false)
	case "CHALLENGE_SUCCEEDED":
		s.settle(order.ID, Paid, true)
	case "CHALLENGE_REQUIRED":
		http.Redirect(w, r, answer.URL, http.StatusSeeOther)
		return
	case "REVIEW_REQUIRED":
		s.settle(order.ID, InReview, false)
	default: // BLOCK, CHALLENGE_FAILED, REVIEW_FAILED and whatever may come
		s.settle(order.ID, Declined, false)
	}
	http.Redirect(w, r, "/orders/"+order.ID, http.StatusSeeOther)
}

// returned is where the hosted page sends the browser back to. What the browser
// says is not believed: the token is checked from server to server, and it must
// be for this person, this kind of action and this very order.
func (s *Shop) returned(w http.ResponseWriter, r *http.Request, who person, order Order) {
	result, err := s.sallyport.validate(r.Context(), r.FormValue("token"))
	if err != nil {
		s.failed(w, who, err)
		return
	}
	same := result.UserID == who.ID && result.Action == "payment" && result.IdempotencyKey == order.ID
	switch {
	case same && result.IsValid:
		s.settle(order.ID, Paid, true)
	case same && result.State == "CHALLENGE_FAILED":
		s.settle(order.ID, Declined, false)
	}
	http.Redirect(w, r, "/orders/"+order.ID, http.StatusSeeOther) // the token leaves the address bar
}

// settle moves an order that is not final yet, and reports whether this call did
// it. Money moves only when it did: two returns in two tabs pay once. With a
// database this is UPDATE orders SET state = 'paid' WHERE id = $1 AND state IN
// ('waiting', 'review'), and a look at the row count.
func (s *Shop) settle(id, state string, proven bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.orders, func(o *Order) bool { return o.ID == id })
	if i < 0 || s.orders[i].State == Paid || s.orders[i].State == Declined {
		return false
	}
	s.orders[i].State, s.orders[i].Proven = state, proven
	if state == Paid {
		log.Printf("shop: paid %.2f EUR for %s", s.orders[i].Amount, id)
	}
	return true
}

// showOrder asks once more while somebody else decides.
func (s *Shop) showOrder(w http.ResponseWriter, r *http.Request, who person, order Order) {
	if order.State == InReview {
		state, err := s.sallyport.state(r.Context(), who.ID, "payment", order.ID)
		if err != nil {
			s.failed(w, who, err)
			return
		}
		switch state {
		case "REVIEW_SUCCEEDED":
			s.settle(order.ID, Paid, false)
		case "REVIEW_FAILED":
			s.settle(order.ID, Declined, false)
		}
		order, _ = s.order(order.ID)
	}
	s.render(w, http.StatusOK, "order", page{Who: who, Title: "Your payment", Order: order})
}

// continueOrder goes back to a challenge that was left.
func (s *Shop) continueOrder(w http.ResponseWriter, r *http.Request, who person, order Order) {
	if order.State != Waiting {
		http.Redirect(w, r, "/orders/"+order.ID, http.StatusSeeOther)
		return
	}
	s.decide(w, r, who, order)
}

// ordered finds the person's own order that the address names.
func (s *Shop) ordered(next func(http.ResponseWriter, *http.Request, person, Order)) http.Handler {
	return s.signedIn(func(w http.ResponseWriter, r *http.Request, who person) {
		if order, ok := s.order(r.PathValue("id")); ok && order.User == who.ID {
			next(w, r, who, order)
			return
		}
		http.NotFound(w, r)
	})
}

func (s *Shop) order(id string) (Order, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.orders, func(o *Order) bool { return o.ID == id }); i >= 0 {
		return *s.orders[i], true
	}
	return Order{}, false
}

// home is the payment form, or the door.
func (s *Shop) home(w http.ResponseWriter, r *http.Request) {
	who, ok := s.person(r)
	if !ok {
		s.render(w, http.StatusOK, "sign-in", page{Title: "Sign in"})
		return
	}
	s.mu.Lock()
	var own []Order
	for _, o := range slices.Backward(s.orders) {
		if o.User == who.ID && len(own) < 10 {
			own = append(own, *o)
		}
	}
	s.mu.Unlock()
	s.render(w, http.StatusOK, "home", page{Who: who, Title: "New payment", Orders: own})
}

// settings lists how the person can prove that it is them.
func (s *Shop) settings(w http.ResponseWriter, r *http.Request, who person) {
	if r.URL.RawQuery != "" { // a token that is of no use here leaves the address bar
		http.Redirect(w, r, "/settings", http.StatusSeeOther)
		return
	}
	ways, err := s.sallyport.authenticators(r.Context(), who.ID)
	if err != nil {
		s.failed(w, who, err)
		return
	}
	s.render(w, http.StatusOK, "settings", page{Who: who, Title: "Settings", Ways: ways})
}

// addPasskey sends the person to the hosted page to make one. Who has a passkey
// already proves it there first.
func (s *Shop) addPasskey(w http.ResponseWriter, r *http.Request, who person) {
	answer, err := s.sallyport.track(r, who, "add-passkey", track{
		IdempotencyKey: "passkey-" + strings.ToLower(rand.Text()),
		RedirectURL:    s.address + "/settings",
		Scope:          "add:authenticators",
	})
	if err != nil {
		s.failed(w, who, err)
		return
	}
	switch answer.State {
	case "ALLOW", "CHALLENGE_REQUIRED":
		http.Redirect(w, r, answer.URL, http.StatusSeeOther)
	default:
		s.render(w, http.StatusOK, "message", page{Who: who, Title: "Not now", Text: "A passkey can't be added from here at the moment. Nothing has changed."})
	}
}

// manage sends the person to the hosted account page, where they add, rename and
// remove their passkeys and other ways. Each change asks there for a proof of its own.
func (s *Shop) manage(w http.ResponseWriter, r *http.Request, who person) {
	answer, err := s.sallyport.track(r, who, "account", track{
		IdempotencyKey:     "account-" + strings.ToLower(rand.Text()),
		RedirectURL:        s.address + "/settings",
		RedirectToSettings: true,
	})
	if err != nil {
		s.failed(w, who, err)
		return
	}
	switch answer.State {
	case "ALLOW", "CHALLENGE_REQUIRED":
		http.Redirect(w, r, answer.URL, http.StatusSeeOther)
	default:
		s.render(w, http.StatusOK, "message", page{Who: who, Title: "Not now", Text: "This can't be changed from here at the moment. Nothing has changed."})
	}
}

// person is somebody who is signed in.
type person struct {
	ID    string // opaque: Sallyport and its audit trail never need the address as a name
	Email string
}

func (s *Shop) signIn(w http.ResponseWriter, r *http.Request) {
	address, err := mail.ParseAddress(strings.ToLower(strings.TrimSpace(r.FormValue("email"))))
	if err != nil {
		s.render(w, http.StatusBadRequest, "sign-in", page{Title: "Sign in", Text: "That is not an e-mail address."})
		return
	}
	s.setCookie(w, "shop_session", address.Address+"|"+s.sign("session", address.Address))
	if _, err := r.Cookie("shop_device"); err != nil {
		s.setCookie(w, "shop_device", rand.Text())
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Shop) signOut(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "shop_session", Path: "/", MaxAge: -1})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Shop) setCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: url.QueryEscape(value), Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (s *Shop) person(r *http.Request) (person, bool) {
	cookie, err := r.Cookie("shop_session")
	if err != nil {
		return person{}, false
	}
	value, err := url.QueryUnescape(cookie.Value)
	email, signature, _ := strings.Cut(value, "|")
	if err != nil || !hmac.Equal([]byte(signature), []byte(s.sign("session", email))) {
		return person{}, false
	}
	return person{ID: "u_" + s.sign("user", email)[:24], Email: email}, true
}

func (s *Shop) sign(purpose, text string) string {
	mac := hmac.New(sha256.New, s.key)
	io.WriteString(mac, purpose+"|"+text)
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *Shop) signedIn(next func(http.ResponseWriter, *http.Request, person)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who, ok := s.person(r); ok {
			next(w, r, who)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

// page is what the templates show.
type page struct {
	Who    person
	Title  string
	Text   string
	Order  Order
	Orders []Order
	Ways   []authenticator
}

func (s *Shop) render(w http.ResponseWriter, status int, name string, p page) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, p); err != nil {
		log.Printf("shop: %v", err)
		http.Error(w, "The page could not be shown.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	b.WriteTo(w) // a browser that went away needs no page
}

func (s *Shop) failed(w http.ResponseWriter, who person, err error) {
	log.Printf("shop: %v", err)
	s.render(w, http.StatusServiceUnavailable, "message", page{Who: who, Title: "Please try again", Text: "This could not be checked just now, so nothing was done and nothing was paid."})
}
