package ceremonies_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

func clearFlag(flag byte) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) { a.Auth.Flags &^= flag }
}

func setFlag(flag byte) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) { a.Auth.Flags |= flag }
}

func rpHash(of string) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) { a.Auth.RPIDHash = ceremonytest.Hash([]byte(of)) }
}

func signature(change func([]byte) []byte) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) { a.Signature = change }
}

func signed(change func([]byte) []byte) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) { a.Signed = change }
}

// proofMember changes a member of the JSON around an authentication.
func proofMember(name string, value any) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) {
		a.Client.Answer = func(answer map[string]any) { answer[name] = value }
	}
}

// responseMember changes a member of the response.
func responseMember(name string, value any) func(*ceremonytest.Assertion) {
	return func(a *ceremonytest.Assertion) {
		a.Client.Answer = func(answer map[string]any) { answer["response"].(map[string]any)[name] = value }
	}
}

// integers rewrites the two integers of an ECDSA signature.
func integers(change func(r, s *big.Int)) func([]byte) []byte {
	return func(raw []byte) []byte {
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(raw, &pair); err != nil {
			panic(err)
		}
		change(pair.R, pair.S)
		out, err := asn1.Marshal(pair)
		if err != nil {
			panic(err)
		}
		return out
	}
}

func TestAuthenticationStepsAreRefused(t *testing.T) {
	const (
		bad       = ceremonies.ReasonBadSignature
		malformed = ceremonies.ReasonMalformed
		be, bs    = ceremonytest.BackupEligible, ceremonytest.BackupState
	)
	worlds, edKey := openParties(t), ceremonytest.NewKeyPair(t, ceremonytest.EdDSA)
	tests := []struct {
		step int // of section 7.2
		name string
		authentication
	}{
		{3, "another type of credential", authentication{change: proofMember("type", "password"), reason: malformed, challengeLeft: true}},
		{3, "no response", authentication{change: proofMember("response", nil), reason: malformed, challengeLeft: true}},
		{3, "an id that is not the raw id", authentication{change: proofMember("id", "AAAA"), reason: malformed, challengeLeft: true}},
		{3, "no raw id", authentication{change: proofMember("rawId", nil), reason: malformed, challengeLeft: true}},
		{3, "an id of line breaks", authentication{change: proofMember("id", "\r\n"), reason: malformed, challengeLeft: true}},
		{3, "a signature that is a list", authentication{change: responseMember("signature", []int{1}), reason: malformed, challengeLeft: true}},
		{3, "a signature in base64 of the other alphabet", authentication{change: responseMember("signature", "+/+/"), reason: malformed, challengeLeft: true}},
		{4, "extensions of the client that are no object", authentication{change: proofMember("clientExtensionResults", 7), reason: malformed, challengeLeft: true}},
		{5, "a passkey that is not allowed", authentication{change: func(a *ceremonytest.Assertion) { a.ID = bytes.Repeat([]byte{1}, 32) }, reason: ceremonies.ReasonUnknownCredential}},
		{5, "a passkey that is not allowed, of nobody", authentication{change: func(a *ceremonytest.Assertion) {
			a.ID, a.UserHandle = bytes.Repeat([]byte{1}, 32), nil
		}, reason: ceremonies.ReasonForeignCredential}},
		{5, "the beginning of an allowed id", authentication{change: func(a *ceremonytest.Assertion) { a.ID, a.UserHandle = a.ID[:31], nil }, reason: ceremonies.ReasonForeignCredential}},
		{5, "an allowed id and a byte more", authentication{change: func(a *ceremonytest.Assertion) {
			a.ID, a.UserHandle = append(bytes.Clone(a.ID), 0), nil
		}, reason: ceremonies.ReasonForeignCredential}},
		{6, "another user handle", authentication{change: func(a *ceremonytest.Assertion) { a.UserHandle = bytes.Repeat([]byte{1}, 32) }, reason: ceremonies.ReasonUserHandle}},
		{6, "a part of the user handle", authentication{change: func(a *ceremonytest.Assertion) { a.UserHandle = a.UserHandle[:31] }, reason: ceremonies.ReasonUserHandle}},
		{6, "a user handle with a byte more", authentication{change: func(a *ceremonytest.Assertion) { a.UserHandle = append(bytes.Clone(a.UserHandle), 0) }, reason: ceremonies.ReasonUserHandle}},
		{10, "a registration", authentication{change: func(a *ceremonytest.Assertion) { a.Client.Data["type"] = "webauthn.create" }, reason: ceremonies.ReasonWrongType}},
		{15, "another relying party", authentication{change: rpHash("evil.example"), reason: ceremonies.ReasonRelyingParty}},
		{15, "the hash of our origin", authentication{change: rpHash(ceremonytest.Origin), reason: ceremonies.ReasonRelyingParty}},
		{15, "the domain above", authentication{change: rpHash("example"), reason: ceremonies.ReasonRelyingParty}},
		{15, "a subdomain", authentication{change: rpHash("www.shop.example"), reason: ceremonies.ReasonRelyingParty}},
		{15, "our id in capitals", authentication{change: rpHash("SHOP.EXAMPLE"), reason: ceremonies.ReasonRelyingParty}},
		{15, "zeros", authentication{change: func(a *ceremonytest.Assertion) { a.Auth.RPIDHash = make([]byte, 32) }, reason: ceremonies.ReasonRelyingParty}},
		{15, "an appid that nobody asked for", authentication{change: func(a *ceremonytest.Assertion) {
			rpHash(ceremonytest.Origin)(a)
			proofMember("clientExtensionResults", map[string]any{"appid": true})(a)
		}, reason: ceremonies.ReasonRelyingParty}},
		{16, "nobody was present", authentication{change: clearFlag(ceremonytest.UserPresent), reason: ceremonies.ReasonUserNotPresent}},
		{16, "nobody was present, where verification is preferred", authentication{party: preferred, change: clearFlag(ceremonytest.UserPresent), reason: ceremonies.ReasonUserNotPresent}},
		{17, "nobody was verified", authentication{change: clearFlag(ceremonytest.UserVerified), reason: ceremonies.ReasonUserNotVerified}},
		{17, "nobody was verified or present", authentication{change: clearFlag(ceremonytest.UserVerified | ceremonytest.UserPresent), reason: ceremonies.ReasonUserNotPresent}},
		{18, "backed up and not eligible for it", authentication{change: setFlag(bs), reason: ceremonies.ReasonBackupFlags}},
		{19, "a synced passkey that says it is bound to its device", authentication{flags: be | bs, change: clearFlag(be | bs), reason: ceremonies.ReasonBackupFlags}},
		{19, "a passkey that could be synced and says that it cannot", authentication{flags: be, change: clearFlag(be), reason: ceremonies.ReasonBackupFlags}},
		{18, "a synced passkey that is backed up and not eligible for it", authentication{flags: be | bs, change: clearFlag(be), reason: ceremonies.ReasonBackupFlags}},
		{19, "a device-bound passkey that became synced, where that is refused", authentication{party: noSync, change: setFlag(be), reason: ceremonies.ReasonBackupFlags}},
		{19, "a device-bound passkey that became synced and backed up, where that is refused", authentication{party: noSync, change: setFlag(be | bs), reason: ceremonies.ReasonBackupFlags}},
		{19, "a synced passkey that says it is bound to its device, where neither is let through", authentication{party: noSync, flags: be, change: clearFlag(be), reason: ceremonies.ReasonBackupFlags}},
		{20, "authenticator data that are cut off", authentication{change: responseMember("authenticatorData", "AAAA"), reason: malformed, challengeLeft: true}},
		{20, "no authenticator data", authentication{change: responseMember("authenticatorData", ""), reason: malformed, challengeLeft: true}},
		{20, "a byte behind the authenticator data", authentication{change: func(a *ceremonytest.Assertion) { a.Auth.Trailing = []byte{0} }, reason: malformed, challengeLeft: true}},
		{20, "attested data announced and none there", authentication{change: setFlag(ceremonytest.AttestedData), reason: malformed, challengeLeft: true}},
		{20, "extensions announced and none there", authentication{change: setFlag(ceremonytest.ExtensionData), reason: malformed, challengeLeft: true}},
		{20, "extensions that are not announced", authentication{change: func(a *ceremonytest.Assertion) {
			a.Auth.Trailing = ceremonytest.CBOR(map[string]any{"uvm": 1})
		}, reason: malformed, challengeLeft: true}},
		{20, "extensions and a byte behind them", authentication{change: func(a *ceremonytest.Assertion) {
			a.Auth.Flags |= ceremonytest.ExtensionData
			a.Auth.Extensions = append(ceremonytest.CBOR(map[string]any{"credBlob": []byte{1}}), 0)
		}, reason: malformed, challengeLeft: true}},
		{21, "no signature", authentication{change: responseMember("signature", ""), reason: bad}},
		{21, "a signature by another key", authentication{change: func(a *ceremonytest.Assertion) {
			a.Key = ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: newP256()}
		}, reason: bad}},
		{21, "a signature with another algorithm", authentication{change: func(a *ceremonytest.Assertion) { a.Key = edKey }, reason: bad}},
		{21, "a signature of the authenticator data alone", authentication{change: signed(func(b []byte) []byte { return b[:len(b)-32] }), reason: bad}},
		{21, "a signature of the client data alone", authentication{change: signed(func(b []byte) []byte { return b[len(b)-32:] }), reason: bad}},
		{21, "a signature of the parts the other way round", authentication{change: signed(func(b []byte) []byte {
			return append(bytes.Clone(b[len(b)-32:]), b[:len(b)-32]...)
		}), reason: bad}},
		{21, "a signature of another counter", authentication{change: signed(func(b []byte) []byte {
			b = bytes.Clone(b)
			b[36]++
			return b
		}), reason: bad}},
		{21, "a signature of an answer without verification", authentication{change: signed(func(b []byte) []byte {
			b = bytes.Clone(b)
			b[32] &^= ceremonytest.UserVerified
			return b
		}), reason: bad}},
		{21, "client data that were changed after signing", authentication{change: func(a *ceremonytest.Assertion) {
			right := ceremonytest.Hash(a.Client.Bytes())
			a.Client.Data["extraData"] = "more"
			a.Signed = func(b []byte) []byte { return append(bytes.Clone(b[:len(b)-32]), right...) }
		}, reason: bad}},
		{21, "a byte behind the signature", authentication{change: signature(func(b []byte) []byte { return append(b, 0) }), reason: bad}},
		{21, "a signature that is cut off", authentication{change: signature(func(b []byte) []byte { return b[:len(b)-1] }), reason: bad}},
		{21, "a signature of two bare numbers", authentication{change: signature(func([]byte) []byte { return make([]byte, 64) }), reason: bad}},
		{21, "a signature of zeros", authentication{change: signature(integers(func(r, s *big.Int) { r.SetInt64(0); s.SetInt64(0) })), reason: bad}},
		{21, "a signature of the curve's order", authentication{change: signature(integers(func(r, s *big.Int) {
			r.Set(elliptic.P256().Params().N)
			s.Set(r)
		})), reason: bad}},
		{21, "a signature with a number too large by the order", authentication{change: signature(integers(func(r, _ *big.Int) { r.Add(r, elliptic.P256().Params().N) })), reason: bad}},
		{21, "a signature of Ed25519 by another key", authentication{key: ceremonytest.EdDSA, change: func(a *ceremonytest.Assertion) { a.Key = edKey }, reason: bad}},
		{21, "a signature of Ed25519 that is cut off", authentication{key: ceremonytest.EdDSA, change: signature(func(b []byte) []byte { return b[:63] }), reason: bad}},
		{21, "a signature of Ed25519 in zeros", authentication{key: ceremonytest.EdDSA, change: signature(func([]byte) []byte { return make([]byte, 64) }), reason: bad}},
		{21, "a signature of RSA with a bit changed", authentication{key: ceremonytest.RS256, change: signature(func(b []byte) []byte { b[9] ^= 1; return b }), reason: bad}},
		{21, "a signature of RSA that is cut off", authentication{key: ceremonytest.RS256, change: signature(func(b []byte) []byte { return b[1:] }), reason: bad}},
		{22, "a counter that stood still", authentication{counter: 9, change: func(a *ceremonytest.Assertion) { a.Auth.Counter = 9 }, reason: ceremonies.ReasonSignCountRegress, detail: "9 after 9", regressed: true}},
		{22, "a counter that went back", authentication{counter: 9, change: func(a *ceremonytest.Assertion) { a.Auth.Counter = 8 }, reason: ceremonies.ReasonSignCountRegress, detail: "8 after 9", regressed: true}},
		{22, "a counter that began anew", authentication{counter: 9, change: func(a *ceremonytest.Assertion) { a.Auth.Counter = 0 }, reason: ceremonies.ReasonSignCountRegress, detail: "0 after 9", regressed: true}},
		{22, "a counter that went back, in a forged answer", authentication{party: countsFree, counter: 9, change: func(a *ceremonytest.Assertion) { a.Auth.Counter, a.Key = 8, edKey }, reason: bad}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("7.2 step %d: %s", test.step, test.name), func(t *testing.T) {
			test.refused(t, worlds[test.party].In(t), events.UserID(fmt.Sprintf("proves-%d", i)))
		})
	}
}

