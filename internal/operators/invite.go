package operators

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Invite makes a one-time invite for a role. The secret is returned once and
// only its hash is kept. By is the author as events name one (events.ByManagement
// or "operator:" and an id). It returns ErrRole for a role that does not exist.
func (d *Desk) Invite(ctx context.Context, role Role, by string) (secret string, expires time.Time, err error) {
	if !role.Valid() {
		return "", time.Time{}, ErrRole
	}
	now := d.now()
	secret, hash := newSecret()
	expires = now.Add(InviteTTL)
	event, err := change(events.KindOperatorInvited, Operator{Role: role}, by, now)
	if err != nil {
		return "", time.Time{}, err
	}
	if err := d.store.SaveInvite(ctx, Invite{Hash: hash, Role: role, By: by, Expires: expires}, event); err != nil {
		return "", time.Time{}, fmt.Errorf("save invite: %w", err)
	}
	return secret, expires, nil
}

// change is the event of one step in an operator's life. The name is personal.
func change(step events.Kind, operator Operator, by string, now time.Time) (events.Draft, error) {
	var personal events.Personal
	if operator.Name != "" {
		personal = events.Personal{events.PersonalName: operator.Name}
	}
	record := events.OperatorChanged{Step: step, Operator: operator.ID, Role: string(operator.Role), By: by}
	return events.NewDraft(record, personal, now)
}
