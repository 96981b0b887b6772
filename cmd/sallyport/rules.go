package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// ruleCommands are those about rule sets. Those that need no server are in
// rulesfile.go.
func ruleCommands() []command {
	return []command{
		{
			name: "rules apply", args: "FILE", group: "Rules",
			short: "publish a rule set to a running server",
			long: `Runs the tests in FILE ("-" reads standard input), shows what changes, publishes
the rule set and prints its number. Nothing is published when the set has a
problem, when a test fails, or when nothing would change. With --base, the
server refuses it if another set than number N is in force, so that nobody's
work is overwritten. With --draft it becomes a draft that somebody else can
approve.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("note", "", "why the rules change; kept with the set")
				f.Int("base", -1, "refuse unless set number N is in force")
				f.String("draft", "", "save a draft with this title instead of publishing")
				jsonFlag(f)
			},
			run: rulesApply,
		},
		{
			name: "rules export", args: "[NUMBER]", group: "Rules",
			short: "print a rule set of a running server as YAML",
			long: `Writes a rule set to standard output and its number to standard error: the one
in force, or an older one by its number.` + clientHelp,
			run: rulesExport,
		},
		{
			name: "rules history", group: "Rules",
			short: "list the rule sets that were published",
			long:  `Lists the last 100 published rule sets, newest first.` + clientHelp,
			flags: jsonFlag,
			run:   rulesHistory,
		},
		{
			name: "rules rollback", args: "NUMBER", group: "Rules",
			short: "go back to an older rule set",
			long: `Publishes the rule set of that number once more, as the next number, and shows
what changes. This needs nobody's approval: it is for emergencies.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("note", "", "why; kept with the set")
				jsonFlag(f)
			},
			run: rulesRollback,
		},
	}
}

func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the rule set: %w", err)
	}
	return text, nil
}

// ruleSetsPath is where a server has its rule sets.
const ruleSetsPath = "/v1/management/rule-sets"

// publishedSet is a rule set without its definition, as the server lists it.
type publishedSet struct {
	Number      int       `json:"number"`
	Author      string    `json:"author"`
	Note        string    `json:"note,omitempty"`
	PublishedAt time.Time `json:"publishedAt"`
}

// definitionOf reads a rule set of the server: a number, or current.
func (c client) definitionOf(ctx context.Context, which string) (rules.Definition, int, error) {
	text, header, err := c.do(ctx, http.MethodGet, ruleSetsPath+"/"+which, "", nil)
	if err != nil {
		return rules.Definition{}, 0, err
	}
	definition, err := rules.ParseYAML(text)
	if err != nil {
		return rules.Definition{}, 0, fmt.Errorf("read rule set %s of the server: %w", which, err)
	}
	number, err := strconv.Atoi(header.Get("X-Sallyport-Rule-Set"))
	if err != nil {
		return rules.Definition{}, 0, fmt.Errorf("read the number of rule set %s: %w", which, err)
	}
	return definition, number, nil
}

