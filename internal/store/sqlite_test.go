package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestTheDataFolderHasOneHolder(t *testing.T) {
	config := store.Config{Dir: filepath.Join(t.TempDir(), "some", "data")}
	s, err := store.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	var locked *store.LockedError
	if _, err := store.Open(t.Context(), config); !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Folder != config.Dir {
		t.Errorf("a second holder: %v; want a LockedError with pid %d", err, os.Getpid())
	} else if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, fmt.Sprint(os.Getpid())) {
		t.Errorf("the error is %q; want one line with the holder", text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Open(t, config)
}

func TestNobodyElseReadsTheDataFolder(t *testing.T) {
	config := store.Config{Dir: filepath.Join(t.TempDir(), "data")}
	s := storetest.Open(t, config)
	track(t, s, action("jane", 1), events.StateAllow)
	names, err := filepath.Glob(config.Dir + "/*")
	if err != nil || len(names) < 3 {
		t.Fatalf("files %v, %v", names, err)
	}
	for _, name := range append(names, config.Dir) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 && filepath.Dir(name) != config.Dir || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// crashed is a data folder as kill -9 leaves it: n actions were acknowledged one
// after another and none of them is checkpointed.
func crashed(t *testing.T, n int) (folder string) {
	t.Helper()
	config := store.Config{Dir: t.TempDir()}
	s := storetest.Open(t, config)
	for i := range n {
		track(t, s, action("jane", i), events.StateAllow)
	}
	folder = t.TempDir()
	for _, name := range []string{"sallyport.db", "sallyport.db-wal"} {
		copyFile(t, filepath.Join(config.Dir, name), filepath.Join(folder, name))
	}
	return folder
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// withWAL is the folder with another write-ahead log.
func withWAL(t *testing.T, folder string, wal []byte) store.Config {
	t.Helper()
	config := store.Config{Dir: t.TempDir()}
	copyFile(t, filepath.Join(folder, "sallyport.db"), filepath.Join(config.Dir, "sallyport.db"))
	if err := os.WriteFile(filepath.Join(config.Dir, "sallyport.db-wal"), wal, 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

const frameBytes = 24 + 4096

// lastTransaction is where the last transaction of a write-ahead log begins.
func lastTransaction(t *testing.T, wal []byte) int {
	t.Helper()
	begins, last := 32, 0
	for at := 32; at+frameBytes <= len(wal); at += frameBytes {
		if !bytes.Equal(wal[at+8:at+16], wal[16:24]) {
			break
		}
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 { // a commit
			last, begins = begins, at+frameBytes
		}
	}
	if last == 0 {
		t.Fatal("the write-ahead log holds no two transactions")
	}
	return last
}

func TestOneFlippedBitInTheWriteAheadLogIsNoticed(t *testing.T) {
	const actions = 30
	folder := crashed(t, actions)
	wal, err := os.ReadFile(filepath.Join(folder, "sallyport.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	last := lastTransaction(t, wal)
	flip := func(at int, bit byte) (store.Config, error) {
		damaged := bytes.Clone(wal)
		damaged[at] ^= 1 << bit
		config := withWAL(t, folder, damaged)
		s, err := store.Open(t.Context(), config)
		if err == nil {
			err = s.Close()
		}
		return config, err
	}

	positions := []int{}
	for at := range 32 {
		positions = append(positions, at) // the header
	}
	for at := 32; at < last; at += max(1, last/150) {
		positions = append(positions, at)
	}
	for field := range 24 { // a frame's header, in the middle
		positions = append(positions, 32+(last-32)/frameBytes/2*frameBytes+field)
	}
	for i, at := range positions {
		config, err := flip(at, byte(i%8))
		var damage *store.DamageError
		if !errors.As(err, &damage) {
			t.Errorf("bit %d of byte %d of %d: %v; want a DamageError", i%8, at, len(wal), err)
			continue
		}
		if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "sallyport recover") || damage.File != filepath.Join(config.Dir, "sallyport.db-wal") {
			t.Errorf("the error is %q", text)
		}
	}

	// Within the last transaction damage looks like a torn end: it is lost, and no other.
	damaged := bytes.Clone(wal)
	damaged[last+100] ^= 1
	s := storetest.Open(t, withWAL(t, folder, damaged))
	if log := wholeLog(t, s); len(log) != actions-1 {
		t.Errorf("%d of %d events are left", len(log), actions)
	}
}

func TestLossIsAcceptedOnPurposeOnly(t *testing.T) {
	folder := crashed(t, 30)
	wal, err := os.ReadFile(filepath.Join(folder, "sallyport.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	wal[lastTransaction(t, wal)*3/4] ^= 4
	config := withWAL(t, folder, wal)
	var damage *store.DamageError
	if _, err := store.Open(t.Context(), config); !errors.As(err, &damage) {
		t.Fatalf("open: %v; want a DamageError", err)
	}
	config.AcceptLoss = true
	s := storetest.Open(t, config)
	head, err := s.Head(t.Context())
	if err != nil || head.Seq == 0 || head.Seq >= 30 {
		t.Fatalf("head %v, %v", head, err)
	}
	if err := s.Recover(t.Context(), events.Position{Epoch: head.Epoch, Seq: 30}); err != nil {
		t.Fatal(err)
	}
	track(t, s, action("jane", 100), events.StateAllow)
	if again, err := s.Head(t.Context()); err != nil || again.Epoch == head.Epoch || again.Seq != 2 {
		t.Errorf("head %v, %v after the recovery", again, err)
	}
}

func TestATornEndIsNoDamage(t *testing.T) {
	const actions = 10
	folder := crashed(t, actions)
	wal, err := os.ReadFile(filepath.Join(folder, "sallyport.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	last := lastTransaction(t, wal)
	end := last
	for end+frameBytes <= len(wal) && bytes.Equal(wal[end+8:end+16], wal[16:24]) {
		end += frameBytes
	}
	if frames := (end - last) / frameBytes; frames < 3 {
		t.Fatalf("the last transaction has %d frames", frames)
	}
	zeroed := func(from, to int) []byte {
		torn := bytes.Clone(wal[:end])
		clear(torn[from:to])
		return torn
	}
	tests := []struct {
		name string
		wal  []byte
		want int // events left
	}{
		{name: "whole", wal: wal, want: actions},
		{name: "nothing of it", wal: wal[:last], want: actions - 1},
		{name: "half a frame header", wal: wal[:last+10], want: actions - 1},
		{name: "half a frame", wal: wal[:last+1000], want: actions - 1},
		{name: "all but the commit", wal: wal[:end-frameBytes], want: actions - 1},
		{name: "half the commit", wal: wal[:end-100], want: actions - 1},
		{name: "the disk wrote its blocks in another order", wal: zeroed(last, last+frameBytes), want: actions - 1},
		{name: "the commit was written, what is before it was not", wal: zeroed(last, end-frameBytes), want: actions - 1},
		{name: "zeros behind the end", wal: append(bytes.Clone(wal[:end]), make([]byte, 2*frameBytes)...), want: actions},
		{name: "an earlier round behind the end", wal: append(bytes.Clone(wal[:end]), otherRound(wal[32:end])...), want: actions},
		{name: "empty", wal: nil, want: -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := storetest.Open(t, withWAL(t, folder, tt.wal))
			if tt.want < 0 {
				return // the database is new; there is nothing to lose
			}
			log := wholeLog(t, s)
			if len(log) != tt.want {
				t.Errorf("%d events; want %d", len(log), tt.want)
			}
			track(t, s, action("jane", 1000), events.StateAllow)
		})
	}
}

// otherRound is frames as an earlier round through the file left them: whole,
// under other salts.
func otherRound(frames []byte) []byte {
	old := bytes.Clone(frames)
	for at := 0; at+frameBytes <= len(old); at += frameBytes {
		old[at+11]++
	}
	return old
}

func TestOneFlippedBitInTheDatabaseIsNoticed(t *testing.T) {
	config := store.Config{Dir: t.TempDir()}
	s, err := store.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		track(t, s, action("jane", i), events.StateAllow)
	}
	if err := s.Close(); err != nil { // and with it a checkpoint
		t.Fatal(err)
	}
	name := filepath.Join(config.Dir, "sallyport.db")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte("action.tracked"))
	if at < 0 {
		t.Fatal("the database holds no event")
	}
	at = bytes.LastIndex(data, []byte(`"micros":41`)) // within an event's body, which SQLite has no reason to look at
	data[at+3] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), config)
	if err == nil {
		defer s.Close()
		_, err = s.EventsAfter(t.Context(), events.Position{}, 100)
	}
	if err == nil {
		t.Error("a damaged page was read as if it were whole")
	}
}
