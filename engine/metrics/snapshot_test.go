package metrics_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/rules"
)

func TestARestartAndABuildGiveWhatGoingOnGives(t *testing.T) {
	set := compile(t, 1, metricsOf(measures())...)
	log, world := &journal{}, newWorld(99)
	inForce := func() *rules.Set { return set }
	path := filepath.Join(t.TempDir(), "metrics.snapshot")
	steady, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
	again, stop := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday, Path: path})
	ready(t, steady)
	ready(t, again)
	for i := range 1200 {
		o := world.next()
		run := log.append(7, o.draft(t, true))
		steady.Committed(run)
		again.Committed(run)
		if i%60 != 59 {
			continue
		}
		stop()
		later := world.next() // committed while nobody listened
		steady.Committed(log.append(7, later.draft(t, true)))
		again, stop = start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday, Path: path})
		ready(t, again)
		wantEqual(t, fmt.Sprint("restart after event ", i), set, steady, again, world.now)
		built, end := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
		ready(t, built)
		wantEqual(t, fmt.Sprint("build after event ", i), set, steady, built, world.now)
		end()
	}
}

func TestASnapshotThatIsNotOfThisLogIsNotUsed(t *testing.T) {
	set := compile(t, 1, metricsOf(measures())...)
	inForce := func() *rules.Set { return set }
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string, log *journal)
	}{
		{"it is cut off", func(t *testing.T, path string, _ *journal) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, info.Size()/2); err != nil {
				t.Fatal(err)
			}
		}},
		{"it is empty", func(t *testing.T, path string, _ *journal) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}},
		{"one bit has flipped", func(t *testing.T, path string, _ *journal) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)*2/3] ^= 4
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"the log has lost its last events", func(_ *testing.T, _ string, log *journal) {
			log.events = log.events[:len(log.events)-10]
		}},
		{"other events have their places", func(t *testing.T, _ string, log *journal) {
			other := newWorld(5)
			log.events = log.events[:len(log.events)-10]
			fill(t, log, other, 7, 10)
		}},
		{"the log is another one", func(t *testing.T, _ string, log *journal) {
			*log = journal{}
			fill(t, log, newWorld(6), 8, 300)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log, world := &journal{}, newWorld(4)
			path := filepath.Join(t.TempDir(), "metrics.snapshot")
			first, stop := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday, Path: path})
			ready(t, first)
			fill(t, log, world, 7, 300, first)
			stop()
			tt.spoil(t, path, log)
			restarted, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday, Path: path})
			built, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: yesterday})
			ready(t, restarted)
			ready(t, built)
			wantEqual(t, "after the restart", set, built, restarted, world.now)
		})
	}
}

func TestASnapshotIsWrittenNowAndThenInOneStep(t *testing.T) {
	set := compile(t, 1, metricsOf(measures())...)
	inForce := func() *rules.Set { return set }
	log, world := &journal{}, newWorld(3)
	path := filepath.Join(t.TempDir(), "metrics.snapshot")
	w, _ := start(t, metrics.Config{Log: log, Set: inForce, Now: time.Now, Path: path, SnapshotEvery: time.Nanosecond})
	ready(t, w)
	world.now = time.Now()
	copied := filepath.Join(t.TempDir(), "copy") // what a process that is killed now leaves behind
	if err := os.WriteFile(copied+".123.new", []byte("sally"), 0o600); err != nil {
		t.Fatal(err)
	}
	var last []byte
	seen := 0
	for give := time.Now().Add(20 * time.Second); seen < 3 && time.Now().Before(give); {
		fill(t, log, world, 7, 20, w)
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && bytes.Equal(text, last) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		last = text
		seen++
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var logged lockedBuffer
		killed, stop := start(t, metrics.Config{Log: log, Set: inForce, Path: copied, Logger: logged.logger()})
		ready(t, killed)
		w.Committed(nil)
		wantEqual(t, "after a kill", set, w, killed, world.now)
		stop()
		if logged.String() != "" {
			t.Errorf("the snapshot was not used: %s", logged.String())
		}
	}
	if _, err := os.Stat(copied + ".123.new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a half snapshot is still there: %v", err)
	}
	if seen < 3 {
		t.Errorf("%d snapshots were written", seen)
	}
}

func FuzzSnapshot(f *testing.F) {
	// A snapshot may be anything, even with a checksum that fits: it is read whole or
	// refused, without a panic and without more memory than its size explains.
	set := compile(f, 1, metricsOf(measures())...)
	folder := f.TempDir()
	path := filepath.Join(folder, "metrics.snapshot")
	log, world := &journal{}, newWorld(1)
	ctx, stop := context.WithCancel(f.Context())
	w, err := metrics.New(metrics.Config{Log: log, Set: func() *rules.Set { return set }, Now: yesterday, Path: path})
	if err != nil {
		f.Fatal(err)
	}
	for range 60 {
		o := world.next()
		log.append(7, o.draft(f, false))
	}
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	for w.Health(ctx) != nil {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "snapshot")
		if len(text) > sha256.Size { // so that what is read comes as far as it can
			sum := sha256.Sum256(text[:len(text)-sha256.Size])
			text = append(text[:len(text)-sha256.Size:len(text)-sha256.Size], sum[:]...)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := metrics.LoadSnapshot(file, set.Meters(), 8<<20)
		if err == nil && !bytes.HasPrefix(text, whole[:20]) {
			t.Error("something that is no snapshot was read")
		}
		if bytes.Equal(text, whole) && (err != nil || keys == 0) {
			t.Errorf("a snapshot is refused, or empty: %d keys, %v", keys, err)
		}
	})
}
