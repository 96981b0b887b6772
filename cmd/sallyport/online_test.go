package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
	s.fails(1, []string{"since set 1, which was edited"}, "rules", "apply", s.file("more.yaml", strings.Replace(strings.Replace(shopRules, "1000", "900", 1), "1500", "950", 1)), "--base", "1")

	s.ok([]string{"● in force", "Our own rules", "The set that Sallyport ships with"}, "rules", "history")
	exported := s.ok([]string{"# yaml-language-server: $schema=rules.schema.json\n", "\notherwise:\n  default: ALLOW\n", "payment-bot"}, "rules", "export", "1")
	s.ok([]string{"✓ no problems"}, "rules", "check", s.file("exported.yaml", exported))
	s.fails(1, []string{"no rule set 9"}, "rules", "export", "9")
	s.fails(2, []string{"not the number of a rule set"}, "rules", "export", "x")
	s.ok([]string{"Back from rule set 2 to 1:", "+ rule payment-bot of payment", "Published as rule set 3."}, "rules", "rollback", "1", "--note", "complaints")
	s.fails(1, []string{"in force already"}, "rules", "rollback", "3")
	s.ok([]string{"Nothing changes: rule set 1 is the same as 3, which is in force."}, "rules", "rollback", "1")
	if out := s.ok(nil, "rules", "rollback", "1", "--json"); !strings.Contains(out, `"published": false`) || !strings.Contains(out, `"number": 3`) {
		t.Errorf("going back to where we are: %s", out)
	}
	s.fails(2, []string{"--draft needs a title"}, "rules", "apply", file, "--draft=")
	s.fails(2, []string{"--draft needs a title"}, "rules", "apply", file, "--draft", " ")
	s.fails(2, []string{"--base must be the number"}, "rules", "apply", file, "--base", "0")

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
	s.fails(1, []string{"did not work on this rule set must approve it first", "--draft TITLE"}, "rules", "apply", file)
	out := s.ok([]string{"Saved as the draft draft-", "“Our own rules”"}, "rules", "apply", file, "--draft", "Our own rules")
	id := regexp.MustCompile(`draft-\w+`).FindString(out)
	s.ok([]string{id, "waits for approval", "Our own rules"}, "drafts", "ls")
	s.ok([]string{
		"revision 1 by management", "+ rule huge of payment: BLOCK when custom.amount > 1000",
		"! lists[0]: the list suspects is not there yet", "✓ 1 test passes",
	}, "drafts", "show", id)
	if out := s.ok(nil, "drafts", "show", id, "--yaml"); !strings.HasPrefix(out, "# yaml-language-server: $schema=rules.schema.json\nfields:") {
		t.Errorf("not YAML:\n%s", out)
	}
	link := s.env["SALLYPORT_URL"] + "/console/rules?draft=" + id
	s.ok([]string{"Only a person can approve “Our own rules”", link}, "drafts", "approve", id)
	s.fails(1, []string{`no draft "none"`}, "drafts", "approve", "none")
	s.fails(1, []string{"did not work on “Our own rules” must approve it first", "`sallyport drafts approve " + id + "` tells where"}, "drafts", "publish", id)
	s.fails(1, []string{`no draft "none"`}, "drafts", "publish", "none")
	s.ok([]string{"Deleted the draft “Our own rules”."}, "drafts", "delete", strings.TrimPrefix(id, "draft-"))
	s.ok([]string{"There are no drafts"}, "drafts", "ls")
}

// TestADraftIsWorkedOnFromTheCommandLine saves revisions, some of which cannot be
// published yet, until another set comes first.
func TestADraftIsWorkedOnFromTheCommandLine(t *testing.T) {
	s := newShell(t)
	file := s.file("rules.yaml", shopRules)
	failing := s.file("failing.yaml", strings.Replace(shopRules, "> 1000", "> 2000", 1))
	out := s.ok([]string{"✗ huge payments are blocked", "It cannot be published yet: 1 of 1 test fails."}, "rules", "apply", failing, "--draft", "Shop")
	id := regexp.MustCompile(`draft-\w+`).FindString(out)
	s.fails(1, []string{"huge payments are blocked"}, "drafts", "publish", id)
	broken := s.file("broken.yaml", strings.Replace(shopRules, "> 1000", "> 'x'", 1))
	s.ok([]string{
		broken + ":10:60: error: ", "Saved as revision 2 of the draft " + id + ", “The shop”.", "It cannot be published yet: it has 1 problem.",
	}, "drafts", "save", id, broken, "--title", "The shop")
	s.fails(1, []string{"nothing was saved"}, "drafts", "save", id, s.file("none.yaml", "actions: ["))
	s.fails(1, []string{"changed this"}, "drafts", "save", id, file, "--revision", "1")
	if out := s.ok([]string{"+ rule huge of payment", "✓ 1 test passes", "Saved as revision 3"}, "drafts", "save", id, file); strings.Contains(out, "cannot be published") {
		t.Errorf("a draft that can be published:\n%s", out)
	}
	s.ok([]string{"There was a draft of this title before, " + id, "`sallyport drafts save " + id + " FILE`"}, "rules", "apply", file, "--draft", "The shop")
	s.fails(1, []string{`no draft "none"`}, "drafts", "save", "none", file)

	s.ok([]string{"Published as rule set 2."}, "rules", "apply", s.file("other.yaml", strings.Replace(shopRules, "> 10,", "> 20,", 1)))
	s.fails(1, []string{"`sallyport drafts save " + id + " FILE --base 2` saves a revision"}, "drafts", "publish", id)
	s.ok([]string{"Saved as revision 4"}, "drafts", "save", id, file, "--base", "2")
	s.ok([]string{"Published “The shop” as rule set 3."}, "drafts", "publish", id)
}

