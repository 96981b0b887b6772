package e2e_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// refusal starts a server that must not start, and returns the one line that it
// prints.
func refusal(t *testing.T, environment []string) string {
	t.Helper()
	out, problems, code := command(t, environment, "serve")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	if out != "" {
		t.Errorf("on standard output: %s", out)
	}
	line := strings.TrimSuffix(problems, "\n")
	if line == "" || strings.Contains(line, "\n") || strings.Contains(line, "goroutine") {
		t.Errorf("one clear line was expected:\n%s", problems)
	}
	return line
}

func mentions(t *testing.T, line string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(line, word) {
			t.Errorf("%q does not mention %q", line, word)
		}
	}
}

// TestRefusals starts the server where it cannot run.
func TestRefusals(t *testing.T) {
	t.Run("a port in use", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		mentions(t, refusal(t, environment(dataFolder(t), "SALLYPORT_LISTEN="+listener.Addr().String())), listener.Addr().String(), "in use")
	})
	t.Run("a data folder that another server holds", func(t *testing.T) {
		data := dataFolder(t)
		s := serve(t, data)
		mentions(t, refusal(t, environment(data)), data)
		if a := s.call(t, http.MethodGet, "/readyz", "", nil); a.status != http.StatusOK {
			t.Errorf("the first server is not ready any more: %s", a.text)
		}
	})
	t.Run("no ClickHouse library", func(t *testing.T) {
		absent := filepath.Join(t.TempDir(), "libchdb.so")
		mentions(t, refusal(t, environment(dataFolder(t), "SALLYPORT_CLICKHOUSE_LIB="+absent)), absent)
	})
	t.Run("no IP database", func(t *testing.T) {
		absent := filepath.Join(t.TempDir(), "ip.mmdb")
		mentions(t, refusal(t, environment(dataFolder(t), "SALLYPORT_IP_DATABASE="+absent)), absent)
	})
	t.Run("a data folder that is a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		mentions(t, refusal(t, environment(file)), file)
	})
	t.Run("a setting that makes no sense", func(t *testing.T) {
		mentions(t, refusal(t, environment(dataFolder(t), "SALLYPORT_PUBLIC_URL=localhost")), "SALLYPORT_PUBLIC_URL", "localhost")
	})
	t.Run("secrets that others can read", func(t *testing.T) {
		data := dataFolder(t)
		file := filepath.Join(data, "secrets.json")
		if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		mentions(t, refusal(t, environment(data)), file, "chmod 600")
	})
}

