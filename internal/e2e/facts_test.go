package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// factRules read a metric and a list, and add to the list.
const factRules = `
fields:
  - {name: stolen, type: boolean}
metrics:
  - {name: payments, function: count, where: action.code == "payment", window: 10m}
lists:
  - {name: suspects, type: cidr}
actions:
  - code: payment
    unenrolled: review
    rules:
      - {id: suspect, name: From a suspect, when: ip.address in list.suspects, outcome: BLOCK}
      - id: stolen
        name: Reported as stolen
        when: custom.stolen
        outcome: BLOCK
        onMatch: {add: ip.address, to: suspects, for: 1h}
      - {id: third, name: The third payment in ten minutes, when: metric.payments >= 2, outcome: CHALLENGE}
otherwise: {rules: []}
`

// settled waits until lists and metrics are what the log says.
func (s *server) settled(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(startLimit)
	for {
		_, parts := s.readiness(t)
		if parts["lists"].State == "ok" && parts["metrics"].State == "ok" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("lists %+v, metrics %+v after %s", parts["lists"], parts["metrics"], startLimit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// paid reports a payment and returns the state it got.
func (s *server) paid(t *testing.T, user, ip string, stolen bool) string {
	t.Helper()
	state, _ := s.track(t, user, "payment", map[string]any{"ipAddress": ip, "custom": map[string]any{"stolen": stolen}})["state"].(string)
	return state
}

// TestMetricsAndLists publishes rules that read a metric and a list, and looks
// at what they decide: at once, with the first answer after a restart, and after a
// crash without the snapshot of the metrics.
func TestMetricsAndLists(t *testing.T) {
	data := dataFolder(t)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(factRules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, data)
	if out, problems, code := command(t, append(environment(data), "SALLYPORT_URL="+s.url), "rules", "apply", file); code != 0 {
		t.Fatalf("rules apply: exit code %d\n%s%s", code, out, problems)
	}
	s.settled(t)

	for i, want := range []string{"ALLOW", "ALLOW", "REVIEW_REQUIRED", "REVIEW_REQUIRED"} {
		if got := s.paid(t, "ann", "192.0.2.1", false); got != want {
			t.Errorf("payment %d of ann: %s, want %s", i+1, got, want)
		}
	}
	if got := s.paid(t, "ben", "198.51.100.7", true); got != "BLOCK" {
		t.Errorf("a stolen payment: %s", got)
	}
	if got := s.paid(t, "cid", "::ffff:198.51.100.7", false); got != "BLOCK" {
		t.Errorf("the very next action from that address: %s", got)
	}
	if got := s.paid(t, "cid", "198.51.100.8", false); got != "ALLOW" {
		t.Errorf("an action from the address beside it: %s", got)
	}
	listed := s.call(t, http.MethodGet, "/v1/management/lists/suspects/items", managementSecret, nil)
	if listed.status != http.StatusOK || !strings.Contains(listed.text, "198.51.100.7") || !strings.Contains(listed.text, "stolen") {
		t.Errorf("the list shows no item by the rule: %d %s", listed.status, listed.text)
	}

	remembers := func(t *testing.T, s *server) {
		t.Helper()
		// The first answer of all: nobody slips through while a server starts.
		if got := s.paid(t, "ann", "192.0.2.1", false); got != "REVIEW_REQUIRED" {
			t.Errorf("another payment of ann: %s", got)
		}
		if got := s.paid(t, "dan", "198.51.100.7", false); got != "BLOCK" {
			t.Errorf("an action from the listed address: %s", got)
		}
		if got := s.paid(t, "eve, "+t.Name(), "192.0.2.1", false); got != "ALLOW" {
			t.Errorf("the first payment of somebody else: %s", got)
		}
	}
	snapshot := filepath.Join(data, "metrics.snapshot")
	t.Run("a restart keeps both", func(t *testing.T) {
		s.stop(t)
		if _, err := os.Stat(snapshot); err != nil {
			t.Error(err)
		}
		s = serve(t, data)
		remembers(t, s)
		s.stop(t)
	})
	t.Run("without the snapshot metrics are built from the log", func(t *testing.T) {
		if err := os.Remove(snapshot); err != nil {
			t.Fatal(err)
		}
		remembers(t, serve(t, data))
	})
	t.Run("a snapshot that is damaged is of no use and does no harm", func(t *testing.T) {
		if err := os.WriteFile(snapshot, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		remembers(t, serve(t, data))
	})
}
