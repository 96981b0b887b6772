package ipdata

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// database is one MMDB file, mapped into memory.
type database struct {
	path    string
	mapping []byte
	reader  *maxminddb.Reader
	built   time.Time
	told    Kinds // what absence from the database denies
	network bool  // it knows autonomous systems
	place   bool  // it knows coordinates
	country bool
}

// sampled is how many records tell what a database is about.
const sampled = 200

func openDatabase(path string) (*database, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 || !info.Mode().IsRegular() {
		return nil, errors.New("the file is empty or no file")
	}
	mapping, err := mapFile(file, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	// Its cache of texts would take megabytes; what was found is remembered already.
	reader, err := maxminddb.OpenBytes(mapping, maxminddb.DisableStringCache())
	if err != nil {
		return nil, errors.Join(err, unmap(mapping))
	}
	d := &database{path: path, mapping: mapping, reader: reader, built: reader.Metadata.BuildTime().UTC()}
	if err := guard(path, d.sample); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// sample reads some records, to learn what the database is about and that it
// can be read.
func (d *database) sample() error {
	if strings.Contains(d.reader.Metadata.DatabaseType, "Anonymous") {
		// MaxMind leaves out what is false, and addresses for which all is false.
		d.told = Hosting | VPN | Tor | Proxy
	}
	left := sampled
	for result := range d.reader.Networks() {
		var record decoded
		if err := result.Decode(&record); err != nil {
			return fmt.Errorf("read its records: %w", err)
		}
		d.told |= record.Told &^ Anonymous
		d.network = d.network || record.ASN != 0
		d.place = d.place || record.HasPlace
		d.country = d.country || record.Country != ""
		if left--; left == 0 {
			break
		}
	}
	if !d.network && !d.country && !d.place && d.told == 0 {
		return errors.New("it tells neither countries nor places nor networks nor kinds of addresses")
	}
	return nil
}

// find adds what the database tells about an address.
func (d *database) find(address netip.Addr, record *Record) error {
	if address.Is6() && d.reader.Metadata.IPVersion == 4 {
		return nil
	}
	var found decoded
	err := guard(d.path, func() error { return d.reader.Lookup(address).Decode(&found) })
	if err != nil {
		return err
	}
	found.Told |= d.told
	record.add(&found.Record)
	return nil
}

// guard turns a fault of the mapping into an error. A file that is shortened
// while it is mapped has pages that cannot be read any more, which would end the
// process.
func guard(path string, read func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		switch cause := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // only faults have an address
			err = errors.New("the file was changed in place while it was in use; replace it by renaming another one")
		default:
			panic(cause)
		}
		if err != nil {
			err = fmt.Errorf("IP data %s: %w", path, err)
		}
	}()
	return read()
}

func (d *database) close() error {
	return errors.Join(d.reader.Close(), unmap(d.mapping))
}
