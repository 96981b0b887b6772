package api

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// registrationOptions begins to add a passkey.
func (s *Server) registrationOptions(k *call) error {
	var request struct {
		Username    string  `json:"username"`
		DisplayName string  `json:"displayName"`
		Attachment  *string `json:"authenticatorAttachment"` // null and absent mean any (CONTRACT 0.10)
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	for field, value := range map[string]string{"username": request.Username, "displayName": request.DisplayName} {
		if err := checkText(field, value, maxAttribute); err != nil {
			return err
		}
	}
	begun, err := s.beginEnrolment(k, ceremonies.EnrolOptions{
		Username: request.Username, DisplayName: request.DisplayName, Attachment: request.Attachment,
	})
	if err != nil {
		return err
	}
	return k.ok(wireOptions{ChallengeID: begun.Challenge, Options: begun.Options})
}

func (s *Server) beginEnrolment(k *call, options ceremonies.EnrolOptions) (ceremonies.Enrolment, error) {
	if err := k.begins(); err != nil {
		return ceremonies.Enrolment{}, err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginEnrolment(ctx, k.grant, options)
	if err != nil {
		return ceremonies.Enrolment{}, fmt.Errorf("registration options: %w", err)
	}
	return begun, nil
}

// addPasskey finishes to add a passkey.
func (s *Server) addPasskey(k *call) error {
	var request struct {
		Credential  json.RawMessage    `json:"registrationCredential"`
		ChallengeID events.ChallengeID `json:"challengeId"`
		DeviceID    string             `json:"deviceId"`
		Conditional bool               `json:"conditionalCreate"` // the browser made it without asking
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	client, err := k.answered("registrationCredential", request.Credential, request.ChallengeID, request.DeviceID)
	if err != nil {
		return err
	}
	finish := s.config.Party.FinishEnrolment
	if request.Conditional {
		finish = s.config.Party.FinishConditionalEnrolment
	}
	ctx, cancel := k.within()
	defer cancel()
	enrolled, err := finish(ctx, k.grant, request.ChallengeID, request.Credential, client)
	if err != nil {
		return fmt.Errorf("add passkey: %w", err)
	}
	return k.ok(s.enrolled(enrolled))
}

// authenticationOptions begins to prove the token's action, or, without a token, to
// sign in.
func (s *Server) authenticationOptions(k *call) error {
	if k.grant.Use == "" {
		return s.signInOptions(k)
	}
	begun, err := s.beginStepUp(k, events.MethodPasskey)
	if err != nil {
		return err
	}
	return k.ok(wireOptions{ChallengeID: begun.Challenge, Options: begun.Options})
}

func (s *Server) beginStepUp(k *call, method events.Method) (ceremonies.StepUp, error) {
	if err := k.decode(&struct{}{}); err != nil { // what SDKs send in it says nothing more
		return ceremonies.StepUp{}, err
	}
	if err := k.begins(); err != nil {
		return ceremonies.StepUp{}, err
	}
	ctx, cancel := k.within()
	defer cancel()
	begun, err := s.config.Party.BeginStepUp(ctx, k.grant, ceremonies.Ask{Method: method})
	if err != nil {
		return ceremonies.StepUp{}, fmt.Errorf("authentication options: %w", err)
	}
	return begun, nil
}

// verifyPasskey finishes to prove the token's action, or, without a token, to sign
// in.
func (s *Server) verifyPasskey(k *call) error {
	var request struct {
		Credential  json.RawMessage    `json:"authenticationCredential"`
		ChallengeID events.ChallengeID `json:"challengeId"`
		DeviceID    string             `json:"deviceId"`
	}
	if err := k.decode(&request); err != nil {
		return err
	}
	client, err := k.answered("authenticationCredential", request.Credential, request.ChallengeID, request.DeviceID)
	if err != nil {
		return err
	}
	if k.grant.Use == "" {
		return s.signIn(k, request.ChallengeID, request.Credential, client)
	}
	ctx, cancel := k.within()
	defer cancel()
	proof, err := s.config.Party.FinishStepUp(ctx, k.grant, request.ChallengeID, request.Credential, client)
	if err != nil {
		return fmt.Errorf("verify passkey: %w", err)
	}
	return k.ok(verified(proof.Token, proof.Authenticator, proof.Account))
}

// answered checks the parts that all answers of passkeys share.
func (k *call) answered(field string, credential json.RawMessage, challenge events.ChallengeID, device string) (ceremonies.Client, error) {
	if len(credential) == 0 || credential[0] != '{' {
		return ceremonies.Client{}, invalidField(field, noCredential)
	}
	if err := checkID("challengeId", string(challenge)); err != nil {
		return ceremonies.Client{}, err
	}
	return k.client(device)
}

// noCredential is told to clients that send no answer of a passkey.
const noCredential = "is missing. Send what navigator.credentials returned, as JSON."
