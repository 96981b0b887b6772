package embedded_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events/clickhouse/embedded"
)

// TestMain lets the test binary be the child, as the product's own binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "clickhouse" {
		os.Exit(embedded.Main(os.Args[2:]))
	}
	if len(os.Args) > 3 && os.Args[1] == "parent" {
		parent(os.Args[2], os.Args[3])
	}
	os.Exit(m.Run())
}

// parent is a process that starts the engine, says its child's pid and waits to
// be killed.
func parent(library, dir string) {
	engine, err := embedded.Start(context.Background(), embedded.Config{Args: []string{"clickhouse"}, Library: library, Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(engine.Pid())
	select {}
}

// library finds libchdb where `make deps` puts it.
func library(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SALLYPORT_CLICKHOUSE_LIB"); path != "" {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, "internal/assets/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("ClickHouse's library is missing, run `make deps`: %v", err)
	}
	return path
}

func start(t testing.TB, config embedded.Config) *embedded.Engine {
	t.Helper()
	config.Args, config.Library = []string{"clickhouse"}, library(t)
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	engine, err := embedded.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

// client speaks HTTP over the engine's socket, a new connection for each request.
func client(engine *embedded.Engine) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return engine.Dial(ctx) },
	}}
}

// post sends a statement and returns the answer's status, exception code and text.
func post(t testing.TB, engine *embedded.Engine, parameters, statement string) (status int, code, text string) {
	t.Helper()
	answer, err := client(engine).Post("http://clickhouse/?"+parameters, "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("X-ClickHouse-Exception-Code"), strings.TrimSpace(string(body))
}

func must(t testing.TB, engine *embedded.Engine, statement string) string {
	t.Helper()
	status, _, text := post(t, engine, "", statement)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", statement, status, text)
	}
	return text
}