func rulesApply(ctx context.Context, call call) error {
	file := call.args[0]
	text, err := readInput(file)
	if err != nil {
		return err
	}
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	read, err := checkRules(text)
	if err != nil {
		return err
	}
	if len(read.problems) > 0 {
		lines := make([]string, len(read.problems))
		for i, p := range read.problems {
			lines[i] = where(file, p) + ": " + p.Message
		}
		return errors.New(strings.Join(lines, "\n") + "\nnothing was published")
	}
	definition, set := read.definition, read.set
	current, number, err := c.definitionOf(ctx, "current")
	if err != nil {
		return err
	}
	changes := rules.Diff(&current, &definition)
	results, err := set.RunTests(ctx)
	if err != nil {
		return fmt.Errorf("test %s: %w", file, err)
	}
	base := call.value("base")
	same := len(changes) == 0 && (base == "-1" || base == strconv.Itoa(number))
	p := call.pen()
	if !call.json() {
		if same {
			p.line("Nothing changes: this is rule set %d, which is in force.", number)
			return nil
		}
		p.line("%s\n", p.in(bold, fmt.Sprintf("From rule set %d, which is in force:", number)))
		p.changes(changes, len(changes))
		if len(results) > 0 {
			p.line("")
			p.tests(results)
		}
	}
	if failed := slices.DeleteFunc(slices.Clone(results), func(r rules.TestResult) bool { return r.Passed }); len(failed) > 0 {
		return fmt.Errorf("%d of the %s of %s failed: nothing was published", len(failed), plural(len(results), "test", "tests"), file)
	}
	if title := call.value("draft"); title != "" {
		return call.saveDraft(ctx, c, title, number, text)
	}
	query := url.Values{"note": {call.value("note")}}
	if base != "-1" {
		query.Set("base", base)
	}
	var published publishedSet
	if same {
		published.Number = number
	} else if err := c.send(ctx, http.MethodPost, ruleSetsPath+"?"+query.Encode(), "application/yaml", text, &published); err != nil {
		return about(file, err)
	}
	if call.json() {
		return call.asJSON(struct {
			Published bool               `json:"published"`
			Number    int                `json:"number"` // of the set in force
			Changes   []rules.Change     `json:"changes"`
			Tests     []rules.TestResult `json:"tests"`
		}{!same, published.Number, changes, append([]rules.TestResult{}, results...)})
	}
	p.line("\n%s", p.in(bold, fmt.Sprintf("Published as rule set %d.", published.Number)))
	return nil
}

func rulesExport(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	which := "current"
	if len(call.args) > 0 {
		if which, err = numberArgument(call.args[0]); err != nil {
			return err
		}
	}
	text, header, err := c.do(ctx, http.MethodGet, ruleSetsPath+"/"+which, "", nil)
	if err != nil {
		return err
	}
	if _, err := call.Out.Write(text); err != nil {
		return err
	}
	if number, err := strconv.Atoi(header.Get("X-Sallyport-Rule-Set")); err == nil {
		fmt.Fprintf(call.Err, "rule set %d\n", number)
	}
	return nil
}

// numberArgument checks the number of a rule set.
func numberArgument(text string) (string, error) {
	if n, err := strconv.Atoi(text); err != nil || n < 1 {
		return "", &UsageError{Message: fmt.Sprintf("%q is not the number of a rule set; `sallyport rules history` lists them", text)}
	}
	return text, nil
}

func rulesHistory(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	var history struct {
		Current  int            `json:"current"`
		RuleSets []publishedSet `json:"ruleSets"`
	}
	if err := c.get(ctx, ruleSetsPath, &history); err != nil {
		return err
	}
	if call.json() {
		return call.asJSON(history)
	}
	var rows [][]string
	for _, s := range history.RuleSets {
		mark := ""
		if s.Number == history.Current {
			mark = "● in force"
		}
		rows = append(rows, []string{strconv.Itoa(s.Number), when(s.PublishedAt), s.Author, mark, orDash(s.Note)})
	}
	call.pen().table([]string{"SET", "PUBLISHED", "BY", "", "NOTE"}, rows)
	return nil
}

func rulesRollback(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	which, err := numberArgument(call.args[0])
	if err != nil {
		return err
	}
	current, number, err := c.definitionOf(ctx, "current")
	if err != nil {
		return err
	}
	old, _, err := c.definitionOf(ctx, which)
	if err != nil {
		return err
	}
	var published publishedSet
	request := map[string]any{"note": call.value("note"), "base": number} // what is shown is what happens
	if err := c.post(ctx, ruleSetsPath+"/"+which+"/rollback", request, &published); err != nil {
		return err
	}
	changes := rules.Diff(&current, &old)
	if call.json() {
		return call.asJSON(struct {
			publishedSet
			Changes []rules.Change `json:"changes"`
		}{published, changes})
	}
	p := call.pen()
	p.line("%s\n", p.in(bold, fmt.Sprintf("Back from rule set %d to %s:", number, which)))
	p.changes(changes, len(changes))
	p.line("\n%s", p.in(bold, fmt.Sprintf("Published as rule set %d.", published.Number)))
	return nil
}
