package e2e_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestApproval walks with three operators through the console of a server that
// asks for a second person's approval: one saves a draft, another one approves
// it, it is published and taken back, and a reviewer only reads.
func TestApproval(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "console", "dist", "index.html")); err != nil {
		t.Fatalf("%v: run make console", err)
	}
	s := serve(t, dataFolder(t), "SALLYPORT_RULES_APPROVAL=required", "SALLYPORT_CLICKHOUSE=off")
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	first, err := s.Find(ctx, printedInvite)
	if err != nil {
		t.Fatal(err)
	}
	invites := map[string]any{"olga": first[0]}
	for name, role := range map[string]string{"jonas": "analyst", "rita": "reviewer"} {
		a := s.call(t, http.MethodPost, "/v1/management/operators/invites", managementSecret, map[string]string{"role": role})
		if a.status != http.StatusOK {
			t.Fatalf("invite %s: %d %s", name, a.status, a.text)
		}
		invites[name] = a.body["url"]
	}
	runScript(t, "approval.mjs", map[string]any{
		"url": s.url, "secret": managementSecret, "invites": invites, "chromium": chromium(t),
	})
}
