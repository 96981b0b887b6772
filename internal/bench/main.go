package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
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
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&c.Binary, "binary", "bin/sallyport", "the built product")
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
	if _, err := os.Stat(c.Binary); err != nil {
		return fmt.Errorf("%w (run make build first)", err)
	}
	return measure(ctx, c)
}
