package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/console"
	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/engine/metrics"
	"github.com/sallyport/sallyport/engine/signals"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/jetstream"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/operators"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/rules"
)

// The server's pace.
const (
	sweepEvery = 5 * time.Second  // between two looks for ceremonies that ran out
	restAfter  = 10 * time.Second // without an event, before memory is given back
	restRounds = 4                // how often it is given back after each burst
	drainTime  = 3 * time.Second  // for requests under way when the server stops
)

// Server is Sallyport with everything that it needs, opened from the bottom to
// the top.
type Server struct {
	config Config // Bound
	log    *slog.Logger
	opened []func() error // what Close undoes, in the order of opening

	secrets    Secrets
	listener   net.Listener
	store      *store.Store
	stream     *jetstream.Stream
	relay      *jetstream.Relay
	archive    *archive // nil when it is off
	signals    *signals.Source
	rules      *ruleset.Keeper
	lists      *lists.Keeper
	metrics    *metrics.Windows
	engine     *engine.Engine
	tokens     *ceremonies.Tokens
	mailer     ceremonies.Mailer // nil when there is no way to send mails
	party      *ceremonies.RelyingParty
	ceremonies *api.CeremonyLimit // shared by the pages and the API
	pages      http.Handler
	operators  *operators.Desk
	http       *http.Server
	invite     invite
}

// invite is the link that registers the first operator.
type invite struct {
	URL     string // "" when somebody is registered
	Expires time.Time
}

// Open opens a server. It accepts connections from then on and answers them once
// Run is called. The data folder and its secrets are created when they are
// missing. The archive starts by itself during Run, since nothing waits for it.
func Open(ctx context.Context, config Config, log *slog.Logger) (*Server, error) {
	s := &Server{config: config, log: log}
	for _, open := range []func(context.Context) error{
		s.listen, // first, since a port of 0 decides the public URL
		s.openSecrets,
		s.openStore,
		s.openMetrics,
		s.openStream,
		s.openArchive,
		s.openRules,
		s.openLists,
		s.openSignals,
		s.openCeremonies,
		s.openEngine,
		s.openOperators,
		s.openHTTP,
	} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// URL is where browsers reach the server.
func (s *Server) URL() string { return s.config.PublicURL }

// Run serves until ctx ends, or until a part fails for good. Then it stops
// accepting, finishes the requests under way, and ends the background jobs; what
// these have not carried on by then waits in the log.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error {
		s.awaitMetrics(ctx)
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer stop()
		<-ctx.Done()
		return s.drain()
	})
	group.Go(func() error { return s.rules.Run(background) })
	group.Go(func() error { return s.lists.Run(background) })
	group.Go(func() error { return s.metrics.Run(background) })
	group.Go(func() error { return s.relay.Run(background) })
	group.Go(func() error { return s.signals.Run(background) })
	group.Go(func() error { return s.sweep(background) })
	group.Go(func() error { return s.sweepLists(background) })
	group.Go(func() error { return s.rest(background) })
	if s.archive != nil {
		group.Go(func() error { return s.archive.Run(background) })
	}
	return group.Wait()
}

// drain finishes the requests under way. Connections that are still open
// afterwards, such as those a browser holds ready, are closed.
func (s *Server) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// Close closes what Open opened, in reverse.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.opened) - 1; i >= 0; i-- {
		errs = append(errs, s.opened[i]())
	}
	s.opened = nil
	return errors.Join(errs...)
}

func (s *Server) closeLater(closing func() error) { s.opened = append(s.opened, closing) }

