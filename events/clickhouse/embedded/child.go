package embedded

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// The child's exit codes, which the parent reads.
const (
	exitOK     = 0
	exitFailed = 1
	exitLocked = 3
)

// readyLine is what the child prints once its socket answers.
const readyLine = "ready"

// drainTime is how long running queries may take to finish when the child
// ends. What is cut off afterwards is as if it had never been inserted.
const drainTime = 3 * time.Second

// ChildConfig is what the child is told on its command line.
type ChildConfig struct {
	Library string        // path of libchdb
	Dir     string        // data folder, mode 0700
	Socket  string        // path of the unix socket to serve
	Memory  int64         // bytes the engine may use, 0 for no limit
	Queries int           // queries other than INSERT at a time, at least 1
	Body    int64         // largest request in bytes
	Wait    time.Duration // how long to wait for the data folder's lock
}

// flags declares the command line. The parent writes it with arguments.
func (c *ChildConfig) flags() *flag.FlagSet {
	set := flag.NewFlagSet("clickhouse", flag.ContinueOnError)
	set.StringVar(&c.Library, "library", "", "path of libchdb")
	set.StringVar(&c.Dir, "dir", "", "data folder")
	set.StringVar(&c.Socket, "socket", "", "unix socket to serve")
	set.Int64Var(&c.Memory, "memory", 0, "bytes the engine may use, 0 for no limit")
	set.IntVar(&c.Queries, "queries", 3, "queries other than INSERT at a time")
	set.Int64Var(&c.Body, "body", 256<<20, "largest request in bytes")
	set.DurationVar(&c.Wait, "wait", 10*time.Second, "how long to wait for the data folder")
	return set
}

// arguments is the command line that flags reads back.
func (c *ChildConfig) arguments() []string {
	return []string{
		"-library=" + c.Library, "-dir=" + c.Dir, "-socket=" + c.Socket, fmt.Sprintf("-memory=%d", c.Memory),
		fmt.Sprintf("-queries=%d", c.Queries), fmt.Sprintf("-body=%d", c.Body), fmt.Sprintf("-wait=%s", c.Wait),
	}
}

// Main is the child process: it serves until its standard input ends or SIGTERM
// arrives, and returns the exit code. Failures are one line on standard error.
func Main(args []string) int {
	var config ChildConfig
	if err := config.flags().Parse(args); err != nil {
		return exitFailed // the flag set has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent, by whatever cause
	}()
	switch err := Serve(ctx, config, func() { fmt.Println(readyLine) }); {
	case err == nil:
		return exitOK
	case errors.Is(err, ErrLocked):
		fmt.Fprintln(os.Stderr, err)
		return exitLocked
	default:
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
}

// Serve loads the engine and serves it on the socket until ctx ends. It calls
// ready once queries are answered. The engine stays in the process afterwards,
// so a process serves only once.
func Serve(ctx context.Context, config ChildConfig, ready func()) error {
	if !available {
		return ErrNotBuilt
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := lockFolder(ctx, filepath.Join(config.Dir, "lock"), config.Wait)
	if err != nil {
		return err
	}
	defer lock.Close()
	lib, err := openLibrary(config.Library)
	if err != nil {
		return err
	}
	handler, err := newHandler(lib, config)
	if err != nil {
		return err
	}
	if err := os.Remove(config.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier run: %w", err)
	}
	listener, err := net.Listen("unix", config.Socket)
	if err != nil {
		return fmt.Errorf("serve ClickHouse's engine: %w", err)
	}
	if err := os.Chmod(config.Socket, 0o600); err != nil {
		return fmt.Errorf("protect the engine's socket: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready()
	select {
	case err := <-served:
		return fmt.Errorf("serve ClickHouse's engine: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if server.Shutdown(drain) == nil { // nobody is inside: connections may be closed
		handler.close()
	}
	return nil
}
