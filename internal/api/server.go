package api

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport/events"
)

// Server answers every request to Sallyport.
type Server struct {
	config     Config
	echo       *echo.Echo
	log        *slog.Logger
	now        func() time.Time
	secrets    [][sha256.Size]byte
	management [][sha256.Size]byte
	origins    map[string]bool // allowed, the public one included
	secure     bool            // the public address is https
	limits     *limiter
	work       work          // turns of costly calls
	edits      chan struct{} // of changes to parts of the definition, see edit
	metrics    *metrics
	methods    []events.Method // that people can enrol and prove themselves with, the strongest first
	related    []byte          // which other origins may use the passkeys, nil for none

	crossOrigin *http.CrossOriginProtection // for the console
}

// New checks the configuration and builds the server. It opens nothing and
// starts nothing.
func New(config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("configure the API: %w", err)
	}
	s := &Server{
		config: config, echo: echo.New(), log: config.Log, now: config.Now,
		management: [][sha256.Size]byte{config.ManagementHash},
		origins:    map[string]bool{config.PublicURL: true},
		secure:     strings.HasPrefix(config.PublicURL, "https://"),
		limits:     newLimiter(config.Limits, config.Now),
		work:       newWork(),
		edits:      make(chan struct{}, 1),

		crossOrigin: http.NewCrossOriginProtection(),
	}
	if err := s.crossOrigin.AddTrustedOrigin(config.PublicURL); err != nil {
		return nil, fmt.Errorf("configure the API: %w", err)
	}
	for _, secret := range config.Secrets {
		s.secrets = append(s.secrets, hashSecret(secret))
	}
	for _, origin := range config.Origins {
		s.origins[origin] = true
	}
	s.metrics = newMetrics(s)
	s.methods = config.Party.Methods()
	var left []string
	var err error
	if s.related, left, err = relatedOrigins(config.RPID, append([]string{config.PublicURL}, config.Origins...)); err != nil {
		return nil, fmt.Errorf("configure the API: %w", err)
	}
	if len(left) > 0 {
		s.log.Warn("pages of these origins cannot use the passkeys: browsers read five names of domains beside the relying party's own", "origins", left)
	}
	s.echo.HTTPErrorHandler = s.unrouted
	s.routes()
	return s, nil
}

// Handler is the whole server: API, console and pages.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["X-Content-Type-Options"] = headerNosniff
	if s.secure {
		header["Strict-Transport-Security"] = headerHSTS
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/v1/v1/"):
		// The Go SDK writes its base URL's path twice (CONTRACT 0.8).
		r.URL.Path = path[len("/v1"):]
		r.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, "/v1")
		header["Cache-Control"] = headerNoStore
	case strings.HasPrefix(path, "/v1/"), strings.HasPrefix(path, consoleAPI):
		header["Cache-Control"] = headerNoStore
	}
	if strings.HasPrefix(path, clientPrefix) && s.cors(w, r) {
		return
	}
	s.echo.ServeHTTP(w, r)
}
