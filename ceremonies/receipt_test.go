package ceremonies_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
)

func TestReceiptProvesTheStatementOffline(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Prove("anna", d, "")
	story := w.Story(grant.Action)
	receipt, err := ceremonies.ReceiptOf(story[len(story)-1].Draft)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := ceremonies.VerifyReceipt(receipt)
	if err != nil {
		t.Fatal(err)
	}
	statement := verified.Statement
	if !verified.UserVerified {
		t.Error("it does not say that the user was verified")
	}
	if statement.User != "anna" || statement.IdempotencyKey != grant.Action.Key || statement.Shown == nil || *statement.Shown != "Pay 1250 to Maria K." {
		t.Errorf("statement %+v", statement)
	}
	tests := map[string]func(r *ceremonies.Receipt){
		"another amount": func(r *ceremonies.Receipt) {
			r.Document = bytes.Replace(r.Document, []byte("1250"), []byte("9999"), 1)
		},
		"spaces in the statement": func(r *ceremonies.Receipt) { r.Document = append(bytes.Clone(r.Document), ' ') },
		"another nonce":           func(r *ceremonies.Receipt) { r.Nonce = bytes.Repeat([]byte{1}, 32) },
		"a nonce that runs over":  func(r *ceremonies.Receipt) { r.Nonce = append(bytes.Clone(r.Nonce), 1) },
		"another signature": func(r *ceremonies.Receipt) {
			r.Signature = append(bytes.Clone(r.Signature[:len(r.Signature)-1]), r.Signature[len(r.Signature)-1]^1)
		},
		"another public key":       func(r *ceremonies.Receipt) { r.PublicKey = ceremonytest.NewCredential().Key.AttestationData() },
		"no public key":            func(r *ceremonies.Receipt) { r.PublicKey = nil },
		"changed client data":      func(r *ceremonies.Receipt) { r.ClientDataJSON = append(bytes.Clone(r.ClientDataJSON), ' ') },
		"short authenticator data": func(r *ceremonies.Receipt) { r.AuthenticatorData = r.AuthenticatorData[:20] },
		"user verification taken away": func(r *ceremonies.Receipt) {
			r.AuthenticatorData = bytes.Clone(r.AuthenticatorData)
			r.AuthenticatorData[32] &^= 4
		},
		"another counter": func(r *ceremonies.Receipt) {
			r.AuthenticatorData = bytes.Clone(r.AuthenticatorData)
			binary.BigEndian.PutUint32(r.AuthenticatorData[33:], 77)
		},
		"another version": func(r *ceremonies.Receipt) { r.Version = 2 },
	}
	for name, change := range tests {
		t.Run(name+" proves nothing", func(t *testing.T) {
			changed := receipt
			change(&changed)
			if _, err := ceremonies.VerifyReceipt(changed); !errors.Is(err, ceremonies.ErrReceipt) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("an erased person's event holds none", func(t *testing.T) {
		erased := story[len(story)-1].Draft
		erased.Personal, erased.Salt = nil, nil
		if _, err := ceremonies.ReceiptOf(erased); err == nil {
			t.Error("there is a receipt without its statement")
		}
		if bytes.Contains(erased.Body, []byte("Maria")) || bytes.Contains(erased.Body, []byte(base64.RawURLEncoding.EncodeToString([]byte("Maria"))[:6])) {
			t.Error("the body still tells the action's data")
		}
	})
}
