package ipdata

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/recent"
)

// DefaultEvery is the time between two looks at the files.
const DefaultEvery = 5 * time.Second

// Config says where the files are.
type Config struct {
	// Sources are files and folders. Of a folder, all files are read whose name
	// ends in .mmdb or .csv, in the order of their names. A file that ends in .csv
	// has ranges, any other is a database. Of two files that tell the same, the
	// first counts. What is not there is told by Status.
	Sources []string
	// Every is the time between two looks at the files, 0 for DefaultEvery.
	Every time.Duration
	// Changed, if not nil, is told what came of new files, in one line.
	Changed func(status string, err error)
}

// Data are the files in use. It is safe for concurrent use.
type Data struct {
	config Config

	use sync.RWMutex // held for reading while files are read, for writing while they change
	set *set         // nil once closed

	load sync.Mutex // one change at a time
	seen []source   // what the last attempt found, whatever came of it
}

// set is files that are used together. It does not change.
type set struct {
	files    []*file
	problems []string // what Status must tell
	version  string
	status   string
	told     Kinds // by ranges
	network  bool  // some database knows autonomous systems
	found    recent.Map[netip.Addr, Record]
}

// Open reads the files. It fails on a file that is there but cannot be used.
func Open(config Config) (*Data, error) {
	if config.Every == 0 {
		config.Every = DefaultEvery
	}
	d := &Data{config: config}
	sources, missing, err := survey(config.Sources)
	if err != nil {
		return nil, err
	}
	var files []*file
	var errs []error
	for _, s := range sources {
		f, err := openFile(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files = append(files, f)
	}
	if len(errs) > 0 {
		for _, f := range files {
			errs = append(errs, f.close())
		}
		return nil, errors.Join(errs...)
	}
	d.seen = sources
	d.set = newSet(files, missingProblems(missing))
	return d, nil
}

func missingProblems(missing []string) []string {
	var problems []string
	for _, path := range missing {
		problems = append(problems, "there is nothing at "+path)
	}
	return problems
}

func newSet(files []*file, problems []string) *set {
	s := &set{files: files, problems: problems}
	digest := fnv.New32a()
	var newest time.Time
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f.path))
		if f.ranges != nil {
			fmt.Fprintln(digest, f.ranges.digest)
			s.told |= f.ranges.told
			continue
		}
		m := f.database.reader.Metadata
		fmt.Fprintln(digest, m.DatabaseType, m.BuildEpoch, m.NodeCount, len(f.database.mapping))
		s.network = s.network || f.database.network
		if f.database.built.After(newest) {
			newest = f.database.built
		}
	}
	if len(files) > 0 {
		s.version = fmt.Sprintf("%08x", digest.Sum32())
		if !newest.IsZero() {
			s.version = newest.Format(time.DateOnly) + " " + s.version
		}
	}
	s.status = s.describe(names)
	return s
}

// describe tells in one line what is in use and what is not known for lack of it.
func (s *set) describe(names []string) string {
	if len(names) == 0 {
		return strings.Join(append([]string{"no IP data: places, networks and kinds of addresses are unknown"}, s.problems...), "; ")
	}
	told := s.told
	var country, place bool
	for _, f := range s.files {
		if f.ranges != nil && s.network {
			told |= f.ranges.byASN
		}
		if f.database != nil {
			told |= f.database.told
			country, place = country || f.database.country, place || f.database.place
		}
	}
	var lack []string
	for _, part := range []struct {
		name string
		has  bool
	}{{"countries", country}, {"places", place}, {"networks", s.network}} {
		if !part.has {
			lack = append(lack, part.name)
		}
	}
	if unknown := (Hosting | VPN | Tor | Proxy) &^ told; unknown != 0 {
		lack = append(lack, unknown.String())
	}
	text := "IP data of " + s.version + ": " + strings.Join(names, ", ")
	if len(lack) > 0 {
		text += "; unknown for lack of data: " + strings.Join(lack, ", ")
	}
	return strings.Join(append([]string{text}, s.problems...), "; ")
}

// Find returns what the files tell about an address, the zero value after Close.
// An IPv4 address must not be inside IPv6.
func (d *Data) Find(address netip.Addr) (Record, error) {
	d.use.RLock()
	defer d.use.RUnlock()
	if d.set == nil {
		return Record{}, nil
	}
	return d.set.find(address)
}

