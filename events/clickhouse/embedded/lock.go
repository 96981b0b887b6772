package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// lockFolder takes the folder for this process and writes its id into the lock
// file. It waits for a holder that is just ending, at most wait, and then fails
// with ErrLocked and the holder's process id. The kernel gives the lock back
// when the process ends, in whatever way.
func lockFolder(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	taken := make(chan error, 1)
	go func() {
		for {
			err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
			if !errors.Is(err, syscall.EINTR) {
				taken <- err
				return
			}
		}
	}()
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case err = <-taken:
		if err != nil {
			return nil, fmt.Errorf("lock the data folder: %w", err)
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timeout.C:
		// The goroutine stays blocked in the kernel; the caller is about to exit.
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("%w: process %s holds %s for more than %s",
			ErrLocked, strings.TrimSpace(string(holder)), path, wait)
	}
	if err := file.Truncate(0); err != nil {
		return nil, fmt.Errorf("write the lock of the data folder: %w", err)
	}
	if _, err := fmt.Fprintf(file, "%d\n", os.Getpid()); err != nil {
		return nil, fmt.Errorf("write the lock of the data folder: %w", err)
	}
	return file, nil
}
