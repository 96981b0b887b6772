package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
)

// relatedOrigins writes the document that lets pages of other domains use this
// relying party's passkeys (WebAuthn L3, section 5.11): the origins that are https
// and not under the relying party's own domain, which browsers let without it. Nil
// when there is none. Browsers read at most five names of domains, so more than that
// are an error: the rest would silently not work.
func relatedOrigins(id string, origins []string) ([]byte, error) {
	var foreign []string
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" || u.Hostname() == id || strings.HasSuffix(u.Hostname(), "."+id) {
			continue
		}
		foreign = append(foreign, origin)
	}
	if len(foreign) == 0 {
		return nil, nil
	}
	related, err := protocol.NewRelatedOrigins(foreign...)
	if err != nil {
		return nil, fmt.Errorf("origins outside of %s: %w", id, err)
	}
	document, err := json.Marshal(related)
	if err != nil {
		return nil, fmt.Errorf("origins outside of %s: %w", id, err)
	}
	return append(document, '\n'), nil
}

// wellKnown answers with the document. It is the same for everybody and changes with
// the configuration alone.
func (s *Server) wellKnown(k *call) error {
	if s.related == nil {
		return notFound("No other origin uses the passkeys of this server.")
	}
	return k.write(200, s.related)
}
