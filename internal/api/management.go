package api

import (
	"fmt"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
)

// inviteOperator makes a link with which one person can register for the console.
func (s *Server) inviteOperator(k *call) error {
	var request struct {
		Role operators.Role `json:"role"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	secret, expires, err := s.config.Operators.Invite(ctx, request.Role, events.ByManagement)
	if err != nil {
		return fmt.Errorf("invite operator: %w", err)
	}
	return k.ok(struct {
		URL     string   `json:"url"`
		Expires wireTime `json:"expires"`
	}{InviteURL(s.config.PublicURL, secret), wireTime(expires)})
}

// InviteURL is the link that an invited operator opens. The secret stands in the
// fragment, which browsers keep to themselves.
func InviteURL(publicURL, secret string) string {
	return publicURL + "/console/register#invite=" + secret
}
