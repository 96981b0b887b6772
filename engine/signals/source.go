// Package signals turns what an action carries, and what is kept of the person,
// into facts. Each family is one file: person, phone, passkeys, device, address,
// travel and local time.
//
//	source, err := signals.Open(signals.Config{Folder: "lib", IPData: []string{"lib"}})
//	defer source.Close()
//	engine.New(engine.Config{Signals: []engine.Signals{source}, ...})
//
// What cannot be known stays unknown: without a file, its facts are unknown,
// never zero and never false. To add a family, add its fields to rules.Facts, a
// file here that fills them in, and its call to Facts.
package signals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals/ipdata"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/rules"
)

// The files in Config.Folder.
const (
	ProvidersFile = "passkey-providers.json" // names by AAGUID
	ZonesFile     = "timezones.txt"          // time zones by place
	CrawlersFile  = "crawlers.txt"           // patterns of user agents
)

// Config says where the data of the sources are. The zero value has none.
type Config struct {
	// Folder holds the files above. Without one of them its facts are unknown, or
	// less is recognised; Status tells so.
	Folder string
	// IPData are files and folders, see ipdata.Config.
	IPData []string
	// AtypicalKm is the distance, in kilometres, beyond which travel is atypical;
	// 0 means DefaultAtypicalKm.
	AtypicalKm float64
	// ImpossibleKmh is the speed, in kilometres per hour, beyond which travel is
	// impossible; 0 means DefaultImpossibleKmh.
	ImpossibleKmh float64
	// Every is the time between two looks at the IP data, 0 for
	// ipdata.DefaultEvery.
	Every time.Duration
	// Changed, if not nil, is told what came of new IP data.
	Changed func(status string, err error)
}

// Source is every built-in family of signals. It is safe for concurrent use.
type Source struct {
	agents    recent.Map[string, agent]
	phones    recent.Map[string, string]
	crawlers  crawlers
	providers providers
	zones     zones
	travel    travel
	data      *ipdata.Data
	missing   []string // files of the folder
}

var (
	_ engine.Immediate = (*Source)(nil)
	_ engine.Versioned = (*Source)(nil)
)

// Open reads the files. It fails on a file that is there but cannot be read; a
// file that is not there is told by Status.
func Open(config Config) (*Source, error) {
	if config.AtypicalKm < 0 || config.ImpossibleKmh < 0 {
		return nil, errors.New("open signals: a threshold of travel is negative")
	}
	if config.AtypicalKm == 0 {
		config.AtypicalKm = DefaultAtypicalKm
	}
	if config.ImpossibleKmh == 0 {
		config.ImpossibleKmh = DefaultImpossibleKmh
	}
	s := &Source{travel: travel{config.AtypicalKm, config.ImpossibleKmh}}
	if err := s.openFolder(config.Folder); err != nil {
		return nil, fmt.Errorf("open signals: %w", err)
	}
	var err error
	s.data, err = ipdata.Open(ipdata.Config{Sources: config.IPData, Every: config.Every, Changed: config.Changed})
	if err != nil {
		return nil, fmt.Errorf("open signals: %w", err)
	}
	return s, nil
}

// openFolder reads the files of the folder that are there.
func (s *Source) openFolder(folder string) error {
	for _, file := range []struct {
		name string
		read func(io.Reader) error
	}{
		{ProvidersFile, s.readProviders},
		{ZonesFile, s.zones.read},
		{CrawlersFile, s.crawlers.read},
	} {
		opened, err := os.Open(filepath.Join(folder, file.name))
		if folder == "" || errors.Is(err, fs.ErrNotExist) {
			s.missing = append(s.missing, file.name)
			continue
		}
		if err != nil {
			return err
		}
		err = errors.Join(file.read(opened), opened.Close())
		if err != nil {
			return fmt.Errorf("read %s: %w", opened.Name(), err)
		}
	}
	return nil
}

// Facts implements engine.Signals.
func (s *Source) Facts(_ context.Context, action *engine.Action, profile *engine.Profile, facts *rules.Facts) error {
	facts.Custom = action.Custom
	s.userFacts(action, profile, facts)
	s.passkeyFacts(profile, facts)
	s.deviceFacts(action, profile, facts)
	return s.addressFacts(action, profile, facts)
}

// Immediate implements engine.Immediate: the files are in memory.
func (s *Source) Immediate() {}

// Version implements engine.Versioned: it names the IP data in use, see
// ipdata.Data.Version.
func (s *Source) Version() string { return s.data.Version() }

// Run takes up IP data that changes, until ctx ends. Without it the data that
// Open read stay in use.
func (s *Source) Run(ctx context.Context) error { return s.data.Run(ctx) }

// Rest gives memory back to the system that the next actions may need again.
func (s *Source) Rest() error { return s.data.Rest() }

// Status describes the data in one line: which are in use, what is unknown for
// lack of data, and what is wrong.
func (s *Source) Status() string {
	status := s.data.Status()
	if len(s.missing) > 0 {
		status += "; not there: " + strings.Join(s.missing, ", ")
	}
	return status
}

// Health is Status with its weight: degraded when IP data cannot be used, though
// there are some.
func (s *Source) Health() events.Health {
	health := events.Health{Status: events.StatusOK, Detail: s.Status()}
	if s.data.Problem() {
		health.Status = events.StatusDegraded
	}
	return health
}

// Close gives the data back. No call of Facts may run or follow.
func (s *Source) Close() error { return s.data.Close() }
