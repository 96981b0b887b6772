package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
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
work is overwritten. With --draft it becomes a new draft that somebody else can
approve; a draft is work in progress and may have problems and failing tests.` + clientHelp,
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
in force, or an older one by its number. The server keeps no comments. The first
line names the schema that "sallyport rules schema" prints, for editors.` + clientHelp,
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
what changes. When nothing would change, nothing is published. This needs nobody's approval: it is for emergencies.` + clientHelp,
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
	if call.given("draft") && strings.TrimSpace(call.value("draft")) == "" {
		return &UsageError{Command: "rules apply", Message: "--draft needs a title that says what changes"}
	}
	if base, err := strconv.Atoi(call.value("base")); call.given("base") && (err != nil || base < 1) {
		return &UsageError{Command: "rules apply", Message: "--base must be the number of a rule set"}
	}
	text, err := readInput(file)
	if err != nil {
		return err
	}
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	read, err := checkRules(ctx, text)
	if err != nil {
		return err
	}
	if call.given("draft") {
		return call.saveDraft(ctx, c, text, read)
	}
	if err := read.refusal(file, "nothing was published"); err != nil {
		return err
	}
	current, number, err := c.definitionOf(ctx, "current")
	if err != nil {
		return err
	}
	changes := rules.Diff(&current, &read.definition)
	same := len(changes) == 0 && (!call.given("base") || call.value("base") == strconv.Itoa(number))
	p := call.pen()
	if !call.json() {
		if same {
			p.line("Nothing changes: this is rule set %d, which is in force.", number)
			return nil
		}
		p.line("%s\n", p.in(bold, fmt.Sprintf("From rule set %d, which is in force:", number)))
		p.changes(changes)
		if len(read.tests) > 0 {
			p.line("")
			p.tests(read.tests)
		}
	}
	if failed := read.failed(); failed > 0 {
		return fmt.Errorf("%d of the %s of %s failed: nothing was published", failed, plural(len(read.tests), "test", "tests"), file)
	}
	query := url.Values{"note": {call.value("note")}}
	if call.given("base") {
		query.Set("base", call.value("base"))
	}
	var published publishedSet
	if same {
		published.Number = number
	} else if err := c.send(ctx, http.MethodPost, ruleSetsPath+"?"+query.Encode(), "application/yaml", text, &published); err != nil {
		return unapproved(about(file, err), "this rule set", "`sallyport rules apply FILE --draft TITLE` saves it as a draft that somebody else can approve")
	}
	if call.json() {
		return call.asJSON(struct {
			Published bool               `json:"published"`
			Number    int                `json:"number"` // of the set in force
			Changes   []rules.Change     `json:"changes"`
			Tests     []rules.TestResult `json:"tests"`
		}{!same, published.Number, changes, append([]rules.TestResult{}, read.tests...)})
	}
	p.line("\n%s", p.in(bold, fmt.Sprintf("Published as rule set %d.", published.Number)))
	return nil
}

// codeApproval is what a server answers when a second person must approve first.
const codeApproval = "approval_required"

// unapproved says which command leads to the approval that a refused call needs.
func unapproved(err error, what, next string) error {
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Code == codeApproval {
		return fmt.Errorf("somebody who did not work on %s must approve it first; %s", what, next)
	}
	return err
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
	if err := call.writeRules(text); err != nil {
		return err
	}
	if number, err := strconv.Atoi(header.Get("X-Sallyport-Rule-Set")); err == nil {
		fmt.Fprintf(call.Err, "rule set %d\n", number)
	}
	return nil
}

// schemaLine lets editors check a file against what `rules schema` prints.
const schemaLine = "# yaml-language-server: $schema=rules.schema.json\n"

// writeRules prints a rule set of the server as a file that people go on with.
func (c call) writeRules(text []byte) error {
	// The rules of any other action have no code.
	text = bytes.Replace(text, []byte("\notherwise:\n  code: \"\"\n"), []byte("\notherwise:\n"), 1)
	if !bytes.HasPrefix(text, []byte("#")) {
		text = append([]byte(schemaLine), text...)
	}
	_, err := c.Out.Write(text)
	return err
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
	changes, p := rules.Diff(&current, &old), call.pen()
	if len(changes) == 0 && which != strconv.Itoa(number) {
		if call.json() {
			return call.asJSON(struct {
				Published bool           `json:"published"`
				Number    int            `json:"number"` // of the set in force
				Changes   []rules.Change `json:"changes"`
			}{false, number, changes})
		}
		p.line("Nothing changes: rule set %s is the same as %d, which is in force.", which, number)
		return nil
	}
	var published publishedSet
	request := map[string]any{"note": call.value("note"), "base": number} // what is shown is what happens
	if err := c.post(ctx, ruleSetsPath+"/"+which+"/rollback", request, &published); err != nil {
		return err
	}
	if call.json() {
		return call.asJSON(struct {
			Published bool `json:"published"`
			publishedSet
			Changes []rules.Change `json:"changes"`
		}{true, published, changes})
	}
	p.line("%s\n", p.in(bold, fmt.Sprintf("Back from rule set %d to %s:", number, which)))
	p.changes(changes)
	p.line("\n%s", p.in(bold, fmt.Sprintf("Published as rule set %d.", published.Number)))
	return nil
}