// TestUnreadableLibrary starts the server with a file that is no library: that
// is found out by ClickHouse's own process, so the server decides without an
// archive and says what is wrong.
func TestUnreadableLibrary(t *testing.T) {
	other := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(other, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dataFolder(t), "SALLYPORT_CLICKHOUSE_LIB="+other)
	s.track(t, "user", "payment", nil)
	deadline := time.Now().Add(15 * time.Second)
	for {
		status, parts := s.readiness(t)
		if status != http.StatusOK {
			t.Fatalf("/readyz: %d", status)
		}
		archive := parts["archive"]
		if archive.State == "degraded" && strings.Contains(archive.Detail, other) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the archive should be degraded and name the file: %+v", archive)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestSecondStart measures how long a start on a folder with data takes. The
// promise is three seconds; the bound here leaves room for a busy machine.
func TestSecondStart(t *testing.T) {
	data := dataFolder(t)
	s := serve(t, data)
	first := s.started
	for range 50 {
		s.track(t, "user", "payment", map[string]any{"custom": map[string]any{"amount": 25}})
	}
	s.archived(t, 30*time.Second)
	stopping := time.Now()
	s.stop(t)
	stopped := time.Since(stopping)
	again := serve(t, data)
	t.Logf("ready after %s the first time and %s the second; stopped in %s", first, again.started, stopped)
	if again.started > 9*time.Second {
		t.Errorf("the second start took %s", again.started)
	}
	if list := again.call(t, http.MethodGet, "/v1/users/user/actions", serverSecret, nil); strings.Count(list.text, "idempotencyKey") != 50 {
		t.Errorf("50 actions should be there: %s", list.text)
	}
}

// TestStop ends a server that is answering: what it has accepted is answered.
func TestStop(t *testing.T) {
	s := serve(t, dataFolder(t))
	s.track(t, "user", "payment", nil)
	s.stop(t)
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := net.DialTimeout("tcp", s.address(), time.Second); err == nil {
		t.Error("the port is still open")
	}
}

// TestGenerated starts a server without any secret: it makes them, prints them
// once, and they work.
func TestGenerated(t *testing.T) {
	data := dataFolder(t)
	var plain []string
	for _, variable := range environment(data) {
		if !strings.HasPrefix(variable, "SALLYPORT_SECRET=") && !strings.HasPrefix(variable, "SALLYPORT_MANAGEMENT_SECRET=") {
			plain = append(plain, variable)
		}
	}
	secret, problems, code := command(t, plain, "secret", "show")
	if code == 0 {
		t.Errorf("a secret before the first start: %s", secret)
	}
	mentions(t, problems, data)
	s := serve(t, data, "SALLYPORT_SECRET=", "SALLYPORT_MANAGEMENT_SECRET=")
	if secret, problems, code = command(t, plain, "secret", "show"); code != 0 {
		t.Fatalf("secret show: %s", problems)
	}
	secret = strings.TrimSpace(secret)
	if a := s.call(t, http.MethodPost, "/v1/users/user/actions/payment", secret, map[string]any{}); a.status != http.StatusOK {
		t.Errorf("the shown secret is refused: %d %s", a.status, a.text)
	}
	if info, err := os.Stat(filepath.Join(data, "secrets.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secrets.json: %v, %v", info, err)
	}
	if strings.Contains(s.Output(), secret) {
		t.Error("the secret stands in an output that is no terminal")
	}
}

// TestCommands uses the other commands of the binary against a running server.
func TestCommands(t *testing.T) {
	s := serve(t, dataFolder(t))
	run := func(t *testing.T, want int, arguments ...string) (string, string) {
		t.Helper()
		out, problems, code := command(t, managed(s), arguments...)
		if code != want {
			t.Errorf("sallyport %s: exit code %d\n%s%s", strings.Join(arguments, " "), code, out, problems)
		}
		return out, problems
	}
	write := func(t *testing.T, text string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "rules.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Run("version", func(t *testing.T) {
		if out, _ := run(t, 0, "version"); !regexp.MustCompile(`^sallyport \S+\n$`).MatchString(out) {
			t.Errorf("%q", out)
		}
	})
	t.Run("rules are exported, checked, changed and published", func(t *testing.T) {
		exported, _ := run(t, 0, "rules", "export")
		run(t, 0, "rules", "check", write(t, exported))
		if a := s.track(t, "ann", "gift", nil); a["state"] != "ALLOW" {
			t.Errorf("before: %v", a["state"])
		}
		first := regexp.MustCompile(`(?m)^actions:\n( *)- `)
		changed := first.ReplaceAllString(exported, "actions:\n$1- {code: gift, default: BLOCK, rules: []}\n$1- ")
		run(t, 0, "rules", "apply", "--note", "no gifts", write(t, changed))
		deadline := time.Now().Add(5 * time.Second)
		for s.track(t, "ann", "gift", nil)["state"] != "BLOCK" {
			if time.Now().After(deadline) {
				t.Fatal("the published rules do not decide")
			}
		}
		if again, _ := run(t, 0, "rules", "export"); !strings.Contains(again, "code: gift") {
			t.Errorf("the export lacks the new action:\n%s", again)
		}
	})
	t.Run("rules with a mistake are refused with its place", func(t *testing.T) {
		broken := write(t, "actions:\n  - code: payment\n    rules:\n      - {id: a, name: A, when: custom.nothing > 1.0, outcome: BLOCK}\notherwise: {rules: []}\n")
		before, _ := run(t, 0, "rules", "export")
		out, problems := run(t, 1, "rules", "check", broken)
		mentions(t, out+problems, "nothing", broken)
		out, problems = run(t, 1, "rules", "apply", broken)
		mentions(t, out+problems, "nothing")
		if after, _ := run(t, 0, "rules", "export"); after != before {
			t.Error("the rules have changed")
		}
	})
	t.Run("an older base is refused", func(t *testing.T) {
		exported, number := run(t, 0, "rules", "export")
		if !regexp.MustCompile(`\d+`).MatchString(number) {
			t.Errorf("the number of the set is missing: %q", number)
		}
		changed := strings.Replace(exported, "code: gift", "code: present", 1)
		_, problems := run(t, 1, "rules", "apply", "--base", "1", write(t, changed))
		mentions(t, problems, "changed")
	})
	t.Run("operators are invited with a link", func(t *testing.T) {
		out, _ := run(t, 0, "operator", "invite", "--role", "reviewer")
		if !strings.Contains(out, s.url+"/console/") {
			t.Errorf("%q", out)
		}
		_, problems := run(t, 1, "operator", "invite", "--role", "king")
		mentions(t, problems, "reviewer")
	})
	t.Run("a wrong management secret is refused", func(t *testing.T) {
		wrong := append(managed(s), "SALLYPORT_MANAGEMENT_SECRET="+serverSecret)
		out, problems, code := command(t, wrong, "rules", "export")
		if code != 1 || out != "" {
			t.Errorf("exit code %d: %s", code, out)
		}
		mentions(t, problems, "SALLYPORT_MANAGEMENT_SECRET")
	})
	t.Run("a server that is not there", func(t *testing.T) {
		nowhere := "http://127.0.0.1:" + freePort(t)
		_, problems, code := command(t, append(managed(s), "SALLYPORT_URL="+nowhere), "rules", "export")
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		mentions(t, problems, nowhere)
	})
}
