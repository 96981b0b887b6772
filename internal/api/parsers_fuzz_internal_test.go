package api

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// FuzzBasicUser holds that a user name comes back as it was sent, in every form that
// SDKs send, and that nothing which is no such header has one.
func FuzzBasicUser(f *testing.F) {
	for _, seed := range []string{"", "acme", "acme corp", "a:b", "\x00", "ä", "\xff\xfe", "Basic ", strings.Repeat("x", 4000), "????", ">>>>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, _, _ := strings.Cut(text, ":")
		for _, encode := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			for _, plain := range []string{want, want + ":", text + ":password"} {
				encoded := encode.EncodeToString([]byte(plain))
				got, err := basicUser("bAsic " + encoded)
				if refused := encoded == "" || len(encoded) > maxCredential; (err != nil) != refused || !refused && got != want {
					t.Errorf("%q is read as %q, %v", plain, got, err)
				}
			}
		}
		if user, err := basicUser(text); err != nil && user != "" || err == nil && (len(text) < 6 || !strings.EqualFold(text[:6], "Basic ")) {
			t.Errorf("the header %q has the user %q, %v", text, user, err)
		}
		rest, found := cutScheme(text, "Bearer")
		if found && !strings.HasSuffix(strings.TrimSpace(text), rest) || !found && rest != "" || rest != strings.TrimSpace(rest) {
			t.Errorf("of %q is left %q, %v", text, rest, found)
		}
	})
}

// FuzzNamedAction holds that the id of a sign-in names an action code or is refused as
// the caller's mistake, and that every code comes back.
func FuzzNamedAction(f *testing.F) {
	for _, seed := range []string{"", "payment", "action.", "action.cGF5bWVudA", "action.cGF5bWVudA==", "action.?", "a b", strings.Repeat("a", 65), "\x00", "action.\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, err := namedAction(text)
		var refused *Error
		if err == nil && !isActionCode(code) || err != nil && (code != "" || !errors.As(err, &refused) || refused.Status != http.StatusBadRequest) {
			t.Errorf("%q is read as %q, %v", text, code, err)
		}
		code, err = namedAction(namePrefix + base64.RawURLEncoding.EncodeToString([]byte(text)))
		if (err == nil) != isActionCode(text) || err == nil && code != text {
			t.Errorf("the code %q comes back as %q, %v", text, code, err)
		}
	})
}
