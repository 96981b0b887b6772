//go:build unix

package ipdata

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file into memory, to be read only. The system is asked to read
// it into its file cache meanwhile, so that no decision waits for the disk.
func mapFile(f *os.File, size int) ([]byte, error) {
	mapping, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	// It is only a wish; without it the first look-ups take longer.
	_ = unix.Madvise(mapping, unix.MADV_WILLNEED)
	return mapping, nil
}

func unmap(mapping []byte) error { return unix.Munmap(mapping) }

// release lets the system take the pages back. They stay in its file cache
// while there is room, and are mapped again when they are read.
func release(mapping []byte) error { return unix.Madvise(mapping, unix.MADV_DONTNEED) }
