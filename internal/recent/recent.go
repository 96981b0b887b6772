// Package recent remembers what was computed lately, in bounded memory.
package recent

import "sync"

// Map is a map that forgets what was not used lately. It has two generations:
// what was used since the last change of generations survives the next. The zero
// value holds at most 2,048 entries. It is safe for concurrent use.
type Map[K comparable, V any] struct {
	// Generation is how many entries one of the two generations holds, 0 for
	// 1,024. Set it before the first use.
	Generation int

	mu           sync.Mutex
	young, older map[K]V
}

// Get returns a value that is remembered.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, found := m.young[key]; found {
		return value, true
	}
	value, found := m.older[key]
	if found {
		m.keep(key, value)
	}
	return value, found
}

// Put remembers a value.
func (m *Map[K, V]) Put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(key, value)
}

func (m *Map[K, V]) keep(key K, value V) {
	limit := m.Generation
	if limit == 0 {
		limit = 1024
	}
	if m.young == nil || len(m.young) >= limit {
		m.young, m.older = make(map[K]V), m.young
	}
	m.young[key] = value
}
