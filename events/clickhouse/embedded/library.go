//go:build (linux || darwin) && !noembed

package embedded

import (
	"errors"
	"fmt"
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

// run carries out sql, a statement with the data of an INSERT behind it, and
// gives the result in the format to use. The bytes belong to the engine and are
// gone when run returns. The error's text is the engine's.
func (c *connection) run(sql []byte, format string, use func(result []byte) error) error {
	if len(sql) == 0 {
		return errors.New("Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)")
	}
	name := []byte(format)
	result := c.lib.query(*c.handle, unsafe.Pointer(&sql[0]), uintptr(len(sql)), unsafe.Pointer(&name[0]), uintptr(len(name)))
	runtime.KeepAlive(sql)
	runtime.KeepAlive(name)
	if result == nil {
		return errors.New("Code: 1002. DB::Exception: The engine gave no result. (UNKNOWN_EXCEPTION)")
	}
	defer c.lib.destroy(result)
	if text := c.lib.failure(result); text != "" {
		return fmt.Errorf("%s", text)
	}
	n := c.lib.length(result)
	if n == 0 {
		return use(nil)
	}
	return use(unsafe.Slice((*byte)(c.lib.buffer(result)), n))
}

// close ends the connection. No query may be running on it.
func (c *connection) close() { c.lib.closeConn(unsafe.Pointer(c.handle)) }
