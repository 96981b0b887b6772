package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/jetstream"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

// TestMain is also the child process that holds ClickHouse's engine, since that
// runs the same executable again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "clickhouse" {
		os.Exit(sallyport.Main(context.Background(), os.Args[1:], sallyport.IO{}))
	}
	os.Exit(m.Run())
}

const (
	serverSecret     = "the-server-secret-of-these-tests"
	managementSecret = "the-management-secret-of-these-tests"
)

// settings are those of a server on a free port and a folder, without archive.
func settings(data string, further ...string) map[string]string {
	env := map[string]string{
		"SALLYPORT_LISTEN": "127.0.0.1:0", "SALLYPORT_DATA": data, "SALLYPORT_CLICKHOUSE": "off",
		"SALLYPORT_SECRET": serverSecret, "SALLYPORT_MANAGEMENT_SECRET": managementSecret,
	}
	for i := 0; i < len(further); i += 2 {
		env[further[i]] = further[i+1]
	}
	return env
}

// dataFolder is short, since unix sockets are in it.
func dataFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "sp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// serve runs a server until the test or the returned function ends it.
func serve(t *testing.T, env map[string]string) (server *sallyport.Server, stop func()) {
	t.Helper()
	server, err := sallyport.Open(t.Context(), load(t, env, nil), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(server.Run(ctx), server.Close()) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopping: %v", err)
		}
	}
	t.Cleanup(stop)
	return server, stop
}

