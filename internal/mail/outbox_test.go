package mail_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/mail"
)

func newOutbox(t testing.TB) (outbox *mail.Outbox, folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "data", "outbox")
	outbox, err := mail.NewOutbox(config("dir:" + folder))
	if err != nil {
		t.Fatal(err)
	}
	return outbox, folder
}

// files are the names in a folder, by age.
func files(t testing.TB, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestAMailIsAFileThatOnlyTheOwnerReads(t *testing.T) {
	outbox, folder := newOutbox(t)
	letter := code()
	letter.Locale = "ar"
	if err := outbox.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	names := files(t, folder)
	if len(names) != 1 || names[0] != "20260301T120030.000000000Z-000001.eml" {
		t.Fatalf("files %q", names)
	}
	for path, want := range map[string]os.FileMode{folder: 0o700 | os.ModeDir, filepath.Join(folder, names[0]): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	message, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(message.Body)
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"To": "jane@example.com", "From": `"Example Shop" <no-reply@example.com>`, "Subject": "482913 هو رمزك لدى Example Shop",
		"Date": "Sun, 01 Mar 2026 12:00:30 +0000", "Content-Type": "text/plain; charset=utf-8", "Content-Language": "ar",
	} {
		if got := message.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if !strings.Contains(string(body), "482 913") {
		t.Errorf("body %q", body)
	}
}

func TestTheNewestMailsStay(t *testing.T) {
	outbox, folder := newOutbox(t)
	other := filepath.Join(folder, "00000000-notes.eml")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range mail.OutboxSize + 5 {
		if err := outbox.Send(t.Context(), code()); err != nil {
			t.Fatal(err)
		}
	}
	names := files(t, folder)
	if len(names) != mail.OutboxSize+1 || names[0] != filepath.Base(other) {
		t.Fatalf("%d files, the first %q", len(names), names[0])
	}
	if first := names[1]; !strings.HasSuffix(first, "-000006.eml") {
		t.Errorf("the oldest is %q, want the sixth", first)
	}
}

func TestManyMailsAtOnceAreManyFiles(t *testing.T) {
	outbox, folder := newOutbox(t)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if err := outbox.Send(context.Background(), code()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(files(t, folder)); n != 50 {
		t.Errorf("%d files", n)
	}
}

func TestAnOutboxConfigurationIsChecked(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*mail.Config)
		want   string
	}{
		"no folder":                 {url("dir:"), "the URL names no folder"},
		"a folder open to others":   {url("dir:" + open), "others have access"},
		"a file":                    {url("dir:" + file), "not a directory"},
		"no brand":                  {func(c *mail.Config) { c.Brand = "" }, "the brand is missing"},
		"no sender":                 {func(c *mail.Config) { c.From = "" }, "the sender is missing"},
		"a negative timeout":        {func(c *mail.Config) { c.Timeout = -time.Second }, "the timeout is negative"},
		"a brand with a line break": {func(c *mail.Config) { c.Brand = "a\nb" }, "control characters"},
	} {
		t.Run(name, func(t *testing.T) {
			setting := config("dir:" + t.TempDir())
			c.change(&setting)
			_, err := mail.NewOutbox(setting)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAnOutboxReportsWhatItCouldNotWrite(t *testing.T) {
	outbox, folder := newOutbox(t)
	letter := code()
	letter.Code = "12 34"
	discreet(t, outbox.Send(t.Context(), letter))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := outbox.Send(ctx, code()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	discreet(t, outbox.Send(t.Context(), code()))
}
