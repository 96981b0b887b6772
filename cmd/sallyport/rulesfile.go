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
			long: `Compiles the rule set in FILE ("-" reads standard input) and runs its tests. Every
problem and every test that fails is printed as FILE:LINE:COLUMN, and so is what
is probably not meant: rules that can never match, that repeat another or that an
earlier rule always shadows, and declarations that nothing reads.

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

// checked is what is found out about a file without a server.
type checked struct {
	definition rules.Definition
	parsed     bool       // definition is what the file says
	set        *rules.Set // nil when there is a problem
	problems   []rules.Problem
	tests      []rules.TestResult // in the order of the file
}

// checkRules parses, compiles and runs the tests. Problems have their place in
// the text.
func checkRules(ctx context.Context, text []byte) (checked, error) {
	definition, err := rules.ParseYAML(text)
	c := checked{definition: definition, parsed: err == nil}
	if err == nil {
		c.set, err = rules.Compile(rules.Version{Definition: definition})
	}
	if err == nil {
		c.tests, err = c.set.RunTests(ctx)
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

// failed is how many of the tests failed.
func (c checked) failed() int {
	count := 0
	for _, r := range c.tests {
		if !r.Passed {
			count++
		}
	}
	return count
}

// refusal is every problem of a file that cannot be used, and what did not
// happen because of them. It is nil when there is none.
func (c checked) refusal(file, nothing string) error {
	if len(c.problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problemLines(file, c.problems), "\n") + "\n" + nothing)
}

// problemLines are problems as errors print them, one a line.
func problemLines(file string, problems []rules.Problem) []string {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = where(file, p) + ": " + p.Message
	}
	return lines
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
	c, err := checkRules(ctx, text)
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
	failed := len(c.problems) > 0 || c.failed() > 0 || warnings > 0 && call.value("strict") == "true"
	if call.json() {
		if err := call.asJSON(checkAnswer(c, findings, places)); err != nil {
			return err
		}
		return failure(failed)
	}
	p := call.pen()
	p.problems(file, c.problems)
	p.failures(file, text, c.tests)
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

func checkAnswer(c checked, findings []rules.Finding, places []rules.Problem) any {
	found := make([]foundInFile, len(findings))
	for i, f := range findings {
		found[i] = foundInFile{f, places[i].Line, places[i].Column}
	}
	return struct {
		Problems []rules.Problem    `json:"problems"`
		Findings []foundInFile      `json:"findings"`
		Tests    []rules.TestResult `json:"tests"`
	}{append([]rules.Problem{}, c.problems...), found, append([]rules.TestResult{}, c.tests...)}
}

// failures writes the tests that failed with their place in the file.
func (p pen) failures(file string, text []byte, tests []rules.TestResult) {
	var failed []rules.Problem
	for i, r := range tests {
		if !r.Passed {
			failed = append(failed, rules.Problem{Field: fmt.Sprintf("tests[%d]", i), Message: "test " + r.Name + ": " + r.Message})
		}
	}
	p.problems(file, rules.Locate(text, failed))
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
	case c.failed() > 0:
		text = p.in(red, fmt.Sprintf("✗ %d of %s", c.failed(), plural(len(c.tests), "test fails", "tests fail")))
	case len(c.tests) > 0:
		text = p.in(green, "✓ no problems, "+plural(len(c.tests), "test passes", "tests pass"))
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
	c, err := checkRules(ctx, text)
	if err != nil {
		return err
	}
	results := c.tests
	failed := len(c.problems) > 0 || c.failed() > 0
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
			return d, errors.New(strings.Join(problemLines(path, compile.Problems), "\n"))
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
