package api

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/events"
)

// Limits of one import of passkeys (CONTRACT 7).
const (
	maxImported = 1000
	// MaxImportBody is the largest body of one import in bytes: 1,000 passkeys with
	// RSA keys and the longest credential ids have half of it.
	MaxImportBody = 4 << 20
	// importsAtOnce is how many passkeys are added at the same time. They share
	// transactions, so a few dozen cost little more than one.
	importsAtOnce = 64
)

// wireImport says what became of an import.
type wireImport struct {
	Total     int                 `json:"total"`
	Succeeded int                 `json:"succeeded"`
	Failed    int                 `json:"failed"`
	Failures  []wireImportFailure `json:"failures"`
}

// wireImportFailure is a passkey that was not taken over, in the order of the
// request.
type wireImportFailure struct {
	UserID           events.UserID `json:"userId"`
	CredentialID     string        `json:"credentialId"`
	ErrorCode        string        `json:"errorCode"`
	ErrorDescription string        `json:"errorDescription"`
}

// importRequest is a passkey of one of many users.
type importRequest struct {
	UserID events.UserID `json:"userId"`
	enrolRequest
}

// importAuthenticators takes over many passkeys at once. Each is taken over whole or
// not at all and has its own answer; the same import again changes nothing.
func (s *Server) importAuthenticators(k *call) error {
	var request struct {
		Authenticators []importRequest `json:"authenticators"`
	}
	if err := k.decodeUpTo(MaxImportBody, &request); err != nil {
		return err
	}
	list := request.Authenticators
	if len(list) == 0 || len(list) > maxImported {
		return invalidField("authenticators", fmt.Sprintf("must be 1 to %d passkeys.", maxImported))
	}
	ctx, cancel := k.withinCostly()
	defer cancel()
	failed := make([]*Error, len(list))
	turns := make(chan struct{}, importsAtOnce)
	var group sync.WaitGroup
	for i := range list {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			err := checkID("userId", string(list[i].UserID))
			if err == nil && list[i].VerificationMethod != events.MethodPasskey {
				err = invalidField("verificationMethod", "must be PASSKEY.")
			}
			if err == nil {
				_, err = s.takeOver(ctx, list[i].UserID, list[i].enrolRequest)
			}
			if err != nil {
				failed[i] = asError(err)
			}
		})
	}
	group.Wait()
	answer := wireImport{Total: len(list), Failures: []wireImportFailure{}}
	for i, e := range failed {
		if e == nil {
			answer.Succeeded++
			continue
		}
		if e.Status >= http.StatusInternalServerError {
			s.log.ErrorContext(ctx, "a passkey was not imported", "request", k.id, "code", e.Code, "cause", e.Error())
		}
		answer.Failed++
		answer.Failures = append(answer.Failures, wireImportFailure{
			UserID: list[i].UserID, CredentialID: list[i].CredentialID, ErrorCode: e.Code, ErrorDescription: e.Description,
		})
	}
	return k.ok(answer)
}
