package ceremonies_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// plain is an attestation statement of a format whose members are given.
func plain(format string, members map[string]any) func(*ceremonytest.Creation) {
	return func(c *ceremonytest.Creation) {
		c.Format = format
		c.Statement = func(_, _ []byte) any { return members }
	}
}

// Steps 22 and 23 of section 7.1: an attestation that is not what its format asks
// for is refused, also where nobody asked for any.
func TestAttestationStatementsAreRefused(t *testing.T) {
	world := ceremonytest.New(t)
	root := newRoot(t, "Maker's root")
	good := issue(t, attestationTemplate(), root)
	self := func(change func(map[string]any)) func(*ceremonytest.Creation) {
		return func(c *ceremonytest.Creation) {
			c.SelfAttested(keyOf(c))
			statement(c, change)
		}
	}
	full := func(change func(map[string]any)) func(*ceremonytest.Creation) {
		return func(c *ceremonytest.Creation) {
			packed(c, good)
			statement(c, change)
		}
	}
	certified := func(change func(*x509.Certificate)) func(*ceremonytest.Creation) {
		return func(c *ceremonytest.Creation) { packed(c, issue(t, attestationTemplate(change), root)) }
	}
	tests := []struct {
		step   string
		name   string
		change func(*ceremonytest.Creation)
		detail string
		// unread says that the statement cannot be decoded.
		unread bool
	}{
		{"22", "no format", plain("", map[string]any{}), "unsupported", false},
		{"22", "an unknown format", plain("sallyport", map[string]any{}), "unsupported", false},
		{"22", "a format of another case", plain("None", map[string]any{}), "unsupported", false},
		{"22", "a format with a space", plain("none ", map[string]any{}), "unsupported", false},
		{"23", "none with a statement", plain("none", map[string]any{"sig": []byte{1}}), "none with attestation present", false},
		{"23", "a statement that is a list", func(c *ceremonytest.Creation) { c.Statement = func(_, _ []byte) any { return []int{1} } }, "", true},
		{"8.2", "packed without an algorithm", self(func(s map[string]any) { delete(s, "alg") }), "alg value", false},
		{"8.2", "packed with an algorithm in words", self(func(s map[string]any) { s["alg"] = "ES256" }), "alg value", false},
		{"8.2", "packed without a signature", self(func(s map[string]any) { delete(s, "sig") }), "sig value", false},
		{"8.2", "packed with an empty signature", self(func(s map[string]any) { s["sig"] = []byte{} }), "signature", false},
		{"8.2", "packed with another algorithm than the key's", self(func(s map[string]any) { s["alg"] = ceremonytest.EdDSA }), "does not equal", false},
		{"8.2", "packed signed by another key", func(c *ceremonytest.Creation) {
			c.SelfAttested(ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: newP256()})
		}, "", false},
		{"8.2", "packed with a signature of other client data", func(c *ceremonytest.Creation) {
			key := keyOf(c)
			c.SelfAttested(key)
			statement(c, func(s map[string]any) {
				s["sig"] = key.Sign(append(c.Auth.Bytes(), ceremonytest.Hash([]byte("{}"))...))
			})
		}, "", false},
		{"8.2", "packed with a signature of other authenticator data", func(c *ceremonytest.Creation) {
			key := keyOf(c)
			c.SelfAttested(key)
			other := c.Auth
			other.Counter++
			statement(c, func(s map[string]any) {
				s["sig"] = key.Sign(append(other.Bytes(), ceremonytest.Hash(c.Client.Bytes())...))
			})
		}, "", false},
		{"8.2", "packed by ECDAA, which was given up", self(func(s map[string]any) { s["ecdaaKeyId"] = []byte{1} }), "", false},
		{"8.2", "packed with no certificates", full(func(s map[string]any) { s["x5c"] = []any{} }), "x5c", false},
		{"8.2", "packed with a certificate that is none", full(func(s map[string]any) { s["x5c"] = [][]byte{{0x30, 0}} }), "certificate", false},
		{"8.2", "packed with a certificate in words", full(func(s map[string]any) { s["x5c"] = []string{"cert"} }), "x5c", false},
		{"8.2", "packed with the certificate of another key", full(func(s map[string]any) {
			s["x5c"] = [][]byte{issue(t, attestationTemplate(), root).Raw}
		}), "Signature validation error", false},
		{"8.2", "packed with another algorithm than the certificate's", full(func(s map[string]any) { s["alg"] = ceremonytest.RS256 }), "Signature validation error", false},
		{"8.2", "packed with an algorithm that nobody has", full(func(s map[string]any) { s["alg"] = -99999 }), "Unsupported COSE alg", false},
		{"8.2.1", "a certificate that has expired", certified(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}), "no longer valid", false},
		{"8.2.1", "a certificate that is not valid yet", certified(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}), "not yet valid", false},
		{"8.2.1", "a certificate of no country", certified(func(c *x509.Certificate) { c.Subject.Country = nil }), "Country", false},
		{"8.2.1", "a certificate of a country that is none", certified(func(c *x509.Certificate) { c.Subject.Country = []string{"Q1"} }), "Country", false},
		{"8.2.1", "a certificate of no maker", certified(func(c *x509.Certificate) { c.Subject.Organization = nil }), "Organization", false},
		{"8.2.1", "a certificate for something else", certified(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Web"} }), "Organizational Unit", false},
		{"8.2.1", "a certificate without a name", certified(func(c *x509.Certificate) { c.Subject.CommonName = "" }), "Common Name", false},
		{"8.2.1", "a certificate that issues others", certified(func(c *x509.Certificate) { c.IsCA = true }), "CA", false},
		{"8.2.1", "a certificate of another make", certified(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{aaguidExtension(t, bytes.Repeat([]byte{9}, 16))}
		}), "AAGUID does not match", false},
		{"8.2.1", "a certificate whose make is critical", certified(func(c *x509.Certificate) {
			e := aaguidExtension(t, make([]byte, 16))
			e.Critical = true
			c.ExtraExtensions = []pkix.Extension{e}
		}), "critical", false},
		{"8.3", "tpm without members", plain("tpm", map[string]any{}), "", false},
		{"8.3", "tpm of version 1.2", plain("tpm", map[string]any{
			"ver": "1.2", "alg": ceremonytest.RS256, "sig": []byte{1}, "certInfo": []byte{1}, "pubArea": []byte{1}, "x5c": [][]byte{good.Raw},
		}), "2.0", false},
		{"8.3", "tpm of garbage", plain("tpm", map[string]any{
			"ver": "2.0", "alg": ceremonytest.RS256, "sig": []byte{1}, "certInfo": []byte{1}, "pubArea": []byte{1}, "x5c": [][]byte{good.Raw},
		}), "TPMT_PUBLIC", false},
		{"8.4", "android-key without certificates", plain("android-key", map[string]any{"alg": ceremonytest.ES256, "sig": []byte{1}}), "", false},
		{"8.4", "android-key of another root than Google's", func(c *ceremonytest.Creation) {
			packed(c, good)
			c.Format = "android-key"
		}, "x5c cert chain", false},
		{"8.5", "android-safetynet of garbage", plain("android-safetynet", map[string]any{"ver": "1", "response": []byte("a.b.c")}), "SafetyNet", false},
		{"8.5", "android-safetynet without a version", plain("android-safetynet", map[string]any{"response": []byte("a.b.c")}), "version", false},
		{"8.6", "fido-u2f without certificates", plain("fido-u2f", map[string]any{"sig": []byte{1}}), "x5c", false},
		{"8.6", "fido-u2f with two certificates", func(c *ceremonytest.Creation) { u2f(c, keyOf(c), good, root) }, "exactly one", false},
		{"8.6", "fido-u2f without a signature", func(c *ceremonytest.Creation) {
			u2f(c, keyOf(c), good)
			statement(c, func(s map[string]any) { delete(s, "sig") })
		}, "sig", false},
		{"8.6", "fido-u2f signed for another credential", func(c *ceremonytest.Creation) {
			u2f(c, ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: newP256()}, good)
		}, "Signature validation error", false},
		{"8.6", "fido-u2f of Ed25519", func(c *ceremonytest.Creation) {
			u2f(c, keyOf(c), good)
			c.Auth.PublicKey = ceremonytest.NewKeyPair(t, ceremonytest.EdDSA).COSE()
		}, "", false},
		{"8.8", "apple without certificates", plain("apple", map[string]any{}), "", false},
		{"8.8", "apple of another root than Apple's", plain("apple", map[string]any{"x5c": [][]byte{good.Raw}}), "x5c cert chain", false},
		{"8.9", "compound of one", compound(map[string]any{"fmt": "packed", "attStmt": map[string]any{}}), "at least two", false},
		{"8.9", "compound within compound", compound(
			map[string]any{"fmt": "compound", "attStmt": map[string]any{}}, map[string]any{"fmt": "packed", "attStmt": map[string]any{}},
		), "", false},
		{"8.9", "compound of nones", compound(
			map[string]any{"fmt": "none", "attStmt": map[string]any{}}, map[string]any{"fmt": "none", "attStmt": map[string]any{}},
		), "Invalid attestation format", false},
		{"8.9", "compound that is a map", plain("compound", map[string]any{"fmt": "none"}), "", true},
	}
	for i, test := range tests {
		t.Run("7.1 step 23, "+test.step+": "+test.name, func(t *testing.T) {
			reason := ceremonies.ReasonVerificationFailed
			if test.unread {
				reason = ceremonies.ReasonMalformed
			}
			registration{
				change: test.change, reason: reason, detail: test.detail, challengeLeft: test.unread,
			}.refused(t, world.In(t), events.UserID(fmt.Sprintf("registers-%d", i)))
		})
	}
}

