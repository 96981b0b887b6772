//go:build (linux || darwin) && !noembed

package embedded

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// available says whether this binary can load the engine.
const available = true

// library is libchdb's C interface, as far as the child uses it.
type library struct {
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv unsafe.Pointer) *unsafe.Pointer
	closeConn         func(conn unsafe.Pointer)
	query             func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr) unsafe.Pointer
	buffer            func(result unsafe.Pointer) unsafe.Pointer
	length            func(result unsafe.Pointer) uintptr
	failure           func(result unsafe.Pointer) string
	destroy           func(result unsafe.Pointer)
	insert            func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr) unsafe.Pointer
	insertFailure     func(stream unsafe.Pointer) string
	insertAppend      func(stream, data unsafe.Pointer, size uintptr) int32
	insertDone        func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel      func(stream unsafe.Pointer)
	insertDestroy     func(stream unsafe.Pointer)
}

// openLibrary loads the shared library. It is never unloaded: the engine's
// threads would run into unmapped memory.
func openLibrary(path string) (lib *library, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, &LibraryError{Path: path, Err: err}
	}
	lib = &library{}
	for name, function := range map[string]any{
		"chdb_set_signal_handlers_enabled": &lib.setSignalHandlers,
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.closeConn,
		"chdb_query_n":                     &lib.query,
		"chdb_result_buffer":               &lib.buffer,
		"chdb_result_length":               &lib.length,
		"chdb_result_error":                &lib.failure,
		"chdb_destroy_query_result":        &lib.destroy,
		"chdb_stream_insert_n":             &lib.insert,
		"chdb_stream_insert_error":         &lib.insertFailure,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_destroy_insert_stream":       &lib.insertDestroy,
	} {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, &LibraryError{Path: path, Err: err}
		}
		purego.RegisterFunc(function, symbol)
	}
	// The engine's handlers would take the signals that Go's runtime uses.
	lib.setSignalHandlers(0)
	return lib, nil
}

// connection runs one query at a time. Several connections of one process to
// one folder run side by side.
type connection struct {
	lib    *library
	handle *unsafe.Pointer
}

// open connects with the engine's command line options. The engine writes its
// reason to standard error when it can't.
func (l *library) open(options []string) (*connection, error) {
	argv := make([]unsafe.Pointer, 0, len(options)+2)
	for _, option := range append([]string{"clickhouse"}, options...) {
		text := append([]byte(option), 0)
		argv = append(argv, unsafe.Pointer(&text[0]))
	}
	// Memory that C reads during the call holds pointers to Go memory: pin it.
	var pin runtime.Pinner
	defer pin.Unpin()
	for _, arg := range argv {
		pin.Pin(arg)
	}
	handle := l.connect(int32(len(argv)), unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if handle == nil || *handle == nil {
		return nil, errors.New("the engine refused to open its data folder")
	}
	return &connection{lib: l, handle: handle}, nil
}

// run carries out a statement and gives the result in the format to use. The
// bytes belong to the engine and are gone when run returns. The error's text is
// the engine's.
//
// Data of an INSERT must not stand in sql: the engine looks for the statement's
// end in it, cuts it at an empty line and carries out what follows.
func (c *connection) run(sql []byte, format string, use func(result []byte) error) error {
	if len(bytes.TrimSpace(sql)) == 0 {
		return exception("Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)")
	}
	name := []byte(format)
	result := c.lib.query(*c.handle, unsafe.Pointer(&sql[0]), uintptr(len(sql)), unsafe.Pointer(&name[0]), uintptr(len(name)))
	runtime.KeepAlive(sql)
	runtime.KeepAlive(name)
	return c.finish(result, use)
}

// insert carries out an INSERT without a FORMAT clause and feeds it the data,
// which is in the format. The rows are there when it returns nil. When data
// fails, its error is returned and nothing is inserted, unless the data holds
// several blocks and the engine has written the first ones already.
func (c *connection) insert(sql []byte, format string, data io.Reader) error {
	name := []byte(format)
	stream := c.lib.insert(*c.handle, unsafe.Pointer(&sql[0]), uintptr(len(sql)), unsafe.Pointer(&name[0]), uintptr(len(name)))
	runtime.KeepAlive(sql)
	runtime.KeepAlive(name)
	defer c.lib.insertDestroy(stream)
	if text := c.lib.insertFailure(stream); text != "" {
		return exception(text)
	}
	chunk := make([]byte, chunkSize)
	for whole := false; !whole; {
		n, err := fill(data, chunk)
		if whole = err == io.EOF; err != nil && !whole {
			c.lib.insertCancel(stream)
			return fmt.Errorf("read the data to insert: %w", err)
		}
		if n > 0 && c.lib.insertAppend(stream, unsafe.Pointer(&chunk[0]), uintptr(n)) != 0 {
			text := c.lib.insertFailure(stream)
			c.lib.insertCancel(stream)
			return exception(cmp.Or(text, "Code: 1002. DB::Exception: The engine takes no more data. (UNKNOWN_EXCEPTION)"))
		}
	}
	return c.finish(c.lib.insertDone(stream), func([]byte) error { return nil })
}

// fill reads until chunk is full or data ends. Unlike io.ReadFull it keeps a
// request that ends (io.EOF) apart from one that breaks off.
func fill(data io.Reader, chunk []byte) (n int, err error) {
	for n < len(chunk) && err == nil {
		var m int
		m, err = data.Read(chunk[n:])
		n += m
	}
	return n, err
}

// chunkSize is how much of an insert's data goes to the engine at a time.
const chunkSize = 256 << 10

// exception is an error in ClickHouse's own words, which clients parse.
type exception string

func (e exception) Error() string { return string(e) }

// finish reads a result and frees it.
func (c *connection) finish(result unsafe.Pointer, use func(result []byte) error) error {
	if result == nil {
		return exception("Code: 1002. DB::Exception: The engine gave no result. (UNKNOWN_EXCEPTION)")
	}
	defer c.lib.destroy(result)
	if text := c.lib.failure(result); text != "" {
		return exception(text)
	}
	n := c.lib.length(result)
	if n == 0 {
		return use(nil)
	}
	return use(unsafe.Slice((*byte)(c.lib.buffer(result)), n))
}

// close ends the connection. No query may be running on it.
func (c *connection) close() { c.lib.closeConn(unsafe.Pointer(c.handle)) }
