// Package ipdata knows what files say about network addresses: their place, who
// announces them, and whether they belong to a hosting provider, a VPN, Tor or a
// proxy.
//
//	data, err := ipdata.Open(ipdata.Config{Sources: []string{"lib"}})
//	defer data.Close()
//	record, err := data.Find(netip.MustParseAddr("198.51.100.7"))
//
// Two kinds of files are read. MMDB databases, in MaxMind's layout or a flat
// one, are mapped into memory, so that only the parts in use are held. Range
// files are text: a network and a kind on each line (see ParseRanges).
//
// The package never looks anything up over the network. It does not guess: what
// no file tells is unknown. It is no proof of where somebody is, since places of
// addresses are often off by tens of kilometres.
package ipdata
