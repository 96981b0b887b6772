package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scriptLimit bounds one script, so that a hanging browser fails its test.
const scriptLimit = 4 * time.Minute

// step is one line that a script prints: a behaviour that holds or not.
type step struct {
	Name   string
	Millis int
	Error  string
}

// runScript runs a script with Node. The script reads its parameters from its
// only argument, and each of its steps becomes a sub-test.
func runScript(t *testing.T, name string, parameters map[string]any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: install Node.js 20 or newer", err)
	}
	folder := filepath.Join(root, "internal", "e2e")
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	if os.Getenv("SALLYPORT_SHOTS") != "" {
		parameters["shots"] = filepath.Join(root, ".shots")
	}
	encoded, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), node, name, string(encoded))
	script.Dir = folder
	var problems strings.Builder
	script.Stderr = &problems
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(scriptLimit, func() { _ = script.Process.Kill() }) // fails only when it has ended
	defer overdue.Stop()
	steps := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil || s.Name == "" {
			t.Logf("%s: %s", name, lines.Text())
			continue
		}
		steps++
		t.Run(s.Name, func(t *testing.T) {
			if s.Error != "" {
				t.Errorf("after %d ms: %s", s.Millis, s.Error)
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Errorf("read what %s prints: %v", name, err)
	}
	if err := script.Wait(); err != nil && !t.Failed() {
		t.Errorf("%s: %v\n%s", name, err, problems.String())
	}
	if steps == 0 {
		t.Errorf("%s took no step\n%s", name, problems.String())
	}
	if t.Failed() && problems.Len() > 0 {
		t.Logf("%s: %s", name, problems.String())
	}
}

// chromium is the browser that the scripts drive.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("SALLYPORT_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal(fmt.Errorf("no Chromium: install Debian's package chromium, or name the program in SALLYPORT_CHROMIUM"))
	return ""
}
