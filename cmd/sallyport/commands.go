package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// command is one thing the binary does.
type command struct {
	name   string // "rules apply"
	args   string // "FILE"
	group  string // heading in the list of commands
	short  string // one line
	long   string
	config bool     // takes the settings as flags
	reads  []string // settings that help names; all when left out
	flags  func(*flag.FlagSet)
	run    func(ctx context.Context, call call) error
}

// call is one command as it was typed.
type call struct {
	IO
	args  []string
	flags *flag.FlagSet
}

// given reports whether a flag was written.
func (c call) given(name string) bool {
	found := false
	c.flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// value is the text of a flag.
func (c call) value(name string) string { return c.flags.Lookup(name).Value.String() }

// config composes the configuration with the flags of this call.
func (c call) config() (Config, error) {
	given := map[string]string{}
	c.flags.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	return LoadConfig(c.Getenv, given)
}

// commands are all commands by group, in the order in which help lists them.
func commands() []command {
	return slices.Concat(
		runCommands(), ruleCommands(), ruleFileCommands(), draftCommands(), listCommands(), decisionCommands(), replayCommands(), receiptCommands(), operatorCommands(), careCommands(),
	)
}

func runCommands() []command {
	return []command{
		{
			name: "serve", group: "Run", config: true,
			short: "start the server",
			long: `Starts the server. The first start makes a data folder, its secrets and the
example rule set, and prints a one-time link that registers the first operator
of the console. Everything else has a default.`,
			run: serveCommand,
		},
	}
}

func operatorCommands() []command {
	return []command{
		{
			name: "operator invite", group: "Operators",
			short: "print a one-time link that registers an operator",
			long: `Asks a running server for a link that lets one person register a passkey for
the console. Roles: administrator (invites operators), analyst (publishes
rules), reviewer (reads).` + clientHelp,
			flags: func(f *flag.FlagSet) { f.String("role", "administrator", "administrator, analyst or reviewer") },
			run:   operatorInvite,
		},
	}
}

func careCommands() []command {
	return []command{
		{
			name: "secret show", group: "Care", config: true, reads: []string{"data", "secret"},
			short: "print the server secret that backends use",
			long:  `Prints the active server secrets, newest first, from SALLYPORT_SECRET or the data folder.`,
			run:   secretShow,
		},
		{
			name: "secret renew-management", group: "Care", config: true, reads: []string{"data", "management-secret"},
			short: "replace the management secret and print it",
			long: `The management secret is kept as a hash and cannot be shown again. This makes
a new one, prints it, and replaces the old one when the server starts next.`,
			run: secretRenewManagement,
		},
		{
			name: "recover", group: "Care", config: true,
			reads: []string{"data", "clickhouse", "nats", "clickhouse-lib", "log-level", "log-format"},
			short: "accept that the end of the log is lost",
			long: `The server refuses to start when its log ends before events that NATS or the
archive have already seen, since something was lost: an old backup was put
back, or a disk dropped writes. If nothing better can be restored, this accepts
the loss. The log goes on in a new epoch with an event that says so.`,
			run: recoverCommand,
		},
		{
			name: "version", group: "Care",
			short: "print the version",
			run: func(_ context.Context, call call) error {
				_, err := fmt.Fprintln(call.Out, "sallyport "+Version())
				return err
			},
		},
	}
}

const clientHelp = `

The server is SALLYPORT_URL (http://localhost:8080 when unset); the call is made
with SALLYPORT_MANAGEMENT_SECRET.`

func commandNamed(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

// call parses the flags, which may stand before or after the arguments, and runs
// the command.
func (c command) call(ctx context.Context, args []string, streams IO) error {
	set := c.flagSet()
	var rest, plain []string
	if i := slices.Index(args, "--"); i >= 0 { // what follows are arguments, such as a number below zero
		args, plain = args[:i], args[i+1:]
	}
	for {
		err := set.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return help(streams.Out, strings.Fields(c.name))
		}
		if err != nil {
			return &UsageError{Command: c.name, Message: flagProblem(set, err)}
		}
		if args = set.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	rest = append(rest, plain...)
	if !c.takes(len(rest)) {
		return &UsageError{Command: c.name, Message: strings.TrimSpace("usage: sallyport " + c.name + " " + c.args)}
	}
	if c.name != "serve" && streams.Environ != nil { // which has a log to say it in
		for _, problem := range strangers(streams.Environ()) {
			fmt.Fprintln(streams.Err, "sallyport: "+problem)
		}
	}
	return c.run(ctx, call{IO: streams, args: rest, flags: set})
}

// Errors of package flag, which has no types for them.
var (
	flagUnknown = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	flagEmpty   = regexp.MustCompile(`^flag needs an argument: -(.*)$`)
	flagRefused = regexp.MustCompile(`(?s)^invalid (?:boolean )?value "(.*)" for (?:flag )?-([a-z-]+): `)
)

// flagProblem says what is wrong with a flag in the words of the other errors.
func flagProblem(set *flag.FlagSet, err error) string {
	text := err.Error()
	if m := flagUnknown.FindStringSubmatch(text); m != nil {
		var names []string
		set.VisitAll(func(f *flag.Flag) { names = append(names, "--"+f.Name) })
		return fmt.Sprintf("there is no flag --%s here%s", m[1], didYouMean("--"+m[1], names))
	}
	if m := flagEmpty.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("--%s needs a value", m[1])
	}
	if m := flagRefused.FindStringSubmatch(text); m != nil {
		if f := set.Lookup(m[2]); f != nil {
			kind := "a value of this flag"
			switch f.Value.(flag.Getter).Get().(type) {
			case int:
				kind = "a whole number"
			case bool:
				kind = "true or false"
			}
			return fmt.Sprintf(`--%s: "%s" is not %s`, m[2], m[1], kind)
		}
	}
	return text
}

// takes reports whether the command may have n arguments: args names each, in
// brackets one that may be left out, with dots one that may be repeated.
func (c command) takes(n int) bool {
	least, most := 0, 0
	for word := range strings.FieldsSeq(c.args) {
		if !strings.HasPrefix(word, "[") {
			least++
		}
		most++
		if strings.HasSuffix(strings.TrimSuffix(word, "]"), "...") {
			most = math.MaxInt
		}
	}
	return least <= n && n <= most
}

func (c command) flagSet() *flag.FlagSet {
	set := flag.NewFlagSet(c.name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // Main prints the error
	if c.flags != nil {
		c.flags(set)
	}
	if c.config {
		set.String("config", "", "YAML file of settings (SALLYPORT_CONFIG)")
		for _, s := range Settings() {
			if !s.Secret {
				set.String(s.Name, "", s.Help)
			}
		}
	}
	return set
}

// printHelp prints all commands by group.
func printHelp(w io.Writer) {
	fmt.Fprint(w, `Sallyport decides whether a sensitive action may happen, asks for a passkey when
it is not sure, and keeps the evidence.

Usage: sallyport COMMAND [flags]
`)
	group, width := "", 0
	for _, c := range commands() {
		width = max(width, len(strings.TrimSpace(c.name+" "+c.args)))
	}
	for _, c := range commands() {
		if c.group != group {
			group = c.group
			fmt.Fprintf(w, "\n%s\n", group)
		}
		fmt.Fprintf(w, "  %-*s  %s\n", width, strings.TrimSpace(c.name+" "+c.args), c.short)
	}
	fmt.Fprint(w, "\n`sallyport help serve` lists the settings, `sallyport help COMMAND` the flags.\n")
}

// help explains the command, or the family of commands, named by words, or lists
// all.
func help(w io.Writer, words []string) error {
	if len(words) == 0 {
		printHelp(w)
		return nil
	}
	c, ok := commandNamed(strings.Join(words, " "))
	if !ok {
		if family := familyNamed(words[0]); len(words) == 1 && len(family) > 0 {
			printFamily(w, words[0], family)
			return nil
		}
		return noCommand(words)
	}
	fmt.Fprintf(w, "Usage: sallyport %s%s [flags]\n\n%s\n", c.name, prefixed(" ", c.args), cmp.Or(c.long, c.short+"."))
	if c.flags != nil {
		fmt.Fprintln(w, "\nFlags")
		set := flag.NewFlagSet("", flag.ContinueOnError)
		c.flags(set)
		set.VisitAll(func(f *flag.Flag) {
			fmt.Fprintf(w, "  --%-21s %s%s\n", f.Name, f.Usage, defaultOf(f))
		})
	}
	if c.config {
		printSettings(w, c.reads)
	}
	return nil
}

// defaultOf tells what a flag is when it is left out, unless that is nothing.
func defaultOf(f *flag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "-1":
		return ""
	}
	return " (" + f.DefValue + " when left out)"
}

// printFamily lists the commands whose names begin with the same word.
func printFamily(w io.Writer, word string, family []command) {
	fmt.Fprintf(w, "Usage: sallyport %s COMMAND [flags]\n\n", word)
	width := 0
	for _, c := range family {
		width = max(width, len(strings.TrimSpace(c.name+" "+c.args)))
	}
	for _, c := range family {
		fmt.Fprintf(w, "  %-*s  %s\n", width, strings.TrimSpace(c.name+" "+c.args), c.short)
	}
	fmt.Fprintf(w, "\n`sallyport help %s` explains the first of them, and so on.\n", family[0].name)
}

// printSettings explains the settings of these names, or all.
func printSettings(w io.Writer, names []string) {
	fmt.Fprint(w, `
Settings, as environment variables. Each is also a flag (--public-url for
SALLYPORT_PUBLIC_URL) and a key of the YAML file (public-url) that --config or
SALLYPORT_CONFIG names. Flags win over the environment, the environment over the
file. Secrets are never flags.
`)
	for _, s := range Settings() {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		head := s.Env()
		if s.Default != "" {
			head += " (" + s.Default + ")"
		}
		fmt.Fprintf(w, "\n  %s\n%s", head, wrapped(s.Help, "      ", 80))
	}
}

// wrapped breaks text into lines of at most width columns behind an indent.
func wrapped(text, indent string, width int) string {
	var b strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

// Version is the module version for a released build, and the commit otherwise.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
