package ceremonies_test

import (
	"bytes"
	"encoding/base32"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pquerna/otp/totp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
)

// A copy of the database gives no address, code or secret away, and neither does what
// is logged.
func TestNoSecretIsKeptInTheClear(t *testing.T) {
	var logged bytes.Buffer
	dir := filepath.Join(t.TempDir(), "data")
	w := ceremonytest.New(t)
	kept, err := store.Open(t.Context(), store.Config{Dir: dir, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	config := ceremonies.Config{
		ID: ceremonytest.ID, Name: "Example Shop", Origins: []string{ceremonytest.Origin}, Tenant: ceremonytest.Tenant, Key: ceremonytest.Key,
		Mailer: w.Mail, Now: w.Clock.Now, Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.Store = kept // a folder whose bytes the test can read; the world closes its own
	if w.RP, err = ceremonies.New(config, kept, w.Tokens); err != nil {
		t.Fatal(err)
	}

	client := from("203.0.113.77")
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := permit(t, w, w.Track("anna", events.StateAllow, ""), d, ceremonies.ForAdding, string(events.MethodAuthenticatorApp))
	begun, err := w.RP.BeginApp(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(begun.Secret, w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RP.FinishApp(t.Context(), grant, begun.Challenge, code, client); err != nil {
		t.Fatal(err)
	}
	pending, err := w.RP.BeginApp(t.Context(), permit(t, w, grant, d, ceremonies.ForAdding, string(events.MethodAuthenticatorApp)))
	if err != nil {
		t.Fatal(err)
	}
	codes := recovery(t, w, "anna", d)
	mailed(t, w, "anna", d)
	open := w.Track("anna", events.StateChallengeRequired, "")
	id, sent := send(w, open, ask(events.MethodEmailOTP))
	if err := guess(w, "anna", another(code), client); err == nil {
		t.Error("a wrong code proves")
	}
	if _, err := w.RP.FinishCode(t.Context(), open, ask(events.MethodEmailOTP), id, another(sent), client); err == nil {
		t.Error("a wrong code proves")
	}
	if _, err := w.RP.FinishCode(t.Context(), w.Track("anna", events.StateChallengeRequired, ""), ask(events.MethodRecoveryCode), "", codes[0], client); err != nil {
		t.Error(err)
	}
	w.Mail.Fail = errors.New("the server is away")
	_, err = w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{Action: events.ActionID{Code: "sign-in", Key: "s-1"}, Email: "nobody@example.net"}, client)
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonSendFailed)
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}

	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(begun.Secret)
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.ReplaceAll(codes[5], "-", "")
	secrets := map[string][]byte{
		"the client's address": []byte("203.0.113.77"), "its bytes": {203, 0, 113, 77}, "the network in hexadecimal": []byte("cb00714d"),
		"an app's secret in base32": []byte(begun.Secret), "an app's raw secret": raw, "the secret of an app that is being added": []byte(pending.Secret),
		"a recovery code": []byte(codes[5]), "a recovery code without dashes": []byte(plain), "a used recovery code": []byte(codes[0]),
		"the key": ceremonytest.Key, "a code in JSON": []byte(`"` + sent + `"`), "a code in JSON as a number": []byte(":" + sent),
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v, %v", files, err)
	}
	found := false // the one address that must be readable
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Contains(content, []byte("anna@example.org"))
		for name, secret := range secrets {
			if bytes.Contains(content, secret) {
				t.Errorf("%s holds %s", filepath.Base(file), name)
			}
		}
		// Six digits may stand in a number; alone they are a code.
		if i := alone(content, sent); i >= 0 {
			t.Errorf("%s holds the code that was sent: %q", filepath.Base(file), content[max(0, i-20):i+20])
		}
	}
	if !found {
		t.Error("the address that codes go to was not found either")
	}
	secrets["an address of mail"], secrets["the code that was sent"] = []byte("@example"), []byte(sent)
	for name, secret := range secrets {
		if bytes.Contains(logged.Bytes(), secret) {
			t.Errorf("the log holds %s: %s", name, logged.String())
		}
	}
	if !strings.Contains(logged.String(), "the server is away") {
		t.Errorf("the log does not say what went wrong: %s", logged.String())
	}
}

// alone is where digits stand that are no part of a longer word, -1 when nowhere.
func alone(content []byte, digits string) int {
	word := func(i int) bool {
		if i < 0 || i >= len(content) {
			return false
		}
		c := content[i]
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
	}
	for from := 0; ; {
		i := bytes.Index(content[from:], []byte(digits))
		if i < 0 {
			return -1
		}
		i += from
		if !word(i-1) && !word(i+len(digits)) {
			return i
		}
		from = i + 1
	}
}
