package ceremonies_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// shape is what a refusal is but for its reason: it moves nothing, locks nothing, and
// says nothing of anybody.
func shape(t *testing.T, err error, private ...string) *ceremonies.RefusedError {
	t.Helper()
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("%v; want a refusal", err)
	}
	if refused.State != "" || !refused.Until.IsZero() {
		t.Errorf("the refusal tells the state %q and a time %v", refused.State, refused.Until)
	}
	for _, text := range private {
		if strings.Contains(err.Error(), text) {
			t.Errorf("the refusal tells %q: %v", text, err)
		}
	}
	return refused
}

// What can be asked without a token is answered in one shape for people and challenges
// that there are and for others.
//
// What differs is the reason, and with it the code: an unknown challenge is
// challenge_unknown (invalid_request), a wrong answer to a known one wrong_code
// (invalid_credential), and a claim of a known one without an answer not_verified.
// That tells whether a challenge's id exists, which is random, 128 bits long, and
// known to whoever began it. A wrong answer is counted, an unknown challenge is not:
// there is nobody to count it for, and each costs a guess at the id. Whether an
// address of mail or a user is known here is in none of them: a code is sent to
// whatever address a backend names, and CheckCode asks for no user.
func TestUnknownAndKnownAreRefusedInOneShape(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	request := func(user events.UserID, email, key string) (events.ChallengeID, string) {
		c, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{
			Action: events.ActionID{User: user, Code: "sign-in", Key: key}, Email: email,
		}, ceremonies.Client{})
		if err != nil {
			t.Fatal(err)
		}
		return c.ID, w.Mail.Code()
	}
	known, code := request("anna", "anna@example.com", "s-1")
	nobodys, other := request("", "stranger@example.net", "s-2")
	unknown := events.ChallengeID(strings.Repeat("A", len(known)))

	t.Run("a wrong code", func(t *testing.T) {
		for _, tt := range []struct {
			name         string
			id           events.ChallengeID
			code, reason string
			wire         string
		}{
			{name: "for somebody", id: known, code: another(code), reason: ceremonies.ReasonWrongCode, wire: ceremonies.CodeInvalidCredential},
			{name: "for nobody yet", id: nobodys, code: another(other), reason: ceremonies.ReasonWrongCode, wire: ceremonies.CodeInvalidCredential},
			{name: "of an unknown challenge", id: unknown, code: "123456", reason: ceremonies.ReasonChallengeUnknown, wire: ceremonies.CodeInvalidRequest},
			{name: "of none", id: "", code: "123456", reason: ceremonies.ReasonChallengeUnknown, wire: ceremonies.CodeInvalidRequest},
			{name: "of an id that cannot be", id: "\x00", code: "123456", reason: ceremonies.ReasonChallengeUnknown, wire: ceremonies.CodeInvalidRequest},
			{
				name: "of a step-up", id: w.Begin(w.Track("anna", events.StateChallengeRequired, "")).Challenge, code: "123456",
				reason: ceremonies.ReasonChallengeUnknown, wire: ceremonies.CodeInvalidRequest,
			},
		} {
			t.Run(tt.name, func(t *testing.T) {
				email, err := w.RP.CheckCode(t.Context(), tt.id, tt.code, ceremonies.Client{})
				refused := shape(t, err, "anna", "stranger", code, other)
				if email != "" || refused.Reason != tt.reason || refused.Code != tt.wire {
					t.Errorf("refused %s for %s, and told the address %q", refused.Code, refused.Reason, email)
				}
			})
		}
	})
	t.Run("a claim", func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			id     events.ChallengeID
			user   events.UserID
			reason string
		}{
			{name: "by a user that there is", id: known, user: "anna", reason: ceremonies.ReasonNotVerified},
			{name: "by another", id: known, user: "mallory", reason: ceremonies.ReasonNotVerified},
			{name: "by a new one", id: nobodys, user: "new", reason: ceremonies.ReasonNotVerified},
			{name: "of an unknown challenge", id: unknown, user: "anna", reason: ceremonies.ReasonChallengeUnknown},
		} {
			t.Run(tt.name, func(t *testing.T) {
				_, err := w.RP.Claim(t.Context(), tt.id, tt.user, ceremonies.Client{}, w.SignIn)
				if refused := shape(t, err, "anna", "mallory"); refused.Code != ceremonies.CodeInvalidRequest || refused.Reason != tt.reason {
					t.Errorf("refused %s for %s", refused.Code, refused.Reason)
				}
			})
		}
	})
	t.Run("a sign-in", func(t *testing.T) {
		// A passkey that nobody has here, and one of a person, with a broken signature:
		// browsers forget a passkey that is unknown, so that is told of the former alone.
		begin := func(key string) ceremonies.StepUp {
			begun, err := w.RP.BeginSignIn(t.Context(), "sign-in", key)
			if err != nil {
				t.Fatal(err)
			}
			return begun
		}
		first, second := begin("s-3"), begin("s-4")
		stranger := ceremonytest.NewDevice(ceremonytest.Synced)
		stranger.Authenticator.Options.UserHandle = []byte("handle")
		_, err := w.RP.FinishSignIn(t.Context(), first.Challenge, anybody(t, stranger, first), ceremonies.Client{}, w.SignIn)
		if refused := shape(t, err, "anna"); refused.Reason != ceremonies.ReasonUnknownCredential {
			t.Errorf("a passkey of nobody: %s", refused.Reason)
		}
		broken := edit(t, anybody(t, d, second), "signature", func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		_, err = w.RP.FinishSignIn(t.Context(), second.Challenge, broken, ceremonies.Client{}, w.SignIn)
		if refused := shape(t, err, "anna"); refused.Code != ceremonies.CodeInvalidCredential {
			t.Errorf("a passkey of somebody: %s for %s", refused.Code, refused.Reason)
		}
	})
}

// Challenges that nobody answered leave nothing behind.
func TestChallengesOfNobodyAreSweptSilently(t *testing.T) {
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	before := len(log(w))
	for range 3 {
		if _, err := w.RP.BeginSignIn(t.Context(), "sign-in", "s-1"); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Move(time.Hour)
	if n, err := w.RP.Sweep(t.Context()); err != nil || n != 3 {
		t.Errorf("swept %d, %v", n, err)
	}
	if n := len(log(w)); n != before {
		t.Errorf("%d events were written", n-before)
	}
}
