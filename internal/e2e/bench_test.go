package e2e_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBench runs the benchmark of the whole product for a moment, so that it works when somebody
// needs it. What it measures here means nothing.
func TestBench(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bench")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./internal/bench")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the benchmark: %v\n%s", err, out)
	}
	bench := exec.CommandContext(t.Context(), program,
		"-only", "track", "-binary", sallyport, "-rounds", "1", "-stretch", "150ms", "-tracks", "500", "-rest", "0s")
	var problems strings.Builder
	bench.Stderr = &problems
	out, err := bench.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	line := regexp.MustCompile(`^[a-z][a-z0-9.@-]+ +\d+(\.\d+)? +(-|(<|>=)\d+(\.\d+)?) +(ok|short)$`)
	names := map[string]bool{}
	for text := range strings.Lines(string(out)) {
		text = strings.TrimSuffix(text, "\n")
		if !line.MatchString(text) {
			t.Errorf("not name, value, aim, verdict: %q", text)
		}
		names[strings.Fields(text)[0]] = true
	}
	for _, name := range []string{
		"track.ratio@1", "track.ratio@32", "track.ratio@256", "track.p50-ms@32", "track.p99-ms@32",
		"start.second-seconds", "memory.resident-mib",
	} {
		if !names[name] {
			t.Errorf("%s is missing in\n%s", name, out)
		}
	}
}
