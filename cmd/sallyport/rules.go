package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
)

// ruleCommands are those about rule sets. Those that need no server are in
// rulesfile.go.
func ruleCommands() []command {
	return []command{
		{
			name: "rules apply", args: "FILE", group: "Rules",
			short: "publish a rule set to a running server",
			long: `Publishes the rule set in FILE ("-" reads standard input) and prints its
number. Nothing changes when the set has a problem. With --base, the server
refuses it if another set than number N is current, so that nobody's work is
overwritten.` + clientHelp,
			flags: func(f *flag.FlagSet) {
				f.String("note", "", "why the rules change; kept with the set")
				f.Int("base", -1, "refuse unless set number N is current")
			},
			run: rulesApply,
		},
		{
			name: "rules export", group: "Rules",
			short: "print the rule set of a running server as YAML",
			long:  `Writes the current rule set to standard output and its number to standard error.` + clientHelp,
			run:   rulesExport,
		},
		{
			name: "rules check", args: "FILE", group: "Rules",
			short: "check a rule set without a server",
			long:  `Compiles the rule set in FILE ("-" reads standard input) and prints every problem as FILE:LINE:COLUMN.`,
			run:   rulesCheck,
		},
	}
}

func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the rule set: %w", err)
	}
	return text, nil
}

func rulesApply(ctx context.Context, call call) error {
	text, err := readInput(call.args[0])
	if err != nil {
		return err
	}
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	query := url.Values{"note": {call.value("note")}}
	if base := call.value("base"); base != "-1" {
		query.Set("base", base)
	}
	answer, _, err := c.do(ctx, http.MethodPost, "/v1/management/rule-sets?"+query.Encode(), "application/yaml", text)
	if err != nil {
		return err
	}
	var published struct {
		Number int `json:"number"`
	}
	if err := json.Unmarshal(answer, &published); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	_, err = fmt.Fprintf(call.Out, "published rule set %d\n", published.Number)
	return err
}

func rulesExport(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	text, header, err := c.do(ctx, http.MethodGet, "/v1/management/rule-sets/current", "", nil)
	if err != nil {
		return err
	}
	if _, err := call.Out.Write(text); err != nil {
		return err
	}
	if number, err := strconv.Atoi(header.Get("X-Sallyport-Rule-Set")); err == nil {
		fmt.Fprintf(call.Err, "rule set %d\n", number)
	}
	return nil
}
