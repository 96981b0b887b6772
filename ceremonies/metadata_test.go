package ceremonies_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// listedMake and revokedMake are the makes that the metadata list.
var listedMake, revokedMake = bytes.Repeat([]byte{0xa1}, 16), bytes.Repeat([]byte{0xb2}, 16)

// service is a metadata service: it signs which makes have which root (FIDO
// Metadata Service 3.1, section 3.1.7).
type service struct{ root, signer certificate }

func newService(t testing.TB) service {
	t.Helper()
	root := newRoot(t, "Metadata root")
	signer := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Metadata signer"}, KeyUsage: x509.KeyUsageDigitalSignature}, root)
	return service{root: root, signer: signer}
}

// blob signs the metadata. The changes apply to the token before it is signed.
func (s service) blob(t testing.TB, maker certificate, changes ...func(*jwt.Token)) string {
	t.Helper()
	entry := func(aaguid []byte, status string) map[string]any {
		text := uuidOf(aaguid)
		return map[string]any{
			"aaguid": text, "timeOfLastStatusChange": "2026-01-01",
			"statusReports": []any{map[string]any{"status": status, "effectiveDate": "2026-01-01"}},
			"metadataStatement": map[string]any{
				"aaguid": text, "description": "Key", "protocolFamily": "fido2", "schema": 3,
				"attestationTypes":            []any{"basic_full"},
				"attestationRootCertificates": []any{encodeDER(maker)},
			},
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"legalHeader": "test", "no": 1, "nextUpdate": "2030-01-01",
		"entries": []any{entry(listedMake, "FIDO_CERTIFIED"), entry(revokedMake, "REVOKED")},
	})
	token.Header["x5c"] = []string{encodeDER(s.signer), encodeDER(s.root)}
	for _, change := range changes {
		change(token)
	}
	text, err := token.SignedString(s.signer.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func encodeDER(c certificate) string { return base64.StdEncoding.EncodeToString(c.Raw) }

func uuidOf(b []byte) string {
	hex := fmt.Sprintf("%x", b)
	return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]}, "-")
}

func TestMetadataThatAreNotTheServicesAreRefused(t *testing.T) {
	s, other, maker := newService(t), newService(t), newRoot(t, "Maker's root")
	root := encodeDER(s.root)
	read := func(blob string) error {
		_, err := ceremonies.ReadMetadata(strings.NewReader(blob), root)
		return err
	}
	good := s.blob(t, maker)
	if m, err := ceremonies.ReadMetadata(strings.NewReader(good), root); err != nil || m.Len() != 2 {
		t.Fatalf("the service's own: %v, %v", m, err)
	}
	parts := strings.Split(good, ".")
	stranger := service{root: s.root, signer: other.signer}
	expired := issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Metadata signer"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	}, s.root)
	hmac, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"no": 1, "nextUpdate": "2030-01-01"}).SignedString(s.root.Raw)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"nothing":                           "",
		"no token":                          "metadata",
		"another service's":                 other.blob(t, maker),
		"another service's signer":          stranger.blob(t, maker),
		"a signer that has expired":         service{root: s.root, signer: expired}.blob(t, maker),
		"a changed signature":               good[:len(good)-6] + swapCase(good[len(good)-6:]),
		"no signature":                      parts[0] + "." + parts[1] + ".",
		"changed entries":                   parts[0] + "." + strings.Split(s.blob(t, other.root), ".")[1] + "." + parts[2],
		"a chain of one":                    s.blob(t, maker, func(token *jwt.Token) { token.Header["x5c"] = []string{encodeDER(s.signer)} }),
		"an empty chain":                    s.blob(t, maker, func(token *jwt.Token) { token.Header["x5c"] = []string{} }),
		"no chain, and not signed by root":  s.blob(t, maker, func(token *jwt.Token) { delete(token.Header, "x5c") }),
		"a chain at another address":        s.blob(t, maker, func(token *jwt.Token) { token.Header["x5u"] = "https://evil.example" }),
		"the signing of a shared secret":    hmac,
		"no algorithm":                      unsignedToken(t),
		"metadata without their next issue": s.blob(t, maker, func(token *jwt.Token) { delete(token.Claims.(jwt.MapClaims), "nextUpdate") }),
	}
	for name, blob := range tests {
		t.Run(name, func(t *testing.T) {
			if read(blob) == nil {
				t.Error("they were read")
			}
		})
	}
	t.Run("the real service's root, when none is named", func(t *testing.T) {
		if _, err := ceremonies.ReadMetadata(strings.NewReader(good), ""); err == nil {
			t.Error("metadata of another root were read")
		}
	})
}

