package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says how to run the engine. Library and Dir are required.
type Config struct {
	Executable string        // program to run as the child; default: this one
	Args       []string      // what makes it call Main, such as the name of a sub-command
	Library    string        // path of libchdb
	Dir        string        // folder of the engine's data, made with mode 0700
	Memory     int64         // bytes the engine may use; 0 means 2 GiB, negative no limit
	Queries    int           // queries other than INSERT at a time; 0 means 3
	LockWait   time.Duration // how long a child waits for Dir's lock; 0 means 10 s
	Log        *slog.Logger  // default: discarded
}

// The pauses before a child that ended is started again.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
	settled      = time.Minute // a child that lived this long starts the pauses anew
)

// maxSocketPath is what a unix socket's address holds on every system we build
// for (104 bytes on macOS, 108 on Linux, with a closing zero).
const maxSocketPath = 103

// closeTime is how long Close waits for a child to end before it kills it:
// longer than the child's own drainTime.
const closeTime = drainTime + 5*time.Second

// Engine is a supervised child. It is started again whenever it ends.
type Engine struct {
	config ChildConfig
	exec   string
	args   []string
	log    *slog.Logger
	temp   string // folder of the socket when Dir's path is too long for one
	stop   context.CancelFunc
	done   chan struct{} // closed when supervision has ended

	mu       sync.Mutex
	pid      int   // of the running child, 0 when none runs
	failure  error // why none answers, nil while one does
	restarts int
}

// Start runs the child and returns once it answers queries. It fails when the
// first child does: with a LibraryError, ErrLocked or ErrNotBuilt where that is
// the reason. The engine lives until Close, not until ctx ends.
func Start(ctx context.Context, config Config) (*Engine, error) {
	if !available {
		return nil, ErrNotBuilt
	}
	if _, err := os.Stat(config.Library); err != nil {
		return nil, &LibraryError{Path: config.Library, Err: errors.Unwrap(err)}
	}
	e := &Engine{
		config: ChildConfig{
			Library: config.Library, Dir: config.Dir, Memory: config.Memory, Queries: config.Queries,
			Wait: config.LockWait, Body: 256 << 20,
		},
		exec: config.Executable, args: config.Args, log: config.Log, done: make(chan struct{}),
	}
	e.applyDefaults()
	if err := e.prepareFolders(); err != nil {
		return nil, err
	}
	supervise, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	first := make(chan error, 1)
	go e.supervise(supervise, first)
	select {
	case err := <-first:
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		return e, nil
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("start ClickHouse's engine: %w", ctx.Err()), e.Close())
	}
}

