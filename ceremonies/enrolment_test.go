package ceremonies_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

func TestEnrolmentAddsAPasskey(t *testing.T) {
	for name, kind := range map[string]ceremonytest.Kind{"synced passkey": ceremonytest.Synced, "device-bound passkey": ceremonytest.DeviceBound} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			grant := w.Track("anna", events.StateAllow, "")
			grant.Scopes = ceremonytest.ReadAndAdd
			d := ceremonytest.NewDevice(kind)
			copy(d.Authenticator.Aaguid[:], []byte{0xfb, 0xfc, 0x30, 0x07, 0x15, 0x4e, 0x4e, 0xcc, 0x8c, 0x0b, 0x6e, 0x02, 0x05, 0x57, 0xd7, 0xbd})
			enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			enrolled, err := w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, d.Register(t, enrolment.Options),
				ceremonies.Client{UserAgent: "Safari", DeviceID: "device-1"})
			if err != nil {
				t.Fatal(err)
			}
			got := enrolled.Authenticator
			if got.ID == "" || len(got.Credential) == 0 {
				t.Errorf("authenticator %+v", got)
			}
			got.ID, got.Credential = "", nil
			want := ceremonies.Authenticator{
				User: "anna", Method: events.MethodPasskey, Name: "iCloud Keychain", CredentialID: d.Credential.ID,
				AAGUID: "fbfc3007-154e-4ecc-8c0b-6e020557d7bd", Synced: bool(kind), BackedUp: bool(kind),
				UserAgent: "Safari", DeviceID: "device-1", CreatedAt: w.Clock.Now(), EnrolledFor: grant.Action,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("authenticator (-want +got):\n%s", diff)
			}
			if enrolled.State != events.StateAllow || w.State(grant.Action) != events.StateAllow {
				t.Errorf("enrolling moved the action to %s", w.State(grant.Action))
			}
			if enrolled.Grant.Allows(ceremonies.ScopeAdd) {
				t.Error("the renewed token allows to enrol once more")
			}
			var kinds []events.Kind
			for _, draft := range w.Story(grant.Action) {
				if draft.Kind != events.KindActionTracked {
					kinds = append(kinds, draft.Kind)
				}
			}
			if diff := cmp.Diff([]events.Kind{events.KindCeremonyBegun, events.KindCeremonySucceeded, events.KindAuthenticatorAdded}, kinds); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnrolmentOptions(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Prove("anna", d, ceremonies.ScopeAdd)
	grant.Scopes = ceremonytest.ReadAndAdd
	attachment := "cross-platform"
	enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{
		Username: "anna@example.com", DisplayName: strings.Repeat("å", 300), Attachment: &attachment,
	})
	if err != nil {
		t.Fatal(err)
	}
	options := enrolment.Options
	want := ceremonies.CreationOptions{
		RelyingParty: ceremonies.RelyingPartyEntity{ID: ceremonytest.ID, Name: "Example Shop"},
		User:         ceremonies.UserEntity{ID: w.Account("anna").Handle, Name: "anna@example.com", DisplayName: strings.Repeat("å", 256)},
		Challenge:    options.Challenge, Timeout: 120_000,
		Parameters: []ceremonies.CredentialParameter{
			{Type: "public-key", Algorithm: -7}, {Type: "public-key", Algorithm: -8}, {Type: "public-key", Algorithm: -257},
		},
		ExcludeCredentials: []ceremonies.CredentialDescriptor{{ID: d.Credential.ID, Type: "public-key", Transports: []string{}}},
		Selection: ceremonies.AuthenticatorSelection{
			Attachment: "cross-platform", RequireResidentKey: true, ResidentKey: "required", UserVerification: "required",
		},
		Hints: []string{}, Attestation: "none", Extensions: map[string]any{"credProps": true},
	}
	if diff := cmp.Diff(want, options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}

	t.Run("any attachment when the client names none", func(t *testing.T) {
		enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(enrolment.Options)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("authenticatorAttachment")) {
			t.Errorf("options say %s", raw)
		}
	})
	t.Run("no field that mobile SDKs need is missing or null", func(t *testing.T) {
		fresh := w.Track("dora", events.StateAllow, "")
		fresh.Scopes = ceremonytest.ReadAndAdd
		enrolment, err := w.RP.BeginEnrolment(t.Context(), fresh, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(enrolment.Options)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{
			`"excludeCredentials":[]`, `"hints":[]`, `"timeout":120000`, `"attestation":"none"`, `"rp":{"id":"shop.example","name":"Example Shop"}`,
			`"requireResidentKey":true`, `"residentKey":"required"`, `"userVerification":"required"`, `"pubKeyCredParams":[{`,
		} {
			if !bytes.Contains(raw, []byte(field)) {
				t.Errorf("options lack %s: %s", field, raw)
			}
		}
		if bytes.Contains(raw, []byte("null")) {
			t.Errorf("options hold null: %s", raw)
		}
	})
	t.Run("an unknown attachment is refused", func(t *testing.T) {
		attachment := "implant"
		_, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{Attachment: &attachment})
		wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonBadAttachment)
	})
}

