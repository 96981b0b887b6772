package main_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
)

func TestSecretsAreMadeOnceAndKept(t *testing.T) {
	config := load(t, map[string]string{"SALLYPORT_DATA": t.TempDir()}, nil)
	first, err := sallyport.OpenSecrets(config)
	if err != nil {
		t.Fatal(err)
	}
	if first.NewServer == "" || first.NewManagement == "" || len(first.TokenKeys) != 1 {
		t.Fatalf("the first start made %+v", first)
	}
	if first.ManagementHash != sha256.Sum256([]byte(first.NewManagement.Reveal())) {
		t.Error("the hash is not that of the management secret")
	}
	path := filepath.Join(config.Data, "secrets.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), first.NewManagement.Reveal()) {
		t.Errorf("the management secret is stored, or %v", err)
	}

	second, err := sallyport.OpenSecrets(config)
	if err != nil {
		t.Fatal(err)
	}
	first.NewServer, first.NewManagement = "", ""
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second start differs (-first +second):\n%s", diff)
	}
}

func TestTheEnvironmentWinsOverStoredSecrets(t *testing.T) {
	data := t.TempDir()
	if _, err := sallyport.OpenSecrets(load(t, map[string]string{"SALLYPORT_DATA": data}, nil)); err != nil {
		t.Fatal(err)
	}
	got, err := sallyport.OpenSecrets(load(t, map[string]string{
		"SALLYPORT_DATA": data, "SALLYPORT_SECRET": "new-secret,old-secret", "SALLYPORT_MANAGEMENT_SECRET": "management",
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]sallyport.Secret{"new-secret", "old-secret"}, got.Server); diff != "" {
		t.Errorf("server secrets (-want +got):\n%s", diff)
	}
	if got.ManagementHash != sha256.Sum256([]byte("management")) {
		t.Error("the management secret is not the environment's")
	}
	if got.NewServer != "" || got.NewManagement != "" {
		t.Error("secrets were made though the environment has them")
	}
}

func TestARenewedManagementSecretReplacesTheOldOne(t *testing.T) {
	config := load(t, map[string]string{"SALLYPORT_DATA": t.TempDir()}, nil)
	first, err := sallyport.OpenSecrets(config)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := sallyport.RenewManagement(config.Data)
	if err != nil {
		t.Fatal(err)
	}
	second, err := sallyport.OpenSecrets(config)
	if err != nil {
		t.Fatal(err)
	}
	if second.ManagementHash != sha256.Sum256([]byte(renewed.Reveal())) || second.ManagementHash == first.ManagementHash {
		t.Error("the stored hash is not that of the renewed secret")
	}
}

func TestASecretsFileIsRefused(t *testing.T) {
	const key = `{"kid":"k","secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}`
	for _, c := range []struct {
		name string
		mode os.FileMode
		text string
		want string
	}{
		{"readable by the group", 0o640, `{"server":["s"],"tokenKeys":[` + key + `]}`, "chmod 600"},
		{"no JSON", 0o600, `{"server":`, "secrets.json"},
		{"short token key", 0o600, `{"tokenKeys":[{"kid":"k","secret":"AAEC"}]}`, "32 bytes"},
		{"bad hash", 0o600, `{"managementSha256":"abc","tokenKeys":[` + key + `]}`, "hexadecimal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := t.TempDir()
			path := filepath.Join(data, "secrets.json")
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := sallyport.OpenSecrets(load(t, map[string]string{"SALLYPORT_DATA": data}, nil))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if text, _ := os.ReadFile(path); string(text) != c.text {
				t.Error("a refused file was changed")
			}
		})
	}
}
