package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
)

// shell runs command lines against a server.
type shell struct {
	t      *testing.T
	server *sallyport.Server
	env    map[string]string
	dir    string
}

func newShell(t *testing.T, further ...string) *shell {
	t.Helper()
	server, _ := serve(t, settings(dataFolder(t), further...))
	return &shell{t: t, server: server, dir: t.TempDir(), env: map[string]string{
		"SALLYPORT_URL": server.URL(), "SALLYPORT_MANAGEMENT_SECRET": managementSecret,
	}}
}

// file writes a file and returns its path.
func (s *shell) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// ok runs a command that must succeed, and looks for texts in its output.
func (s *shell) ok(want []string, args ...string) string {
	s.t.Helper()
	code, out, stderr := command(s.t, s.env, args...)
	if code != 0 {
		s.t.Fatalf("%v: code %d: %s%s", args, code, out, stderr)
	}
	s.says(out, want, args)
	return out
}

// fails runs a command that must end with a code.
func (s *shell) fails(code int, want []string, args ...string) {
	s.t.Helper()
	got, out, stderr := command(s.t, s.env, args...)
	if got != code {
		s.t.Errorf("%v: code %d, want %d: %s%s", args, got, code, out, stderr)
	}
	s.says(out+stderr, want, args)
}

func (s *shell) says(text string, want, args []string) {
	s.t.Helper()
	for _, part := range want {
		if !strings.Contains(text, part) {
			s.t.Errorf("%v does not say %q:\n%s", args, part, text)
		}
	}
}

// pay tracks a payment and returns its state.
func (s *shell) pay(key string, amount string) any {
	s.t.Helper()
	_, answer := call(s.t, http.MethodPost, s.server.URL()+"/v1/users/jane/actions/payment",
		`{"idempotencyKey":"`+key+`","ipAddress":"198.51.100.20","custom":{"amount":`+amount+`}}`)
	return answer["state"]
}

const shopRules = `
fields:
  - {name: amount, type: number}
lists:
  - {name: suspects, type: cidr, description: Seen in fraud}
actions:
  - code: payment
    rules:
      - {id: suspicious, name: From a suspicious network, when: ip.address in list.suspects && custom.amount > 10, outcome: REVIEW}
      - {id: huge, name: Huge payment, when: custom.amount > 1000, outcome: BLOCK}
otherwise: {code: otherwise, rules: []}
tests:
  - {name: huge payments are blocked, action: payment, facts: {custom.amount: 1500}, want: BLOCK, rule: huge}
`

func TestRuleSetsFromTheCommandLine(t *testing.T) {
	s := newShell(t)
	file := s.file("rules.yaml", shopRules)
	s.ok([]string{
		"From rule set 1", "+ rule suspicious of payment: REVIEW when ip.address in list.suspects", "- rule payment-bot of payment",
		"✓ 1 test passes", "Published as rule set 2.",
	}, "rules", "apply", file, "--note", "Our own rules")
	s.ok([]string{"Nothing changes: this is rule set 2"}, "rules", "apply", file)
	wrong := s.file("wrong.yaml", strings.Replace(shopRules, "> 1000", "> 2000", 1))
	s.fails(1, []string{"✗ huge payments are blocked", "1 of the 1 test of", "nothing was published"}, "rules", "apply", wrong)
	broken := s.file("broken.yaml", strings.Replace(shopRules, "> 1000", "> 'x'", 1))
	s.fails(1, []string{broken + ":10:60: ", "nothing was published"}, "rules", "apply", broken)
	s.fails(1, []string{"rule set 1"}, "rules", "apply", s.file("more.yaml", strings.Replace(strings.Replace(shopRules, "1000", "900", 1), "1500", "950", 1)), "--base", "1")

	s.ok([]string{"● in force", "Our own rules", "The set that Sallyport ships with"}, "rules", "history")
	s.ok([]string{"payment-bot"}, "rules", "export", "1")
	s.fails(1, []string{"no rule set 9"}, "rules", "export", "9")
	s.fails(2, []string{"not the number of a rule set"}, "rules", "export", "x")
	s.ok([]string{"Back from rule set 2 to 1:", "+ rule payment-bot of payment", "Published as rule set 3."}, "rules", "rollback", "1", "--note", "complaints")
	s.fails(1, []string{"in force already"}, "rules", "rollback", "3")

	var history struct {
		Current  int
		RuleSets []struct{ Note string }
	}
	if err := json.Unmarshal([]byte(s.ok(nil, "rules", "history", "--json")), &history); err != nil || history.Current != 3 ||
		history.RuleSets[0].Note != "Back to rule set 1: complaints" {
		t.Errorf("history %+v, %v", history, err)
	}
	var applied struct {
		Published bool
		Number    int
		Changes   []struct{ Kind string }
		Tests     []struct{ Passed bool }
	}
	if err := json.Unmarshal([]byte(s.ok(nil, "rules", "apply", file, "--json")), &applied); err != nil || !applied.Published ||
		applied.Number != 4 || len(applied.Changes) == 0 || len(applied.Tests) != 1 {
		t.Errorf("applied %+v, %v", applied, err)
	}
}

