package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is the address of the caller. X-Forwarded-For is believed only
// as far as trusted proxies wrote it: from its end backwards, up to the first
// address that is not one of them. The zero Addr means that there is none.
func (k *call) clientAddress() netip.Addr {
	return ClientAddress(k.Request(), k.server.config.TrustedProxies)
}

// ClientAddress is clientAddress for pages that are served beside the API.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap().WithZone("")
	if !contains(trusted, address) {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil { // nothing before it can be believed
			return address
		}
		address = next.Unmap().WithZone("")
		if !contains(trusted, address) {
			return address
		}
	}
	return address
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) })
}
