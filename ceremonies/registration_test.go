package ceremonies_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// publicKey gives a credential a public key with changed members.
func publicKey(change func(map[int64]any)) func(*ceremonytest.Creation) {
	return func(c *ceremonytest.Creation) {
		parameters := ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: newP256()}.Parameters()
		change(parameters)
		c.Auth.PublicKey = ceremonytest.CBOR(parameters)
	}
}

func newP256() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// rsaKey is a public key of RSA with a modulus of so many bits.
func rsaKey(bits int, exponent ...byte) func(*ceremonytest.Creation) {
	return func(c *ceremonytest.Creation) {
		modulus := bytes.Repeat([]byte{0xd5}, bits/8)
		c.Auth.PublicKey = ceremonytest.CBOR(map[int64]any{1: 3, 3: ceremonytest.RS256, -1: modulus, -2: exponent})
	}
}

// answer changes the JSON around an answer.
func answer(name string, value any) func(*ceremonytest.Creation) {
	return func(c *ceremonytest.Creation) {
		c.Client.Answer = func(a map[string]any) { a[name] = value }
	}
}

// object changes the bytes of the attestation object.
func object(change func([]byte) []byte) func(*ceremonytest.Creation) {
	return func(c *ceremonytest.Creation) { c.Object = change }
}

