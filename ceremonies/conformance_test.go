package ceremonies_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// The relying parties that the cases of WebAuthn L3, sections 7.1 and 7.2, run
// against. "" is the default one.
const (
	framed     = "framed" // pages of partnerOrigin may frame ours
	withApp    = "with an app"
	preferred  = "user verification preferred"
	noSync     = "newly synced passkeys are refused"
	countsFree = "counters that go back are accepted"
)

const (
	partnerOrigin = "https://partner.example"
	appOrigin     = "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck"
)

var parties = map[string]func(*ceremonies.Config){
	"":         func(*ceremonies.Config) {},
	framed:     func(c *ceremonies.Config) { c.TopOrigins = []string{partnerOrigin} },
	withApp:    func(c *ceremonies.Config) { c.AppOrigins = []string{appOrigin} },
	preferred:  func(c *ceremonies.Config) { c.UserVerification = "preferred" },
	noSync:     func(c *ceremonies.Config) { c.Backup = ceremonies.RefuseNewlySynced },
	countsFree: func(c *ceremonies.Config) { c.SignCount = ceremonies.AcceptSignCountRegress },
}

// openParties opens a world with each of the relying parties, all over one store.
func openParties(t *testing.T) map[string]*ceremonytest.World {
	t.Helper()
	w := ceremonytest.New(t)
	worlds := map[string]*ceremonytest.World{}
	for _, name := range slices.Sorted(maps.Keys(parties)) {
		worlds[name] = w.In(t)
		worlds[name].RP = w.RelyingParty(parties[name])
	}
	return worlds
}

