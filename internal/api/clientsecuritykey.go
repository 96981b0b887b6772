package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// The calls for security keys send and take what WebAuthn names, with nothing around
// it (CONTRACT 2.2). So the challenge is found by its value, which the browser has
// put into the client data.

// securityKeyRegistrationOptions begins to add a security key.
func (s *Server) securityKeyRegistrationOptions(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	begun, err := s.beginEnrolment(k, ceremonies.EnrolOptions{Method: events.MethodSecurityKey})
	if err != nil {
		return err
	}
	return k.ok(begun.Options)
}

// addSecurityKey finishes to add a security key.
func (s *Server) addSecurityKey(k *call) error {
	client, id, answer, err := s.bareAnswer(k)
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	enrolled, err := s.config.Party.FinishEnrolment(ctx, k.grant, id, answer, client)
	if err != nil {
		return fmt.Errorf("add security key: %w", err)
	}
	return k.ok(s.enrolled(enrolled))
}

// securityKeyAuthenticationOptions begins to prove the token's action.
func (s *Server) securityKeyAuthenticationOptions(k *call) error {
	begun, err := s.beginStepUp(k, events.MethodSecurityKey)
	if err != nil {
		return err
	}
	return k.ok(begun.Options)
}

// verifySecurityKey finishes to prove the token's action.
func (s *Server) verifySecurityKey(k *call) error {
	client, id, answer, err := s.bareAnswer(k)
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	proof, err := s.config.Party.FinishStepUp(ctx, k.grant, id, answer, client)
	if err != nil {
		return fmt.Errorf("verify security key: %w", err)
	}
	return k.ok(verified(proof.Token, proof.Authenticator, proof.Account))
}

// bareAnswer reads an answer and finds its challenge. Whose challenge it is, is
// asked when it is taken.
func (s *Server) bareAnswer(k *call) (ceremonies.Client, events.ChallengeID, json.RawMessage, error) {
	fail := func(err error) (ceremonies.Client, events.ChallengeID, json.RawMessage, error) {
		return ceremonies.Client{}, "", nil, err
	}
	var answer json.RawMessage
	if err := k.decode(&answer); err != nil {
		return fail(err)
	}
	var read struct {
		Response struct {
			ClientData string `json:"clientDataJSON"`
		} `json:"response"`
	}
	var data struct {
		Challenge string `json:"challenge"`
	}
	err := errors.New("empty")
	if len(answer) > 0 {
		err = json.Unmarshal(answer, &read)
	}
	var value []byte
	if err == nil {
		value, err = decodeBase64(read.Response.ClientData)
	}
	if err == nil {
		err = json.Unmarshal(value, &data)
	}
	if err == nil {
		value, err = decodeBase64(data.Challenge)
	}
	if err != nil || len(value) == 0 {
		e := invalid("The answer " + noCredential)
		e.Cause = err
		return fail(e)
	}
	client, err := k.client("")
	if err != nil {
		return fail(err)
	}
	ctx, cancel := k.within()
	defer cancel()
	id, err := s.config.Store.ChallengeByValue(ctx, value)
	switch {
	case errors.Is(err, ceremonies.ErrNoChallenge):
		return fail(&ceremonies.RefusedError{Code: ceremonies.CodeInvalidRequest, Reason: ceremonies.ReasonChallengeUnknown, Err: err})
	case err != nil:
		return fail(fmt.Errorf("find challenge: %w", err))
	}
	return client, id, answer, nil
}
