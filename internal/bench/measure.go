package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/bench/load"
	"github.com/sallyport/sallyport/internal/bench/process"
)

// The aims of the product.
const (
	aimRatio    = 0.40 // of the reference's requests per CPU second, at aimCallers
	aimCallers  = 32
	aimMemory   = 120 // MiB resident, less is better
	aimRestart  = 3   // seconds to ready on a folder with data, less is better
	stopTimeout = 30 * time.Second
)

// longestWarmUp bounds the load before each stretch, which is as long as the
// stretch itself when that is shorter.
const longestWarmUp = time.Second

var callers = []int{1, 32, 256}

// sample is one stretch of load on one server.
type sample struct {
	perCPU      float64 // requests per second of the server's own processor time
	perSecond   float64
	p50, p99    float64 // milliseconds
	childMicros float64 // processor time of the server's children per request
}

// part is one group of figures, which can be measured alone.
type part struct {
	name    string
	measure func(context.Context, Config) ([]figure, error)
}

var parts = []part{
	{"track", track},
	{"rules", ruleFigures},
	{"many", manyRules},
	{"metrics", metricFigures},
	{"peers", peers},
}

func partNames() []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return names
}

// measure runs the parts and prints their figures.
func measure(ctx context.Context, c Config) error {
	var figures []figure
	for _, p := range parts {
		if len(c.Only) > 0 && !slices.Contains(c.Only, p.name) {
			continue
		}
		progress("part %s", p.name)
		some, err := p.measure(ctx, c)
		if err != nil {
			print(figures) // what is known by now took its time
			return fmt.Errorf("%s: %w", p.name, err)
		}
		figures = append(figures, some...)
	}
	print(figures)
	return nil
}

// running starts the product on an empty data folder with the ten rules, and
// calls use with it. It stops the product that use returns.
func running(ctx context.Context, c Config, use func(*product, string) (*product, error)) error {
	data, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	defer os.RemoveAll(data)
	p, err := startProduct(ctx, c.Binary, data)
	if err != nil {
		return err
	}
	defer func() { p.Kill() }()
	if err := p.applyRules(ctx, c.Binary, data, load.Fields+ruleSet); err != nil {
		return err
	}
	again, err := use(p, data)
	if err != nil {
		return err
	}
	p = again
	return stop(ctx, p)
}

// track compares whole track requests with the reference, and looks at start and
// memory.
func track(ctx context.Context, c Config) ([]figure, error) {
	var figures []figure
	err := running(ctx, c, func(p *product, data string) (*product, error) {
		var err error
		if figures, err = compare(ctx, c, p); err != nil {
			return p, err
		}
		if err := stop(ctx, p); err != nil {
			return p, err
		}
		again, err := startProduct(ctx, c.Binary, data)
		if err != nil {
			return p, err
		}
		figures = append(figures, atMost("start.second-seconds", again.started.Seconds(), aimRestart))
		rest, err := memory(ctx, c, again)
		figures = append(figures, rest...)
		return again, err
	})
	return figures, err
}

func stop(ctx context.Context, p *product) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		return fmt.Errorf("stop the product: %w", err)
	}
	return nil
}

// compare alternates reference and product.
func compare(ctx context.Context, c Config, p *product) ([]figure, error) {
	reference, referenceAddress, err := startReference(ctx)
	if err != nil {
		return nil, err
	}
	defer reference.Kill()
	ours, theirs := map[int][]sample{}, map[int][]sample{}
	for round := range c.Rounds {
		for _, n := range callers {
			progress("round %d of %d, %d callers", round+1, c.Rounds, n)
			one, err := stretch(ctx, c, target{pid: reference.ID(), address: referenceAddress, track: payments}, n, fmt.Sprintf("r%d", round))
			if err != nil {
				return nil, fmt.Errorf("reference: %w", err)
			}
			theirs[n] = append(theirs[n], one)
			if one, err = stretch(ctx, c, p.target(payments), n, fmt.Sprintf("p%d-%d", round, n)); err != nil {
				return nil, fmt.Errorf("product: %w; it printed:\n%s", err, tail(p.Output()))
			}
			ours[n] = append(ours[n], one)
		}
	}
	var figures []figure
	for _, n := range callers {
		figures = append(figures, figuresOf(n, ours[n], theirs[n])...)
	}
	return figures, nil
}

