package ceremonies_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// crowd runs n calls, up to 64 at once, so that neighbours meet, and returns their errors.
func crowd(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(n, 64) {
		wait.Go(func() {
			<-start
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = call(i)
			}
		})
	}
	close(start)
	wait.Wait()
	return errs
}

// tally counts refusals by their reason; "" is success. Anything else than a refusal
// fails the test.
func tally(t *testing.T, errs []error) map[string]int {
	t.Helper()
	reasons := map[string]int{}
	for i, err := range errs {
		var refused *ceremonies.RefusedError
		switch {
		case err == nil:
			reasons[""]++
		case errors.As(err, &refused):
			reasons[refused.Reason]++
		default:
			t.Fatalf("call %d: %v; want a refusal", i, err)
		}
	}
	return reasons
}

// log reads every event of a world.
func log(w *ceremonytest.World) []events.Event {
	w.Helper()
	return logAfter(w, events.Position{})
}

// logAfter reads the events of a world after a position.
func logAfter(w *ceremonytest.World, after events.Position) []events.Event {
	w.Helper()
	var all []events.Event
	for {
		run, err := w.Store.EventsAfter(w.Context(), after, 1000)
		if err != nil {
			w.Fatal(err)
		}
		if len(run) == 0 {
			return all
		}
		all = append(all, run...)
		after = all[len(all)-1].Position
	}
}

// end is the position of a world's newest event.
func end(w *ceremonytest.World) events.Position {
	w.Helper()
	all := log(w)
	if len(all) == 0 {
		return events.Position{}
	}
	return all[len(all)-1].Position
}

// steps are the ceremony steps of a kind, of the whole log or what is given of it.
func steps(t *testing.T, log []events.Event, kind events.Kind) []*events.Ceremony {
	t.Helper()
	var found []*events.Ceremony
	for _, e := range log {
		if e.Kind != kind {
			continue
		}
		record, err := e.Decode()
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, record.(*events.Ceremony))
	}
	return found
}

// reasons counts the failed steps of a log by reason.
func reasons(t *testing.T, log []events.Event) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, step := range steps(t, log, events.KindCeremonyFailed) {
		counts[step.Reason]++
	}
	return counts
}

// another is a code of six digits that is not the right one.
func another(code string) string {
	if code == "123456" {
		return "654321"
	}
	return "123456"
}

// of is the person's only authenticator of a method.
func of(w *ceremonytest.World, user events.UserID, method events.Method) ceremonies.Authenticator {
	w.Helper()
	for _, a := range w.Account(user).Authenticators {
		if a.Method == method {
			return a
		}
	}
	w.Fatalf("%s has no authenticator of the method %s", user, method)
	return ceremonies.Authenticator{}
}

// send sends a code for a question and returns its challenge and the code.
func send(w *ceremonytest.World, grant ceremonies.Grant, question ceremonies.Ask) (events.ChallengeID, string) {
	w.Helper()
	sent, err := w.RP.SendCode(w.Context(), grant, question, ceremonies.Client{})
	if err != nil {
		w.Fatal(err)
	}
	return sent.Challenge, w.Mail.Code()
}
