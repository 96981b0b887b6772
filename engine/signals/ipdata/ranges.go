package ipdata

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of a range file.
const (
	MaxRanges    = 5_000_000 // lines with a range; each takes up to 34 bytes of memory
	maxLineBytes = 4 << 10
	maxNamed     = 10 // bad lines that an error names
	// minPrefixBits refuses a range that is surely a slip, such as 0.0.0.0/0.
	minPrefixBits = 8
)

// Ranges are networks with the kinds of their addresses. The zero value is empty.
type Ranges struct {
	starts  []point // ascending; each holds until the next
	kinds   []Kinds // of the addresses from the start with the same index
	systems []uint32
	of      []Kinds // of the autonomous system with the same index
	told    Kinds   // kinds that some range has
	byASN   Kinds   // kinds that some autonomous system has
	digest  string  // of the content
}

// point is an address as a number of 128 bits, IPv4 inside IPv6.
type point struct{ high, low uint64 }

func (p point) compare(q point) int {
	return cmp.Or(cmp.Compare(p.high, q.high), cmp.Compare(p.low, q.low))
}

func pointOf(a netip.Addr) point {
	b := a.As16()
	return point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// LinesError names the lines of a range file that cannot be used.
type LinesError struct {
	Lines []string // "line 3: ...", at most 10
	More  int      // further lines that are not named
}

// Error names the lines.
func (e *LinesError) Error() string {
	text := strings.Join(e.Lines, "; ")
	if e.More > 0 {
		text += fmt.Sprintf("; and %d more lines", e.More)
	}
	return text
}

// ParseRanges reads a range file: UTF-8 text with a network and a kind on each
// line, separated by a comma or a blank. The network is a range in CIDR notation,
// one address, or an autonomous system such as AS64500; the kind is vpn, tor,
// proxy or hosting. What follows a second comma is a note; empty lines, lines
// that begin with #, and a first line "network,kind" are skipped. Ranges may
// overlap: an address is of every kind that one of its ranges has.
//
// It is all or nothing: bad lines are named by a *LinesError.
func ParseRanges(r io.Reader) (*Ranges, error) {
	var (
		edges    []edge
		systems  = map[uint32]Kinds{}
		bad      LinesError
		content  = fnv.New64a()
		lines    = bufio.NewScanner(r)
		number   int
		networks int
	)
	lines.Buffer(make([]byte, 0, maxLineBytes), maxLineBytes)
	for lines.Scan() {
		number++
		line := lines.Bytes()
		content.Write(line)
		content.Write([]byte{'\n'})
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || number == 1 && bytes.EqualFold(line, []byte("network,kind")) {
			continue
		}
		if networks++; networks > MaxRanges {
			return nil, fmt.Errorf("it has more than %d ranges", MaxRanges)
		}
		prefix, system, kind, err := parseRange(string(line))
		switch {
		case err != nil && len(bad.Lines) == maxNamed:
			bad.More++
		case err != nil:
			bad.Lines = append(bad.Lines, fmt.Sprintf("line %d: %v", number, err))
		case system != 0:
			systems[system] |= kind
		default:
			edges = appendEdges(edges, prefix, kind)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &LinesError{Lines: []string{fmt.Sprintf("line %d: it has more than %d bytes", number+1, maxLineBytes)}}
	} else if err != nil {
		return nil, fmt.Errorf("read ranges: %w", err)
	}
	if len(bad.Lines) > 0 {
		return nil, &bad
	}
	ranges := &Ranges{digest: hex.EncodeToString(content.Sum(nil))}
	ranges.lay(edges)
	ranges.number(systems)
	return ranges, nil
}

func parseRange(line string) (netip.Prefix, uint32, Kinds, error) {
	fail := func(format string, args ...any) (netip.Prefix, uint32, Kinds, error) {
		return netip.Prefix{}, 0, 0, fmt.Errorf(format, args...)
	}
	network, rest, found := strings.Cut(line, ",")
	if !found {
		network, rest, _ = strings.Cut(line, " ")
	}
	name, _, _ := strings.Cut(rest, ",")
	network, name = strings.TrimSpace(network), strings.ToLower(strings.TrimSpace(name))
	var kind Kinds
	for _, n := range kindNames {
		if n.name == name {
			kind = n.kind
		}
	}
	if kind == 0 {
		return fail("the kind must be hosting, vpn, tor or proxy, not %.40q", name)
	}
	if len(network) > 2 && strings.EqualFold(network[:2], "AS") {
		system, err := strconv.ParseUint(network[2:], 10, 32)
		if err != nil || system == 0 {
			return fail("%.40q is no autonomous system", network)
		}
		return netip.Prefix{}, uint32(system), kind, nil
	}
	prefix, err := parsePrefix(network)
	if err != nil {
		return fail("%.60q is no range of addresses", network)
	}
	if prefix.Bits() < minPrefixBits {
		return fail("%.60q covers too much: at least %d bits must be fixed", network, minPrefixBits)
	}
	return prefix, 0, kind, nil
}

// parsePrefix reads a range or one address. IPv4 inside IPv6 is IPv4.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, errors.New("no address")
		}
		address = address.Unmap()
		return address.Prefix(address.BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, errors.New("more than IPv4")
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// edge is where a range begins or ends.
type edge struct {
	at    point
	kind  Kinds
	delta int // 1 at the first address, -1 behind the last
}

func appendEdges(edges []edge, prefix netip.Prefix, kind Kinds) []edge {
	first := pointOf(prefix.Addr())
	edges = append(edges, edge{first, kind, 1})
	// 128 bits in all: those of IPv4 are the last 32.
	hostBits := uint(prefix.Addr().BitLen() - prefix.Bits())
	behind := first
	if hostBits >= 64 {
		behind.high += 1 << (hostBits - 64)
		if behind.high <= first.high {
			return edges // it reaches to the end of all addresses
		}
	} else if behind.low += 1 << hostBits; behind.low <= first.low {
		if behind.high++; behind.high == 0 {
			return edges
		}
	}
	return append(edges, edge{behind, kind, -1})
}

// lay turns ranges that may overlap into stretches that do not.
func (r *Ranges) lay(edges []edge) {
	slices.SortFunc(edges, func(a, b edge) int { return a.at.compare(b.at) })
	var open [8]int // how many ranges of each kind hold here
	var now Kinds
	for i, e := range edges {
		r.told |= e.kind
		for bit := range open {
			if e.kind == 1<<bit {
				open[bit] += e.delta
				if open[bit] > 0 {
					now |= e.kind
				} else {
					now &^= e.kind
				}
			}
		}
		last := i == len(edges)-1 || edges[i+1].at != e.at
		if last && (len(r.kinds) == 0 || r.kinds[len(r.kinds)-1] != now) {
			r.starts, r.kinds = append(r.starts, e.at), append(r.kinds, now)
		}
	}
	r.starts, r.kinds = slices.Clip(r.starts), slices.Clip(r.kinds)
}

func (r *Ranges) number(systems map[uint32]Kinds) {
	for system := range systems {
		r.systems = append(r.systems, system)
	}
	slices.Sort(r.systems)
	for _, system := range r.systems {
		r.of = append(r.of, systems[system])
		r.byASN |= systems[system]
	}
}

// Kinds returns the kinds of an address.
func (r *Ranges) Kinds(address netip.Addr) Kinds {
	at := pointOf(address)
	i, exact := slices.BinarySearchFunc(r.starts, at, point.compare)
	if !exact {
		i--
	}
	if i < 0 {
		return 0
	}
	return r.kinds[i]
}

// KindsOfSystem returns the kinds of an autonomous system's addresses.
func (r *Ranges) KindsOfSystem(system uint32) Kinds {
	if i, found := slices.BinarySearch(r.systems, system); found {
		return r.of[i]
	}
	return 0
}
