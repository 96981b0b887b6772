package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
)

// logged is what a server writes that stops as soon as it is ready.
func logged(t *testing.T, format string, terminal bool) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	code := sallyport.Main(ctx, []string{"serve", "--log-format", format}, sallyport.IO{
		Getenv: environment(settings(dataFolder(t), "SALLYPORT_TENANT", "t")), Err: &log, ErrTerminal: terminal,
		Out: writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }),
	})
	if code != 0 {
		t.Fatalf("code %d: %s", code, &log)
	}
	return log.String()
}

func TestLogsAreForPeopleOrForMachines(t *testing.T) {
	for _, c := range []struct {
		name, format         string
		terminal             bool
		wantJSON, wantColour bool
	}{
		{"auto on a terminal", "auto", true, false, true},
		{"auto elsewhere", "auto", false, true, false},
		{"text elsewhere", "text", false, false, false},
		{"json on a terminal", "json", true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := logged(t, c.format, c.terminal)
			first, _, _ := strings.Cut(text, "\n")
			var record struct{ Msg, URL string }
			isJSON := json.Unmarshal([]byte(first), &record) == nil
			if isJSON != c.wantJSON || (isJSON && (record.Msg != "ready" || record.URL == "")) {
				t.Errorf("JSON is %v, want %v: %s", isJSON, c.wantJSON, first)
			}
			if !isJSON && !strings.Contains(first, "ready") {
				t.Errorf("the line does not say ready: %s", first)
			}
			if got := strings.Contains(text, "\x1b["); got != c.wantColour {
				t.Errorf("colour is %v, want %v: %q", got, c.wantColour, first)
			}
		})
	}
}

func TestHelpNamesEveryCommandAndSetting(t *testing.T) {
	_, all, _ := command(t, nil, "help")
	for _, name := range []string{"serve", "rules apply FILE", "rules export", "rules check FILE", "operator invite", "secret show", "recover", "version"} {
		if !strings.Contains(all, "  "+name+" ") {
			t.Errorf("help lacks %q:\n%s", name, all)
		}
		code, text, stderr := command(t, nil, append([]string{"help"}, strings.Fields(strings.TrimSuffix(name, " FILE"))...)...)
		if code != 0 || !strings.HasPrefix(text, "Usage: sallyport "+name) {
			t.Errorf("help %s: code %d: %s%s", name, code, text, stderr)
		}
	}
	_, serve, _ := command(t, nil, "serve", "--help")
	for _, s := range sallyport.Settings() {
		if !strings.Contains(serve, s.Env()) {
			t.Errorf("help serve lacks %s", s.Env())
		}
	}
	for line := range strings.Lines(all + serve) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
}
