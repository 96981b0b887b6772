package ceremonies_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// fuzzKey is the passkey of the authentications that are fuzzed. It is fixed, so
// that the seeds are right answers in every process.
func fuzzKey() *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{26}, 32))
	if err != nil {
		panic(err)
	}
	return key
}

// fuzzSoftware is the authenticator of the seeds, for the relying party of the
// vectors.
func fuzzSoftware() *ceremonytest.Software {
	return &ceremonytest.Software{
		Key:          ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: fuzzKey()},
		CredentialID: bytes.Repeat([]byte{5}, 32), AAGUID: make([]byte, 16), Flags: ceremonytest.UserPresent,
	}
}

// fuzzValue is the challenge that is fuzzed. It is the same each time, so that a
// right answer stays one.
var fuzzValue = bytes.Repeat([]byte{7}, 32)

// wantRefusal fails unless err is a refusal.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("a fault: %v", err)
	}
}

// FuzzRegistrationAnswer holds that an answer is refused and leaves no
// authenticator, or leaves the one whose id it tells; it is never a fault.
func FuzzRegistrationAnswer(f *testing.F) {
	for id, v := range readVectors(f) {
		if id != "attestation-root-cert" {
			f.Add(v.bytes(f, 0, "challenge"), v.answer(f, 0, "clientDataJSON", "attestationObject"))
		}
	}
	for _, attested := range []bool{false, true} {
		s := fuzzSoftware()
		creation := s.Create(ceremonies.CreationOptions{Challenge: fuzzValue, RelyingParty: ceremonies.RelyingPartyEntity{ID: "example.org"}})
		creation.Client.Data["origin"] = "https://example.org"
		if attested {
			creation.SelfAttested(s.Key)
		}
		f.Add(fuzzValue, creation.Write())
	}
	world := ceremonytest.Open(f, vectorParty)
	var users atomic.Int64
	f.Fuzz(func(t *testing.T, challenge, raw []byte) {
		w := world.In(t)
		grant := w.TrackNew(events.UserID(fmt.Sprintf("user-%d", users.Add(1))))
		id := beginVector(w, grant, ceremonies.Registration, ceremonies.ForEnrolment, challenge)
		enrolled, err := w.RP.FinishEnrolment(t.Context(), grant, id, raw, ceremonies.Client{})
		account := w.Account(grant.Action.User)
		if err != nil {
			wantRefusal(t, err)
			if len(account.Authenticators) > 0 {
				t.Fatal("a refused answer left an authenticator")
			}
			return
		}
		var told struct{ RawID string }
		if err := json.Unmarshal(raw, &told); err != nil {
			t.Fatal(err)
		}
		credential, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(told.RawID, "="))
		if err != nil || len(account.Authenticators) != 1 || !bytes.Equal(account.Authenticators[0].CredentialID, credential) || enrolled.Authenticator.Attested {
			t.Fatalf("it left %+v", account.Authenticators)
		}
	})
}

// signedByFuzzKey reports whether an answer has a signature of fuzzKey over its own
// bytes for this challenge, which is read here by other code than the package's.
func signedByFuzzKey(raw []byte) bool {
	var told struct {
		Response struct{ ClientDataJSON, AuthenticatorData, Signature string }
	}
	if json.Unmarshal(raw, &told) != nil {
		return false
	}
	var parts [3][]byte
	for i, text := range []string{told.Response.ClientDataJSON, told.Response.AuthenticatorData, told.Response.Signature} {
		var err error
		if parts[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "=")); err != nil {
			return false
		}
	}
	digest := ceremonytest.Hash(slices.Concat(parts[1], ceremonytest.Hash(parts[0])))
	challenge := base64.RawURLEncoding.EncodeToString(fuzzValue)
	return ecdsa.VerifyASN1(&fuzzKey().PublicKey, digest, parts[2]) && bytes.Contains(parts[0], []byte(challenge))
}

// fuzzAssertions are the seeds of the two targets below.
func fuzzAssertions(f *testing.F, handle []byte) {
	f.Helper()
	s := fuzzSoftware()
	s.UserHandle = handle
	assertion := s.Get(ceremonies.RequestOptions{Challenge: fuzzValue, RelyingPartyID: "example.org"})
	assertion.Client.Data["origin"] = "https://example.org"
	f.Add(assertion.Write())
	assertion.Auth.Flags |= ceremonytest.ExtensionData
	assertion.Auth.Extensions = ceremonytest.CBOR(map[string]any{"uvm": 1})
	f.Add(assertion.Write())
	for id, v := range readVectors(f) {
		if id != "attestation-root-cert" {
			f.Add(v.answer(f, 1, "clientDataJSON", "authenticatorData", "signature"))
		}
	}
}

// FuzzAuthenticationAnswer holds that whatever proves an action carries a signature
// of the passkey's own key over the challenge, and that all else is refused, fails
// no action and is never a fault.
func FuzzAuthenticationAnswer(f *testing.F) {
	fuzzAssertions(f, nil)
	world := ceremonytest.Open(f, vectorParty, func(c *ceremonies.Config) { c.SignCount = ceremonies.AcceptSignCountRegress })
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := world.In(t)
		enrolOnce(w)
		grant := w.Track("anna", events.StateChallengeRequired, "")
		id := beginVector(w, grant, ceremonies.Authentication, ceremonies.ForAction, fuzzValue, fuzzSoftware().CredentialID)
		_, err := w.RP.FinishStepUp(t.Context(), grant, id, raw, ceremonies.Client{})
		want := events.StateChallengeRequired
		if err != nil {
			wantRefusal(t, err)
		} else {
			want = events.StateChallengeSucceeded
			if !signedByFuzzKey(raw) {
				t.Fatal("it was accepted without a signature")
			}
		}
		if state := w.State(grant.Action); state != want {
			t.Fatalf("the action is %s, want %s", state, want)
		}
	})
}

