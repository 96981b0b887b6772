package signals

import (
	"strings"

	"github.com/mileusna/useragent"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/rules"
)

// maxAgentNameBytes tells a browser's name from a whole user agent, which the
// parser returns when it finds no name.
const maxAgentNameBytes = 64

// deviceFacts describe the device and its browser. The user agent is what the
// browser says of itself: good enough to notice a change, never a proof.
func (s *Source) deviceFacts(action *engine.Action, profile *engine.Profile, facts *rules.Facts) {
	d := &facts.Device
	if action.DeviceID != "" {
		d.ID = rules.Known(action.DeviceID)
		d.IsNew = rules.Known(!profile.DeviceKnown)
		d.UserCount = rules.Known(float64(profile.DeviceUsers))
		d.IsRemembered = rules.Known(facts.Now.Before(profile.RememberedUntil))
		if !profile.RememberedUntil.IsZero() {
			d.RememberedUntil = rules.Known(profile.RememberedUntil)
		}
	}
	text := action.UserAgent
	if text == "" {
		return
	}
	if len(text) > engine.MaxUserAgentBytes {
		text = text[:engine.MaxUserAgentBytes]
	}
	a := s.agent(text)
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

// agent reads a user agent, which takes some microseconds the first time.
func (s *Source) agent(text string) agent {
	if a, found := s.agents.Get(text); found {
		return a
	}
	a := parseAgent(text)
	a.bot = a.bot || s.crawlers.match(text)
	s.agents.Put(strings.Clone(text), a)
	return a
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
