package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/bench/load"
	"github.com/sallyport/sallyport/rules"
)

// The aims for an action with many rules.
const (
	manyCount    = 10_000
	aimManyTrack = 1.5 // CPU of a whole track request, of the same with ten rules
	aimPublish   = 3   // seconds, less is better
	aimP99       = 1   // p99 while a set is published, of the usual p99
)

// The load while a set is published: several hundred requests a second, about a
// fifth of what the server can do. A server without any processor time to spare
// could do nothing else without slowing requests down.
const (
	quietCallers = 4
	quietPause   = 5 * time.Millisecond
)

// manyPayments is as payments, but has ten thousand rules.
var manyPayments = load.Track{Secret: serverSecret, Action: "payment-many", Users: payments.Users}

// manySet is the ten rules for payment, and for payment-many the same ten and as
// many further ones as make manyCount, of which an action matches one or two.
// No condition of one variant is in another.
func manySet(variant int) ([]byte, error) {
	d, err := rules.ParseYAML([]byte(load.Fields + ruleSet))
	if err != nil {
		return nil, fmt.Errorf("read the ten rules: %w", err)
	}
	many := d.Actions[0]
	many.Code = manyPayments.Action
	many.Rules = nil
	for _, r := range d.Actions[0].Rules {
		r.ID = "many-" + r.ID
		many.Rules = append(many.Rules, r)
	}
	for i := len(many.Rules); i < manyCount; i++ {
		many.Rules = append(many.Rules, rules.Rule{
			ID: fmt.Sprintf("payee-%d", i), Name: fmt.Sprintf("Payee %d", i), Outcome: rules.Challenge,
			When: fmt.Sprintf(`custom.payee == "payee-%d" && custom.amount > %d.%d && custom.accountAgeDays < %d.0 && custom.channel != "branch"`,
				i%5003, i*7%990, 1+variant, 200+i*13%3000),
		})
	}
	d.Actions = append(d.Actions, many)
	text, err := d.YAML()
	if err != nil {
		return nil, err
	}
	return text, nil
}

// manyRules measures a whole track request with ten thousand rules, and what
// publishing them does.
func manyRules(ctx context.Context, c Config) ([]figure, error) {
	var figures []figure
	err := running(ctx, c, func(p *product, _ string) (*product, error) {
		text, err := manySet(0)
		if err != nil {
			return p, err
		}
		took, err := p.publish(ctx, text)
		if err != nil {
			return p, err
		}
		again, err := p.publish(ctx, bytes.Replace(text, []byte("Payee 77"), []byte("Payee renamed"), 1))
		if err != nil {
			return p, err
		}
		figures = append(figures, atMost("publish.10k-seconds", took.Seconds(), aimPublish), plain("publish.one-of-10k-seconds", again.Seconds()))
		some, err := manyTracks(ctx, c, p)
		if err != nil {
			return p, err
		}
		figures = append(some, figures...)
		if some, err = publishing(ctx, c, p); err != nil {
			return p, err
		}
		figures = append(figures, some...)
		return p, nil
	})
	return figures, err
}

// manyTracks alternates both actions on one server.
func manyTracks(ctx context.Context, c Config, p *product) ([]figure, error) {
	var ratios, ten, many []float64
	for round := range 2*c.Rounds - 1 {
		progress("round %d of %d with ten and with %d rules", round+1, 2*c.Rounds-1, manyCount)
		few, err := stretch(ctx, c, p.target(payments), aimCallers, fmt.Sprintf("few-%d", round))
		if err != nil {
			return nil, err
		}
		lot, err := stretch(ctx, c, p.target(manyPayments), aimCallers, fmt.Sprintf("many-%d", round))
		if err != nil {
			return nil, err
		}
		ten, many = append(ten, 1e6/few.perCPU), append(many, 1e6/lot.perCPU)
		ratios = append(ratios, few.perCPU/lot.perCPU)
	}
	return []figure{
		noMore("rules.10k-of-whole-track", median(ratios), aimManyTrack),
		plain("rules.10k-cpu-us-per-track", median(many)),
		plain("rules.10-cpu-us-per-track", median(ten)),
	}, nil
}

// publishing loads the server, in turns, as usual and while a set is published.
func publishing(ctx context.Context, c Config, p *product) ([]figure, error) {
	var usual, during, longest, seconds []float64
	run := func(prefix string, until func(context.Context) error) (load.Result, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			done <- until(ctx)
			cancel()
		}()
		result, err := load.Run{Address: p.address, Callers: quietCallers, Pause: quietPause, Track: payments, Prefix: prefix}.Do(ctx)
		if err == nil {
			err = <-done
		}
		if err == nil && (result.Refused > 0 || result.Broken > 0) {
			err = fmt.Errorf("%d refused, %d broken: %s", result.Refused, result.Broken, result.First)
		}
		return result, err
	}
	for round := range 2*c.Rounds - 1 {
		progress("round %d of %d of publishing", round+1, 2*c.Rounds-1)
		text, err := manySet(round + 1)
		if err != nil {
			return nil, err
		}
		var took time.Duration
		result, err := run(fmt.Sprintf("publish-%d", round), func(ctx context.Context) (err error) {
			took, err = p.publish(ctx, text)
			return err
		})
		if err != nil {
			return nil, err
		}
		during, longest = append(during, milliseconds(result.Quantile(0.99))), append(longest, milliseconds(result.Quantile(1)))
		seconds = append(seconds, took.Seconds())
		if err := p.settle(ctx); err != nil {
			return nil, err
		}
		result, err = run(fmt.Sprintf("usual-%d", round), func(ctx context.Context) error {
			select {
			case <-time.After(max(took, time.Second)):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return nil, err
		}
		usual = append(usual, milliseconds(result.Quantile(0.99)))
		if err := p.settle(ctx); err != nil {
			return nil, err
		}
	}
	ratios := make([]float64, len(usual))
	for i := range usual {
		ratios[i] = during[i] / usual[i]
	}
	return []figure{
		noMore("publish.p99-ratio", median(ratios), aimP99),
		plain("publish.p99-ms", median(during)),
		plain("publish.usual-p99-ms", median(usual)),
		plain("publish.longest-ms", median(longest)),
		plain("publish.10k-seconds-under-load", median(seconds)),
	}, nil
}
