package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine/backtest"
)

const periodHelp = `

--from and --to are times (2026-11-01, 2026-11-01T12:00:00Z) or how long ago
(90m, 24h, 7d); the last week when they are left out.`

func periodFlags(f *flag.FlagSet) {
	f.String("from", "7d", "first time that counts")
	f.String("to", "0h", "first time that does not count any more")
	f.String("action", "", "only actions of this code")
	f.Int("limit", 10_000, "how many decisions at most, the earliest ones")
	jsonFlag(f)
}

// replayCommands are those that decide again.
func replayCommands() []command {
	return []command{
		{
			name: "backtest", args: "[FILE]", group: "Decisions",
			short: "show what a rule set would have decided",
			long: `Decides again what was decided, with the rule set in FILE ("-" reads standard
input) or with --draft, from the recorded facts and with metrics as they were
then. Shows which outcomes change, how often each rule matches, and the first
decisions that differ. Nothing is changed.` + periodHelp + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("draft", "", "a draft instead of FILE")
				periodFlags(f)
			},
			run: backtestCommand,
		},
		{
			name: "replay", group: "Decisions",
			short: "prove that decisions can be repeated",
			long: `Decides again what was decided, with the rule sets that were in force then, and
compares metrics, matches and outcomes. Exit code 1 when a decision differs.` + periodHelp + clientHelp,
			flags: periodFlags,
			run:   replayCommand,
		},
	}
}

// replayed is the server's report.
type replayed struct {
	From         time.Time      `json:"from"`
	To           time.Time      `json:"to"`
	Decisions    int            `json:"decisions"`
	Cut          bool           `json:"cut"`
	Replayed     int            `json:"replayed"`
	Same         int            `json:"same"`
	Different    int            `json:"different"`
	Erased       int            `json:"erased"`
	NotAsked     int            `json:"notAsked"`
	NoSet        int            `json:"noSet"`
	Unplaced     int            `json:"unplaced"`
	Incomparable int            `json:"incomparable"`
	NoLists      int            `json:"noLists"`
	Unready      map[string]int `json:"unready"`

	LetPass  backtest.BeforeNow    `json:"letPass"`
	Outcomes []backtest.Change     `json:"outcomes"`
	Rules    []backtest.RuleReport `json:"rules"`
	First    []struct {
		Position string           `json:"position"`
		Time     time.Time        `json:"time"`
		User     string           `json:"user"`
		Action   string           `json:"action"`
		Key      string           `json:"key"`
		Set      int              `json:"set"`
		Before   backtest.Verdict `json:"before"`
		Now      backtest.Verdict `json:"now"`
		Matches  bool             `json:"matches,omitempty"`
		Metrics  []struct {
			Name   string   `json:"name"`
			Before *float64 `json:"before,omitempty"`
			Now    *float64 `json:"now,omitempty"`
		} `json:"metrics,omitempty"`
	} `json:"first"`
}

// period is what the flags say, as the server reads it.
func (c call) period(now time.Time) (url.Values, error) {
	query := url.Values{"limit": {c.value("limit")}, "action": {c.value("action")}}
	for _, name := range []string{"from", "to"} {
		at, err := parseMoment(c.value(name), now)
		if err != nil {
			return nil, &UsageError{Message: "--" + name + " must be a time such as 2026-11-01T12:00:00Z, a day, or how long ago, such as 24h or 7d"}
		}
		query.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	return query, nil
}

// parseMoment reads a time, a day, or how long ago something was.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, text)
}

func backtestCommand(ctx context.Context, call call) error {
	draft := call.value("draft")
	if (strings.TrimSpace(draft) == "") == (len(call.args) == 0) {
		return &UsageError{Command: "backtest", Message: "name either a FILE or a --draft"}
	}
	query, err := call.period(time.Now())
	if err != nil {
		return err
	}
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var text []byte
	what := draft
	if draft != "" {
		head, _, err := c.draft(ctx, draft)
		if err != nil {
			return err
		}
		query.Set("draft", head.ID)
		what = "“" + head.Title + "”"
	} else {
		what = call.args[0]
		if text, err = readInput(what); err != nil {
			return err
		}
		read, err := checkRules(ctx, text)
		if err != nil {
			return err
		}
		if err := read.refusal(what, "nothing was tried"); err != nil {
			return err
		}
	}
	var report replayed
	if err := c.send(ctx, http.MethodPost, ruleSetsPath+"/backtest?"+query.Encode(), "application/yaml", text, &report); err != nil {
		return about(what, err)
	}
	if call.json() {
		return call.asJSON(report)
	}
	p := call.pen()
	p.line("%s", p.in(bold, "What "+what+" would have decided"))
	p.report(&report)
	return call.noDecisions(ctx, c, &report)
}

func replayCommand(ctx context.Context, call call) error {
	query, err := call.period(time.Now())
	if err != nil {
		return err
	}
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var report replayed
	if err := c.send(ctx, http.MethodPost, "/v1/management/decisions/replay?"+query.Encode(), "", nil, &report); err != nil {
		return err
	}
	if call.json() {
		if err := call.asJSON(report); err != nil {
			return err
		}
	} else {
		p := call.pen()
		p.line("%s", p.in(bold, "Decided again with the rule sets that were in force"))
		p.report(&report)
		if err := call.noDecisions(ctx, c, &report); err != nil {
			return err
		}
	}
	return failure(report.Different > 0)
}

