package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sallyport/sallyport/internal/bench/process"
)

var printedInvite = regexp.MustCompile(`http://\S+/console/\S*invite=\S+`)

// TestShop walks through the whole product in a browser: shop, hosted page,
// console.
func TestShop(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "console", "dist", "index.html")); err != nil {
		t.Fatalf("%v: run make console", err)
	}
	port := freePort(t)
	origin := "http://localhost:" + port
	s := serve(t, dataFolder(t), "SALLYPORT_ORIGINS="+origin, "SALLYPORT_NAME=Corner Shop")
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	invite, err := s.Find(ctx, printedInvite)
	if err != nil {
		t.Fatal(err)
	}
	store, err := process.Start(append(os.Environ(), "SHOP_LISTEN=127.0.0.1:"+port, "SALLYPORT_URL="+s.url, "SALLYPORT_SECRET="+serverSecret), shop)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		store.Kill()
		if t.Failed() {
			t.Logf("what the shop printed:\n%s", store.Output())
		}
	})
	if err := store.Answers(ctx, origin); err != nil {
		t.Fatal(err)
	}
	runScript(t, "shop.mjs", map[string]any{
		"url": s.url, "shop": origin, "invite": invite[0], "chromium": chromium(t),
	})
}
