package operators_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/store"
)

const origin = "https://console.example"

type desk struct {
	*operators.Desk
	t     *testing.T
	store *store.Store
	dir   string
	now   time.Time
}

func open(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), now: time.Now()}
	clock := func() time.Time { return d.now }
	var err error
	if d.store, err = store.Open(t.Context(), store.Config{Dir: d.dir, Now: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	d.Desk, err = operators.New(operators.Config{RPID: "console.example", Origins: []string{origin}, Now: clock}, d.store)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// key is one operator's passkey.
type key struct {
	authenticator virtualwebauthn.Authenticator
	credential    virtualwebauthn.Credential
	origin        string
}

func newKey() *key {
	return &key{virtualwebauthn.NewAuthenticator(), ceremonytest.NewCredential(), origin}
}

func (k *key) party() virtualwebauthn.RelyingParty {
	return virtualwebauthn.RelyingParty{ID: "console.example", Name: "Sallyport console", Origin: k.origin}
}

func (k *key) create(t *testing.T, options json.RawMessage) json.RawMessage {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	k.authenticator.Options.UserHandle = []byte(parsed.UserID)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(k.party(), k.authenticator, k.credential, *parsed))
}

func (k *key) sign(t *testing.T, options json.RawMessage) json.RawMessage {
	t.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(k.party(), k.authenticator, k.credential, *parsed))
}

func (d *desk) invite(role operators.Role) string {
	d.t.Helper()
	secret, _, err := d.Invite(context.Background(), role, events.ByManagement)
	if err != nil {
		d.t.Fatal(err)
	}
	return secret
}

// register registers an operator with a key.
func (d *desk) register(k *key) operators.SignedIn {
	d.t.Helper()
	ceremony, options, err := d.BeginRegistration(context.Background(), d.invite(operators.Administrator), "Olivia")
	if err != nil {
		d.t.Fatal(err)
	}
	in, err := d.FinishRegistration(context.Background(), ceremony, k.create(d.t, options))
	if err != nil {
		d.t.Fatal(err)
	}
	return in
}

