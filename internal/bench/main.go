package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// referenceCommand makes this program the reference server.
const referenceCommand = "reference"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// Config is what can be set on the command line.
type Config struct {
	Binary  string        // the product
	Only    []string      // parts to run; empty means all
	Rounds  int           // of each server at each number of callers
	Stretch time.Duration // of load in one round
	Tracks  uint64        // before memory is measured
	Rest    time.Duration // between the last of them and the measurement
	Profile time.Duration // when not 0: only run the product under load for so long and print its process id
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) > 0 && arguments[0] == referenceCommand {
		return serveReference(ctx)
	}
	var c Config
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&c.Binary, "binary", "bin/sallyport", "the built product")
	flags.StringVar(&only, "only", "", "parts to run, with commas: "+strings.Join(partNames(), ", "))
	flags.IntVar(&c.Rounds, "rounds", 3, "rounds of each server at each number of callers")
	flags.DurationVar(&c.Stretch, "stretch", 4*time.Second, "load in one round")
	flags.Uint64Var(&c.Tracks, "tracks", 100_000, "tracks before memory is measured")
	flags.DurationVar(&c.Rest, "rest", time.Minute, "rest before memory is measured")
	flags.DurationVar(&c.Profile, "profile", 0, "only run the product under load for so long, to look at it with a profiler")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if c.Rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	if only != "" {
		c.Only = strings.Split(only, ",")
		for _, name := range c.Only {
			if !slices.Contains(partNames(), name) {
				return fmt.Errorf("-only: there is no part %q; there are %s", name, strings.Join(partNames(), ", "))
			}
		}
	}
	if _, err := os.Stat(c.Binary); err != nil {
		return fmt.Errorf("%w (run make build first)", err)
	}
	if c.Profile > 0 {
		return profile(ctx, c)
	}
	return measure(ctx, c)
}