func unsignedToken(t *testing.T) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"no": 1, "nextUpdate": "2030-01-01"}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOnlyMetadataVouchForAMake(t *testing.T) {
	s, maker, stranger := newService(t), newRoot(t, "Maker's root"), newRoot(t, "Stranger's root")
	metadata, err := ceremonies.ReadMetadata(strings.NewReader(s.blob(t, maker)), encodeDER(s.root))
	if err != nil {
		t.Fatal(err)
	}
	of := func(aaguid []byte) *x509.Certificate {
		return attestationTemplate(func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{aaguidExtension(t, aaguid)} })
	}
	unknown := bytes.Repeat([]byte{0xc3}, 16)
	tests := []struct {
		name     string
		aaguid   []byte
		attest   func(*ceremonytest.Creation)
		attested bool
		detail   string // why Required refuses it
	}{
		{name: "a make that is listed", aaguid: listedMake, attest: func(c *ceremonytest.Creation) { packed(c, issue(t, of(listedMake), maker)) }, attested: true},
		{
			name: "a make that is listed, by way of another certificate", aaguid: listedMake, attested: true,
			attest: func(c *ceremonytest.Creation) {
				between := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Between"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, maker)
				packed(c, issue(t, of(listedMake), between), between)
			},
		},
		{name: "no attestation", aaguid: listedMake, attest: func(*ceremonytest.Creation) {}, detail: "proves no make"},
		{name: "self attestation", aaguid: listedMake, attest: func(c *ceremonytest.Creation) { c.SelfAttested(keyOf(c)) }, detail: "proves no make"},
		{name: "a make that is not listed", aaguid: unknown, attest: func(c *ceremonytest.Creation) { packed(c, issue(t, of(unknown), maker)) }, detail: "no registered metadata"},
		{name: "no make", aaguid: make([]byte, 16), attest: func(c *ceremonytest.Creation) { packed(c, issue(t, attestationTemplate(), maker)) }, detail: "no registered metadata"},
		{name: "a make that was revoked", aaguid: revokedMake, attest: func(c *ceremonytest.Creation) { packed(c, issue(t, of(revokedMake), maker)) }, detail: "REVOKED"},
		{name: "a listed make of another root", aaguid: listedMake, attest: func(c *ceremonytest.Creation) { packed(c, issue(t, of(listedMake), stranger)) }, detail: "trust chain"},
		{
			name: "a listed make of another root, with the maker's root behind it", aaguid: listedMake,
			attest: func(c *ceremonytest.Creation) { packed(c, issue(t, of(listedMake), stranger), maker) }, detail: "trust chain",
		},
		{
			// U2F signs no AAGUID, and a maker's models share their root: any old key of
			// the maker could pass for the listed one.
			name: "a U2F key of the maker that says it is a listed make", aaguid: listedMake,
			attest: func(c *ceremonytest.Creation) { u2f(c, keyOf(c), issue(t, attestationTemplate(), maker)) }, detail: "proves no make",
		},
		{
			name: "the same, twice", aaguid: listedMake, detail: "proves no make",
			attest: func(c *ceremonytest.Creation) {
				u2f(c, keyOf(c), issue(t, attestationTemplate(), maker))
				once := c.Statement
				c.Format = "compound"
				c.Statement = func(authData, clientDataHash []byte) any {
					part := map[string]any{"fmt": "fido-u2f", "attStmt": once(authData, clientDataHash)}
					return []any{part, part}
				}
			},
		},
	}
	world := ceremonytest.New(t)
	policies := map[string]ceremonies.Attestation{
		"without metadata": {Conveyance: "direct"},
		"with metadata":    {Conveyance: "direct", Metadata: metadata},
		"required":         {Required: true, Metadata: metadata},
	}
	for policy, attestation := range policies {
		for _, test := range tests {
			t.Run(policy+": "+test.name, func(t *testing.T) {
				w := world.In(t)
				w.RP = w.RelyingParty(func(c *ceremonies.Config) { c.Attestation = attestation })
				grant := w.TrackNew(events.UserID(policy + ": " + test.name))
				enrolment, err := w.RP.BeginEnrolment(t.Context(), grant, ceremonies.EnrolOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if enrolment.Options.Attestation != "direct" {
					t.Errorf("browsers are asked for %q", enrolment.Options.Attestation)
				}
				authenticator := ceremonytest.NewSoftware(t, ceremonytest.ES256)
				authenticator.AAGUID = test.aaguid
				creation := authenticator.Create(enrolment.Options)
				test.attest(creation)
				enrolled, err := w.RP.FinishEnrolment(t.Context(), grant, enrolment.Challenge, creation.Write(), ceremonies.Client{})
				if attestation.Required && !test.attested {
					wantRefused(t, err, ceremonies.CodeInvalidCredential, ceremonies.ReasonUnattested)
					wantFailure(t, w, grant, ceremonies.ReasonUnattested, test.detail)
					if n := len(w.Account(grant.Action.User).Authenticators); n != 0 {
						t.Errorf("the person has %d authenticators", n)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want := test.attested && attestation.Metadata != nil
				if enrolled.Authenticator.Attested != want || w.Account(grant.Action.User).Authenticators[0].Attested != want {
					t.Errorf("attested %t, want %t", enrolled.Authenticator.Attested, want)
				}
			})
		}
	}
}