// signIn signs in with a key.
func (d *desk) signIn(k *key) (operators.SignedIn, error) {
	d.t.Helper()
	ceremony, options, err := d.BeginSignIn(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	return d.FinishSignIn(context.Background(), ceremony, k.sign(d.t, options))
}

func TestRolesIncludeThoseBelow(t *testing.T) {
	order := []operators.Role{operators.Reviewer, operators.Analyst, operators.Administrator}
	for i, role := range order {
		for j, other := range order {
			if got := role.Includes(other); got != (i >= j) {
				t.Errorf("%s includes %s: %t", role, other, got)
			}
		}
		if role.Includes("") || role.Includes("king") || operators.Role("king").Includes(role) {
			t.Errorf("%s and a role that does not exist", role)
		}
	}
}

func TestOptionsAskForWhatASignInNeeds(t *testing.T) {
	d := open(t)
	_, creation, err := d.BeginRegistration(t.Context(), d.invite(operators.Analyst), "Olivia")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"residentKey":"required"`, `"userVerification":"required"`, `"id":"console.example"`, `"name":"Olivia"`} {
		if !bytes.Contains(creation, []byte(part)) {
			t.Errorf("%s is missing: %s", part, creation)
		}
	}
	_, request, err := d.BeginSignIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(request, []byte(`"userVerification":"required"`)) || bytes.Contains(request, []byte("allowCredentials")) {
		t.Errorf("the passkey should say whose it is: %s", request)
	}
}

func TestASessionEnds(t *testing.T) {
	d := open(t)
	k := newKey()
	first := d.register(k)
	k.credential.Counter++
	second, err := d.signIn(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []operators.SignedIn{first, second} {
		if who, err := d.Session(t.Context(), in.Secret); err != nil || who.Name != "Olivia" || who.Role != operators.Administrator {
			t.Errorf("%+v, %v", who, err)
		}
	}
	if err := d.SignOut(t.Context(), first.Secret); err != nil {
		t.Fatal(err)
	}
	if err := d.SignOut(t.Context(), "unknown"); err != nil {
		t.Errorf("signing out twice: %v", err)
	}
	if _, err := d.Session(t.Context(), first.Secret); !errors.Is(err, operators.ErrNotFound) {
		t.Errorf("after signing out: %v", err)
	}
	d.now = d.now.Add(operators.SessionTTL - time.Second)
	if _, err := d.Session(t.Context(), second.Secret); err != nil {
		t.Errorf("before the end: %v", err)
	}
	d.now = d.now.Add(2 * time.Second)
	if _, err := d.Session(t.Context(), second.Secret); !errors.Is(err, operators.ErrNotFound) {
		t.Errorf("after 12 hours: %v", err)
	}
}

func TestAnAnswerProvesOnlyWhatItWasAskedFor(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(d *desk, k *key) error
		want error
	}{
		"another origin": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			k.origin = "https://evil.example"
			_, err := d.signIn(k)
			return err
		}},
		"our origin in capitals, which no browser writes": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			k.origin = "https://CONSOLE.example"
			_, err := d.signIn(k)
			return err
		}},
		"no user verification": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			k.authenticator.Options.UserNotVerified = true
			_, err := d.signIn(k)
			return err
		}},
		"a key of nobody": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			stranger := newKey()
			stranger.authenticator.Options.UserHandle = []byte("nobody")
			_, err := d.signIn(stranger)
			return err
		}},
		"another key that names the operator": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			forged := newKey()
			forged.authenticator.Options.UserHandle = k.authenticator.Options.UserHandle
			_, err := d.signIn(forged)
			return err
		}},
		"a counter that went back": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			k.credential.Counter = 9
			if _, err := d.signIn(k); err != nil {
				return err
			}
			k.credential.Counter = 5
			_, err := d.signIn(k)
			return err
		}},
		"an answer twice": {want: operators.ErrCeremony, do: func(d *desk, k *key) error {
			k.credential.Counter++
			ceremony, options, err := d.BeginSignIn(d.t.Context())
			if err != nil {
				return err
			}
			answer := k.sign(d.t, options)
			if _, err := d.FinishSignIn(d.t.Context(), ceremony, answer); err != nil {
				return err
			}
			_, err = d.FinishSignIn(d.t.Context(), ceremony, answer)
			return err
		}},
		"an answer too late": {want: operators.ErrCeremony, do: func(d *desk, k *key) error {
			ceremony, options, err := d.BeginSignIn(d.t.Context())
			if err != nil {
				return err
			}
			d.now = d.now.Add(operators.CeremonyTTL + time.Second)
			_, err = d.FinishSignIn(d.t.Context(), ceremony, k.sign(d.t, options))
			return err
		}},
		"a registration that is a sign-in": {want: operators.ErrCeremony, do: func(d *desk, k *key) error {
			ceremony, options, err := d.BeginRegistration(d.t.Context(), d.invite(operators.Administrator), "Eve")
			if err != nil {
				return err
			}
			_, err = d.FinishSignIn(d.t.Context(), ceremony, k.sign(d.t, options))
			return err
		}},
		"a sign-in that is a registration": {want: operators.ErrCeremony, do: func(d *desk, k *key) error {
			ceremony, _, err := d.BeginSignIn(d.t.Context())
			if err != nil {
				return err
			}
			_, err = d.FinishRegistration(d.t.Context(), ceremony, json.RawMessage(`{}`))
			return err
		}},
		"an answer to nothing": {want: operators.ErrCeremony, do: func(d *desk, k *key) error {
			_, err := d.FinishSignIn(d.t.Context(), "unknown", json.RawMessage(`{}`))
			return err
		}},
		"an answer that is none": {want: operators.ErrRefused, do: func(d *desk, k *key) error {
			ceremony, _, err := d.BeginSignIn(d.t.Context())
			if err != nil {
				return err
			}
			_, err = d.FinishSignIn(d.t.Context(), ceremony, json.RawMessage(`{}`))
			return err
		}},
		"a passkey that is registered already": {want: operators.ErrInvite, do: func(d *desk, k *key) error {
			ceremony, options, err := d.BeginRegistration(d.t.Context(), d.invite(operators.Administrator), "Eve")
			if err != nil {
				return err
			}
			_, err = d.FinishRegistration(d.t.Context(), ceremony, k.create(d.t, options))
			return err
		}},
		"a role that does not exist": {want: operators.ErrRole, do: func(d *desk, k *key) error {
			_, _, err := d.Invite(d.t.Context(), "king", events.ByManagement)
			return err
		}},
		"a name that turns the text around": {want: operators.ErrName, do: func(d *desk, k *key) error {
			_, _, err := d.BeginRegistration(d.t.Context(), d.invite(operators.Analyst), "Adm\u202eretsini")
			return err
		}},
		"a name of two lines": {want: operators.ErrName, do: func(d *desk, k *key) error {
			_, _, err := d.BeginRegistration(d.t.Context(), d.invite(operators.Analyst), "Ada\nadministrator")
			return err
		}},
		"a name without end": {want: operators.ErrName, do: func(d *desk, k *key) error {
			_, _, err := d.BeginRegistration(d.t.Context(), d.invite(operators.Analyst), strings.Repeat("a", 65))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d, k := open(t), newKey()
			d.register(k)
			if err := row.do(d, k); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if n, err := d.store.OperatorCount(t.Context()); n != 1 || err != nil {
				t.Errorf("%d operators, %v", n, err)
			}
		})
	}
}

func TestTheFirstAdministratorsInvite(t *testing.T) {
	d := open(t)
	first := func() string {
		secret, _, err := d.Invite(t.Context(), operators.Administrator, events.BySallyport)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	refused := func(invite, name string) {
		t.Helper()
		if _, _, err := d.BeginRegistration(t.Context(), invite, "Eve"); !errors.Is(err, operators.ErrInvite) {
			t.Errorf("%s: %v; want ErrInvite", name, err)
		}
	}
	byManagement := d.invite(operators.Reviewer)
	earlier := first()
	overtaken, overtakenOptions, err := d.BeginRegistration(t.Context(), earlier, "Eve")
	if err != nil {
		t.Fatal(err)
	}
	later := first()
	refused(earlier, "an invite of an earlier start")
	if _, err := d.FinishRegistration(t.Context(), overtaken, newKey().create(t, overtakenOptions)); !errors.Is(err, operators.ErrInvite) {
		t.Errorf("finished with an invite of an earlier start: %v; want ErrInvite", err)
	}

	begun, options, err := d.BeginRegistration(t.Context(), later, "Eve")
	if err != nil {
		t.Fatal(err)
	}
	d.register(newKey()) // through an invite by management
	refused(later, "with an operator")
	if _, err := d.FinishRegistration(t.Context(), begun, newKey().create(t, options)); !errors.Is(err, operators.ErrInvite) {
		t.Errorf("finished with an operator: %v; want ErrInvite", err)
	}
	refused(first(), "made while somebody registered")
	if _, _, err := d.BeginRegistration(t.Context(), byManagement, "Rita"); err != nil {
		t.Errorf("an invite by management: %v", err)
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	d := open(t)
	unused := d.invite(operators.Reviewer)
	in := d.register(newKey())
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(d.dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		read += len(text)
		for _, secret := range []string{unused, in.Secret} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds a secret", f.Name())
			}
		}
	}
	if read < 4096 {
		t.Errorf("only %d bytes were looked at", read)
	}
}
