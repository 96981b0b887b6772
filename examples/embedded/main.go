// Embedded decides actions inside a program, without a server: a rule set, the
// built-in signals and a recorder in memory.
//
//	go run ./examples/embedded
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

//go:embed rules.yaml
var ruleSet []byte

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run decides a few payments of one person and prints what came of them.
func run(ctx context.Context, out io.Writer) error {
	definition, err := rules.ParseYAML(ruleSet)
	if err != nil {
		return err
	}
	set, err := rules.Compile(rules.Version{Number: 1, Definition: definition})
	if err != nil {
		return err
	}
	source, err := signals.Open(signals.Config{}) // an IP database would tell countries
	if err != nil {
		return err
	}
	defer source.Close()

	recorder := memory.New()
	guard, err := engine.New(engine.Config{
		Recorder: recorder,
		Signals:  []engine.Signals{source},
		Rules:    func() *rules.Set { return set },
	})
	if err != nil {
		return err
	}
	// Without an authenticator nobody can be challenged. Programs that embed the
	// engine hold their own ceremonies and tell the recorder.
	recorder.Enrol("jane", events.MethodPasskey, time.Now())

	for _, order := range []struct {
		id     string
		amount float64
	}{{"order-1", 25}, {"order-2", 250}, {"order-3", 6000}, {"order-4", 20000}, {"order-2", 250}} {
		decision, err := guard.Track(ctx, engine.Action{
			ActionID: events.ActionID{User: "jane", Code: "payment", Key: order.id},
			DeviceID: "laptop",
			IP:       "192.0.2.10",
			Custom:   map[string]any{"amount": order.amount, "payee": "Ada's Books"},
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s, by %s\n", order.id, decision.State, strings.TrimSpace(string(decision.Reason)+" "+decision.Rule))
		switch {
		case decision.Repeated:
			fmt.Fprintln(out, "  decided before, the same answer again")
		case decision.State == events.StateChallengeRequired:
			fmt.Fprintf(out, "  to be approved: %s\n", decision.Prompt)
		}
	}
	fmt.Fprintf(out, "%d events in the log\n", len(recorder.Events()))
	return nil
}
