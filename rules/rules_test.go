package rules_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func TestVocabulary(t *testing.T) {
	facts := map[string]rules.Fact{}
	for _, f := range rules.Vocabulary() {
		facts[f.Name] = f
		if f.Doc == "" || !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s has no sentence as help text: %q", f.Name, f.Doc)
		}
		if group, _, _ := strings.Cut(f.Name, "."); group != f.Group {
			t.Errorf("%s is in group %q", f.Name, f.Group)
		}
	}
	for _, want := range []rules.Fact{
		{Name: "ip.countryCode", Type: "string", Group: "ip", Doc: "ISO 3166-1 alpha-2 code of the address's country."},
		{Name: "passkey.count", Type: "number", Group: "passkey", Doc: "Number of passkeys the user has."},
		{Name: "user.lastVerifiedAt", Type: "timestamp", Group: "user", Doc: "When the user last passed a challenge."},
		{Name: "device.isBot", Type: "boolean", Group: "device", Doc: "True when the user agent is that of a known bot."},
		{Name: "now", Type: "timestamp", Group: "now", Doc: "Now is the time of the decision."},
	} {
		if diff := cmp.Diff(want, facts[want.Name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
}

// TestEveryFactIsReadable evaluates a condition on each fact, there and missing.
func TestEveryFactIsReadable(t *testing.T) {
	sample := map[string]any{"string": "x", "number": 1.0, "boolean": true, "timestamp": time.Unix(1, 0)}
	literal := map[string]string{"string": `"x"`, "number": "1", "boolean": "true", "timestamp": `timestamp("1970-01-01T00:00:01Z")`}
	for _, f := range rules.Vocabulary() {
		t.Run(f.Name, func(t *testing.T) {
			set := compile(t, withRule(f.Name+" == "+literal[f.Type]))
			facts := makeFacts(t, "", map[string]any{f.Name: sample[f.Type]})
			if got := set.Evaluate("a", facts); got.Outcome != rules.Block {
				t.Errorf("a fact that is there: %+v", got)
			}
		})
	}
}

// TestDocumentation keeps docs/rules.md complete and true.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rules.Vocabulary() {
		missing := "unknown"
		if _, problems := rules.FactsOf(&rules.Definition{}, "a", map[string]any{f.Name: nil}); len(problems) > 0 { // it cannot be
			missing = map[string]string{"string": "empty", "number": "0", "boolean": "false"}[f.Type]
		}
		if f.Name == "action.code" {
			missing = "–" // nothing is decided without it
		}
		if row := fmt.Sprintf("| `%s` | %s | %s | %s |", f.Name, f.Type, f.Doc, missing); !strings.Contains(string(text), row) {
			t.Errorf("docs/rules.md has no row %s", row)
		}
	}
	for _, method := range rules.Methods() {
		if !strings.Contains(string(text), "`"+method+"`") {
			t.Errorf("docs/rules.md does not name %s", method)
		}
	}
	for _, row := range []string{
		string(rules.UnenrolledAllow) + "` (default)", string(rules.UnenrolledEnrol) + "`", string(rules.UnenrolledReview) + "`", string(rules.UnenrolledBlock) + "`",
		string(rules.VerificationRequired) + "`", string(rules.VerificationPreferred) + "`", string(rules.VerificationDiscouraged) + "`",
		string(rules.ChallengeSucceeded) + "`", string(rules.ChallengeFailed) + "`", string(rules.ChallengeDenied) + "`", string(rules.ChallengeAbandoned) + "`",
	} {
		if !strings.Contains(string(text), "\n| `"+row+" | ") {
			t.Errorf("docs/rules.md has no row %s", row)
		}
	}
	limits := fmt.Sprintf("| a condition | %d KiB, %s parts; loops nest %d deep, lists and maps %d;", rules.MaxExpressionBytes>>10,
		withComma(rules.MaxExpressionNodes), rules.MaxComprehensionNesting, rules.MaxLiteralNesting)
	sizes := fmt.Sprintf("| a rule set | %d MiB, %s rules, %d actions, %d fields, %d metrics, %d lists, %s tests |", rules.MaxDefinitionBytes>>20,
		withComma(rules.MaxRules), rules.MaxActions, rules.MaxFields, rules.MaxMetrics, rules.MaxLists, withComma(rules.MaxTests))
	rest := fmt.Sprintf("| an action | %d rules with `onMatch` |\n| matches that a decision records | %d,", rules.MaxAdditions, rules.MaxMatches)
	metrics := fmt.Sprintf("| the conditions of all metrics together | a cost of %s at worst,", withComma(rules.MaxMetricsCost))
	for _, row := range []string{limits, sizes, metrics, rest} {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/rules.md does not say %q", row)
		}
	}
	t.Run("its examples can be published and its tests pass", func(t *testing.T) {
		var d rules.Definition
		for i, block := range strings.Split(string(text), "```yaml\n")[1:] {
			part := parse(t, block[:strings.Index(block, "```")])
			if i == 0 {
				d = part
				continue
			}
			for _, m := range part.Metrics {
				if m.Name != d.Metrics[0].Name {
					d.Metrics = append(d.Metrics, m)
				}
			}
			d.Tests = append(d.Tests, part.Tests...)
		}
		if len(d.Metrics) != 3 || len(d.Tests) != 4 {
			t.Fatalf("%d metrics and %d tests were found", len(d.Metrics), len(d.Tests))
		}
		for _, result := range runTests(t, compile(t, d)) {
			if !result.Passed {
				t.Errorf("%s: %s", result.Name, result.Message)
			}
		}
	})
	t.Run("its example of a window", func(t *testing.T) {
		window, err := rules.ParseWindow("1h")
		if err != nil {
			t.Fatal(err)
		}
		at := func(clock string) time.Time {
			moment, err := time.Parse(time.RFC3339, "2026-11-22T"+clock+"Z")
			if err != nil {
				t.Fatal(err)
			}
			return moment
		}
		for _, tt := range []struct {
			end, at string
			in      bool
		}{
			{"12:00:30", "11:00:59", false}, {"12:00:30", "11:01:00", true}, {"12:00:59", "11:01:00", true}, {"12:01:00", "11:01:00", false},
		} {
			if got := window.Holds(at(tt.end), at(tt.at)); got != tt.in {
				t.Errorf("at %s the window holds %s: %v", tt.end, tt.at, got)
			}
		}
	})
}

