package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport/internal/bench/process"
)

// attributes is the body of a track request, as the product decodes it.
type attributes struct {
	IdempotencyKey     string         `json:"idempotencyKey"`
	RedirectURL        string         `json:"redirectUrl"`
	RedirectToSettings *bool          `json:"redirectToSettings"`
	IPAddress          string         `json:"ipAddress"`
	UserAgent          string         `json:"userAgent"`
	DeviceID           string         `json:"deviceId"`
	Scope              string         `json:"scope"`
	Email              string         `json:"email"`
	PhoneNumber        string         `json:"phoneNumber"`
	Username           string         `json:"username"`
	Custom             map[string]any `json:"custom"`
	Locale             string         `json:"locale"`
}

// decision is the answer to a track request.
type decision struct {
	IdempotencyKey              string   `json:"idempotencyKey"`
	State                       string   `json:"state"`
	URL                         string   `json:"url"`
	Token                       string   `json:"token"`
	IsEnrolled                  bool     `json:"isEnrolled"`
	EnrolledVerificationMethods []string `json:"enrolledVerificationMethods"`
	AllowedVerificationMethods  []string `json:"allowedVerificationMethods"`
	RuleIDs                     []string `json:"ruleIds"`
}

// serveReference serves the bare handler on a free port, which it prints, until
// ctx ends. Address and token are as long as the product's.
func serveReference(ctx context.Context) error {
	token := strings.Repeat("eyJhbGciOiJIUzI1NiJ9", 22)
	url := "http://localhost:8080/challenge?c=" + token
	server := echo.New()
	server.HideBanner, server.HidePort = true, true
	server.POST("/v1/users/:user/actions/:action", func(c echo.Context) error {
		var in attributes
		if err := c.Bind(&in); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, decision{
			IdempotencyKey: in.IdempotencyKey, State: "ALLOW", URL: url, Token: token,
			EnrolledVerificationMethods: []string{}, AllowedVerificationMethods: []string{"PASSKEY"}, RuleIDs: []string{},
		})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server.Listener = listener
	fmt.Printf("http://%s\n", listener.Addr())
	go func() {
		<-ctx.Done()
		_ = server.Close() // nothing in flight is worth waiting for
	}()
	if err := server.Start(""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:(\d+)`)

// startReference starts this program again as the reference.
func startReference(ctx context.Context) (*process.Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find this program: %w", err)
	}
	p, err := process.Start(os.Environ(), self, referenceCommand)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := p.Find(ctx, address)
	if err != nil {
		p.Kill()
		return nil, "", fmt.Errorf("reference: %w", err)
	}
	return p, "127.0.0.1:" + found[1], nil
}
