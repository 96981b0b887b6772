package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/rules"
)

// decisionCommands are those about what was decided, and what would have been.
func decisionCommands() []command {
	return []command{
		{
			name: "explain", args: "USER ACTION KEY", group: "Decisions",
			short: "show why a decision came out as it did",
			long: `Shows how each rule saw the facts of one decision, part by part, with the value
that each part read. ✓ is true, ✗ false, ? unknown and ! an error; ◀ marks what
kept a rule from matching, ● the rule that decided. Of many rules only those that did not simply end
false are shown; --all shows all.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.Bool("all", false, "show every rule")
				f.String("rule", "", "show this rule alone")
				jsonFlag(f)
			},
			run: explainCommand,
		},
	}
}

// explained is the server's explanation.
type explained struct {
	Decision struct {
		Time     time.Time `json:"time"`
		User     string    `json:"user"`
		Action   string    `json:"action"`
		Key      string    `json:"key"`
		Outcome  string    `json:"outcome"`
		State    string    `json:"state"`
		Reason   string    `json:"reason"`
		Rule     string    `json:"rule,omitempty"`
		RuleName string    `json:"ruleName,omitempty"`
		Set      int       `json:"set"`
		Micros   int64     `json:"micros"`
	} `json:"decision"`
	Default string              `json:"default"`
	Erased  bool                `json:"erased"`
	Rules   []rules.Explanation `json:"rules"`
	Count   int                 `json:"count"`
}

// fewRules is up to how many rules are all shown.
const fewRules = 20

func explainCommand(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	path := "/v1/management/decisions"
	for _, part := range call.args {
		path += "/" + url.PathEscape(part)
	}
	path += "/explain"
	if only := call.value("rule"); only != "" {
		path += "?rule=" + url.QueryEscape(only)
	}
	var e explained
	if err := c.get(ctx, path, &e); err != nil {
		return err
	}
	if call.json() {
		return call.asJSON(e)
	}
	p := call.pen()
	p.decision(&e)
	only, all, shown, failed := call.value("rule"), call.value("all") == "true", 0, false
	for i := range e.Rules {
		r := &e.Rules[i]
		if only == "" && !all && e.Count > fewRules && r.Verdict == "" {
			continue
		}
		shown++
		failed = failed || r.Verdict != rules.Matched
		p.line("")
		p.rule(r)
	}
	if failed {
		p.line("\n%s", p.in(dim, "◀ is what kept a rule from matching."))
	}
	switch {
	case e.Erased:
	case only != "" && shown == 0:
		return fmt.Errorf("this action has no rule %q in rule set %d", only, e.Decision.Set)
	case only == "" && shown < e.Count && all:
		p.line("%s", p.in(dim, plural(e.Count-shown, "more rule", "more rules")+" ended false; --rule ID shows one"))
	case only == "" && shown < e.Count:
		p.line("%s", p.in(dim, plural(e.Count-shown, "more rule", "more rules")+" ended false; --all shows more of them, --rule ID one"))
	}
	return nil
}

// decision writes what was decided and by what.
func (p pen) decision(e *explained) {
	d := &e.Decision
	p.line("%s  %s of %s  %s", p.in(bold, p.outcome(d.Outcome)), p.in(bold, d.Action), d.User, p.in(dim, when(d.Time)+", key "+d.Key))
	why := "no rule matched, so the action's default decided"
	switch d.Reason {
	case string(rules.ByRule):
		why = fmt.Sprintf("decided by the rule “%s”", d.RuleName)
	case string(rules.ByFailure):
		why = "no decision could be made, so the action's failure outcome decided"
	case "enrolment-policy":
		why = "the person had nothing to prove themselves with, so the policy for that decided"
	case "sign-in":
		why = "the person proves themselves with this very action, so an ALLOW asks for a proof"
	case "management":
		why = "the action changes how the person proves themselves, so they must prove themselves first"
	}
	p.line("%s; rule set %d, %.1f ms; now %s", why, d.Set, float64(d.Micros)/1000, d.State)
	if e.Erased {
		p.line("\nIts facts were erased together with the person, so nothing can be explained.")
	}
}

// rule writes one rule and the tree of its condition.
func (p pen) rule(r *rules.Explanation) {
	var notes []string
	if r.Mode != rules.Live && r.Mode != "" {
		notes = append(notes, string(r.Mode))
	}
	if r.Rollout != nil {
		if r.Applies {
			notes = append(notes, fmt.Sprintf("rolled out to %d %%, this user included", *r.Rollout))
		} else {
			notes = append(notes, fmt.Sprintf("rolled out to %d %%, this user not included", *r.Rollout))
		}
	}
	decides := ""
	if r.Decides {
		decides = p.in(bold, "  ● decides")
	}
	about := ""
	if len(notes) > 0 {
		about = p.in(dim, " ("+strings.Join(notes, "; ")+")")
	}
	p.line("%s %s  %s → %s%s%s", p.mark(truthOf(r.Verdict)), p.in(bold, r.Name), p.in(dim, r.ID), p.outcome(string(r.Outcome)), about, decides)
	p.node(&r.Condition, 1)
}

// truthOf is how a whole condition ended.
func truthOf(v rules.Verdict) rules.Truth {
	switch v {
	case rules.Matched:
		return rules.IsTrue
	case rules.Unknown:
		return rules.IsUnknown
	case rules.Erred:
		return rules.IsError
	}
	return rules.IsFalse
}

// mark shows how something ended in one character.
func (p pen) mark(t rules.Truth) string {
	switch t {
	case rules.IsTrue:
		return p.in(green, "✓")
	case rules.IsFalse:
		return p.in(red, "✗")
	case rules.IsUnknown:
		return p.in(yellow, "?")
	}
	return p.in(red, "!")
}

// valueColumn is where the values of a test begin.
const valueColumn = 56

// node writes a part of a condition and what is below it.
func (p pen) node(n *rules.Node, depth int) {
	indent := strings.Repeat("  ", depth)
	switch n.Kind {
	case rules.NodeAnd, rules.NodeOr, rules.NodeNot:
		word := map[rules.NodeKind]string{rules.NodeAnd: "all of", rules.NodeOr: "any of", rules.NodeNot: "not"}[n.Kind]
		p.line("%s%s %s", indent, p.mark(n.Result), p.in(dim, word))
		for i := range n.Children {
			p.node(&n.Children[i], depth+1)
		}
		return
	}
	text := strings.Join(strings.Fields(n.Text), " ")
	line := indent + p.mark(n.Result) + " " + text
	if n.Failed {
		line = indent + p.mark(n.Result) + " " + p.in(bold, text)
	}
	if seen := values(n); seen != "" {
		width := len(indent) + 2 + utf8.RuneCountInString(text)
		line += strings.Repeat(" ", max(2, valueColumn-width)) + p.in(cyan, seen)
	}
	if n.Failed {
		line += p.in(red, "  ◀")
	}
	p.line("%s", line)
	if n.Error != "" {
		p.line("%s    %s", indent, p.in(red, n.Error))
	}
}

// values writes what a test read.
func values(n *rules.Node) string {
	parts := make([]string, 0, len(n.Values))
	for _, v := range n.Values {
		text := "unknown"
		if v.Sent != "" {
			text = "unknown (" + v.Sent + " was sent)"
		}
		if v.Known {
			text = rules.ValueText(v.Value)
			if s, ok := v.Value.(string); ok {
				text = fmt.Sprintf("%q", s)
			}
		}
		if v.Name == strings.TrimSpace(n.Text) {
			continue // the mark says it
		}
		parts = append(parts, v.Name+" = "+text)
	}
	return strings.Join(parts, ", ")
}
