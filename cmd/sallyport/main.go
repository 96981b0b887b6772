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
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/sallyport/sallyport/events/clickhouse/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(Main(ctx, os.Args[1:], IO{
		Getenv: os.Getenv, Out: os.Stdout, Err: os.Stderr,
		OutTerminal: isatty.IsTerminal(os.Stdout.Fd()), ErrTerminal: isatty.IsTerminal(os.Stderr.Fd()),
	}))
}

// IO is what a command sees of the world around the process.
type IO struct {
	Getenv                   func(string) string
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

// dispatch finds the command with the longest matching name and runs it.
func dispatch(ctx context.Context, args []string, io IO) error {
	if len(args) == 0 {
		printHelp(io.Out)
		return nil
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(io.Out, args[1:])
	}
	for words := min(2, len(args)); words > 0; words-- {
		if c, ok := commandNamed(strings.Join(args[:words], " ")); ok {
			return c.call(ctx, args[words:], io)
		}
	}
	var family []string
	for _, c := range commands() {
		if first, second, _ := strings.Cut(c.name, " "); first == args[0] {
			family = append(family, second)
		}
	}
	if len(family) > 0 {
		return &UsageError{Message: fmt.Sprintf("%s needs one of %s", args[0], strings.Join(family, ", "))}
	}
	return &UsageError{Message: fmt.Sprintf("there is no command %q", args[0])}
}
