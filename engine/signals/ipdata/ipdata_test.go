package ipdata_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/sallyport/sallyport/engine/signals/ipdata"
)

type (
	record  = mmdbtype.Map
	records map[string]record
)

// database makes the content of an MMDB file.
func database(t testing.TB, options mmdbwriter.Options, content records) []byte {
	t.Helper()
	options.IncludeReservedNetworks = true
	tree, err := mmdbwriter.New(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range slices.Sorted(maps.Keys(content)) {
		_, prefix, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(prefix, content[network]); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// put replaces a file by renaming another one.
func put(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, config ipdata.Config) *ipdata.Data {
	t.Helper()
	d, err := ipdata.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func find(t testing.TB, d *ipdata.Data, address string) ipdata.Record {
	t.Helper()
	r, err := d.Find(netip.MustParseAddr(address))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	berlin = record{
		"country_code": mmdbtype.String("de"), "city": mmdbtype.String("Berlin"), "timezone": mmdbtype.String("Europe/Berlin"),
		"latitude": mmdbtype.Float64(52.5), "longitude": mmdbtype.Float32(13.5), "state1": mmdbtype.String("Berlin"),
	}
	paris = record{
		"country":       record{"iso_code": mmdbtype.String("FR"), "names": record{"en": mmdbtype.String("France")}},
		"city":          record{"names": record{"de": mmdbtype.String("Paris (Stadt)"), "en": mmdbtype.String("Paris")}},
		"location":      record{"latitude": mmdbtype.Float64(48.85), "longitude": mmdbtype.Float64(2.35), "time_zone": mmdbtype.String("Europe/Paris")},
		"subdivisions":  mmdbtype.Slice{record{"iso_code": mmdbtype.String("75")}},
		"is_in_the_way": mmdbtype.Bool(true),
	}
	spain   = record{"country_code": mmdbtype.String("ES")}
	example = record{"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": mmdbtype.String("Example AS")}

	inBerlin = ipdata.Record{Country: "DE", City: "Berlin", Latitude: 52.5, Longitude: 13.5, HasPlace: true, TimeZone: "Europe/Berlin"}
	inParis  = ipdata.Record{Country: "FR", City: "Paris", Latitude: 48.85, Longitude: 2.35, HasPlace: true, TimeZone: "Europe/Paris"}
)

func TestFind(t *testing.T) {
	const network = "203.0.113.0/24"
	with := func(r ipdata.Record, asn uint32, organization string) ipdata.Record {
		r.ASN, r.Organization = asn, organization
		return r
	}
	for _, tt := range []struct {
		name  string
		files map[string]records
		want  ipdata.Record
	}{
		{"a flat layout", map[string]records{"a": {network: berlin}}, inBerlin},
		{"MaxMind's layout", map[string]records{"a": {network: paris}}, inParis},
		{"a country alone", map[string]records{"a": {network: spain}}, ipdata.Record{Country: "ES"}},
		{"systems", map[string]records{"a": {network: example}}, with(ipdata.Record{}, 64500, "Example AS")},
		{
			"traits, as in the Enterprise layout",
			map[string]records{"a": {network: {"traits": record{
				"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": mmdbtype.String("Example AS"),
				"is_anonymous": mmdbtype.Bool(true), "is_tor_exit_node": mmdbtype.Bool(false), "user_type": mmdbtype.String("business"),
			}}}},
			ipdata.Record{ASN: 64500, Organization: "Example AS", Kinds: ipdata.Anonymous, Told: ipdata.Anonymous | ipdata.Tor},
		},
		{"places and systems together", map[string]records{"a": {network: example}, "b": {network: paris}}, with(inParis, 64500, "Example AS")},
		{"of two places the first counts, as a whole", map[string]records{"a": {network: berlin}, "b": {network: paris}}, inBerlin},
		{"a place counts more than a country alone", map[string]records{"a": {network: spain}, "b": {network: paris}}, inParis},
		{"wherever the country stands", map[string]records{"a": {network: paris}, "b": {network: spain}}, inParis},
		{"of two countries the first counts", map[string]records{"a": {network: spain}, "b": {network: {"country_code": mmdbtype.String("PT")}}}, ipdata.Record{Country: "ES"}},
		{
			"what the first does not know the second may",
			map[string]records{"a": {"198.51.100.0/24": berlin}, "b": {network: spain}},
			ipdata.Record{Country: "ES"},
		},
		{"a country that is none", map[string]records{"a": {network: {"country_code": mmdbtype.String("Germany")}, "198.51.100.0/24": berlin}}, ipdata.Record{}},
		{"the country of nowhere", map[string]records{"a": {network: {"country_code": mmdbtype.String("ZZ")}, "198.51.100.0/24": berlin}}, ipdata.Record{}},
		{
			"half a place",
			map[string]records{"a": {network: {"country_code": mmdbtype.String("DE"), "latitude": mmdbtype.Float64(52)}}},
			ipdata.Record{Country: "DE"},
		},
		{
			"0, 0 is no place",
			map[string]records{"a": {network: {"country_code": mmdbtype.String("DE"), "latitude": mmdbtype.Float64(0), "longitude": mmdbtype.Float64(0)}}},
			ipdata.Record{Country: "DE"},
		},
		{
			"but a place on the equator is one",
			map[string]records{"a": {network: {"latitude": mmdbtype.Float64(0), "longitude": mmdbtype.Float64(9.5)}}},
			ipdata.Record{Longitude: 9.5, HasPlace: true},
		},
		{
			"values of other types",
			map[string]records{"a": {network: {
				"country_code": mmdbtype.Uint32(49), "city": mmdbtype.Bool(true), "latitude": mmdbtype.String("52"), "autonomous_system_number": mmdbtype.Uint64(1 << 40),
				"location": mmdbtype.String("here"), "is_anonymous_vpn": mmdbtype.String("yes"),
			}, "198.51.100.0/24": berlin}},
			ipdata.Record{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			for name, content := range tt.files {
				put(t, filepath.Join(folder, name+".mmdb"), database(t, mmdbwriter.Options{}, content))
			}
			d := open(t, ipdata.Config{Sources: []string{folder}})
			for range 2 {
				if diff := cmp.Diff(tt.want, find(t, d, "203.0.113.7")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			// What a database denies by leaving an address out is denied everywhere.
			if diff := cmp.Diff(ipdata.Record{Told: tt.want.Told &^ ipdata.Anonymous}, find(t, d, "192.0.2.1")); diff != "" {
				t.Errorf("of an address that is in no file (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a database of IPv4 has nothing to say of IPv6", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "v4.mmdb")
		put(t, path, database(t, mmdbwriter.Options{IPVersion: 4}, records{network: berlin}))
		d := open(t, ipdata.Config{Sources: []string{path}})
		if diff := cmp.Diff(ipdata.Record{}, find(t, d, "2001:db8::1")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(inBerlin, find(t, d, "203.0.113.7")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a named file counts in the order of the names given", func(t *testing.T) {
		a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b.mmdb")
		put(t, a, database(t, mmdbwriter.Options{}, records{network: berlin}))
		put(t, b, database(t, mmdbwriter.Options{}, records{network: paris}))
		if diff := cmp.Diff(inParis, find(t, open(t, ipdata.Config{Sources: []string{b, a}}), "203.0.113.7")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestOpenRefusesWhatCannotBeUsed(t *testing.T) {
	good := database(t, mmdbwriter.Options{}, records{"203.0.113.0/24": berlin})
	for _, tt := range []struct {
		name, file string
		content    []byte
		want       string
	}{
		{"an empty database", "x.mmdb", nil, "empty"},
		{"text", "x.mmdb", []byte("text"), "x.mmdb"},
		{"half a database", "x.mmdb", good[:len(good)/2], "x.mmdb"},
		{"a database of something else", "x.mmdb", database(t, mmdbwriter.Options{}, records{"203.0.113.0/24": {"colour": mmdbtype.String("red")}}), "it tells neither"},
		{"ranges with a bad line", "x.csv", []byte("203.0.113.0/24,vpn\nx,vpn\n"), "line 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			put(t, filepath.Join(folder, tt.file), tt.content)
			put(t, filepath.Join(folder, "good.mmdb"), good)
			if _, err := ipdata.Open(ipdata.Config{Sources: []string{folder}}); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file) {
				t.Errorf("error %v does not name the file and say %q", err, tt.want)
			}
		})
	}
}

func TestReload(t *testing.T) {
	const address = "203.0.113.7"
	first := database(t, mmdbwriter.Options{BuildEpoch: 1_780_000_000}, records{"203.0.113.0/24": berlin})
	second := database(t, mmdbwriter.Options{BuildEpoch: 1_790_000_000}, records{"203.0.113.0/24": paris})
	setup := func(t *testing.T) (*ipdata.Data, string) {
		t.Helper()
		folder := t.TempDir()
		put(t, filepath.Join(folder, "place.mmdb"), first)
		return open(t, ipdata.Config{Sources: []string{folder}}), folder
	}
	city := func(t *testing.T, d *ipdata.Data, want string) {
		t.Helper()
		if got := find(t, d, address).City; got != want {
			t.Errorf("city %q, want %q", got, want)
		}
	}
	t.Run("a new file is taken up, and its version told", func(t *testing.T) {
		d, folder := setup(t)
		city(t, d, "Berlin")
		before := d.Version()
		put(t, filepath.Join(folder, "place.mmdb"), second)
		city(t, d, "Berlin") // until it is taken up
		if err := d.Reload(); err != nil {
			t.Fatal(err)
		}
		city(t, d, "Paris")
		if d.Version() == before || !strings.HasPrefix(before, "2026-05-28 ") || !strings.HasPrefix(d.Version(), "2026-09-21 ") || d.Problem() {
			t.Errorf("version %q, then %q", before, d.Version())
		}
	})
	t.Run("a broken file leaves the one before in use until it is repaired", func(t *testing.T) {
		d, folder := setup(t)
		version := d.Version()
		put(t, filepath.Join(folder, "place.mmdb"), second[:len(second)-50])
		put(t, filepath.Join(folder, "vpn.csv"), []byte("203.0.113.7,vpn\n"))
		err := d.Reload()
		if err == nil || !strings.Contains(err.Error(), "place.mmdb") || !d.Problem() || !strings.Contains(d.Status(), "the file before it stays in use") {
			t.Errorf("error %v, status %q", err, d.Status())
		}
		city(t, d, "Berlin")
		if find(t, d, address).Kinds != ipdata.VPN {
			t.Error("the other file was not taken up")
		}
		if err := d.Reload(); err != nil {
			t.Errorf("the same broken file is told twice: %v", err)
		}
		put(t, filepath.Join(folder, "place.mmdb"), second)
		if err := d.Reload(); err != nil || d.Problem() {
			t.Errorf("error %v, status %q", err, d.Status())
		}
		city(t, d, "Paris")
		if d.Version() == version {
			t.Errorf("version is still %q", version)
		}
	})
	t.Run("files come and go", func(t *testing.T) {
		d, folder := setup(t)
		if find(t, d, address).Told != 0 {
			t.Error("kinds are told without a file of kinds")
		}
		put(t, filepath.Join(folder, "tor.csv"), []byte("198.51.100.1,tor\n"))
		if err := d.Reload(); err != nil {
			t.Fatal(err)
		}
		if find(t, d, address).Told != ipdata.Tor {
			t.Error("the new file is not in use")
		}
		for _, name := range []string{"tor.csv", "place.mmdb"} {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Reload(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ipdata.Record{}, find(t, d, address)); diff != "" || d.Version() != "" || !strings.HasPrefix(d.Status(), "no IP data") {
			t.Errorf("status %q (-want +got):\n%s", d.Status(), diff)
		}
	})
	t.Run("a broken file that is new is told and the others stay", func(t *testing.T) {
		d, folder := setup(t)
		put(t, filepath.Join(folder, "new.csv"), []byte("x\n"))
		if err := d.Reload(); err == nil || !d.Problem() || !strings.Contains(d.Status(), "new.csv") {
			t.Errorf("error %v, status %q", err, d.Status())
		}
		city(t, d, "Berlin")
	})
	t.Run("a file that is named twice is one file", func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "place.mmdb")
		put(t, path, first)
		d := open(t, ipdata.Config{Sources: []string{path, folder, folder + "/", path}})
		if got := strings.Count(d.Status(), "place.mmdb"); got != 1 {
			t.Errorf("status names it %d times: %s", got, d.Status())
		}
		put(t, filepath.Join(folder, "tor.csv"), []byte("198.51.100.1,tor\n"))
		if err := d.Reload(); err != nil {
			t.Fatal(err)
		}
		put(t, path, second)
		if err := d.Reload(); err != nil {
			t.Fatal(err)
		}
		city(t, d, "Paris")
	})
	t.Run("equal files have equal versions", func(t *testing.T) {
		a, _ := setup(t)
		b, _ := setup(t)
		if a.Version() == "" || a.Version() != b.Version() {
			t.Errorf("%q and %q", a.Version(), b.Version())
		}
	})
	t.Run("nothing is known once it is closed", func(t *testing.T) {
		d, folder := setup(t)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(folder, "place.mmdb"), second)
		if err := d.Reload(); err != nil {
			t.Error(err)
		}
		city(t, d, "")
		if d.Version() != "" || d.Status() != "closed" {
			t.Errorf("version %q, status %q", d.Version(), d.Status())
		}
	})
}

// A file that is shortened while it is in use has pages that are no more.
func TestAFileChangedInPlaceEndsNothing(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "place.mmdb")
	many := records{}
	for i := range 3000 {
		many[fmt.Sprintf("203.%d.%d.0/24", i/250, i%250)] = record{
			"country_code": mmdbtype.String("DE"), "city": mmdbtype.String(fmt.Sprintf("Town %d", i)),
			"latitude": mmdbtype.Float64(50 + float64(i)/1000), "longitude": mmdbtype.Float64(10),
		}
	}
	content := database(t, mmdbwriter.Options{}, many)
	put(t, path, content)
	d := open(t, ipdata.Config{Sources: []string{folder}})
	if got := find(t, d, "203.0.113.7").City; got != "Town 113" {
		t.Fatalf("city %q", got)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Rest(); err != nil { // forgets the pages that were read
		t.Fatal(err)
	}
	if _, err := d.Find(netip.MustParseAddr("203.5.7.1")); err == nil || !strings.Contains(err.Error(), "changed in place") {
		t.Errorf("error %v", err)
	}
	put(t, path, content)
	if err := d.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := find(t, d, "203.5.7.1").City; got != "Town 1257" {
		t.Errorf("city %q", got)
	}
}

func TestRestChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "place.mmdb")
	put(t, path, database(t, mmdbwriter.Options{}, records{"203.0.113.0/24": berlin, "198.51.100.0/24": paris}))
	d := open(t, ipdata.Config{Sources: []string{path}})
	for _, address := range []string{"203.0.113.7", "198.51.100.7"} {
		if err := d.Rest(); err != nil {
			t.Fatal(err)
		}
		if got := find(t, d, address); !got.HasPlace {
			t.Errorf("%s: %+v", address, got)
		}
	}
}

// Lookups go on while files are replaced, and each sees one file as a whole.
func TestReloadsUnderLookups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "place.mmdb")
	contents := [][]byte{
		database(t, mmdbwriter.Options{BuildEpoch: 1}, records{"203.0.0.0/16": berlin}),
		database(t, mmdbwriter.Options{BuildEpoch: 2}, records{"203.0.0.0/16": paris}),
		[]byte("broken"),
	}
	put(t, path, contents[0])
	d := open(t, ipdata.Config{Sources: []string{path}})
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r, err := d.Find(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}))
				if err != nil || r != inBerlin && r != inParis {
					t.Errorf("worker %d: %+v, %v", worker, r, err)
					return
				}
				if i%64 == 0 {
					if d.Version() == "" || d.Status() == "" {
						t.Error("no version or status")
					}
					if err := d.Rest(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range 150 {
		put(t, path, contents[i%3])
		if err := d.Reload(); (err != nil) != (i%3 == 2) {
			t.Errorf("change %d: %v", i, err)
		}
	}
	stop()
	wait.Wait()
}

func TestRunTakesUpChangesByItself(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "place.mmdb")
	put(t, path, database(t, mmdbwriter.Options{}, records{"203.0.113.0/24": berlin}))
	type change struct {
		status string
		err    error
	}
	changes := make(chan change, 10)
	d := open(t, ipdata.Config{
		Sources: []string{folder}, Every: time.Millisecond,
		Changed: func(status string, err error) { changes <- change{status, err} },
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	put(t, path, database(t, mmdbwriter.Options{BuildEpoch: 5}, records{"203.0.113.0/24": paris}))
	if c := <-changes; c.err != nil || !strings.Contains(c.status, "place.mmdb") {
		t.Errorf("%+v", c)
	}
	if got := find(t, d, "203.0.113.7").City; got != "Paris" {
		t.Errorf("city %q", got)
	}
	put(t, path, []byte("broken"))
	if c := <-changes; c.err == nil || !strings.Contains(c.status, "stays in use") {
		t.Errorf("%+v", c)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(changes) > 0 {
		t.Errorf("told once more: %+v", <-changes)
	}
}

func BenchmarkFind(b *testing.B) {
	folder := "../../../bin/lib"
	d, err := ipdata.Open(ipdata.Config{Sources: []string{folder}})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if d.Version() == "" {
		b.Fatal("the data are not there: run make build")
	}
	addresses := make([]netip.Addr, 1<<20)
	for i := range addresses {
		addresses[i] = netip.AddrFrom4([4]byte{byte(1 + i*7%223), byte(i * 13), byte(i * 31), byte(i)})
	}
	b.Run("known address", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Find(addresses[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("another address each time", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := d.Find(addresses[i%len(addresses)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
