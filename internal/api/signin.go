package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

// A client without a token may sign somebody in with a passkey: which one it is says
// who it is. The action begins with its proof.

// defaultSignIn is what a sign-in is called where the client does not say, as with
// autofill.
const defaultSignIn = "sign-in"

// nameAction answers with an id that carries what an action is called to the options
// that are asked for next. It keeps nothing, so that a caller without a token fills
// no table here, and is not signed: it says nothing but what its caller has just
// said.
//
// The idempotencyKey of a sign-in is never the client's: whoever could choose it
// would have an action decided and proven before the backend tracks it, and the
// backend's track, which returns what is recorded, would find it proven.
func (s *Server) nameAction(k *call) error {
	var request struct {
		Action string `json:"action"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	if k.grant.Use != "" { // it is the token that says which action
		request.Action = k.grant.Action.Code
	}
	if !isActionCode(request.Action) {
		return invalidField("action", actionCodeText)
	}
	return k.ok(struct {
		ChallengeID string `json:"challengeId"`
	}{namePrefix + base64.RawURLEncoding.EncodeToString([]byte(request.Action))})
}

// namePrefix tells these ids from those of challenges.
const namePrefix = "action."

// namedAction is what nameAction put into an id.
func namedAction(id string) (string, error) {
	if id == "" {
		return defaultSignIn, nil
	}
	encoded, found := strings.CutPrefix(id, namePrefix)
	code, err := base64.RawURLEncoding.DecodeString(encoded)
	if !found || err != nil || !isActionCode(string(code)) {
		return "", invalidField("challengeId", "is not one that POST /v1/client/challenge returned.")
	}
	return string(code), nil
}

const actionCodeText = "must be 1 to 64 letters, digits, dashes and underscores."

// isActionCode reports whether a text is an action code (CONTRACT 1.5).
func isActionCode(code string) bool {
	return len(code) > 0 && len(code) <= 64 &&
		strings.Trim(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// signInOptions asks for any passkey of this server. A username makes no difference:
// an answer that followed from it would tell strangers who has a passkey.
func (s *Server) signInOptions(k *call) error {
	var request struct {
		ChallengeID string `json:"challengeId"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	code, err := namedAction(request.ChallengeID)
	if err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginSignIn(ctx, code, rand.Text())
	if err != nil {
		return fmt.Errorf("sign-in options: %w", err)
	}
	return k.ok(wireOptions{ChallengeID: begun.Challenge, Options: begun.Options})
}

// signIn finishes a sign-in. Where the rules do not let it go on, nobody is signed in
// and the token is good for asking why.
func (s *Server) signIn(k *call, id events.ChallengeID, answer json.RawMessage, client ceremonies.Client) error {
	ctx, cancel := k.within()
	defer cancel()
	address := ""
	if client.Address.IsValid() {
		address = client.Address.String()
	}
	proof, err := s.config.Party.FinishSignIn(ctx, id, answer, client, s.tracking(k, engine.Action{
		IP: address, UserAgent: client.UserAgent, DeviceID: client.DeviceID,
	}))
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	out := verified(proof.Token, proof.Authenticator, proof.Account)
	out.IsVerified = proof.State == events.StateChallengeSucceeded
	return k.ok(out)
}

// tracking has an action that begins with its proof decided by the rules. What is
// given is what is known of it.
func (s *Server) tracking(k *call, action engine.Action) ceremonies.Track {
	return func(ctx context.Context, id events.ActionID) error {
		action.ActionID, action.SignIn = id, true
		decision, err := s.config.Engine.Track(ctx, action)
		var input *engine.InputError
		switch {
		case errors.As(err, &input):
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
		}
		k.outcome = string(decision.Outcome)
		s.metrics.decided(&decision)
		return nil
	}
}
