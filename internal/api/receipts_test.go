package api_test

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/internal/api"
)

func TestAReceiptProvesAnActionOffline(t *testing.T) {
	w := startMethods(t)
	d := w.enrol("ann")
	tracked := w.track("ann", "order/1", 500)
	const path = "/v1/users/ann/actions/payment/order%2F1/receipt"
	w.call("GET", path, nil).refused(404, "not_found") // not proven yet
	proof := w.prove(d, tracked.str("token")).ok()
	a := w.call("GET", path, nil).ok()
	var receipt ceremonies.Receipt
	if err := json.Unmarshal([]byte(a.text), &receipt); err != nil {
		t.Fatal(err)
	}
	checked, err := ceremonies.VerifyReceipt(receipt)
	statement := checked.Statement
	if err != nil || statement.User != "ann" || statement.IdempotencyKey != "order/1" || !strings.Contains(string(statement.Data), "500") {
		t.Errorf("statement %+v, %v", statement, err)
	}
	digest := sha256.Sum256(receipt.Document)
	if v := w.call("POST", "/v1/validate", object{"token": proof.str("accessToken")}).ok(); v.str("digest") != b64(digest[:]) {
		t.Errorf("validated: %s", v.text)
	}
	w.do(request{method: "GET", path: path, auth: "Bearer " + proof.str("accessToken")}).refused(401, "unauthorized")
	w.call("GET", "/v1/users/ann/actions/payment/other/receipt", nil).refused(404, "not_found")
	w.call("DELETE", "/v1/users/ann", nil).ok()
	if a := w.call("GET", path, nil).refused(404, "not_found"); !strings.Contains(a.text, "erased") {
		t.Errorf("erased: %s", a.text)
	}
}

func TestACodeLeavesNoReceipt(t *testing.T) {
	w := startMethods(t)
	code, _ := w.app(w.track("ann", "first", 1).str("token"))
	w.client("POST", "/verify/totp", w.track("ann", "second", 500).str("token"), object{"verificationCode": code()}).ok()
	if a := w.call("GET", "/v1/users/ann/actions/payment/second/receipt", nil).refused(404, "not_found"); !strings.Contains(a.text, "AUTHENTICATOR_APP") {
		t.Errorf("%s", a.text)
	}
}

func TestTheAccountPageTakesItsOwnScope(t *testing.T) {
	w := startMethods(t)
	grantOf := func(attributes object) ceremonies.Grant {
		tracked := w.act("ann", "payment", attributes)
		access, err := w.party.Authorize(t.Context(), tracked.str("token"), ceremonies.UseAccess)
		if err != nil || access.Allows(ceremonies.ScopeAccount) {
			t.Fatalf("the client's token %+v, %v", access, err)
		}
		link, err := w.party.Authorize(t.Context(), strings.TrimPrefix(tracked.str("url"), publicURL+"/challenge?c="), ceremonies.UseLink)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	if !grantOf(object{"redirectToSettings": true}).Allows(ceremonies.ScopeAccount) {
		t.Error("redirectToSettings does not open the account page")
	}
	for _, value := range []any{nil, false} {
		if grantOf(object{"redirectToSettings": value}).Allows(ceremonies.ScopeAccount) {
			t.Errorf("%v opens the account page", value)
		}
	}
}

func TestOriginsOfOtherDomainsAreDeclared(t *testing.T) {
	foreign := []string{"https://shop.example.com", "https://other.example", "https://other.example:8443", "http://plain.example", "https://notshop.example"}
	w := start(t, func(c *api.Config) {
		c.PublicURL, c.RPID, c.Origins = "https://login.shop.example", "shop.example", append([]string{"https://shop.example", "https://www.shop.example"}, foreign...)
	})
	a := w.do(request{method: "GET", path: "/.well-known/webauthn"}).ok()
	if a.text != `{"origins":["https://shop.example.com","https://other.example","https://other.example:8443","https://notshop.example"]}`+"\n" {
		t.Errorf("document: %s", a.text)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	none := start(t, func(c *api.Config) { c.Origins = nil })
	none.do(request{method: "GET", path: "/.well-known/webauthn"}).refused(404, "not_found")
	many := start(t, func(c *api.Config) {
		c.Origins = nil
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} { // browsers read five names of domains
			c.Origins = append(c.Origins, "https://"+name+".example")
		}
	})
	if a := many.do(request{method: "GET", path: "/.well-known/webauthn"}).ok(); strings.Contains(a.text, "f.example") || !strings.Contains(a.text, "e.example") {
		t.Errorf("document: %s", a.text)
	}
	if !strings.Contains(many.logged(), "https://f.example") {
		t.Error("nobody is told of the origin that was left out")
	}
}