func TestInterface(t *testing.T) {
	engine := start(t, embedded.Config{Memory: 1 << 30})
	tests := []struct {
		name, parameters, statement string
		wantStatus                  int
		wantCode, wantText          string // text: contained
	}{
		{name: "answers a statement", statement: "SELECT 1 + 1", wantStatus: 200, wantText: "2"},
		{name: "answers in the format of the request", parameters: "default_format=JSONEachRow", statement: "SELECT 1 AS n", wantStatus: 200, wantText: `{"n":1}`},
		{name: "applies settings to one statement", parameters: "max_block_size=4711", statement: "SELECT getSetting('max_block_size')", wantStatus: 200, wantText: "4711"},
		{name: "keeps settings from the next statement", statement: "SELECT getSetting('max_block_size') = 4711", wantStatus: 200, wantText: "0"},
		{name: "quotes the values of settings", parameters: "log_comment=" + `o%27brien%5C`, statement: "SELECT getSetting('log_comment') FORMAT TSVRaw", wantStatus: 200, wantText: `o'brien\`},
		{name: "passes query parameters", parameters: "param_user=o%27brien", statement: "SELECT {user:String} FORMAT TSVRaw", wantStatus: 200, wantText: "o'brien"},
		{name: "selects the database of one request", parameters: "database=system", statement: "SELECT currentDatabase()", wantStatus: 200, wantText: "system"},
		{name: "gives the next request the default database", statement: "SELECT currentDatabase()", wantStatus: 200, wantText: "default"},
		{name: "limits the engine's memory", statement: "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'", wantStatus: 200, wantText: "1073741824"},
		{name: "reports the engine's exceptions", statement: "SELECT no_such_column", wantStatus: 500, wantCode: "47", wantText: "UNKNOWN_IDENTIFIER"},
		{name: "reports an unknown setting", parameters: "no_such_setting=1", statement: "SELECT 1", wantStatus: 500, wantCode: "115", wantText: "no_such_setting"},
		{name: "refuses a name that is none", parameters: "a%3D1%2C+b=2", statement: "SELECT 1", wantStatus: 400, wantCode: "36", wantText: "not the name of a setting"},
		{name: "refuses an unknown database", parameters: "database=nowhere", statement: "SELECT 1", wantStatus: 500, wantCode: "81", wantText: "nowhere"},
		{name: "refuses statements that would change a shared connection", statement: " set max_threads = 1", wantStatus: 400, wantCode: "36", wantText: "parameters of the request"},
		{name: "refuses compression", parameters: "compress=1", statement: "SELECT 1", wantStatus: 400, wantCode: "36", wantText: "compression"},
		{name: "refuses an empty statement", statement: "", wantStatus: 500, wantCode: "62", wantText: "Empty query"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, code, text := post(t, engine, test.parameters, test.statement)
			if status != test.wantStatus || code != test.wantCode || !strings.Contains(text, test.wantText) {
				t.Errorf("got %d, code %q: %s", status, code, text)
			}
		})
	}
	t.Run("answers ping", func(t *testing.T) {
		answer, err := client(engine).Get("http://clickhouse/ping")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if text, _ := io.ReadAll(answer.Body); string(text) != "Ok.\n" {
			t.Errorf("got %q", text)
		}
	})
	t.Run("refuses other methods", func(t *testing.T) {
		answer, err := client(engine).Get("http://clickhouse/?query=SELECT+1")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("got %d", answer.StatusCode)
		}
	})
}

func TestInsertsPassBusyQueries(t *testing.T) {
	engine := start(t, embedded.Config{Queries: 1})
	must(t, engine, "CREATE TABLE t (running UInt64) ENGINE = MergeTree ORDER BY running")
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		answer, err := client(engine).Post("http://clickhouse/", "text/plain",
			strings.NewReader("SELECT sleepEachRow(0.25) FROM numbers(4) SETTINGS max_block_size = 1"))
		if err != nil {
			t.Error(err)
			return
		}
		answer.Body.Close()
	}()
	for idle := true; idle; {
		select {
		case <-busy:
			idle = false
		default:
			must(t, engine, "INSERT INTO t SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'")
		}
	}
	if got := must(t, engine, "SELECT max(running) FROM t"); got != "1" {
		t.Error("no insert ran while the only connection for queries was busy")
	}
}

func TestStartsAgainAfterKill(t *testing.T) {
	engine := start(t, embedded.Config{})
	must(t, engine, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1")
	must(t, engine, "INSERT INTO t SELECT number FROM numbers(1000)")
	before := engine.Pid()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a new child", func() bool {
		return engine.Err() == nil && engine.Pid() != 0 && engine.Pid() != before
	})
	if got := must(t, engine, "SELECT count() FROM t"); got != "1000" {
		t.Errorf("%s rows of 1000 survived", got)
	}
	if engine.Restarts() == 0 {
		t.Error("the restart was not counted")
	}
}

func TestChildEndsWithItsParent(t *testing.T) {
	dir := t.TempDir()
	process := exec.Command(os.Args[0], "parent", library(t), dir)
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(line)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait() // killed
	waitFor(t, "the child's end", func() bool { return gone(child) })
	// The folder is free again.
	engine := start(t, embedded.Config{Dir: dir})
	must(t, engine, "SELECT 1")
}

// gone reports whether a process has ended; one that nobody has waited for yet
// counts as ended.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(rest, []byte("Z"))
}

func TestChildInheritsNoSecrets(t *testing.T) {
	t.Setenv("SALLYPORT_SECRET", "hidden")
	t.Setenv("PASSWORD", "hidden")
	t.Setenv("TZ", "UTC")
	engine := start(t, embedded.Config{})
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", engine.Pid()))
	if err != nil {
		t.Fatal("this test reads the child's environment from /proc, which Linux has:", err)
	}
	if strings.Contains(string(text), "hidden") {
		t.Error("the child holds a secret")
	}
	if !strings.Contains(string(text), "TZ=UTC") {
		t.Errorf("the child lacks the time zone: %q", text)
	}
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	first := start(t, embedded.Config{Dir: dir})
	_, err := embedded.Start(t.Context(), embedded.Config{
		Args: []string{"clickhouse"}, Library: library(t), Dir: dir, LockWait: 200 * time.Millisecond,
	})
	if !errors.Is(err, embedded.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	if holder := fmt.Sprintf("process %d holds", first.Pid()); !strings.Contains(err.Error(), holder) {
		t.Errorf("%q does not say %q", err, holder)
	}
	must(t, first, "SELECT 1")
}

func TestFolderIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clickhouse")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	engine := start(t, embedded.Config{Dir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, engine.Socket(): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
}

func TestLongFolderName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	engine := start(t, embedded.Config{Dir: dir})
	must(t, engine, "SELECT 1")
	socket := filepath.Dir(engine.Socket())
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder has mode %v", info.Mode().Perm())
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder is left: %v", err)
	}
}

func TestUnusableLibrary(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(broken, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, library string }{
		{name: "missing", library: filepath.Join(t.TempDir(), "libchdb.so")},
		{name: "broken", library: broken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := embedded.Start(t.Context(), embedded.Config{Args: []string{"clickhouse"}, Library: test.library, Dir: t.TempDir()})
			if err == nil {
				t.Fatal("started")
			}
			for _, want := range []string{test.library, "make deps", "SALLYPORT_CLICKHOUSE=off"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// waitFor looks until a condition holds that only another process can bring
// about and does not announce.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
