// Embedded decides actions inside a program, without a server: a rule set, the
// built-in signals, lists, metrics and a recorder in memory.
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
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/engine/metrics"
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

// run decides a few payments of two people and prints what came of them.
func run(ctx context.Context, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	definition, err := rules.ParseYAML(ruleSet)
	if err != nil {
		return err
	}
	set, err := rules.Compile(rules.Version{Number: 1, Definition: definition})
	if err != nil {
		return err
	}
	inForce := func() *rules.Set { return set }

	// The recorder keeps what was decided, and the lists.
	recorder := memory.New()
	blockList, err := openLists(ctx, recorder)
	if err != nil {
		return err
	}
	windows, err := openMetrics(ctx, recorder, inForce)
	if err != nil {
		return err
	}
	source, err := signals.Open(signals.Config{}) // an IP database would tell countries
	if err != nil {
		return err
	}
	defer source.Close()

	guard, err := engine.New(engine.Config{
		Recorder: recorder,
		Signals:  []engine.Signals{source},
		Rules:    inForce,
		Lists:    blockList,
		Metrics:  windows,
	})
	if err != nil {
		return err
	}
	// Without an authenticator nobody can be challenged. Programs that embed the
	// engine hold their own ceremonies and tell the recorder.
	recorder.Enrol("jane", events.MethodPasskey, time.Now())

	for _, order := range []struct {
		id, user, payee string
		amount          float64
	}{
		{"order-1", "jane", "Ada's Books", 150},
		{"order-2", "jane", "Ada's Books", 250},
		{"order-3", "jane", "Ada's Books", 190},
		{"order-4", "jane", "Ada's Books", 500},
		{"order-2", "jane", "Ada's Books", 250},
		{"order-5", "mallory", "Crooks & Co", 5},
		{"order-6", "mallory", "Ada's Books", 5},
	} {
		decision, err := guard.Track(ctx, engine.Action{
			ActionID: events.ActionID{User: events.UserID(order.user), Code: "payment", Key: order.id},
			DeviceID: "laptop",
			IP:       map[string]string{"jane": "192.0.2.10", "mallory": "198.51.100.66"}[order.user],
			Custom:   map[string]any{"amount": order.amount, "payee": order.payee},
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
	fmt.Fprintf(out, "%d decisions in the log\n", decisions(recorder.Events()))
	return nil
}

// openLists puts a payee on a list. Rules read lists from memory, so after a
// change they are refreshed; what rules add is there at once.
func openLists(ctx context.Context, recorder *memory.Recorder) (*lists.Keeper, error) {
	for _, head := range []lists.Head{
		{Name: "blocked_payees", Type: rules.ListOfStrings},
		{Name: "suspects", Type: rules.ListOfRanges},
	} {
		if err := recorder.CreateList(ctx, head, "example"); err != nil {
			return nil, err
		}
	}
	item := lists.Item{Value: "Crooks & Co", Note: "never delivers"}
	if err := recorder.ChangeList(ctx, "blocked_payees", []lists.Item{item}, nil, "example"); err != nil {
		return nil, err
	}
	keeper := lists.NewKeeper(recorder, nil)
	return keeper, keeper.Refresh(ctx)
}

// openMetrics starts the windows behind the metrics, which follow the recorder's
// log until ctx ends, and waits until they do: until then metrics are unknown.
func openMetrics(ctx context.Context, recorder *memory.Recorder, set func() *rules.Set) (*metrics.Windows, error) {
	windows, err := metrics.New(metrics.Config{Log: recorder, Set: set})
	if err != nil {
		return nil, err
	}
	recorder.Observe(windows.Committed)
	go func() {
		if err := windows.Run(ctx); err != nil {
			log.Print(err)
		}
	}()
	for windows.Health(ctx) != nil {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
	return windows, nil
}

// decisions counts what was decided among all that is in the log.
func decisions(log []events.Event) int {
	n := 0
	for _, event := range log {
		if event.Kind == events.KindActionTracked {
			n++
		}
	}
	return n
}
