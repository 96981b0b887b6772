package lists

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// set holds the items of one list. Once it is frozen it does not change any more,
// so readers need no lock. What is new waits in a small table, which is all that
// has to be copied for the next change; from time to time it joins a middle one,
// and that joins the large one.
type set struct {
	typ     rules.ListType
	items   int
	base    table
	middle  table // changes of base
	recent  table // changes of both
	counts  [2][129]int32
	lengths [2][]uint8 // prefix lengths that items have: of IPv4, of IPv6
}

// A recent table of more than recentMost changes joins the middle one, and that
// one the base once it has more than baseShare of the base's items.
const (
	recentMost = 1024
	baseShare  = 8 // an eighth
)

// edit returns a copy that may be changed until it is frozen.
func (s *set) edit() *set {
	copied := *s
	copied.recent = s.recent.clone()
	return &copied
}

// freeze ends the changes.
func (s *set) freeze() {
	if s.recent.used > recentMost || s.base.used == 0 {
		s.join()
	}
	for family := range s.counts {
		s.lengths[family] = nil
		for length, n := range s.counts[family] {
			if n > 0 {
				s.lengths[family] = append(s.lengths[family], uint8(length))
			}
		}
	}
}

// join moves the recent changes into the middle table, and those into the base
// when they are many.
func (s *set) join() {
	if s.middle.used > 0 {
		joined := newTable(s.middle.used + s.recent.used)
		s.middle.each(joined.put)
		s.recent.each(joined.put)
		s.recent = joined
	}
	s.middle, s.recent = s.recent, table{}
	if s.base.used > 0 && s.middle.used <= max(baseShare*recentMost, s.base.used/baseShare) {
		return
	}
	merged := newTable(s.items)
	s.base.each(func(k key, until int64) {
		if _, changed := s.middle.get(k); !changed {
			merged.put(k, until)
		}
	})
	s.middle.each(func(k key, until int64) {
		if until != gone {
			merged.put(k, until)
		}
	})
	s.base, s.middle = merged, table{}
}

// find returns until when an item counts.
func (s *set) find(k key) (until int64, found bool) {
	if until, found = s.recent.get(k); !found {
		if until, found = s.middle.get(k); !found {
			return s.base.get(k)
		}
	}
	return until, until != gone
}

// put adds an item or replaces it. It fails for a value that is not canonical.
func (s *set) put(h hasher, value string, expires time.Time) error {
	k, prefix, err := s.key(h, value)
	if err != nil {
		return err
	}
	until := int64(never)
	if !expires.IsZero() {
		until = expires.UnixMicro()
	}
	if _, found := s.find(k); !found {
		s.count(prefix, 1)
	}
	s.recent.put(k, until)
	return nil
}

// remove takes an item out. One that is not there is no error.
func (s *set) remove(h hasher, value string) error {
	k, prefix, err := s.key(h, value)
	if err != nil {
		return err
	}
	if _, found := s.find(k); found {
		s.count(prefix, -1)
		s.recent.put(k, gone)
	}
	return nil
}

func (s *set) count(prefix netip.Prefix, by int32) {
	s.items += int(by)
	if prefix.IsValid() {
		s.counts[family(prefix.Addr())][prefix.Bits()] += by
	}
}

// key reads an item's value. The prefix is valid for ranges only.
func (s *set) key(h hasher, value string) (key, netip.Prefix, error) {
	switch s.typ {
	case rules.ListOfNumbers:
		number, err := parseNumber(value)
		return numberKey(h, number), netip.Prefix{}, err
	case rules.ListOfRanges:
		prefix, err := parseRange(value)
		if err != nil {
			return key{}, netip.Prefix{}, err
		}
		return rangeKey(h, prefix), prefix, nil
	}
	return h.text(value), netip.Prefix{}, checkString(value)
}

func numberKey(h hasher, number float64) key {
	if number == 0 {
		number = 0 // -0 is equal
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], math.Float64bits(number))
	return h.bytes(b[:])
}

// rangeKey stands for a masked prefix.
func rangeKey(h hasher, prefix netip.Prefix) key {
	var b [18]byte
	address := prefix.Addr().As16()
	copy(b[:], address[:])
	b[16], b[17] = byte(family(prefix.Addr())), byte(prefix.Bits())
	return h.bytes(b[:])
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// test looks for the value of a fact. It is unknown for what is no value of the
// list's type.
func (s *set) test(h hasher, value any, now time.Time) rules.Value[bool] {
	at := now.UnixMicro()
	switch v := value.(type) {
	case string:
		switch s.typ {
		case rules.ListOfStrings:
			return rules.Known(s.holds(h.text(v), at))
		case rules.ListOfRanges:
			if address, ok := parseAddress(v); ok {
				return rules.Known(s.covers(h, address, at))
			}
		}
	case float64:
		if s.typ == rules.ListOfNumbers && !math.IsNaN(v) {
			return rules.Known(s.holds(numberKey(h, v), at))
		}
	}
	return rules.Value[bool]{}
}

func (s *set) holds(k key, at int64) bool {
	until, found := s.find(k)
	return found && at < until
}

// covers looks for every range that an address can be in: at most 33 of IPv4 and
// 129 of IPv6, however many items there are.
func (s *set) covers(h hasher, address netip.Addr, at int64) bool {
	for _, length := range s.lengths[family(address)] {
		prefix, err := address.Prefix(int(length))
		if err == nil && s.holds(rangeKey(h, prefix), at) {
			return true
		}
	}
	return false
}
