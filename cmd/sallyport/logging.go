package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// newLogger writes structured logs: lines for people on a terminal, JSON
// elsewhere, unless the configuration says which.
func newLogger(config Config, io IO) *slog.Logger {
	if config.LogFormat == "text" || (config.LogFormat == "auto" && io.ErrTerminal) {
		return slog.New(&lineHandler{out: io.Err, level: config.LogLevel, colour: io.ErrTerminal, mu: new(sync.Mutex)})
	}
	return slog.New(slog.NewJSONHandler(io.Err, &slog.HandlerOptions{Level: config.LogLevel}))
}

// lineHandler writes one line per record: time, level, message, then the
// attributes as name=value in a quieter colour.
type lineHandler struct {
	out    io.Writer
	level  slog.Level
	colour bool
	mu     *sync.Mutex // shared with the handlers derived from this one
	prefix string      // of groups, "a.b."
	fixed  string      // attributes of WithAttrs, written already
}

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(h.paint("2", r.Time.Local().Format("15:04:05")))
	b.WriteString(" " + h.paint(levelColour(r.Level), fmt.Sprintf("%-5s", r.Level)) + " " + r.Message)
	attrs := h.fixed
	r.Attrs(func(a slog.Attr) bool {
		attrs += attribute(h.prefix, a)
		return true
	})
	if attrs != "" {
		b.WriteString(h.paint("2", attrs))
	}
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.out, b.String())
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.fixed += attribute(h.prefix, a)
	}
	return &with
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.prefix += name + "."
	return &with
}

// attribute is " name=value"; a group is written as its members.
func attribute(prefix string, a slog.Attr) string {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		var b strings.Builder
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range value.Group() {
			b.WriteString(attribute(prefix, member))
		}
		return b.String()
	}
	if a.Equal(slog.Attr{}) {
		return ""
	}
	text := value.String()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
		text = strconv.Quote(text)
	}
	return " " + prefix + a.Key + "=" + text
}

func levelColour(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "31" // red
	case level >= slog.LevelWarn:
		return "33" // yellow
	case level >= slog.LevelInfo:
		return "36" // cyan
	}
	return "2" // faint
}

// paint wraps text in an ANSI colour (ECMA-48, section 8.3.117).
func (h *lineHandler) paint(code, text string) string {
	if !h.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