func (e *Engine) applyDefaults() {
	if e.config.Memory == 0 {
		e.config.Memory = 2 << 30
	}
	e.config.Memory = max(e.config.Memory, 0)
	if e.config.Queries <= 0 {
		e.config.Queries = 3
	}
	if e.config.Wait <= 0 {
		e.config.Wait = 10 * time.Second
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.failure = errors.New("ClickHouse's engine is starting")
}

// prepareFolders makes the data folder private and finds a place for the
// socket: inside it, or in a private temporary folder when its path is too long.
func (e *Engine) prepareFolders() error {
	dir, err := filepath.Abs(e.config.Dir)
	if err != nil {
		return fmt.Errorf("find ClickHouse's data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make ClickHouse's data folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect ClickHouse's data folder: %w", err)
	}
	if e.exec == "" {
		if e.exec, err = os.Executable(); err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
	}
	e.config.Dir = dir
	e.config.Socket = filepath.Join(dir, "socket")
	if len(e.config.Socket) <= maxSocketPath {
		return nil
	}
	if e.temp, err = os.MkdirTemp("", "sallyport-"); err != nil { // mode 0700
		return fmt.Errorf("make a folder for ClickHouse's socket: %w", err)
	}
	e.config.Socket = filepath.Join(e.temp, "socket")
	return nil
}

// supervise runs children one after another until ctx ends. It reports how the
// first start went.
func (e *Engine) supervise(ctx context.Context, first chan<- error) {
	defer close(e.done)
	pause := firstPause
	for {
		began := time.Now()
		answered := false
		err := e.run(ctx, func() {
			answered = true
			select {
			case first <- nil:
			default:
			}
		})
		if ctx.Err() != nil {
			return
		}
		if !answered {
			select {
			case first <- err:
			default:
			}
		}
		if time.Since(began) > settled {
			pause = firstPause
		}
		e.log.Error("ClickHouse's engine ended and is started again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longestPause)
		e.mu.Lock()
		e.restarts++
		e.mu.Unlock()
	}
}

// run starts one child, calls ready once it answers, and returns why it ended.
func (e *Engine) run(ctx context.Context, ready func()) error {
	child := exec.Command(e.exec, append(append([]string{}, e.args...), e.config.arguments()...)...)
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the parent
	child.Env = environment()
	var said tail
	child.Stderr = &said
	lifeline, err := child.StdinPipe()
	if err != nil {
		return e.ended(fmt.Errorf("start ClickHouse's engine: %w", err))
	}
	output, err := child.StdoutPipe()
	if err != nil {
		return e.ended(fmt.Errorf("start ClickHouse's engine: %w", err))
	}
	if err := child.Start(); err != nil {
		return e.ended(fmt.Errorf("start ClickHouse's engine: %w", err))
	}
	e.mu.Lock()
	e.pid = child.Process.Pid
	e.mu.Unlock()
	ended := make(chan struct{})
	go e.end(ctx, child.Process, lifeline, ended)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if lines.Text() == readyLine {
			e.mu.Lock()
			e.failure = nil
			e.mu.Unlock()
			ready()
		}
	}
	_, _ = io.Copy(io.Discard, output) // a line too long for the scanner must not block the child
	_ = child.Wait()                   // how it ended is read from its state
	close(ended)
	reason := fmt.Errorf("ClickHouse's engine ended (%s)", child.ProcessState)
	if line := said.last(); line != "" {
		reason = fmt.Errorf("ClickHouse's engine ended: %s", line)
	}
	if child.ProcessState.ExitCode() == exitLocked {
		reason = fmt.Errorf("ClickHouse's engine did not start: %w (%s)", ErrLocked, said.last())
	}
	return e.ended(reason)
}

// environment is what the child inherits: what a program needs to be loaded and
// to know its place and time. The parent's may hold secrets.
func environment() []string {
	kept := []string{}
	for _, name := range []string{
		"PATH", "HOME", "TMPDIR", "TZ", "TZDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
		"GOMEMLIMIT", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR",
	} {
		if value, ok := os.LookupEnv(name); ok {
			kept = append(kept, name+"="+value)
		}
	}
	return kept
}

// end closes the child's lifeline when ctx ends, and kills a child that does
// not go within closeTime.
func (e *Engine) end(ctx context.Context, process *os.Process, lifeline io.Closer, ended <-chan struct{}) {
	defer lifeline.Close()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	_ = lifeline.Close() // the pipe exists and is ours; closing it can't fail
	select {
	case <-ended:
	case <-time.After(closeTime):
		e.log.Warn("ClickHouse's engine did not end by itself and is killed", "pid", process.Pid)
		_ = process.Kill() // fails only when it has just ended
	}
}

func (e *Engine) ended(reason error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = 0
	e.failure = reason
	return reason
}

// Dial connects to the running child's socket.
func (e *Engine) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", e.config.Socket)
}

// Socket is the path of the unix socket on which the engine serves ClickHouse's
// HTTP interface.
func (e *Engine) Socket() string { return e.config.Socket }

// Pid is the process id of the running child, 0 while there is none.
func (e *Engine) Pid() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

// Restarts counts the starts after the first one.
func (e *Engine) Restarts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.restarts
}

// Err is nil while the engine answers, else it says why not.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failure
}

// Close ends the child, gently at first, and waits for it.
func (e *Engine) Close() error {
	e.stop()
	<-e.done
	if e.temp == "" {
		return nil
	}
	if err := os.RemoveAll(e.temp); err != nil {
		return fmt.Errorf("remove the folder of ClickHouse's socket: %w", err)
	}
	return nil
}

// tail keeps the end of what a child writes to standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailSize is enough for the longest message that the engine writes.
const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(p), nil
}

// last is the last line, without the stack traces that the engine may write
// before it.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
