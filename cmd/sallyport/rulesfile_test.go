package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goodRules = `fields:
  - {name: amount, type: number}
lists:
  - {name: suspects, type: cidr}
actions:
  - code: payment
    prompt: Pay {amount}
    rules:
      - id: big
        name: Big
        when: custom.amount > 500
        outcome: CHALLENGE
      - id: suspects
        name: Suspects
        when: ip.address in list.suspects
        outcome: REVIEW
otherwise: {rules: []}
tests:
  - {name: small, action: payment, facts: {custom.amount: 5, "ip.address in list.suspects": false}, want: ALLOW, rule: default}
  - {name: from a bad address, action: payment, facts: {"ip.address in list.suspects": true}, want: REVIEW}
`

// files writes each text into a file of a fresh folder and returns their paths.
func files(t *testing.T, texts ...string) []string {
	t.Helper()
	paths := make([]string, len(texts))
	folder := t.TempDir()
	for i, text := range texts {
		paths[i] = filepath.Join(folder, string(rune('a'+i))+".yaml")
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestRuleFiles runs the commands that need no server: what they print and the
// exit code that CI sees.
func TestRuleFiles(t *testing.T) {
	replaced := func(old, new string) string { return strings.Replace(goodRules, old, new, 1) }
	shadowed := replaced("      - id: suspects\n", "      - {id: bigger, name: Bigger, when: custom.amount > 1000, outcome: BLOCK}\n      - id: suspects\n")
	tests := []struct {
		name  string
		args  []string // A and B stand for the files
		a, b  string
		code  int
		out   string // with FILE: for the folder
		error string // part of what is written to standard error
	}{
		{"check, fine", []string{"check", "A"}, goodRules, "", 0, "✓ no problems, 2 tests pass in 2 rules of 1 action\n", ""},
		{
			"check, a warning",
			[]string{"check", "A"},
			shadowed, "", 0,
			"a.yaml:13:9: warning: rule bigger: whenever it matches, the earlier rule big does, so it never decides\n" +
				"✓ no problems, 2 tests pass, 1 warning in 3 rules of 1 action\n", "",
		},
		{
			"check, strict",
			[]string{"check", "A", "--strict"},
			shadowed, "", 1,
			"a.yaml:13:9: warning: rule bigger: whenever it matches, the earlier rule big does, so it never decides\n" +
				"✓ no problems, 2 tests pass, 1 warning in 3 rules of 1 action\n", "",
		},
		{
			"check, strict about what is not decided",
			[]string{"check", "--strict", "A"},
			replaced("> 500", "> 500 || user.isNew"), "", 0,
			"a.yaml: note: it was not decided whether rule big can match, shadow others or be shadowed: not a plain conjunction of tests\n" +
				"✓ no problems, 2 tests pass in 2 rules of 1 action\n", "",
		},
		{
			"check, problems in the order of the lines",
			[]string{"check", "A"},
			replaced("custom.amount > 500", "custom.amuont > 500 &&\n          user.isNew") + "  - {name: odd, action: payment, facts: {ip.adress: x}, want: REVIEW}\n", "", 1,
			"a.yaml:11:15: error: custom.amuont is not declared; add it to the fields of this rule set; did you mean custom.amount?\n" +
				"a.yaml:22:53: error: there is no fact \"ip.adress\"; did you mean ip.address?\n" +
				"✗ 2 problems in 2 rules of 1 action\n", "",
		},
		{
			"check, a test that fails",
			[]string{"check", "A"},
			replaced("want: ALLOW", "want: BLOCK"), "", 1,
			"a.yaml:19:5: error: test small: want BLOCK by default, got ALLOW by default\n" +
				"✗ 1 of 2 tests fail in 2 rules of 1 action\n", "",
		},
		{"check, no tests", []string{"check", "A"}, "otherwise: {rules: []}", "", 0, "✓ no problems in 0 rules of 0 actions\n", ""},
		{"check, no YAML", []string{"check", "A"}, "a: [", "", 1, "a.yaml:1: error: did not find expected node content\n✗ 1 problem\n", ""},
		{"check, no file", []string{"check", "Ax"}, "", "", 2, "", "no such file"},
		{"check, no argument", []string{"check"}, "", "", 2, "", "usage: sallyport rules check FILE"},

		{"test, fine", []string{"test", "A"}, goodRules, "", 0, "  ✓ 2 tests pass\n", ""},
		{
			"test, a failure",
			[]string{"test", "A"},
			replaced("want: ALLOW", "want: BLOCK"), "", 1,
			"  ✗ small (payment)\n      want BLOCK by default, got ALLOW by default\n  1 of 2 tests fail\n", "",
		},
		{
			"test, problems",
			[]string{"test", "A"},
			replaced("want: ALLOW", "want: MAYBE"), "", 1,
			"a.yaml:19:107: error: \"MAYBE\" is not one of ALLOW, CHALLENGE, REVIEW, BLOCK\n✗ 1 problem in 2 rules of 1 action\n", "",
		},
		{"test, none", []string{"test", "A"}, "otherwise: {rules: []}", "", 0, "a.yaml has no tests\n", ""},
		{"test, no file", []string{"test", "Ax"}, "", "", 2, "", "no such file"},

		{"diff, the same", []string{"diff", "A", "B"}, goodRules, replaced("payment\n", "payment\n    default: ALLOW\n"), 0, "nothing differs\n", ""},
		{
			"diff, changes",
			[]string{"diff", "A", "B"},
			goodRules, replaced("> 500", "> 250") + "  - {name: new, action: payment, want: ALLOW}\n", 1,
			"action payment\n  ~ big\n      when          custom.amount > 500 → custom.amount > 250\n\ntests\n  + new  payment: want ALLOW\n", "",
		},
		{
			"diff, an attribute with a long name",
			[]string{"diff", "A", "B"},
			goodRules, replaced("payment\n", "payment\n    userVerification: preferred\n"), 1,
			"action payment\n  ~ settings\n      userVerification – → preferred\n", "",
		},
		{
			"diff, a rule that moved",
			[]string{"diff", "A", "B"},
			shadowed, strings.Replace(replaced("      - id: big\n", "      - {id: bigger, name: Bigger, when: custom.amount > 1000, outcome: BLOCK}\n      - id: big\n"), "REVIEW\n", "BLOCK\n", 1), 1,
			"action payment\n  ~ bigger\n      moved from    place 2 → place 1\n  ~ suspects\n      outcome       REVIEW → BLOCK\n", "",
		},
		{
			"diff, long values stand below each other",
			[]string{"diff", "A", "B"},
			goodRules, replaced("> 500", "> 500 && user.isNew &&\n          device.isNew"), 1,
			"action payment\n  ~ big\n      when          - custom.amount > 500\n                    + custom.amount > 500 && user.isNew && device.isNew\n", "",
		},
		{
			"diff, everything about what came and went",
			[]string{"diff", "A", "B"},
			goodRules, `fields:
  - {name: amount, type: number}
  - {name: tier, type: string, scope: user, description: What was bought}
metrics:
  - {name: failed_1h, function: count, counts: challenges, where: 'challenge.result == "failed"', per: ip.address, window: 1h}
  - {name: spent, function: sum, of: custom.amount, window: 24h}
lists:
  - {name: suspects, type: cidr}
  - {name: friends, type: string, description: Who may}
actions:
  - code: payment
    prompt: Pay {amount}
    rules:
      - {id: big, name: Big, when: custom.amount > 500, outcome: CHALLENGE, mode: live}
      - id: bad
        name: Bad
        when: metric.failed_1h > 3 &&
          ip.address in list.suspects
        outcome: CHALLENGE
        mode: shadow
        onError: match
        onUnknown: match
        position: 7
        rollout: 0
        methods: [PASSKEY]
        userVerification: required
        onMatch: {add: ip.address, to: suspects, for: 24h}
        tags: [limits, network]
  - {code: login, default: REVIEW, rules: []}
otherwise: {rules: []}
tests:
  - {name: small, action: payment, facts: {custom.amount: 5, "ip.address in list.suspects": false}, want: ALLOW, rule: default}
  - {name: new, action: payment, facts: {custom.amount: 9}, want: ALLOW, rule: default}
`, 1, `fields
  + user.custom.tier  string
      scope         user
      description   What was bought

metrics
  + failed_1h  count per ip.address in 1h
      counts        challenges
      where         challenge.result == "failed"
  + spent  sum custom.amount per user.id in 24h

lists
  + friends  string
      description   Who may

action payment
  - suspects  REVIEW when ip.address in list.suspects
      name          Suspects
  + bad  CHALLENGE when metric.failed_1h > 3 && ip.address in list.suspects
      name          Bad
      mode          shadow
      onError       match
      onUnknown     match
      position      7
      rollout       0
      methods       ["PASSKEY"]
      userVerification required
      onMatch       {"add":"ip.address","to":"suspects","for":"24h"}
      tags          ["limits","network"]

action login
  + settings
      default       REVIEW
      onFailure     CHALLENGE
      unenrolled    allow

tests
  - from a bad address  payment: want REVIEW
      facts         {"ip.address in list.suspects":true}
  + new  payment: want ALLOW
      facts         {"custom.amount":9}
      rule          default
`, "",
		},
		{"diff, no YAML", []string{"diff", "A", "B"}, goodRules, "a: [", 2, "", "b.yaml:1: did not find expected node content"},
		{"diff, no file", []string{"diff", "A", "Ax"}, goodRules, "", 2, "", "no such file"},
		{"diff, one file", []string{"diff", "A"}, goodRules, "", 2, "", "two files are needed, or --server"},
		{"diff, two files and a server", []string{"diff", "A", "B", "--server"}, goodRules, goodRules, 2, "", "only one FILE"},
		{"diff, no secret", []string{"diff", "A", "--server"}, goodRules, "", 2, "", "SALLYPORT_MANAGEMENT_SECRET"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			paths := files(t, tt.a, tt.b)
			args := []string{"rules"}
			for _, arg := range tt.args {
				args = append(args, strings.Replace(strings.Replace(arg, "A", paths[0], 1), "B", paths[1], 1))
			}
			code, out, stderr := command(t, map[string]string{}, args...)
			out = strings.ReplaceAll(out, filepath.Dir(paths[0])+string(filepath.Separator), "")
			if code != tt.code || !strings.Contains(stderr, tt.error) || tt.error == "" && stderr != "" {
				t.Errorf("code %d, want %d; standard error %q, want %q", code, tt.code, stderr, tt.error)
			}
			if diff := cmp.Diff(tt.out, out); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("as JSON", func(t *testing.T) {
		paths := files(t, shadowed, replaced("want: ALLOW", "want: BLOCK"), "fields: 7")
		var check struct {
			Problems []struct{ Line int }
			Findings []struct {
				Kind, Rule, Other string
				Line, Column      int
			}
		}
		code, out, _ := command(t, nil, "rules", "check", "--json", paths[0])
		if err := json.Unmarshal([]byte(out), &check); err != nil || code != 0 || len(check.Findings) != 1 || check.Findings[0].Line != 13 || check.Findings[0].Other != "big" {
			t.Errorf("check: code %d, %v: %s", code, err, out)
		}
		code, out, _ = command(t, nil, "rules", "check", "--json", paths[2])
		if err := json.Unmarshal([]byte(out), &check); err != nil || code != 1 || len(check.Problems) != 1 || check.Problems[0].Line != 1 {
			t.Errorf("check of mistakes: code %d, %v: %s", code, err, out)
		}
		var tests struct {
			Tests []struct {
				Name   string
				Passed bool
			}
		}
		code, out, _ = command(t, nil, "rules", "test", "--json", paths[1])
		if err := json.Unmarshal([]byte(out), &tests); err != nil || code != 1 || len(tests.Tests) != 2 || tests.Tests[0].Passed || !tests.Tests[1].Passed {
			t.Errorf("test: code %d, %v: %s", code, err, out)
		}
		var changes []struct{ Kind, Part, Name string }
		code, out, _ = command(t, nil, "rules", "diff", "--json", paths[0], paths[1])
		if err := json.Unmarshal([]byte(out), &changes); err != nil || code != 1 || len(changes) != 2 || changes[0].Name != "bigger" {
			t.Errorf("diff: code %d, %v: %s", code, err, out)
		}
	})
	t.Run("the schema", func(t *testing.T) {
		code, out, _ := command(t, nil, "rules", "schema")
		if code != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, "draft/2020-12") {
			t.Errorf("code %d: %.200s", code, out)
		}
	})
}

func TestRuleFilesAreComparedWithTheServer(t *testing.T) {
	server, _ := serve(t, settings(dataFolder(t)))
	env := map[string]string{"SALLYPORT_URL": server.URL(), "SALLYPORT_MANAGEMENT_SECRET": managementSecret}
	_, exported, _ := command(t, env, "rules", "export")
	paths := files(t, exported, strings.Replace(exported, "custom.amount > 10000", "custom.amount > 10", 1))
	if code, out, stderr := command(t, env, "rules", "diff", "--server", paths[0]); code != 0 || out != "nothing differs\n" {
		t.Errorf("the exported file: code %d: %s%s", code, out, stderr)
	}
	code, out, stderr := command(t, env, "rules", "diff", "--server", paths[1])
	if code != 1 || !strings.Contains(out, "custom.amount > 10000 → custom.amount > 10\n") {
		t.Errorf("a changed file: code %d: %s%s", code, out, stderr)
	}
}
