package ceremonies_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// madeReceipt is a receipt of a step-up by an authenticator whose key the test
// knows, so that it can sign wrong ones too.
func madeReceipt(t *testing.T) (ceremonies.Receipt, *ceremonytest.Software) {
	t.Helper()
	w := ceremonytest.New(t)
	s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
	w.EnrolSoftware("anna", s)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, s.Get(stepUp.Options).Write(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	story := w.Story(grant.Action)
	receipt, err := ceremonies.ReceiptOf(story[len(story)-1].Draft)
	if err != nil {
		t.Fatal(err)
	}
	return receipt, s
}

// copied is a receipt whose bytes can be changed.
func copied(r ceremonies.Receipt) ceremonies.Receipt {
	for _, part := range parts(&r) {
		*part = bytes.Clone(*part)
	}
	return r
}

// parts are the byte strings of a receipt.
func parts(r *ceremonies.Receipt) map[string]*ceremonies.Base64 {
	return map[string]*ceremonies.Base64{
		"document": &r.Document, "nonce": &r.Nonce, "clientDataJSON": &r.ClientDataJSON, "authenticatorData": &r.AuthenticatorData,
		"signature": &r.Signature, "publicKey": &r.PublicKey,
	}
}

// One bit anywhere, a byte less or a byte more: the receipt proves nothing. The
// credential id is not among them: it only says where to look the key up.
func TestEveryByteOfAReceiptCounts(t *testing.T) {
	receipt, _ := madeReceipt(t)
	if _, err := ceremonies.VerifyReceipt(receipt); err != nil {
		t.Fatal(err)
	}
	for name := range parts(&receipt) {
		t.Run(name, func(t *testing.T) {
			refused := func(how string, change func([]byte) []byte) {
				t.Helper()
				changed := copied(receipt)
				part := parts(&changed)[name]
				*part = change(*part)
				if _, err := ceremonies.VerifyReceipt(changed); !errors.Is(err, ceremonies.ErrReceipt) {
					t.Errorf("%s: %v", how, err)
				}
			}
			for i := range len(*parts(&receipt)[name]) {
				refused(fmt.Sprintf("a bit of byte %d", i), func(b []byte) []byte { b[i] ^= 1 << (i % 8); return b })
			}
			refused("nothing", func([]byte) []byte { return nil })
			refused("a byte less", func(b []byte) []byte { return b[:len(b)-1] })
			refused("a byte more", func(b []byte) []byte { return append(b, 0) })
		})
	}
}

// Each step by itself: the signature is right, and what was signed is not.
func TestStepsOfAReceiptAreChecked(t *testing.T) {
	receipt, s := madeReceipt(t)
	// sign makes the receipt's answer anew.
	sign := func(r *ceremonies.Receipt) {
		r.Signature = s.Key.Sign(append(bytes.Clone(r.AuthenticatorData), ceremonytest.Hash(r.ClientDataJSON)...))
	}
	client := func(change func(map[string]any)) func(*ceremonies.Receipt) {
		return func(r *ceremonies.Receipt) {
			var data map[string]any
			if err := json.Unmarshal(r.ClientDataJSON, &data); err != nil {
				t.Fatal(err)
			}
			change(data)
			raw, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			r.ClientDataJSON = raw
			sign(r)
		}
	}
	authenticator := func(change func([]byte) []byte) func(*ceremonies.Receipt) {
		return func(r *ceremonies.Receipt) {
			r.AuthenticatorData = change(r.AuthenticatorData)
			sign(r)
		}
	}
	other := ceremonytest.NewKeyPair(t, ceremonytest.ES256)
	tests := map[string]func(r *ceremonies.Receipt){
		"no version":                  func(r *ceremonies.Receipt) { r.Version = 0 },
		"another version":             func(r *ceremonies.Receipt) { r.Version = 2 },
		"a statement that is no JSON": func(r *ceremonies.Receipt) { r.Document = []byte("{") },
		"a statement with a space":    func(r *ceremonies.Receipt) { r.Document = bytes.Replace(r.Document, []byte(":"), []byte(": "), 1) },
		"a statement with a member twice": func(r *ceremonies.Receipt) {
			r.Document = append(bytes.TrimSuffix(r.Document, []byte("}")), `,"v":1}`...)
		},
		"a statement with a member of another version": func(r *ceremonies.Receipt) {
			r.Document = append(bytes.TrimSuffix(r.Document, []byte("}")), `,"w":1}`...)
		},
		"a statement with names of another case": func(r *ceremonies.Receipt) {
			r.Document = bytes.Replace(r.Document, []byte(`"userId"`), []byte(`"USERID"`), 1)
		},
		"a statement in another order": func(r *ceremonies.Receipt) {
			r.Document = append([]byte(`{"v":1,`), bytes.Replace(r.Document[1:], []byte(`,"v":1`), nil, 1)...)
		},
		"another statement":                   func(r *ceremonies.Receipt) { r.Document = bytes.Replace(r.Document, []byte("1250"), []byte("1251"), 1) },
		"another nonce":                       func(r *ceremonies.Receipt) { r.Nonce = bytes.Repeat([]byte{1}, 32) },
		"a nonce of 31 bytes":                 func(r *ceremonies.Receipt) { r.Nonce = r.Nonce[:31] },
		"no nonce":                            func(r *ceremonies.Receipt) { r.Nonce = nil },
		"client data that are no JSON":        func(r *ceremonies.Receipt) { r.ClientDataJSON = []byte("webauthn.get"); sign(r) },
		"a registration":                      client(func(c map[string]any) { c["type"] = "webauthn.create" }),
		"no type":                             client(func(c map[string]any) { delete(c, "type") }),
		"another challenge":                   client(func(c map[string]any) { c["challenge"] = "AAAA" }),
		"a challenge with padding":            client(func(c map[string]any) { c["challenge"] = c["challenge"].(string) + "=" }),
		"no challenge":                        client(func(c map[string]any) { delete(c, "challenge") }),
		"authenticator data that are cut off": authenticator(func(b []byte) []byte { return b[:36] }),
		"authenticator data with more behind": authenticator(func(b []byte) []byte { return append(b, 0) }),
		"another relying party": authenticator(func(b []byte) []byte {
			return append(ceremonytest.Hash([]byte("evil.example")), b[32:]...)
		}),
		"nobody present": authenticator(func(b []byte) []byte { b[32] &^= ceremonytest.UserPresent; return b }),
		"nobody present, but verified": authenticator(func(b []byte) []byte {
			b[32] = ceremonytest.UserVerified
			return b
		}),
		"no public key":             func(r *ceremonies.Receipt) { r.PublicKey = nil },
		"a public key that is none": func(r *ceremonies.Receipt) { r.PublicKey = []byte{0xa0} },
		"another public key":        func(r *ceremonies.Receipt) { r.PublicKey = other.COSE() },
		"another key": func(r *ceremonies.Receipt) {
			r.Signature = other.Sign(append(bytes.Clone(r.AuthenticatorData), ceremonytest.Hash(r.ClientDataJSON)...))
		},
		"no signature": func(r *ceremonies.Receipt) { r.Signature = nil },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			changed := copied(receipt)
			change(&changed)
			if got, err := ceremonies.VerifyReceipt(changed); !errors.Is(err, ceremonies.ErrReceipt) {
				t.Errorf("it proves %+v, %v", got, err)
			}
		})
	}
	for name, verified := range map[string]bool{"a user who was verified": true, "a user who was not": false} {
		t.Run(name, func(t *testing.T) {
			changed := copied(receipt)
			authenticator(func(b []byte) []byte {
				b[32] = ceremonytest.UserPresent
				if verified {
					b[32] |= ceremonytest.UserVerified
				}
				return b
			})(&changed)
			got, err := ceremonies.VerifyReceipt(changed)
			if err != nil || got.UserVerified != verified || got.Statement.User != "anna" {
				t.Errorf("it proves %+v, %v", got, err)
			}
		})
	}
}
