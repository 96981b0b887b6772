package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// Sizes of request bodies in bytes. A larger body is refused before it is read.
const (
	MaxBody      = 64 << 10
	MaxRulesBody = rules.MaxDefinitionBytes
	MaxListBody  = 64 << 20 // of a list as CSV
	MaxWireList  = 4 << 20  // of a value list
)

// Config is everything the server needs. Fields without a default are required.
type Config struct {
	// PublicURL is how browsers reach the server: scheme, host and port only. It
	// becomes part of challenge addresses and is always an allowed origin.
	PublicURL string
	// Origins are further origins whose pages may call the client API, run
	// ceremonies and be redirected to. Compared exactly.
	Origins []string
	// RPID and Name are what the relying party was configured with, for
	// GET /v1/authenticators.
	RPID, Name string
	// Tenant is the id that client SDKs send while they have no token.
	Tenant string
	// Secrets are the active server secrets, at least one.
	Secrets []string
	// ManagementHash is the SHA-256 of the management secret. A secret that is
	// also a server secret is refused by New.
	ManagementHash [32]byte
	// TrustedProxies are the addresses whose X-Forwarded-For is believed. Empty
	// means that the peer is the client.
	TrustedProxies []netip.Prefix
	// Limits of anonymous calls; the zero value means DefaultLimits.
	Limits Limits
	// Ceremonies is the limit that the hosted page shares. Nil means one of its own
	// that follows Limits.
	Ceremonies *CeremonyLimit
	// EnrolByEmail is what the engine was configured with, for backtests.
	EnrolByEmail bool
	// Version of the build, shown by /readyz and the console.
	Version string
	// Log gets one line per request and every unexpected error. Nil discards.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	Engine     *engine.Engine
	Party      *ceremonies.RelyingParty
	Tokens     *ceremonies.Tokens
	Rules      *ruleset.Keeper
	Lists      *lists.Keeper // brought up to date after a change; nil: others do
	Operators  *operators.Desk
	Store      Store
	Readers    Readers // nil: the log alone
	LogReader  events.Reader
	Parts      func(context.Context) []Part // nil: only whether the store is ready
	Pages      http.Handler                 // the hosted challenge page, at /challenge; nil serves none
	Console    http.Handler                 // the console's files, at /console; nil serves none
	MaxRequest time.Duration                // longest time for one request; 0 means 10 s
}

// Store is the state that the server reads and changes. Each resource declares
// the few methods it needs beside its handlers; internal/store has them all.
type Store interface {
	actionStore
	userStore
	authenticatorStore
	deviceStore
	ruleStore
	listStore
	titleStore
	logStore
	historyStore
}

// Source says where the console's decisions come from.
type Source string

// The sources. The log holds the last 30 days and everything the archive has
// not seen yet.
const (
	FromArchive Source = "archive"
	FromLog     Source = "log"
)

// Readers chooses where the console reads decisions: the archive while it keeps
// up, the log otherwise.
type Readers interface {
	Reader(ctx context.Context) (events.Reader, Source)
}

// check fills in defaults and reports every problem at once.
func (c *Config) check() error {
	var problems []error
	missing := func(is bool, name string) {
		if is {
			problems = append(problems, fmt.Errorf("%s is required", name))
		}
	}
	missing(c.Engine == nil, "Engine")
	missing(c.Party == nil, "Party")
	missing(c.Tokens == nil, "Tokens")
	missing(c.Rules == nil, "Rules")
	missing(c.Operators == nil, "Operators")
	missing(c.Store == nil, "Store")
	missing(c.LogReader == nil, "LogReader")
	missing(c.Tenant == "", "Tenant")
	missing(len(c.Secrets) == 0, "Secrets")
	missing(c.ManagementHash == [32]byte{}, "ManagementHash")
	for _, origin := range append([]string{c.PublicURL}, c.Origins...) {
		if u, err := url.Parse(origin); err != nil || originOf(u) == "" || originOf(u) != origin {
			problems = append(problems, fmt.Errorf("%q is no origin: write scheme://host or scheme://host:port", origin))
		}
	}
	for _, secret := range c.Secrets {
		switch {
		case secret == "":
			problems = append(problems, errors.New("a server secret is empty"))
		case hashSecret(secret) == c.ManagementHash:
			problems = append(problems, errors.New("the management secret is also a server secret: take another"))
		}
	}
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Ceremonies == nil {
		c.Ceremonies = NewCeremonyLimit(c.Limits, c.Now)
	}
	if c.MaxRequest <= 0 {
		c.MaxRequest = 10 * time.Second
	}
	return errors.Join(problems...)
}
