package rules_test

import (
	"testing"

	"github.com/sallyport/sallyport/rules"
)

func TestNearest(t *testing.T) {
	among := []string{"suspects", "suspect_ips", "vips"}
	for name, want := range map[string]string{"suspect": "suspects", "Suspects": "suspects", "vipps": "vips", "supsects": "suspects", "blocked": "", "": ""} {
		if got := rules.Nearest(name, among); got != want {
			t.Errorf("%q is taken for %q, want %q", name, got, want)
		}
	}
}
