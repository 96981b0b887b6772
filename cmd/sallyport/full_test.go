package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

func TestAListThatIsFullOfWhatRulesAddedShows(t *testing.T) {
	data := dataFolder(t)
	s, err := store.Open(t.Context(), store.Config{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	added := make([]lists.Item, store.MaxRuleItems)
	for i := range added {
		added[i] = lists.Item{Value: fmt.Sprintf("%d@example.com", i), Author: store.RuleAuthor + "free"}
	}
	_, err = s.CreateList(t.Context(), lists.Head{Name: "tried", Type: rules.ListOfStrings, Title: "Tried"}, "ann")
	if err == nil {
		_, err = s.ChangeList(t.Context(), "tried", added, nil, true, "ann", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	server, stop := serve(t, settings(data))
	defer stop()
	status, answer := call(t, "GET", server.URL()+"/readyz", "")
	parts, _ := answer["parts"].([]any)
	for _, p := range parts {
		part := p.(map[string]any)
		if part["name"] != "lists" {
			continue
		}
		if detail, _ := part["detail"].(string); status != 200 || part["state"] != "degraded" || !strings.Contains(detail, "no more to it (tried)") {
			t.Errorf("status %d, part %v", status, part)
		}
		return
	}
	t.Errorf("status %d, %v", status, answer)
}
