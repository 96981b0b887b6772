// Sallyport decides about an application's sensitive actions, asks people to
// prove themselves when it is not sure, and keeps the evidence. `sallyport help`
// says how to run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/sallyport/sallyport/events/clickhouse/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(Main(ctx, os.Args[1:], IO{
		Getenv: os.Getenv, Environ: os.Environ, Out: os.Stdout, Err: os.Stderr,
		OutTerminal: isatty.IsTerminal(os.Stdout.Fd()), ErrTerminal: isatty.IsTerminal(os.Stderr.Fd()),
	}))
}

// IO is what a command sees of the world around the process.
type IO struct {
	Getenv                   func(string) string
	Environ                  func() []string // NAME=value, to find misspelt names; nil finds none
	Out, Err                 io.Writer
	OutTerminal, ErrTerminal bool // a person is looking; secrets are shown only then
}

// Main runs one command and returns the exit code: 0, 1 when it failed, 2 when
// it was called wrongly. An error is one clear line, or a list, on io.Err.
func Main(ctx context.Context, args []string, io IO) int {
	if len(args) > 0 && args[0] == engineCommand {
		return embedded.Main(args[1:]) // not for people: serve runs it as its child
	}
	err := dispatch(ctx, args, io)
	var usage *UsageError
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintf(io.Err, "sallyport: %v\n", err)
		}
		return exit.Code
	case errors.As(err, &usage):
		fmt.Fprintf(io.Err, "sallyport: %v\nTry `sallyport help%s`.\n", err, prefixed(" ", usage.Command))
		return 2
	default:
		fmt.Fprintf(io.Err, "sallyport: %v\n", err)
		return 1
	}
}

// engineCommand makes this binary the child process that holds ClickHouse's
// engine.
const engineCommand = "clickhouse"

// UsageError is a command line that makes no sense.
type UsageError struct {
	Command string // the command whose help explains, "" for all
	Message string
}

// Error is what is wrong.
func (e *UsageError) Error() string { return e.Message }

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// helpWords ask for help wherever they stand.
var helpWords = []string{"-h", "-help", "--help"}

// dispatch finds the command with the longest matching name and runs it.
func dispatch(ctx context.Context, args []string, io IO) error {
	if len(args) == 0 {
		printHelp(io.Out)
		return nil
	}
	switch first := args[0]; {
	case first == "help" || slices.Contains(helpWords, first):
		return help(io.Out, args[1:])
	case first == "--version" || first == "-version":
		args = append([]string{"version"}, args[1:]...)
	}
	for words := min(2, len(args)); words > 0; words-- {
		if c, ok := commandNamed(strings.Join(args[:words], " ")); ok {
			return c.call(ctx, args[words:], io)
		}
	}
	family := familyNamed(args[0])
	if len(family) > 0 && len(args) > 1 && (slices.Contains(helpWords, args[1]) || args[1] == "help") {
		return help(io.Out, args[:1])
	}
	return noCommand(args)
}

// familyNamed are the commands whose names begin with a word, such as rules.
func familyNamed(word string) []command {
	return slices.DeleteFunc(commands(), func(c command) bool { return !strings.HasPrefix(c.name, word+" ") })
}

// noCommand says that words name no command, and which ones there are.
func noCommand(words []string) error {
	if family := familyNamed(words[0]); len(family) > 0 {
		names := make([]string, len(family))
		for i, c := range family {
			names[i] = strings.TrimPrefix(c.name, words[0]+" ")
		}
		if len(words) == 1 || strings.HasPrefix(words[1], "-") {
			return &UsageError{Command: words[0], Message: fmt.Sprintf("%s needs one of %s", words[0], strings.Join(names, ", "))}
		}
		return &UsageError{Command: words[0], Message: fmt.Sprintf("there is no command %q%s",
			words[0]+" "+words[1], didYouMean(words[1], names))}
	}
	var names []string
	for _, c := range commands() {
		first, _, _ := strings.Cut(c.name, " ")
		names = append(names, first)
	}
	return &UsageError{Message: fmt.Sprintf("there is no command %q%s", words[0], didYouMean(words[0], names))}
}
