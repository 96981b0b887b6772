package clickhouse_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/internal/memlog"
)

// Between an interrupted insert and the next merge a table may hold rows twice.
// No reader shows them twice, and no page is shorter for them.
func TestSecondCopiesOfRowsAreNotSeen(t *testing.T) {
	engine := startEngine(t)
	archive, log := openArchive(t, engine), memlog.New(3)
	if err := archive.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := archive.Exec(t.Context(), "SYSTEM STOP MERGES {table}"); err != nil {
		t.Fatal(err)
	}
	log.Append(drafts(t, 0, 100)...)
	list := whole(t, log, 3)
	for _, token := range []string{"first", "second", "third"} {
		if err := archive.Insert(t.Context(), list, token); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := archive.Rows(t.Context(), 3); err != nil || rows != 300 {
		t.Fatalf("the table holds %d rows, %v: the test proves nothing", rows, err)
	}
	var seen []uint64
	for filter := (events.Filter{Limit: 30}); ; {
		page, err := archive.Decisions(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Items {
			seen = append(seen, d.Seq)
		}
		if filter.After = page.Next; page.Next == "" {
			break
		}
		if len(page.Items) != 30 {
			t.Errorf("a page of %d", len(page.Items))
		}
	}
	var want []uint64
	for seq := uint64(100); seq > 0; seq-- {
		want = append(want, seq)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	story, err := archive.Story(t.Context(), list[7].Action)
	if err != nil || len(story) != 1 {
		t.Errorf("a story of %d events, %v", len(story), err)
	}
	if n, err := archive.Count(t.Context(), 3, 1, 100); err != nil || n != 100 {
		t.Errorf("counted %d, %v", n, err)
	}
	if err := archive.Verify(t.Context(), events.RangeOf(list)); err != nil {
		t.Error(err)
	}
}

func TestVerifyNoticesEveryChange(t *testing.T) {
	engine := startEngine(t)
	archive, log := openArchive(t, engine), memlog.New(3)
	if err := archive.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	log.Append(drafts(t, 0, 10)...)
	list := whole(t, log, 3)
	if err := archive.Insert(t.Context(), list, "token"); err != nil {
		t.Fatal(err)
	}
	whole := events.RangeOf(list)
	if err := archive.Verify(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{
		"UPDATE body = replaceOne(body, 'ALLOW', 'BLOCK') WHERE seq = 4",
		"UPDATE kind = 'action.updated' WHERE seq = 4",
		"UPDATE version = 2 WHERE seq = 4",
		"DELETE WHERE seq = 4",
	} {
		t.Run(damage, func(t *testing.T) {
			if err := archive.Exec(t.Context(), "ALTER TABLE {table} "+damage+" SETTINGS mutations_sync = 2"); err != nil {
				t.Fatal(err)
			}
			if err := archive.Verify(t.Context(), whole); err == nil {
				t.Error("not noticed")
			}
			if err := archive.Insert(t.Context(), list[3:4], damage); err != nil {
				t.Fatal(err)
			}
			if err := archive.Verify(t.Context(), whole); err != nil {
				t.Fatalf("after it was mended: %v", err)
			}
		})
	}
	t.Run("an erasure is no change", func(t *testing.T) {
		if err := archive.Exec(t.Context(), "ALTER TABLE {table} UPDATE personal = '', salt = '' WHERE user = 'user-3' SETTINGS mutations_sync = 2"); err != nil {
			t.Fatal(err)
		}
		if err := archive.Verify(t.Context(), whole); err != nil {
			t.Error(err)
		}
	})
}