// command runs one command line.
func command(t *testing.T, env map[string]string, args ...string) (code int, out, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	code = sallyport.Main(t.Context(), args, sallyport.IO{Getenv: environment(env), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// call sends a request with the server secret and returns status and body.
func call(t *testing.T, method, url, body string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(serverSecret, "")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s answered %s: %s", method, url, response.Status, text)
	}
	return response.StatusCode, answer
}

func TestAServerDecidesAndRemembers(t *testing.T) {
	data := dataFolder(t)
	server, stop := serve(t, settings(data))
	const payment = `{"idempotencyKey":"k1","custom":{"amount":20000,"currency":"EUR","payee":"M"}}`
	_, answer := call(t, http.MethodPost, server.URL()+"/v1/users/u1/actions/payment", payment)
	if answer["state"] != "BLOCK" {
		t.Errorf("20,000 are %v, want BLOCK", answer)
	}
	status, ready := call(t, http.MethodGet, server.URL()+"/readyz", "")
	if status != http.StatusOK || ready["ready"] != true {
		t.Errorf("readyz: %d %v", status, ready)
	}
	var ipdata any // there is no database beside the test's executable
	for _, part := range ready["parts"].([]any) {
		if part := part.(map[string]any); part["name"] == "ipdata" {
			ipdata = part["state"]
		}
	}
	if ipdata != "off" {
		t.Errorf("without an IP database ipdata is %v, want off", ipdata)
	}
	stop()

	again, _ := serve(t, settings(data))
	_, answer = call(t, http.MethodGet, again.URL()+"/v1/users/u1/actions/payment/k1", "")
	if answer["state"] != "BLOCK" {
		t.Errorf("after a new start the action is %v, want BLOCK", answer)
	}
}

func TestRulesTravelThroughTheCommandLine(t *testing.T) {
	server, _ := serve(t, settings(dataFolder(t)))
	env := map[string]string{"SALLYPORT_URL": server.URL(), "SALLYPORT_MANAGEMENT_SECRET": managementSecret}

	code, exported, note := command(t, env, "rules", "export")
	if code != 0 || !strings.Contains(note, "rule set 1") {
		t.Fatalf("export: code %d, %s", code, note)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	changed := strings.Replace(exported, "custom.amount > 10000", "custom.amount > 10", 1)
	if changed == exported {
		t.Fatalf("the exported set lacks the limit:\n%s", exported)
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := command(t, env, "rules", "check", file); code != 0 {
		t.Errorf("check: code %d: %s%s", code, out, stderr)
	}
	code, out, stderr := command(t, env, "rules", "apply", file, "--note", "A lower limit", "--base", "1")
	if code != 0 || !strings.Contains(out, "rule set 2") {
		t.Fatalf("apply: code %d: %s%s", code, out, stderr)
	}
	_, answer := call(t, http.MethodPost, server.URL()+"/v1/users/u1/actions/payment", `{"custom":{"amount":20}}`)
	if answer["state"] != "BLOCK" {
		t.Errorf("20 with a limit of 10 are %v, want BLOCK", answer)
	}

	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		code int
		want string
	}{
		{"old base", env, []string{"rules", "apply", file, "--base", "1"}, 1, ""},
		{"server secret", map[string]string{"SALLYPORT_URL": server.URL(), "SALLYPORT_MANAGEMENT_SECRET": serverSecret}, []string{"rules", "export"}, 1, "SALLYPORT_MANAGEMENT_SECRET"},
		{"no secret", map[string]string{"SALLYPORT_URL": server.URL()}, []string{"rules", "export"}, 1, "SALLYPORT_MANAGEMENT_SECRET"},
		{"no server", map[string]string{"SALLYPORT_URL": "http://localhost:1", "SALLYPORT_MANAGEMENT_SECRET": "x"}, []string{"rules", "export"}, 1, "no answer from http://localhost:1"},
		{"no file", env, []string{"rules", "apply", file + "x"}, 1, "no such file"},
		{"no argument", env, []string{"rules", "apply"}, 2, "usage: sallyport rules apply FILE"},
		{"unknown command", env, []string{"rulez"}, 2, "no command"},
		{"half a command", env, []string{"rules"}, 2, "rules needs one of apply, export, history, rollback"},
		{"unknown flag", env, []string{"serve", "--colour"}, 2, "colour"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, stderr := command(t, c.env, c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("code %d, want %d; %q should say %q (out %q)", code, c.code, stderr, c.want, out)
			}
		})
	}
}

func TestCheckPointsAtTheLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yaml")
	text := "actions:\n  - code: payment\n    rules:\n      - id: a\n        name: A\n        when: custom.amuont > 1\n        outcome: BLOCK\notherwise: {rules: []}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := command(t, nil, "rules", "check", file)
	if code != 1 || !strings.Contains(out, file) || !strings.Contains(out, "a") || !strings.Contains(out, "amuont") {
		t.Errorf("code %d: %s%s", code, out, stderr)
	}
}

func TestOperatorsAreInvited(t *testing.T) {
	server, _ := serve(t, settings(dataFolder(t)))
	env := map[string]string{"SALLYPORT_URL": server.URL(), "SALLYPORT_MANAGEMENT_SECRET": managementSecret}
	code, out, stderr := command(t, env, "operator", "invite", "--role", "analyst")
	if code != 0 || !strings.HasPrefix(out, server.URL()+"/console/register#invite=") {
		t.Errorf("code %d: %s%s", code, out, stderr)
	}
	if code, _, stderr := command(t, env, "operator", "invite", "--role", "king"); code != 1 || !strings.Contains(stderr, "role") {
		t.Errorf("a role that does not exist: code %d: %s", code, stderr)
	}
}

// A start that fails is one clear line and exit code 1.
func TestAFailedStartIsOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := dataFolder(t)
	serve(t, settings(used))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"port in use", settings(dataFolder(t), "SALLYPORT_LISTEN", taken.Addr().String()), taken.Addr().String() + " is in use"},
		{"data folder in use", settings(used), used + " is in use by process"},
		{"data folder is a file", settings(file), "SALLYPORT_DATA"},
		{"no ClickHouse library", settings(dataFolder(t), "SALLYPORT_CLICKHOUSE", "embedded"), "SALLYPORT_CLICKHOUSE=off"},
		{"bad value", settings(dataFolder(t), "SALLYPORT_TENANT", "a b"), `SALLYPORT_TENANT="a b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, stderr := command(t, c.env, "serve")
			if code != 1 || out != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("code %d, out %q, want one line with %q, got\n%s", code, out, c.want, stderr)
			}
		})
	}
}

func TestSecretsAreShownToPeopleOnly(t *testing.T) {
	for _, c := range []struct {
		name     string
		terminal bool
	}{{"on a terminal", true}, {"in a log", false}} {
		t.Run(c.name, func(t *testing.T) {
			data := dataFolder(t)
			env := settings(data, "SALLYPORT_SECRET", "", "SALLYPORT_MANAGEMENT_SECRET", "")
			ctx, cancel := context.WithCancel(t.Context())
			var stderr bytes.Buffer
			banner := writerFunc(func(p []byte) (int, error) {
				cancel() // the server is ready: it may stop
				return len(p), nil
			})
			var shown bytes.Buffer
			code := sallyport.Main(ctx, []string{"serve"}, sallyport.IO{
				Getenv: environment(env), Out: io.MultiWriter(&shown, banner), Err: &stderr, OutTerminal: c.terminal,
			})
			if code != 0 {
				t.Fatalf("code %d: %s", code, &stderr)
			}
			code, secret, _ := command(t, env, "secret", "show")
			secret = strings.TrimSpace(secret)
			if code != 0 || !strings.HasPrefix(secret, "sp_") {
				t.Fatalf("secret show: code %d, %q", code, secret)
			}
			if got := strings.Contains(shown.String(), secret); got != c.terminal {
				t.Errorf("the banner holds the secret: %v, want %v\n%s", got, c.terminal, &shown)
			}
			if strings.Contains(stderr.String(), secret) {
				t.Error("the log holds the secret")
			}
			for _, want := range []string{"/console/register#invite=", "curl -u ", "/v1/users/jane/actions/payment"} {
				if !strings.Contains(shown.String(), want) {
					t.Errorf("the banner lacks %q:\n%s", want, &shown)
				}
			}
		})
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestALogThatFellBehindIsNotServed puts an empty log beside a stream that has
// seen events, as when a volume was lost.
func TestALogThatFellBehindIsNotServed(t *testing.T) {
	data := dataFolder(t)
	seen := relayOneEvent(t, data)
	for _, file := range []string{"sallyport.db", "sallyport.db-wal", "sallyport.db-shm"} {
		if err := os.RemoveAll(filepath.Join(data, file)); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := command(t, settings(data), "serve")
	if code != 1 || !strings.Contains(stderr, seen.String()) || !strings.Contains(stderr, "sallyport recover") {
		t.Fatalf("code %d, want the position %s and what to do:\n%s", code, seen, stderr)
	}
	code, out, stderr := command(t, settings(data), "recover")
	if code != 0 || !strings.Contains(out, "accepted") {
		t.Fatalf("recover: code %d: %s%s", code, out, stderr)
	}
	for range 2 {
		_, stop := serve(t, settings(data))
		stop()
	}
	code, out, stderr = command(t, settings(data), "recover")
	if code != 0 || !strings.Contains(out, "Nothing is lost") {
		t.Errorf("recover with nothing lost: code %d: %s%s", code, out, stderr)
	}
}

// relayOneEvent leaves a log and a stream that both hold its first event.
func relayOneEvent(t *testing.T, data string) events.Position {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, err := store.Open(ctx, store.Config{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := ruleset.Open(ctx, log, ruleset.Config{First: rules.Example()}); err != nil {
		t.Fatal(err)
	}
	stream, err := jetstream.Open(ctx, jetstream.Config{Dir: filepath.Join(data, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	relayed := make(chan error, 1)
	go func() { relayed <- jetstream.NewRelay(stream, log, jetstream.RelayConfig{}).Run(ctx) }()
	var seen events.Position
	enough := errors.New("enough")
	err = stream.Read(ctx, events.Position{}, func(batch []events.Event) error {
		seen = batch[len(batch)-1].Position
		return enough
	})
	if !errors.Is(err, enough) {
		t.Fatalf("read: %v", err)
	}
	cancel()
	if err := <-relayed; err != nil {
		t.Fatal(err)
	}
	return seen
}

// TestALogBehindTheArchiveStopsTheServer loses the log and the stream, but not
// the archive.
func TestALogBehindTheArchiveStopsTheServer(t *testing.T) {
	data := dataFolder(t)
	env := settings(data, "SALLYPORT_CLICKHOUSE", "embedded", "SALLYPORT_CLICKHOUSE_LIB", library(t))
	server, stop := serve(t, env)
	call(t, http.MethodPost, server.URL()+"/v1/users/u1/actions/payment", `{"custom":{"amount":20}}`)
	untilArchived(t, server.URL())
	stop()
	for _, lost := range []string{"sallyport.db", "sallyport.db-wal", "sallyport.db-shm", "nats"} {
		if err := os.RemoveAll(filepath.Join(data, lost)); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := command(t, env, "serve") // ends by itself
	if code != 1 || !strings.Contains(stderr, "the archive has seen") {
		t.Fatalf("code %d: %s", code, stderr)
	}
	code, out, stderr := command(t, env, "recover")
	if code != 0 || !strings.Contains(out, "accepted") {
		t.Fatalf("recover: code %d: %s%s", code, out, stderr)
	}
	server, _ = serve(t, env)
	untilArchived(t, server.URL())
}

// untilArchived waits until the archive holds everything.
func untilArchived(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		_, answer := call(t, http.MethodGet, url+"/readyz", "")
		for _, part := range answer["parts"].([]any) {
			if part := part.(map[string]any); part["name"] == "archive" && part["state"] == "ok" && part["lag"] == 0.0 {
				return
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("the archive does not keep up: %v", answer)
		}
	}
}

// library finds ClickHouse's engine among the installed packages.
func library(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SALLYPORT_CLICKHOUSE_LIB"); path != "" {
		return path
	}
	found, err := filepath.Glob("../../internal/assets/node_modules/@chdb/lib-*/libchdb.so")
	if err != nil || len(found) == 0 {
		t.Fatal("ClickHouse's library is not installed: run `make deps`")
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}
