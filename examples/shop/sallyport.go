package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// sallyport calls the four endpoints that an integration needs.
type sallyport struct {
	url, secret string
	http        http.Client
}

type track struct {
	IdempotencyKey     string         `json:"idempotencyKey"`
	RedirectURL        string         `json:"redirectUrl"`
	RedirectToSettings bool           `json:"redirectToSettings,omitempty"`
	Scope              string         `json:"scope,omitempty"`
	Email              string         `json:"email"`
	Username           string         `json:"username"`
	IPAddress          string         `json:"ipAddress"`
	UserAgent          string         `json:"userAgent"`
	DeviceID           string         `json:"deviceId,omitempty"`
	Custom             map[string]any `json:"custom,omitempty"`
}

type tracked struct {
	State string `json:"state"`
	URL   string `json:"url"`
}

func (c *sallyport) track(r *http.Request, who person, action string, t track) (tracked, error) {
	t.Email, t.Username, t.UserAgent = who.Email, who.Email, r.UserAgent()
	t.IPAddress, _, _ = net.SplitHostPort(r.RemoteAddr)
	if device, err := r.Cookie("shop_device"); err == nil {
		t.DeviceID = device.Value
	}
	var answer tracked
	err := c.call(r.Context(), http.MethodPost, "/v1/users/"+who.ID+"/actions/"+action, t, &answer)
	return answer, err
}

type validated struct {
	IsValid        bool   `json:"isValid"`
	State          string `json:"state"`
	UserID         string `json:"userId"`
	Action         string `json:"action"`
	IdempotencyKey string `json:"idempotencyKey"`
}

func (c *sallyport) validate(ctx context.Context, token string) (validated, error) {
	var answer validated
	err := c.call(ctx, http.MethodPost, "/v1/validate", map[string]string{"token": token}, &answer)
	return answer, err
}

func (c *sallyport) state(ctx context.Context, user, action, key string) (string, error) {
	var answer tracked
	err := c.call(ctx, http.MethodGet, "/v1/users/"+user+"/actions/"+action+"/"+key, nil, &answer)
	return answer.State, err
}

// authenticator is one way to prove who it is.
type authenticator struct {
	Method         string    `json:"verificationMethod"`
	Email          string    `json:"email"` // that codes go to
	CreatedAt      time.Time `json:"createdAt"`
	LastVerifiedAt time.Time `json:"lastVerifiedAt"`
	Credential     struct {
		Name       string `json:"name"`
		DeviceType string `json:"credentialDeviceType"` // multiDevice when synced
	} `json:"webauthnCredential"`
}

// Name is what people call it.
func (a authenticator) Name() string {
	switch a.Method {
	case "AUTHENTICATOR_APP":
		return "Authenticator app"
	case "EMAIL_OTP":
		return "Codes to " + a.Email
	case "RECOVERY_CODE":
		return "Recovery codes"
	}
	return cmp.Or(a.Credential.Name, "Passkey")
}

func (c *sallyport) authenticators(ctx context.Context, user string) ([]authenticator, error) {
	var answer []authenticator
	err := c.call(ctx, http.MethodGet, "/v1/users/"+user+"/authenticators", nil, &answer)
	return answer, err
}

func (c *sallyport) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	request.SetBasicAuth(c.secret, "")
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("call sallyport: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 2000)) // for the log only
		return fmt.Errorf("sallyport answered %s: %s", response.Status, text)
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return nil
}
