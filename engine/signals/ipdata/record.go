package ipdata

import (
	"math"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// Record is what the files tell about one address. The zero value of each field
// means that nothing is known.
type Record struct {
	Country             string // ISO 3166-1 alpha-2
	City                string // English name
	Latitude, Longitude float64
	HasPlace            bool   // both coordinates are known
	TimeZone            string // IANA name
	ASN                 uint32 // number of the autonomous system
	Organization        string // that runs the autonomous system
	Kinds               Kinds  // what the address is
	Told                Kinds  // for which kinds there is data: absent from Kinds, they mean no
}

// Kinds is a set of what an address may be used for.
type Kinds uint8

// The kinds of addresses.
const (
	Hosting   Kinds = 1 << iota // a hosting provider or a cloud
	VPN                         // exit of a commercial VPN
	Tor                         // exit of the Tor network
	Proxy                       // a proxy that anybody or any customer may use
	Anonymous                   // one of the last three, it is not known which
)

// kindNames are the kinds that range files name, in the order in which they are
// told.
var kindNames = []struct {
	name string
	kind Kinds
}{{"hosting", Hosting}, {"vpn", VPN}, {"tor", Tor}, {"proxy", Proxy}}

// String lists the kinds by name.
func (k Kinds) String() string {
	var names []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// add takes what a further database tells. A place is taken as a whole, from the
// first database that has coordinates, so that country and city never
// contradict each other; the network from the first that has one.
func (r *Record) add(o *Record) {
	switch {
	case o.HasPlace && !r.HasPlace:
		r.Country, r.City, r.TimeZone = o.Country, o.City, o.TimeZone
		r.Latitude, r.Longitude, r.HasPlace = o.Latitude, o.Longitude, true
	case r.Country == "" && !r.HasPlace:
		r.Country, r.City, r.TimeZone = o.Country, o.City, o.TimeZone
	}
	if r.ASN == 0 {
		r.ASN, r.Organization = o.ASN, o.Organization
	}
	r.Kinds |= o.Kinds
	r.Told |= o.Told
}

// maxTextBytes bounds a name in a database.
const maxTextBytes = 512

// decoded is a record as a database has it, in either layout.
type decoded struct {
	Record
	hasLatitude, hasLongitude bool
}

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (d *decoded) UnmarshalMaxMindDBCursor(cursor mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	next, err := d.readMap(cursor, "")
	d.settle()
	return next, err
}

// settle drops what cannot be true.
func (d *decoded) settle() {
	d.Country = strings.ToUpper(d.Country)
	if len(d.Country) != 2 || d.Country == "ZZ" {
		d.Country = ""
	}
	valid := d.hasLatitude && d.hasLongitude && math.Abs(d.Latitude) <= 90 && math.Abs(d.Longitude) <= 180
	// Databases write 0, 0 for a place that they do not know.
	d.HasPlace = valid && (d.Latitude != 0 || d.Longitude != 0)
	if !d.HasPlace {
		d.Latitude, d.Longitude = 0, 0
	}
}

// fields are the paths that matter, by the path of the map they are in and
// their key in it. A path is keys with dots between them.
var fields = func() map[string]map[string]string {
	in := map[string]map[string]string{}
	for _, path := range []string{
		"country_code", "country", "country.iso_code", "city", "city.names", "city.names.en",
		"latitude", "longitude", "timezone", "time_zone", "location", "location.latitude", "location.longitude", "location.time_zone",
		"autonomous_system_number", "autonomous_system_organization",
		"traits", "traits.autonomous_system_number", "traits.autonomous_system_organization",
		"is_hosting_provider", "is_anonymous_vpn", "is_tor_exit_node", "is_public_proxy", "is_residential_proxy", "is_anonymous",
		"traits.is_hosting_provider", "traits.is_anonymous_vpn", "traits.is_tor_exit_node", "traits.is_public_proxy",
		"traits.is_residential_proxy", "traits.is_anonymous",
	} {
		dot := strings.LastIndexByte(path, '.')
		outer, key := path[:max(0, dot)], path[dot+1:]
		if in[outer] == nil {
			in[outer] = map[string]string{}
		}
		in[outer][key] = path
	}
	return in
}()

// readMap reads a map, and the maps inside it whose path matters.
func (d *decoded) readMap(cursor mmdbdata.Cursor, path string) (mmdbdata.Cursor, error) {
	entries, err := cursor.Map()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	inside := fields[path]
	var last mmdbdata.Cursor
	for {
		key, value, more := entries.Next(last)
		if !more {
			return entries.End()
		}
		if field, matters := inside[string(key)]; matters {
			last, err = d.readValue(value, field)
		} else {
			last, err = value.Skip()
		}
		if err != nil {
			return mmdbdata.Cursor{}, err
		}
	}
}

// readValue reads the value under a path. One of another type than expected is
// not known.
func (d *decoded) readValue(value mmdbdata.Cursor, path string) (mmdbdata.Cursor, error) {
	kind, err := value.Kind()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	switch kind {
	case mmdbdata.KindMap:
		if fields[path] != nil {
			return d.readMap(value, path)
		}
	case mmdbdata.KindString:
		if target := d.text(path); target != nil {
			text, next, err := value.ReadStringMaxSize(maxTextBytes)
			*target = text
			return next, err
		}
	case mmdbdata.KindFloat32, mmdbdata.KindFloat64:
		switch path {
		case "latitude", "location.latitude":
			d.Latitude, value, err = value.ReadFloat()
			d.hasLatitude = err == nil && !math.IsNaN(d.Latitude)
			return value, err
		case "longitude", "location.longitude":
			d.Longitude, value, err = value.ReadFloat()
			d.hasLongitude = err == nil && !math.IsNaN(d.Longitude)
			return value, err
		}
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64:
		switch path {
		case "autonomous_system_number", "traits.autonomous_system_number":
			number, next, err := value.ReadUint()
			if number <= math.MaxUint32 {
				d.ASN = uint32(number)
			}
			return next, err
		}
	case mmdbdata.KindBool:
		if flag := kindOf(path); flag != 0 {
			is, next, err := value.ReadBool()
			d.Told |= flag
			if is {
				d.Kinds |= flag
			}
			return next, err
		}
	}
	return value.Skip()
}

// text is where the text under a path belongs, nil where none is expected.
func (d *decoded) text(path string) *string {
	switch path {
	case "country_code", "country.iso_code":
		return &d.Country
	case "city", "city.names.en":
		return &d.City
	case "timezone", "time_zone", "location.time_zone":
		return &d.TimeZone
	case "autonomous_system_organization", "traits.autonomous_system_organization":
		return &d.Organization
	}
	return nil
}

// kindOf names the flags of MaxMind's Anonymous-IP layout.
func kindOf(path string) Kinds {
	switch strings.TrimPrefix(path, "traits.") {
	case "is_hosting_provider":
		return Hosting
	case "is_anonymous_vpn":
		return VPN
	case "is_tor_exit_node":
		return Tor
	case "is_public_proxy", "is_residential_proxy":
		return Proxy
	case "is_anonymous":
		return Anonymous
	}
	return 0
}