func TestRegistrationStepsAreRefused(t *testing.T) {
	worlds := openParties(t)
	tests := []struct {
		step int // of section 7.1
		name string
		registration
	}{
		{3, "another type of credential", registration{change: answer("type", "password"), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{3, "no type of credential", registration{change: answer("type", nil), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{3, "no response", registration{change: answer("response", nil), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{3, "an id that is not the raw id", registration{change: answer("id", "AAAA"), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{3, "no id", registration{change: answer("id", ""), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{3, "an id in base64 of the other alphabet", registration{change: answer("id", "+/+/"), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{7, "an authentication", registration{change: func(c *ceremonytest.Creation) { c.Client.Data["type"] = "webauthn.get" }, reason: ceremonies.ReasonWrongType}},
		{13, "no CBOR", registration{change: object(func([]byte) []byte { return []byte("{}") }), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "bytes behind the attestation object", registration{change: object(func(b []byte) []byte { return append(b, 0) }), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "an attestation object that is cut off", registration{change: object(func(b []byte) []byte { return b[:len(b)-1] }), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "a map of no stated length", registration{change: object(func(b []byte) []byte {
			return append(append([]byte{0xbf}, b[1:]...), 0xff)
		}), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "a member twice", registration{change: object(func(b []byte) []byte {
			return append(append([]byte{0xa4}, b[1:]...), ceremonytest.CBOR(map[string]string{"fmt": "none"})[1:]...)
		}), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "no authenticator data", registration{change: object(func([]byte) []byte {
			return ceremonytest.CBOR(map[string]any{"fmt": "none", "attStmt": map[string]any{}})
		}), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "no attested credential data", registration{change: func(c *ceremonytest.Creation) { c.Auth.Flags &^= ceremonytest.AttestedData }, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "bytes behind the authenticator data", registration{change: func(c *ceremonytest.Creation) { c.Auth.Trailing = []byte{0} }, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{13, "an AAGUID that is cut off", registration{change: func(c *ceremonytest.Creation) { c.Auth.AAGUID = c.Auth.AAGUID[:8] }, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{14, "another relying party", registration{change: func(c *ceremonytest.Creation) { c.Auth.RPIDHash = ceremonytest.Hash([]byte("evil.example")) }, reason: ceremonies.ReasonRelyingParty}},
		{14, "the hash of our origin", registration{change: func(c *ceremonytest.Creation) { c.Auth.RPIDHash = ceremonytest.Hash([]byte(ceremonytest.Origin)) }, reason: ceremonies.ReasonRelyingParty}},
		{14, "the domain above", registration{change: func(c *ceremonytest.Creation) { c.Auth.RPIDHash = ceremonytest.Hash([]byte("example")) }, reason: ceremonies.ReasonRelyingParty}},
		{14, "zeros", registration{change: func(c *ceremonytest.Creation) { c.Auth.RPIDHash = make([]byte, 32) }, reason: ceremonies.ReasonRelyingParty}},
		{15, "nobody was present", registration{change: func(c *ceremonytest.Creation) { c.Auth.Flags &^= ceremonytest.UserPresent }, reason: ceremonies.ReasonUserNotPresent}},
		{15, "nobody was present, where verification is preferred", registration{party: preferred, change: func(c *ceremonytest.Creation) { c.Auth.Flags &^= ceremonytest.UserPresent }, reason: ceremonies.ReasonUserNotPresent}},
		{16, "nobody was verified", registration{change: func(c *ceremonytest.Creation) { c.Auth.Flags &^= ceremonytest.UserVerified }, reason: ceremonies.ReasonUserNotVerified}},
		{17, "backed up and not eligible for it", registration{change: func(c *ceremonytest.Creation) { c.Auth.Flags |= ceremonytest.BackupState }, reason: ceremonies.ReasonBackupFlags}},
		{20, "an algorithm that is not offered", registration{change: publicKey(func(k map[int64]any) { k[3] = ceremonytest.ES384 }), reason: ceremonies.ReasonVerificationFailed, detail: "algorithm not supported"}},
		{20, "no algorithm", registration{change: publicKey(func(k map[int64]any) { delete(k, 3) }), reason: ceremonies.ReasonVerificationFailed, detail: "algorithm not supported"}},
		{20, "a key type that is not the algorithm's", registration{change: publicKey(func(k map[int64]any) { k[1] = 3 }), reason: ceremonies.ReasonUnusableKey}},
		{20, "an unknown key type", registration{change: publicKey(func(k map[int64]any) { k[1] = 4 }), reason: ceremonies.ReasonUnusableKey}},
		{20, "a curve that is not the algorithm's", registration{change: publicKey(func(k map[int64]any) { k[-1] = 2 }), reason: ceremonies.ReasonUnusableKey}},
		{20, "no curve", registration{change: publicKey(func(k map[int64]any) { delete(k, -1) }), reason: ceremonies.ReasonUnusableKey}},
		{20, "a point that is not on the curve", registration{change: publicKey(func(k map[int64]any) { k[-3] = bytes.Repeat([]byte{1}, 32) }), reason: ceremonies.ReasonUnusableKey}},
		{20, "the point at zero", registration{change: publicKey(func(k map[int64]any) { k[-2], k[-3] = make([]byte, 32), make([]byte, 32) }), reason: ceremonies.ReasonUnusableKey}},
		{20, "a coordinate without its leading zeros", registration{change: publicKey(func(k map[int64]any) { k[-2] = k[-2].([]byte)[1:] }), reason: ceremonies.ReasonUnusableKey}},
		{20, "a compressed point", registration{change: publicKey(func(k map[int64]any) { k[-3] = true }), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of Ed25519 under ES256", registration{key: ceremonytest.EdDSA, change: func(c *ceremonytest.Creation) {
			c.Auth.PublicKey = ceremonytest.CBOR(map[int64]any{1: 1, 3: ceremonytest.ES256, -1: 6, -2: make([]byte, 32)})
		}, reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of Ed25519 that is too short", registration{key: ceremonytest.EdDSA, change: func(c *ceremonytest.Creation) {
			c.Auth.PublicKey = ceremonytest.CBOR(map[int64]any{1: 1, 3: ceremonytest.EdDSA, -1: 6, -2: make([]byte, 31)})
		}, reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of X25519, which signs nothing", registration{key: ceremonytest.EdDSA, change: func(c *ceremonytest.Creation) {
			c.Auth.PublicKey = ceremonytest.CBOR(map[int64]any{1: 1, 3: ceremonytest.EdDSA, -1: 4, -2: make([]byte, 32)})
		}, reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of RSA with 512 bits", registration{change: rsaKey(512, 1, 0, 1), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of RSA with 1,024 bits", registration{change: rsaKey(1024, 1, 0, 1), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of RSA with the exponent 1", registration{change: rsaKey(2048, 1), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of RSA with an even exponent", registration{change: rsaKey(2048, 1, 0, 0), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of RSA with an exponent of 9 bytes", registration{change: rsaKey(2048, 1, 0, 0, 0, 0, 0, 0, 0, 1), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key of RSA that nobody can reckon with", registration{change: rsaKey(16384+8, 1, 0, 1), reason: ceremonies.ReasonUnusableKey}},
		{20, "a key that is no map", registration{change: func(c *ceremonytest.Creation) { c.Auth.PublicKey = ceremonytest.CBOR("key") }, reason: ceremonies.ReasonVerificationFailed}},
		{20, "no key", registration{change: func(c *ceremonytest.Creation) { c.Auth.PublicKey = nil }, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{20, "a key with a member twice", registration{change: func(c *ceremonytest.Creation) {
			c.Auth.PublicKey = append(append([]byte{0xa6}, c.Auth.PublicKey[1:]...), 1, 2)
		}, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{21, "extensions announced and none there", registration{change: func(c *ceremonytest.Creation) { c.Auth.Flags |= ceremonytest.ExtensionData }, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{21, "extensions that are no map", registration{change: func(c *ceremonytest.Creation) {
			c.Auth.Flags |= ceremonytest.ExtensionData
			c.Auth.Extensions = ceremonytest.CBOR([]int{1})
		}, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{21, "extensions that are not announced", registration{change: func(c *ceremonytest.Creation) {
			c.Auth.Trailing = ceremonytest.CBOR(map[string]any{"credProtect": 2})
		}, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{21, "extensions of the client that are no object", registration{change: answer("clientExtensionResults", "none"), reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{26, "a credential id of 1,024 bytes", registration{change: func(c *ceremonytest.Creation) {
			c.Auth.CredentialID = bytes.Repeat([]byte{7}, 1024)
			c.ID = c.Auth.CredentialID
		}, reason: ceremonies.ReasonMalformed, challengeLeft: true}},
		{26, "an empty credential id", registration{change: func(c *ceremonytest.Creation) { c.Auth.CredentialID = nil }, reason: ceremonies.ReasonVerificationFailed, detail: "credential id"}},
		{26, "a credential id that the client does not tell", registration{change: func(c *ceremonytest.Creation) { c.ID = bytes.Repeat([]byte{7}, 32) }, reason: ceremonies.ReasonVerificationFailed, detail: "credential id"}},
		{26, "a credential id that the client tells with a byte more", registration{change: func(c *ceremonytest.Creation) { c.ID = append(bytes.Clone(c.ID), 0) }, reason: ceremonies.ReasonVerificationFailed, detail: "credential id"}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("7.1 step %d: %s", test.step, test.name), func(t *testing.T) {
			test.refused(t, worlds[test.party].In(t), events.UserID(fmt.Sprintf("registers-%d", i)))
		})
	}
}

// Step 27: a credential is registered once, to one person.
func TestRegisteredCredentialIsRefused(t *testing.T) {
	world := ceremonytest.New(t)
	s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
	world.EnrolSoftware("anna", s)
	other := ceremonytest.NewSoftware(t, ceremonytest.ES256)
	world.EnrolSoftware("bert", other)
	// In this order: registering for somebody else gives the device another user handle.
	for _, row := range []struct {
		name string
		user events.UserID
	}{{"of the same person", "anna"}, {"of another person", "cleo"}} {
		t.Run("7.1 step 27: a credential "+row.name, func(t *testing.T) {
			user := row.user
			w := world.In(t)
			grant := w.TrackNew(user)
			if user == "anna" {
				grant = w.Track(user, events.StateChallengeRequired, ceremonies.ScopeAdd)
				stepUp := w.Begin(grant)
				proof, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, s.Get(stepUp.Options).Write(), ceremonies.Client{})
				if err != nil {
					t.Fatal(err)
				}
				grant = proof.Grant
			}
			enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			owner := w.Account("anna").Authenticators
			_, err = w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, s.Create(enrolment.Options).Write(), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonCredentialExists)
			if n := len(w.Account("anna").Authenticators); n != len(owner) {
				t.Errorf("its owner has %d authenticators", n)
			}
			if n := len(w.Account("cleo").Authenticators); n != 0 {
				t.Errorf("cleo has %d authenticators", n)
			}
		})
	}
}

// What belongs to the ceremony and not to the answer.
func TestRegistrationOfAnotherCeremonyIsRefused(t *testing.T) {
	world := ceremonytest.New(t)
	tests := map[string]struct {
		finish func(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, begun ceremonies.Enrolment, answer []byte) error
		reason string
	}{
		"a challenge that has expired": {
			finish: func(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, begun ceremonies.Enrolment, answer []byte) error {
				w.Clock.Move(ceremonies.DefaultChallengeTTL)
				_, err := w.RP.FinishEnrolment(t.Context(), w.Grant(grant.Action, ceremonytest.ReadAndAdd), begun.Challenge, answer, ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeExpired,
		},
		"the challenge of another person": {
			finish: func(t *testing.T, w *ceremonytest.World, _ ceremonies.Grant, begun ceremonies.Enrolment, answer []byte) error {
				_, err := w.RP.FinishEnrolment(t.Context(), w.TrackNew("mallory"), begun.Challenge, answer, ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeUnknown,
		},
		"the challenge of another action": {
			finish: func(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, begun ceremonies.Enrolment, answer []byte) error {
				_, err := w.RP.FinishEnrolment(t.Context(), w.TrackNew(grant.Action.User), begun.Challenge, answer, ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeUnknown,
		},
		"a registration where a proof is asked for": {
			finish: func(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, begun ceremonies.Enrolment, answer []byte) error {
				_, err := w.RP.FinishStepUp(t.Context(), grant, begun.Challenge, answer, ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonMalformed,
		},
		"an id that is none": {
			finish: func(t *testing.T, w *ceremonytest.World, grant ceremonies.Grant, _ ceremonies.Enrolment, answer []byte) error {
				_, err := w.RP.FinishEnrolment(t.Context(), grant, "' OR 1=1 --", answer, ceremonies.Client{})
				return err
			}, reason: ceremonies.ReasonChallengeUnknown,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := world.In(t)
			grant := w.TrackNew(events.UserID(name))
			begun, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			answer := ceremonytest.NewSoftware(t, ceremonytest.ES256).Create(begun.Options).Write()
			wantRefused(t, test.finish(t, w, grant, begun, answer), ceremonies.CodeInvalidRequest, test.reason)
			for _, user := range []events.UserID{grant.Action.User, "mallory"} {
				if n := len(w.Account(user).Authenticators); n != 0 {
					t.Errorf("%s has %d authenticators", user, n)
				}
			}
		})
	}
}

// Nobody asks for these, and password managers answer them all the same.
func TestExtensionsThatNobodyAskedForAreIgnored(t *testing.T) {
	world := ceremonytest.New(t)
	s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
	grant := world.TrackNew("anna")
	enrolment, err := world.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	extended := func(c *ceremonytest.Client, a *ceremonytest.AuthData) {
		c.Answer = func(answer map[string]any) {
			answer["clientExtensionResults"] = map[string]any{"prf": map[string]any{"enabled": true}, "appid": true}
		}
		a.Flags |= ceremonytest.ExtensionData
		a.Extensions = ceremonytest.CBOR(map[string]any{"hmac-secret": true})
	}
	creation := s.Create(enrolment.Options)
	extended(&creation.Client, &creation.Auth)
	if _, err := world.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, creation.Write(), ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	world.Clock.Move(time.Second)
	grant = world.Track("anna", events.StateChallengeRequired, "")
	stepUp := world.Begin(grant)
	assertion := s.Get(stepUp.Options)
	extended(&assertion.Client, &assertion.Auth)
	if _, err := world.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, assertion.Write(), ceremonies.Client{}); err != nil {
		t.Error(err)
	}
}
