package signals_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/rules"
)

// AAGUIDs of makes that the community's list names.
const (
	apple     = "fbfc3007-154e-4ecc-8c0b-6e020557d7bd"
	google    = "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"
	bitwarden = "d548826e-79b4-db40-a3d8-11116f7e8349"
	yubikey   = "2fc0579f-8113-47ea-b116-bb5a8db9202a"
	hidden    = "00000000-0000-0000-0000-000000000000"
)

func TestPasskeys(t *testing.T) {
	s := open(t, signals.Config{Folder: lib(t)})
	ago := func(hours float64) time.Time { return now.Add(-time.Duration(hours * float64(time.Hour))) }
	for _, tt := range []struct {
		name     string
		passkeys []engine.Passkey
		want     rules.PasskeyFacts
	}{
		{"none", nil, rules.PasskeyFacts{}},
		{
			"one that was never used",
			[]engine.Passkey{{AAGUID: apple, Synced: true, CreatedAt: ago(2)}},
			rules.PasskeyFacts{
				Count: 1, SyncedCount: 1, Provider: rules.Known("Apple Passwords"),
				NewestAgeHours: rules.Known(2.0), OldestAgeHours: rules.Known(2.0),
			},
		},
		{
			"the provider is that of the passkey used last",
			[]engine.Passkey{
				{AAGUID: google, Synced: true, CreatedAt: ago(100), LastUsedAt: ago(1)},
				{AAGUID: yubikey, CreatedAt: ago(50), LastUsedAt: ago(40)},
				{AAGUID: bitwarden, Synced: true, CreatedAt: ago(5)},
			},
			rules.PasskeyFacts{
				Count: 3, SyncedCount: 2, DeviceBoundCount: 1, Provider: rules.Known("Google Password Manager"),
				NewestAgeHours: rules.Known(5.0), OldestAgeHours: rules.Known(100.0), HoursSinceUse: rules.Known(1.0),
			},
		},
		{
			"adding a passkey is using it",
			[]engine.Passkey{
				{AAGUID: google, CreatedAt: ago(100), LastUsedAt: ago(10)},
				{AAGUID: yubikey, CreatedAt: ago(5)},
			},
			rules.PasskeyFacts{
				Count: 2, DeviceBoundCount: 2, Provider: rules.Known("YubiKey 5 Series with NFC"),
				NewestAgeHours: rules.Known(5.0), OldestAgeHours: rules.Known(100.0), HoursSinceUse: rules.Known(10.0),
			},
		},
		{
			"a counter that has gone back, a make that is hidden, a clock that was set back",
			[]engine.Passkey{
				{AAGUID: apple, CreatedAt: ago(3), LastUsedAt: ago(2), Regressed: true},
				{AAGUID: hidden, CreatedAt: ago(-1)},
			},
			rules.PasskeyFacts{
				Count: 2, DeviceBoundCount: 2, SignCountRegressed: true,
				NewestAgeHours: rules.Known(0.0), OldestAgeHours: rules.Known(3.0), HoursSinceUse: rules.Known(2.0),
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			same(t, facts(t, s, engine.Action{}, engine.Profile{Passkeys: tt.passkeys}).Passkey, tt.want)
		})
	}
}

func TestPasskeyProviders(t *testing.T) {
	s := open(t, signals.Config{Folder: lib(t)})
	for aaguid, want := range map[string]string{
		apple:                                  "Apple Passwords",
		google:                                 "Google Password Manager",
		"bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
		"BADA5566-A7AA-401F-BD96-45619A55120D": "1Password",
		"dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "iCloud Keychain (Managed)",
		"08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
		bitwarden:                              "Bitwarden",
		yubikey:                                "YubiKey 5 Series with NFC",
		hidden:                                 "",
		"12345678-1234-1234-1234-123456789abc": "",
		"":                                     "",
		"apple":                                "",
		"zada5566-a7aa-401f-bd96-45619a55120d": "",
		"------------------------------------": "",
	} {
		t.Run(aaguid, func(t *testing.T) {
			passkeys := []engine.Passkey{{AAGUID: aaguid, CreatedAt: now}}
			got, known := facts(t, s, engine.Action{}, engine.Profile{Passkeys: passkeys}).Passkey.Provider.Get()
			if got != want || known != (want != "") {
				t.Errorf("got %q (known %v), want %q", got, known, want)
			}
		})
	}
}
