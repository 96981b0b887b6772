package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
)

// slowStore takes as long to find a position as the caller waits.
type slowStore struct {
	api.Store
	asked chan struct{}
}

func (s slowStore) PositionBefore(ctx context.Context, _ time.Time) (events.Position, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return events.Position{}, ctx.Err()
}

func TestNobodyWhoLooksKeepsRulesFromBeingChanged(t *testing.T) {
	asked := make(chan struct{})
	w := start(t, func(c *api.Config) { c.Store = slowStore{c.Store, asked} })
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	ended := make(chan error)
	for range 2 {
		go func() {
			r, err := http.NewRequestWithContext(ctx, "POST", w.url+"/v1/management/decisions/replay", nil)
			if err == nil {
				r.Header.Set("Authorization", basic(managerWord))
				_, err = http.DefaultClient.Do(r)
			}
			ended <- err
		}()
		<-asked
	}
	changed := strings.Replace(testRules, "custom.amount == 13", "custom.amount == 14", 1)
	w.manage("POST", "/rule-sets/check", changed).refused(429, "too_many_requests")
	w.manage("POST", "/rule-sets", changed).ok()
	draft := w.manage("POST", "/drafts?title=again", testRules).ok()
	w.manage("POST", "/drafts/"+draft.str("id")+"/publish", map[string]any{"revision": 1}).ok()
	w.manage("POST", "/rule-sets/1/rollback", map[string]any{}).ok()

	hangUp()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a replay was answered though its caller has gone")
		}
	}
	w.manage("POST", "/rule-sets/check", changed).ok() // their work has ended with them
}

// TestSlowUploadsTakeNobodysTurn sends the beginning of bodies.
func TestSlowUploadsTakeNobodysTurn(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/rule-sets/check", "/rule-sets", "/rule-sets/1/rollback", "/drafts"} {
		for range 2 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /v1/management%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n",
				path, basic(managerWord))
			line, err := bufio.NewReader(conn).ReadString('\n') // the server begins to read
			if err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("%q, %v", line, err)
			}
			fmt.Fprint(conn, "lists:")
		}
	}
	changed := strings.Replace(testRules, "custom.amount == 13", "custom.amount == 14", 1)
	w.manage("POST", "/rule-sets/check", changed).ok()
	w.manage("POST", "/drafts?title=again", changed).ok()
	w.manage("POST", "/rule-sets", changed).ok()
	w.manage("POST", "/rule-sets/1/rollback", map[string]any{}).ok()
}

func TestHostileDraftsAreRefusedAtOnce(t *testing.T) {
	w := start(t)
	var keys strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	for _, path := range []string{"/drafts?title=a", "/rule-sets"} {
		if a := w.manage("POST", path, keys.String()).refused(400, "invalid_request"); !strings.Contains(a.str("details.0.message"), "at most 1000 are allowed") {
			t.Error(a.text)
		}
	}
}
