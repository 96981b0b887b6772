package main_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
	"github.com/sallyport/sallyport/events"
)

func TestCeremonySettingsAreRead(t *testing.T) {
	got := load(t, map[string]string{
		"SALLYPORT_METHODS": "passkey, EMAIL_OTP", "SALLYPORT_MAIL": "smtp://user:word@mail.example", "SALLYPORT_ALGORITHMS": "EdDSA",
		"SALLYPORT_PASSKEY_HINTS": "hybrid,security-key", "SALLYPORT_SIGN_COUNT": "accept", "SALLYPORT_NEWLY_SYNCED": "refuse",
		"SALLYPORT_FRAME_ORIGINS": "https://shop.example/", "SALLYPORT_APP_ORIGINS": "android:apk-key-hash:abc", "SALLYPORT_PASSKEY_PROMPT": "12h",
		"SALLYPORT_USER_VERIFICATION": "preferred",
	}, nil).Ceremonies
	want := sallyport.CeremonySettings{
		Methods: []events.Method{events.MethodPasskey, events.MethodEmailOTP}, Mail: "smtp://user:word@mail.example", Algorithms: []int{-8},
		Hints: []string{"hybrid", "security-key"}, RefuseNewlySynced: true, FrameOrigins: []string{"https://shop.example"},
		AppOrigins: []string{"android:apk-key-hash:abc"}, PromptEvery: 12 * 3600 * 1e9, UserVerification: "preferred", Attestation: "none",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestCeremonySettingsAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a method that there is not":     {map[string]string{"SALLYPORT_METHODS": "PASSKEY,SMS"}, `"SMS" must be one of`},
		"no passkeys":                    {map[string]string{"SALLYPORT_METHODS": "RECOVERY_CODE"}, "must hold PASSKEY"},
		"codes by mail without mail":     {map[string]string{"SALLYPORT_METHODS": "PASSKEY,EMAIL_OTP"}, "EMAIL_OTP needs mail"},
		"attestation without metadata":   {map[string]string{"SALLYPORT_ATTESTATION": "required"}, "needs attestation-metadata"},
		"a metadata file that is not":    {map[string]string{"SALLYPORT_ATTESTATION_METADATA": "/nowhere"}, "must be a file that can be read"},
		"an algorithm that there is not": {map[string]string{"SALLYPORT_ALGORITHMS": "HS256"}, `"HS256" is not a signature`},
		"a hint that there is not":       {map[string]string{"SALLYPORT_PASSKEY_HINTS": "phone"}, "must be one of security-key, client-device, hybrid"},
		"a frame with a path":            {map[string]string{"SALLYPORT_FRAME_ORIGINS": "https://shop.example/cart"}, "without a path"},
		"an app that there is not":       {map[string]string{"SALLYPORT_APP_ORIGINS": "foo"}, `"foo" must be the origin of an app`},
		"a prompt that never comes":      {map[string]string{"SALLYPORT_PASSKEY_PROMPT": "off"}, "must be a time such as 7d"},
		"another verification":           {map[string]string{"SALLYPORT_USER_VERIFICATION": "always"}, "must be one of required, preferred, discouraged"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sallyport.LoadConfig(environment(row.env), nil)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
