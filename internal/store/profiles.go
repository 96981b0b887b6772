package store

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

const (
	// cachedProfiles bounds the people who are kept in memory, about 400 bytes each.
	cachedProfiles = 16_384
	// cachedDevices bounds what is kept of one person's devices.
	cachedDevices = 4
	profileShards = 256
)

// profiles keeps what a decision reads of the people seen lately. Every commit
// empties the page cache of every other SQLite connection, so that to read one
// row between commits costs a dozen system calls. A process that is alone with
// its database knows by itself when a row changes; on PostgreSQL, where other
// nodes write, nothing is kept.
//
// A profile that was read from the database is kept only if no commit touched
// its shard since before it was read.
type profiles struct {
	enabled bool
	seed    maphash.Seed
	mu      sync.Mutex
	people  map[events.UserID]*person
	changes [profileShards]uint64 // commits that touched somebody of the shard
}

// person is a profile without its device, and the devices asked about.
type person struct {
	engine.Profile
	devices []device
}

type device struct {
	id    string
	known bool
}

func newProfiles(d dialect) profiles {
	return profiles{enabled: d == sqlite, seed: maphash.MakeSeed(), people: map[events.UserID]*person{}}
}

func (p *profiles) shard(user events.UserID) *uint64 {
	return &p.changes[maphash.String(p.seed, string(user))%profileShards]
}

// get returns a kept profile, or false and the mark to give to put.
func (p *profiles) get(user events.UserID, id string) (profile engine.Profile, mark uint64, found bool) {
	if !p.enabled {
		return engine.Profile{}, 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept, ok := p.people[user]; ok {
		for _, d := range kept.devices {
			if d.id == id {
				profile = kept.Profile
				profile.Methods = slices.Clone(profile.Methods)
				profile.DeviceKnown = d.known
				return profile, 0, true
			}
		}
	}
	return engine.Profile{}, *p.shard(user), false
}

// put keeps a profile that was read after get had returned mark.
func (p *profiles) put(user events.UserID, id string, profile engine.Profile, mark uint64) {
	if !p.enabled {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if *p.shard(user) != mark {
		return
	}
	kept, ok := p.people[user]
	if !ok {
		for somebody := range p.people {
			if len(p.people) < cachedProfiles {
				break
			}
			delete(p.people, somebody) // anybody: maps begin anywhere
		}
		kept = &person{}
		p.people[user] = kept
	}
	if len(kept.devices) >= cachedDevices {
		kept.devices = slices.Delete(kept.devices, 0, 1)
	}
	kept.devices = append(kept.devices, device{id: id, known: profile.DeviceKnown})
	profile.DeviceKnown = false
	profile.Methods = slices.Clone(profile.Methods)
	kept.Profile = profile
}

// forget drops people whom a commit touched.
func (p *profiles) forget(touched map[events.UserID]bool) {
	if !p.enabled || len(touched) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for user := range touched {
		delete(p.people, user)
		*p.shard(user)++
	}
}