func (s *Server) listen(ctx context.Context) error {
	var err error
	s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return listenError(s.config.Listen, err)
	}
	s.closeLater(func() error { // closed already once Run has ended
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	s.config = s.config.Bound(s.listener.Addr().(*net.TCPAddr).Port)
	for _, warning := range s.config.Warnings() {
		s.log.Warn(warning)
	}
	return nil
}

func (s *Server) openSecrets(context.Context) (err error) {
	if err := makeFolder(s.config.Data); err != nil {
		return err
	}
	s.secrets, err = OpenSecrets(s.config)
	return err
}

func (s *Server) openStore(ctx context.Context) (err error) {
	s.store, err = store.Open(ctx, store.Config{Dir: s.config.Data, RememberDevice: s.config.RememberDevice, Log: s.log})
	if err != nil {
		return err
	}
	s.closeLater(s.store.Close)
	return nil
}

// openStream also checks that the log is not behind what it has given away.
func (s *Server) openStream(ctx context.Context) (err error) {
	s.stream, err = jetstream.Open(ctx, streamConfig(s.config, s.log))
	if err != nil {
		return err
	}
	s.closeLater(s.stream.Close)
	s.relay = jetstream.NewRelay(s.stream, s.store, jetstream.RelayConfig{})
	if s.stream.Health().Status != events.StatusOK {
		return nil // nothing to compare with
	}
	head, err := s.stream.Head(ctx)
	if err != nil {
		s.log.Warn("the head of the NATS stream cannot be read, so the log is not compared with it", "error", err)
		return nil
	}
	return checkHead(ctx, s.store, "NATS", head)
}

func streamConfig(config Config, log *slog.Logger) jetstream.Config {
	c := jetstream.Config{Log: log}
	if config.NATS.Mode == Remote {
		c.URL = config.NATS.URL.Reveal()
	} else {
		c.Dir = filepath.Join(config.Data, "nats")
	}
	return c
}

func (s *Server) openArchive(ctx context.Context) error {
	if s.config.ClickHouse.Mode == Absent {
		return nil
	}
	var err error
	s.archive, err = openArchive(s.config, s.store, s.stream, s.log)
	if err != nil {
		return err
	}
	s.closeLater(s.archive.Close)
	return nil
}

func (s *Server) openRules(ctx context.Context) (err error) {
	s.rules, err = ruleset.Open(ctx, s.store, ruleset.Config{
		First: rules.Example(), Approval: s.config.RulesApproval == "required", Log: s.log,
	})
	return err
}

func (s *Server) openEngine(context.Context) error {
	var err error
	s.engine, err = engine.New(engine.Config{
		Recorder: s.store, Signals: []engine.Signals{s.signals}, Rules: s.rules.Current,
		Lists: s.lists, Metrics: s.metrics, Log: s.log, EnrolByEmail: s.party.Offers(events.MethodEmailOTP),
	})
	return err
}

func (s *Server) openCeremonies(context.Context) error {
	keys := make([]ceremonies.Key, 0, len(s.secrets.TokenKeys))
	for _, k := range s.secrets.TokenKeys {
		keys = append(keys, ceremonies.Key{ID: k.ID, Secret: k.Secret})
	}
	var err error
	if s.mailer, err = openMailer(s.config, s.secrets); err != nil {
		return err
	}
	s.tokens, err = ceremonies.NewTokens(ceremonies.TokenConfig{Tenant: s.config.Tenant, Keys: keys})
	if err != nil {
		return err
	}
	party, err := s.config.relyingParty(s.secrets, s.mailer, s.log)
	if err != nil {
		return err
	}
	if s.party, err = ceremonies.New(party, s.store, s.tokens); err != nil {
		return err
	}
	s.ceremonies = api.NewCeremonyLimit(api.DefaultLimits, time.Now)
	page, err := s.config.pages()
	if err != nil {
		return err
	}
	page.RelyingParty, page.Store, page.Log, page.Limit = s.party, s.store, s.log, s.ceremonies.Begin
	s.pages, err = pages.New(page)
	return err
}

// openOperators invites the first administrator while nobody is registered.
func (s *Server) openOperators(ctx context.Context) (err error) {
	s.operators, err = operators.New(operators.Config{RPID: s.config.RPID, Origins: []string{s.config.PublicURL}}, s.store)
	if err != nil {
		return err
	}
	count, err := s.store.OperatorCount(ctx)
	if err != nil || count > 0 {
		return err
	}
	secret, expires, err := s.operators.Invite(ctx, operators.Administrator, events.BySallyport)
	if err != nil {
		return err
	}
	s.invite = invite{URL: s.config.PublicURL + "/console/register#invite=" + secret, Expires: expires}
	return nil
}

func (s *Server) openHTTP(context.Context) error {
	secrets := make([]string, 0, len(s.secrets.Server))
	for _, secret := range s.secrets.Server {
		secrets = append(secrets, secret.Reveal())
	}
	config := api.Config{
		PublicURL: s.config.PublicURL, Origins: s.config.Origins, RPID: s.config.RPID, Name: s.config.Name,
		Tenant: s.config.Tenant, Secrets: secrets, ManagementHash: s.secrets.ManagementHash,
		TrustedProxies: s.config.TrustedProxies, Version: Version(), Log: s.log, Ceremonies: s.ceremonies,
		Engine: s.engine, Party: s.party, Tokens: s.tokens, Rules: s.rules, Lists: s.lists, Operators: s.operators,
		EnrolByEmail: s.party.Offers(events.MethodEmailOTP),
		Store:        s.store, LogReader: s.store, Parts: s.parts, Pages: s.pages, Console: console.Handler("/console"),
	}
	if s.archive != nil {
		config.Readers = s.archive
	}
	server, err := api.New(config)
	if err != nil {
		return err
	}
	s.http = &http.Server{
		Handler:           server.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // for those who ask and never read; nothing streams
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // broken handshakes of strangers
	}
	if s.config.TLSCert == "" {
		return nil
	}
	certificate, err := openCertificate(s.config.TLSCert, s.config.TLSKey)
	if err != nil {
		return err
	}
	s.listener = certificate.over(s.listener)
	return nil
}

// sweep ends ceremonies that ran out of time.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.party.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("ceremonies that ran out were not swept; tried again soon", "error", err)
		}
	}
}

// rest gives memory back to the system after each burst of events; Go's collector
// alone would keep what a burst needed for minutes. It looks more than once:
// NATS lets go of its block caches some 10 s after the last event, into pools
// that the collector empties in two rounds.
func (s *Server) rest(ctx context.Context) error {
	tick := time.NewTicker(restAfter)
	defer tick.Stop()
	var last events.Position
	quiet := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		head, err := s.store.Head(ctx)
		if err != nil {
			continue // what is wrong with the log is told by those who need it
		}
		quiet++
		if head != last {
			quiet = 0
		}
		if quiet > 0 && quiet <= restRounds {
			debug.FreeOSMemory()
			if err := s.signals.Rest(); err != nil {
				s.log.Warn("memory of the IP data was not given back", "error", err)
			}
		}
		last = head
	}
}

// parts is the state of each part, as /readyz and the console show it.
func (s *Server) parts(ctx context.Context) []api.Part {
	log := api.Part{Name: api.LogPart, State: api.OK}
	if err := s.store.Ready(ctx); err != nil {
		log.State, log.Detail = api.Down, err.Error()
	}
	health := s.stream.Health()
	nats := api.Part{Name: "nats", State: api.State(health.Status), Detail: health.Detail}
	if lag, err := s.relay.Lag(ctx); err == nil {
		nats.Lag = &lag
	}
	archived := api.Part{Name: "archive", State: api.Off}
	if s.archive != nil {
		archived = s.archive.part(ctx)
	}
	return []api.Part{log, nats, archived, s.listsPart(ctx), s.metricsPart(ctx), s.ipDataPart()}
}
