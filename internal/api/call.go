package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/operators"
)

// call is one request on its way through an endpoint.
type call struct {
	echo.Context
	server *Server
	id     string // X-Request-Id
	start  time.Time

	// What the guard found out.
	grant    ceremonies.Grant   // of a client call with a token
	operator operators.Operator // of a console call

	ahead   *bytes.Buffer // the body, when it was read before its handler runs
	outcome string        // of a track, for the metrics
	problem *Error        // what was answered, nil on success
}

// guard finds out who calls, and refuses with an error.
type guard func(*call) error

// handler answers a call or returns an error; it never writes one.
type handler func(*call) error

// at registers an endpoint.
func (s *Server) at(method, path string, who guard, do handler) {
	route := method + " " + path
	s.echo.Add(method, path, func(c echo.Context) error {
		s.serve(c, route, who, do)
		return nil
	})
}

// unrouted answers what the router could not place; Echo's own answer would lack
// the key error and read as success to the browser SDK (CONTRACT 0.2).
func (s *Server) unrouted(err error, c echo.Context) {
	s.serve(c, "unrouted", open, func(*call) error { return err })
}

// serve runs an endpoint and is the only place that answers errors, catches
// panics, counts and logs.
func (s *Server) serve(c echo.Context, route string, who guard, do handler) {
	k := &call{Context: c, server: s, start: s.now(), id: requestID(c.Request())}
	c.Response().Header()[echo.HeaderXRequestID] = []string{k.id}
	defer k.done(route)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { // the documented way to drop a connection
				panic(p)
			}
			k.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	err := who(k)
	if err == nil {
		err = do(k)
	}
	if err != nil {
		k.fail(err)
	}
}

// fail answers an error, unless an answer has begun.
func (k *call) fail(err error) {
	problem := *asError(err) // a copy, for some answers are shared by all calls
	k.problem = &problem
	if k.Response().Committed {
		return
	}
	if at := k.problem.RetryAt; !at.IsZero() {
		k.problem.RetryAfter = max(at.Sub(k.server.now()), time.Second)
	}
	if k.problem.RetryAfter > 0 {
		seconds := int((k.problem.RetryAfter + time.Second - 1) / time.Second)
		k.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if header := k.Response().Header(); k.problem.Status == http.StatusUnauthorized && header.Get("WWW-Authenticate") == "" {
		header.Set("WWW-Authenticate", challengeBearer)
	}
	body := wireError{
		Error: k.problem.Code, ErrorCode: k.problem.Code, ErrorDescription: k.problem.Description,
		RequestID: k.id, Details: k.problem.Details,
	}
	if err := k.answer(k.problem.Status, body); err != nil {
		k.problem.Cause = errors.Join(k.problem.Cause, err)
	}
}

// done counts and logs. Templates stand for paths because paths hold user ids.
func (k *call) done(route string) {
	status, took := k.Response().Status, k.server.now().Sub(k.start)
	k.server.metrics.observe(route, status, k.outcome, took)

	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	log, ctx := k.server.log, k.Request().Context()
	if ctx.Err() != nil { // the caller hung up, which is nobody's mistake here
		level = slog.LevelInfo
	}
	if !log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("route", route), slog.Int("status", status),
		slog.Int64("micros", took.Microseconds()), slog.String("request", k.id))
	if k.outcome != "" {
		attrs = append(attrs, slog.String("outcome", k.outcome))
	}
	if k.problem != nil {
		attrs = append(attrs, slog.String("code", k.problem.Code))
		attrs = append(attrs, k.why(level)...)
	}
	log.LogAttrs(ctx, level, "request", attrs...)
}

// why tells the cause of a fault. Of a refusal it tells the stable reason alone:
// the texts repeat what the caller sent.
func (k *call) why(level slog.Level) []slog.Attr {
	var refused *ceremonies.RefusedError
	switch {
	case k.problem.Cause == nil:
		return nil
	case level >= slog.LevelError:
		return []slog.Attr{slog.String("cause", k.problem.Cause.Error())}
	case errors.As(k.problem.Cause, &refused):
		return []slog.Attr{slog.String("reason", refused.Reason)}
	}
	return nil
}

// within bounds the work of one request that is not on the hot path.
func (k *call) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(k.Request().Context(), k.server.config.MaxRequest)
}

// buffers holds the memory of bodies between requests.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest buffer in bytes that is kept for the next request.
const maxPooled = 16 << 10

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		b.Reset()
		buffers.Put(b)
	}
}

// ok answers 200 with v as JSON. The client API's mobile SDKs take no other
// status for success (CONTRACT 0.4).
func (k *call) ok(v any) error { return k.answer(http.StatusOK, v) }

func (k *call) answer(status int, v any) error {
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return k.write(status, b.Bytes())
}

// write sends JSON. The content type carries no charset: an SDK compares it
// exactly (CONTRACT 0.15).
func (k *call) write(status int, body []byte) error {
	response := k.Response()
	response.Header()[echo.HeaderContentType] = headerJSON
	response.WriteHeader(status)
	if _, err := response.Write(body); err != nil {
		return fmt.Errorf("send answer: %w", err)
	}
	return nil
}

// done200 is the answer of calls that have nothing to say.
var done200 = []byte(`{"success":true}` + "\n")

// What an unauthorized caller is told to send.
const (
	challengeBasic  = `Basic realm="sallyport"` // a browser that reads it asks for a password
	challengeBearer = `Bearer realm="sallyport"`
)

// Header values that are shared by all answers, so that setting them allocates
// nothing. They must never be changed in place.
var (
	headerJSON    = []string{"application/json"}
	headerNosniff = []string{"nosniff"}
	headerNoStore = []string{"no-store"}
	headerHSTS    = []string{"max-age=31536000"}
)

// param is a path parameter. Echo hands it over as it stands in the path that it
// matched: still escaped when the path has an escaped slash, unescaped otherwise
// (CONTRACT 0.12). Escaping it twice would turn %2541 into A.
func (k *call) param(name string) (string, error) {
	value := k.Param(name)
	if k.Request().URL.RawPath != "" {
		plain, err := url.PathUnescape(value)
		if err != nil {
			return "", invalidField(name, "in the path is not percent-encoded properly.")
		}
		value = plain
	}
	return value, checkID(name, value)
}

// user is the path's userId.
func (k *call) user() (events.UserID, error) {
	id, err := k.param("userId")
	return events.UserID(id), err
}

// action is the action that the path names: userId, action and, where the route
// has one, idempotencyKey.
func (k *call) action() (events.ActionID, error) {
	user, err := k.user()
	if err != nil {
		return events.ActionID{}, err
	}
	code, err := k.param("action")
	if err != nil {
		return events.ActionID{}, err
	}
	id := events.ActionID{User: user, Code: code}
	if k.Param("idempotencyKey") != "" {
		id.Key, err = k.param("idempotencyKey")
	}
	return id, err
}

// requestID takes over a caller's id when it is harmless in a log line.
func requestID(r *http.Request) string {
	id := r.Header.Get(echo.HeaderXRequestID)
	if len(id) == 0 || len(id) > 64 {
		return rand.Text()
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' && c != '.' {
			return rand.Text()
		}
	}
	return id
}
