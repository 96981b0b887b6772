// Package signals turns what an action carries into facts: about the person,
// the device and the network address. Each family is one file.
//
//	source, err := signals.Open(signals.Config{IPDatabase: "ip-country.mmdb"})
//	defer source.Close()
//	engine.New(engine.Config{Signals: []engine.Signals{source}, ...})
//
// To add a family, add its fields to rules.Facts, a file here that fills them
// in, and its call to Facts.
package signals

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// Config says where the data of the sources are.
type Config struct {
	// IPDatabase is the path of an MMDB file that maps addresses to countries.
	// Without it, or when there is no such file, countries are unknown.
	IPDatabase string
}

// Source is every built-in family of signals. It is safe for concurrent use.
type Source struct {
	agents    agentCache
	countries countries
}

// Open reads the databases. It fails on a file that is there but cannot be read
// as an IP database; a file that is not there is told by Status.
func Open(config Config) (*Source, error) {
	c, err := openCountries(config.IPDatabase)
	if err != nil {
		return nil, fmt.Errorf("open signals: %w", err)
	}
	return &Source{countries: c}, nil
}

// Facts implements engine.Signals.
func (s *Source) Facts(_ context.Context, action *engine.Action, profile *engine.Profile, facts *rules.Facts) error {
	userFacts(action, profile, facts)
	s.deviceFacts(action, profile, facts)
	return s.addressFacts(action, facts)
}

// Immediate implements engine.Immediate: the databases are in memory.
func (s *Source) Immediate() {}

// Status describes the IP database in one line, or why there is none.
func (s *Source) Status() string { return s.countries.status }

// Close gives the databases back. No call of Facts may run or follow.
func (s *Source) Close() error { return s.countries.close() }