// Enrolling never replaces proving.
func TestEnrolmentIsRefused(t *testing.T) {
	tests := map[string]struct {
		grant  func(w *ceremonytest.World) ceremonies.Grant
		code   string
		reason string
	}{
		"without the scope": {
			grant: func(w *ceremonytest.World) ceremonies.Grant { return w.Track("anna", events.StateAllow, "") },
			code:  ceremonies.CodeInvalidToken, reason: ceremonies.ReasonScopeMissing,
		},
		"with a scope that only begins like it": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				return with(w.Track("anna", events.StateAllow, ""), ceremonies.ScopeAdd+"s")
			},
			code: ceremonies.CodeInvalidToken, reason: ceremonies.ReasonScopeMissing,
		},
		"for a blocked action": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				return with(w.Track("anna", events.StateBlock, ""), ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonBlocked,
		},
		"for a failed action": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				return with(w.Track("anna", events.StateChallengeFailed, ""), ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonBlocked,
		},
		"instead of the proof an action waits for": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				return with(w.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd), ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		"by an enrolled person without a proof": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				w.Enrolled("anna", ceremonytest.Synced)
				return with(w.Track("anna", events.StateAllow, ceremonies.ScopeAdd), ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		"with the proof of an action that was not for it": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				return with(w.Prove("anna", w.Enrolled("anna", ceremonytest.Synced), ""), ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		"with the proof of another action": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				w.Prove("anna", w.Enrolled("anna", ceremonytest.Synced), ceremonies.ScopeAdd)
				return with(w.Track("anna", events.StateAllow, ceremonies.ScopeAdd), ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofMissing,
		},
		"with a proof that is too old": {
			grant: func(w *ceremonytest.World) ceremonies.Grant {
				grant := w.Prove("anna", w.Enrolled("anna", ceremonytest.Synced), ceremonies.ScopeAdd)
				w.Clock.Move(ceremonies.EnrolmentWindow + time.Second)
				return with(grant, ceremonytest.ReadAndAdd)
			},
			code: ceremonies.CodeInvalidRequest, reason: ceremonies.ReasonProofStale,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			_, err := w.RP.BeginEnrolment(t.Context(), test.grant(w), ceremonies.EnrolOptions{})
			wantRefused(t, err, test.code, test.reason)
		})
	}
}

