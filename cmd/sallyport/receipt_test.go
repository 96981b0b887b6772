package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// receiptFile is a receipt that was made once and must be right for ever.
const receiptFile = "../../ceremonies/testdata/receipt.json"

func TestAReceiptIsVerifiedOffline(t *testing.T) {
	code, out, stderr := command(t, nil, "receipt", "verify", receiptFile)
	if code != 0 || stderr != "" {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for _, want := range []string{"anna", "payment order-2", `"Pay 1250 to Maria K."`, `"amount":1250`, "shop.example", "fingerprint, face or PIN"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

func TestAReceiptIsComparedWithAKnownKey(t *testing.T) {
	raw, err := os.ReadFile(receiptFile)
	if err != nil {
		t.Fatal(err)
	}
	var receipt map[string]any
	if err := json.Unmarshal(raw, &receipt); err != nil {
		t.Fatal(err)
	}
	key := receipt["publicKey"].(string)
	if code, _, stderr := command(t, nil, "receipt", "verify", receiptFile, "--public-key", key); code != 0 {
		t.Errorf("the right key: %s", stderr)
	}
	code, out, stderr := command(t, nil, "receipt", "verify", receiptFile, "--public-key", key[:len(key)-4]+"AAAA")
	if code != 1 || out != "" || !strings.Contains(stderr, "another key") {
		t.Errorf("another key: code %d, %s%s", code, out, stderr)
	}
	if code, _, _ := command(t, nil, "receipt", "verify", receiptFile, "--public-key", "?"); code != 2 {
		t.Errorf("no key: code %d", code)
	}
}

func TestAReceiptThatWasChangedProvesNothing(t *testing.T) {
	raw, err := os.ReadFile(receiptFile)
	if err != nil {
		t.Fatal(err)
	}
	var receipt map[string]any
	if err := json.Unmarshal(raw, &receipt); err != nil {
		t.Fatal(err)
	}
	delete(receipt, "credentialId") // it names the passkey and is not signed
	for field := range receipt {
		t.Run(field, func(t *testing.T) {
			changed := map[string]any{}
			for name, value := range receipt {
				changed[name] = value
			}
			if text, ok := receipt[field].(string); ok {
				middle := len(text) / 2
				other := byte('A')
				if text[middle] == other {
					other = 'B'
				}
				changed[field] = text[:middle] + string(other) + text[middle+1:]
			} else {
				changed[field] = 2
			}
			text, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "receipt.json")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, stderr := command(t, nil, "receipt", "verify", "--json", file)
			if code != 1 || !strings.Contains(out, `"valid": false`) || stderr != "" {
				t.Errorf("code %d: %s%s", code, out, stderr)
			}
		})
	}
}

func TestWhatIsNoReceiptIsSaidSo(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":     "hello",
		"another file": `{"rules": []}`,
		"two of them":  `{"v":1}{"v":1}`,
		"too long":     `{"v":1,"document":"` + strings.Repeat("A", 300<<10) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "receipt.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, stderr := command(t, nil, "receipt", "verify", file)
			if code != 1 || out != "" || !strings.Contains(stderr, "is no receipt") {
				t.Errorf("code %d: %s%s", code, out, stderr)
			}
		})
	}
	if code, _, stderr := command(t, nil, "receipt", "verify", "/nowhere"); code != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("a file that there is not: %s", stderr)
	}
}