// keyOf is a key that the test knows; it replaces the credential's.
func keyOf(c *ceremonytest.Creation) ceremonytest.KeyPair {
	key := ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: newP256()}
	c.Auth.PublicKey = key.COSE()
	return key
}

// compound is a statement of several others (WebAuthn L3, section 8.9).
func compound(statements ...map[string]any) func(*ceremonytest.Creation) {
	return func(c *ceremonytest.Creation) {
		c.Format = "compound"
		c.Statement = func(_, _ []byte) any { return statements }
	}
}

// The specification's own attestations by hardware, with one part changed. The
// client data cannot be changed, so the challenge is the specification's.
func TestChangedVectorsAreRefused(t *testing.T) {
	vectors := readVectors(t)
	world := ceremonytest.New(t, vectorParty)
	tests := map[string]struct {
		vector   string
		old, new []byte
		detail   string
	}{
		"a TPM's statement with another magic number": {
			vector: "tpm-es256", old: []byte{0xff, 'T', 'C', 'G'}, new: []byte{0xff, 'T', 'C', 'F'}, detail: "Magic",
		},
		"a TPM's statement of another type": {
			vector: "tpm-es256", old: []byte{0xff, 'T', 'C', 'G', 0x80, 0x17}, new: []byte{0xff, 'T', 'C', 'G', 0x80, 0x18}, detail: "TPMSAttest",
		},
		"a packed statement for another make": {
			vector: "packed-es256", old: vectors["packed-es256"].bytes(t, 0, "aaguid"), new: bytes.Repeat([]byte{1}, 16), detail: "Signature validation error",
		},
		"a packed statement with another counter": {
			vector: "packed-rs256", old: append([]byte{0x5d, 0, 0, 0, 0}, vectors["packed-rs256"].bytes(t, 0, "aaguid")...),
			new: append([]byte{0x5d, 0, 0, 0, 1}, vectors["packed-rs256"].bytes(t, 0, "aaguid")...), detail: "Signature validation error",
		},
		"a U2F statement for another credential": {
			vector: "fido-u2f-es256", old: vectors["fido-u2f-es256"].bytes(t, 0, "credential_id"), new: bytes.Repeat([]byte{1}, 32), detail: "Signature validation error",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w, v := world.In(t), vectors[test.vector]
			changed := vector{ID: v.ID, Blocks: []map[string]string{{}, v.Blocks[1]}}
			for member, value := range v.Blocks[0] {
				changed.Blocks[0][member] = value
			}
			raw := v.bytes(t, 0, "attestationObject")
			if !bytes.Contains(raw, test.old) {
				t.Fatal("there is nothing to change")
			}
			changed.Blocks[0]["attestationObject"] = fmt.Sprintf("%x", bytes.ReplaceAll(raw, test.old, test.new))
			grant := w.TrackNew(events.UserID(name))
			challenge := beginVector(w, grant, ceremonies.Registration, ceremonies.ForEnrolment, v.bytes(t, 0, "challenge"))
			_, err := w.RP.FinishEnrolment(t.Context(), grant, challenge, changed.answer(t, 0, "clientDataJSON", "attestationObject"), ceremonies.Client{})
			wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonVerificationFailed)
			wantFailure(t, w, grant, ceremonies.ReasonVerificationFailed, test.detail)
		})
	}
}