func TestEnrolmentAfterProofOfThisAction(t *testing.T) {
	w := ceremonytest.New(t)
	first := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, ceremonies.ScopeAdd)
	stepUp := w.Begin(grant)
	proof, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, first.Answer(t, stepUp.Options), ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if !proof.Grant.Allows(ceremonies.ScopeAdd) {
		t.Fatalf("the proof's grant has the scopes %q", proof.Grant.Scopes)
	}
	enrolment, err := w.RP.BeginEnrolment(t.Context(), proof.Grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	second := ceremonytest.NewDevice(ceremonytest.DeviceBound)
	enrolled, err := w.RP.FinishEnrolment(t.Context(), proof.Grant, enrolment.Challenge, second.Register(t, enrolment.Options), ceremonies.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(enrolled.Account.Authenticators); n != 2 {
		t.Errorf("the person has %d passkeys", n)
	}
	w.Prove("anna", first, "")
	w.Prove("anna", second, "")
}

// Several registrations of a new person may be begun, but only one can be the
// first, however close they come.
func TestOnlyOnePasskeyIsTheFirst(t *testing.T) {
	w := ceremonytest.New(t)
	grant := w.TrackNew("anna")
	type try struct {
		id     events.ChallengeID
		answer []byte
	}
	var tries []try
	for range 8 {
		enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tries = append(tries, try{enrolment.Challenge, ceremonytest.NewDevice(ceremonytest.Synced).Register(t, enrolment.Options)})
	}
	var wins atomic.Int32
	var group sync.WaitGroup
	for _, try := range tries {
		group.Go(func() {
			_, err := w.RP.FinishEnrolment(t.Context(), grant, try.id, try.answer, ceremonies.Client{})
			var refused *ceremonies.RefusedError
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.As(err, &refused), refused.Reason != ceremonies.ReasonProofMissing && refused.Reason != ceremonies.ReasonEnrolledMeanwhile:
				t.Errorf("unexpected error: %v", err)
			}
		})
	}
	group.Wait()
	if n := len(w.Account("anna").Authenticators); wins.Load() != 1 || n != 1 {
		t.Errorf("%d registrations won, the person has %d passkeys", wins.Load(), n)
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	tests := map[string]struct {
		change func(d *ceremonytest.Device)
		reason string
	}{
		"from another port":                     {func(d *ceremonytest.Device) { d.Party.Origin = ceremonytest.Origin + ":8443" }, ceremonies.ReasonOriginMismatch},
		"for another relying party":             {func(d *ceremonytest.Device) { d.Party.ID = "evil.example" }, ceremonies.ReasonRelyingParty},
		"without user verification":             {func(d *ceremonytest.Device) { d.Authenticator.Options.UserNotVerified = true }, ceremonies.ReasonUserNotVerified},
		"without user presence":                 {func(d *ceremonytest.Device) { d.Authenticator.Options.UserNotPresent = true }, ceremonies.ReasonUserNotPresent},
		"backed up without being able to":       {func(d *ceremonytest.Device) { d.Authenticator.Options.BackupState = true }, ceremonies.ReasonBackupFlags},
		"with client data changed afterwards":   {nil, ceremonies.ReasonVerificationFailed},
		"with the answer to another challenge":  {nil, ceremonies.ReasonChallengeMismatch},
		"with a passkey that somebody has here": {nil, ceremonies.ReasonCredentialExists},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			owner := w.Enrolled("bert", ceremonytest.Synced)
			grant := with(w.Track("anna", events.StateAllow, ""), ceremonytest.ReadAndAdd)
			d := ceremonytest.NewDevice(ceremonytest.DeviceBound)
			enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			options := enrolment.Options
			switch {
			case test.change != nil:
				test.change(d)
			case test.reason == ceremonies.ReasonChallengeMismatch:
				options.Challenge = bytes.Repeat([]byte{1}, 32)
			case test.reason == ceremonies.ReasonCredentialExists:
				d.Credential = owner.Credential
			}
			answer := d.Register(t, options)
			if test.reason == ceremonies.ReasonVerificationFailed {
				answer = edit(t, answer, "clientDataJSON", func(b []byte) []byte { return append(b, ' ') })
			}
			_, err = w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, answer, ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, test.reason)
			if step := w.Last(grant.Action); step.Step != events.KindCeremonyFailed || step.Reason != test.reason {
				t.Errorf("recorded %s for %q", step.Step, step.Reason)
			}
			if got := w.State(grant.Action); got != events.StateAllow {
				t.Errorf("the action became %s", got)
			}
			account, err := w.Store.Account(t.Context(), "anna")
			if err != nil {
				t.Fatal(err)
			}
			if len(account.Authenticators) != 0 {
				t.Error("the passkey was kept all the same")
			}
		})
	}
}

func TestChallengeServesOnePurpose(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Prove("anna", d, ceremonies.ScopeAdd)
	grant.Scopes = ceremonytest.ReadAndAdd
	enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	answer := d.Answer(t, ceremonies.RequestOptions{Challenge: enrolment.Options.Challenge, RelyingPartyID: ceremonytest.ID})
	_, err = w.RP.FinishStepUp(t.Context(), grant, enrolment.Challenge, answer, ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonWrongKind)
}
