//go:build unix

package ipdata

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file into memory, to be read only.
func mapFile(f *os.File, size int) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
}

func unmap(mapping []byte) error { return unix.Munmap(mapping) }

// release lets the system take the pages back. They stay in its file cache
// while there is room, and are mapped again when they are read.
func release(mapping []byte) error { return unix.Madvise(mapping, unix.MADV_DONTNEED) }
