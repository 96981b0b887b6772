package api

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// receipt hands out the bytes that prove an action to anyone: `sallyport receipt
// verify` and ceremonies.VerifyReceipt check them without this server.
func (s *Server) receipt(k *call) error {
	id, err := k.action()
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	action, err := s.config.Store.TrackedAction(ctx, id)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return notFound("This user has no action with this code and idempotencyKey.")
	case err != nil:
		return fmt.Errorf("receipt: %w", err)
	case action.ProvenAt.IsZero():
		return notFound("This action was not proven, so there is no receipt.")
	}
	story, _, err := s.story(ctx, id)
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	for _, event := range slices.Backward(story) {
		if event.Kind != events.KindCeremonySucceeded {
			continue
		}
		record, err := event.Decode()
		if err != nil {
			return fmt.Errorf("receipt: %w", err)
		}
		c, ok := record.(*events.Ceremony)
		if !ok || c.Purpose != string(ceremonies.ForAction) && c.Purpose != string(ceremonies.ForSignIn) {
			continue // it allowed or changed something else
		}
		if len(c.Receipt) == 0 {
			return notFound("This action was proven by " + string(c.Method) + ", which leaves no receipt: only passkeys and security keys sign what they prove.")
		}
		receipt, err := ceremonies.ReceiptOf(event.Draft)
		if err != nil {
			e := notFound("The receipt of this action was erased together with its user.")
			e.Cause = err
			return e
		}
		return k.ok(receipt)
	}
	return notFound("This action's proof is not in the log any more.")
}
