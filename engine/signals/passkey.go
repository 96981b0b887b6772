package signals

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// passkeyFacts describe the passkeys of the person.
func (s *Source) passkeyFacts(profile *engine.Profile, facts *rules.Facts) {
	p := &facts.Passkey
	p.Count = int64(len(profile.Passkeys))
	var newest, oldest, lastUse, latest time.Time
	var latestMake string
	for i := range profile.Passkeys {
		key := &profile.Passkeys[i]
		if key.Synced {
			p.SyncedCount++
		} else {
			p.DeviceBoundCount++
		}
		p.SignCountRegressed = p.SignCountRegressed || key.Regressed
		if key.CreatedAt.After(newest) {
			newest = key.CreatedAt
		}
		if i == 0 || key.CreatedAt.Before(oldest) {
			oldest = key.CreatedAt
		}
		if key.LastUsedAt.After(lastUse) {
			lastUse = key.LastUsedAt
		}
		// Adding a passkey is its first use.
		use := key.LastUsedAt
		if use.Before(key.CreatedAt) {
			use = key.CreatedAt
		}
		if i == 0 || use.After(latest) {
			latest, latestMake = use, key.AAGUID
		}
	}
	if !oldest.IsZero() {
		p.OldestAgeHours = hoursSince(facts.Now, oldest)
	}
	if !newest.IsZero() {
		p.NewestAgeHours = hoursSince(facts.Now, newest)
	}
	if !lastUse.IsZero() {
		p.HoursSinceUse = hoursSince(facts.Now, lastUse)
	}
	p.Provider = reported(s.providers.name(latestMake), "")
}

// providers names the makers of passkeys by AAGUID, the number of an
// authenticator's make (WebAuthn Level 3, section 6.4.1). nil names none.
type providers map[[16]byte]string

// maxProviderBytes bounds the file of providers, which has some 300 lines.
const maxProviderBytes = 4 << 20

// readProviders reads a JSON object of names by AAGUID.
func (s *Source) readProviders(r io.Reader) error {
	var names map[string]string
	if err := json.NewDecoder(io.LimitReader(r, maxProviderBytes)).Decode(&names); err != nil {
		return fmt.Errorf("passkey providers: %w", err)
	}
	s.providers = make(providers, len(names))
	for text, name := range names {
		id, ok := parseAAGUID(text)
		if !ok || name == "" {
			return fmt.Errorf("passkey providers: %.60q is not the AAGUID of a name", text)
		}
		s.providers[id] = name
	}
	delete(s.providers, [16]byte{}) // a passkey that hides its make has this one
	return nil
}

func (p providers) name(aaguid string) string {
	id, ok := parseAAGUID(aaguid)
	if !ok {
		return ""
	}
	return p[id]
}

// parseAAGUID reads a UUID.
func parseAAGUID(text string) (id [16]byte, ok bool) {
	if len(text) != 36 || strings.Count(text, "-") != 4 {
		return id, false
	}
	var digits [32]byte
	n := 0
	for i := range len(text) {
		if text[i] == '-' {
			continue
		}
		digits[n] = text[i]
		n++
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}
