package signals

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// addressFacts describe the network address. Text that is no address leaves
// everything unknown.
func (s *Source) addressFacts(action *engine.Action, facts *rules.Facts) error {
	address, err := netip.ParseAddr(strings.TrimSpace(action.IP))
	if err != nil {
		return nil
	}
	// An IPv4 address inside IPv6 is the IPv4 address; a zone means nothing here.
	address = address.Unmap().WithZone("")
	facts.IP.Address = rules.Known(address.String())
	facts.IP.IsPrivate = rules.Known(isPrivate(address))
	country, err := s.countries.of(address)
	if err != nil {
		return err
	}
	if country != "" {
		facts.IP.CountryCode = rules.Known(country)
	}
	return nil
}

func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

// countries finds the country of an address. The zero value knows none.
type countries struct {
	reader *maxminddb.Reader
	status string
}

func openCountries(path string) (countries, error) {
	if path == "" {
		return countries{status: "no IP database is configured; countries are unknown"}, nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return countries{status: fmt.Sprintf("there is no IP database at %s; countries are unknown", path)}, nil
	}
	reader, err := maxminddb.Open(path)
	if err != nil {
		return countries{}, fmt.Errorf("read IP database %s: %w", path, err)
	}
	built := time.Unix(int64(reader.Metadata.BuildEpoch), 0).UTC().Format(time.DateOnly)
	return countries{
		reader: reader,
		status: fmt.Sprintf("IP database %s of %s, %d networks' nodes", filepath.Base(path), built, reader.Metadata.NodeCount),
	}, nil
}

// of returns the ISO 3166-1 alpha-2 code of the country, "" when unknown.
func (c countries) of(address netip.Addr) (string, error) {
	if c.reader == nil {
		return "", nil
	}
	found := c.reader.Lookup(address)
	var code string
	// Both layouts in use: flat, and MaxMind's own.
	for _, path := range [][]any{{"country_code"}, {"country", "iso_code"}} {
		if err := found.DecodePath(&code, path...); err != nil {
			return "", fmt.Errorf("look up country: %w", err)
		}
		if code != "" {
			break
		}
	}
	if len(code) != 2 {
		return "", nil
	}
	return strings.ToUpper(code), nil
}

func (c countries) close() error {
	if c.reader == nil {
		return nil
	}
	return c.reader.Close()
}