func TestDraftsFromTheCommandLine(t *testing.T) {
	s := newShell(t, "SALLYPORT_RULES_APPROVAL", "required")
	file := s.file("rules.yaml", shopRules)
	s.ok([]string{"There are no drafts"}, "drafts", "ls")
	s.fails(1, []string{"must approve this rule set first"}, "rules", "apply", file)
	out := s.ok([]string{"Saved as the draft draft-", "“Our own rules”"}, "rules", "apply", file, "--draft", "Our own rules")
	id := regexp.MustCompile(`draft-\w+`).FindString(out)
	s.ok([]string{id, "waits for approval", "Our own rules"}, "drafts", "ls")
	s.ok([]string{
		"revision 1 by management", "+ rule huge of payment: BLOCK when custom.amount > 1000",
		"! lists[0]: the list suspects is not there yet", "✓ 1 test passes",
	}, "drafts", "show", id)
	if out := s.ok(nil, "drafts", "show", id, "--yaml"); !strings.HasPrefix(out, "fields:") {
		t.Errorf("not YAML:\n%s", out)
	}
	link := s.env["SALLYPORT_URL"] + "/console/rules?draft=" + id
	s.ok([]string{"Only a person can approve “Our own rules”", link}, "drafts", "approve", id)
	s.fails(1, []string{`no draft "none"`}, "drafts", "approve", "none")
	s.fails(1, []string{"must approve"}, "drafts", "publish", id)
	s.fails(1, []string{`no draft "none"`}, "drafts", "publish", "none")
	s.ok([]string{"Deleted the draft “Our own rules”."}, "drafts", "delete", strings.TrimPrefix(id, "draft-"))
	s.ok([]string{"There are no drafts"}, "drafts", "ls")
}

func TestListsFromTheCommandLine(t *testing.T) {
	s := newShell(t)
	s.ok([]string{"There are no lists"}, "lists", "ls")
	s.ok([]string{"Created the list amounts of type number."}, "lists", "create", "amounts", "--type", "number", "--title", "Odd amounts")
	s.ok([]string{"has 3 items"}, "lists", "add", "amounts", "--note", "odd", "--for", "24h", "--", "13", "-5", "0.5")
	s.ok([]string{"amounts  Odd amounts", "3 items of type number", "management", "odd", "… and 1 more"}, "lists", "show", "amounts", "--limit", "2")
	s.ok([]string{"has 2 items"}, "lists", "remove", "amounts", "--", "-5")
	exported := s.file("amounts.csv", s.ok([]string{"value,note,expires"}, "lists", "export", "amounts"))
	s.ok([]string{"has 3 items"}, "lists", "import", "amounts", s.file("more.csv", "value\n99\n"))
	s.ok([]string{"has 2 items"}, "lists", "import", "amounts", exported, "--replace")
	bad := s.file("bad.csv", "value,note\n1,\nmany,\n")
	s.fails(1, []string{"Nothing was imported", bad + ":3: value: "}, "lists", "import", "amounts", bad)
	s.ok([]string{"amounts", "number", "Odd amounts"}, "lists", "ls")
	s.fails(1, []string{"no list of this name"}, "lists", "show", "none")
	s.fails(1, []string{"already"}, "lists", "create", "amounts")
	s.fails(2, []string{"such as 24h"}, "lists", "add", "amounts", "1", "--for", "-3h")

	s.ok(nil, "rules", "apply", s.file("rules.yaml", shopRules))
	s.ok([]string{"suspects", "● by the rules in force"}, "lists", "ls")
	s.fails(1, []string{"tests this list"}, "lists", "drop", "suspects")
	s.ok([]string{"Dropped the list amounts."}, "lists", "drop", "amounts")
}

