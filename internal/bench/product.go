package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/bench/load"
	"github.com/sallyport/sallyport/internal/bench/process"
)

//go:embed rules.yaml
var ruleSet string

// The secrets of a data folder that lives as long as this program.
const (
	serverSecret     = "bench-server-secret-0123456789abcdef"
	managementSecret = "bench-management-secret-0123456789abcdef"
)

var payments = load.Track{Secret: serverSecret, Action: "payment", Users: 10_000}

// banner is where the product says its address once it is ready.
var banner = regexp.MustCompile(`Server\s+http://localhost:(\d+)`)

// product is one running server on a data folder.
type product struct {
	*process.Process
	address string // host:port
	started time.Duration
}

// startProduct starts the server and waits until it is ready.
func startProduct(ctx context.Context, binary, data string) (*product, error) {
	environment := append(without(os.Environ(), "SALLYPORT_"),
		"SALLYPORT_LISTEN=127.0.0.1:0", "SALLYPORT_DATA="+data,
		"SALLYPORT_SECRET="+serverSecret, "SALLYPORT_MANAGEMENT_SECRET="+managementSecret, "SALLYPORT_TENANT=bench")
	start := time.Now()
	p, err := process.Start(environment, binary, "serve")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	found, err := p.Find(ctx, banner)
	if err == nil {
		err = p.Answers(ctx, "http://127.0.0.1:"+found[1]+"/readyz")
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("product: %w", err)
	}
	return &product{Process: p, address: "127.0.0.1:" + found[1], started: time.Since(start)}, nil
}

// applyRules publishes a rule set the way an analyst would.
func (p *product) applyRules(ctx context.Context, binary, folder, text string) error {
	file := filepath.Join(folder, "rules.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the rules: %w", err)
	}
	apply := exec.CommandContext(ctx, binary, "rules", "apply", file)
	apply.Env = append(without(os.Environ(), "SALLYPORT_"),
		"SALLYPORT_URL=http://"+p.address, "SALLYPORT_MANAGEMENT_SECRET="+managementSecret)
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("publish the rules: %w: %s", err, out)
	}
	return nil
}

// publish publishes a rule set, and returns how long that took.
func (p *product) publish(ctx context.Context, yaml []byte) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+"/v1/management/rule-sets", bytes.NewReader(yaml))
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	request.SetBasicAuth(managementSecret, "")
	request.Header.Set("Content-Type", "application/yaml")
	start := time.Now()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	took := time.Since(start)
	if answer.StatusCode/100 != 2 {
		return 0, fmt.Errorf("publish: %s: %s", answer.Status, text[:min(len(text), 1000)])
	}
	return took, nil
}

// settle waits until the archive has every event, so that the work that the load
// set off has been paid for.
func (p *product) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		lag, err := p.lag(ctx)
		if err != nil {
			return err
		}
		if lag == 0 {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the archive, %d events behind: %w", lag, ctx.Err())
		}
	}
}

// lag is how many events the part that is farthest behind has not seen yet.
func (p *product) lag(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/readyz", http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("ask for the lag: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask for the lag: %w", err)
	}
	defer answer.Body.Close()
	var status struct {
		Parts []struct {
			Name, State, Detail string
			Lag                 int
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return 0, fmt.Errorf("read the lag: %w", err)
	}
	most, archived := 0, false
	for _, part := range status.Parts {
		if part.State != "ok" && part.State != "degraded" {
			return 0, fmt.Errorf("%s is %s: %s", part.Name, part.State, part.Detail)
		}
		archived = archived || part.Name == "archive"
		most = max(most, part.Lag)
	}
	if !archived {
		return 0, errors.New("readyz names no archive: the whole product must run")
	}
	return most, nil
}

// children is the processor time and memory of the processes that the server
// started.
func (p *product) children() (time.Duration, process.Memory, error) {
	pids, err := process.Children(p.ID())
	if err != nil {
		return 0, process.Memory{}, err
	}
	var cpu time.Duration
	var memory process.Memory
	for _, pid := range pids {
		one, err := process.CPU(pid)
		if err != nil {
			return 0, process.Memory{}, err
		}
		m, err := process.MemoryOf(pid)
		if err != nil {
			return 0, process.Memory{}, err
		}
		cpu += one
		memory.Resident += m.Resident
		memory.Anonymous += m.Anonymous
	}
	return cpu, memory, nil
}

// without drops the variables whose names begin with prefix.
func without(environment []string, prefix string) []string {
	var kept []string
	for _, variable := range environment {
		if !strings.HasPrefix(variable, prefix) {
			kept = append(kept, variable)
		}
	}
	return kept
}
