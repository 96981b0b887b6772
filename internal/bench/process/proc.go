package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is the number of clock ticks a second in /proc/PID/stat: USER_HZ, which
// is 100 on every architecture that Linux shares with Go (proc(5)).
const ticks = 100

// CPU is the processor time, user and system, that all threads of a process have
// used, to a hundredth of a second. Time of its children is not in it.
func CPU(pid int) (time.Duration, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	user, err1 := strconv.ParseInt(fields[statUser], 10, 64)
	system, err2 := strconv.ParseInt(fields[statSystem], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("read processor time of %d: %w", pid, err)
	}
	return time.Duration(user+system) * time.Second / ticks, nil
}

// Memory is what a process holds in main memory, in bytes.
type Memory struct {
	Resident  int64 // VmRSS
	Anonymous int64 // RssAnon: without mapped files, such as the program and the IP data
}

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of %d: %w", pid, err)
	}
	var m Memory
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &m.Resident, "RssAnon": &m.Anonymous}[name]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("read %s of %d: %w", name, pid, err)
		}
		*to = kib << 10
	}
	return m, nil
}

// Children lists the direct children of a process.
func Children(pid int) ([]int, error) {
	return each(func(candidate int) (bool, error) {
		fields, err := stat(candidate)
		if err != nil {
			return false, err
		}
		return fields[statParent] == strconv.Itoa(pid) && fields[statState] != "Z", nil
	})
}

// Mentioning lists the processes, this one apart, whose environment or command
// line holds text. A server's data folder is such a text: whatever runs with it
// belongs to that server, whoever its parent is by now.
func Mentioning(text string) ([]int, error) {
	return each(func(candidate int) (bool, error) {
		if candidate == os.Getpid() {
			return false, nil
		}
		for _, file := range []string{"environ", "cmdline"} {
			content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", candidate, file))
			if err != nil {
				return false, err
			}
			if bytes.Contains(content, []byte(text)) {
				return true, nil
			}
		}
		return false, nil
	})
}

// each lists the processes that is says yes to. One that ends meanwhile, or that
// belongs to somebody else, is none.
func each(is func(pid int) (bool, error)) ([]int, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []int
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		yes, err := is(pid)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ESRCH):
			continue
		case err != nil:
			return nil, fmt.Errorf("look at process %d: %w", pid, err)
		case yes:
			found = append(found, pid)
		}
	}
	return found, nil
}

// Indexes into what stat returns: the number of the field in proc(5), less three.
const (
	statState  = 0
	statParent = 1
	statUser   = 11 // ticks in user mode
	statSystem = 12 // ticks in kernel mode
)

// stat returns the fields of /proc/PID/stat from the third on (state, parent,
// ...). The second, the name in parentheses, may itself hold blanks.
func stat(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("read process %d: %w", pid, err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("read process %d: %d fields", pid, len(fields))
	}
	return fields, nil
}