func TestADecisionIsExplainedOnTheCommandLine(t *testing.T) {
	s := newShell(t)
	s.ok(nil, "rules", "apply", s.file("rules.yaml", shopRules))
	s.ok(nil, "lists", "add", "suspects", "198.51.100.0/24")
	if state := s.pay("k1", "20"); state != "REVIEW_REQUIRED" {
		t.Fatalf("an address that was just put on the list is %v", state)
	}
	out := s.ok([]string{"REVIEW  payment of jane", "decided by the rule “From a suspicious network”; rule set 2", "now REVIEW_REQUIRED"}, "explain", "jane", "payment", "k1")
	want := `✓ From a suspicious network  suspicious → REVIEW  ◀ decides
  ✓ all of
    ✓ ip.address in list.suspects                       ip.address = "198.51.100.20"
    ✓ custom.amount > 10                                custom.amount = 20

✗ Huge payment  huge → BLOCK
  ✗ custom.amount > 1000                                custom.amount = 20  ◀

◀ is what kept a rule from matching.
`
	if !strings.HasSuffix(out, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", out, want)
	}
	s.ok([]string{"no rule matched"}, "explain", "jane", "payment", func() string { s.pay("k2", "5"); return "k2" }())
	s.fails(1, []string{`no rule "x" in rule set 2`}, "explain", "jane", "payment", "k1", "--rule", "x")
	s.fails(1, []string{"no decision about this user"}, "explain", "jane", "payment", "none")
	var e struct {
		Rules []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(s.ok(nil, "explain", "jane", "payment", "k1", "--json")), &e); err != nil || len(e.Rules) != 2 {
		t.Errorf("explained %+v, %v", e, err)
	}
	call(t, http.MethodDelete, s.server.URL()+"/v1/users/jane", "")
	s.ok([]string{"erased together with the person"}, "explain", "jane", "payment", "k1")
}

func TestRulesAreTriedOnThePastOnTheCommandLine(t *testing.T) {
	s := newShell(t)
	file := s.file("rules.yaml", shopRules)
	s.ok(nil, "rules", "apply", file)
	for key, amount := range map[string]string{"k1": "5", "k2": "700", "k3": "1500"} {
		s.pay(key, amount)
	}
	stricter := s.file("stricter.yaml", strings.Replace(shopRules, "custom.amount > 1000", "custom.amount > 600", 1))
	s.ok([]string{
		"What " + stricter + " would have decided", "3 decisions", "2 came out the same, 1 differently, 1 of them with another outcome",
		"  ALLOW  BLOCK  1          ◀", "k2", "ALLOW (default) → BLOCK (huge)", "+1",
	}, "backtest", stricter, "--from", "1h")
	s.ok([]string{"1 decision, the first in this time"}, "backtest", stricter, "--limit", "1", "--action", "payment")
	s.ok([]string{"3 decisions", "✓ 3 came out the same"}, "replay")
	s.ok([]string{"0 decisions"}, "replay", "--from", "2020-01-01", "--to", "2020-01-02T00:00:00Z")
	id := regexp.MustCompile(`draft-\w+`).FindString(s.ok(nil, "rules", "apply", stricter, "--draft", "Stricter"))
	s.ok([]string{"What “Stricter” would have decided", "1 differently"}, "backtest", "--draft", id)
	s.fails(2, []string{"either a FILE or a --draft"}, "backtest")
	s.fails(2, []string{"--from must be a time"}, "replay", "--from", "soon")
	broken := s.file("broken.yaml", "actions: [")
	s.fails(1, []string{broken}, "backtest", broken)
	var report struct {
		Different int
		First     []struct{ Key string }
	}
	if err := json.Unmarshal([]byte(s.ok(nil, "backtest", stricter, "--json")), &report); err != nil || report.Different != 1 || report.First[0].Key != "k2" {
		t.Errorf("report %+v, %v", report, err)
	}
}
