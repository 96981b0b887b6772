package ceremonies_test

import (
	_ "embed"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
)

// goodReceipt was made once and must verify for ever.
//
//go:embed testdata/receipt.json
var goodReceipt []byte

// FuzzVerifyReceipt holds that nothing but the receipt itself proves its
// statement, and that no bytes make the check panic.
func FuzzVerifyReceipt(f *testing.F) {
	var good ceremonies.Receipt
	if err := json.Unmarshal(goodReceipt, &good); err != nil {
		f.Fatal(err)
	}
	statement, err := ceremonies.VerifyReceipt(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(goodReceipt)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var receipt ceremonies.Receipt
		if json.Unmarshal(raw, &receipt) != nil {
			return
		}
		got, err := ceremonies.VerifyReceipt(receipt)
		if err == nil && string(receipt.PublicKey) == string(good.PublicKey) && !cmp.Equal(got, statement) {
			t.Errorf("the same key proves %+v", got)
		}
	})
}

// FuzzTokens holds that only tokens we signed are read, whatever is sent.
func FuzzTokens(f *testing.F) {
	c := ceremonytest.NewClock()
	tokens, err := ceremonies.NewTokens(ceremonies.TokenConfig{Tenant: "acme", Keys: []ceremonies.Key{key("a")}, Now: c.Now})
	if err != nil {
		f.Fatal(err)
	}
	good, err := tokens.Sign(someGrant)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := tokens.Verify(token, ceremonies.UseAccess); err == nil && token != good {
			t.Errorf("%q was accepted", token)
		}
	})
}