// withComma writes a number as the documentation does.
func withComma(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func TestActionDefaults(t *testing.T) {
	set := compile(t, withRule("true"))
	got, first := set.Action("anything"), 0
	want := rules.ActionRules{
		Code: "anything", Default: rules.Allow, OnFailure: rules.Challenge, Unenrolled: rules.UnenrolledAllow,
		Rules: []rules.Rule{{
			ID: "r", Name: "R", When: "true", Outcome: rules.Block, Mode: rules.Live, OnError: rules.ErrorFails, OnUnknown: rules.UnknownIgnored,
			Position: &first,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("action (-want +got):\n%s", diff)
	}
	if set.Version().Definition.Otherwise.Rules[0].Mode != "" {
		t.Error("defaults were written into the published definition")
	}
}

func TestMatchesAreBounded(t *testing.T) {
	d := rules.Definition{}
	for i := range rules.MaxMatches + 20 {
		d.Otherwise.Rules = append(d.Otherwise.Rules, rules.Rule{ID: fmt.Sprintf("r%d", i), Name: "R", When: "true", Outcome: rules.Review})
	}
	got := compile(t, d).Evaluate("a", &rules.Facts{})
	if len(got.Matches) != rules.MaxMatches || got.Count != rules.MaxMatches+20 || got.Rule != "r0" {
		t.Errorf("%d matches of %d, decided by %s", len(got.Matches), got.Count, got.Rule)
	}
}

func TestEvaluateConcurrently(t *testing.T) {
	set := compile(t, withRule(`custom.amount > 100 && custom.payee == "p1" && ["a", "b"].exists(x, x != custom.other)`))
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 500 {
				amount := float64(i % 200)
				facts := &rules.Facts{Custom: map[string]any{"amount": amount, "payee": fmt.Sprintf("p%d", worker%2), "other": "z"}}
				want := rules.Allow
				if amount > 100 && worker%2 == 1 {
					want = rules.Block
				}
				if got := set.Evaluate("payment", facts); got.Outcome != want {
					t.Errorf("worker %d, amount %v: %s", worker, amount, got.Outcome)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestMatchesCodec(t *testing.T) {
	want := []rules.Match{
		{ID: "a", Name: "A", Outcome: rules.Block, Mode: rules.Live, Result: rules.Matched, Decides: true},
		{ID: "b", Name: "B", Outcome: rules.Allow, Mode: rules.Shadow, Result: rules.Erred, Error: "division by zero"},
	}
	encoded, err := rules.EncodeMatches(want, 7)
	if err != nil {
		t.Fatal(err)
	}
	got, count, err := rules.DecodeMatches(encoded)
	if err != nil || count != 7 {
		t.Fatalf("count %d, error %v", count, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
	if none, _ := rules.EncodeMatches(nil, 0); string(none) != `{"v":1,"count":0,"matches":[]}` {
		t.Errorf("no matches: %s", none)
	}
	if _, _, err := rules.DecodeMatches([]byte(`{"v":9}`)); err == nil {
		t.Error("version 9 was read")
	}
}

func TestFillPrompt(t *testing.T) {
	tests := []struct {
		name, template string
		custom         map[string]any
		want           string
	}{
		{"values", "Pay {amount} {currency} to {payee}", map[string]any{"amount": 250.0, "currency": "EUR", "payee": "Jo & Co <b>"}, "Pay 250 EUR to Jo & Co <b>"},
		{"one decimal", "{amount}", map[string]any{"amount": 249.9}, "249.90"},
		{"more decimals", "{amount}", map[string]any{"amount": 0.125}, "0.125"},
		{"large", "{amount}", map[string]any{"amount": 123456789012.0}, "123456789012"},
		{"huge", "{amount}", map[string]any{"amount": 1e300}, "1e+300"},
		{"negative", "{amount}", map[string]any{"amount": -5.5}, "-5.50"},
		{"boolean", "{express}", map[string]any{"express": true}, "yes"},
		{"missing", "Pay {amount} to {payee}", nil, "Pay … to …"},
		{"empty", "To {payee}", map[string]any{"payee": " \t"}, "To …"},
		{"of no known type", "{payee}", map[string]any{"payee": []any{"x"}}, "…"},
		{"a value is not a template", "{a} {b}", map[string]any{"a": "{b}", "b": "x"}, "{b} x"},
		{"line breaks and control characters", "To {payee}!", map[string]any{"payee": "a\r\n\x00\x1b[1mb\u0085c"}, "To a [1mb c!"},
		{"direction overrides", "To {payee} now", map[string]any{"payee": "\u202eoj\u2066\u200f\u061c"}, "To oj now"},
		{"zero width", "{payee}", map[string]any{"payee": "a\u200bb\ufeffc\u00ad"}, "abc"},
		{"invalid UTF-8", "{payee}", map[string]any{"payee": "a\xffb"}, "ab"},
		{"long", "{payee}", map[string]any{"payee": strings.Repeat("ä", 500)}, strings.Repeat("ä", rules.MaxPromptValueRunes) + "…"},
		{"no template", "", nil, "Confirm: change email"},
		{"braces without a name", "a {} {1} {b", map[string]any{"b": "x"}, "a {} {1} {b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rules.FillPrompt(tt.template, "change-email", tt.custom); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