// target is a server and what to ask it.
type target struct {
	pid     int
	address string // host:port
	track   load.Track
	product *product // nil for the reference
}

func (p *product) target(track load.Track) target {
	return target{pid: p.ID(), address: p.address, track: track, product: p}
}

// stretch loads one server for a while. For the product the measurement ends
// when the archive has everything.
func stretch(ctx context.Context, c Config, t target, n int, prefix string) (sample, error) {
	p := t.product
	one := func(prefix string, length time.Duration) (load.Result, error) {
		ctx, cancel := context.WithTimeout(ctx, length)
		defer cancel()
		result, err := load.Run{Address: t.address, Callers: n, Track: t.track, Prefix: prefix}.Do(ctx)
		if err == nil && (result.Refused > 0 || result.Broken > 0) {
			err = fmt.Errorf("%d refused, %d broken: %s", result.Refused, result.Broken, result.First)
		}
		if err == nil && p != nil {
			err = p.settle(context.WithoutCancel(ctx))
		}
		return result, err
	}
	if _, err := one(prefix+"-warm", min(c.Stretch, longestWarmUp)); err != nil {
		return sample{}, err
	}
	cpu, err := process.CPU(t.pid)
	if err != nil {
		return sample{}, err
	}
	child, err := childCPU(p)
	if err != nil {
		return sample{}, err
	}
	result, err := one(prefix, c.Stretch)
	if err != nil {
		return sample{}, err
	}
	cpuAfter, err := process.CPU(t.pid)
	if err != nil {
		return sample{}, err
	}
	childAfter, err := childCPU(p)
	if err != nil {
		return sample{}, err
	}
	requests := float64(result.Requests)
	return sample{
		perCPU: requests / (cpuAfter - cpu).Seconds(), perSecond: result.Rate(),
		p50: milliseconds(result.Quantile(0.5)), p99: milliseconds(result.Quantile(0.99)),
		childMicros: float64((childAfter - child).Microseconds()) / requests,
	}, nil
}

func childCPU(p *product) (time.Duration, error) {
	if p == nil {
		return 0, nil
	}
	cpu, _, err := p.children()
	return cpu, err
}

// memory fills a freshly started server and looks at it after a rest.
func memory(ctx context.Context, c Config, p *product) ([]figure, error) {
	progress("%d tracks", c.Tracks)
	result, err := load.Run{Address: p.address, Callers: aimCallers, Track: payments, Prefix: "m", Count: c.Tracks}.Do(ctx)
	if err != nil {
		return nil, err
	}
	if uint64(result.Requests) != c.Tracks {
		return nil, fmt.Errorf("%d of %d tracks were answered: %s", result.Requests, c.Tracks, result.First)
	}
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	busy, err := process.MemoryOf(p.ID())
	if err != nil {
		return nil, err
	}
	progress("%s of rest", c.Rest)
	select {
	case <-time.After(c.Rest):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m, err := process.MemoryOf(p.ID())
	if err != nil {
		return nil, err
	}
	_, child, err := p.children()
	if err != nil {
		return nil, err
	}
	return []figure{
		atMost("memory.resident-mib", mib(m.Resident), aimMemory),
		plain("memory.anonymous-mib", mib(m.Anonymous)),
		plain("memory.busy-mib", mib(busy.Resident)),
		plain("memory.clickhouse-mib", mib(child.Resident)),
	}, nil
}

// profile keeps the product under load while somebody looks at it.
func profile(ctx context.Context, c Config) error {
	return running(ctx, c, func(p *product, _ string) (*product, error) {
		fmt.Printf("process %d under load of %d callers for %s\n", p.ID(), aimCallers, c.Profile)
		ctx, cancel := context.WithTimeout(ctx, c.Profile)
		defer cancel()
		result, err := load.Run{Address: p.address, Callers: aimCallers, Track: payments, Prefix: "profile"}.Do(ctx)
		if err != nil {
			return p, err
		}
		fmt.Printf("%.0f requests a second, p50 %s, p99 %s\n", result.Rate(), result.Quantile(0.5), result.Quantile(0.99))
		return p, nil
	})
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// tail is the last part of a log.
func tail(text string) string { return text[max(0, len(text)-4000):] }

func progress(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}
