package api_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/rules"
)

// TestAListThatAnotherNodesSetDeclaresStays publishes a set that this node has not
// heard of yet.
func TestAListThatAnotherNodesSetDeclaresStays(t *testing.T) {
	w := start(t)
	w.manage("POST", "/lists", object{"name": "suspects", "type": "cidr"}).ok()
	d, err := rules.ParseYAML([]byte(testRules + "lists:\n  - {name: suspects, type: cidr}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.PublishRules(t.Context(), -1, rules.Version{Definition: d, Author: "bob"}, "", 0); err != nil {
		t.Fatal(err)
	}
	kept := w.manage("DELETE", "/lists/suspects", nil).refused(409, "conflict")
	if got := kept.str("errorDescription"); !strings.Contains(got, `declares the list "suspects". Publish a set that does not, then drop the list.`) {
		t.Errorf("dropped: %s", got)
	}
	w.manage("GET", "/lists/suspects", nil).ok()
}
