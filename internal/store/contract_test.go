package store_test

import (
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/recordertest"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/readertest"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

func TestRecorderContract(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		recordertest.Run(t, func(t *testing.T) engine.Recorder { return storetest.Open(t, store.Config{Dir: t.TempDir()}) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		recordertest.Run(t, func(t *testing.T) engine.Recorder {
			return storetest.Open(t, store.Config{PostgreSQL: storetest.Postgres(t)})
		})
	})
}

func TestReaderContract(t *testing.T) {
	run := func(t *testing.T, config func(t *testing.T) store.Config) {
		readertest.Run(t, func(t *testing.T, log []events.Event) events.Reader {
			s := storetest.Open(t, config(t))
			if err := s.Import(t.Context(), log); err != nil {
				t.Fatal(err)
			}
			return s
		})
	}
	t.Run("SQLite", func(t *testing.T) {
		run(t, func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		run(t, func(t *testing.T) store.Config { return store.Config{PostgreSQL: storetest.Postgres(t)} })
	})
}
