//go:build noembed || !(linux || darwin)

package embedded

import "io"

// available says whether this binary can load the engine.
const available = false

// library stands for the loader that this build leaves out.
type library struct{}

func openLibrary(string) (*library, error) { return nil, ErrNotBuilt }

// connection stands for the connections that this build can't make.
type connection struct{}

func (*library) open([]string) (*connection, error) { return nil, ErrNotBuilt }

func (*connection) run([]byte, string, func([]byte) error) error { return ErrNotBuilt }

func (*connection) insert([]byte, string, io.Reader) error { return ErrNotBuilt }

func (*connection) close() {}
