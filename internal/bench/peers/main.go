// The peers command measures other engines on the rules and facts that Sallyport
// is measured with, all in one process and in turns: expr-lang/expr and Open
// Policy Agent, both as libraries. It prints one JSON object a line:
//
//	{"engine":"expr","rules":100,"nanoseconds":31415.9,"matches":12.5}
//
// It is a module of its own so that Sallyport's own does not depend on them.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/bench/workload"
)

// measurement is one line of output.
type measurement struct {
	Engine      string  `json:"engine"`
	Rules       int     `json:"rules"`
	Nanoseconds float64 `json:"nanoseconds"` // to find all matching rules for one action, median over the turns
	Matches     float64 `json:"matches"`     // per action, on average
}

const (
	turns  = 7
	stint  = 80 * time.Millisecond // of one engine's turn, at least one round over all actions of a turn
	number = 32                    // of different actions
)

// engine finds the rules that match an action, by its number, and counts them.
type engine interface {
	Name() string
	Matches(action int) (int, error)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	actions := workload.Actions(number)
	out := json.NewEncoder(os.Stdout)
	for _, n := range []int{10, 100, 1000, 10_000} {
		engines, err := prepare(n, actions)
		if err != nil {
			return err
		}
		matches, err := agree(engines)
		if err != nil {
			return fmt.Errorf("%d rules: %w", n, err)
		}
		taken := make([][]float64, len(engines))
		for range turns {
			for i, e := range engines {
				nanoseconds, err := turn(e)
				if err != nil {
					return fmt.Errorf("%s: %w", e.Name(), err)
				}
				taken[i] = append(taken[i], nanoseconds)
			}
		}
		for i, e := range engines {
			slices.Sort(taken[i])
			if err := out.Encode(measurement{e.Name(), n, taken[i][turns/2], matches}); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
	}
	return nil
}

func prepare(n int, actions []workload.Action) ([]engine, error) {
	ours, err := newSallyport(n, actions)
	if err != nil {
		return nil, fmt.Errorf("sallyport: %w", err)
	}
	list := workload.Rules(workload.Mixed, n)
	expr, err := newExpr(list, actions)
	if err != nil {
		return nil, fmt.Errorf("expr: %w", err)
	}
	opa, err := newOPA(list, actions)
	if err != nil {
		return nil, fmt.Errorf("opa: %w", err)
	}
	return []engine{ours, expr, opa}, nil
}

// agree makes sure that all engines find as many rules for each action, and
// returns how many that is on average.
func agree(engines []engine) (float64, error) {
	total := 0
	for action := range number {
		want, err := engines[0].Matches(action)
		if err != nil {
			return 0, err
		}
		total += want
		for _, e := range engines[1:] {
			got, err := e.Matches(action)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", e.Name(), err)
			}
			if got != want {
				return 0, fmt.Errorf("%s finds %d matching rules for action %d, %s %d", e.Name(), got, action, engines[0].Name(), want)
			}
		}
	}
	return float64(total) / number, nil
}

// turn is the mean time of one engine for one action.
func turn(e engine) (float64, error) {
	start, done := time.Now(), 0
	for time.Since(start) < stint {
		if _, err := e.Matches(done % number); err != nil {
			return 0, err
		}
		done++
	}
	return float64(time.Since(start).Nanoseconds()) / float64(done), nil
}
