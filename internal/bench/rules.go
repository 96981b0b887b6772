package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/internal/bench/workload"
)

// The aims of the index, against evaluating every rule with cel-go.
const (
	aimIndex    = 1000
	aimResidual = 100
)

// benchLine is a line of go test -bench: name, times, nanoseconds, and further
// measures.
var (
	benchLine = regexp.MustCompile(`(?m)^Benchmark(\w+)/(\w+)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op(.*)$`)
	perRule   = regexp.MustCompile(`([\d.]+) index-B/rule`)
)

// ruleFigures runs the benchmarks of package rules, which compare with the
// oracle that only its tests can see.
func ruleFigures(ctx context.Context, c Config) ([]figure, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^Benchmark(Index|Plain)$", "-benchtime=300ms",
		"-count="+strconv.Itoa(c.Rounds), "./rules")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test: %w: %s", err, tail(string(out)))
	}
	taken := map[string][]float64{}
	var bytesPerRule float64
	for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
		nanoseconds, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", m[0], err)
		}
		taken[m[1]+"/"+m[2]] = append(taken[m[1]+"/"+m[2]], nanoseconds)
		if b := perRule.FindStringSubmatch(m[4]); b != nil {
			v, err := strconv.ParseFloat(b[1], 64)
			if err != nil {
				return nil, fmt.Errorf("read %q: %w", m[0], err)
			}
			bytesPerRule = max(bytesPerRule, v)
		}
	}
	speedup := map[workload.Kind]float64{}
	var micros []figure
	for _, kind := range workload.Kinds() {
		index, whole := taken["Index/"+string(kind)], taken["Plain/"+string(kind)]
		if len(index) == 0 || len(whole) == 0 {
			return nil, fmt.Errorf("the benchmarks of %s rules are missing in: %s", kind, tail(string(out)))
		}
		speedup[kind] = median(whole) / median(index)
		micros = append(micros, plain(fmt.Sprintf("rules.10k-%s-us", kind), median(index)/1000))
	}
	return append([]figure{
		atLeast("rules.index-speedup", speedup[workload.Mixed], aimIndex),
		atLeast("rules.numeric-speedup", speedup[workload.Numeric], aimIndex),
		atLeast("rules.rare-speedup", speedup[workload.Rare], aimIndex),
		atLeast("rules.residual-speedup", speedup[workload.Residual], aimResidual),
		plain("rules.unindexable", speedup[workload.Unindexable]),
		plain("rules.index-bytes-per-rule", bytesPerRule),
	}, micros...), nil
}

// peers measures other engines, in a module of its own.
func peers(ctx context.Context, _ Config) ([]figure, error) {
	cmd := exec.CommandContext(ctx, "go", "-C", "internal/bench/peers", "run", ".")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("internal/bench/peers: %w: %s", err, tail(stderr.String()))
	}
	type measurement struct {
		Engine      string
		Rules       int
		Nanoseconds float64
	}
	byRules := map[int][]measurement{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var m measurement
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("internal/bench/peers: %w", err)
		}
		byRules[m.Rules] = append(byRules[m.Rules], m)
	}
	var figures []figure
	for _, n := range []int{10, 100, 1000, 10_000} {
		list := byRules[n]
		ours := slices.IndexFunc(list, func(m measurement) bool { return m.Engine == "sallyport" })
		if ours < 0 || len(list) < 2 {
			return nil, fmt.Errorf("internal/bench/peers: measurements of %d rules are missing", n)
		}
		figures = append(figures, plain(fmt.Sprintf("peers.sallyport-us@%d-rules", n), list[ours].Nanoseconds/1000))
		for i, m := range list {
			if i != ours {
				figures = append(figures, plain(fmt.Sprintf("peers.%s-times-ours@%d-rules", m.Engine, n), m.Nanoseconds/list[ours].Nanoseconds))
			}
		}
	}
	return figures, nil
}
