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
// when there is none. Browsers read at most protocol.MaximumRelatedOriginLabels names
// of domains; left are the origins beyond that, which work for everything else.
func relatedOrigins(id string, origins []string) (document []byte, left []string, err error) {
	var foreign []string
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" || u.Hostname() == id || strings.HasSuffix(u.Hostname(), "."+id) {
			continue
		}
		if _, err := protocol.NewRelatedOrigins(append(foreign, origin)...); err != nil {
			left = append(left, origin)
			continue
		}
		foreign = append(foreign, origin)
	}
	if len(foreign) == 0 {
		return nil, left, nil
	}
	if document, err = json.Marshal(protocol.RelatedOrigins{Origins: foreign}); err != nil {
		return nil, nil, fmt.Errorf("write related origins: %w", err)
	}
	return append(document, '\n'), left, nil
}

// wellKnown answers with the document. It is the same for everybody and changes with
// the configuration alone.
func (s *Server) wellKnown(k *call) error {
	if s.related == nil {
		return notFound("No other origin uses the passkeys of this server.")
	}
	return k.write(200, s.related)
}
