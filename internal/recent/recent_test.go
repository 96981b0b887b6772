package recent_test

import (
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/recent"
)

func TestMap(t *testing.T) {
	t.Run("what is put can be got, and what is not cannot", func(t *testing.T) {
		var m recent.Map[string, int]
		if _, found := m.Get("a"); found {
			t.Error("found in an empty map")
		}
		m.Put("a", 1)
		m.Put("a", 2)
		if v, found := m.Get("a"); !found || v != 2 {
			t.Errorf("got %d, %v", v, found)
		}
	})
	t.Run("what is used stays, what is not goes", func(t *testing.T) {
		m := recent.Map[int, int]{Generation: 10}
		m.Put(-1, 1)
		m.Put(-2, 2)
		for i := range 100 {
			m.Put(i, i)
			if v, found := m.Get(-1); !found || v != 1 {
				t.Fatalf("after %d: got %d, %v", i, v, found)
			}
		}
		if _, found := m.Get(-2); found {
			t.Error("what was never used again is still there")
		}
		held := 0
		for i := range 100 {
			if _, found := m.Get(i); found {
				held++
			}
		}
		if held > 20 {
			t.Errorf("it holds %d of at most 20", held)
		}
	})
	t.Run("it is shared", func(t *testing.T) {
		m := recent.Map[int, int]{Generation: 100}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for i := range 5000 {
					if v, found := m.Get(i % 300); found && v != i%300 {
						t.Errorf("got %d for %d", v, i%300)
					}
					m.Put(i%300, i%300)
				}
			})
		}
		wait.Wait()
	})
}