// A signature of ECDSA has a twin, n-s, which everybody can make of it. It verifies
// too, as the specification has it: nothing here keeps signatures from being used
// twice but the challenge, which is used up.
func TestTheTwinOfASignatureProvesTheSameOnce(t *testing.T) {
	w := ceremonytest.New(t)
	s := ceremonytest.NewSoftware(t, ceremonytest.ES256)
	w.EnrolSoftware("anna", s)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	stepUp := w.Begin(grant)
	assertion := s.Get(stepUp.Options)
	assertion.Signature = integers(func(_, s *big.Int) { s.Sub(elliptic.P256().Params().N, s) })
	twin := assertion.Write()
	if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, twin, ceremonies.Client{}); err != nil {
		t.Fatal(err)
	}
	assertion.Signature = nil
	_, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, assertion.Write(), ceremonies.Client{})
	wantRefused(t, err, ceremonies.CodeInvalidRequest, ceremonies.ReasonChallengeTaken)
}

func TestEveryAlgorithmProves(t *testing.T) {
	world := ceremonytest.New(t)
	for name, algorithm := range map[string]int64{"ES256": ceremonytest.ES256, "EdDSA": ceremonytest.EdDSA, "RS256": ceremonytest.RS256} {
		t.Run(name, func(t *testing.T) {
			w := world.In(t)
			s := ceremonytest.NewSoftware(t, algorithm)
			w.EnrolSoftware(events.UserID(name), s)
			grant := w.Track(events.UserID(name), events.StateChallengeRequired, "")
			stepUp := w.Begin(grant)
			if _, err := w.RP.FinishStepUp(t.Context(), grant, stepUp.Challenge, s.Get(stepUp.Options).Write(), ceremonies.Client{}); err != nil {
				t.Error(err)
			}
		})
	}
}
