// Package embedded runs ClickHouse's engine beside the binary, without a
// ClickHouse server to install.
//
// The engine is a shared library (libchdb) in a child process of our own
// executable: a crash, a leak or a kill of the engine never touches the process
// that decides. The child speaks ClickHouse's HTTP interface on a unix socket in
// a folder that only its owner may enter, so that clickhouse-go talks to it
// exactly as to a server.
//
// The parent:
//
//	engine, err := embedded.Start(ctx, embedded.Config{Args: []string{"clickhouse"}, Library: path, Dir: dir})
//	conn, err := engine.Dial(ctx)
//	defer engine.Close()
//
// The child, in main, when the sub-command is "clickhouse":
//
//	os.Exit(embedded.Main(os.Args[2:]))
//
// The child lives as long as the pipe that is its standard input: it ends by
// itself when its parent does, however that ended. The data folder is locked;
// a second child waits for a while and then names the holder.
//
// The package refuses to serve anybody but the owner of the folder, does not
// authenticate, and knows nothing of Sallyport's tables. The build tag noembed
// leaves the library's loader out, which makes a static binary possible: Start
// and Main then fail with ErrNotBuilt.
package embedded

import "errors"

// ErrNotBuilt means that this binary was built without the engine's loader.
var ErrNotBuilt = errors.New("this binary was built without ClickHouse's engine (build tag noembed): " +
	"set SALLYPORT_CLICKHOUSE to the address of a ClickHouse server, or to off")

// ErrLocked means that another process holds the data folder. The text of the
// error that wraps it names the process.
var ErrLocked = errors.New("the data folder is in use")

// LibraryError means that the engine's shared library can't be used.
type LibraryError struct {
	Path string
	Err  error
}

// Error says what to do about it.
func (e *LibraryError) Error() string {
	return "ClickHouse's library can't be loaded from " + e.Path + " (" + e.Err.Error() +
		"): run `make deps`, or set SALLYPORT_CLICKHOUSE=off to go without an archive"
}

// Unwrap returns the cause.
func (e *LibraryError) Unwrap() error { return e.Err }
