package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
)

func TestFewCostlyCallsRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		request := func(ctx context.Context) *call {
			r := httptest.NewRequestWithContext(ctx, "POST", "/", nil)
			return &call{Context: echo.New().NewContext(r, httptest.NewRecorder()), server: &Server{}}
		}
		finish := make(chan struct{})
		busy := turns.costly(func(*call) error { <-finish; return nil })
		ended := make(chan error, costlyAtOnce)
		for range costlyAtOnce {
			go func() { ended <- busy(request(t.Context())) }()
		}
		synctest.Wait()

		began := time.Now()
		var refused *Error
		err := busy(request(t.Context()))
		if !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests || refused.RetryAfter == 0 {
			t.Errorf("one too many: %v", err)
		}
		if waited := time.Since(began); waited != costlyWait {
			t.Errorf("waited %s, want %s", waited, costlyWait)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := busy(request(gone)); !errors.Is(err, context.Canceled) {
			t.Errorf("who hung up: %v", err)
		}
		close(finish)
		for range costlyAtOnce {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := busy(request(t.Context())); err != nil {
			t.Errorf("when others are done: %v", err)
		}
	})
}
