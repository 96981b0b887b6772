package ceremonies_test

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// The test vectors of WebAuthn Level 3; see testdata/README.md.
//
//go:embed testdata/webauthn-l3-vectors.json
var vectorsJSON []byte

// vector is one credential of the specification: its registration, and its
// authentication.
type vector struct {
	ID     string
	Blocks []map[string]string // values in hexadecimal
}

func (v vector) bytes(t testing.TB, block int, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Blocks[block][name])
	if err != nil || len(b) == 0 {
		t.Fatalf("%s: no bytes are called %s (%v)", v.ID, name, err)
	}
	return b
}

// credentialID is the id as browsers write it.
func (v vector) credentialID(t testing.TB) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(v.bytes(t, 0, "credential_id"))
}

// answer is one of the vector's answers in the form that browsers send. The
// vectors have no user handle.
func (v vector) answer(t testing.TB, block int, names ...string) []byte {
	t.Helper()
	response := map[string]string{}
	for _, name := range names {
		response[name] = base64.RawURLEncoding.EncodeToString(v.bytes(t, block, name))
	}
	raw, err := json.Marshal(map[string]any{
		"id": v.credentialID(t), "rawId": v.credentialID(t), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// readVectors reads the vectors by their ids, without the beginning that all share.
func readVectors(t testing.TB) map[string]vector {
	t.Helper()
	var list []vector
	if err := json.Unmarshal(vectorsJSON, &list); err != nil {
		t.Fatal(err)
	}
	vectors := map[string]vector{}
	for _, v := range list {
		vectors[strings.TrimPrefix(v.ID, "sctn-test-vectors-")] = v
	}
	return vectors
}

// vectorAlgorithms are those of the vectors that the library can verify.
var vectorAlgorithms = []int{
	int(ceremonytest.ES256), int(ceremonytest.ES384), int(ceremonytest.ES512), int(ceremonytest.EdDSA), int(ceremonytest.RS256),
}

// vectorParty is the relying party that the vectors were made for. They do not all
// verify the user.
func vectorParty(c *ceremonies.Config) {
	c.ID, c.Origins, c.TopOrigins = "example.org", []string{"https://example.org"}, []string{"https://example.com"}
	c.GuardedOrigins = c.Origins
	c.Algorithms, c.UserVerification = vectorAlgorithms, "discouraged"
}

// beginVector stores a challenge with the vector's value, as BeginEnrolment and
// BeginStepUp store theirs.
func beginVector(w *ceremonytest.World, grant ceremonies.Grant, kind ceremonies.Kind, purpose ceremonies.Purpose, value []byte, allowed ...[]byte) events.ChallengeID {
	w.Helper()
	data := webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(value), RelyingPartyID: "example.org",
		UserID: w.Account(grant.Action.User).Handle, UserVerification: protocol.VerificationDiscouraged, AllowedCredentialIDs: allowed,
	}
	for _, n := range vectorAlgorithms {
		data.CredParams = append(data.CredParams, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(n)})
	}
	session, err := json.Marshal(data)
	if err != nil {
		w.Fatal(err)
	}
	challenge := ceremonies.Challenge{
		ID: events.ChallengeID(fmt.Sprintf("%026X", ceremonytest.Hash(append([]byte(string(grant.Action.User)+grant.Action.Key+string(kind)), value...))[:13])), Kind: kind, Purpose: purpose, Method: events.MethodPasskey,
		Action: grant.Action, Session: session, Value: value, Most: 1, Nonce: make([]byte, 32), Digest: []byte("{}"),
		BegunAt: w.Clock.Now(), Expires: w.Clock.Now().Add(ceremonies.DefaultChallengeTTL),
	}
	event, err := events.NewDraft(&events.Ceremony{
		Step: events.KindCeremonyBegun, ActionID: grant.Action, Challenge: challenge.ID, Ceremony: string(kind), Purpose: string(purpose), Method: challenge.Method,
	}, nil, w.Clock.Now())
	if err != nil {
		w.Fatal(err)
	}
	if err := w.Store.Begin(w.Context(), challenge, event); err != nil {
		w.Fatal(err)
	}
	return challenge.ID
}

// vectorResults says of each vector how its registration ends. Where it is accepted,
// so is the authentication.
var vectorResults = map[string]struct {
	reason string // of the refusal, "" for an accepted one
	detail string // what the trail says of the cause, in part
}{
	"none-es256":                    {},
	"packed-self-es256":             {},
	"none-es256-crossOrigin":        {}, // names no topOrigin, of a page that keeps others from framing it
	"none-es256-topOrigin":          {},
	"none-es256-long-credential-id": {},
	"packed-es256":                  {},
	"packed-es384":                  {},
	"packed-es512":                  {},
	"packed-rs256":                  {},
	"packed-eddsa":                  {},
	"fido-u2f-es256":                {},
	// Its certificate names a maker of TPMs that does not exist.
	"tpm-es256": {reason: ceremonies.ReasonVerificationFailed, detail: "Invalid TPM manufacturer"},
	// Nothing here verifies Ed448, so it is not offered.
	"packed-ed448": {reason: ceremonies.ReasonVerificationFailed, detail: "algorithm not supported"},
	// Its certificates lead to the specification's root and not to Google's.
	"android-key-es256": {reason: ceremonies.ReasonVerificationFailed, detail: "x5c cert chain"},
	// Nor to Apple's.
	"apple-es256": {reason: ceremonies.ReasonVerificationFailed, detail: "x5c cert chain"},
}

func TestTheSpecificationsVectors(t *testing.T) {
	vectors := readVectors(t)
	delete(vectors, "attestation-root-cert")
	if len(vectors) != len(vectorResults) {
		t.Fatalf("there are %d vectors and %d results", len(vectors), len(vectorResults))
	}
	world := ceremonytest.New(t, vectorParty)
	accepted := 0
	for id, v := range vectors {
		t.Run(id, func(t *testing.T) {
			want, ok := vectorResults[id]
			if !ok {
				t.Fatal("no result is pinned")
			}
			w := world.In(t)
			grant := w.TrackNew(events.UserID(id))
			challenge := beginVector(w, grant, ceremonies.Registration, ceremonies.ForEnrolment, v.bytes(t, 0, "challenge"))
			enrolled, err := w.RP.FinishEnrolment(t.Context(), grant, challenge, v.answer(t, 0, "clientDataJSON", "attestationObject"), ceremonies.Client{})
			if want.reason != "" {
				wantRefused(t, err, ceremonies.CodeInvalidCredential, want.reason)
				if detail := w.Last(grant.Action).Detail; !strings.Contains(detail, want.detail) {
					t.Errorf("refused because of %q, want %q", detail, want.detail)
				}
				if n := len(w.Account(grant.Action.User).Authenticators); n != 0 {
					t.Errorf("the person has %d authenticators", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if enrolled.Authenticator.Attested {
				t.Error("it is attested, and nothing vouches for its make")
			}

			grant = w.Track(grant.Action.User, events.StateChallengeRequired, "")
			credential := v.bytes(t, 0, "credential_id")
			challenge = beginVector(w, grant, ceremonies.Authentication, ceremonies.ForAction, v.bytes(t, 1, "challenge"), credential)
			proof, err := w.RP.FinishStepUp(t.Context(), grant, challenge, v.answer(t, 1, "clientDataJSON", "authenticatorData", "signature"), ceremonies.Client{})
			if err != nil {
				t.Fatal(err)
			}
			if proof.State != events.StateChallengeSucceeded || !bytes.Equal(proof.Authenticator.CredentialID, credential) {
				t.Errorf("the action is %s by %+v", proof.State, proof.Authenticator)
			}
			accepted++
		})
	}
	if accepted != 11 {
		t.Errorf("%d vectors were accepted, want 11", accepted)
	}
}

// A frame is refused where no page may have one, and one of which the browser does
// not say whose it is also where our page does not keep others from framing it.
func TestVectorsInFramesNeedTopOrigins(t *testing.T) {
	vectors := readVectors(t)
	unguarded := ceremonytest.New(t, vectorParty, func(c *ceremonies.Config) { c.GuardedOrigins = nil })
	v := vectors["none-es256-crossOrigin"]
	grant := unguarded.TrackNew("unguarded")
	challenge := beginVector(unguarded, grant, ceremonies.Registration, ceremonies.ForEnrolment, v.bytes(t, 0, "challenge"))
	_, err := unguarded.RP.FinishEnrolment(t.Context(), grant, challenge, v.answer(t, 0, "clientDataJSON", "attestationObject"), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonCrossOrigin)

	world := ceremonytest.New(t, vectorParty, func(c *ceremonies.Config) { c.TopOrigins = nil })
	for _, id := range []string{"none-es256-crossOrigin", "none-es256-topOrigin"} {
		t.Run(id, func(t *testing.T) {
			w, v := world.In(t), vectors[id]
			grant := w.TrackNew(events.UserID(id))
			challenge := beginVector(w, grant, ceremonies.Registration, ceremonies.ForEnrolment, v.bytes(t, 0, "challenge"))
			_, err := w.RP.FinishEnrolment(t.Context(), grant, challenge, v.answer(t, 0, "clientDataJSON", "attestationObject"), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonCrossOrigin)
		})
	}
}
