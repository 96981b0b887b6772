package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/ceremonies"
)

// maxReceipt is the longest receipt that is read, bytes. The action's data in it
// have 32 KiB at most.
const maxReceipt = 256 << 10

// receiptCommands are those about what people signed.
func receiptCommands() []command {
	return []command{
		{
			name: "receipt verify", args: "FILE", group: "Receipts",
			short: "check offline what a passkey signed",
			long: `Checks a stored receipt with nothing but the receipt: that the passkey whose
public key is in it signed exactly the statement in it. With --public-key the
key must be the one that you know, such as the credentialPublicKey of your own
records; without it, look up in the trail whose key it was. - reads the receipt
from standard input. The exit code is 0 only when everything is right.`,
			flags: func(f *flag.FlagSet) {
				f.String("public-key", "", "COSE key in base64url that must have signed")
				jsonFlag(f)
			},
			run: receiptVerify,
		},
	}
}

// checkedReceipt is the answer for programs.
type checkedReceipt struct {
	Valid        bool                 `json:"valid"`
	Problem      string               `json:"problem,omitempty"`
	Statement    ceremonies.Statement `json:"statement,omitzero"`
	Digest       string               `json:"digest,omitempty"` // base64url of SHA-256 of the statement, as /v1/validate returns it
	CredentialID ceremonies.Base64    `json:"credentialId,omitempty"`
	UserVerified bool                 `json:"userVerified"`
	KeyMatches   *bool                `json:"keyMatches,omitempty"` // with --public-key
}

func receiptVerify(_ context.Context, call call) error {
	receipt, err := readReceipt(call.args[0])
	if err != nil {
		return err
	}
	var answer checkedReceipt
	verified, err := ceremonies.VerifyReceipt(receipt)
	if err == nil {
		sum := sha256.Sum256(receipt.Document)
		answer = checkedReceipt{
			Valid: true, Statement: verified.Statement, UserVerified: verified.UserVerified, CredentialID: receipt.CredentialID,
			Digest: base64.RawURLEncoding.EncodeToString(sum[:]),
		}
		err = answer.compareKey(call.value("public-key"), receipt.PublicKey)
	}
	if err != nil {
		answer.Valid, answer.Problem = false, strings.TrimPrefix(err.Error(), ceremonies.ErrReceipt.Error()+": ")
	}
	if call.json() {
		if err := call.asJSON(answer); err != nil {
			return err
		}
	} else if answer.Valid {
		answer.print(call.Out)
	}
	switch {
	case err == nil:
		return nil
	case call.json():
		return &ExitError{Code: 1}
	}
	return err
}

// compareKey checks that the receipt's key is the one that the caller knows.
func (a *checkedReceipt) compareKey(known string, key []byte) error {
	if known == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(known, "="))
	if err != nil {
		return &UsageError{Command: "receipt verify", Message: "--public-key must be a COSE key in base64url"}
	}
	matches := bytes.Equal(raw, key)
	a.KeyMatches = &matches
	if !matches {
		return fmt.Errorf("%w: it was signed by another key than the one given", ceremonies.ErrReceipt)
	}
	return nil
}

// print tells a person what was signed, and what that proves.
func (a *checkedReceipt) print(out io.Writer) {
	s := a.Statement
	row := func(name, value string) {
		if value != "" {
			// Whoever wrote the file must not be able to write to the terminal.
			fmt.Fprintf(out, "  %-12s %s\n", name, strings.Map(printable, value))
		}
	}
	fmt.Fprintln(out, "The receipt is right: this passkey signed this statement.")
	fmt.Fprintln(out)
	row("purpose", string(s.Purpose))
	row("user", string(s.User))
	row("action", s.Action+" "+s.IdempotencyKey)
	if data := string(s.Data); data != "null" {
		row("data", data)
	}
	if s.Shown != nil {
		row("shown", fmt.Sprintf("%q", *s.Shown))
	} else {
		row("shown", "nothing by Sallyport: the application's own page asked")
	}
	row("text", s.Template)
	row("valid until", s.Expires)
	row("site", s.RelyingParty+", tenant "+s.Tenant)
	row("digest", a.Digest)
	row("passkey", base64.RawURLEncoding.EncodeToString(a.CredentialID))
	row("verified", map[bool]string{true: "the device checked a fingerprint, face or PIN", false: "the device did not check who touched it"}[a.UserVerified])
	if a.KeyMatches != nil {
		row("key", "it is the one given")
	} else {
		row("key", "taken from the receipt; --public-key compares it with one that you know")
	}
}

// printable is a character that a terminal only shows.
func printable(r rune) rune {
	if unicode.IsPrint(r) || r == ' ' {
		return r
	}
	return '\ufffd'
}

// readReceipt reads a receipt from a file, or from standard input.
func readReceipt(name string) (ceremonies.Receipt, error) {
	in := os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return ceremonies.Receipt{}, fmt.Errorf("read receipt: %w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxReceipt+1))
	switch {
	case err != nil:
		return ceremonies.Receipt{}, fmt.Errorf("read receipt: %w", err)
	case len(raw) > maxReceipt:
		return ceremonies.Receipt{}, fmt.Errorf("%s is no receipt: it has more than %d KiB", name, maxReceipt>>10)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var receipt ceremonies.Receipt
	if err := decoder.Decode(&receipt); err != nil {
		return ceremonies.Receipt{}, fmt.Errorf("%s is no receipt: %w", name, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return ceremonies.Receipt{}, fmt.Errorf("%s is no receipt: it goes on after its end", name)
	}
	return receipt, nil
}