// noDecisions says why there may be none of an action: perhaps its code is
// misspelt.
func (c call) noDecisions(ctx context.Context, server client, r *replayed) error {
	code := c.value("action")
	if code == "" || r.Decisions > 0 {
		return nil
	}
	current, number, err := server.definitionOf(ctx, "current")
	if err != nil {
		return err
	}
	codes := make([]string, len(current.Actions))
	for i := range current.Actions {
		codes[i] = current.Actions[i].Code
	}
	if !slices.Contains(codes, code) {
		c.pen().line("  Rule set %d, which is in force, does not list the action %q%s", number, code, cmp.Or(didYouMean(code, codes), "."))
	}
	return nil
}

// report writes what came of deciding again.
func (p pen) report(r *replayed) {
	p.line("%s", p.in(dim, when(r.From)+" to "+when(r.To)))
	p.line("")
	cut := ""
	if r.Cut {
		cut = ", the first in this time; --limit takes more"
	}
	p.line("  %s%s", plural(r.Decisions, "decision", "decisions"), cut)
	for _, row := range []struct {
		n    int
		text string
	}{
		{r.Erased, "without facts: they were erased with the person"},
		{r.NotAsked, "that a failure made before the rules were asked"},
		{r.NoSet, "whose rule set cannot be used any more"},
		{r.Unplaced, "whose metrics reach back to before the log"},
		{r.NoLists, "in which a list that is tested now had not been tested; such a test is unknown"},
		{r.Incomparable, "that differ because what their metrics counted is gone"},
	} {
		if row.n > 0 {
			p.line("  %s", p.in(yellow, fmt.Sprintf("%d %s", row.n, row.text)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Unready)) {
		p.line("  %s", p.in(yellow, fmt.Sprintf("%d for which metric.%s was not known in time", r.Unready[name], name)))
	}
	switch {
	case r.Replayed == 0:
		return
	case r.Different == 0:
		p.line("  %s", p.in(green, fmt.Sprintf("✓ %d came out the same", r.Same)))
	default:
		moved := 0
		for _, c := range r.Outcomes {
			if c.From != c.To {
				moved += c.Count
			}
		}
		text := fmt.Sprintf("  %d came out the same", r.Same)
		if moved > 0 {
			text += ", " + p.in(bold, fmt.Sprintf("%d with another outcome", moved))
		}
		if others := r.Different - moved; others > 0 {
			text += fmt.Sprintf(", %d with the same outcome in another way", others)
		}
		p.line("%s", text)
	}
	p.line("")
	var rows [][]string
	for _, c := range r.Outcomes {
		mark := ""
		if c.From != c.To {
			mark = "◀"
		}
		rows = append(rows, []string{"  " + string(c.From), string(c.To), strconv.Itoa(c.Count), mark})
	}
	p.table([]string{"  THEN", "NOW", "DECISIONS", ""}, rows)
	if r.LetPass.Before+r.LetPass.Now > 0 {
		p.line("")
		p.line("  This is what the rules said. People who could not be challenged were let pass %s then, %s now.",
			plural(r.LetPass.Before, "time", "times"), plural(r.LetPass.Now, "time", "times"))
	}
	rows = nil
	for _, rule := range r.Rules {
		change := ""
		if d := rule.Now - rule.Before; d != 0 {
			change = fmt.Sprintf("%+d", d)
		}
		rows = append(rows, []string{"  " + rule.ID, strconv.Itoa(rule.Before), strconv.Itoa(rule.Now), change, strconv.Itoa(rule.Decided), rule.Name})
	}
	if len(rows) > 0 {
		p.line("")
	}
	p.table([]string{"  RULE", "MATCHED THEN", "NOW", "", "DECIDES", "NAME"}, rows)
	p.differences(r)
}

// shownDifferences is how many decisions that differ are printed.
const shownDifferences = 10

func (p pen) differences(r *replayed) {
	var rows [][]string
	for i, d := range r.First {
		if i == shownDifferences {
			break
		}
		rows = append(rows, []string{
			"  " + when(d.Time), d.User, d.Action, d.Key, verdict(d.Before) + " → " + verdict(d.Now),
		})
		for _, m := range d.Metrics {
			rows = append(rows, []string{"", "", "", "", "metric." + m.Name + ": " + number(m.Before) + " → " + number(m.Now)})
		}
	}
	if len(rows) == 0 {
		return
	}
	p.line("")
	p.table([]string{"  DECIDED", "USER", "ACTION", "KEY", "THEN → NOW"}, rows)
	if more := r.Different - min(len(r.First), shownDifferences); more > 0 {
		p.line("  %s", p.in(dim, fmt.Sprintf("… and %d more", more)))
	}
}

// verdict is an outcome and what decided it.
func verdict(v backtest.Verdict) string {
	by := v.Rule
	if by == "" {
		by = string(v.Reason)
	}
	return string(v.Outcome) + " (" + by + ")"
}

// number writes a metric's value.
func number(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}
