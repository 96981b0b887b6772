package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a self-signed certificate with a serial number, dated
// so that a second one in the same instant still counts as newer.
func writeCertificate(t *testing.T, folder string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written := time.Now().Add(time.Duration(serial) * time.Second)
	if err := os.Chtimes(certFile, written, written); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

func TestARenewedCertificateIsTakenUpWithoutANewStart(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := writeCertificate(t, folder, 1)
	server, _ := serve(t, settings(dataFolder(t), "SALLYPORT_TLS_CERT", certFile, "SALLYPORT_TLS_KEY", keyFile))
	if !strings.HasPrefix(server.URL(), "https://localhost:") {
		t.Errorf("the public URL is %s, want https", server.URL())
	}
	for _, serial := range []int64{1, 2} {
		writeCertificate(t, folder, serial)
		client := http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the serial number is what is compared
			DisableKeepAlives: true,
		}}
		response, err := client.Get(server.URL() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.TLS.PeerCertificates[0].SerialNumber.Int64(); got != serial || response.StatusCode != http.StatusOK {
			t.Errorf("status %d with certificate %d, want %d", response.StatusCode, got, serial)
		}
	}
}

func TestACertificateThatCannotBeReadStopsTheStart(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := writeCertificate(t, folder, 1)
	if err := os.WriteFile(keyFile, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := command(t, settings(dataFolder(t), "SALLYPORT_TLS_CERT", certFile, "SALLYPORT_TLS_KEY", keyFile), "serve")
	if code != 1 || !strings.Contains(stderr, "tls-cert and tls-key") {
		t.Errorf("code %d: %s", code, stderr)
	}
}
