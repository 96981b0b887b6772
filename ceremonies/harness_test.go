package ceremonies_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
)

// wantRefused checks that err is a refusal with this code and reason.
func wantRefused(t *testing.T, err error, code, reason string) *ceremonies.RefusedError {
	t.Helper()
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("got error %v, want a refusal for %s", err, reason)
	}
	if refused.Code != code || refused.Reason != reason {
		t.Fatalf("refused with %s for %s, want %s for %s (%v)", refused.Code, refused.Reason, code, reason, refused.Err)
	}
	return refused
}

// edit changes one field inside "response" of an answer, decoded from base64url.
func edit(t *testing.T, answer []byte, field string, change func([]byte) []byte) []byte {
	t.Helper()
	var parsed map[string]any
	if err := json.Unmarshal(answer, &parsed); err != nil {
		t.Fatal(err)
	}
	response := parsed["response"].(map[string]any)
	raw, err := base64.RawURLEncoding.DecodeString(response[field].(string))
	if err != nil {
		t.Fatal(err)
	}
	response[field] = base64.RawURLEncoding.EncodeToString(change(raw))
	out, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// with is a grant with other scopes.
func with(grant ceremonies.Grant, scopes string) ceremonies.Grant {
	grant.Scopes = scopes
	return grant
}