func (s *set) find(address netip.Addr) (Record, error) {
	if record, found := s.found.Get(address); found {
		return record, nil
	}
	record := Record{Told: s.told}
	for _, f := range s.files {
		if f.database == nil {
			record.Kinds |= f.ranges.Kinds(address)
			continue
		}
		if err := f.database.find(address, &record); err != nil {
			return Record{}, err
		}
	}
	if s.network { // without it nobody can tell whose address it is
		for _, f := range s.files {
			if f.ranges != nil {
				record.Told |= f.ranges.byASN
				record.Kinds |= f.ranges.KindsOfSystem(record.ASN)
			}
		}
	}
	s.found.Put(address, record)
	return record, nil
}

// Version names the files in use by the day when the newest database was made
// and a digest of all, "" when there are none. Equal files have equal versions
// on every machine.
func (d *Data) Version() string {
	d.use.RLock()
	defer d.use.RUnlock()
	if d.set == nil {
		return ""
	}
	return d.set.version
}

// Status describes the files in one line: which are in use, what is unknown for
// lack of them, and what is wrong.
func (d *Data) Status() string {
	d.use.RLock()
	defer d.use.RUnlock()
	if d.set == nil {
		return "closed"
	}
	return d.set.status
}

// Problem tells whether there are files that cannot be used; the ones before
// them are used instead.
func (d *Data) Problem() bool {
	d.use.RLock()
	defer d.use.RUnlock()
	return d.set != nil && len(d.set.files) > 0 && len(d.set.problems) > 0
}

// Run looks at the files until ctx ends and takes up what has changed. A change
// is taken up once two looks have found the same, so that a file that is still
// being written is left alone.
func (d *Data) Run(ctx context.Context) error {
	tick := time.NewTicker(d.config.Every)
	defer tick.Stop()
	var last []source
	blind := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		sources, missing, err := survey(d.config.Sources)
		if err != nil {
			if !blind && d.config.Changed != nil { // once; the files in use stay
				d.config.Changed(d.Status(), err)
			}
			last, blind = nil, true
			continue
		}
		blind = false
		if sameSources(sources, last) {
			d.take(sources, missing)
		}
		last = sources
	}
}

// Reload takes up at once what has changed. A file that cannot be used leaves
// the one that it replaces in use; the error and Status tell so.
func (d *Data) Reload() error {
	sources, missing, err := survey(d.config.Sources)
	if err != nil {
		return err
	}
	return d.take(sources, missing)
}

func (d *Data) take(sources []source, missing []string) error {
	d.load.Lock()
	defer d.load.Unlock()
	if d.set == nil || sameSources(sources, d.seen) {
		return nil
	}
	d.seen = sources
	var files []*file
	var errs []error
	problems := missingProblems(missing)
	for _, s := range sources {
		old := d.inUse(s.path)
		if old != nil && old.same(s) {
			files = append(files, old)
			continue
		}
		f, err := openFile(s)
		if err == nil {
			files = append(files, f)
			continue
		}
		errs = append(errs, err)
		if old != nil {
			files = append(files, old)
			problems = append(problems, err.Error()+"; the file before it stays in use")
		} else {
			problems = append(problems, err.Error())
		}
	}
	err := errors.Join(append(errs, d.swap(newSet(files, problems)))...)
	if d.config.Changed != nil {
		d.config.Changed(d.Status(), err)
	}
	return err
}

func (d *Data) inUse(path string) *file {
	for _, f := range d.set.files {
		if f.path == path {
			return f
		}
	}
	return nil
}

// swap puts a set in place of the old one and closes the files that only the old
// one has. No lookup uses them any more, since each holds the lock while it reads.
func (d *Data) swap(next *set) error {
	d.use.Lock()
	before := d.set
	d.set = next
	d.use.Unlock()
	var errs []error
	for _, f := range before.files {
		if !slices.Contains(next.files, f) {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// Rest gives the memory of mapped files back to the system, which reads them
// again when they are needed.
func (d *Data) Rest() error {
	d.use.RLock()
	defer d.use.RUnlock()
	if d.set == nil {
		return nil
	}
	var errs []error
	for _, f := range d.set.files {
		if f.database != nil {
			errs = append(errs, release(f.database.mapping))
		}
	}
	return errors.Join(errs...)
}

// Close closes the files. Nothing is known afterwards.
func (d *Data) Close() error {
	d.load.Lock()
	defer d.load.Unlock()
	d.use.Lock()
	before := d.set
	d.set = nil
	d.use.Unlock()
	if before == nil {
		return nil
	}
	var errs []error
	for _, f := range before.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}
