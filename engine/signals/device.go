package signals

import (
	"strings"
	"sync"

	"github.com/mileusna/useragent"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

const (
	// maxAgentNameBytes tells a browser's name from a whole user agent, which the
	// parser returns when it finds no name.
	maxAgentNameBytes = 64
	// agentGeneration is how many user agents one generation of the cache holds;
	// there are two, of at most 1 KiB a key.
	agentGeneration = 1024
)

// deviceFacts describe the device and its browser. The user agent is what the
// browser says of itself: good enough to notice a change, never a proof.
func (s *Source) deviceFacts(action *engine.Action, profile *engine.Profile, facts *rules.Facts) {
	d := &facts.Device
	if action.DeviceID != "" {
		d.ID = rules.Known(action.DeviceID)
		d.IsNew = rules.Known(!profile.DeviceKnown)
	}
	text := action.UserAgent
	if text == "" {
		return
	}
	if len(text) > engine.MaxUserAgentBytes {
		text = text[:engine.MaxUserAgentBytes]
	}
	a := s.agents.parse(text)
	d.IsBot = rules.Known(a.bot)
	d.Browser = reported(a.browser, "")
	d.OS = reported(a.os, "")
	d.Type = reported(a.kind, "")
}

// agent is what a user agent tells.
type agent struct {
	browser, os, kind string // "" when unknown
	bot               bool
}

func parseAgent(text string) agent {
	ua := useragent.Parse(text)
	// Clone, or the cache would keep the whole text alive for a part of it.
	a := agent{browser: strings.Clone(ua.Name), os: strings.Clone(ua.OS), bot: ua.Bot}
	if ua.Name == text || len(ua.Name) > maxAgentNameBytes {
		a.browser = ""
	}
	switch {
	case ua.Tablet:
		a.kind = "tablet"
	case ua.Mobile:
		a.kind = "mobile"
	case ua.Desktop:
		a.kind = "desktop"
	}
	return a
}

// agentCache remembers parsed user agents in two generations: what was used
// since the last change of generations survives the next. Its size is bounded
// whatever browsers send. The zero value is ready to use.
type agentCache struct {
	mu           sync.Mutex
	young, older map[string]agent
}

func (c *agentCache) parse(text string) agent {
	c.mu.Lock()
	a, found := c.young[text]
	if !found {
		if a, found = c.older[text]; found {
			c.keep(text, a)
		}
	}
	c.mu.Unlock()
	if found {
		return a
	}
	a = parseAgent(text) // outside the lock: parsing takes a few microseconds
	c.mu.Lock()
	c.keep(strings.Clone(text), a)
	c.mu.Unlock()
	return a
}

func (c *agentCache) keep(text string, a agent) {
	if c.young == nil || len(c.young) >= agentGeneration {
		c.young, c.older = make(map[string]agent, agentGeneration), c.young
	}
	c.young[text] = a
}
