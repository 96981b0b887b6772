package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/rules"
)

func findings(t *testing.T, set *rules.Set) []string {
	t.Helper()
	var lines []string
	for _, f := range analyze(t, set) {
		lines = append(lines, fmt.Sprintf("%s %s: %s: %s", f.Kind, f.Path, f.Rule, f.Message))
	}
	return lines
}

func TestAnalyze(t *testing.T) {
	const head = `
fields: [{name: amount, type: number}, {name: payee, type: string}]
lists: [{name: suspects, type: cidr}]
otherwise:
  prompt: Pay {amount} to {payee}
  rules:
    - {id: listed, name: Listed, when: ip.address in list.suspects && custom.amount > 1000000, outcome: BLOCK}
`
	tests := []struct {
		name, rules string
		want        []string
	}{
		{"rules that contradict themselves", `
    - {id: a, name: A, when: custom.amount > 5 && custom.amount < 3, outcome: BLOCK}
    - {id: b, name: B, when: custom.payee == "x" && custom.payee == "y" && size(custom.payee) > 3, outcome: BLOCK}
    - {id: c, name: C, when: known(custom.amount) && !known(custom.amount), outcome: BLOCK, onUnknown: match}
    - {id: d, name: D, when: custom.amount > 5 && custom.amount < 3, outcome: BLOCK, onUnknown: match}
    - {id: e, name: E, when: device.isNew && !device.isNew, outcome: BLOCK, mode: shadow}
    - {id: f, name: F, when: 'custom.amount in [1, 2] && !(custom.amount < 3)', outcome: BLOCK}
    - {id: g, name: G, when: device.isNew, outcome: BLOCK, rollout: 0}
    - {id: h, name: H, when: user.isNew && false, outcome: BLOCK}
    - {id: i, name: I, when: custom.amount > 1.7976931348623157e308, outcome: BLOCK}
    - {id: j, name: J, when: custom.amount > 5 && custom.amount < 3, outcome: BLOCK, mode: off}
`, []string{
			"never-matches otherwise.rules[1]: a: its conditions contradict each other, so it never matches",
			"never-matches otherwise.rules[2]: b: its conditions contradict each other, so it never matches",
			"never-matches otherwise.rules[3]: c: its conditions contradict each other, so it never matches",
			"never-matches otherwise.rules[5]: e: its conditions contradict each other, so it never matches",
			"never-matches otherwise.rules[6]: f: its conditions contradict each other, so it never matches",
			"never-matches otherwise.rules[7]: g: it applies to 0 percent of the users, so it never matches",
			"never-matches otherwise.rules[8]: h: its conditions contradict each other, so it never matches",
			"never-matches otherwise.rules[9]: i: its conditions contradict each other, so it never matches",
		}},
		{"rules that repeat another", `
    - {id: a, name: A, when: custom.amount > 5 && device.isNew, outcome: BLOCK}
    - {id: b, name: B, when: device.isNew == true && !(custom.amount <= 5.0), outcome: REVIEW}
    - {id: c, name: C, when: custom.amount > 5 && device.isNew, outcome: REVIEW, onUnknown: match}
    - {id: d, name: D, when: size(custom.payee) > 3, outcome: REVIEW}
    - {id: e, name: E, when: "size( custom.payee )>3 // again", outcome: BLOCK}
    - {id: f, name: F, when: size(custom.payee) > 3, outcome: BLOCK, onUnknown: match}
    - {id: g, name: G, when: custom.amount > 5 && device.isNew, outcome: BLOCK, mode: shadow}
    - {id: h, name: H, when: custom.amount > 5 && device.isNew, outcome: BLOCK, mode: shadow}
    - {id: i, name: I, when: 'custom.payee in ["b", "a", "b"]', outcome: BLOCK, rollout: 10}
    - {id: j, name: J, when: custom.payee == "a" || custom.payee == "b", outcome: BLOCK, rollout: 10}
`, []string{
			"duplicate otherwise.rules[2]: b: it repeats the earlier rule a, so it never decides",
			"duplicate otherwise.rules[5]: e: it repeats the earlier rule d, so it never decides",
			"duplicate otherwise.rules[8]: h: it repeats rule g: both match in the same cases",
			"undecided : : it was not decided whether 2 rules (d, f) can match, shadow others or be shadowed: not a plain conjunction of tests",
		}},
		{"rules that an earlier one shadows", `
    - {id: a, name: A, when: custom.amount > 5, outcome: BLOCK}
    - {id: b, name: B, when: custom.amount > 5.5 && device.isNew, outcome: REVIEW}
    - {id: c, name: C, when: custom.amount > 5.5 && device.isNew, outcome: REVIEW, onUnknown: match}
    - {id: d, name: D, when: custom.amount > 6 && size(custom.payee) > 3, outcome: REVIEW}
    - {id: e, name: E, when: custom.amount > 4, outcome: REVIEW}
    - {id: f, name: F, when: custom.amount > 7, outcome: REVIEW, mode: shadow}
    - {id: g, name: G, when: custom.payee != "x", outcome: ALLOW, rollout: 99}
    - {id: h, name: H, when: custom.payee == "y", outcome: REVIEW}
    - {id: i, name: I, when: device.isNew, outcome: ALLOW, onUnknown: match}
    - {id: j, name: J, when: device.isNew && user.isNew, outcome: BLOCK, onUnknown: match}
    - {id: k, name: K, when: user.isNew || !user.isNew, outcome: CHALLENGE}
    - {id: l, name: L, when: size(custom.payee) > 9, outcome: REVIEW}
`, []string{
			"shadowed otherwise.rules[2]: b: whenever it matches, the earlier rule a does, so it never decides",
			"shadowed otherwise.rules[4]: d: whenever it matches, the earlier rule a does, so it never decides",
			"shadowed otherwise.rules[12]: l: the earlier rule k always matches, so it never decides",
		}},
		{"nothing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, findings(t, compile(t, parse(t, head+strings.TrimPrefix(tt.rules, "\n"))))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("declarations without use", func(t *testing.T) {
		d := parse(t, `
fields:
  - {name: prompted, type: string}
  - {name: tested, type: number}
  - {name: looked, type: string}
  - {name: summed, type: number}
  - {name: filtered, type: number}
  - {name: off, type: number}
  - {name: added, type: string}
  - {name: offset, type: number}
  - {name: tested, type: number, scope: user}
metrics:
  - {name: spent, function: sum, of: custom.summed, window: 24h, where: custom.filtered > 1}
  - {name: idle, function: count, window: 24h}
lists:
  - {name: tested, type: string}
  - {name: filled, type: string}
  - {name: idle, type: string}
actions:
  - code: a
    prompt: To {prompted}
    rules:
      - {id: a, name: A, when: custom.tested > 1 && custom.looked in list.tested, outcome: BLOCK, onMatch: {add: custom.added, to: filled}}
      - {id: b, name: B, when: custom.off > 1 && metric.spent > 5, outcome: BLOCK, mode: off}
otherwise: {rules: []}
tests:
  - {name: t, action: a, facts: {custom.offset: 1}, want: ALLOW}
`)
		want := []string{
			"unused-field fields[7]: : no rule, prompt or metric reads custom.offset",
			"unused-field fields[8]: : no rule, prompt or metric reads user.custom.tested",
			"unused-metric metrics[1]: : no rule reads metric.idle",
			"unused-list lists[2]: : no rule tests list.idle or adds to it",
		}
		if diff := cmp.Diff(want, findings(t, compile(t, d))); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
	t.Run("the example has no findings", func(t *testing.T) {
		if got := findings(t, compile(t, rules.Example())); len(got) > 0 {
			t.Errorf("findings: %s", strings.Join(got, "\n"))
		}
	})
	t.Run("one finding for all that is undecided", func(t *testing.T) {
		d := withRule("true")
		d.Otherwise.Prompt = "{amount} {payee} {other}"
		d.Otherwise.Rules = nil
		for i := range 300 {
			d.Otherwise.Rules = append(d.Otherwise.Rules, rules.Rule{ID: fmt.Sprintf("r%d", i), Name: "R", When: fmt.Sprintf("size(custom.payee) > %d", i), Outcome: rules.Block})
		}
		got := analyze(t, compile(t, d))
		if len(got) != 1 || len(got[0].Rules) != 300 || !strings.Contains(got[0].Message, "300 rules (r0, r1, r2, r3, r4, …)") {
			t.Errorf("findings: %+v", got)
		}
	})
}

// TestAnalyzeFarApart looks for rules that thousands of others stand between.
func TestAnalyzeFarApart(t *testing.T) {
	d := manyRules(9000)
	d.Otherwise.Prompt = "{other}"
	d.Otherwise.Rules[5].When = "custom.amount > 500000"
	d.Otherwise.Rules[8500].When = "custom.amount > 600000 && device.isNew"
	d.Otherwise.Rules[8501].When = "custom.payee == 'z' && custom.amount > 600000"
	d.Otherwise.Rules[8999].When = d.Otherwise.Rules[4097].When
	d.Otherwise.Rules[8998].When = d.Otherwise.Rules[4100].When + " && user.isNew"
	want := []string{
		"shadowed otherwise.rules[8500]: r8500: whenever it matches, the earlier rule r5 does, so it never decides",
		"shadowed otherwise.rules[8501]: r8501: whenever it matches, the earlier rule r5 does, so it never decides",
		"shadowed otherwise.rules[8998]: r8998: whenever it matches, the earlier rule r4100 does, so it never decides",
		"duplicate otherwise.rules[8999]: r8999: it repeats the earlier rule r4097, so it never decides",
	}
	if diff := cmp.Diff(want, findings(t, compile(t, d))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestAnalyzeAgainstEveryCase compares the findings of small random sets with what
// evaluating them says, on every combination of a few values: every threshold,
// between thresholds, and unknown. Of rules that are conjunctions of tests nothing
// is missed; of others nothing is claimed that is not so.
func TestAnalyzeAgainstEveryCase(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 9))
	pick := func(options ...string) string { return options[random.IntN(len(options))] }
	number := func() string { return pick("1", "2", "3.0") }
	atoms := []func() string{
		func() string { return "custom.amount " + pick("<", "<=", ">", ">=", "==", "!=") + " " + number() },
		func() string { return number() + " " + pick("<", "<=", ">", ">=", "==", "!=") + " custom.amount" },
		func() string { return "custom.amount in [" + number() + ", " + number() + "]" },
		func() string { return "(custom.amount < 2 || custom.amount == " + number() + ")" },
		func() string { return pick("", "!") + "known(custom.amount)" },
		func() string { return "custom.payee " + pick("==", "!=") + " " + pick("'x'", "'y'") },
		func() string { return pick("", "!") + "(custom.payee in ['x', " + pick("'y'", "'z'") + "])" },
		func() string { return pick("", "!") + "known(custom.payee)" },
		func() string { return pick("", "!") + "device.isNew" },
		func() string { return pick("", "!") + "user.isNew" },
		func() string { return "user.isNew == " + pick("true", "false") },
		func() string { return pick("true", "!(user.isNew && !user.isNew)", "user.deviceCount > 0", "true") },
	}
	residuals := []string{"size(custom.payee) > 1", "(custom.amount > 2 || device.isNew)", "int(custom.payee) > 3", "custom.amount * 2 > 3"}
	counts := map[rules.FindingKind]int{}
	for range 400 {
		d := withRule("true")
		d.Otherwise.Rules = nil
		residual := map[int]bool{}
		var previous []string
		for i := range 2 + random.IntN(5) {
			var parts []string
			for range 1 + random.IntN(3) {
				parts = append(parts, atoms[random.IntN(len(atoms))]())
			}
			if residual[i] = random.IntN(6) == 0; residual[i] {
				parts = append(parts, residuals[random.IntN(len(residuals))])
			}
			if i > 0 && random.IntN(6) == 0 {
				parts, residual[i] = slices.Clone(previous), residual[i-1]
			}
			previous = parts
			random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			r := rules.Rule{
				ID: fmt.Sprint(i), Name: "R", When: strings.Join(parts, " && "), Outcome: rules.Outcome(pick("ALLOW", "BLOCK")),
				Mode: rules.Mode(pick("", "live", "live", "shadow", "off")), OnUnknown: rules.OnUnknown(pick("", "match")),
				OnError: rules.OnError(pick("", "match", "no-match")),
			}
			if random.IntN(6) == 0 {
				percent := []int{0, 50, 100}[random.IntN(3)]
				r.Rollout = &percent
			}
			d.Otherwise.Rules = append(d.Otherwise.Rules, r)
		}
		got := map[string]rules.Finding{}
		for _, f := range analyze(t, compile(t, d)) {
			if f.Rule != "" {
				got[f.Rule] = f
				counts[f.Kind]++
			}
		}
		cases := matchingCases(t, d)
		for i := range d.Otherwise.Rules {
			id := d.Otherwise.Rules[i].ID
			f := got[id]
			if !isTrue(f, cases) {
				t.Fatalf("rule %s: %q %s is claimed, but is not so\n%s", id, f.Kind, f.Other, describe(d))
			}
			if want := wantFinding(d.Otherwise.Rules, cases, residual, i); !residual[i] && f.Kind != want {
				t.Fatalf("rule %s: %q %s, want %q\n%s", id, f.Kind, f.Other, want, describe(d))
			}
		}
	}
	for _, kind := range []rules.FindingKind{rules.NeverMatches, rules.Duplicate, rules.Shadowed} {
		if counts[kind] < 20 {
			t.Errorf("only %d findings %s: the test says little", counts[kind], kind)
		}
	}
}

func describe(d rules.Definition) string {
	text, _ := d.YAML()
	return string(text)
}

// matchingCases tells for each rule on which facts it matches, whether it is live
// or not and whomever its rollout includes.
func matchingCases(t *testing.T, d rules.Definition) map[string]map[int]bool {
	t.Helper()
	byRule := map[string]rules.Rule{}
	plain := d
	plain.Otherwise.Rules = nil
	for _, r := range d.Otherwise.Rules {
		byRule[r.ID] = r
		r.Rollout = nil
		plain.Otherwise.Rules = append(plain.Otherwise.Rules, r)
	}
	set := compile(t, plain)
	matching := map[string]map[int]bool{}
	n := 0
	for _, amount := range []any{nil, -1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0} {
		for _, payee := range []any{nil, "x", "y", "z", "7", "long"} {
			for _, device := range []any{nil, false, true} {
				for user := range 4 {
					facts := &rules.Facts{Custom: map[string]any{"amount": amount, "payee": payee}}
					facts.User.IsNew, facts.User.DeviceCount = user&1 == 1, int64(user>>1)
					if device != nil {
						facts.Device.IsNew = rules.Known(device.(bool))
					}
					n++
					for _, m := range set.Evaluate("a", facts).Matches {
						r := byRule[m.ID]
						if m.Result == rules.Matched || r.Outcome != rules.Allow &&
							(m.Result == rules.Unknown && r.OnUnknown == rules.UnknownMatches || m.Result == rules.Erred && r.OnError == rules.ErrorMatches) {
							if matching[m.ID] == nil {
								matching[m.ID] = map[int]bool{}
							}
							matching[m.ID][n] = true
						}
					}
				}
			}
		}
	}
	return matching
}

// isTrue tells whether the cases bear a claim out.
func isTrue(f rules.Finding, cases map[string]map[int]bool) bool {
	switch f.Kind {
	case rules.NeverMatches:
		return len(cases[f.Rule]) == 0 || strings.Contains(f.Message, "0 percent")
	case rules.Duplicate:
		return cmp.Equal(cases[f.Rule], cases[f.Other])
	case rules.Shadowed:
		return covers(cases[f.Other], cases[f.Rule])
	}
	return true
}

func covers(cases, others map[int]bool) bool {
	for n := range others {
		if !cases[n] {
			return false
		}
	}
	return true
}

// wantFinding is what the cases say about rule i and those before it that are
// conjunctions of tests.
func wantFinding(list []rules.Rule, cases map[string]map[int]bool, residual map[int]bool, i int) rules.FindingKind {
	r := &list[i]
	everyone := func(r *rules.Rule) bool { return r.Rollout == nil || *r.Rollout == 100 }
	live := func(r *rules.Rule) bool { return r.Mode == "" || r.Mode == rules.Live }
	switch {
	case r.Mode == rules.Off:
		return ""
	case len(cases[r.ID]) == 0 || r.Rollout != nil && *r.Rollout == 0:
		return rules.NeverMatches
	}
	want := rules.FindingKind("")
	for j := range i {
		other := &list[j]
		if residual[j] || other.Mode == rules.Off || !everyone(other) {
			continue
		}
		if live(other) == live(r) && everyone(r) && cmp.Equal(cases[other.ID], cases[r.ID]) {
			return rules.Duplicate
		}
		if live(other) && live(r) && covers(cases[other.ID], cases[r.ID]) {
			want = rules.Shadowed
		}
	}
	return want
}

// manyRules is a set of n rules over a few fields, none of them without effect.
func manyRules(n int) rules.Definition {
	d := withRule("true")
	d.Otherwise.Rules = make([]rules.Rule, n)
	for i := range d.Otherwise.Rules {
		d.Otherwise.Rules[i] = rules.Rule{
			ID: fmt.Sprintf("r%d", i), Name: "R", Outcome: rules.Review,
			When: fmt.Sprintf("custom.amount > %d && custom.amount < %d && custom.payee == 'p%d' && ip.countryCode in ['AT', 'C%d'] && device.isNew", i%97, 200+i, i%1000, i%50),
		}
	}
	return d
}

func BenchmarkAnalyze(b *testing.B) {
	for _, bb := range []struct {
		name string
		when func(i int) string
	}{
		{"rules of five tests", nil},
		{"ranges that overlap", func(i int) string { return fmt.Sprintf("custom.amount > %d && custom.amount < %d", i, 10_000+i) }},
		{"all texts but one", func(i int) string { return fmt.Sprintf("custom.payee != 'p%d'", i) }},
	} {
		d := manyRules(10_000)
		for i := range d.Otherwise.Rules {
			if bb.when != nil {
				d.Otherwise.Rules[i].When = bb.when(i)
			}
		}
		set := compile(b, d)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				analyze(b, set)
			}
		})
	}
}