func TestListsFromTheCommandLine(t *testing.T) {
	s := newShell(t)
	s.ok([]string{"There are no lists"}, "lists", "ls")
	s.ok([]string{"Created the list amounts of type number."}, "lists", "create", "amounts", "--type", "number", "--title", "Odd amounts")
	s.ok([]string{"has 3 items: 3 added."}, "lists", "add", "amounts", "--note", "odd", "--for", "24h", "--", "13", "-5", "0.5")
	s.ok([]string{"amounts  Odd amounts", "3 items of type number", "management", "odd", "… and 1 more"}, "lists", "show", "amounts", "--limit", "2")
	s.ok([]string{"has 2 items: 1 removed."}, "lists", "remove", "amounts", "--", "-5")
	exported := s.file("amounts.csv", s.ok([]string{"value,note,expires"}, "lists", "export", "amounts"))
	s.ok([]string{"has 3 items: 1 added."}, "lists", "import", "amounts", s.file("more.csv", "value\n99\n"))
	s.ok([]string{"has 3 items: 1 changed, 1 as before."}, "lists", "import", "amounts", s.file("note.csv", "value,note\n99,\n0.5,half\n"))
	s.ok([]string{"has 2 items: 1 changed, 1 as before, 1 removed."}, "lists", "import", "amounts", exported, "--replace")
	bad := s.file("bad.csv", "value,note\n1,\nmany,\n")
	s.fails(1, []string{"Nothing was imported", bad + ":3: value: "}, "lists", "import", "amounts", bad)
	s.ok([]string{"amounts", "number", "Odd amounts"}, "lists", "ls")
	s.fails(1, []string{`there is no list "none"; `}, "lists", "show", "none")
	for _, args := range [][]string{{"show", "amonts"}, {"export", "amonts"}, {"drop", "amonts"}, {"add", "amonts", "1"}, {"remove", "amonts", "1"}, {"import", "amonts", exported}} {
		s.fails(1, []string{`there is no list "amonts"; did you mean amounts?`}, append([]string{"lists"}, args...)...)
	}
	soon := time.Now().Add(time.Second).UTC().Truncate(time.Second).Add(time.Second)
	s.ok([]string{"1 added"}, "lists", "import", "amounts", s.file("soon.csv", "value,expires\n7,"+soon.Format(time.RFC3339)+"\n"))
	if out := s.ok(nil, "lists", "show", "amounts"); strings.Contains(out, "(expired)") {
		t.Errorf("an item that has not expired:\n%s", out)
	}
	time.Sleep(time.Until(soon))
	s.ok([]string{"(expired)"}, "lists", "show", "amounts")
	s.fails(1, []string{"already"}, "lists", "create", "amounts")
	for _, stay := range []string{"-3h", "tomorrow", "0h", "0d", "99999999d", ""} {
		s.fails(2, []string{"--for: ", "such as 24h or 30d"}, "lists", "add", "amounts", "1", "--for", stay)
	}
	s.ok([]string{"1 added"}, "lists", "add", "amounts", "1", "--for", "30d")

	s.ok(nil, "rules", "apply", s.file("rules.yaml", shopRules))
	s.ok([]string{"suspects", "● declared by the rules in force"}, "lists", "ls")
	s.fails(1, []string{`the list "suspects"`}, "lists", "drop", "suspects")
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
	want := `✓ From a suspicious network  suspicious → REVIEW  ● decides
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
		"What " + stricter + " would have decided", "3 decisions", "2 came out the same, 1 with another outcome\n",
		"  ALLOW  BLOCK  1          ◀", "k2", "ALLOW (default) → BLOCK (huge)", "+1",
	}, "backtest", stricter, "--from", "1h")
	s.ok([]string{"1 decision, the first in this time"}, "backtest", stricter, "--limit", "1", "--action", "payment")
	s.ok([]string{"3 decisions", "✓ 3 came out the same"}, "replay")
	s.ok([]string{"0 decisions"}, "replay", "--from", "2020-01-01", "--to", "2020-01-02T00:00:00Z")
	id := regexp.MustCompile(`draft-\w+`).FindString(s.ok(nil, "rules", "apply", stricter, "--draft", "Stricter"))
	s.ok([]string{"What “Stricter” would have decided", "1 with another outcome"}, "backtest", "--draft", id)
	renamed := s.file("renamed.yaml", strings.ReplaceAll(shopRules, "huge", "enormous"))
	s.ok([]string{"2 came out the same, 1 with the same outcome in another way\n"}, "backtest", renamed)
	s.ok([]string{"0 decisions", `does not list the action "paymant"; did you mean payment?`}, "backtest", stricter, "--action", "paymant")
	s.ok([]string{"0 decisions", `does not list the action "login".`}, "replay", "--action", "login")
	s.fails(2, []string{"either a FILE or a --draft"}, "backtest")
	s.fails(2, []string{"--from must be a time"}, "replay", "--from", "soon")
	broken := s.file("broken.yaml", "actions: [")
	s.fails(1, []string{broken + ":1: ", "nothing was tried"}, "backtest", broken)
	mistyped := s.file("mistyped.yaml", strings.Replace(shopRules, "> 1000", "> 'x'", 1))
	s.fails(1, []string{mistyped + ":10:60: "}, "backtest", mistyped)
	var report struct {
		Different int
		First     []struct{ Key string }
	}
	if err := json.Unmarshal([]byte(s.ok(nil, "backtest", stricter, "--json")), &report); err != nil || report.Different != 1 || report.First[0].Key != "k2" {
		t.Errorf("report %+v, %v", report, err)
	}
}
