package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/rules"
)

// ruleFileCommands are those that work on files and need no server, so that they
// can run in CI.
func ruleFileCommands() []command {
	return []command{
		{
			name: "rules check", args: "FILE", group: "Rules",
			short: "check a rule set without a server",
			long: `Compiles the rule set in FILE ("-" reads standard input). Every problem is printed
as FILE:LINE:COLUMN, and so is what is probably not meant: rules that can never
match, that repeat another or that an earlier rule always shadows, and
declarations that nothing reads.

Exit codes: 0 it can be published, 1 it cannot (with --strict also for a
warning), 2 FILE cannot be read.`,
			flags: func(f *flag.FlagSet) {
				f.Bool("strict", false, "fail on warnings, too")
				jsonFlag(f)
			},
			run: rulesCheck,
		},
		{
			name: "rules test", args: "FILE", group: "Rules",
			short: "run the tests of a rule set without a server",
			long: `Runs the tests that FILE ("-" reads standard input) holds and prints each that
fails, with what it wants and what it got.

Exit codes: 0 all tests pass, 1 a test fails or the rule set has a problem,
2 FILE cannot be read.`,
			flags: jsonFlag,
			run:   rulesTest,
		},
		{
			name: "rules diff", args: "FILE [NEW]", group: "Rules",
			short: "print what differs between two rule sets",
			long: `Compares the rule set in FILE with the newer one in NEW, rule by rule. A rule is
recognised by its id wherever it stands. With --server, the set in force on a
running server is compared with FILE instead, which is then the newer one.

Exit codes as those of diff: 0 nothing differs, 1 something does, 2 trouble.

With --server, the server is SALLYPORT_URL (http://localhost:8080 when unset); the
call is made with SALLYPORT_MANAGEMENT_SECRET.`,
			flags: func(f *flag.FlagSet) {
				f.Bool("server", false, "compare with the rule set in force")
				jsonFlag(f)
			},
			run: rulesDiff,
		},
		{
			name: "rules schema", group: "Rules",
			short: "print the JSON Schema of rule sets, for editors",
			long: `Prints the JSON Schema of rule set files. Write it to a file and name that in the
first line of a rule set for an editor with a YAML language server:
  # yaml-language-server: $schema=rules.schema.json`,
			run: func(_ context.Context, call call) error {
				_, err := call.Out.Write(rules.JSONSchema())
				return err
			},
		},
	}
}

// ExitError ends the process with a code of its own. Without Err nothing is
// printed: the command has said everything.
type ExitError struct {
	Code int
	Err  error
}

// Error is what went wrong.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns what went wrong.
func (e *ExitError) Unwrap() error { return e.Err }

// readRules reads a file, or ends with code 2.
func readRules(path string) ([]byte, error) {
	text, err := readInput(path)
	if err != nil {
		return nil, &ExitError{Code: 2, Err: err}
	}
	return text, nil
}

// checked is what rules check and rules test find out about a file.
type checked struct {
	definition rules.Definition
	set        *rules.Set
	problems   []rules.Problem
}

