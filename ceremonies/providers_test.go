package ceremonies_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
)

func TestProvidersHaveNamesAndIcons(t *testing.T) {
	p, err := ceremonies.LoadProviders()
	if err != nil {
		t.Fatal(err)
	}
	const known = "fbfc3007-154e-4ecc-8c0b-6e020557d7bd"
	if p.Name(known) != "iCloud Keychain" || p.Name("00000000-0000-0000-0000-000000000000") != "" {
		t.Errorf("names %q and %q", p.Name(known), p.Name("00000000-0000-0000-0000-000000000000"))
	}
	light, dark := p.Icon(known, false), p.Icon(known, true)
	if !strings.HasPrefix(light, "data:image/svg+xml;base64,") || light == dark || p.Icon("unknown", false) != "" {
		t.Errorf("icons %q and %q", light, dark)
	}
}

func TestProvidersAreReadFromTheCommunitysList(t *testing.T) {
	const own, picture = "fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "data:image/png;base64,AAAA"
	p, err := ceremonies.ReadProviders(strings.NewReader(`{
		"` + strings.ToUpper(own) + `": {"name": "Apple Passwords", "icon_light": "` + picture + `"},
		"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": {"name": "Google", "icon_dark": "https://tracker.example/x.svg"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name(own) != "Apple Passwords" || p.Icon(own, false) != picture || p.Icon(own, true) != picture {
		t.Errorf("%q, %q", p.Name(own), p.Icon(own, true))
	}
	if icon := p.Icon("ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", true); !strings.HasPrefix(icon, "data:image/svg+xml;base64,") {
		t.Errorf("an address elsewhere is an icon: %q", icon)
	}
	if p.Name("bada5566-a7aa-401f-bd96-45619a55120d") != "1Password" {
		t.Error("what ships is gone")
	}
	for name, text := range map[string]string{"no JSON": "x", "no AAGUID": `{"x":{"name":"y"}}`, "no name": `{"` + own + `":{}}`} {
		if _, err := ceremonies.ReadProviders(strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
