//go:build !unix

package ipdata

import (
	"io"
	"os"
)

// mapFile reads a whole file, where files cannot be mapped the same way.
func mapFile(f *os.File, size int) ([]byte, error) {
	content := make([]byte, size)
	_, err := io.ReadFull(f, content)
	return content, err
}

func unmap([]byte) error { return nil }

func release([]byte) error { return nil }
