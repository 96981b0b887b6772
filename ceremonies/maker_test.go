package ceremonies_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
)

// certificate is a certificate with its key.
type certificate struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue makes a certificate from a template, signed by an issuer or, where that is
// the zero value, by itself. It names no revocation list: the library would fetch it.
func issue(t testing.TB, template *x509.Certificate, issuer certificate) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	template.BasicConstraintsValid = true
	if issuer.Certificate == nil {
		issuer = certificate{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Certificate, &key.PublicKey, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate{parsed, key}
}

// newRoot makes a certificate that issues others.
func newRoot(t testing.TB, name string) certificate {
	t.Helper()
	return issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, certificate{})
}

// oidAAGUID is the extension that names the make (WebAuthn L3, section 8.2.1).
var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// aaguidExtension is the extension for a make.
func aaguidExtension(t testing.TB, aaguid []byte) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(aaguid)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: oidAAGUID, Value: value}
}

// attestationTemplate is a certificate as section 8.2.1 asks for.
func attestationTemplate(changes ...func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{
		Country: []string{"SE"}, Organization: []string{"Maker AB"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch 1",
	}}
	for _, change := range changes {
		change(c)
	}
	return c
}

// packed attests a credential with certificates, of which the first one signs
// (WebAuthn L3, section 8.2).
func packed(c *ceremonytest.Creation, chain ...certificate) {
	c.Format = "packed"
	c.Statement = func(authData, clientDataHash []byte) any {
		return map[string]any{"alg": ceremonytest.ES256, "sig": pair(chain[0]).Sign(slices.Concat(authData, clientDataHash)), "x5c": raws(chain)}
	}
}

// u2f attests a credential as U2F does (WebAuthn L3, section 8.6). Neither flags nor
// AAGUID are signed.
func u2f(c *ceremonytest.Creation, key ceremonytest.KeyPair, chain ...certificate) {
	c.Format = "fido-u2f"
	c.Statement = func(authData, clientDataHash []byte) any {
		point := key.Parameters()
		signed := slices.Concat([]byte{0}, authData[:32], clientDataHash, c.Auth.CredentialID, []byte{4}, point[-2].([]byte), point[-3].([]byte))
		return map[string]any{"sig": pair(chain[0]).Sign(signed), "x5c": raws(chain)}
	}
}

func pair(c certificate) ceremonytest.KeyPair {
	return ceremonytest.KeyPair{Algorithm: ceremonytest.ES256, Signer: c.key}
}

func raws(chain []certificate) [][]byte {
	raw := make([][]byte, len(chain))
	for i, c := range chain {
		raw[i] = c.Raw
	}
	return raw
}

// statement changes members of an attestation statement that is made already.
func statement(c *ceremonytest.Creation, change func(map[string]any)) {
	right := c.Statement
	c.Statement = func(authData, clientDataHash []byte) any {
		s := right(authData, clientDataHash).(map[string]any)
		change(s)
		return s
	}
}
