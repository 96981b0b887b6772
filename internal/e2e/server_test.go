package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/bench/process"
)

// The secrets that every server of these tests is started with.
const (
	serverSecret     = "e2e-server-secret-0123456789abcdef"
	managementSecret = "e2e-management-secret-0123456789abcdef"
	tenant           = "e2e"
)

// The time limits of the tests. They bound a failure; they are no promises about
// the product.
const (
	startLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
)

// server is one running `sallyport serve`.
type server struct {
	*process.Process
	data    string
	port    string
	url     string // http://localhost:PORT
	started time.Duration
}

// dataFolder makes an empty data folder. Its path is short, since it holds unix
// sockets. When the test ends, nothing that runs on the folder may be left.
func dataFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "sp-*-data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nobodyLeft(t, folder)
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// nobodyLeft waits until no process mentions the folder any more, and fails
// when one stays.
func nobodyLeft(t *testing.T, folder string) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		left, err := process.Mentioning(folder)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("processes left behind: %v", left)
			for _, pid := range left {
				if orphan, err := os.FindProcess(pid); err == nil {
					_ = orphan.Kill() // it is ours and the test has failed already
				}
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// environment is that of a server on a data folder; further settings win.
func environment(data string, further ...string) []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SALLYPORT_") {
			kept = append(kept, variable)
		}
	}
	kept = append(kept, "SALLYPORT_LISTEN=127.0.0.1:0", "SALLYPORT_DATA="+data, "SALLYPORT_TENANT="+tenant,
		"SALLYPORT_SECRET="+serverSecret, "SALLYPORT_MANAGEMENT_SECRET="+managementSecret)
	return append(kept, further...)
}

var printedAddress = regexp.MustCompile(`Server\s+http://localhost:(\d+)`)

// serve starts a server and waits until it is ready. It is stopped when the test
// ends, if the test has not done so.
func serve(t *testing.T, data string, further ...string) *server {
	t.Helper()
	s, err := tryServe(t, data, further...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryServe(t *testing.T, data string, further ...string) (*server, error) {
	t.Helper()
	start := time.Now()
	p, err := process.Start(environment(data, further...), sallyport, "serve")
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, data: data}
	t.Cleanup(func() {
		select {
		case <-p.Done():
		default:
			s.stop(t)
		}
		if t.Failed() {
			t.Logf("what the server printed, answered requests apart:\n%s", notable(p.Output()))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	found, err := p.Find(ctx, printedAddress)
	if err != nil {
		return nil, fmt.Errorf("sallyport serve %w", err)
	}
	s.port, s.url = found[1], "http://localhost:"+found[1]
	if err := p.Answers(ctx, s.url+"/readyz"); err != nil {
		return nil, fmt.Errorf("sallyport serve %w", err)
	}
	s.started = time.Since(start)
	return s, nil
}

// notable drops the lines about requests that were answered well, and all but
// the last hundred of the others.
func notable(output string) string {
	var kept []string
	for line := range strings.Lines(output) {
		if !strings.Contains(line, `"status":200`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-100):], "")
}

// stop ends the server the polite way and fails when it does not go well.
func (s *server) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stopLimit)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop the server: %v", err)
	}
	nobodyLeft(t, s.data)
}

// address is host:port.
func (s *server) address() string { return "127.0.0.1:" + s.port }

// answer is what a call of the HTTP API returned.
type answer struct {
	status int
	header http.Header
	body   map[string]any // nil when the body is no JSON object
	text   string
}

// call sends a request with a server or management secret ("" for none) and an
// optional JSON body.
func (s *server) call(t *testing.T, method, path, secret string, body any) answer {
	t.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if secret != "" {
		request.SetBasicAuth(secret, "")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // no object: body stays nil
	return a
}

// track reports one action and requires an answer of status 200.
func (s *server) track(t *testing.T, user, action string, attributes map[string]any) map[string]any {
	t.Helper()
	if attributes == nil {
		attributes = map[string]any{}
	}
	a := s.call(t, http.MethodPost, "/v1/users/"+url.PathEscape(user)+"/actions/"+action, serverSecret, attributes)
	if a.status != http.StatusOK {
		t.Fatalf("track %s of %s: %d %s", action, user, a.status, a.text)
	}
	return a.body
}

// part is the state of one part, as /readyz tells it.
type part struct {
	Name, State, Detail string
	Lag                 int
}

// readiness asks /readyz.
func (s *server) readiness(t *testing.T) (status int, parts map[string]part) {
	t.Helper()
	a := s.call(t, http.MethodGet, "/readyz", "", nil)
	var body struct{ Parts []part }
	if err := json.Unmarshal([]byte(a.text), &body); err != nil {
		t.Fatalf("/readyz: %v: %s", err, a.text)
	}
	parts = map[string]part{}
	for _, p := range body.Parts {
		parts[p.Name] = p
	}
	return a.status, parts
}

// archived waits until the archive has every event of the log.
func (s *server) archived(t *testing.T, limit time.Duration) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		_, parts := s.readiness(t)
		archive, known := parts["archive"]
		if !known {
			t.Fatal("/readyz names no archive")
		}
		if archive.State == "ok" && archive.Lag == 0 && parts["nats"].Lag == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the archive is %d events behind and %s (%s) after %s", archive.Lag, archive.State, archive.Detail, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// clickhouse is the process id of the server's ClickHouse and the socket that it
// answers on, which stands on its command line.
func (s *server) clickhouse(t *testing.T) (pid int, socket string) {
	t.Helper()
	children, err := process.Children(s.ID())
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range children {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/cmdline")
		if err != nil {
			continue // it has just ended
		}
		for argument := range strings.SplitSeq(string(line), "\x00") {
			if path, found := strings.CutPrefix(argument, "-socket="); found {
				return child, path
			}
		}
	}
	t.Fatalf("none of the server's children %v is ClickHouse", children)
	return 0, ""
}

// archive asks ClickHouse's engine directly, on its unix socket.
type archive struct{ client http.Client }

func openArchive(socket string) *archive {
	return &archive{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// query returns the rows of a statement, each split into its columns.
func (a *archive) query(ctx context.Context, sql string) ([][]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://clickhouse/", strings.NewReader(sql))
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask ClickHouse: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask ClickHouse: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask ClickHouse %q: %s", sql, text)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows, nil
}

// command runs the binary as a person would and returns what it printed and its
// exit code.
func command(t *testing.T, environment []string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	c := exec.CommandContext(ctx, sallyport, arguments...)
	c.Env = environment
	c.WaitDelay = time.Second
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	err := c.Run()
	if ctx.Err() != nil {
		t.Fatalf("sallyport %s did not end within %s; it printed:\n%s%s", strings.Join(arguments, " "), startLimit, &out, &problems)
	}
	if err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), problems.String(), c.ProcessState.ExitCode()
}

// freePort finds a port that nobody uses at the moment, for a program whose
// address another one has to know before it starts.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