// FuzzSignInAnswer holds the same of signing in, and that it is anna who does.
func FuzzSignInAnswer(f *testing.F) {
	fuzzAssertions(f, []byte("anna"))
	world := ceremonytest.Open(f, vectorParty, func(c *ceremonies.Config) { c.SignCount = ceremonies.AcceptSignCountRegress })
	var keys atomic.Int64
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := world.In(t)
		enrolOnce(w)
		// The user handle is random in each process; the seeds say "anna".
		handle := base64.RawURLEncoding.EncodeToString(w.Account("anna").Handle)
		raw = bytes.ReplaceAll(raw, []byte(`"userHandle":"`+base64.RawURLEncoding.EncodeToString([]byte("anna"))+`"`), []byte(`"userHandle":"`+handle+`"`))
		id := beginVector(w, ceremonies.Grant{Action: events.ActionID{Code: "sign-in", Key: fmt.Sprint(keys.Add(1))}}, ceremonies.Authentication, ceremonies.ForSignIn, fuzzValue)
		proof, err := w.RP.FinishSignIn(t.Context(), id, raw, ceremonies.Client{}, func(ctx context.Context, id events.ActionID) error { return w.SignIn(ctx, id) })
		if err != nil {
			wantRefusal(t, err)
			return
		}
		if proof.Action.User != "anna" || !signedByFuzzKey(raw) {
			t.Fatalf("%q was signed in", proof.Action.User)
		}
	})
}

// enrolOnce registers fuzzKey for anna unless she has it.
func enrolOnce(w *ceremonytest.World) {
	w.Helper()
	if w.Account("anna").Known {
		return
	}
	grant := w.TrackNew("anna")
	enrolment, err := w.RP.BeginEnrolment(w.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		w.Fatal(err)
	}
	creation := fuzzSoftware().Create(enrolment.Options)
	creation.Client.Data["origin"] = "https://example.org"
	if _, err := w.RP.FinishEnrolment(w.Context(), grant, enrolment.Challenge, creation.Write(), ceremonies.Client{}); err != nil {
		w.Fatal(err)
	}
}

var (
	oneTimeCode  = regexp.MustCompile(`^[0-9]{6}$`)
	recoveryCode = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{16}$`)
	domException = regexp.MustCompile(`^[A-Za-z]{1,40}$`)
)

// FuzzCodes holds that what is compared with a code always has the form of one, and
// that reading it again changes nothing.
func FuzzCodes(f *testing.F) {
	for _, seed := range []string{"123456", "123 456", "١٢٣٤٥٦", "۱۲۳-۴۵۶", "ABCD-EFGH-JKMN-PQRS", "oooo iiii llll 0000", "", "12345", strings.Repeat("1", 65)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for method, form := range map[events.Method]*regexp.Regexp{
			events.MethodEmailOTP: oneTimeCode, events.MethodAuthenticatorApp: oneTimeCode, events.MethodRecoveryCode: recoveryCode,
		} {
			code, refused := ceremonies.Normal(method, text)
			if refused != nil {
				if code != "" || refused.Reason != ceremonies.ReasonMalformed {
					t.Errorf("%s: %q and %v", method, code, refused)
				}
				continue
			}
			if !form.MatchString(code) {
				t.Errorf("%s: %q is read as %q", method, text, code)
			}
			if again, refused := ceremonies.Normal(method, code); refused != nil || again != code {
				t.Errorf("%s: %q is read as %q the second time", method, code, again)
			}
		}
	})
}

// FuzzAddress holds that an accepted address is one, as it was typed, and can stand
// in a header of mail; and that it is not told to who does not know it.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"anna@example.com", "a@b", "Anna <anna@example.com>", "anna@example.com, bert@example.com", "anna@example.com\r\nBcc: all@example.com",
		`"a b"@example.com`, "ä@ö.example", "anna@", "@example.com", "anna@[127.0.0.1]", "<anna@example.com>", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, refused := ceremonies.Address(text)
		if refused != nil {
			if got != "" {
				t.Errorf("refused and read as %q", got)
			}
			return
		}
		parsed, err := mail.ParseAddressList(got)
		if got != text || err != nil || len(parsed) != 1 || parsed[0].Name != "" || len(got) > 320 || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q is accepted as %q (%v)", text, got, err)
		}
		local, _, _ := strings.Cut(got, "@")
		if masked := ceremonies.Masked(got); utf8.RuneCountInString(local) > 1 && strings.HasPrefix(masked, local+"@") {
			t.Errorf("%q is masked as %q", got, masked)
		}
	})
}

// FuzzErrorName holds that nothing but a name gets into the trail.
func FuzzErrorName(f *testing.F) {
	for _, seed := range []string{"NotAllowedError", "InvalidStateError", "", "Not allowed", "<script>", strings.Repeat("a", 41), "Ä", "other"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := ceremonies.ErrorName(name); !domException.MatchString(got) || got != "other" && got != name {
			t.Errorf("%q is recorded as %q", name, got)
		}
	})
}
