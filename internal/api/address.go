package api

import (
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is the address of the caller. X-Forwarded-For is believed only
// as far as trusted proxies wrote it: from its end backwards, up to the first
// address that is not one of them. The zero Addr means that there is none.
func (k *call) clientAddress() netip.Addr {
	peer, err := netip.ParseAddrPort(k.Request().RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap().WithZone("")
	trusted := k.server.config.TrustedProxies
	if !contains(trusted, address) {
		return address
	}
	hops := strings.Split(strings.Join(k.Request().Header.Values("X-Forwarded-For"), ","), ",")
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
