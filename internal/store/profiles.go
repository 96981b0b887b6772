package store

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

const (
	// cachedProfiles bounds the people who are kept in memory, about 600 bytes each.
	cachedProfiles = 16_384
	// cachedThings bounds what is kept of one person's devices, and of the addresses.
	cachedThings = 4
	// cachedCustom bounds the custom values of a person who is kept, bytes of JSON.
	cachedCustom = 4 << 10
	// cachedUsers bounds the devices whose users are kept counted.
	cachedUsers   = 16_384
	profileShards = 256
)

// profiles keeps what a decision reads of the people and devices seen lately.
// Every commit empties the page cache of every other SQLite connection, so that
// to read one row between commits costs a dozen system calls. A process that is
// alone with its database knows by itself when a row changes; on PostgreSQL,
// where other nodes write, nothing is kept.
//
// What was read from the database is kept only if no commit touched its shard
// since before it was read.
type profiles struct {
	enabled bool
	seed    maphash.Seed
	mu      sync.Mutex
	people  map[events.UserID]*person
	users   map[string]int // of a device
	changes [profileShards]uint64
	devices [profileShards]uint64 // commits that changed the users of a device of the shard
}

// acquaintance is a profile with what Record needs beside it.
type acquaintance struct {
	engine.Profile
	deviceAt  int64 // when the device was last established, 0: never; so is addressAt
	addressAt int64
	addresses int // that are known of the person
	custom    int // bytes of JSON that Custom was read from
}

// person is an acquaintance without a device and an address, and those that were
// asked about.
type person struct {
	acquaintance
	devices, addresses []thing
}

// thing is a device or an address of a person.
type thing struct {
	id         string
	at         int64 // when it was last established, 0: never
	remembered int64 // until when, of a device
}

// marks tell what was the state of the shards before a read.
type marks struct{ person, device uint64 }

func newProfiles(d dialect) profiles {
	return profiles{enabled: d == sqlite, seed: maphash.MakeSeed(), people: map[events.UserID]*person{}, users: map[string]int{}}
}

func (p *profiles) shard(user events.UserID) *uint64 {
	return &p.changes[maphash.String(p.seed, string(user))%profileShards]
}

func (p *profiles) deviceShard(id string) *uint64 {
	return &p.devices[maphash.String(p.seed, id)%profileShards]
}

// get returns a kept profile, which the caller may change, or false and the marks
// to give to put.
func (p *profiles) get(user events.UserID, device, address string) (engine.Profile, marks, bool) {
	if !p.enabled {
		return engine.Profile{}, marks{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, found := p.find(user, device, address); found {
		users, counted := p.users[device]
		if counted || device == "" {
			profile := detached(known.Profile)
			profile.DeviceUsers = users
			return profile, marks{}, true
		}
	}
	return engine.Profile{}, marks{*p.shard(user), *p.deviceShard(device)}, false
}

// usersOf returns how many users a device has.
func (p *profiles) usersOf(device string) (n int, found bool) {
	if !p.enabled {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, found = p.users[device]
	return n, found
}

// known returns a kept acquaintance, which the caller must not change.
func (p *profiles) known(user events.UserID, device, address string) (acquaintance, bool) {
	if !p.enabled {
		return acquaintance{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(user, device, address)
}

// find completes what is kept of a person. The caller holds the lock.
func (p *profiles) find(user events.UserID, device, address string) (acquaintance, bool) {
	kept, ok := p.people[user]
	if !ok {
		return acquaintance{}, false
	}
	d, knowsDevice := lookUp(kept.devices, device)
	a, knowsAddress := lookUp(kept.addresses, address)
	if !knowsDevice || !knowsAddress {
		return acquaintance{}, false
	}
	known := kept.acquaintance
	known.deviceAt, known.addressAt = d.at, a.at
	known.DeviceKnown, known.AddressKnown, known.RememberedUntil = d.at != 0, a.at != 0, instant(d.remembered)
	return known, true
}

// lookUp finds a thing and makes it the last to be forgotten. What has no id is
// known not to be known.
func lookUp(things []thing, id string) (thing, bool) {
	if id == "" {
		return thing{}, true
	}
	for i, t := range things {
		if t.id == id {
			if last := len(things) - 1; i != last {
				copy(things[i:], things[i+1:])
				things[last] = t
			}
			return t, true
		}
	}
	return thing{}, false
}

// put keeps what was read after get had returned the marks.
func (p *profiles) put(user events.UserID, device, address string, read acquaintance, before marks) {
	if !p.enabled {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if device != "" && *p.deviceShard(device) == before.device {
		makeRoom(p.users, cachedUsers)
		p.users[device] = read.DeviceUsers
	}
	if !read.Known || read.custom > cachedCustom || *p.shard(user) != before.person {
		return
	}
	kept, ok := p.people[user]
	if !ok {
		makeRoom(p.people, cachedProfiles)
		kept = &person{}
		p.people[user] = kept
	}
	kept.devices = keep(kept.devices, thing{id: device, at: read.deviceAt, remembered: micros(read.RememberedUntil)})
	kept.addresses = keep(kept.addresses, thing{id: address, at: read.addressAt})
	kept.acquaintance = read
	kept.Profile = detached(read.Profile)
	kept.DeviceUsers = 0
}

// keep adds a thing, and forgets the one that was asked about longest ago.
func keep(things []thing, t thing) []thing {
	if _, there := lookUp(things, t.id); there {
		if t.id != "" {
			things[len(things)-1] = t
		}
		return things
	}
	if len(things) >= cachedThings {
		things = slices.Delete(things, 0, 1)
	}
	return append(things, t)
}

// makeRoom forgets anything, since maps begin anywhere.
func makeRoom[K comparable, V any](m map[K]V, most int) {
	for key := range m {
		if len(m) < most {
			return
		}
		delete(m, key)
	}
}

// detached is a profile that shares nothing with the one it was made from.
func detached(p engine.Profile) engine.Profile {
	p.Methods, p.Passkeys, p.Custom = slices.Clone(p.Methods), slices.Clone(p.Passkeys), maps.Clone(p.Custom)
	if p.VerifiedAt != nil {
		place := *p.VerifiedAt
		p.VerifiedAt = &place
	}
	return p
}

// forget drops people whom a commit touched, and devices whose users it changed.
func (p *profiles) forget(touched map[events.UserID]bool, devices map[string]bool) {
	if !p.enabled || len(touched) == 0 && len(devices) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for user := range touched {
		delete(p.people, user)
		*p.shard(user)++
	}
	for device := range devices {
		delete(p.users, device)
		*p.deviceShard(device)++
	}
}
