// Package process runs a built server as a child process and looks at it from
// outside, as an operator would: its printed address, its log, its processor
// time and memory, the processes that it started. The benchmark and the
// end-to-end tests use it. What it reads of a running process comes from /proc,
// so both need Linux.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Process is a started program whose output is collected.
type Process struct {
	command *exec.Cmd
	output  *output
	done    chan struct{} // closed when the process has ended
	err     error         // of Wait, valid once done is closed
}

// Start starts the program with exactly this environment ("NAME=value" each).
func Start(environment []string, name string, arguments ...string) (*Process, error) {
	p := &Process{command: exec.Command(name, arguments...), output: newOutput(), done: make(chan struct{})}
	p.command.Env = environment
	p.command.Stdout, p.command.Stderr = p.output, p.output
	// A child that outlives the program keeps the output open; Wait must not wait
	// for it, since finding such children is what the tests are for.
	p.command.WaitDelay = time.Second
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.done)
	}()
	return p, nil
}

// ID is the process id.
func (p *Process) ID() int { return p.command.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Output is everything the process has written so far, both streams together.
func (p *Process) Output() string { return p.output.String() }

// Find waits until the output matches and returns the submatches. It returns an
// error with the whole output when the process ends first.
func (p *Process) Find(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		text, more := p.output.next()
		if found := pattern.FindStringSubmatch(text); found != nil {
			return found, nil
		}
		select {
		case <-more:
		case <-p.done:
			if found := pattern.FindStringSubmatch(p.Output()); found != nil {
				return found, nil
			}
			return nil, fmt.Errorf("ended (exit code %d) before it printed %s; it printed:\n%s", p.ExitCode(), pattern, p.Output())
		case <-ctx.Done():
			return nil, fmt.Errorf("did not print %s: %w; it printed:\n%s", pattern, ctx.Err(), p.Output())
		}
	}
}

// Answers waits until a GET of url is answered with status 200. A refused
// connection and any other status mean "not yet".
func (p *Process) Answers(ctx context.Context, url string) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		answer, err := client.Get(url)
		if err == nil {
			_ = answer.Body.Close() // only the status counts
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.done:
			return fmt.Errorf("ended (exit code %d) before %s was answered; it printed:\n%s", p.ExitCode(), url, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (last: %w); it printed:\n%s", url, ctx.Err(), err, p.Output())
		}
	}
}

// ExitCode is the code that the process ended with, -1 when a signal ended it or
// it is still running.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.command.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Stop asks the process to end and waits for it. It kills the process when ctx
// ends first, and says so.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		select {
		case <-p.done:
			return p.ended()
		default:
			return fmt.Errorf("ask the process to end: %w", err)
		}
	}
	select {
	case <-p.done:
		return p.ended()
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("the process did not end when asked (%w); it printed:\n%s", ctx.Err(), p.Output())
	}
}

func (p *Process) ended() error {
	if code := p.ExitCode(); code != 0 {
		return fmt.Errorf("ended with code %d; it printed:\n%s", code, p.Output())
	}
	return nil
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // fails only when the process has ended
	<-p.done
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	text, _ := o.next()
	return text
}

func (o *output) next() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.more
}
