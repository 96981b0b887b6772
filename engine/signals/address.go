package signals

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/signals/ipdata"
	"github.com/sallyport/sallyport/rules"
)

// addressFacts describe the network address and, from its place, local time and
// travel. Text that is no address leaves everything unknown.
func (s *Source) addressFacts(action *engine.Action, profile *engine.Profile, facts *rules.Facts) error {
	address, err := netip.ParseAddr(strings.TrimSpace(action.IP))
	if err != nil {
		return nil
	}
	// An IPv4 address inside IPv6 is the IPv4 address; a zone means nothing here.
	address = address.Unmap().WithZone("")
	ip := &facts.IP
	ip.Address = rules.Known(address.String())
	ip.IsPrivate = rules.Known(isPrivate(address))
	ip.IsNew = rules.Known(!profile.AddressKnown)
	record, err := s.data.Find(address)
	if err != nil {
		return err
	}
	ip.CountryCode = reported(record.Country, "")
	ip.City = reported(record.City, "")
	if record.ASN != 0 {
		ip.ASN = rules.Known(float64(record.ASN))
	}
	ip.Organization = reported(record.Organization, "")
	kindFacts(&record, ip)
	if record.HasPlace {
		ip.Latitude, ip.Longitude = rules.Known(record.Latitude), rules.Known(record.Longitude)
		s.travel.facts(engine.Place{Latitude: record.Latitude, Longitude: record.Longitude, At: facts.Now}, profile.VerifiedAt, facts)
	}
	s.zones.facts(&record, facts)
	return nil
}

// kindFacts tell what the address is used for. What no file denies is unknown.
func kindFacts(record *ipdata.Record, ip *rules.IPFacts) {
	is := func(kinds ipdata.Kinds) rules.Value[bool] {
		switch {
		case record.Kinds&kinds != 0:
			return rules.Known(true)
		case record.Told&kinds == kinds:
			return rules.Known(false)
		}
		return rules.Value[bool]{}
	}
	ip.IsHosting = is(ipdata.Hosting)
	ip.IsVPN = is(ipdata.VPN)
	ip.IsTor = is(ipdata.Tor)
	ip.IsProxy = is(ipdata.Proxy)
	switch hidden := ipdata.VPN | ipdata.Tor | ipdata.Proxy; {
	case record.Kinds&(hidden|ipdata.Anonymous) != 0:
		ip.IsAnonymous = rules.Known(true)
	case record.Told&ipdata.Anonymous != 0:
		ip.IsAnonymous = rules.Known(false)
	default:
		ip.IsAnonymous = is(hidden)
	}
}

func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}