// checkRules parses and compiles. Problems have their place in the text.
func checkRules(text []byte) (checked, error) {
	definition, err := rules.ParseYAML(text)
	c := checked{definition: definition}
	if err == nil {
		c.set, err = rules.Compile(rules.Version{Definition: definition})
	}
	var compile *rules.CompileError
	switch {
	case errors.As(err, &compile):
		c.problems = rules.Locate(text, compile.Problems)
		slices.SortStableFunc(c.problems, func(a, b rules.Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	case err != nil:
		return c, err
	}
	return c, nil
}

// where is FILE:LINE:COLUMN, so that editors can jump to it.
func where(file string, p rules.Problem) string {
	if file == "-" {
		file = "standard input"
	}
	switch {
	case p.Line > 0 && p.Column > 0:
		return fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
	case p.Line > 0:
		return fmt.Sprintf("%s:%d", file, p.Line)
	}
	return file
}

// problems writes what keeps a file from being published.
func (p pen) problems(file string, list []rules.Problem) {
	for _, problem := range list {
		p.line("%s: %s %s", p.in(bold, where(file, problem)), p.in(red, "error:"), problem.Message)
	}
}

// placed are findings with their place in a file.
func placed(text []byte, findings []rules.Finding) []rules.Problem {
	list := make([]rules.Problem, len(findings))
	for i, f := range findings {
		list[i] = rules.Problem{Field: f.Path, Rule: f.Rule, Message: f.Message}
	}
	return rules.Locate(text, list)
}

func rulesCheck(ctx context.Context, call call) error {
	file := call.args[0]
	text, err := readRules(file)
	if err != nil {
		return err
	}
	c, err := checkRules(text)
	if err != nil {
		return err
	}
	var findings []rules.Finding
	if c.set != nil {
		if findings, err = rules.Analyze(ctx, c.set); err != nil {
			return fmt.Errorf("check %s: %w", file, err)
		}
	}
	places, warnings := placed(text, findings), 0
	for _, f := range findings {
		if f.Kind != rules.Undecided { // which is no reason to change anything
			warnings++
		}
	}
	failed := len(c.problems) > 0 || warnings > 0 && call.value("strict") == "true"
	if call.json() {
		if err := call.asJSON(checkAnswer(c.problems, findings, places)); err != nil {
			return err
		}
		return failure(failed)
	}
	p := call.pen()
	p.problems(file, c.problems)
	for i, f := range findings {
		level := p.in(yellow, "warning:")
		if f.Kind == rules.Undecided {
			level = p.in(dim, "note:")
		}
		name := ""
		if f.Rule != "" {
			name = "rule " + f.Rule + ": "
		}
		p.line("%s: %s %s%s", p.in(bold, where(file, places[i])), level, name, f.Message)
	}
	p.line("%s", p.summary(c, warnings))
	return failure(failed)
}

// failure is exit code 1 for a command that has said why.
func failure(failed bool) error {
	if failed {
		return &ExitError{Code: 1}
	}
	return nil
}

// foundInFile is a finding as --json prints it.
type foundInFile struct {
	rules.Finding
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

func checkAnswer(problems []rules.Problem, findings []rules.Finding, places []rules.Problem) any {
	found := make([]foundInFile, len(findings))
	for i, f := range findings {
		found[i] = foundInFile{f, places[i].Line, places[i].Column}
	}
	return struct {
		Problems []rules.Problem `json:"problems"`
		Findings []foundInFile   `json:"findings"`
	}{append([]rules.Problem{}, problems...), found}
}

// summary is the last line of rules check.
func (p pen) summary(c checked, warnings int) string {
	count := len(c.definition.Otherwise.Rules)
	for i := range c.definition.Actions {
		count += len(c.definition.Actions[i].Rules)
	}
	text := p.in(green, "✓ no problems")
	switch {
	case len(c.problems) == rules.MaxProblems:
		text = p.in(red, fmt.Sprintf("✗ %d problems or more", len(c.problems)))
	case len(c.problems) > 0:
		text = p.in(red, "✗ "+plural(len(c.problems), "problem", "problems"))
	}
	if warnings > 0 {
		text += ", " + p.in(yellow, plural(warnings, "warning", "warnings"))
	}
	if c.set == nil && count == 0 {
		return text
	}
	return text + p.in(dim, fmt.Sprintf(" in %s of %s", plural(count, "rule", "rules"), plural(len(c.definition.Actions), "action", "actions")))
}

func rulesTest(ctx context.Context, call call) error {
	file := call.args[0]
	text, err := readRules(file)
	if err != nil {
		return err
	}
	c, err := checkRules(text)
	if err != nil {
		return err
	}
	var results []rules.TestResult
	if c.set != nil {
		if results, err = c.set.RunTests(ctx); err != nil {
			return fmt.Errorf("test %s: %w", file, err)
		}
	}
	failed := len(c.problems) > 0 || slices.ContainsFunc(results, func(r rules.TestResult) bool { return !r.Passed })
	if call.json() {
		err := call.asJSON(struct {
			Problems []rules.Problem    `json:"problems"`
			Tests    []rules.TestResult `json:"tests"`
		}{append([]rules.Problem{}, c.problems...), append([]rules.TestResult{}, results...)})
		if err != nil {
			return err
		}
		return failure(failed)
	}
	p := call.pen()
	p.problems(file, c.problems)
	switch {
	case len(c.problems) > 0:
		p.line("%s", p.summary(c, 0))
	case len(results) == 0:
		p.line("%s has no tests", file)
	default:
		p.tests(results)
	}
	return failure(failed)
}

func rulesDiff(ctx context.Context, call call) error {
	old, new, err := call.bothDefinitions(ctx)
	if err != nil {
		var usage *UsageError
		if errors.As(err, &usage) {
			return err
		}
		return &ExitError{Code: 2, Err: err}
	}
	changes := rules.Diff(&old, &new)
	if call.json() {
		if err := call.asJSON(changes); err != nil {
			return err
		}
	} else {
		call.pen().diff(changes)
	}
	return failure(len(changes) > 0)
}

// bothDefinitions reads what rules diff compares.
func (c call) bothDefinitions(ctx context.Context) (old, new rules.Definition, err error) {
	read := func(path string) (rules.Definition, error) {
		text, err := readInput(path)
		if err != nil {
			return rules.Definition{}, err
		}
		d, err := rules.ParseYAML(text)
		var compile *rules.CompileError
		if errors.As(err, &compile) {
			lines := make([]string, len(compile.Problems))
			for i, p := range compile.Problems {
				lines[i] = where(path, p) + ": " + p.Message
			}
			return d, errors.New(strings.Join(lines, "\n"))
		}
		return d, err
	}
	online := c.value("server") == "true"
	switch {
	case online && len(c.args) != 1:
		return old, new, &UsageError{Command: "rules diff", Message: "with --server only one FILE is compared"}
	case !online && len(c.args) != 2:
		return old, new, &UsageError{Command: "rules diff", Message: "two files are needed, or --server"}
	}
	if new, err = read(c.args[len(c.args)-1]); err != nil {
		return old, new, err
	}
	if !online {
		old, err = read(c.args[0])
		return old, new, err
	}
	server, err := newClient(c.Getenv)
	if err != nil {
		return old, new, err
	}
	old, _, err = server.definitionOf(ctx, "current")
	return old, new, err
}

// diff writes changes under the action, or the kind of declaration, that they
// belong to.
func (p pen) diff(changes []rules.Change) {
	if len(changes) == 0 {
		p.line("nothing differs")
		return
	}
	heading, part := "", ""
	for _, c := range changes {
		if h := headingOf(c); h != heading {
			if heading != "" {
				p.line("")
			}
			p.line("%s", p.in(bold, h))
			heading, part = h, ""
		}
		name := c.Name
		if c.Part == "action" {
			name = "settings"
		}
		switch c.Kind {
		case rules.Added:
			p.line("  %s%s", p.in(green, "+ "+name), p.in(dim, prefixed("  ", oneLine(c.New))))
		case rules.Removed:
			p.line("  %s%s", p.in(red, "- "+name), p.in(dim, prefixed("  ", oneLine(c.Old))))
		default:
			if part != c.Part+name {
				p.line("  %s", p.in(yellow, "~ "+name))
			}
			p.change(c)
		}
		part = c.Part + name
	}
}

func headingOf(c rules.Change) string {
	action := c.Action
	if c.Part == "action" {
		action = c.Name
	}
	switch {
	case action == rules.AnyOtherAction:
		return "any other action"
	case action != "":
		return "action " + action
	}
	return c.Part + "s"
}

// oneLine says what a part is that came or went.
func oneLine(part any) string {
	switch v := part.(type) {
	case rules.Rule:
		text := fmt.Sprintf("%s when %s", v.Outcome, strings.Join(strings.Fields(v.When), " "))
		if v.Mode != "" && v.Mode != rules.Live {
			text = string(v.Mode) + ": " + text
		}
		return text
	case rules.Field:
		return string(v.Type)
	case rules.List:
		return string(v.Type)
	case rules.Metric:
		return strings.Join(strings.Fields(fmt.Sprintf("%s %s per %s in %s", v.Function, v.Of, orUser(v.Per), v.Window)), " ")
	case rules.Test:
		return fmt.Sprintf("%s: want %s", v.Action, v.Want)
	}
	return ""
}

func orUser(per string) string {
	if per == "" {
		return "user.id"
	}
	return per
}

// change writes the old and the new value of an attribute: side by side, or one
// below the other when they are long.
func (p pen) change(c rules.Change) {
	const width = 14
	before, after := rules.ValueText(c.Old), rules.ValueText(c.New)
	label := fmt.Sprintf("%-*s", width, c.Attribute)
	if c.Kind == rules.Moved {
		label = fmt.Sprintf("%-*s", width, "moved from")
		before, after = c.Attribute+" "+before, c.Attribute+" "+after
	}
	if len(before)+len(after) <= 50 && !strings.Contains(before+after, "\n") {
		p.line("      %s%s → %s", label, p.in(red, before), p.in(green, after))
		return
	}
	indent := "\n        " + strings.Repeat(" ", width)
	p.line("      %s%s", label, p.in(red, "- "+strings.ReplaceAll(before, "\n", indent)))
	p.line("      %s%s", strings.Repeat(" ", width), p.in(green, "+ "+strings.ReplaceAll(after, "\n", indent)))
}
