// Package storetest gives tests an empty database of each kind: SQLite in a
// folder that goes with the test, and PostgreSQL in a private cluster that goes
// with the process. Neither is a stand-in: both are what the product runs on.
package storetest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/sallyport/sallyport/internal/store"
)

// Run runs a test over an empty SQLite and an empty PostgreSQL database. Every
// store that is opened with the configuration, or a copy of it, has the same
// data; on SQLite one at a time.
func Run(t *testing.T, test func(t *testing.T, config store.Config)) {
	t.Run("SQLite", func(t *testing.T) { test(t, store.Config{Dir: filepath.Join(t.TempDir(), "data")}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, store.Config{PostgreSQL: Postgres(t)}) })
}

// Open opens a store that is closed with the test.
func Open(tb testing.TB, config store.Config) *store.Store {
	tb.Helper()
	s, err := store.Open(context.Background(), config)
	if err != nil {
		tb.Fatalf("open store: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close store: %v", err)
		}
	})
	return s
}

// Postgres makes an empty database and returns its connection string.
func Postgres(tb testing.TB) string {
	tb.Helper()
	c, err := cluster()
	if err != nil {
		tb.Fatalf("start a private PostgreSQL: %v", err)
	}
	address := fmt.Sprintf("host=%s user=postgres dbname=postgres", c.folder)
	db, err := sql.Open("pgx", address)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	// A schema of its own is as empty as a database, and made a hundred times faster.
	schema := fmt.Sprintf("test%d", c.schemas.Add(1))
	if _, err := db.Exec("CREATE SCHEMA " + schema); err != nil {
		tb.Fatalf("create a schema: %v", err)
	}
	return address + " search_path=" + schema
}

// server is a running cluster. It listens on a socket in its folder only.
type server struct {
	folder  string
	schemas atomic.Int64
	input   io.WriteCloser // the end of this process closes it, and that ends the server
}

// cluster starts the one cluster of this process.
var cluster = sync.OnceValues(func() (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "sallyport-postgres-")
	if err != nil {
		return nil, err
	}
	who, err := owner(folder)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = folder, who
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}

	// The shell stops the server and removes the folder when its input ends, which
	// happens however this process ends.
	run := exec.Command("sh", "-c", `"$0/pg_ctl" start -s -w -D "$1/data" -l "$1/log" -o "-k $1 -c listen_addresses= -c shared_buffers=32MB -c max_connections=200" || exit 1
echo ready; exec >/dev/null 2>&1; cat; "$0/pg_ctl" stop -s -m immediate -D "$1/data"; rm -rf "$1"`, bin, folder)
	run.Dir, run.SysProcAttr = folder, who
	input, err := run.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := run.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := run.Start(); err != nil {
		return nil, err
	}
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(folder, "log"))
		return nil, fmt.Errorf("pg_ctl start: %q\n%s", line, log)
	}
	return &server{folder: folder, input: input}, nil
})

// binaries finds the newest installed server.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("there is no initdb in PATH or /usr/lib/postgresql; install the package postgresql (make test does)")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// owner gives the folder to the user postgres when this process is root, as
// whom PostgreSQL does not run.
func owner(folder string) (*syscall.SysProcAttr, error) {
	group := &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for the tests
	if os.Getuid() != 0 {
		return group, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	group.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return group, os.Chown(folder, uid, gid)
}
