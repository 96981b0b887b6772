package memory_test

import (
	"testing"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/memory"
	"github.com/sallyport/sallyport/engine/recordertest"
)

func TestRecorder(t *testing.T) {
	recordertest.Run(t, func(*testing.T) engine.Recorder { return memory.New() })
}
