package process_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/bench/process"
)

func start(t *testing.T, script string) *process.Process {
	t.Helper()
	p, err := process.Start(append(os.Environ(), "MARK="+t.Name()), "/bin/sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestFind(t *testing.T) {
	t.Run("waits for the line", func(t *testing.T) {
		p := start(t, "echo starting; sleep 0.1; echo listening on http://localhost:4711; exec sleep 60")
		found, err := p.Find(within(t, 10*time.Second), regexp.MustCompile(`http://localhost:(\d+)`))
		if err != nil || found[1] != "4711" {
			t.Errorf("%v, %v", found, err)
		}
	})
	t.Run("tells what was printed by a program that ends", func(t *testing.T) {
		p := start(t, "echo port in use >&2; exit 1")
		_, err := p.Find(within(t, 10*time.Second), regexp.MustCompile("never"))
		if err == nil || !strings.Contains(err.Error(), "port in use") || !strings.Contains(err.Error(), "code 1") {
			t.Errorf("%v", err)
		}
	})
}

func TestStop(t *testing.T) {
	t.Run("ends a program that listens to it", func(t *testing.T) {
		p := start(t, `trap 'exit 0' TERM; echo up; while true; do sleep 0.01; done`)
		if _, err := p.Find(within(t, 10*time.Second), regexp.MustCompile("up")); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
	})
	t.Run("kills a program that does not, and says so", func(t *testing.T) {
		p := start(t, `trap '' TERM; echo up; while true; do sleep 0.01; done`)
		if _, err := p.Find(within(t, 10*time.Second), regexp.MustCompile("up")); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(within(t, 200*time.Millisecond)); err == nil {
			t.Error("no error")
		}
		select {
		case <-p.Done():
		default:
			t.Error("the process still runs")
		}
	})
}

func TestLeftBehind(t *testing.T) {
	p := start(t, "sleep 60 & echo child $!; wait")
	if _, err := p.Find(within(t, 10*time.Second), regexp.MustCompile(`child (\d+)`)); err != nil {
		t.Fatal(err)
	}
	children, err := process.Children(p.ID())
	if err != nil || len(children) != 1 {
		t.Fatalf("children: %v, %v", children, err)
	}
	p.Kill()
	left, err := process.Mentioning("MARK=" + t.Name())
	if err != nil || !slices.Equal(left, children) {
		t.Errorf("the orphan %v should be found by what its environment mentions: %v, %v", children, left, err)
	}
	orphan, err := os.FindProcess(children[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := orphan.Kill(); err != nil {
		t.Error(err)
	}
}

func TestOwnFigures(t *testing.T) {
	before, err := process.CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 200*time.Millisecond; {
	}
	after, err := process.CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after - before; used < 20*time.Millisecond || used > 10*time.Second {
		t.Errorf("processor time of a busy loop of 200 ms: %s", used)
	}
	memory, err := process.MemoryOf(os.Getpid())
	if err != nil || memory.Resident < 1<<20 || memory.Anonymous <= 0 || memory.Anonymous > memory.Resident {
		t.Errorf("%+v, %v", memory, err)
	}
}
