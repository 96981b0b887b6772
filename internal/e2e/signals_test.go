package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signalRules read one fact of each source of data.
const signalRules = `
actions:
  - code: payment
    unenrolled: review
    rules:
      - {id: tor, name: tor, when: ip.isTor, outcome: BLOCK, position: 0}
      - {id: bot, name: bot, when: device.isBot, outcome: BLOCK, position: 1}
      - {id: hosting, name: hosting, when: ip.isHosting && ip.organization.startsWith("Amazon"), outcome: REVIEW, position: 2}
      - {id: place, name: place, when: ip.city == "Mountain View" && ip.asn == 15169.0 && action.localHour >= 0.0, outcome: REVIEW, position: 3}
      - {id: phone, name: phone, when: user.phoneCountry == "NZ", outcome: REVIEW, position: 4}
otherwise: {rules: []}
`

// TestSignals decides by the data that ship and by a file of the operator's own,
// which is replaced while the server runs.
func TestSignals(t *testing.T) {
	data, own := dataFolder(t), t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(own, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put("tor.csv", "network,kind\n198.51.100.1,tor\n")
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte(signalRules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, data, "SALLYPORT_CLICKHOUSE=off", "SALLYPORT_IP_DATABASE="+own+","+filepath.Join(root, "bin", "lib"))
	if out, problems, code := command(t, append(environment(data), "SALLYPORT_URL="+s.url), "rules", "apply", rules); code != 0 {
		t.Fatalf("rules apply: exit code %d\n%s%s", code, out, problems)
	}
	paid := func(attributes map[string]any) string {
		t.Helper()
		state, _ := s.track(t, "ann", "payment", attributes)["state"].(string)
		return state
	}
	for _, tt := range []struct {
		name       string
		attributes map[string]any
		want       string
	}{
		{"an address at home", map[string]any{"ipAddress": "80.187.100.1"}, "ALLOW"},
		{"an exit of Tor", map[string]any{"ipAddress": "198.51.100.1"}, "BLOCK"},
		{"a cloud", map[string]any{"ipAddress": "52.95.110.1"}, "REVIEW_REQUIRED"},
		{"a city, a network and a local time", map[string]any{"ipAddress": "8.8.8.8"}, "REVIEW_REQUIRED"},
		{"a phone", map[string]any{"phoneNumber": "+6421555123"}, "REVIEW_REQUIRED"},
		{"a program", map[string]any{"userAgent": "Amazon CloudFront"}, "BLOCK"},
	} {
		if got := paid(tt.attributes); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, parts := s.readiness(t); parts["ipdata"].State != "ok" || !strings.Contains(parts["ipdata"].Detail, "tor.csv") {
		t.Errorf("ipdata is %+v", parts["ipdata"])
	}

	eventually := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(startLimit); !done(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not so after %s: %s", startLimit, what)
			}
		}
	}
	put("tor.csv", "203.0.113.9,tor\n")
	eventually("a new file decides", func() bool { return paid(map[string]any{"ipAddress": "203.0.113.9"}) == "BLOCK" })
	if got := paid(map[string]any{"ipAddress": "198.51.100.1"}); got != "REVIEW_REQUIRED" { // the phone is kept
		t.Errorf("an address that is on the list no more: %s", got)
	}
	put("tor.csv", "everywhere,tor\n")
	eventually("a broken file is told", func() bool {
		_, parts := s.readiness(t)
		return parts["ipdata"].State == "degraded" && strings.Contains(parts["ipdata"].Detail, "line 1")
	})
	if got := paid(map[string]any{"ipAddress": "203.0.113.9"}); got != "BLOCK" {
		t.Errorf("the file before the broken one decides no more: %s", got)
	}
}