// wrongClient are the client data that both ceremonies refuse, by what is wrong
// with them. The steps are those of section 7.1; section 7.2 has the same three on.
var wrongClient = []struct {
	step          int // of section 7.1
	name          string
	party         string
	change        func(c *ceremonytest.Client)
	reason        string
	challengeLeft bool // it cannot be read, so the challenge is not used up
}{
	{step: 5, name: "no client data", change: text(""), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 5, name: "a byte order mark", change: around("\ufeff", ""), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 6, name: "no JSON", change: text("webauthn"), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 6, name: "JSON that is cut off", change: text(`{"type":"webauthn.get"`), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 6, name: "a list", change: around("[", "]"), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 6, name: "null", change: text("null"), reason: ceremonies.ReasonWrongType},
	{step: 6, name: "two documents", change: around("", "{}"), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 7, name: "a type that is a number", change: member("type", 1), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 7, name: "no type", change: without("type"), reason: ceremonies.ReasonWrongType},
	{step: 7, name: "a type of another case", change: rewrite("type", strings.ToUpper), reason: ceremonies.ReasonWrongType},
	{step: 7, name: "a type with a space", change: rewrite("type", func(s string) string { return s + " " }), reason: ceremonies.ReasonWrongType},
	{step: 7, name: "the type of a payment", change: member("type", "payment.get"), reason: ceremonies.ReasonWrongType},
	{step: 8, name: "no challenge", change: without("challenge"), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "an empty challenge", change: member("challenge", ""), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "another challenge", change: member("challenge", strings.Repeat("A", 43)), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "a challenge with padding", change: rewrite("challenge", func(s string) string { return s + "=" }), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "a challenge that is cut", change: rewrite("challenge", func(s string) string { return s[:42] }), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "a challenge of another case", change: rewrite("challenge", swapCase), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "a challenge in base64 of the other alphabet", change: rewrite("challenge", func(s string) string {
		return strings.NewReplacer("-", "+", "_", "/").Replace(s) + "="
	}), reason: ceremonies.ReasonChallengeMismatch},
	{step: 8, name: "a challenge that is a list", change: member("challenge", []int{1}), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 9, name: "no origin", change: without("origin"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "the null origin", change: origin("null"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "another scheme", change: origin("http://shop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "another port", change: origin("https://shop.example:8443"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "the default port spelled out", change: origin("https://shop.example:443"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a host in capitals", change: origin("https://SHOP.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a scheme in capitals", change: origin("HTTPS://shop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a slash behind the origin", change: origin("https://shop.example/"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a path behind the origin", change: origin("https://shop.example/pay?to=me#now"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a user in the origin", change: origin("https://shop.example@evil.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a user before the origin", change: origin("https://evil.example@shop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a dot behind the host", change: origin("https://shop.example."), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a subdomain", change: origin("https://www.shop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "the domain above", change: origin("https://example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "our host as the beginning of another", change: origin("https://shop.example.evil.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "our host as the end of another", change: origin("https://myshop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "letters that look like ours", change: origin("https://sh\u043ep.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a space before the origin", change: origin(" https://shop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a host without a scheme", change: origin("shop.example"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "a related origin that is not listed", change: origin("https://shop.test"), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "the origin of a page that may frame ours", party: framed, change: origin(partnerOrigin), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "an app's origin", change: origin(appOrigin), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "an app's origin of another case", party: withApp, change: origin(swapCase(appOrigin)), reason: ceremonies.ReasonOriginMismatch},
	{step: 9, name: "the origin of an app with another key", party: withApp, change: origin(appOrigin[:len(appOrigin)-1]), reason: ceremonies.ReasonOriginMismatch},
	{step: 10, name: "a frame of another origin", change: member("crossOrigin", true), reason: ceremonies.ReasonCrossOrigin},
	{step: 10, name: "a frame, in words", change: member("crossOrigin", "true"), reason: ceremonies.ReasonMalformed, challengeLeft: true},
	{step: 10, name: "a frame whose page is not named", party: framed, change: member("crossOrigin", true), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "a frame of a page, where none may", change: in(partnerOrigin), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "a page around no frame", change: member("topOrigin", partnerOrigin), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "a page that may, around no frame", party: framed, change: member("topOrigin", partnerOrigin), reason: ceremonies.ReasonVerificationFailed},
	{step: 11, name: "a page that may not", party: framed, change: in("https://evil.example"), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "our own page around the frame", party: framed, change: in(ceremonytest.Origin), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "a page of a subdomain", party: framed, change: in("https://www.partner.example"), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "a page with a path", party: framed, change: in(partnerOrigin + "/cart"), reason: ceremonies.ReasonCrossOrigin},
	{step: 11, name: "a page in capitals", party: framed, change: in(strings.ToUpper(partnerOrigin)), reason: ceremonies.ReasonCrossOrigin},
	{step: 6, name: "a token binding without status (L2)", change: member("tokenBinding", map[string]any{}), reason: ceremonies.ReasonVerificationFailed},
	{step: 6, name: "a token binding of an unknown status (L2)", change: member("tokenBinding", map[string]any{"status": "bound"}), reason: ceremonies.ReasonVerificationFailed},
	{step: 6, name: "a token binding in words (L2)", change: member("tokenBinding", "supported"), reason: ceremonies.ReasonMalformed, challengeLeft: true},
}

// text is client data of other bytes.
func text(s string) func(*ceremonytest.Client) {
	return func(c *ceremonytest.Client) { c.JSON = []byte(s) }
}

// around puts something before and behind the client data.
func around(before, behind string) func(*ceremonytest.Client) {
	return func(c *ceremonytest.Client) { c.JSON = slices.Concat([]byte(before), c.Bytes(), []byte(behind)) }
}

func member(name string, value any) func(*ceremonytest.Client) {
	return func(c *ceremonytest.Client) { c.Data[name] = value }
}

func without(name string) func(*ceremonytest.Client) {
	return func(c *ceremonytest.Client) { delete(c.Data, name) }
}

func rewrite(name string, change func(string) string) func(*ceremonytest.Client) {
	return func(c *ceremonytest.Client) { c.Data[name] = change(c.Data[name].(string)) }
}

func origin(value string) func(*ceremonytest.Client) { return member("origin", value) }

// in is a frame of ours in somebody's page.
func in(top string) func(*ceremonytest.Client) {
	return func(c *ceremonytest.Client) { c.Data["crossOrigin"], c.Data["topOrigin"] = true, top }
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if up := strings.ToUpper(string(r)); up != string(r) {
			return []rune(up)[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, s)
}

// codeOf is the wire code that goes with a reason of a wrong answer.
func codeOf(reason string) string {
	switch reason {
	case ceremonies.ReasonMalformed, ceremonies.ReasonWrongKind, ceremonies.ReasonWrongPurpose, ceremonies.ReasonChallengeUnknown,
		ceremonies.ReasonChallengeTaken, ceremonies.ReasonChallengeExpired:
		return ceremonies.CodeInvalidRequest
	case ceremonies.ReasonUnknownCredential:
		return ceremonies.CodeUnknownCredential
	}
	return ceremonies.CodeInvalidCredential
}

// registration is a case of section 7.1: a right answer with one thing wrong.
type registration struct {
	party  string
	key    int64 // algorithm of the authenticator's key; 0 is ES256
	change func(c *ceremonytest.Creation)
	reason string
	detail string // what the trail says of the cause, in part
	// challengeLeft says that the answer cannot be read, so that it uses up nothing.
	challengeLeft bool
}

// refused runs the case: the refusal is the expected one, the challenge is used up
// unless it is left, and nothing else has changed.
func (test registration) refused(t *testing.T, w *ceremonytest.World, user events.UserID) {
	t.Helper()
	grant := w.TrackNew(user)
	enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := ceremonytest.NewSoftware(t, algorithmOr(test.key))
	creation := s.Create(enrolment.Options)
	good := creation.Write()
	test.change(creation)
	bad := creation.Write()
	before := w.Account(user)
	if bytes.Equal(good, bad) {
		t.Fatal("nothing is wrong with the answer")
	}

	_, err = w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, bad, ceremonies.Client{})
	wantRefused(t, err, codeOf(test.reason), test.reason)
	if diff := cmp.Diff(before, w.Account(user)); diff != "" {
		t.Errorf("the account has changed (-before +after):\n%s", diff)
	}
	wantAction(t, w, grant, events.StateAllow, 0)
	if test.challengeLeft {
		if _, err := w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, good, ceremonies.Client{}); err != nil {
			t.Errorf("the right answer afterwards: %v", err)
		}
		return
	}
	wantFailure(t, w, grant, test.reason, test.detail)
	_, err = w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, good, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
}

// authentication is a case of section 7.2.
type authentication struct {
	party         string
	key           int64
	flags         byte // of the passkey from its registration on, beside presence and verification
	counter       uint32
	change        func(a *ceremonytest.Assertion)
	reason        string
	detail        string
	challengeLeft bool
	regressed     bool // the passkey is flagged for a counter that went back
}

func (test authentication) refused(t *testing.T, w *ceremonytest.World, user events.UserID) {
	t.Helper()
	s := ceremonytest.NewSoftware(t, algorithmOr(test.key))
	s.Flags |= test.flags
	s.Counter = test.counter
	w.EnrolSoftware(user, s)
	grant := w.Track(user, events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	s.Counter += min(s.Counter, 1)
	assertion := s.Get(stepUp.Options)
	good := assertion.Write()
	test.change(assertion)
	bad := assertion.Write()
	before := w.Account(user)

	_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, bad, ceremonies.Client{})
	wantRefused(t, err, codeOf(test.reason), test.reason)
	after := w.Account(user)
	if after.Authenticators[0].Regressed != test.regressed {
		t.Errorf("that a counter went back is %t, want %t", after.Authenticators[0].Regressed, test.regressed)
	}
	after.Authenticators[0].Regressed = before.Authenticators[0].Regressed
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the account has changed (-before +after):\n%s", diff)
	}
	if test.challengeLeft {
		wantAction(t, w, grant, events.StateChallengeRequired, 0)
		if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, good, ceremonies.Client{}); err != nil {
			t.Errorf("the right answer afterwards: %v", err)
		}
		return
	}
	wantAction(t, w, grant, events.StateChallengeRequired, 1)
	wantFailure(t, w, grant, test.reason, test.detail)
	_, err = w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, good, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
	wantAction(t, w, grant, events.StateChallengeRequired, 1)
}

// wantAction checks where an action stands.
func wantAction(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, state events.ActionState, tries int) {
	t.Helper()
	action, err := w.Store.Action(t.Context(), grant.Action)
	if err != nil {
		t.Fatal(err)
	}
	if action.State != state || action.Tries != tries {
		t.Errorf("the action is %s after %d tries, want %s after %d", action.State, action.Tries, state, tries)
	}
}

// wantFailure checks the newest step in the trail.
func wantFailure(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, reason, detail string) {
	t.Helper()
	step := w.Last(grant.Action)
	if step.Step != events.KindCeremonyFailed || step.Reason != reason || !strings.Contains(step.Detail, detail) {
		t.Errorf("recorded %s for %s (%q), want %s (%q)", step.Step, step.Reason, step.Detail, reason, detail)
	}
}

// algorithmOr is ES256 where a case names no algorithm.
func algorithmOr(algorithm int64) int64 {
	if algorithm == 0 {
		return ceremonytest.ES256
	}
	return algorithm
}

func TestClientDataIsRefused(t *testing.T) {
	worlds := openParties(t)
	for i, test := range wrongClient {
		t.Run(fmt.Sprintf("7.1 step %d: %s", test.step, test.name), func(t *testing.T) {
			registration{
				change: func(c *ceremonytest.Creation) { test.change(&c.Client) }, reason: test.reason, challengeLeft: test.challengeLeft,
			}.refused(t, worlds[test.party].In(t), events.UserID(fmt.Sprintf("registers-%d", i)))
		})
		t.Run(fmt.Sprintf("7.2 step %d: %s", test.step+3, test.name), func(t *testing.T) {
			authentication{
				change: func(a *ceremonytest.Assertion) { test.change(&a.Client) }, reason: test.reason, challengeLeft: test.challengeLeft,
			}.refused(t, worlds[test.party].In(t), events.UserID(fmt.Sprintf("proves-%d", i)))
		})
	}
}

// What a client may say: an app that is listed, and a frame of a page that is.
func TestClientDataIsAccepted(t *testing.T) {
	worlds := openParties(t)
	tests := map[string]struct {
		party  string
		change func(*ceremonytest.Client)
	}{
		"our origin":                 {change: origin(ceremonytest.Origin)},
		"no word about frames":       {change: without("crossOrigin")},
		"an app that is listed":      {party: withApp, change: origin(appOrigin)},
		"a frame of a page that may": {party: framed, change: in(partnerOrigin)},
		"members of the future":      {change: member("extraData", map[string]any{"a": []int{1}})},
		"a token binding of old":     {change: member("tokenBinding", map[string]any{"status": "supported"})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := worlds[test.party].In(t)
			user := events.UserID(name)
			grant := w.TrackNew(user)
			enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
			creation := s.Create(enrolment.Options)
			test.change(&creation.Client)
			if _, err := w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, creation.Write(), ceremonies.Client{}); err != nil {
				t.Fatal(err)
			}
			grant = w.Track(user, events.StateChallengeRequired, "")
			stepUp := w.Begin(grant)
			assertion := s.Get(stepUp.Options)
			test.change(&assertion.Client)
			if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, assertion.Write(), ceremonies.Client{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOriginsAreConfiguredAsBrowsersWriteThem(t *testing.T) {
	w := ceremonytest.New(t)
	right := []string{"https://shop.example", "https://shop.example:8443", "http://localhost:8080", "http://[::1]:8080"}
	wrong := []string{
		"", "shop.example", "https://", "https://shop.example/", "https://shop.example/pay", "https://Shop.example", "HTTPS://shop.example",
		"https://shop.example:443", "http://localhost:80", "https://anna@shop.example", "https://shop.example?", appOrigin,
	}
	made := func(change func(*ceremonies.Config)) error {
		config := ceremonies.Config{
			ID: ceremonytest.ID, Name: "Example Shop", Origins: []string{ceremonytest.Origin}, Tenant: ceremonytest.Tenant, Key: ceremonytest.Key,
		}
		change(&config)
		_, err := ceremonies.New(config, w.Store, w.Tokens)
		return err
	}
	for _, origin := range right {
		if err := made(func(c *ceremonies.Config) { c.Origins = []string{origin} }); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for _, origin := range wrong {
		if made(func(c *ceremonies.Config) { c.Origins = []string{origin} }) == nil {
			t.Errorf("%q is taken for an origin", origin)
		}
		if made(func(c *ceremonies.Config) { c.TopOrigins = []string{origin} }) == nil {
			t.Errorf("%q is taken for the origin of a page around ours", origin)
		}
	}
}
