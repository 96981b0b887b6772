package main

import (
	"fmt"
	"os"
	"text/tabwriter"
)

// figure is one line of the report.
type figure struct {
	name  string
	value float64
	aim   string // "-" when there is none
	ok    bool
}

// plain is a figure without an aim.
func plain(name string, value float64) figure {
	return figure{name: name, value: value, aim: "-", ok: true}
}

// atLeast is a figure that should be as large as aim.
func atLeast(name string, value, aim float64) figure {
	return figure{name: name, value: value, aim: fmt.Sprintf(">=%g", aim), ok: value >= aim}
}

// noMore is a figure that may be as large as aim, but not larger.
func noMore(name string, value, aim float64) figure {
	return figure{name: name, value: value, aim: fmt.Sprintf("<=%g", aim), ok: value <= aim}
}

// atMost is a figure that should stay below aim.
func atMost(name string, value, aim float64) figure {
	return figure{name: name, value: value, aim: fmt.Sprintf("<%g", aim), ok: value < aim}
}

// figuresOf turns the rounds at one number of callers into figures. The ratio is
// taken per round, since neighbours in time share the machine's mood.
func figuresOf(n int, ours, theirs []sample) []figure {
	of := func(samples []sample, value func(sample) float64) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, value(s))
		}
		return median(values)
	}
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, ours[i].perCPU/theirs[i].perCPU)
	}
	perCPU := func(s sample) float64 { return s.perCPU }
	perSecond := func(s sample) float64 { return s.perSecond }
	p50 := func(s sample) float64 { return s.p50 }
	p99 := func(s sample) float64 { return s.p99 }
	name := func(of string) string { return fmt.Sprintf("%s@%d", of, n) }
	ratio := plain(name("track.ratio"), median(ratios))
	if n == aimCallers {
		ratio = atLeast(ratio.name, ratio.value, aimRatio)
	}
	return []figure{
		ratio,
		plain(name("track.per-cpu-second"), of(ours, perCPU)),
		plain(name("reference.per-cpu-second"), of(theirs, perCPU)),
		plain(name("track.per-second"), of(ours, perSecond)),
		plain(name("reference.per-second"), of(theirs, perSecond)),
		plain(name("track.p50-ms"), of(ours, p50)),
		plain(name("reference.p50-ms"), of(theirs, p50)),
		plain(name("track.p99-ms"), of(ours, p99)),
		plain(name("reference.p99-ms"), of(theirs, p99)),
		plain(name("clickhouse.cpu-us-per-track"), of(ours, func(s sample) float64 { return s.childMicros })),
	}
}

// print writes one line per figure.
func print(figures []figure) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range figures {
		verdict := "ok"
		if !f.ok {
			verdict = "short"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.name, digits(f.value), f.aim, verdict)
	}
	_ = table.Flush() // a lost standard output cannot be reported anywhere
}

// digits writes a value with about three significant digits and no exponent.
func digits(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.3f", value)
	}
}
