package load_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/internal/bench/load"
)

// record serves track requests and keeps what it was sent.
type record struct {
	mu     sync.Mutex
	paths  map[string]string // idempotency key to path
	bodies []map[string]any
	answer func(n int) (status int, header http.Header, body string)
}

func (r *record) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	secret, _, _ := request.BasicAuth()
	r.mu.Lock()
	n := len(r.bodies)
	r.bodies = append(r.bodies, body)
	r.paths[body["idempotencyKey"].(string)] = secret + request.URL.Path
	r.mu.Unlock()
	status, header, text := r.answer(n)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func TestRun(t *testing.T) {
	const long = 5000 // longer than net/http's buffer: sent in chunks
	server := &record{paths: map[string]string{}, answer: func(n int) (int, http.Header, string) {
		switch {
		case n == 3:
			return http.StatusServiceUnavailable, nil, `{"error":"unavailable"}`
		case n == 5:
			return http.StatusOK, http.Header{"Connection": {"close"}}, "{}"
		default:
			return http.StatusOK, nil, strings.Repeat("x", long)
		}
	}}
	listening := httptest.NewServer(server)
	defer listening.Close()

	var mu sync.Mutex
	acknowledged := map[string]string{}
	run := load.Run{
		Address: listening.Listener.Addr().String(), Callers: 4, Count: 100, Prefix: "run",
		Track: load.Track{Secret: "s3cret", Action: "payment", Users: 10},
		Answered: func(_ int, a load.Action) {
			mu.Lock()
			defer mu.Unlock()
			acknowledged[a.Key] = "s3cret/v1/users/" + a.User + "/actions/payment"
		},
	}
	result, err := run.Do(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if result.Requests != 99 || result.Refused != 1 || result.Broken != 0 || len(result.Latency) != 99 {
		t.Errorf("99 answers and one refusal expected: %d, %d, %d broken, %d latencies", result.Requests, result.Refused, result.Broken, len(result.Latency))
	}
	if result.First != `{"error":"unavailable"}` {
		t.Errorf("the first trouble should be kept: %q", result.First)
	}
	for key, path := range acknowledged {
		if server.paths[key] != path {
			t.Errorf("key %s: acknowledged as %s, sent as %s", key, path, server.paths[key])
		}
	}
	if len(acknowledged) != 99 || len(server.paths) != 100 {
		t.Errorf("%d acknowledged of %d sent", len(acknowledged), len(server.paths))
	}
}

func TestRequestCarriesTwentyFacts(t *testing.T) {
	server := &record{paths: map[string]string{}, answer: func(int) (int, http.Header, string) { return http.StatusOK, nil, "{}" }}
	listening := httptest.NewServer(server)
	defer listening.Close()
	run := load.Run{Address: listening.Listener.Addr().String(), Callers: 1, Count: 1, Prefix: "run", Track: load.Track{Action: "payment", Users: 1}}
	if _, err := run.Do(context.Background()); err != nil {
		t.Fatal(err)
	}
	body := server.bodies[0]
	custom := body["custom"].(map[string]any)
	if facts := 1 + len(body) - 2 + len(custom); facts != 20 { // the user, all but key and custom, custom
		t.Errorf("%d facts", facts)
	}
	declared := map[string]bool{}
	for line := range strings.Lines(load.Fields) {
		if name, _, found := strings.Cut(strings.TrimPrefix(line, "  - {name: "), ","); found {
			declared[name] = true
		}
	}
	sent := map[string]bool{}
	for name := range custom {
		sent[name] = true
	}
	if diff := cmp.Diff(sent, declared); diff != "" {
		t.Errorf("custom values sent and declared (-sent +declared):\n%s", diff)
	}
}

func TestLostConnectionIsNoAnswer(t *testing.T) {
	listening := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer listening.Close()
	run := load.Run{
		Address: listening.Listener.Addr().String(), Callers: 3, Prefix: "run", Track: load.Track{Action: "payment", Users: 1},
		Answered: func(int, load.Action) { t.Error("nothing was answered") },
	}
	result, err := run.Do(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if result.Broken != 3 || result.Requests != 0 {
		t.Errorf("each caller should stop at its broken connection: %+v", result)
	}
}
