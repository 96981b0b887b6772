package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/rules"
)

func TestRuleSets(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) {
		nodes := writers(t, config)
		s := nodes[0]
		if _, err := s.CurrentRules(t.Context()); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("before the first: %v; want ErrNotFound", err)
		}
		if n, err := s.CurrentRulesNumber(t.Context()); err != nil || n != 0 {
			t.Errorf("number %d, %v before the first", n, err)
		}
		first, err := s.PublishRules(t.Context(), 0, rules.Version{Definition: rules.Example(), Author: "ann", Note: "first"}, "", 0)
		if err != nil || first.Number != 1 {
			t.Fatalf("publish: %+v, %v", first, err)
		}
		current, err := nodes[1].CurrentRules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, current); diff != "" {
			t.Error(diff)
		}
		definition, err := json.Marshal(rules.Example())
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(definition)
		record, err := wholeLog(t, s)[0].Decode()
		if err != nil {
			t.Fatal(err)
		}
		want := &events.RuleSetPublished{Set: 1, Author: "ann", Note: "first", SHA256: hex.EncodeToString(hash[:])}
		if diff := cmp.Diff(want, record); diff != "" {
			t.Error(diff)
		}

		// Two who start from the same set: one is told.
		errs := together(6, func(i int) error {
			_, err := nodes[i%2].PublishRules(t.Context(), 1, rules.Version{Definition: rules.Example(), Author: "bob"}, "", 0)
			return err
		})
		conflicts := 0
		for _, err := range errs {
			if errors.Is(err, engine.ErrConflict) {
				conflicts++
			} else if err != nil {
				t.Error(err)
			}
		}
		if conflicts != 5 {
			t.Errorf("%d conflicts; want 5", conflicts)
		}
		third, err := s.PublishRules(t.Context(), -1, rules.Version{Author: "cy"}, "", 0)
		if err != nil || third.Number != 3 {
			t.Errorf("on whatever is current: %+v, %v", third, err)
		}
		versions, err := s.RuleVersions(t.Context(), 2)
		if err != nil || len(versions) != 2 || versions[0].Number != 3 || versions[1].Author != "bob" {
			t.Errorf("versions %+v, %v", versions, err)
		}
		if n := len(wholeLog(t, s)); n != 3 {
			t.Errorf("%d events; want 3", n)
		}
	})
}
